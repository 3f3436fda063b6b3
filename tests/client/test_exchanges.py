"""What is repeated and what is not, what an answer means, and what is sent, with answers made by the test."""

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from musterbook import __version__
from musterbook.client import (
    Agency,
    AgencyError,
    AsyncAgency,
    Conflict,
    Invalid,
    Problem,
    RateLimited,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from musterbook.client.sessions import AsyncSession
from tests.client.conftest import run

HERE = "https://muster.example/x"
USER = {
    "id": 7, "external_id": "E-7", "email": "e7@x.example", "badge_number": "7", "first_name": "A", "last_name": "B",
    "status": "Active", "username": "e7", "role": "Officer", "supervisor_email": None, "location": None, "rank": None,
    "evidence_group_ext_id": None, "phone": None, "exempt": False, "no_files": False, "source": None, "ends_on": None,
    "state": "Active", "managed_by": None, "leaving_since": None, "created_at": "2026-03-02T07:00:00Z", "invited_at": None,
    "invitation_expires_at": None, "registered_at": None, "last_sign_in_at": None, "locked_at": None,
    "page": "https://muster.example/x/users/7/", "version": "v1",
}  # fmt: skip
STATE = {
    "number": "N", "kind": "file", "mode": "update", "state": "waiting", "is_open": False, "name": "f", "source": "",
    "feed": "", "by": None, "through": "api", "started_at": "2026-03-02T07:00:00Z", "finished_at": None, "counts": {},
    "summary": "", "ended": None, "undoes": None, "message": "", "links": {}, "progress": None, "digest": "", "holds": [],
    "mails": {}, "problems": [], "notes": [], "file": None, "options": {}, "action": None, "corrected_cells": 0,
    "open_fixes": 0, "plan_of": None, "undone_by": None,
}  # fmt: skip
ENDED = STATE | {"state": "applied", "finished_at": "2026-03-02T07:01:00Z"}
Reply = httpx2.Response | Exception


class Server:
    """A server that answers with these, one after the other, and keeps what it was sent."""

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.requests, self.bodies = list(replies), list[httpx2.Request](), list[bytes]()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """The next answer."""
        self.requests.append(request)
        self.bodies.append(request.read())
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def make_problem(status: int, code: str = "", headers: dict[str, str] | None = None, **more: Any) -> httpx2.Response:
    """An answer that says what is wrong."""
    content = {"type": "about:blank", "title": "T", "status": status, "detail": "What to do.", "code": code, **more}
    named = {"Content-Type": "application/problem+json", "X-Request-ID": "r-1", **(headers or {})}
    return httpx2.Response(status, content=json.dumps(content), headers=named)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, without waiting."""
    waited = list[float]()

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("musterbook.client.sessions.time.sleep", waited.append)
    monkeypatch.setattr("musterbook.client.sessions.asyncio.sleep", wait)
    return waited


def ask(server: Server, do: Callable[[Agency], Any], **options: Any) -> Any:
    """What the method returns."""
    with Agency(HERE, "token", transport=httpx2.MockTransport(server), **options) as agency:
        return do(agency)


def ask_async(server: Server, do: Callable[[AsyncAgency], Any]) -> Any:
    """What the method returns when it is awaited."""

    async def go() -> Any:
        async with AsyncAgency(HERE, "token", transport=httpx2.MockTransport(server)) as agency:
            return await do(agency)

    return run(go())


LOST = httpx2.ReadError("lost")


def test_a_request_that_changes_nothing_is_repeated_after_a_lost_connection(pauses: list[float]) -> None:
    for do in (ask, ask_async):
        server = Server(httpx2.ConnectError("away"), LOST, httpx2.Response(502), httpx2.Response(200, json=USER))
        assert do(server, lambda agency: agency.users.read(7)).etag == '"v1"'
        assert len(server.requests) == 4
    assert len(pauses) == 6 and 0 < pauses[0] < pauses[2] < 3


def test_it_is_given_up_after_some_attempts(pauses: list[float]) -> None:
    server = Server(*[LOST] * 4)
    with pytest.raises(Unreachable, match="readUser: lost"):
        ask(server, lambda agency: agency.users.read(7))
    assert (len(server.requests), len(pauses)) == (4, 3)
    server = Server(*[LOST] * 4)
    with pytest.raises(Unreachable):
        ask(server, lambda agency: agency.users.read(7), attempts=1)
    assert len(server.requests) == 1


def test_a_change_that_the_server_may_have_received_is_not_repeated(pauses: list[float]) -> None:
    for reply in (LOST, httpx2.Response(502)):
        server = Server(reply)
        with pytest.raises((Unreachable, Unavailable)):
            ask(server, lambda agency: agency.users.change(7, location="Hall", if_match='"v1"'))
        assert len(server.requests) == 1
    server = Server(httpx2.ConnectError("away"), httpx2.Response(200, json=USER))
    ask(server, lambda agency: agency.users.change(7, location=None, if_match='"v1"'))
    assert server.requests[1].headers["If-Match"] == '"v1"'
    assert server.bodies[1] == b'{"location": null}'


def test_a_file_is_sent_again_whole_with_the_same_key(pauses: list[float], tmp_path: Path) -> None:
    path = tmp_path / "Rôster.csv"
    path.write_bytes(b"EXTERNAL_ID\nE-1\n")
    opened = io.BytesIO(path.read_bytes())
    for file in (path, str(path), opened, path.read_bytes()):
        server = Server(LOST, httpx2.Response(503), httpx2.Response(200, json=ENDED))
        with Agency(HERE, "token", transport=httpx2.MockTransport(server)) as agency:
            found = agency.imports.send(file, mode="sync", accept=["a", "b"])
        assert found.state == "applied"
        assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1
        for body, request in zip(server.bodies, server.requests, strict=True):
            assert b"\r\n\r\nEXTERNAL_ID\nE-1\n\r\n" in body and b'name="mode"\r\n\r\nsync' in body
            assert body.count(b'name="accept"') == 2
            assert int(request.headers["Content-Length"]) == len(body)
    assert not opened.closed


class Pipe(io.RawIOBase):
    """A file that can be read once."""

    name = "<stdin>"

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read only once."""
        return False

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        end = len(self._rest) if size < 0 else size
        part, self._rest = self._rest[:end], self._rest[end:]
        return part


def test_a_pipe_is_sent_too_and_a_file_of_text_is_refused(pauses: list[float]) -> None:
    server = Server(LOST, httpx2.Response(200, json=ENDED))
    ask(server, lambda agency: agency.imports.send(Pipe(b"EXTERNAL_ID\n"), wait=90))  # type: ignore[arg-type]  # it reads bytes
    assert all(b"EXTERNAL_ID\n" in body and b'filename="file"' in body for body in server.bodies)
    assert server.requests[0].url.params["wait"] == "30"
    with pytest.raises(TypeError, match="rb"):
        ask(Server(), lambda agency: agency.imports.send(io.StringIO("EXTERNAL_ID")))  # type: ignore[arg-type]  # the mistake
    with pytest.raises(FileNotFoundError):
        ask(Server(), lambda agency: agency.imports.send("/nowhere/roster.csv"))


def test_options_are_sent_as_the_form_has_them(pauses: list[float]) -> None:
    server = Server(httpx2.Response(200, json=ENDED))
    ask(server, lambda agency: agency.imports.send(
        b"x", preview=True, mails=False, mapping={"Größe": "EMAIL"}, confirm={"deactivations": 3}, header_row=2, key="k"
    ))  # fmt: skip
    [body] = server.bodies
    for name, text in {
        "preview": "true", "mails": "false", "mapping": '{"Größe": "EMAIL"}', "confirm": '{"deactivations": 3}',
        "header_row": "2",
    }.items():  # fmt: skip
        assert f'name="{name}"\r\n\r\n{text}\r\n'.encode() in body
    assert server.requests[0].headers["Idempotency-Key"] == "k"


def test_the_server_says_when_to_come_back(pauses: list[float]) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    for status, text, least in ((429, "7", 7), (503, later, 20)):
        server = Server(make_problem(status, headers={"Retry-After": text}), httpx2.Response(200, json=USER))
        ask(server, lambda agency: agency.users.change(7, location="Hall"))
        assert least <= pauses.pop() <= 30


def test_a_wait_that_is_too_long_is_for_the_caller(pauses: list[float]) -> None:
    with pytest.raises(RateLimited) as limited:
        ask(Server(make_problem(429, headers={"Retry-After": "3600"})), lambda agency: agency.users.read(7))
    assert (limited.value.retry_after, pauses) == (3600, [])
    with pytest.raises(Unavailable) as unavailable:
        ask(Server(make_problem(503, "too-much-work")), lambda agency: agency.users.read(7))
    assert unavailable.value.code == "too-much-work" and unavailable.value.retry_after is None


def test_a_problem_has_all_that_the_server_says(pauses: list[float]) -> None:
    errors = [{"pointer": "/email", "code": "no-email", "detail": "This is no address.", "remedy": "Correct it."}]
    with pytest.raises(Invalid) as invalid:
        ask(Server(make_problem(422, "no-email", errors=errors)), lambda agency: agency.users.create(email="x"))
    problem = invalid.value
    assert (problem.status, problem.code, problem.detail, problem.request_id) == (422, "no-email", "What to do.", "r-1")
    assert str(problem) == "422 What to do.\n/email: This is no address. Correct it."
    with pytest.raises(Conflict) as changed:
        ask(Server(make_problem(409, "plan-changed", digest="d")), lambda agency: agency.imports.apply("N", "e"))
    assert changed.value.more == {"digest": "d"} and isinstance(changed.value, AgencyError)


@pytest.mark.parametrize(
    ("reply", "expected", "said"),
    [
        (httpx2.Response(418, text="<h1>No</h1>"), Problem, "418 I'm a teapot"),
        (httpx2.Response(302, headers={"Location": "https://evil.example/"}), Problem, "evil.example"),
        (httpx2.Response(422, content=b"{", headers={"Content-Type": "application/problem+json"}), Problem, "422"),
        (httpx2.Response(200, text="<h1>Welcome</h1>"), UnexpectedAnswer, "readUser"),
        (httpx2.Response(200, json={"id": "7"}), UnexpectedAnswer, "readUser"),
    ],
)
def test_an_answer_of_something_between_is_told_apart(reply: httpx2.Response, expected: type, said: str) -> None:
    server = Server(reply)
    with pytest.raises(expected, match=said):
        ask(server, lambda agency: agency.users.read(7))
    assert len(server.requests) == 1, "a redirect is not followed: the token is for one address"


def test_a_longer_wait_asks_until_the_import_has_ended(pauses: list[float]) -> None:
    for do in (ask, ask_async):
        replies = [httpx2.Response(202, json=STATE) for _ in range(8)]
        server = Server(*replies, httpx2.Response(200, json=ENDED))
        found = do(server, lambda agency: agency.imports.send(b"x", wait=600))
        assert found.state == "applied"
        assert [one.method for one in server.requests] == ["POST", *["GET"] * 8]
    assert len(pauses) == 16 and max(pauses) == 3
    assert ask(Server(httpx2.Response(202, json=STATE)), lambda agency: agency.imports.cancel("N")).state == "waiting"
    assert ask(Server(httpx2.Response(200, json=STATE)), lambda agency: agency.imports.wait("N", 0)).finished_at is None


def test_a_batch_that_takes_longer_has_the_problems_of_its_rows_too(pauses: list[float]) -> None:
    problem = {"code": "unknown-role", "column": "ROLE", "value": "x", "message": "No role.", "remedy": "Correct it."}
    row = {
        "row": 3, "external_id": "E", "name": "", "outcome": "errored", "changes": {}, "cells": {}, "problems": [problem],
        "notes": [], "protection": None, "email": None,
    }  # fmt: skip
    server = Server(
        httpx2.Response(202, json=STATE | {"errors": []}),
        httpx2.Response(200, json=ENDED),
        httpx2.Response(200, json={"items": [row], "next": None}),
    )
    done = ask(server, lambda agency: agency.users.send(rows=[{"external_id": "E"}], wait=90))
    assert [(one.pointer, one.detail) for one in done.errors] == [("/rows/1/role", "No role.")]
    server = Server(httpx2.Response(202, json=STATE | {"errors": []}))
    assert ask(server, lambda agency: agency.users.send(rows=[{"external_id": "E"}])).errors == []


def test_pages_are_read_when_they_are_needed(pauses: list[float]) -> None:
    def answer() -> Server:
        return Server(
            httpx2.Response(200, json={"items": [USER, USER], "next": "c/2"}),
            httpx2.Response(200, json={"items": [USER], "next": None}),
        )

    server = answer()
    with Agency(HERE, "token", transport=httpx2.MockTransport(server)) as agency:
        found = agency.users.search(q="a b", never_signed_in=True, signed_in_from=datetime(2026, 1, 2, tzinfo=UTC))
        assert server.requests == []
        next(found)
        assert len(server.requests) == 1
        assert len(list(found)) == 2
    first, second = (request.url.params for request in server.requests)
    assert dict(first) == {
        "limit": "200", "q": "a b", "never_signed_in": "true", "signed_in_from": "2026-01-02T00:00:00+00:00",
    }  # fmt: skip
    assert second["cursor"] == "c/2" and second["q"] == "a b"

    async def count(agency: AsyncAgency) -> int:
        return len([user async for user in agency.users.search()])

    assert ask_async(answer(), count) == 3


class Parts(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body of many parts, which may break off."""

    def __init__(self, number: int, *, breaks: bool = False) -> None:
        self.number, self.breaks = number, breaks

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.number):
            yield bytes(1024 * 1024)
        if self.breaks:
            raise httpx2.ReadError("broken off")

    async def __aiter__(self) -> Any:
        for part in self:
            yield part


def test_a_file_is_never_whole_in_memory(pauses: list[float], tmp_path: Path) -> None:
    path, size = tmp_path / "large.csv", 100 * 1024 * 1024
    with path.open("wb") as file:
        file.truncate(size)
    sent = list[int]()

    def take(request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.SyncByteStream)
        sent.append(sum(map(len, request.stream)))
        return httpx2.Response(200, json=ENDED)

    with Agency(HERE, "token", transport=_Streaming(take)) as agency:
        tracemalloc.start()
        agency.imports.send(path)
        with agency.imports.results("N") as results:
            assert results.save(tmp_path / "results.csv").stat().st_size == size
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert sent[0] > size
    assert peak < 20 * 1024 * 1024


class _Streaming(httpx2.BaseTransport):
    """A transport that does not read the body of a request by itself, and answers a download with many parts."""

    def __init__(self, take: Callable[[httpx2.Request], httpx2.Response]) -> None:
        self._take = take

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer."""
        if request.method == "GET":
            return httpx2.Response(200, stream=Parts(100))
        return self._take(request)


def test_a_download_that_breaks_off_leaves_no_file(pauses: list[float], tmp_path: Path) -> None:
    def answer() -> Server:
        return Server(httpx2.Response(200, stream=Parts(2, breaks=True)))

    def save(agency: Agency) -> None:
        with agency.audit.export(format="json") as export:
            export.save(tmp_path / "trail.json")

    async def save_async(agency: AsyncAgency) -> None:
        async with agency.audit.export(format="json") as export:
            await export.save(tmp_path / "trail.json")

    with pytest.raises(Unreachable, match="did not arrive in full"):
        ask(answer(), save)
    with pytest.raises(Unreachable, match="did not arrive in full"):
        ask_async(answer(), save_async)
    assert list(tmp_path.iterdir()) == []


def test_the_trail_is_checked_to_its_end(pauses: list[float]) -> None:
    result = {"done": False, "links": 1, "events": 1, "error": "", "head": "1:a", "progress": "p"}
    server = Server(
        httpx2.Response(200, json=result), httpx2.Response(200, json=result | {"done": True, "progress": None})
    )
    assert ask(server, lambda agency: agency.audit.verify()).done
    assert [json.loads(body) for body in server.bodies] == [{}, {"progress": "p"}]


def test_each_request_says_which_program_sends_it(pauses: list[float]) -> None:
    server = Server(httpx2.Response(200, json=USER))
    ask(server, lambda agency: agency.users.read(7), program="nightly/2")
    [request] = server.requests
    assert request.headers["User-Agent"].startswith(f"nightly/2 musterbook-client/{__version__} Python/3.")
    assert request.headers["Authorization"] == "Bearer token"
    assert str(request.url) == "https://muster.example/x/api/v1/users/7"


def test_what_is_in_a_path_cannot_leave_it(pauses: list[float]) -> None:
    server = Server(make_problem(404))
    with pytest.raises(Problem):
        ask(server, lambda agency: agency.webhooks.read("../../other/api/v1/me?x=#"))
    assert server.requests[0].url.raw_path == b"/x/api/v1/webhooks/..%2F..%2Fother%2Fapi%2Fv1%2Fme%3Fx%3D%23"


@pytest.mark.parametrize(
    "address",
    ["http://localhost/x", "http://127.0.0.1:8000/x/", "http://[::1]:8000/x", "https://muster.example.org/x", "HTTP://LOCALHOST/x"],
)  # fmt: skip
def test_a_token_is_sent_by_https_or_within_this_computer(address: str) -> None:
    with Agency(address, " token\n"):
        pass


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://muster.example.org/x", "unencrypted"), ("http://10.0.0.1/x", "unencrypted"),
        ("http://localhost.example.org/x", "unencrypted"), ("https://muster.example.org", "not the address"),
        ("https://muster.example.org/", "not the address"), ("ftp://localhost/x", "not the address"),
        ("localhost:8000/x", "not the address"), ("https://u:p@muster.example.org/x", "name and the password"),
        ("https://muster.example.org/x?a=b", "not the address"), ("https://muster.example.org:port/x", "not the address"),
    ],
)  # fmt: skip
def test_other_addresses_are_refused(address: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Agency(address, "token")


def test_an_address_without_https_can_be_allowed() -> None:
    with Agency("http://10.0.0.1/x", "token", allow_http=True) as agency:
        assert isinstance(agency, Agency)


@pytest.mark.parametrize("token", ["", " ", "two words", "Schlüssel", "a\nb"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        Agency(HERE, token)


def test_the_environment_names_the_agency(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MUSTERBOOK_AGENCY", "MUSTERBOOK_TOKEN", "MUSTERBOOK_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="MUSTERBOOK_AGENCY"):
        Agency.from_environment()
    (tmp_path / "token").write_text("secret\n", encoding="utf-8")
    monkeypatch.setenv("MUSTERBOOK_AGENCY", HERE)
    monkeypatch.setenv("MUSTERBOOK_TOKEN_FILE", str(tmp_path / "token"))
    server = Server(httpx2.Response(200, json=USER))
    with Agency.from_environment(transport=httpx2.MockTransport(server)) as agency:
        agency.users.read(7)
    assert server.requests[0].headers["Authorization"] == "Bearer secret"
    assert isinstance(AsyncAgency.from_environment()._session, AsyncSession)


def test_the_token_is_in_no_text_of_the_client() -> None:
    with Agency(HERE, "very-secret") as agency:
        assert "very-secret" not in f"{agency!r}{agency.users!r}{vars(agency)!r}{vars(agency._session)!r}"


def test_methods_have_their_names_and_texts() -> None:
    with Agency(HERE, "token") as agency:
        assert agency.users.read.__name__ == "read" and agency.users.read.__doc__ == "Return a user."
        assert agency.users.search.__doc__ and agency.imports.errors.__doc__
        assert Agency.me.__doc__ and type(agency.users).search.__doc__ and type(agency.imports).errors.__doc__
