"""A server or a worker that is asked to stop: what it is doing is finished or goes back, nothing is lost, and nothing is left."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import forks
from tests.attacks.serving import Server, free_port, log, serve, wait_until
from tests.attacks.test_connections import form, importer
from tests.databases import Home, copy_home, start
from tests.directory import cast
from tests.directory.processes import Site

ROOT = Path(__file__).parents[2]
_ROWS = 10_000
BROKEN = {"DJANGO_SETTINGS_MODULE": "tests.attacks.broken", "PYTHONPATH": str(ROOT)}


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(number) for number in listed.stdout.split()]


def read_all(client: socket.socket) -> bytes:
    taken = bytearray()
    while part := client.recv(65_536):
        taken += part
    return bytes(taken)


@contextmanager
def uploading(server: Server, cookies: str) -> Iterator[list[bytes]]:
    """An upload that has begun, and goes on when the block ends; the list gets its answer."""
    head, body = form(server, cookies, 3_000_000)
    answers: list[bytes] = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(head + body[: len(body) // 2])
        wait_until(lambda: list((server.home.folder / "waiting").rglob("arriving-*")))
        yield answers
        client.sendall(body[len(body) // 2 :])
        answers.append(read_all(client))


def test_an_upload_in_flight_is_finished_and_kept_and_new_requests_are_refused(fresh_home: Home) -> None:
    cookies = importer(fresh_home)
    with serve(fresh_home, "--no-worker", "--workers", "2", MUSTER_CLIENT_SECONDS="20") as server:
        with uploading(server, cookies) as answers:
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: server.status("/healthz") == 0, 10)
            assert answers == []
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 302"]
        assert server.process.wait(30) == 0
    assert Site(fresh_home).states()[-1] == "waiting"
    assert not list((fresh_home.folder / "serving").iterdir())
    assert "Traceback" not in log(fresh_home)


def test_readiness_ends_first_and_requests_are_answered_meanwhile(fresh_home: Home) -> None:
    with serve(fresh_home, "--workers", "2", MUSTER_DRAIN_SECONDS="3") as server:
        wait_until(lambda: server.status("/readyz") == 200)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.status("/readyz") == 503, 3)
        assert server.ask("GET", "/readyz").text == "The server is stopping.\n"
        while time.monotonic() - began < 2:
            assert [server.status("/"), server.status("/healthz")] == [200, 200]
            time.sleep(0.05)
        assert server.process.wait(30) == 0
        assert 3 <= time.monotonic() - began < 15
    assert "ERROR" not in log(fresh_home) and "Refused" not in log(fresh_home)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_time_and_still_finishes_what_is_in_flight(
    fresh_home: Home, second: signal.Signals
) -> None:
    cookies = importer(fresh_home)
    with serve(
        fresh_home, "--no-worker", "--workers", "1", MUSTER_DRAIN_SECONDS="60", MUSTER_CLIENT_SECONDS="20"
    ) as server:
        with uploading(server, cookies) as answers:
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: server.status("/readyz") == 503, 3)
            server.process.send_signal(second)
            wait_until(lambda: server.status("/healthz") == 0, 5)
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 302"]
        assert server.process.wait(20) == 0
    assert Site(fresh_home).states()[-1] == "waiting"


def test_a_request_that_never_ends_is_cut_off_after_the_time(fresh_home: Home) -> None:
    with (
        serve(
            fresh_home, "--no-worker", "--workers", "1", MUSTER_STOP_SECONDS="1", MUSTER_CLIENT_SECONDS="60"
        ) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=60) as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
        time.sleep(0.5)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        assert time.monotonic() - began < 12


def test_a_server_that_is_killed_leaves_nothing_that_the_next_one_minds(fresh_home: Home, tmp_path: Path) -> None:
    cookies = importer(fresh_home)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with serve(fresh_home, "--workers", "2", MUSTER_DRAIN_SECONDS="60", TMPDIR=str(temporary)) as server:
        wait_until(lambda: server.status("/readyz") == 200)
        family = children(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.status("/readyz") == 503, 3)
        server.process.kill()
        server.process.wait(10)
        wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in family))
    assert list(temporary.iterdir()) == []
    left = list((fresh_home.folder / "serving").iterdir())
    assert len(left) == 1
    with serve(fresh_home, "--workers", "1") as server:
        wait_until(lambda: server.status("/readyz") == 200)
        assert not left[0].exists()
        assert server.ask("GET", "/springfield/users/import", Cookie=cookies).status == 200


@pytest.fixture(scope="module")
def _submitted(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An installation with an import that waits, of so many rows that it runs for a while. Nobody in it gets an email."""
    with copy_home(_migrated, tmp_path_factory.mktemp("submitted") / "home") as home:
        site = Site(home)
        site.do("agency", "springfield")
        site.do("submit", "springfield", site.file("a.csv", cast.file(cast.people(*range(_ROWS), STATUS="Inactive"))))
        yield home


@pytest.fixture
def submitted(_submitted: Home, tmp_path: Path) -> Iterator[Home]:
    """A copy of that installation."""
    with copy_home(_submitted, tmp_path / "home") as home:
        yield home


@pytest.mark.parametrize("through", ["serve", "worker"])
def test_an_import_in_flight_goes_back_and_the_next_worker_applies_it_once(submitted: Home, through: str) -> None:
    site = Site(submitted)
    command = ["serve", "--port", str(free_port()), "--workers", "1"] if through == "serve" else ["worker"]
    process = _start(submitted, *command)
    try:
        wait_until(lambda: site.states() == ["running"], 60)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # to ask twice loses nothing either
        assert process.wait(40) == 0
    finally:
        process.kill()
    [(state, attempts)] = site.select("SELECT state, attempts FROM directory_import")
    assert (state, attempts) in (("waiting", 0), ("applied", 1))
    assert submitted.muster("worker", "--once", timeout=120).returncode == 0
    assert site.states() == ["applied"]
    assert site.select("SELECT COUNT(*) FROM directory_user") == [(_ROWS,)]
    assert site.do("look", "springfield") == "whole"


def _start(home: Home, *command: str) -> "subprocess.Popen[str]":
    null = subprocess.DEVNULL
    return start([forks.MUSTER, *command], home.environment | {"COVERAGE_PROCESS_START": ""}, stdout=null, stderr=null)


def test_a_worker_that_is_killed_after_it_was_asked_loses_nothing(submitted: Home) -> None:
    site = Site(submitted)
    process = _start(submitted, "worker")
    wait_until(lambda: site.states() == ["running"], 60)
    process.send_signal(signal.SIGTERM)
    process.kill()
    process.wait(10)
    assert submitted.muster("worker", "--once", timeout=400).returncode == 0
    assert site.states() == ["applied"]
    assert site.select("SELECT COUNT(*) FROM directory_user") == [(_ROWS,)]


def test_a_live_process_answers_without_its_database_and_while_all_turns_are_taken(fresh_home: Home) -> None:
    with serve(fresh_home, "--no-worker", "--workers", "1", **BROKEN) as server:
        for host in ("localhost", "evil.example", "", "10.0.0.7:8000", "a b"):
            answer = server.ask("GET", "/healthz", Host=host)
            assert (answer.status, answer.text) == (200, "ok")
            assert "Set-Cookie" not in answer.headers and "evil" not in str(answer.headers)
        assert server.ask("HEAD", "/healthz").text == ""
        refused = server.ask("POST", "/healthz", b"x")
        assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")
        assert server.status("/healthz/") != 200
        for path in sorted(fresh_home.folder.glob("muster.sqlite3*")):
            path.rename(path.with_name(f"away-{path.name}"))
        assert server.status("/healthz") == 200


def test_metrics_have_their_own_address_and_only_they(fresh_home: Home) -> None:
    port = free_port()
    with serve(fresh_home, "--workers", "2", MUSTER_METRICS_LISTEN=f"127.0.0.1:{port}") as server:
        wait_until(lambda: server.status("/readyz") == 200)
        for _ in range(12):
            assert server.status("/") == 200
        text = ask(port, "/metrics")[1]
        line = next(line for line in text.splitlines() if "_count" in line and 'route="/"' in line)
        assert float(line.rpartition(" ")[2]) >= 12, "the counters of both processes are added up"
        assert "musterbook_workers 1.0" in text
        assert ask(port, "/")[0] == ask(port, "/readyz")[0] == ask(port, "/metrics/x")[0] == 404
        assert ask(port, "/metrics", "POST")[0] == 501
        assert ask(port, "/metrics", Host="evil.example")[0] == 200
        assert server.status("/metrics") == 404, "without a token, the pages show none"
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
            assert b"nonsense" not in read_all(raw)


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


_IMPATIENT = """
from musterbook.cli.main import main
from musterbook.server import metrics_port
assert metrics_port._Handler.timeout == 10, "an idle client has this many seconds"
metrics_port._Handler.timeout = 2
main()
"""


def test_with_a_token_both_addresses_need_it_and_slow_clients_take_no_room_for_long(fresh_home: Home) -> None:
    port, token = free_port(), "t" * 32
    variables = {"MUSTER_METRICS_LISTEN": f"127.0.0.1:{port}", "MUSTER_METRICS_TOKEN": token}
    impatient = (sys.executable, "-c", _IMPATIENT)
    with serve(fresh_home, "--no-worker", "--workers", "1", program=impatient, **variables) as server:
        for where in (port, server.port):
            assert ask(where, "/metrics")[0] == 401
            assert ask(where, "/metrics", Authorization=f"Bearer {token}x")[0] == 401
            assert ask(where, "/metrics", Authorization=f"Bearer {token}")[0] == 200
        slow = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(12)]
        try:
            wait_until(lambda: _status(port, token) == 200, 30)
        finally:
            for client in slow:
                client.close()


def _status(port: int, token: str) -> int:
    try:
        return ask(port, "/metrics", Authorization=f"Bearer {token}")[0]
    except (OSError, http.client.HTTPException):
        return 0


def test_metrics_are_read_during_an_import_without_waiting_for_it(submitted: Home) -> None:
    site, port = Site(submitted), free_port()
    with serve(submitted, "--workers", "1", MUSTER_METRICS_LISTEN=f"127.0.0.1:{port}") as server:
        wait_until(lambda: site.states() == ["running"], 60)
        seen, longest = set[str](), 0.0
        while site.states() == ["running"]:
            began = time.monotonic()
            status, text = ask(port, "/metrics")
            longest = max(longest, time.monotonic() - began)
            assert status == 200
            seen |= {line for line in text.splitlines() if line.startswith("musterbook_imports_open")}
            time.sleep(0.02)
        assert 'musterbook_imports_open{state="running"} 1.0' in seen
        assert longest < 5
        assert server.status("/readyz") == 200


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MUSTER_METRICS_LISTEN", "9464", "Write an IP address and a port"),
        ("MUSTER_METRICS_LISTEN", "localhost:9464", "Write an IP address and a port"),
        ("MUSTER_METRICS_TOKEN", "short-secret", "must have at least 24 characters"),
        ("MUSTER_LOG_FORMAT", "xml", "Write one of these: text, json"),
        ("MUSTER_READY_WORKER", "maybe", "Write one of these: auto, yes, no"),
        ("MUSTER_DRAIN_SECONDS", "-1", "not a whole number"),
    ],
)
def test_a_wrong_setting_ends_the_start_in_a_sentence(fresh_home: Home, name: str, value: str, said: str) -> None:
    done = fresh_home.run(forks.MUSTER, "serve", "--port", str(free_port()), timeout=60, **{name: value})
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr
    assert "short-secret" not in done.stderr


def test_an_address_for_metrics_that_another_has_is_refused(fresh_home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = fresh_home.run(forks.MUSTER, "serve", "--port", str(free_port()), MUSTER_METRICS_LISTEN=listen)
    assert done.returncode == 5
    assert f"cannot listen at MUSTER_METRICS_LISTEN ({listen})" in done.stderr


def test_logs_are_one_json_object_a_line(fresh_home: Home) -> None:
    with serve(fresh_home, "--no-worker", "--workers", "1", MUSTER_LOG_FORMAT="json", **BROKEN) as server:
        number = server.ask("GET", "/broken").headers["X-Request-ID"]
    lines = [line for line in server.errors.read_text().splitlines() if line.startswith("{")]
    entries = [json.loads(line) for line in lines]
    mine = [entry for entry in entries if entry.get("request") == number]
    assert [entry["message"] for entry in mine] == ["Internal Server Error: /broken"]
    assert mine[0]["level"] == "error" and "ZeroDivisionError: on purpose" in mine[0]["trace"]
    assert not log(fresh_home).startswith("{"), "the file stays as doctor reads it"
    assert os.environ.get("MUSTER_LOG_FORMAT") is None
