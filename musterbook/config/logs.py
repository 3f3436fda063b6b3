"""Logging, set up in one way for pages, workers and commands: what is logged, to where, and uncaught exceptions."""

import logging
import logging.config
import logging.handlers
import sys
import threading
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from musterbook.config import environment, log_file
from musterbook.config.log_file import write_stderr
from musterbook.config.log_lines import LONGEST_MESSAGE, JsonFormatter, LineFormatter

SECURITY = logging.getLogger("musterbook.security")
"""Failed sign-ins, and what was refused and why: a permission, a forged form, another host, a limit."""
FORMATS = ("text", "json")
"""The formats of what leaves Musterbook: standard error and syslog. `muster.log` is always text, which `doctor` reads."""
REFUSALS_A_MINUTE = 300
"""The refusals that one process logs in a minute, so that strangers cannot fill the log."""

_aloud = False


def make_configuration() -> dict[str, Any]:
    """Django's LOGGING. All goes to the root's handlers: the file, standard error (`log_to_stderr`), syslog if it is named."""
    make_formatter()  # a wrong name is refused here, before a handler needs it
    handlers: dict[str, dict[str, Any]] = {
        "file": {"()": "musterbook.config.logs.File"},
        "aloud": {"()": "musterbook.config.logs.Aloud"},
    }
    if environment.text("MUSTER_SYSLOG"):
        handlers["syslog"] = {"()": "musterbook.config.logs.Syslog", "address": parse_syslog_address()}
    levels = {
        "musterbook": "INFO", "django": "WARNING", "django.request": "ERROR", "allauth": "WARNING", "_granian": "WARNING",
        # They would log whole addresses, and each connection.
        "httpx2": "WARNING", "httpcore2": "WARNING", "asyncssh": "CRITICAL",
    }  # fmt: skip
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"flood": {"()": "musterbook.config.logs.Flood"}},
        "handlers": {**handlers, "refused": {"()": "musterbook.config.logs.Refused"}},
        "root": {"level": "WARNING", "handlers": list(handlers)},
        "loggers": {
            **{name: {"level": level, "handlers": [], "propagate": True} for name, level in levels.items()},
            "musterbook.security": {"filters": ["flood"]},
            "django.security": {"handlers": ["refused"], "propagate": False},
        },
    }


def begin(configured: dict[str, Any] | None = None) -> None:
    """Has this process log, its uncaught exceptions too. Django calls it with LOGGING; to call it again does no harm."""
    logging.config.dictConfig(configured or make_configuration())
    sys.excepthook = _uncaught
    if threading.excepthook is not _uncaught_in_thread:
        _PreviousHook.thread = threading.excepthook
        threading.excepthook = _uncaught_in_thread


def log_to_stderr() -> None:
    """Has this process, a server's or a worker's, write its log to standard error too."""
    global _aloud  # noqa: PLW0603  (a process speaks or it does not)
    _aloud = True


def make_formatter() -> logging.Formatter:
    """Return the formatter that MUSTER_LOG_FORMAT names. Raise ImproperlyConfigured for another name."""
    return JsonFormatter() if environment.choice("MUSTER_LOG_FORMAT", FORMATS) == "json" else LineFormatter()


class File(logging.Handler):
    """The handler that writes `muster.log`."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. If that fails, say so once on standard error, and notify the operators.

        A server or a worker writes its records to standard error as well (`Aloud`), so they are not lost.
        """
        try:
            self._write(self.format(record))
        except Exception:  # noqa: BLE001  (whatever is wrong with a record, the process goes on; logging says what it is)
            self.handleError(record)

    def _write(self, text: str) -> None:
        try:
            log_file.append(text)
            _FileState.failing = False
        except OSError as error:
            if not _FileState.failing:
                write_stderr(f"The log {log_file.path()} cannot be written: {error.strerror}.")
            _FileState.failing = True
            from musterbook.config import alerts

            alerts.log_failed(error)


class _FileState:
    """Whether the last record of this process could not be written to the file."""

    failing = False


def is_file_failing() -> bool:
    """Return whether the last record could not be written to the file."""
    return _FileState.failing


class Aloud(logging.StreamHandler):  # type: ignore[type-arg]  # standard error, whatever that is
    """Writes to standard error in a process that speaks. A person's command prints its one line, and nothing else."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(make_formatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, if the process speaks."""
        if _aloud:
            super().emit(record)


class Syslog(logging.Handler):
    """Sends each record to a syslog server as one line. Connects when there is something to send."""

    def __init__(self, address: str | tuple[str, int]) -> None:
        super().__init__()
        self.setFormatter(make_formatter())
        self._address = address
        self._server: logging.handlers.SysLogHandler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record; where that fails, standard error says so."""
        line = self.format(record).replace("\n", " ")[: 2 * LONGEST_MESSAGE]
        entry = logging.makeLogRecord({"msg": f"musterbook: {line}", "levelname": record.levelname})
        try:
            self._server = self._server or logging.handlers.SysLogHandler(self._address)
        except OSError as error:
            write_stderr(f"MUSTER_SYSLOG cannot be reached: {error}")
            return
        self._server.handle(entry)

    def close(self) -> None:
        """End the connection."""
        if self._server:
            self._server.close()
        super().close()


def parse_syslog_address() -> str | tuple[str, int]:
    """Where MUSTER_SYSLOG leads: to a socket of this machine, or to a host and a port (UDP). Raises ImproperlyConfigured."""
    value = environment.text("MUSTER_SYSLOG")
    if value.startswith("/"):
        return value
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port or 514
    except ValueError:
        host, port = "", 0
    if not host or not value.startswith("udp://"):
        raise ImproperlyConfigured(f"MUSTER_SYSLOG is “{value}”. Write it as udp://host:514, or as /dev/log.")
    return host, port


class Refused(logging.Handler):
    """Turns what Django says of a refused request into a line of SECURITY: no error of ours, so without a trace."""

    def emit(self, record: logging.LogRecord) -> None:
        """Says it again."""
        SECURITY.warning("%s: %s", record.name.rpartition(".")[2], record.getMessage())


class Flood(logging.Filter):
    """Lets so many records of a minute pass; the first of a later minute says how many did not."""

    def __init__(self) -> None:
        super().__init__()
        self._minute, self._count = 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record passes."""
        minute = int(record.created // 60)
        if minute != self._minute:
            left_out = self._count - REFUSALS_A_MINUTE
            self._minute, self._count = minute, 0
            if left_out > 0:
                record.msg = f"{record.msg} ({left_out} refusals before it are not logged)"
        self._count += 1
        return self._count <= REFUSALS_A_MINUTE


class _PreviousHook:
    """What Python, or a test runner, does with an exception that ends a thread."""

    thread: Any = threading.__excepthook__


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, Exception):
        logging.getLogger(__package__).critical("The process ends by an error", exc_info=(kind, error, trace))
    if not _aloud:
        sys.__excepthook__(kind, error, trace)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and issubclass(args.exc_type, Exception):
        name = args.thread.name if args.thread else "?"
        trace = (args.exc_type, args.exc_value, args.exc_traceback)
        logging.getLogger(__package__).critical("The thread “%s” ends by an error", name, exc_info=trace)
    if not _aloud or _PreviousHook.thread is not threading.__excepthook__:
        _PreviousHook.thread(args)
