"""Rows that are not users: blank rows, example rows, repeated headings and a trailer (rule F6)."""

import re
from collections.abc import Sequence

import polars as pl

from musterbook.core.domain.columns import EMAIL, EXAMPLES, EXTERNAL_ID, USERS
from musterbook.core.reading.grid import Grid, name_columns
from musterbook.core.reading.headings import Headings, normalize_heading
from musterbook.core.values.text import TRIMMED

_SLACK = 8
"""How many bytes longer than the heading the cell of a repeated heading may be, because of blanks."""


def are_blank(cells: pl.Series) -> pl.Series:
    """Return whether each cell holds only white space."""
    return cells.is_null() | (cells.str.strip_chars(TRIMMED) == "")


def find_blank_rows(grid: Grid, header: Headings) -> pl.Series:
    """Return the rows whose cells are all blank, not counting our own columns."""
    others = [name for name in name_columns(len(grid.headings)) if int(name) not in header.own_columns]
    rows = grid.rows
    # Check column by column: after the first column, only rows that are blank so far are checked.
    for name in others:
        if rows.is_empty():
            break
        rows = rows.filter(are_blank(rows[name]))
    faulty = pl.Series([*grid.surplus, *(fault.row for fault in grid.faults)], dtype=pl.UInt32)
    return rows["row"].filter(~rows["row"].is_in(faulty.implode()))


def find_example_rows(grid: Grid, header: Headings) -> pl.Series:
    """Return the rows of our own example file."""
    if header.layout.name != USERS.name or EMAIL not in header.columns:
        return pl.Series([], dtype=pl.UInt32)
    ids = grid.rows[str(header.columns[EXTERNAL_ID])].str.strip_chars(TRIMMED)
    likely = grid.rows.filter(ids.is_in([row[0] for row in EXAMPLES]))
    emails = likely[str(header.columns[EMAIL])].str.strip_chars(TRIMMED).str.to_lowercase()
    return likely["row"].filter(emails.str.ends_with("@example.invalid").fill_null(False))


def find_repeated_headings(grid: Grid, header: Headings) -> pl.Series:
    """Return the rows that repeat the headings of all known columns.

    Only rows whose EMAIL is as short as its heading are examined, because nearly no address is.
    """
    first = header.columns.get(EMAIL, next(iter(header.columns.values())))
    name = str(first)
    longest = len(grid.headings[int(name)].strip(TRIMMED).encode()) + _SLACK
    rows = grid.rows.filter(grid.rows[name].str.len_bytes() <= longest)
    rows = rows.filter(~rows[name].str.contains("@", literal=True))
    for index in (first, *header.columns.values()):
        if rows.is_empty():
            break
        expected = normalize_heading(grid.headings[index])
        same = [cell for cell in rows[str(index)].unique() if cell and normalize_heading(cell) == expected]
        rows = rows.filter(rows[str(index)].is_in(same))
    return rows["row"]


def find_trailer(grid: Grid, header: Headings, data_rows: pl.DataFrame) -> int:
    """Return the last row, if it may be a trailer: one filled cell with a space or a count in it. Return 0 otherwise."""
    if data_rows.is_empty():
        return 0
    row = int(data_rows["row"][-1])
    if row in grid.surplus or any(fault.row == row for fault in grid.faults):
        return 0
    text = get_only_cell([cell for index, cell in enumerate(data_rows.row(-1)[1:]) if index not in header.own_columns])
    return row if re.search(r"\s", text) or list_counts(text) else 0


def get_only_cell(cells: Sequence[str | None]) -> str:
    """Return the one filled cell of a row, trimmed, or "" if there are more or none."""
    filled = [text for cell in cells if (text := (cell or "").strip(TRIMMED))]
    return filled[0] if len(filled) == 1 else ""


_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_NO_COUNTS = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ]\d{1,2}(?::\d{2})+)?"  # 2026-05-01, 05/01/2026
    rf"|\b{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}|\b\d{{1,2}}(?:st|nd|rd|th)?\.? {_MONTH}\.?,? \d{{4}}"
    rf"|\b{_MONTH}\.? \d{{4}}"
    r"|\b\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s*[ap]\.?m\.?)?|\b\d{1,2}\s*[ap]\.?m\b\.?"  # 06:00, 6 am
    r"|\bv(?:ersion|er)?\.? ?\d+(?:\.\d+)*|\b\d+(?:\.\d+){2,}"  # version 2, 1.2.3
    r"|\bpage \d+(?: (?:of|/) \d+)?|©.*|\(c\) ?\d{4}",
    re.IGNORECASE,
)
_COUNT = re.compile(r"(?<![\w.,:/#-])(?:[1-9]\d{0,2}(?:[,.' \u00a0\u202f]\d{3})+|0|[1-9]\d{0,8})(?![\w:/-]|[.,]\d)")
_COUNT_WORDS = re.compile(
    r"(?i)row|record|total|count|employee|user|line|entr|trailer|affected|person|people|staff|member"
)


def list_counts(text: str) -> list[int]:
    """Return the numbers in a trailer that may be its count of rows: those that are not part of a date, time or version.

    If there are several, only those next to a word such as `rows` or `total` are returned, if there are such.
    """
    bare = _NO_COUNTS.sub(" · ", text)
    found = [*_COUNT.finditer(bare)]
    near = [match for match in found if _COUNT_WORDS.search(bare[max(0, match.start() - 16) : match.end() + 16])]
    chosen = near if len(found) > 1 and near else found
    return [int(re.sub(r"\D", "", match[0])) for match in chosen]
