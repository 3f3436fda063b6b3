"""The ids of an archive's rows in the new installation: the same where they are free, else all of a table shifted by one number.

So addresses that contain ids, and the ids that SCIM clients keep, stay valid wherever that is possible. A shift is one number
for each table, so memory does not grow with the rows, and the trail can be verified by the ids that were sealed.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from django.db import connection
from django.utils.translation import gettext as _

from musterbook.directory.audit import anchors
from musterbook.directory.installation.agency_archive import CannotImport, Range
from musterbook.directory.installation.agency_archive_tables import KEPT_IDS, Table
from musterbook.directory.storage import frames

_MARGIN = 1_000_000
"""Ids that are left out on PostgreSQL, because others may take some before the sequence is set behind them."""
_LOCK, _PAUSE, _PATIENCE = 0x6D7561, 0.1, 20.0
_OF_QUERY = {
    "role": "directory.Role",
    "rank": "directory.Rank",
    "group": "directory.Group",
    "supervisor": "directory.User",
}
"""Parameter of a saved search → the table of the id that it holds."""
_PARAMETER = re.compile(r"(?P<before>(?:^|[?&])(?P<name>[a-z_]+)=)(?P<id>[0-9]{1,18})(?=&|$)")
_USER_LINK = re.compile(r"/users/([0-9]{1,18})/")


@dataclass(frozen=True, slots=True)
class Ids:
    """The ranges of ids in the archive, and what is added to the ids of each table."""

    ranges: Mapping[str, Range]
    added: Mapping[str, int]

    def is_known(self, label: str, number: int) -> bool:
        """Return whether a row of the archive may have this id."""
        found = self.ranges.get(label)
        return found is not None and found.rows > 0 and found.first <= number <= found.last

    def map(self, label: str, number: int) -> int:
        """Return the new id of a row, or 0 for an id that no row of the archive has."""
        return number + self.added[label] if self.is_known(label, number) else 0

    def map_rows(self, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with the new ids. Raise CannotImport for an id that is not of the archive."""
        own = [(table.key, table.label)] if table.has_ids else []
        for name, label in [*own, *((column.name, column.target) for column in table.columns if column.target)]:
            span = self.ranges.get(label, Range(0, 0, 0))
            strange = ~pl.col(name).is_between(span.first, span.last) if span.rows else pl.col(name).is_not_null()
            if rows.select(strange.fill_null(value=False).any()).item():
                raise CannotImport(
                    _(
                        "The archive refers to rows that are not in it (%(name)s). It was made to do harm, or is damaged."
                    )
                    % {"name": f"{table.label}.{name}"}
                )
            rows = rows.with_columns(pl.col(name) + self.added.get(label, 0))
        for name, change in self._list_texts(table.label).items():
            rows = rows.with_columns(
                pl.Series(name, [text if text is None else change(text) for text in rows[name]], pl.String)
            )
        return self._map_kept(table, rows)

    def _map_kept(self, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
        if table.label in KEPT_IDS:
            kinds = {"events": "directory.Event", "users": "directory.User", "imports": "directory.Import"}
            return rows.with_columns(pl.col(name) + self.added.get(label, 0) for name, label in kinds.items())
        if table.label == "directory.NoticeSettings":
            # All notices up to this one are read, whether or not it still exists.
            span = self.ranges.get("directory.Notice", Range(0, 0, 0))
            read_to = pl.min_horizontal(pl.col("read_to"), span.last) + self.added.get("directory.Notice", 0)
            return rows.with_columns(read_to=pl.when(pl.lit(span.rows > 0)).then(read_to).otherwise(0).clip(0))
        return rows

    def _list_texts(self, label: str) -> dict[str, Callable[[str], str]]:
        """Return the columns of a table in whose texts ids are, with what replaces them."""
        texts: dict[str, dict[str, Callable[[str], str]]] = {
            "directory.Agency": {"limits": self.map_limits},
            "directory.Feed": {"limits": self.map_limits},
            "directory.SavedFilter": {"query": self.map_query},
            "directory.WebhookMessage": {"subject": self._map_subject, "body": self._map_links},
        }
        return texts.get(label, {})

    def map_limits(self, text: str) -> str:
        """Return stored limits (`agency.limits`) with the new ids of their roles and groups."""
        limits: Any = json.loads(text)
        for limit in limits if isinstance(limits, list) else ():
            for name, label in (("role", "directory.Role"), ("group", "directory.Group")):
                if isinstance(limit, dict) and type(limit.get(name)) is int:
                    limit[name] = self.map(label, limit[name])
        return json.dumps(limits, ensure_ascii=False)

    def map_query(self, text: str) -> str:
        """Return a saved search with the new ids in its parameters."""

        def replace(match: re.Match[str]) -> str:
            label = _OF_QUERY.get(match["name"])
            return f"{match['before']}{self.map(label, int(match['id']))}" if label else match[0]

        return _PARAMETER.sub(replace, text)

    def _map_subject(self, text: str) -> str:
        kind, _colon, number = text.partition(":")
        is_user = kind == "user" and number.isascii() and number.isdecimal()
        return f"user:{self.map('directory.User', int(number))}" if is_user else text

    def _map_links(self, text: str) -> str:
        return _USER_LINK.sub(lambda match: f"/users/{self.map('directory.User', int(match[1]))}/", text)

    def map_choice(self, content: bytes) -> bytes:
        """Return the kept ids of chosen users (`imports.selection`), of which those who leave a group are negative."""
        numbers = (int(line) for line in content.split())
        mapped = (self.map("directory.User", abs(number)) * (-1 if number < 0 else 1) for number in numbers)
        return "\n".join(str(number) for number in mapped if number).encode()


def reserve_ids(tables: tuple[Table, ...], ranges: Mapping[str, Range]) -> Ids:
    """Reserve ids for all rows, in the caller's transaction. Another import of an archive waits for it."""
    own = [table for table in tables if table.has_ids]
    if not frames.on_postgres():
        return Ids(ranges, {table.label: _reserve_in_sqlite(table, ranges[table.label]) for table in own})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    spans = [(table, _Sequence(table), ranges[table.label]) for table in own if ranges[table.label].rows]
    were_new = [sequence.pass_by(span) for _table, sequence, span in spans]
    # Who was given an id of the range before, and has not committed, still holds it. Nobody is given one from now on.
    is_doubtful = any(not new and _is_free(table, span) for (table, _, span), new in zip(spans, were_new, strict=True))
    have_ended = not is_doubtful or _wait_for_running(_PATIENCE)
    added = dict.fromkeys((table.label for table in own), 0)
    for (table, sequence, span), is_new in zip(spans, were_new, strict=True):
        if not ((is_new or have_ended) and _is_free(table, span)):
            added[table.label] = sequence.take(span) - span.first
    return Ids(ranges, added)


class _Sequence:
    """The sequence of a table's ids on PostgreSQL. It only ever goes forward: others use it at the same time."""

    def __init__(self, table: Table) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table.name])
            self._name = cursor.fetchone()[0]

    def pass_by(self, span: Range) -> bool:
        """Go on behind the range, if it is not there yet. Return whether nobody was given an id of the range before."""
        begin = self._next(1)
        if begin < span.last - _MARGIN:
            self._leap(span.last)
        elif begin < span.last:
            self._next(span.last - begin)
        return begin <= span.first

    def take(self, span: Range) -> int:
        """Return the first of as many new ids as the range has, which nobody else is given."""
        first = self._next(1) + _MARGIN
        self._leap(first + span.last - span.first)
        return first

    def _next(self, number: int) -> int:
        """Return the last of this number of new ids."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT max(nextval(%s::regclass)) FROM generate_series(1, %s)", [self._name, number])
            return int(cursor.fetchone()[0])

    def _leap(self, last: int) -> None:
        """Go on behind this id, which is so far ahead that others do not take all before it meanwhile."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT setval(%s::regclass, %s)", [self._name, last])


def _wait_for_running(seconds: float) -> bool:
    """Return whether all other transactions that are in progress now have ended. Wait for them, but not longer."""
    others = (
        "SELECT virtualtransaction FROM pg_locks LEFT JOIN pg_stat_activity USING (pid) WHERE locktype = 'virtualxid'"
        " AND pid IS DISTINCT FROM pg_backend_pid() AND (datname = current_database() OR pid IS NULL)"
    )
    with connection.cursor() as cursor:
        cursor.execute(others)
        before, until = {row[0] for row in cursor.fetchall()}, time.monotonic() + seconds
        while before:
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE)
            cursor.execute(others)
            before &= {row[0] for row in cursor.fetchall()}
    return True


def wait_for_others(seconds: float) -> bool:
    """Return whether no import of an archive is in progress, in the caller's transaction. Wait for it, but not longer."""
    until = time.monotonic() + seconds
    with connection.cursor() as cursor:
        while frames.on_postgres():
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if cursor.fetchone()[0]:
                break
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE)
    return True


def _reserve_in_sqlite(table: Table, span: Range) -> int:
    """Reserve the ids of one table, which has one writer. Return what is added to each."""
    if not span.rows:
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table.name])
        last = int((cursor.fetchone() or (0,))[0])
        added = 0 if _is_free(table, span) else last + 1 - span.first
        # Ids that no row has, because somebody removed it, are given to nobody else either.
        cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table.name])
        cursor.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table.name, max(last, span.last + added)]
        )
    return added


def _is_free(table: Table, span: Range) -> bool:
    if table.label == "directory.Agency" and span.first in anchors.read_anchors().anchors:
        return False  # an agency that is gone had this id, and the anchors of its trail remain
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT 1 FROM "{table.name}" WHERE "{table.key}" BETWEEN %s AND %s LIMIT 1', [span.first, span.last]
        )
        return cursor.fetchone() is None
