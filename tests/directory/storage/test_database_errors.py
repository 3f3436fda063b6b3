"""Failures are told in words for a person: the cause, what to do, and that nothing was changed."""

import errno
import sqlite3

import psycopg
import pytest
from django.db import Error, IntegrityError, OperationalError, connection
from psycopg import errors

from musterbook.directory import models
from musterbook.directory.imports import records
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.storage import database_errors
from tests.directory.cast import agency, people, run


def sqlite(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("said by SQLite")
    error.sqlite_errorcode = code
    return error


def wrapped(cause: BaseException) -> Error:
    error = OperationalError("said by Django")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (wrapped(sqlite(sqlite3.SQLITE_BUSY)), "The database was busy with another program"),
        (wrapped(sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT)), "The database was busy with another program"),
        (wrapped(sqlite(sqlite3.SQLITE_FULL)), "The disk is full"),
        (wrapped(sqlite(sqlite3.SQLITE_IOERR_READ)), "The disk could not be read or written"),
        (wrapped(errors.QueryCanceled()), "The database canceled a statement that took too long"),
        (wrapped(sqlite(sqlite3.SQLITE_READONLY)), "Musterbook cannot write to the database"),
        (wrapped(sqlite(sqlite3.SQLITE_CORRUPT)), "The database file is damaged"),
        (wrapped(psycopg.OperationalError("gone")), "The connection to the database was lost"),
        (wrapped(psycopg.InterfaceError("closed")), "The connection to the database was lost"),
        (
            wrapped(psycopg.InternalError("received 2 results from command 'BEGIN'")),
            "The connection to the database was lost",
        ),
        (wrapped(errors.AdminShutdown()), "The connection to the database was lost"),
        (wrapped(errors.DiskFull()), "The disk is full"),
        (wrapped(errors.OutOfMemory()), "There was not enough memory"),
        (wrapped(errors.DeadlockDetected()), "The database was busy with another program"),
        (wrapped(errors.LockNotAvailable()), "The database was busy with another program"),
        (wrapped(errors.UniqueViolation()), "Another change to the same data"),
        (wrapped(errors.ReadOnlySqlTransaction()), "The database takes no changes"),
        (OSError(errno.ENOSPC, "full"), "The disk is full"),
        (OSError(errno.EDQUOT, "quota"), "The disk is full"),
        (PermissionError(errno.EACCES, "no", "files"), "Musterbook cannot write to files"),
        (OSError(errno.EROFS, "read-only"), "Musterbook cannot write to its folder"),
        (MemoryError(), "There was not enough memory"),
    ],
)
def test_a_foreseen_cause_has_its_sentence(error: BaseException, told: str) -> None:
    message = database_errors.build_message(error)
    assert message.startswith(told)
    assert message.endswith(" Nothing was changed.")
    assert "Error" not in message


def test_a_statement_that_took_too_long_is_no_lost_connection_after_which_the_import_would_be_tried_again() -> None:
    assert database_errors.is_lost(wrapped(errors.AdminShutdown()))
    assert not database_errors.is_lost(wrapped(errors.QueryCanceled()))


def test_a_primary_that_has_become_a_standby_and_a_pooler_without_a_server_are_lost_connections() -> None:
    assert database_errors.is_lost(wrapped(errors.ReadOnlySqlTransaction()))
    assert database_errors.is_lost(wrapped(errors.ProtocolViolation("query_wait_timeout")))  # as PgBouncer says it
    assert database_errors.is_lost(wrapped(errors.IdleInTransactionSessionTimeout()))
    assert not database_errors.is_lost(wrapped(sqlite(sqlite3.SQLITE_READONLY)))
    said = psycopg.OperationalError("server closed the connection\n\tThis probably means …")
    assert database_errors.describe_briefly(wrapped(said)) == "server closed the connection This probably means …"


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"), wrapped(psycopg.ProgrammingError("x")), wrapped(errors.UndefinedTable()), OSError(errno.EIO, "x"),
        wrapped(sqlite(sqlite3.SQLITE_ERROR)), wrapped(psycopg.Error("x")),
    ],
)  # fmt: skip
def test_a_bug_is_owned_up_to(error: BaseException) -> None:
    assert database_errors.explain_error(error) == ""
    assert database_errors.build_message(error).startswith(f"An error occurred in Musterbook ({type(error).__name__})")


def test_a_damaged_file_is_told_from_other_failures() -> None:
    assert database_errors.is_damaged(sqlite(sqlite3.SQLITE_NOTADB))
    assert database_errors.is_damaged(wrapped(sqlite(sqlite3.SQLITE_CORRUPT)))
    assert not database_errors.is_damaged(wrapped(sqlite(sqlite3.SQLITE_FULL)))
    assert not database_errors.is_damaged(KeyError("x"))


def test_only_a_busy_sqlite_is_waited_for() -> None:
    assert database_errors.is_busy(wrapped(sqlite(sqlite3.SQLITE_BUSY)))
    assert not database_errors.is_busy(wrapped(sqlite(sqlite3.SQLITE_FULL)))
    assert not database_errors.is_busy(wrapped(errors.LockNotAvailable()))


@pytest.mark.django_db
def test_a_bug_is_logged_whole_and_fails_the_import(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = agency()

    def bug(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("musterbook.directory.audit.trail.append_events", bug)
    with pytest.raises(ImportFailed):
        run(made, people(1))
    assert "KeyError: 'a bug'" in caplog.text
    assert models.Import.objects.get().state == "failed"
    assert not models.User.objects.exists()


@pytest.mark.django_db
def test_a_record_that_cannot_be_written_is_left_for_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    lost = wrapped(psycopg.OperationalError("gone"))
    monkeypatch.setattr(models.Import, "save", lambda *_, **__: (_ for _ in ()).throw(lost))
    closed: list[str] = []
    monkeypatch.setattr(connection, "close", lambda: closed.append("once"))
    with pytest.raises(ImportFailed, match=r"^The connection to the database was lost"):
        run(made, people(1))
    assert closed == ["once"]
    assert not models.Import.objects.exists()


@pytest.mark.django_db
def test_a_new_record_that_the_database_refuses_is_no_import_sent_before(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()

    def crossed(*_: object, **__: object) -> None:
        raise IntegrityError("some other constraint")

    monkeypatch.setattr(models.Import, "save", crossed)
    record = models.Import(agency=made, number="1", idempotency_key="k")
    with pytest.raises(IntegrityError):
        records.insert_record(record)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (database_errors.CANCELLED, "IT WAS CANCELED. NOTHING WAS CHANGED."),
        (database_errors.describe_cancel("E-ann"), "IT WAS CANCELED BY E-ann. NOTHING WAS CHANGED."),
        (database_errors.build_message(MemoryError()), "THERE WAS NOT ENOUGH MEMORY. ADD MEMORY OR SPLIT THE FILE,"),
        (
            database_errors.build_message(OSError(errno.EACCES, "said", "/x/Y.db")),
            "MUSTERBOOK CANNOT WRITE TO /x/Y.db.",
        ),
        (database_errors.build_message(KeyError()), "AN ERROR OCCURRED IN MUSTERBOOK (KeyError)."),
        ("As an older version said. Nothing was changed.", "As an older version said. NOTHING WAS CHANGED."),
        ("As an older version said.", "As an older version said."),
        ("", ""),
    ],
)
def test_a_stored_message_is_shown_in_the_language_of_the_reader(
    message: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database_errors.translate_message(message) == message
    monkeypatch.setattr(database_errors, "gettext", str.upper)
    assert database_errors.translate_message(message).startswith(shown)


@pytest.mark.django_db
def test_an_import_whose_end_cannot_be_looked_up_does_not_claim_that_nothing_was_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server may have gone after it committed, before it said so."""
    made = agency()
    lost = wrapped(psycopg.OperationalError("gone"))

    def fail(*_: object, **__: object) -> None:
        raise lost

    monkeypatch.setattr(connection, "close", lambda: None)
    monkeypatch.setattr(records, "_write_failure", fail)
    monkeypatch.setattr("musterbook.directory.audit.trail.append_events", fail)
    with pytest.raises(ImportFailed, match="not known whether the import was applied") as failed:
        run(made, people(1))
    assert "Nothing was changed" not in str(failed.value)
    monkeypatch.setattr(database_errors, "gettext", str.upper)
    assert database_errors.translate_message(str(failed.value)).isupper()
