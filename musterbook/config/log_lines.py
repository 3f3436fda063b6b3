"""The formats of a log record: as lines or as JSON, with the numbers of its request and import, and without secrets.

The first line of a record begins with a time, a level, a logger, a process and a number ("-": none). Every further line
begins with a bar, so no logged value can look like a record of its own. In an import within a request, the number is that of
the request, a slash, and that of the import. As JSON, a record is one line with a field for each of them.
"""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

LONGEST_MESSAGE, LONGEST_TRACE = 2_000, 20_000
"""The most characters that are kept of a message, and of the end of a trace."""
STAMP = 27
"""The length of the time in characters."""

_number: ContextVar[str] = ContextVar("number", default="-")
_import: ContextVar[str] = ContextVar("import", default="")


def get_number() -> str:
    """Return the number of the current request or import; "-" for neither."""
    return _number.get()


@contextmanager
def use_number(name: str) -> Iterator[None]:
    """Put that number on all lines logged within the context."""
    token = _number.set(name)
    try:
        yield
    finally:
        _number.reset(token)


@contextmanager
def use_import(number: str) -> Iterator[None]:
    """Put the number of an import on all lines logged within the context."""
    token = _import.set(number)
    try:
        with use_number(number if get_number() == "-" else get_number()):
            yield
    finally:
        _import.reset(token)


def format_stamp(at: datetime) -> str:
    """Return the time as a line begins with it. Two stamps sort as their times do."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LineFormatter(logging.Formatter):
    """A formatter that writes a record as lines, of which only the first looks like the first of a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines, without the end of the last one."""
        at = format_stamp(datetime.fromtimestamp(record.created, UTC))
        number = get_number() if _import.get() in ("", get_number()) else f"{get_number()}/{_import.get()}"
        head = f"{at} {record.levelname} {record.name} {record.process} {escape_line(number)}"
        message = escape_line(redact(record.getMessage()[:LONGEST_MESSAGE]))
        return "\n".join([f"{head} {message}", *(f"  | {escape_line(line)}" for line in make_trace(self, record))])


class JsonFormatter(logging.Formatter):
    """A formatter that writes a record as one line of JSON (RFC 8259), for programs that collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a JSON object. `request`, `import` and `trace` are there only if they are known."""
        entry: dict[str, object] = {
            "time": format_stamp(datetime.fromtimestamp(record.created, UTC)), "level": record.levelname.lower(),
            "logger": record.name, "process": record.process, "message": redact(record.getMessage()[:LONGEST_MESSAGE]),
        }  # fmt: skip
        if get_number() not in ("-", _import.get()):
            entry["request"] = get_number()
        if _import.get():
            entry["import"] = _import.get()
        if trace := make_trace(self, record):
            entry["trace"] = "\n".join(trace)
        return json.dumps(entry)


def make_trace(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    """Return the lines of the record's trace, without secrets. Return none if it has no trace."""
    if not record.exc_info:
        return []
    return redact(formatter.formatException(record.exc_info)[-LONGEST_TRACE:]).splitlines()


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def escape_line(text: str) -> str:
    """Return the text in one line, with control characters escaped."""
    return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], text)


_ADDRESS = re.compile("[0-9A-Fa-f.:]{1,45}")
"""The form of an IP address. A proxy may pass on any text."""


def quote_address(address: str) -> str:
    """Return the address as a message contains it: quoted and cut off if it does not look like an IP address."""
    return address if _ADDRESS.fullmatch(address) else ascii(address[:45])


_REDACTIONS = (
    (re.compile(r"(?<=://)[^\s/@]{1,200}@"), "…@"),  # a user and a password in a URL
    (re.compile(r"(?<=/)[\w.:=-]{30,}(?=[/\s?'\"),]|$)"), "…"),  # a link that signs a user in
    (re.compile(r"(?<![\w.+-])[\w.+-]{1,64}(?=@[\w-]+\.)"), "…"),  # a mailbox
    (re.compile(r"^(DETAIL:).*$", re.MULTILINE), r"\1 …"),  # PostgreSQL quotes the row
)


def redact(text: str) -> str:
    """Return the text without details that its readers do not need.

    These are passwords in URLs, links that sign a user in, and mailboxes. The rows that PostgreSQL quotes in DETAIL
    lines are also left out.
    """
    for secret, replacement in _REDACTIONS:
        text = secret.sub(replacement, text)
    return text
