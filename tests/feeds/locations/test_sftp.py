"""Files on a real SFTP server: listed, read, and moved away."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from musterbook.config import encryption
from musterbook.directory import models
from musterbook.directory.agency import feed_secrets
from musterbook.feeds.locations import host_keys
from musterbook.feeds.locations.location import (
    FileChanged,
    HostKeyChanged,
    Location,
    LocationError,
    NotAllowed,
    Unreachable,
)
from musterbook.feeds.locations.opening import open_location
from tests.feeds.servers import SftpServer

Write = Callable[[bytes], None]


def make_feed(server: SftpServer, **changes: Any) -> models.Feed:
    """A feed of the server's folder, which is not saved."""
    fields = {"location": server.location("*.csv"), "secrets": server.secrets(), "host_key": server.pinned, **changes}
    return models.Feed(agency=models.Agency(slug="springfield"), name="hr", **fields)


@contextmanager
def opened(feed: models.Feed) -> Iterator[Location]:
    location = open_location(feed)
    try:
        yield location
    finally:
        location.close()


def read(location: Location, name: str) -> bytes:
    """The content of a file that is listed."""
    parts: list[bytes] = []
    location.read_file(next(one for one in location.list_files() if one.name == name), parts.append)
    return b"".join(parts)


@pytest.fixture(params=[False, True], ids=["openssh", "asyncssh"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SftpServer]:
    folder = tmp_path / "out"
    folder.mkdir()
    with SftpServer(folder, own=request.param) as running:
        yield running


def test_files_are_listed_and_read(server: SftpServer) -> None:
    (server.folder / "roster.csv").write_bytes(b"a,b\r\n1,2\r\n")
    (server.folder / "roster.csv.done").write_bytes(b"")
    (server.folder / "old").mkdir()
    (server.folder / "link.csv").symlink_to("/etc/passwd")
    with opened(make_feed(server)) as location:
        found = {one.name: one for one in location.list_files()}
        assert set(found) == {"roster.csv", "roster.csv.done"}
        assert found["roster.csv"].size == 10
        assert read(location, "roster.csv") == b"a,b\r\n1,2\r\n"
        assert location.read_marker("roster.csv.done") == b""
        with pytest.raises(FileChanged):
            location.read_marker("none.done")


def test_a_large_file_is_read_in_parts(server: SftpServer) -> None:
    content = bytes(range(256)) * 50_000
    (server.folder / "large.csv").write_bytes(content)
    with opened(make_feed(server)) as location:
        parts: list[bytes] = []
        location.read_file(location.list_files()[0], parts.append)
        assert len(parts) > 2
        assert hashlib.sha256(b"".join(parts)).digest() == hashlib.sha256(content).digest()


def test_a_file_that_changes_between_the_listing_and_the_end_of_reading_is_left(server: SftpServer) -> None:
    path = server.folder / "roster.csv"
    path.write_bytes(b"a" * 100)
    with opened(make_feed(server)) as location:
        found = location.list_files()[0]
        path.write_bytes(b"a" * 101)
        with pytest.raises(FileChanged):
            location.read_file(found, lambda _: None)
        found = location.list_files()[0]

        def grow(_: bytes) -> None:
            with path.open("ab") as file:
                file.write(b"more")

        with pytest.raises(FileChanged):
            location.read_file(found, grow)
        found = location.list_files()[0]
        path.unlink()
        with pytest.raises(FileChanged):
            location.read_file(found, lambda _: None)


def test_the_error_of_the_reader_ends_the_reading_and_passes(server: SftpServer) -> None:
    (server.folder / "roster.csv").write_bytes(b"a")

    def refuse(_: bytes) -> None:
        raise RuntimeError("too large")

    with opened(make_feed(server)) as location, pytest.raises(RuntimeError, match="too large"):
        location.read_file(location.list_files()[0], refuse)


def test_a_taken_file_is_moved_next_to_its_results_and_nothing_is_overwritten(server: SftpServer) -> None:
    results = BytesIO(b"result")
    for night in ("first", "second", "third"):
        (server.folder / "roster.csv").write_text(night)
        with opened(make_feed(server)) as location:
            location.file_away("roster.csv", "done", {"roster.results.csv": results})
            location.file_away(
                "roster.csv", "done", {"roster.results.csv": results}
            )  # a worker was killed, and did it again
            assert location.moves and location.list_files() == []
        results = BytesIO(b"result of another night " + night.encode())
    done = server.folder / "done"
    contents = {path.read_text() for path in done.iterdir()}
    assert len(list(done.iterdir())) == 6
    assert contents >= {"first", "second", "third", "result", "result of another night first"}
    assert (done / "roster.csv").read_text() == "first" and (done / "roster.results.csv").read_text() == "result"


def test_what_was_written_before_a_worker_was_killed_stays(server: SftpServer) -> None:
    results = BytesIO(b"result")
    (server.folder / "roster.csv").write_text("rows")
    done = server.folder / "failed"
    done.mkdir()
    (done / "roster.results.csv").write_bytes(b"result")
    (done / ".roster.problem.txt.part").write_bytes(b"half of it, and longer")
    with opened(make_feed(server)) as location:
        location.file_away("roster.csv", "failed", {"roster.results.csv": results, "roster.problem.txt": results})
    assert {path.name: path.read_text() for path in done.iterdir()} == {
        "roster.csv": "rows",
        "roster.results.csv": "result",
        "roster.problem.txt": "result",
    }


def test_a_newer_file_of_the_same_name_stays(server: SftpServer) -> None:
    (server.folder / "roster.csv").write_text("first")
    with opened(make_feed(server)) as location:
        modified = location.list_files()[0].modified
        location.file_away("roster.csv", "done", {}, modified=modified - 60)
        assert [one.name for one in location.list_files()] == ["roster.csv"]
        location.file_away("roster.csv", "done", {}, modified=modified)
        assert location.list_files() == []


@pytest.mark.parametrize("own", [False, True])
def test_a_server_where_nothing_can_be_written_keeps_its_files(tmp_path: Path, own: bool) -> None:
    (tmp_path / "roster.csv").write_text("rows")
    with SftpServer(tmp_path, read_only=True, own=own) as server, opened(make_feed(server)) as location:
        location.file_away("roster.csv", "done", {})
        assert not location.moves
        assert [one.name for one in location.list_files()] == ["roster.csv"]
        location.file_away("roster.csv", "done", {})


def test_a_server_that_knows_only_the_plain_rename_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text("rows")
    with SftpServer(tmp_path, own=True) as server, opened(make_feed(server)) as location:
        server.is_old = True
        location.file_away("roster.csv", "done", {})
    assert (tmp_path / "done" / "roster.csv").read_text() == "rows"


def test_results_of_the_same_size_are_told_apart(server: SftpServer) -> None:
    done = server.folder / "done"
    for night in ("1", "2"):
        (server.folder / "roster.csv").write_text(night)
        (done / "roster.csv").unlink() if done.exists() else None
        with opened(make_feed(server)) as location:
            location.file_away("roster.csv", "done", {"roster.results.csv": BytesIO(night.encode())})
    contents = {path.name: path.read_text() for path in done.iterdir()}
    assert contents.pop("roster.results.csv") == "1" and sorted(contents.values()) == ["2", "2"]


def test_the_host_key_is_shown_and_pinned(server: SftpServer) -> None:
    shown = host_keys.read_host_key(make_feed(server, host_key="", secrets={}))
    assert shown == server.pinned
    assert feed_secrets.get_fingerprint(shown) == server.host_key.get_fingerprint()
    with opened(make_feed(server, host_key=shown)) as location:
        assert location.list_files() == []


@pytest.mark.parametrize("pinned", ["", "nonsense", "host ssh-ed25519 AAAAnonsense", "host ssh-ed25519", "x\n" * 3])
def test_no_connection_is_made_without_an_accepted_host_key(
    server: SftpServer, pinned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: pytest.fail("a connection was made"))
    with opened(make_feed(server, host_key=pinned)) as location, pytest.raises(NotAllowed, match="accepted first"):
        location.list_files()


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_server_with_another_host_key_gets_no_secret(server: SftpServer, kind: str) -> None:
    feed = make_feed(server)
    before = server.host_key.get_fingerprint()
    server.change_key(kind)
    server.restart()
    with opened(feed) as location, pytest.raises(HostKeyChanged) as raised:
        location.list_files()
    assert before in str(raised.value) and server.host_key.get_fingerprint() in str(raised.value)
    with opened(make_feed(server, host_key=host_keys.read_host_key(feed))) as location:
        assert location.list_files() == []


def test_a_stopped_server_is_unreachable_until_it_runs_again(server: SftpServer) -> None:
    feed = make_feed(server)
    server.stop()
    with opened(feed) as location:
        with pytest.raises(Unreachable, match="cannot be reached"):
            location.list_files()
        server.start()
        assert location.list_files() == []


def test_a_server_that_ends_in_the_middle_is_unreachable(server: SftpServer) -> None:
    (server.folder / "large.csv").write_bytes(b"x" * 30_000_000)
    with opened(make_feed(server)) as location:
        found = location.list_files()[0]
        with pytest.raises((Unreachable, FileChanged)):
            location.read_file(found, lambda _: _end_all(server))


def _end_all(server: SftpServer) -> None:
    """Ends the server and the processes of its connections."""
    if server._process:
        subprocess.run(["pkill", "-P", str(server._process.pid)], check=False)
    server.stop()


def test_a_wrong_password_or_key_is_said_without_it(tmp_path: Path) -> None:
    with SftpServer(tmp_path, password="correct horse") as server:
        with opened(make_feed(server)) as location:
            assert location.list_files() == []
        wrong = {"password": encryption.seal("battery staple")}
        with opened(make_feed(server, secrets=wrong)) as location, pytest.raises(Unreachable) as raised:
            location.list_files()
        assert "battery" not in str(raised.value) and "does not accept" in str(raised.value)
        other = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()
        feed = make_feed(server, secrets={"key": encryption.seal(other)})
        with opened(feed) as location, pytest.raises(Unreachable, match="does not accept"):
            location.list_files()


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
def test_a_private_key_can_have_a_passphrase(server: SftpServer, form: str) -> None:
    key = server._key.export_private_key(form, "open sesame").decode()
    secrets = {"key": encryption.seal(key), "passphrase": encryption.seal("open sesame")}
    with opened(make_feed(server, secrets=secrets)) as location:
        assert location.list_files() == []
    for wrong in ("sesame", ""):
        secrets["passphrase"] = encryption.seal(wrong)
        with opened(make_feed(server, secrets=secrets)) as location, pytest.raises(NotAllowed, match="does not open"):
            location.list_files()


@pytest.mark.parametrize("key", ["-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "ssh-ed25519 AAAA", "x" * 10_000])
def test_a_private_key_that_is_none_is_said_without_it(server: SftpServer, key: str) -> None:
    with (
        opened(make_feed(server, secrets={"key": encryption.seal(key)})) as location,
        pytest.raises(NotAllowed) as raised,
    ):
        location.list_files()
    assert "cannot be read" in str(raised.value) and "AAAA" not in str(raised.value)


def test_a_feed_without_a_secret_is_refused(server: SftpServer) -> None:
    with opened(make_feed(server, secrets={})) as location, pytest.raises(NotAllowed, match="no password"):
        location.list_files()
    with pytest.raises(NotAllowed, match="Enter the secret again"):
        open_location(make_feed(server, secrets={"password": "aesgcm:none:AAAA"}))


def test_a_folder_that_does_not_exist_is_said(server: SftpServer) -> None:
    feed = make_feed(server, location=server.location(path="none"))
    with opened(feed) as location, pytest.raises(LocationError, match="has no folder none"):
        location.list_files()


def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    with SftpServer(tmp_path, own=True) as server, opened(make_feed(server)) as location:
        (tmp_path / "roster.csv").write_text("rows")
        (tmp_path / "done").write_text("not a folder")
        with pytest.raises(NotAllowed, match="is not a folder"):
            location.file_away("roster.csv", "done", {})


def test_names_that_are_no_text_are_left_out_and_said(server: SftpServer) -> None:
    for name in (b"caf\xe9.csv", b"a\nb.csv", b"back\\slash.csv", b"<b>.csv"):
        (Path(os.fsdecode(bytes(server.folder) + b"/" + name))).write_text("rows")
    with opened(make_feed(server)) as location:
        assert [one.name for one in location.list_files()] == ["<b>.csv"]
        assert sorted(location.left_out) == ["a\\nb.csv", "back\\slash.csv", "caf\\xe9.csv"]
        assert read(location, "<b>.csv") == b"rows"
        location.file_away("../x.csv", "done", {})
        with pytest.raises(FileChanged):
            location.read_marker("../x.csv")


def test_a_folder_with_too_many_files_is_refused(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musterbook.feeds.locations.sftp.MOST_FILES", 50)
    for number in range(51):
        (server.folder / f"{number}.csv").write_text("")
    with opened(make_feed(server)) as location, pytest.raises(NotAllowed, match="has more than"):
        location.list_files()


def test_nothing_of_the_account_is_used(server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("Host *\n  Port 1\n  User nobody\n  ProxyCommand false\n")
    (home / ".ssh" / "known_hosts").write_text(server.pinned + "\n")
    (home / ".ssh" / "id_ed25519").write_text(server.private_key)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent/agent")
    with opened(make_feed(server)) as location:
        assert location.list_files() == []
    other = asyncssh.generate_private_key("ssh-ed25519")
    secrets = {"key": encryption.seal(other.export_private_key("openssh").decode())}
    with opened(make_feed(server, secrets=secrets)) as location, pytest.raises(Unreachable, match="does not accept"):
        location.list_files()
    pinned = f"127.0.0.1 {other.export_public_key('openssh').decode().strip()}"
    with opened(make_feed(server, host_key=pinned)) as location, pytest.raises(HostKeyChanged):
        location.list_files()


def test_an_account_without_a_name_can_use_sftp(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise KeyError("uid not found")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", fail)
    with opened(make_feed(server)) as location:
        assert location.list_files() == []


def test_a_caller_whose_thread_runs_an_event_loop_can_use_it(server: SftpServer) -> None:
    (server.folder / "hr.csv").write_text("rows")
    feed = make_feed(server)

    async def list_names() -> list[str]:
        with opened(feed) as location:
            return [one.name for one in location.list_files()]

    with ThreadPoolExecutor(1) as thread:  # the thread of the tests may have a loop already
        assert thread.submit(asyncio.run, list_names()).result() == ["hr.csv"]
