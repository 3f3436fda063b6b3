"""One request and its answer: what is sent, what is repeated, and what the answer means. It does no input or output."""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2

from musterbook.client.answering import read_answer
from musterbook.client.calls import Call, Pause, Steps
from musterbook.client.described.answers import ProblemField
from musterbook.client.problems import Problem, UnexpectedAnswer, Unreachable, find_class

T = TypeVar("T")
_JSON, _PROBLEM = "application/json", "application/problem+json"
_OF_PROBLEMS = {"type", "title", "status", "detail", "code", "errors"}
_OF_GATEWAYS = {502, 504}
_CHANCE = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is sent, and the most seconds that are waited between two attempts."""

    attempts: int = 4
    longest_wait: float = 120

    def choose_wait(self, attempt: int, asked: float | None = None) -> float:
        """Return the seconds to wait after an attempt, the first being 0. `asked`: what the server asks for."""
        return asked if asked is not None else min(2**attempt * _CHANCE.uniform(0.4, 0.6), self.longest_wait)


def exchange(call: Call[T], patience: Patience) -> Steps[Any]:
    """Yield the request until there is an answer, with pauses between attempts. Return the response. Raise AgencyError."""
    for attempt in range(max(patience.attempts, 1)):
        is_last = attempt + 1 >= patience.attempts
        try:
            response = yield call
        except httpx2.RequestError as error:
            if is_last or not _can_repeat_after(error, call):
                raise Unreachable(f"{call.route.name}: {str(error) or type(error).__name__}") from error
            seconds = patience.choose_wait(attempt)
        else:
            assert isinstance(response, httpx2.Response)  # noqa: S101  (what a session sends for a request)
            if response.is_success:
                return response
            problem = make_problem(response)
            seconds = patience.choose_wait(attempt, problem.retry_after)
            if is_last or seconds > patience.longest_wait or not _can_repeat_refused(problem, call):
                raise problem
        yield Pause(seconds)
    raise AssertionError  # the last attempt returns or raises


def _can_repeat_after(error: httpx2.RequestError, call: Call[Any]) -> bool:
    """Return whether the request can be sent again: the server did not get it, or does the same once."""
    return isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout) or _is_repeatable(call)


def _can_repeat_refused(problem: Problem, call: Call[Any]) -> bool:
    """Return whether a refused request can be sent again: the server did nothing, and says when to come back."""
    if problem.status in {429, 503}:
        return problem.retry_after is not None or (problem.status == 503 and not problem.code and _is_repeatable(call))
    return problem.status in _OF_GATEWAYS and _is_repeatable(call)


def _is_repeatable(call: Call[Any]) -> bool:
    return call.is_repeatable or bool(call.key) or call.route.method in {"GET", "PUT"}


def make_address(base: str, call: Call[Any]) -> str:
    """Return the address of a request."""
    filled = {name: quote(str(value), safe="") for name, value in call.path.items()}
    return f"{base}{call.route.path.format_map(filled)}"


@contextmanager
def open_request(base: str, call: Call[Any]) -> Iterator[dict[str, Any]]:
    """Yield the arguments with which httpx2 builds the request. The file that it sends is open meanwhile."""
    headers = {"Accept": "*/*" if call.is_stream else f"{_JSON}, {_PROBLEM}"}
    if call.key:
        headers["Idempotency-Key"] = call.key
    if call.if_match:
        headers["If-Match"] = call.if_match
    query = {name: _write(value) for name, value in call.query.items() if value is not None}
    made: dict[str, Any] = {
        "method": call.route.method, "url": make_address(base, call), "headers": headers, "params": query or None,
    }  # fmt: skip
    if call.upload is not None:
        fields = {name: _write(value) for name, value in call.fields.items() if value is not None}
        with call.upload.open() as file:
            yield {
                **made,
                "data": fields,
                "files": {"file": (call.upload.name, file, "application/octet-stream")},
            }
        return
    if call.body is not None:
        kind = "application/merge-patch+json" if call.route.method == "PATCH" else _JSON
        made["content"] = json.dumps(call.body, ensure_ascii=False, default=_write).encode()
        headers["Content-Type"] = kind
    yield made


def _write(value: Any) -> Any:
    """Return a value as a field of a form or a parameter has it: texts, with JSON for tables."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return json.dumps(dict(value), ensure_ascii=False, default=_write)
    if isinstance(value, str):
        return value
    return [str(one) for one in value] if isinstance(value, list | tuple | set | frozenset) else str(value)


def read_response(call: Call[T], response: httpx2.Response) -> T:
    """Return what the answer says. Raise UnexpectedAnswer."""
    if call.route.answer is type(None):
        return None
    try:
        found: T = read_answer(call.route.answer, response.json(), response.headers.get("ETag", ""))
    except ValueError as error:
        kind = response.headers.get("Content-Type", "no content")
        raise UnexpectedAnswer(
            f"{call.route.name}: the answer ({response.status_code}, {kind}) is not the one of Musterbook: {error}"
        ) from error
    return found


def make_problem(response: httpx2.Response) -> Problem:
    """Return what the server says is wrong. An answer of something else, such as a proxy, has its status alone."""
    content: Mapping[str, Any] = {}
    if response.headers.get("Content-Type", "").startswith(_PROBLEM):
        try:
            content = response.json()
        except ValueError:
            content = {}
    code = str(content.get("code", ""))
    location = f" Its address is {response.headers['Location']}." if response.is_redirect else ""
    detail = content.get("detail") or f"{response.reason_phrase or 'Refused'}.{location}"
    return find_class(response.status_code, code)(
        response.status_code,
        str(detail),
        code=code,
        errors=[_read_error(one) for one in content.get("errors", ())],
        request_id=response.headers.get("X-Request-ID", ""),
        retry_after=_read_wait(response.headers.get("Retry-After", "")),
        more={name: value for name, value in content.items() if name not in _OF_PROBLEMS},
    )


def _read_error(content: Mapping[str, Any]) -> ProblemField:
    names = ("pointer", "code", "detail", "remedy")
    return ProblemField(**{name: str(content.get(name, "")) for name in names})


def _read_wait(text: str) -> float | None:
    """Return the seconds that `Retry-After` says: as a number, or as a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0)
    except (ValueError, TypeError):
        return None
