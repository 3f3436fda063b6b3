"""The worker's two loops: what fails is tried again, what ends one ends the other, and it is known that it lives."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection, connections
from django.db.models.sql.compiler import SQLCompiler
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from musterbook import jobs
from musterbook.accounts import outbox
from musterbook.accounts.models import Account
from musterbook.config import process
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import heartbeats, queue
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.storage import frames
from tests.directory import cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSTER_HOME = tmp_path
    for pause in ("_PAUSE", "_PAUSE_AFTER_ERROR", "_LOOK_EVERY"):
        monkeypatch.setattr(jobs, pause, 0.01)


@contextmanager
def run_worker() -> Iterator[threading.Thread]:
    """A worker, in a thread."""
    stop = threading.Event()

    def work() -> None:
        try:
            jobs.work(stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(30)


def submit(made: models.Agency) -> models.Import:
    return queue.submit(
        made, Upload(cast.file(cast.people(1)), "users.csv"), Options(), context=AuditContext(jobs.now(), "", "page")
    )


def until(holds: Any) -> None:
    for _ in range(1000):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to hold")


def test_a_worker_is_seen_carries_imports_out_and_says_when_it_ends() -> None:
    made = cast.agency()
    with run_worker():
        until(heartbeats.list_heartbeats)
        record = queue.wait(submit(made), 30)
        assert record.state == "applied"
        until(lambda: models.Mail.objects.exclude(sent_at=None).count() == 1)
    assert heartbeats.list_heartbeats() == []


def test_a_database_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = cast.agency()
    usual, failures = run_next_import, iter([OperationalError("gone")])

    def failing(*about: Any) -> bool:
        for failure in failures:
            raise failure
        return usual(*about)

    monkeypatch.setattr(jobs, "run_next_import", failing)
    record = submit(made)
    with run_worker():
        until(heartbeats.list_heartbeats)
        assert queue.wait(record, 30).state == "applied"
    assert "It tries again" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_our_own_in_one_loop_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(outbox, "send_due", broken)
    with run_worker() as thread:
        thread.join(30)
        assert not thread.is_alive()


def test_a_system_that_takes_no_memory_back_is_none_the_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        """A C library of another make."""

        def __init__(self, name: None) -> None:
            pass

    monkeypatch.setattr("ctypes.CDLL", Without)
    process.release_memory()


def test_what_is_past_its_time_is_deleted_by_the_clock_alone(
    settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSTER_KEEP_FILES_DAYS, settings.MUSTER_KEEP_MAILS_DAYS = 90, 30
    made = cast.agency()
    record = submit(made)
    cast.keep_waiting(models.User(pk=1, agency_id=made.pk), b"x", jobs.now())
    jobs.run_once()
    jobs.run_once()
    account = Account.objects.create(user=models.User.objects.get(external_id="E-1"))
    client.session.save()
    UserSession.objects.create(user=account, ip="192.0.2.7", user_agent="Browser/1.0", session_key="a")
    kept = [settings.MUSTER_HOME / folder / record.number for folder in ("files", "plans")]

    def pass_days(days: float) -> None:
        later = datetime.now(UTC) + timedelta(days=days)
        monkeypatch.setattr(jobs, "now", lambda: later)
        jobs.run_once()

    [mail] = (settings.MUSTER_HOME / "mail").glob("*.eml")
    assert Session.objects.count() == UserSession.objects.count() == 1
    pass_days(0.6)
    assert Session.objects.count() == UserSession.objects.count() == 0
    assert not list((settings.MUSTER_HOME / "waiting").rglob("*/*/*"))
    pass_days(29)
    assert mail.exists()
    assert models.Mail.objects.get().to
    pass_days(31)
    assert not mail.exists()
    assert not models.Mail.objects.get().to
    assert all(path.exists() for path in kept)
    pass_days(91)
    assert not any(path.exists() for path in kept)


def test_what_cannot_be_deleted_keeps_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[datetime] = []

    def failing(_: datetime) -> None:
        raise PermissionError("not ours")

    monkeypatch.setattr(jobs, "_DUE_TASKS", (failing, done.append))
    jobs.tidy()
    assert len(done) == 1
    assert "The worker could not do" in caplog.text


def test_a_database_that_is_away_is_said_in_one_line_and_not_once_for_each_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[datetime] = []

    def lose(_: datetime) -> None:
        cause = psycopg.OperationalError("server login has been failing\n\tTry again later")
        raise OperationalError(str(cause)) from cause

    monkeypatch.setattr(jobs, "_DUE_TASKS", (lose, done.append))
    assert jobs._run_round(jobs._MailLoop("worker", threading.Event()).round) == jobs._PAUSE_AFTER_ERROR
    assert done == []
    [line] = caplog.records
    assert line.getMessage().endswith("It tries again: server login has been failing Try again later")
    assert line.exc_info is None


def test_after_the_database_was_away_a_worker_is_heard_of_before_it_claims_an_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without its heartbeat, another worker would end its session."""
    done: list[str] = []

    def lose(_: heartbeats.Heartbeat) -> None:
        done.append("lost")
        raise OperationalError("gone")

    monkeypatch.setattr(jobs, "run_next_import", lambda *_: done.append("looked for work"))
    loop = jobs._ImportLoop("worker", threading.Event())
    with monkeypatch.context() as patch:
        patch.setattr(heartbeats, "send_heartbeat", lose)
        assert jobs._run_round(loop.round) == jobs._PAUSE_AFTER_ERROR
    monkeypatch.setattr(heartbeats, "send_heartbeat", lambda _: done.append("heard of"))
    jobs._run_round(loop.round)
    assert done == ["lost", "heard of", "looked for work"]


def test_a_round_that_finds_nothing_makes_no_query_of_the_orm(monkeypatch: pytest.MonkeyPatch) -> None:
    """To make the SQL of one takes a hundred times as long as to look, and a worker makes 500 rounds a minute."""
    stop = threading.Event()
    feeds, imports = jobs._FeedLoop("worker", stop), jobs._ImportLoop("worker", stop)
    mails, webhooks = jobs._MailLoop("worker", stop), jobs._WebhookLoop("worker", stop)
    looks = {mails.round: 2, feeds.round: 1, feeds.settle: 1, webhooks.round: 1, imports.round: 1}
    for look in looks:
        look()  # the first round tidies too, or sends a heartbeat
    monkeypatch.delattr(SQLCompiler, "as_sql")
    for look, queries in looks.items():
        with CaptureQueriesContext(connection) as captured:
            assert look() > 0
        assert len(captured) == queries


def run_rounds(*between: Callable[[], object]) -> list[object]:
    """Make a round, and another one after each of these steps. The connection of each round."""

    class Stop(threading.Event):
        """What is waited for between the rounds."""

        def wait(self, _timeout: float | None = None) -> bool:
            step = next(steps, self.set)
            step()
            return self.is_set()

    def look() -> float:
        connection.ensure_connection()
        found.append(connection.connection)
        return 1.0

    steps, found = iter(between), list[object]()
    jobs._run_rounds(Stop(), look)
    return found


def test_a_thread_keeps_its_connection_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = list[None]()
    with monkeypatch.context() as patch:
        patch.setattr(connection, "close", lambda: closed.append(None))
        run_rounds(lambda: None, lambda: None)
        assert len(closed) == 1, "at its end"
        run_rounds(lambda: patch.setattr(jobs, "_CONNECTED_FOR", 0.0))
        assert len(closed) == 3


def test_a_connection_that_is_lost_between_two_rounds_delays_nothing(caplog: pytest.LogCaptureFixture) -> None:
    if not frames.on_postgres():
        pytest.skip("SQLite has no connection to lose")

    def end_others() -> None:
        other = connections.create_connection("default")
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        other.close()

    first, second, third = run_rounds(lambda: None, end_others)
    assert first is second
    assert third is not first
    assert not caplog.records


def test_heartbeats_go_on_after_one_that_could_not_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    errors, sent = [OSError("the disk is full"), OperationalError("gone")], []

    def send(heartbeat: heartbeats.Heartbeat) -> None:
        if errors:
            raise errors.pop()
        sent.append(heartbeat)

    monkeypatch.setattr(heartbeats, "INTERVAL", 0.01)
    monkeypatch.setattr(heartbeats, "_REPORT_EVERY", 0.01)
    monkeypatch.setattr(heartbeats, "send_heartbeat", send)
    with heartbeats.report_progress("worker", "1"):
        until(lambda: sent)


def test_heartbeats_go_on_after_the_connection_of_their_thread_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    if not frames.on_postgres():
        pytest.skip("heartbeats are files on SQLite")
    monkeypatch.setattr(heartbeats, "INTERVAL", 0.01)
    monkeypatch.setattr(heartbeats, "_REPORT_EVERY", 0.01)
    usual, backends = heartbeats.send_heartbeat, []

    def send(heartbeat: heartbeats.Heartbeat) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backends.append(cursor.fetchone()[0])
        usual(heartbeat)

    monkeypatch.setattr(heartbeats, "send_heartbeat", send)
    with heartbeats.report_progress("worker", "1"):
        until(lambda: backends)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [backends[0]])
        until(lambda: len(set(backends)) > 1)


def test_kept_plans_are_their_owners_alone(settings: Settings) -> None:
    record = submit(cast.agency())
    jobs.run_once()
    plan = settings.MUSTER_HOME / "plans" / record.number
    assert plan.parent.stat().st_mode & 0o777 == plan.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in plan.iterdir()} == {0o600}
