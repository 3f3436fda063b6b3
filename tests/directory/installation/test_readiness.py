"""Whether a process can answer requests: its database, the migrations, a worker, and the run that it belongs to."""

import os
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from musterbook.config import serve_run
from musterbook.directory.imports import heartbeats
from musterbook.directory.imports.heartbeats import Heartbeat
from musterbook.directory.installation import migration, readiness
from musterbook.directory.storage import locks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSTER_HOME = tmp_path
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))


def ask() -> tuple[int, str]:
    readiness.forget()
    answer = Client().get("/readyz")
    return answer.status_code, answer.content.decode().strip()


def test_a_process_with_its_database_is_ready() -> None:
    assert ask() == (200, "ok")
    assert Client().head("/readyz").status_code == 200
    refused = Client(enforce_csrf_checks=True).post("/readyz")
    assert (refused.status_code, refused.headers["Allow"], refused.content) == (405, "GET, HEAD", b"Use GET.\n")
    assert Client(enforce_csrf_checks=True).post("/metrics").headers["Content-Type"] == "text/plain; charset=utf-8"


def test_without_its_database_it_is_not_and_says_nothing_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("password authentication failed for user muster at 10.0.0.9")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        assert ask() == (503, "The database cannot be used.")
    assert ask() == (200, "ok")
    # A probe asks every few seconds: that is no error that somebody must be woken for.
    assert [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


def test_with_a_standby_as_its_database_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "is_read_only", lambda: True)
    assert ask() == (503, "The database takes no changes.")


def test_without_its_migrations_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    required = migration.list_required()
    monkeypatch.setattr(migration, "list_required", lambda: [*required, "directory.9999_later"])
    assert ask() == (503, "The database lacks migrations. Run: muster migrate")


@pytest.mark.parametrize(
    ("setting", "is_started", "expected"),
    [("auto", False, 200), ("auto", True, 503), ("yes", False, 503), ("no", True, 200)],
)
def test_it_needs_a_worker_where_one_is_expected(
    settings: Settings, setting: str, is_started: bool, expected: int
) -> None:
    settings.MUSTER_READY_WORKER = setting
    with serve_run.begin(worker=is_started):
        assert ask()[0] == expected
        # A process that runs one import by itself takes no other.
        heartbeats.send_heartbeat(Heartbeat("01ABC", "01ABC"))
        assert ask()[0] == expected
        heartbeats.send_heartbeat(Heartbeat("worker"))
        assert ask() == (200, "ok")
    heartbeats.delete_heartbeat("worker")
    heartbeats.delete_heartbeat("01ABC")


def test_a_run_that_stops_is_not_ready_at_once() -> None:
    with serve_run.begin(worker=False):
        assert ask() == (200, "ok")
        serve_run.start_draining()
        assert Client().get("/readyz").content == b"The server is stopping.\n"
    assert ask() == (200, "ok")


def test_an_answer_is_kept_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def check() -> str:
        asked.append(1)
        return ""

    monkeypatch.setattr(readiness, "_check", check)
    for _ in range(50):
        assert Client().get("/readyz").status_code == 200
    assert len(asked) <= 3


def test_a_run_names_its_folder_and_deletes_those_of_runs_that_were_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "before")
    old = tmp_path / "serving" / "1-killed"
    old.mkdir(parents=True)
    (tmp_path / "serving" / "a-file").touch()
    with serve_run.begin(worker=True):
        assert not old.exists()
        first = {path.name for path in (tmp_path / "serving").iterdir() if path.is_dir()}
        with serve_run.begin(worker=True):
            both = {path.name for path in (tmp_path / "serving").iterdir() if path.is_dir()}
        assert len(first) == 1 and first < both
        assert serve_run.has_worker() and serve_run.has_counters() and len(serve_run.get_secret()) > 30
    assert not serve_run.has_worker() and serve_run.get_secret() == ""
    assert [path.name for path in (tmp_path / "serving").iterdir()] == ["a-file"]
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == "before"
    serve_run.start_draining()
    assert not serve_run.is_draining()
