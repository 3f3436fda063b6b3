"""Alerts: operators are notified by email of errors in the log, and of a log that cannot be written.

The worker checks the log every minute and limits the rate of emails, so an alert takes only minutes. The email states
when and where an error occurred, but never its content, which is in the log. The process that cannot write the log
reports this itself.
"""

import os
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage

from musterbook.config import log_file, mail_server
from musterbook.config.home import prepare_folder

INTERVAL = timedelta(minutes=15)
"""The minimum time between two emails."""
MAX_ERRORS = 20
"""The most errors that one email lists."""
_MARK = ".alerted"


def can_send() -> bool:
    """Return whether an alert can be sent: MUSTER_ALERTS_TO has an address, and there is a mail server."""
    return bool(settings.MUSTER_ALERTS_TO) and settings.MAIL_SERVER is not None


def send_due(at: datetime) -> bool:
    """Notify of the errors since the last alert, at most once in EVERY. Return whether an alert was sent.

    Raise OSError, which includes the exceptions of smtplib, if it cannot be sent. The next call then tries again.
    """
    last = _last_alert(at)
    if not can_send() or at - last < INTERVAL:
        return False
    errors = log_file.find_errors_since(last)
    if not errors:
        return False
    _send(f"Musterbook: {len(errors)} errors", _format_errors(errors))
    _mark(at)
    return True


def _format_errors(errors: list[str]) -> str:
    more = f"… and {len(errors) - MAX_ERRORS} more.\n" if len(errors) > MAX_ERRORS else ""
    lines = "\n".join(errors[:MAX_ERRORS])
    return (
        f"Musterbook at {settings.MUSTER_URL} logged errors that nobody expected:\n\n{lines}\n{more}\n"
        f"Each line ends with a number. Find it in {log_file.path()} to read what happened.\n"
        "`muster doctor` says whether something is wrong now.\n"
    )


def _last_alert(at: datetime) -> datetime:
    """Return when the last alert was sent. If there was none, errors of the last day count.

    They count, too, if the time of the last one is in the future: a clock wrote it that was set back.
    """
    with suppress(FileNotFoundError):
        last = datetime.fromtimestamp(_mark_file().stat().st_mtime, UTC)
        if last < at + INTERVAL:
            return last
    return at - timedelta(days=1)


def _mark(at: datetime) -> None:
    path = _mark_file()
    path.touch(mode=0o600)
    os.utime(path, (at.timestamp(), at.timestamp()))


def _mark_file() -> Path:
    return prepare_folder(settings.MUSTER_HOME) / _MARK


def _send(subject: str, text: str) -> None:
    server: mail_server.MailServer = settings.MAIL_SERVER  # type: ignore[assignment]  # there is one: `can_send` has checked it
    with mail_server.make_connection(server) as connection:
        connection.send_messages([EmailMessage(subject, text, settings.MUSTER_MAIL_FROM, settings.MUSTER_ALERTS_TO)])


class _LogFailure:
    """The time when this process last reported that the log cannot be written."""

    at = float("-inf")


def log_failed(error: OSError) -> None:
    """Notify that the log cannot be written, at most once in EVERY for each process.

    Do not wait for the mail server.
    """
    now = time.monotonic()
    if not settings.configured or not can_send() or now - _LogFailure.at < INTERVAL.total_seconds():
        return
    _LogFailure.at = now
    text = (
        f"Musterbook at {settings.MUSTER_URL} cannot write its log {log_file.path()}: {error.strerror}.\n"
        "What it would have written is on standard error. Free some space, or see that the file belongs to Musterbook.\n"
    )
    threading.Thread(target=_try_send, args=("Musterbook: the log cannot be written", text), name="alert").start()


def _try_send(subject: str, text: str) -> None:
    try:
        _send(subject, text)
    except OSError as error:
        log_file.write_stderr(f"The alert could not be sent: {error}")
