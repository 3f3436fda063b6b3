"""The format of a log record: its lines, the number that links them to a request, and the redacted parts.

The first line of a record begins with a time, a level, a logger, a process and a number ("-": none). Every further line
begins with a bar, so no logged value can look like a record of its own.
"""

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


def format_stamp(at: datetime) -> str:
    """Return the time as a line begins with it. Two stamps sort as their times do."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LineFormatter(logging.Formatter):
    """A formatter that writes a record as lines, of which only the first looks like the first of a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines, without the end of the last one."""
        at = format_stamp(datetime.fromtimestamp(record.created, UTC))
        head = f"{at} {record.levelname} {record.name} {record.process} {escape_line(get_number())}"
        message = escape_line(redact(record.getMessage()[:LONGEST_MESSAGE]))
        return "\n".join([f"{head} {message}", *(f"  | {escape_line(line)}" for line in self._trace(record))])

    def _trace(self, record: logging.LogRecord) -> list[str]:
        if not record.exc_info:
            return []
        return redact(self.formatException(record.exc_info)[-LONGEST_TRACE:]).splitlines()


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
