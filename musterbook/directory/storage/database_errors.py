"""Messages for failed imports: one for each foreseeable cause, found by the exception."""

import errno
import sqlite3

from django.utils.translation import gettext, gettext_noop

from musterbook.directory.storage.import_files import FileGone

NOTHING = gettext_noop("Nothing was changed.")
_CANCELLED = gettext_noop("It was canceled.")
_CANCELLED_BY = gettext_noop("It was canceled by {}.")
_DIED = gettext_noop("Its process ended before the import was complete.")
_DIED_OFTEN = gettext_noop(
    "Its worker ended several times before the import was complete. The memory may be too small. Add memory or split the"
    " file, then import again."
)
_NOT_ALLOWED = gettext_noop("The operator is no longer allowed to do this.")
CANCELLED, DIED, DIED_OFTEN, NOT_ALLOWED = (
    f"{sentence} {NOTHING}" for sentence in (_CANCELLED, _DIED, _DIED_OFTEN, _NOT_ALLOWED)
)

UNKNOWN = gettext_noop(
    "The connection to the database was lost, and it is not known whether the import was applied. Look for it in the import"
    " history before you import again."
)

_BUSY = gettext_noop("The database was busy with another program. Import again when that program is done.")
_FULL = gettext_noop("The disk is full. Free some space, then import again.")
_READ_ONLY = gettext_noop(
    "Musterbook cannot write to the database. Check that its folder and files belong to it and are not read-only."
)
_LOST = gettext_noop("The connection to the database was lost. Check that the database is running, then import again.")
_STANDBY = gettext_noop(
    "The database takes no changes, because another server has become the primary or the database is read-only. Import again."
)
_DAMAGED = gettext_noop(
    "The database file is damaged. Stop all processes, then restore the latest backup with `muster restore FILE --yes`,"
    " which keeps the damaged file."
)
_DISK = gettext_noop(
    "The disk could not be read or written. Check that it works and has free space, then import again."
)
_TOO_LONG = gettext_noop(
    "The database canceled a statement that took too long. Increase its statement_timeout, then import again."
)
_MEMORY = gettext_noop("There was not enough memory. Add memory or split the file, then import again.")
_CROSSED = gettext_noop("Another change to the same data was made at the same time. Import again.")
_CLOSED = gettext_noop(
    "Musterbook cannot write to {}. Check that the folder belongs to Musterbook and is not read-only, then import again."
)
_GONE = gettext_noop("The file is no longer kept, or the worker has no access to it. Import the file again.")
_OURS = gettext_noop("An error occurred in Musterbook ({}). The log has the details. Please report it.")

_SQLITE = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_NOMEM: _MEMORY,
    sqlite3.SQLITE_CONSTRAINT: _CROSSED,
}
_POSTGRES = {
    "08": _LOST,
    "23": _CROSSED,
    "25006": _STANDBY,
    "25P03": _LOST,
    "40": _BUSY,
    "53": _FULL,
    "53200": _MEMORY,
    "55P03": _BUSY,
    "57": _LOST,
    "57014": _TOO_LONG,
}
"""Messages by SQLSTATE, or else by its class, the first two characters."""


_UNIQUE, _SQLITE_UNIQUE = "23505", (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


def build_message(error: BaseException) -> str:
    """Return the message that an import's record keeps for the error that ended it.

    It names the cause and the remedy, and states that nothing was changed.
    """
    return f"{explain_error(error) or _OURS.format(type(error).__name__)} {NOTHING}"


def explain_error(error: BaseException) -> str:
    """Return the sentence for a foreseeable cause, or "" for a bug."""
    # Django wraps the errors that the database driver raises.
    cause = error.__cause__ or error
    return _explain_sqlite(cause) or _explain_postgres(cause) or _explain_os_error(error)


def translate_message(message: str) -> str:
    """Return the message of an import's record in the language of the reader. A text of an older version stays as it is."""
    if message == UNKNOWN:
        return gettext(UNKNOWN)
    sentence = message.removesuffix(NOTHING).rstrip()
    if sentence == message:
        return message
    return f"{_translate_sentence(sentence)} {gettext(NOTHING)}".strip()


def _translate_sentence(sentence: str) -> str:
    for template in (_CANCELLED_BY, _CLOSED, _OURS):
        begin, end = template.split("{}")
        if sentence.startswith(begin) and sentence.endswith(end):
            return gettext(template).format(sentence[len(begin) : len(sentence) - len(end)])
    return gettext(sentence) if sentence in _SENTENCES else sentence


_SENTENCES = frozenset(
    {*_SQLITE.values(), *_POSTGRES.values(), _GONE, _CANCELLED, _DIED, _DIED_OFTEN, _NOT_ALLOWED}
)  # fmt: skip


def describe_cancel(by: str) -> str:
    """Return the message of an import's record after a user canceled it; `by`: an external ID, "" for the system."""
    return f"{_CANCELLED_BY.format(by)} {NOTHING}" if by else CANCELLED


def is_lost(error: BaseException) -> bool:
    """Return whether the connection to the database was lost, or its server has become a standby and takes no changes.

    The work that was begun is then rolled back, and may be retried on a new connection.
    """
    return _explain_postgres(error.__cause__ or error) in (_LOST, _STANDBY)


def describe_briefly(error: BaseException) -> str:
    """Return what the driver says about a lost connection, in one line for the log."""
    return " ".join(str(error.__cause__ or error).split())


def is_repeated(error: BaseException) -> bool:
    """Return whether a value is in the table already that can be there only once."""
    cause = error.__cause__ or error
    return getattr(cause, "sqlstate", "") == _UNIQUE or getattr(cause, "sqlite_errorcode", 0) in _SQLITE_UNIQUE


def is_damaged(error: BaseException) -> bool:
    """Return whether SQLite's file is damaged, or is not a database."""
    return _explain_sqlite(error.__cause__ or error) == _DAMAGED


def is_busy(error: BaseException) -> bool:
    """Return whether SQLite's one writer was busy for longer than the wait allows."""
    return _explain_sqlite(error.__cause__ or error) == _BUSY


def _explain_sqlite(cause: BaseException) -> str:
    # The low byte of an extended code is the plain code.
    return _SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, "") if isinstance(cause, sqlite3.Error) else ""


def _explain_postgres(cause: BaseException) -> str:
    if not type(cause).__module__.startswith("psycopg"):
        return ""
    state = getattr(cause, "sqlstate", None)
    if state is None:
        # The error did not come from the server: the driver found the server gone, or got its last words with those of a pooler.
        return _LOST if type(cause).__name__ in ("OperationalError", "InterfaceError", "InternalError") else ""
    return _POSTGRES.get(state) or _POSTGRES.get(state[:2], "")


def _explain_os_error(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, FileGone):
        return _GONE
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _FULL
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return _CLOSED.format(error.filename or "its folder")
    return ""
