"""The rows of a file of entries: their cells as text, the same entry in several rows, and words that have few values."""

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from musterbook.core.checking import check
from musterbook.core.domain.columns import ENTRIES, Column, Layout
from musterbook.core.domain.policy import Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import file_end, matching
from musterbook.core.reading.headings import normalize_heading
from musterbook.core.values.keys import fold

_MOST_COMPARED = 5_000
"""The most names with which a wrong name is compared."""
_MOST_ADVISED = 100
"""The most different wrong names for which the nearest name is looked for."""
_LISTED = 20


class Refused(Exception):
    """The file is refused; `problems` say why."""

    def __init__(self, *found: Problem) -> None:
        super().__init__(*found)
        self.problems = found


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """The rows as text: `row` and a column for each column of the layout, null where a cell has a problem.

    A column that the file does not have is missing. `faults`: the problems so far.
    """

    table: Table
    rows: pl.DataFrame
    faults: pl.DataFrame
    present: frozenset[str] = frozenset()
    """The fields of the columns that the file has."""

    def has(self, column: Column) -> bool:
        """Return whether the file has the column."""
        return column.field in self.present


def check_rows(table: Table, layout: Layout, policy: Policy, *, has_trailer: bool, most: int) -> CheckedRows:
    """Return the rows of a file. Raise Refused, and check.TooManyProblems.

    `has_trailer`: whether a last row with a single cell is not an entry. `most`: the most rows that it may have.
    """
    if table.problems:
        raise Refused(*table.problems)
    other = _find_other(table, layout)
    if other:
        raise Refused(other)
    nobody = pl.DataFrame(schema={"external_id": pl.String})
    table = file_end.settle_end(table if has_trailer else replace(table, trailer=0), nobody)
    wrong = file_end.find_count_problems(table, policy)
    if table.cells.height > most:
        wrong = (*wrong, Problem.of("too-many-rows", limit=f"{most:,}"))
    if wrong:
        raise Refused(*wrong)
    present = [column for column in layout.columns if column.field in table.cells.columns]
    cells, repeated = matching.drop_repeated(table.cells, table.faults, present[0].field)
    table = file_end.skip_repeated(table, repeated)
    checked = check.check(replace(table, cells=cells), Vocabulary(), present)
    rows = checked.rows if cells.height else pl.DataFrame(schema=_make_schema(present))
    return CheckedRows(table, rows, checked.problems, frozenset(column.field for column in present))


def _find_other(table: Table, layout: Layout) -> Problem | None:
    """Return the problem of a file of another kind, such as one of groups in place of roles; None if there is none.

    Such a file has all required headings of the other kind, and none of the optional ones of this kind. Its rows would
    be valid: they would add roles without permissions.
    """
    if any(column.field in table.cells.columns for column in layout.optional):
        return None
    headings = {normalize_heading(heading) for heading in table.file.headings}
    for other in ENTRIES:
        required = [column.heading for column in other.required]
        if headings.issuperset(required) and not layout.by_heading.keys() >= {*required}:
            missing = ", ".join(column.heading for column in layout.optional)
            return Problem.of("other-layout", headings=", ".join(required), missing=missing)
    return None


def _make_schema(present: Sequence[Column]) -> dict[str, type[pl.DataType]]:
    return {"row": pl.UInt32, **{column.field: pl.String for column in present}}


def find_repeated(keys: Iterable[tuple[int, str]], column: Column, texts: Mapping[int, str]) -> list[Problem]:
    """Return the problem of every row whose key is in another row too.

    `keys`: the row and the key of each entry. `texts`: the cell of each row.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for row, key in keys:
        places[key].append(row)
    return [
        Problem.of("duplicate-in-file", row, column.heading, texts[row], in_rows=list_others(rows, row), advice="")
        for rows in places.values()
        if len(rows) > 1
        for row in rows
    ]


def list_others(rows: Sequence[int], row: int) -> str:
    """Return the other rows as text, at most a few of them."""
    others = [str(other) for other in rows[: _LISTED + 1] if other != row][:_LISTED]
    return ", ".join(others) + (", …" if len(rows) - 1 > _LISTED else "")


def make_adviser(names: Iterable[str]) -> Callable[[str], str]:
    """Return a function that returns “Did you mean …?” for a wrong name, "" if no name is near.

    It looks only for a limited number of names, in a limited number of names: a wrong file has many.
    """
    known = list(names)
    by_key = {fold(name): name for name in known[:_MOST_COMPARED]}
    found: dict[str, str] = {}

    def advise(wrong: str) -> str:
        if wrong not in found:
            if len(found) >= _MOST_ADVISED:
                return ""
            close = difflib.get_close_matches(fold(wrong), by_key, n=1)
            found[wrong] = f"Did you mean {by_key[close[0]]}?" if close else ""
        return found[wrong]

    return advise


def read_choice(text: str, choices: Mapping[str, object]) -> object | None:
    """Return the value of a word, regardless of case, or None if it is none of them. `choices`: word → value."""
    if text in choices:
        return choices[text]
    folded = text.casefold()
    return next((value for word, value in choices.items() if word.casefold() == folded), None)


def flag_choice(row: int, column: Column, text: str, choices: Iterable[str]) -> Problem:
    """Return the problem of a word that is none of the choices."""
    words = list(choices)
    close = difflib.get_close_matches(fold(text), [fold(word) for word in words], n=1, cutoff=0.5)
    near = next((word for word in words if close and fold(word) == close[0]), "")
    advice = f"Did you mean {near}?" if near else ""
    return Problem.of("invalid-choice", row, column.heading, text, choices=", ".join(words), advice=advice)
