"""The JSON in the body of a request, read strictly: everything that programs read differently is refused.

That is: bytes that are not UTF-8, a name that an object has twice, NaN and Infinity, and too deep nesting. Texts that no
database can hold are refused with their place.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser

from musterbook.api.problems import FieldError, ProblemError

_MAY_BE_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_DEEPEST = 64
_MOST_PARTS, _MOST_MEMBERS = 200_000, 2_000
"""The most objects and lists of a body, and the most members of an object. Each costs much more memory than its bytes."""
_MOST_ERRORS = 100


class StrictParser(Parser):
    """The parser of the API's bodies. It raises ProblemError, which the library hides as the cause of its own error."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the JSON of the body."""
        return read_json(request.body)


def read_large(request: HttpRequest, most: int) -> None:
    """Read the body of a request that can be large, which has a valid token. Raise ProblemError if it is too large."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not re.fullmatch("[0-9]{1,15}", length):
        detail = "Send the length of the body in the header Content-Length."
        raise ProblemError(HTTPStatus.LENGTH_REQUIRED, detail, "length-required")
    if int(length) > most:
        detail = f"The body is larger than {most // 1024**2} MB. Split it, or send a file to the address `imports`."
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, "too-large")
    # The library, and Django, find it here, and do not read it again with the usual limit.
    request._body = request.read(most)  # noqa: SLF001  # Django has no limit for one address


def read_json(body: bytes) -> Any:
    """Return the JSON. Raise ProblemError."""
    if body.count(b"{") + body.count(b"[") > _MOST_PARTS:
        raise _make_error("The body has too many objects and lists.")
    try:
        text = body.decode("utf-8")
        data = json.loads(
            text, object_pairs_hook=_build_object, parse_constant=_refuse_constant, parse_float=_parse_number
        )
    except UnicodeDecodeError:
        raise _make_error("The body is not valid UTF-8.") from None
    except RecursionError:
        raise _make_error("The body is nested too deeply.") from None
    except ValueError as error:
        raise _make_error(f"The body is not valid JSON: {error}.") from None
    if _MAY_BE_UNSTORABLE.search(body):
        found = list(_find_unstorable(data, "", _DEEPEST))
        if found:
            raise _refuse_texts(found)
    return data


_NUL = ("illegal-character", "This has a NUL character, or half of a character.", "Send the text without it.")


def _make_error(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, detail, "invalid-json")


def _refuse_texts(places: list[str]) -> ProblemError:
    """Return the error for texts at these JSON pointers."""
    detail = "A text has a character that cannot be stored: a NUL, or half of a character. Nothing was changed."
    errors = [FieldError(place, *_NUL) for place in places[:_MOST_ERRORS]]
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "illegal-character", errors)


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MOST_MEMBERS:
        raise ValueError(f"an object has more than {_MOST_MEMBERS:,} members")
    built = dict(pairs)
    if len(built) != len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"an object has the name {json.dumps(twice)} twice")
    return built


def _parse_number(text: str) -> float:
    """Return a number. JSON has only one kind of number, so 5.0 is the whole number 5."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large")
    return int(number) if number.is_integer() else number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _find_unstorable(value: Any, place: str, depth: int) -> Iterator[str]:
    """Yield the JSON pointer of each text that no database can hold."""
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            yield place
    elif depth and isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            if _UNSTORABLE.search(str(name)):
                yield place
            else:
                yield from _find_unstorable(part, f"{place}/{escape(str(name))}", depth - 1)


def escape(name: str) -> str:
    """Return a name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
