"""Locks: an edit by hand and an import do not cross, and only a busy database is waited for."""

import gc
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest
from django.db import Error, OperationalError, connection, connections, transaction
from django.db.backends.sqlite3.base import SQLiteCursorWrapper

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.imports import records
from musterbook.directory.imports.options import Options
from musterbook.directory.storage import frames, locks
from tests.directory.cast import NOW, agency, apply_rows, assert_whole, people, person, run, user


def elsewhere(work: Callable[[], Any]) -> threading.Thread:
    """Does the work on a connection of its own."""

    def done() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=done)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_an_edit_by_hand_while_an_import_is_planned_is_neither_lost_nor_overwritten_unseen() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    threads: list[threading.Thread] = []

    def edit() -> None:
        with locks.write_transaction(lambda: None):
            locks.lock_row(made)
            models.User.objects.filter(agency=made, external_id="E-2").update(last_name="By hand", active=False)
            trail.record_event(
                made,
                trail.AuditContext(NOW, "", "cli"),
                EventKind.USER_UPDATED,
                user(made, 2),
                {"STATUS": ("Active", "Inactive")},
            )

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "planning" and not threads:
            threads.append(elsewhere(edit))
            if not frames.on_postgres():
                threads[0].join()

    done = run(made, [person(1, LAST_NAME="New"), person(2)], progress=progress)
    threads[0].join()
    if frames.on_postgres():
        # The edit waited for the import, and came after it.
        assert (user(made, 2).last_name, user(made, 2).active) == ("By hand", False)
    else:
        # The edit came first, the import saw it and planned again.
        assert (user(made, 2).last_name, user(made, 2).active) == ("Last 2", True)
        assert models.Event.objects.filter(of=done.record, subject_external_id="E-2").exists()
    assert_whole(made)


@pytest.mark.django_db(transaction=True)
def test_what_refers_to_the_agency_is_written_while_its_import_is() -> None:
    if not frames.on_postgres():
        pytest.skip("SQLite has one writer")
    made = agency()
    waits: list[bool] = []

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "writing" and not done:
            other = elsewhere(lambda: models.Group.objects.create(agency=made, external_id="NEW", name="New"))
            other.join(10)
            waits.append(other.is_alive())

    assert run(made, people(1), progress=progress).record.state == "applied"
    assert waits == [False]


@pytest.mark.django_db(transaction=True)
def test_an_import_waits_for_a_busy_database_as_long_as_it_takes() -> None:
    if frames.on_postgres():
        pytest.skip("PostgreSQL has many writers")
    made = agency()
    busy, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            made.save()
            busy.set()
            enough.wait(20)

    holder = elsewhere(hold)
    busy.wait(20)
    waits = []

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        waits.append(stage)
        if waits.count("waiting for the database") == 2:
            enough.set()

    assert run(made, people(1), Options(mode=Mode.UPDATE), progress=progress).record.state == "applied"
    holder.join()
    assert waits[:3] == ["reading", "waiting for the database", "waiting for the database"]
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (20_000,)


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_the_writer_leaves_no_cursor_that_another_thread_would_close() -> None:
    if connection.vendor == "postgresql":
        pytest.skip("PostgreSQL has no single writer")
    left: list[int] = []
    held, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.write_transaction(lambda: None):
            held.set()
            ended.wait(60)

    def wait_for_writer() -> None:
        left.append(sum(type(one) is SQLiteCursorWrapper for one in gc.get_objects()))
        if len(left) == 5:
            ended.set()

    holder = elsewhere(hold)
    held.wait(60)
    gc.collect()
    gc.disable()
    try:
        with locks.write_transaction(wait_for_writer):
            pass
    finally:
        gc.enable()
    holder.join()
    assert left[0] == left[4]


@pytest.mark.django_db
def test_another_error_than_a_busy_database_is_not_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise OperationalError("the disk has gone")

    monkeypatch.setattr(transaction, "atomic", broken)
    with pytest.raises(OperationalError), locks.write_transaction(lambda: None):
        raise AssertionError("never got here")


@pytest.mark.django_db(transaction=True)
def test_a_turn_is_one_process_s_and_comes_back() -> None:
    made, other = agency(), agency("shelbyville")
    found: list[bool] = []

    def look(at: models.Agency) -> None:
        with locks.try_import_lock(at) as free:
            found.append(free)

    record = apply_rows(made, people(1)).record
    models.Import.objects.filter(pk=record.pk).update(state="running")
    with locks.hold_import_lock(made, lambda: None):
        elsewhere(lambda: look(made)).join()
        elsewhere(lambda: records.reap_orphans(made)).join()
        record.refresh_from_db()
        assert record.state == "running"
        elsewhere(lambda: look(other)).join()
    elsewhere(lambda: look(made)).join()
    assert found == [False, True, True]


@pytest.mark.django_db(transaction=True)
def test_a_process_that_waits_for_the_lock_reports_it_and_gets_the_lock() -> None:
    made = agency()
    taken, notified = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.hold_import_lock(made, lambda: None):
            taken.set()
            notified.wait(20)

    holder = elsewhere(hold)
    taken.wait(20)
    with locks.hold_import_lock(made, notified.set):
        assert notified.is_set()
    holder.join()


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_gives_its_turn_back_by_itself() -> None:
    if not frames.on_postgres():
        pytest.skip("a file's lock ends with its process")
    made = agency()
    with locks.hold_import_lock(made, lambda: None), closing(connection.cursor()) as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]

        def end() -> None:
            with connection.cursor() as other:
                other.execute("SELECT pg_terminate_backend(%s)", [backend])

        elsewhere(end).join()
    connection.close()
    with locks.try_import_lock(made) as free:
        assert free


@pytest.mark.django_db(transaction=True)
def test_an_import_whose_connection_is_lost_fails_in_plain_words() -> None:
    if not frames.on_postgres():
        pytest.skip("SQLite has no connection to lose")
    made = agency()

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "writing" and done:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                backend = cursor.fetchone()[0]

            def end() -> None:
                with connection.cursor() as other:
                    other.execute("SELECT pg_terminate_backend(%s)", [backend])

            elsewhere(end).join()

    with pytest.raises(Exception, match=r"^The connection to the database was lost\..* Nothing was changed\.$"):
        run(made, people(1), progress=progress)
    assert models.Import.objects.get().state == "failed"
    assert not models.User.objects.exists()
    assert apply_rows(made, people(1)).record.counts["added"] == 1


@pytest.mark.django_db(transaction=True)
def test_who_has_just_taken_a_lock_keeps_it_although_the_record_still_names_a_worker_that_is_gone() -> None:
    """Another worker looks before the new one has claimed the import, as after a fail-over."""
    if not frames.on_postgres():
        pytest.skip("on SQLite the holder is a process of this machine")
    made, taken, over, left = agency(), threading.Event(), threading.Event(), list[bool]()

    def hold() -> None:
        with locks.try_import_lock(made):
            taken.set()
            over.wait(30)
            with suppress(Error), connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                left.append(True)

    holder = elsewhere(hold)
    taken.wait(20)
    assert not locks.end_holder(made, 60)
    time.sleep(0.3)
    assert locks.end_holder(made, 0.2)  # it has done nothing since
    over.set()
    holder.join()
    assert left == []


@pytest.mark.django_db
def test_the_users_of_a_paused_agency_are_written_only_by_who_pauses_it() -> None:
    made = agency()
    models.Agency.objects.update(paused_at=NOW)
    with transaction.atomic():
        locks.lock_row(made, paused=True)
        with pytest.raises(locks.AgencyPaused):
            locks.lock_row(made)


@pytest.mark.django_db
def test_a_database_that_takes_no_changes_is_noticed() -> None:
    assert not locks.is_read_only()
    if frames.on_postgres():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            assert locks.is_read_only()
            transaction.set_rollback(True)
