"""A file on a real HTTPS server: requested when it may be new, and read once."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from musterbook.config import encryption, outbound_connections, outbound_requests
from musterbook.directory import models
from musterbook.feeds.locations import https
from musterbook.feeds.locations.location import FileChanged, FoundFile, Location, NotAllowed, Unreachable
from musterbook.feeds.locations.opening import open_location
from tests.feeds.servers import HttpsServer

ROWS = b"a,b\r\n1,2\r\n"
HEADER = ("X-Api-Key", "swordfish")


def make_feed(server: HttpsServer, path: str = "roster.csv", **changes: Any) -> models.Feed:
    """A feed of the server, which is not saved."""
    fields = {"location": server.location(path), "secrets": server.secrets(), "seen": {}, **changes}
    return models.Feed(agency=models.Agency(slug="springfield"), name="hr", **fields)


@contextmanager
def opened(feed: models.Feed) -> Iterator[Location]:
    location = open_location(feed)
    try:
        yield location
    finally:
        location.close()


def take(found: FoundFile) -> dict[str, Any]:
    """What a feed remembers of a file that it took."""
    return {"taken": {found.name: f"{found.size} {found.modified!r} {found.tag}"}}


def read(location: Location, found: FoundFile) -> bytes:
    parts: list[bytes] = []
    assert location.read_file(found, parts.append) == found
    return b"".join(parts)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpsServer]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "roster.csv").write_bytes(ROWS)
    os.utime(folder / "roster.csv", (1_700_000_000, 1_700_000_000))
    with HttpsServer(folder, header=HEADER) as running:
        yield running


def test_a_file_is_found_and_read_by_one_request(server: HttpsServer) -> None:
    with opened(make_feed(server)) as location:
        found = location.list_files()
        assert [(one.name, one.size, one.modified) for one in found] == [("roster.csv", len(ROWS), 1_700_000_000.0)]
        assert found[0].tag.startswith('"') and not location.moves
        assert read(location, found[0]) == ROWS
    (_, path, headers), *more = server.requests
    assert path == "/roster.csv" and headers["x-api-key"] == "swordfish" and not more
    assert headers["accept-encoding"] == "identity" and "cookie" not in headers


def test_a_file_that_was_taken_is_not_sent_again(server: HttpsServer) -> None:
    with opened(make_feed(server)) as location:
        found = location.list_files()[0]
        read(location, found)
    with opened(make_feed(server, seen=take(found))) as location:
        assert location.list_files() == [found]
    assert server.served == ["/roster.csv"] and server.requests[-1][2]["if-none-match"] == found.tag
    (server.folder / "roster.csv").write_bytes(ROWS * 2)
    with opened(make_feed(server, seen=take(found))) as location:
        newer = location.list_files()[0]
        assert newer != found and read(location, newer) == ROWS * 2


def test_the_same_content_written_again_has_arrived_again(server: HttpsServer) -> None:
    with opened(make_feed(server)) as location:
        found = location.list_files()[0]
    os.utime(server.folder / "roster.csv", (1_700_086_400, 1_700_086_400))
    with opened(make_feed(server, seen=take(found))) as location:
        again = location.list_files()[0]
        assert (again.tag, again.modified) == (found.tag, 1_700_086_400.0)
        assert server.served == ["/roster.csv"], "the server has said it without the file"
        assert read(location, again) == ROWS
    with opened(make_feed(server, seen=take(again))) as location:
        assert location.list_files() == [again]
    os.utime(server.folder / "roster.csv", (1_700_000_000, 1_700_000_000))
    with opened(make_feed(server, seen=take(again))) as location:
        assert location.list_files() == [again], "another machine of the same site has an older copy"


def test_what_was_seen_at_another_address_does_not_count(server: HttpsServer) -> None:
    known = FoundFile(1_800_000_000.0, "roster.csv", 1, "tag")
    seen = {**take(known), "location": server.location("other.csv")}
    with opened(make_feed(server, seen=seen)) as location:
        assert location.list_files()[0].size == len(ROWS)
    assert not {"if-none-match", "if-modified-since"} & set(server.requests[-1][2])
    with opened(make_feed(server, seen={**seen, "location": server.location()})) as location:
        location.list_files()
    assert server.requests[-1][2]["if-none-match"] == "tag"


def test_the_time_of_a_file_is_enough(server: HttpsServer) -> None:
    known = FoundFile(1_700_000_000.0, "roster.csv", len(ROWS))
    with opened(make_feed(server, seen=take(known))) as location:
        assert location.list_files() == [known]
    assert server.requests[-1][2]["if-modified-since"] == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_a_file_is_read_at_a_later_check_too(server: HttpsServer) -> None:
    with opened(make_feed(server)) as location:
        found = location.list_files()[0]
    seen = {"files": {found.name: [f"{found.size} {found.modified!r} {found.tag}", "2026-01-01T00:00:00+00:00"]}}
    with opened(make_feed(server, seen=seen)) as location:
        assert location.list_files() == [found]
        assert read(location, found) == ROWS
    with opened(make_feed(server, seen=seen)) as location:
        (server.folder / "roster.csv").write_bytes(ROWS + b"3,4\r\n")
        with pytest.raises(FileChanged):
            location.read_file(found, lambda _: None)


def test_a_server_that_does_not_say_what_is_new_is_compared_by_content(server: HttpsServer) -> None:
    server.validators = False
    with opened(make_feed(server)) as location:
        found = location.list_files()[0]
        assert found.tag.startswith("sha256:") and found.is_complete
        assert read(location, found) == ROWS and read(location, found) == ROWS
    with opened(make_feed(server, seen=take(found))) as location:
        assert location.list_files() == [found]
    assert "if-none-match" not in server.requests[-1][2] and len(server.requests) == 2
    (server.folder / "roster.csv").write_bytes(ROWS.replace(b"1", b"3"))
    with opened(make_feed(server, seen=take(found))) as location:
        assert location.list_files() != [found]


def test_what_a_server_must_be_compared_by_content_has_a_limit(server: HttpsServer, settings: Settings) -> None:
    server.validators = False
    settings.MUSTER_MAX_FILE_MB = 1
    (server.folder / "roster.csv").write_bytes(b"x" * 1_000_001)
    with opened(make_feed(server)) as location, pytest.raises(Unreachable, match="must send an ETag"):
        location.list_files()


def answer(head: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{head}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("path", "head", "name"),
    [
        ("export", "Content-Type: text/csv; charset=utf-8", "export.csv"),
        ("export", 'Content-Disposition: attachment; filename="roster 1.xlsx"', "roster 1.xlsx"),
        ("export", "Content-Disposition: attachment; filename*=UTF-8''r%C3%B6ster.csv", "röster.csv"),
        ("export", 'Content-Disposition: attachment; filename="../../etc/passwd"', "passwd"),
        ("export", 'Content-Disposition: attachment; filename="..\\\\..\\\\boot.ini"', "boot.ini"),
        ("export", 'Content-Disposition: attachment; filename=".hidden"', "export"),
        ("export", "Content-Disposition: attachment; filename*=UTF-8''a%0Ab.csv", "export"),
        ("export", "Content-Disposition: attachment; filename*=nonsense'", "nonsense'"),
        ("a/b%20c.csv?token=secret", "X: y", "b c.csv"),
        ("a%2Fb.csv", "X: y", "b.csv"),
        ("", "X: y", "file"),
        ("", "Content-Type: application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "file.xlsx"),
    ],
)
def test_a_file_has_a_name_that_can_be_shown(server: HttpsServer, path: str, head: str, name: str) -> None:
    server.answers[f"/{path}"] = answer(f'ETag: "1"\r\nContent-Length: 2\r\n{head}', b"ab")
    with opened(make_feed(server, path)) as location:
        found = location.list_files()[0]
        assert (found.name, found.size) == (name, 2)
        assert read(location, found) == b"ab"


def test_odd_headers_of_a_file_are_left(server: HttpsServer) -> None:
    head = f'ETag: "{"x" * 300}"\r\nLast-Modified: yesterday\r\nTransfer-Encoding: chunked'
    server.answers["/roster.csv"] = answer(head, b"2\r\nab\r\n0\r\n\r\n")
    with opened(make_feed(server)) as location:
        found = location.list_files()[0]
        assert found.tag.startswith("sha256:") and found.modified == 0 and read(location, found) == b"ab"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (answer("Connection: close", ROWS), "how long the file is"),
        (answer("Content-Length: 5\r\nContent-Encoding: gzip", b"12345"), "compresses the file"),
        (answer("Content-Length: 0", status="404 Not Found"), "has no file"),
        (answer("Content-Length: 0", status="401 No"), "does not accept the secret"),
        (answer("Content-Length: 0", status="500 <b>Oops</b>"), "answered with the status 500"),
        (answer("Content-Length: 0", status="206 Partial"), "answered with the status 206"),
        (answer("Content-Length: 0", status="304 Not Modified"), "answered with the status 304"),
        (b"nonsense\r\n\r\n", "did not answer"),
    ],
)
def test_an_answer_that_is_no_file_is_explained(server: HttpsServer, sent: bytes, error: str) -> None:
    server.answers["/roster.csv"] = sent
    with opened(make_feed(server)) as location, pytest.raises(Unreachable, match=error) as raised:
        location.list_files()
    assert "<b>" not in str(raised.value)


def test_a_server_can_say_that_there_is_no_file(server: HttpsServer) -> None:
    server.answers["/roster.csv"] = answer("X: y", status="204 No Content")
    with opened(make_feed(server)) as location:
        assert location.list_files() == []


def test_a_file_that_is_cut_off_is_not_taken(server: HttpsServer) -> None:
    server.answers["/roster.csv"] = answer('ETag: "1"\r\nContent-Length: 100', ROWS)
    with opened(make_feed(server)) as location:
        found = location.list_files()[0]
        with pytest.raises(Unreachable, match="did not answer"):
            location.read_file(found, lambda _: None)
    server.answers["/roster.csv"] = answer("Content-Length: 100", ROWS)
    with opened(make_feed(server)) as location, pytest.raises(Unreachable, match="did not answer"):
        location.list_files()


def test_the_error_of_the_reader_passes(server: HttpsServer) -> None:
    def refuse(_: bytes) -> None:
        raise OSError("the disk is full")

    with opened(make_feed(server)) as location, pytest.raises(OSError, match="the disk is full"):
        location.read_file(location.list_files()[0], refuse)


def redirect(to: str) -> bytes:
    return answer(f"Location: {to}\r\nContent-Length: 0", status="302 Found")


def test_a_redirect_on_the_same_server_is_followed(server: HttpsServer) -> None:
    server.answers["/old"] = redirect("/newer")
    server.answers["/newer"] = redirect(f"https://localhost:{server.port}/roster.csv")
    with opened(make_feed(server, "old")) as location:
        assert read(location, location.list_files()[0]) == ROWS
    server.answers["/circle"] = redirect("/circle")
    with opened(make_feed(server, "circle")) as location, pytest.raises(Unreachable, match="redirects too often"):
        location.list_files()


def test_a_redirect_to_another_server_is_not_followed_and_gets_no_secret(server: HttpsServer, tmp_path: Path) -> None:
    other = HttpsServer(tmp_path)
    other.start()
    try:
        for to in (
            f"https://localhost:{other.port}/", f"https://127.0.0.1:{server.port}/", f"http://localhost:{server.port}/",
            "https://evil.example/", "//evil.example/", "file:///etc/passwd", "https://localhost@evil.example/", "gopher:x",
        ):  # fmt: skip
            server.answers["/old"] = redirect(to)
            number = len(server.requests)
            with (
                opened(make_feed(server, "old")) as location,
                pytest.raises(NotAllowed, match="is not followed") as raised,
            ):
                location.list_files()
            assert "swordfish" not in str(raised.value) and len(server.requests) == number + 1
    finally:
        other.stop()
    assert other.requests == []


def test_addresses_of_the_own_network_are_refused(server: HttpsServer, settings: Settings) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    with opened(make_feed(server)) as location, pytest.raises(NotAllowed, match="has no public address"):
        location.list_files()
    settings.MUSTER_OUTSIDE_HOSTS = ("hr.example.org",)
    with opened(make_feed(server)) as location, pytest.raises(NotAllowed, match="not in MUSTER_OUTSIDE_HOSTS"):
        location.list_files()
    assert server.requests == []


@pytest.mark.parametrize(
    "url", ["http://hr.example.org/", "ftp://hr.example.org/", "https://user:x@hr.example.org/", ""]
)
def test_only_https_is_used(server: HttpsServer, settings: Settings, url: str) -> None:
    settings.MUSTER_OUTSIDE_NETWORKS = ()
    with pytest.raises(NotAllowed, match="begins with https"):
        open_location(make_feed(server, location={"kind": "https", "url": url, "header": ""}, secrets={}))


def test_a_certificate_that_nobody_vouches_for_is_refused(server: HttpsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    outbound_requests._make_context.cache_clear()
    with opened(make_feed(server)) as location, pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        location.list_files()
    assert server.requests == []


def test_a_stopped_server_is_unreachable_until_it_runs_again_with_another_key(server: HttpsServer) -> None:
    feed = make_feed(server)
    server.stop()
    with opened(feed) as location:
        with pytest.raises(Unreachable, match="did not answer"):
            location.list_files()
        server.change_key()
        server.start()
        assert read(location, location.list_files()[0]) == ROWS


def test_a_secret_is_never_in_a_message_or_in_the_log(server: HttpsServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    wrong = {"header": encryption.seal("shibboleth")}
    with (
        opened(make_feed(server, "roster.csv?token=mellon", secrets=wrong)) as location,
        pytest.raises(Unreachable) as raised,
    ):
        location.list_files()
    said = f"{raised.value!r} {raised.value.__cause__!r} " + " ".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx2", "httpcore2"))
    )
    assert "shibboleth" not in said and "mellon" not in said


def test_a_secret_that_is_missing_or_no_header_is_said(server: HttpsServer) -> None:
    with pytest.raises(NotAllowed, match="is missing"):
        open_location(make_feed(server, secrets={}))
    for value in ("two\r\nX-Other: lines", "schlüssel"):
        with pytest.raises(NotAllowed, match="cannot have") as raised:
            open_location(make_feed(server, secrets={"header": encryption.seal(value)}))
        assert value not in str(raised.value)


def test_there_are_no_markers(server: HttpsServer) -> None:
    with opened(make_feed(server)) as location:
        with pytest.raises(FileChanged):
            location.read_marker("roster.csv.done")
        location.file_away("roster.csv", "done", {})


def test_what_a_feed_has_seen_may_be_nonsense(server: HttpsServer) -> None:
    seen = {"taken": {"a": "nonsense", "b": "", "c": "1 2"}, "files": {}}
    with opened(make_feed(server, seen=seen)) as location:
        assert location.list_files()[0].name == "roster.csv"


def test_a_server_that_takes_its_time_is_left(server: HttpsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "ANSWER_SECONDS", 0.5)
    server.answers["/roster.csv"] = answer('ETag: "1"\r\nContent-Length: 100', ROWS)
    monkeypatch.setattr("tests.feeds.servers._Handler.finish", lambda _: time.sleep(3))
    began = time.monotonic()
    with opened(make_feed(server)) as location:
        found = location.list_files()[0]
        with pytest.raises(Unreachable, match="did not answer"):
            location.read_file(found, lambda _: None)
    assert time.monotonic() - began < 2.5


def test_time_limits_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limit = outbound_connections.TimeLimit.start(10)
    now[0] = 9
    assert limit.get_remaining() == 1
    limit.extend(100, 5)
    assert limit.get_remaining() == 5
    now[0] = 109
    with pytest.raises(TimeoutError, match="within 100 seconds"):
        limit.get_remaining()
