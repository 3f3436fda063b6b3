"""The column that each heading of a file means, and the problems of a header row."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from musterbook.core.domain.columns import USERS, Column, Layout
from musterbook.core.domain.problems import Problem
from musterbook.core.values.text import TRIMMED

OWN_PREFIX = "X_"
_MAX_EDITS = 2
_SHOWN_LENGTH = 40
_MIN_LIKENESS = 0.6


@dataclass(frozen=True, slots=True)
class Headings:
    """The contents of a header row.

    - `columns`: the columns by their position.
    - `own_columns`, `ignored`, `blank`: the positions of our own (`X_…`), ignored and blank headings.
    - `problems`: everything that is wrong with the header row.
    - `layout`: the columns that a file of its kind has.

    Positions count from 0.
    """

    columns: Mapping[int, Column]
    own_columns: tuple[int, ...] = ()
    ignored: tuple[int, ...] = ()
    blank: tuple[int, ...] = ()
    problems: tuple[Problem, ...] = ()
    layout: Layout = USERS

    @property
    def complete(self) -> bool:
        """Return whether every required column is present."""
        return set(self.layout.required) <= set(self.columns.values())


def normalize_heading(heading: str) -> str:
    """Return a heading in the form that is compared (rule F4): ` Badge-number ` is `BADGE_NUMBER`."""
    text = heading.strip(TRIMMED)
    if text[:2] in ("'=", "'+", "'-", "'@"):
        text = text[1:]
    return re.sub(r"[\s_-]+", "_", text).casefold().upper()


def count_known(cells: Iterable[str], mapping: Mapping[str, str], layout: Layout = USERS) -> int:
    """Return how many of the cells name a column."""
    mapped = {normalize_heading(heading) for heading in mapping}
    known = layout.by_heading
    return len({name for cell in cells if (name := normalize_heading(cell)) in known or name in mapped})


def format_position(index: int) -> str:
    """Return the position of a column in a form that people can find: `14 (N)`."""
    letters, rest = "", index + 1
    while rest:
        rest, letter = divmod(rest - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{index + 1} ({letters})"


def quote_text(heading: str) -> str:
    """Return a heading in quotation marks, cut to a length that fits into a sentence."""
    text = heading.strip(TRIMMED)
    return f"“{text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + '…'}”"


def merge_mappings(remembered: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return two mappings as one.

    A given entry takes precedence over a remembered one with the same heading or column.
    """
    headings, columns = ({normalize_heading(name) for name in names} - {""} for names in (given, given.values()))
    remaining = {
        heading: column
        for heading, column in remembered.items()
        if normalize_heading(heading) not in headings and normalize_heading(column) not in columns
    }
    return remaining | dict(given)


def resolve_headings(
    cells: Sequence[str], given: Mapping[str, str], remembered: Mapping[str, str], layout: Layout = USERS
) -> Headings:
    """Find the columns of a header row of a file of that layout.

    Both mappings are heading → column, "" for a heading to be ignored. Mappings in `given` are for this file and must
    match it. Mappings in `remembered` are from another file, and are skipped where this file has no such heading or
    does not need it.
    """
    names = [normalize_heading(cell) for cell in cells]
    mapping = {
        normalize_heading(heading): normalize_heading(column)
        for heading, column in merge_mappings(remembered, given).items()
    }
    strict = {normalize_heading(heading) for heading in given}
    known = layout.by_heading
    problems = [
        *_check_mappings(names, given, known, strict=True),
        *_check_mappings(names, remembered, known, strict=False),
    ]
    targets = [_resolve_name(name, names, mapping, name in strict) for name in names]
    columns = {index: known[column] for index, column in enumerate(targets) if column in known}
    rest = [index for index in range(len(names)) if index not in columns]
    ours = tuple(
        index for index in rest if names[index].startswith(OWN_PREFIX) or (names[index] and targets[index] == "")
    )
    blank = tuple(index for index in rest if not names[index])
    unknown = [index for index in rest if index not in ours and index not in blank]
    problems += [*_find_missing(cells, columns, unknown, layout), *_find_duplicates(cells, columns)]
    misspelt = dict(_find_misspelt(cells, columns, unknown, layout))
    ignored = tuple(index for index in unknown if index not in misspelt)
    return Headings(columns, ours, ignored, blank, (*problems, *misspelt.values()), layout)


def _resolve_name(name: str, names: Sequence[str], mapping: Mapping[str, str], strict: bool) -> str:
    """Return the column that a heading means.

    Return "" for a heading to be ignored, and the heading's own name for any other.
    """
    column = mapping.get(name, name)
    if column != name and column in names and column not in mapping and not strict:
        return name
    return column


def _check_mappings(
    names: Sequence[str], mapping: Mapping[str, str], known: Mapping[str, Column], *, strict: bool
) -> Iterable[Problem]:
    for heading, column in mapping.items():
        pair = f"{heading}={column}"
        if normalize_heading(column) and normalize_heading(column) not in known:
            yield Problem.of("unknown-mapping", value=pair, cause=f"there is no column {quote_text(column)}")
        elif strict and normalize_heading(heading) not in names:
            yield Problem.of("unknown-mapping", value=pair, cause=f"the file has no heading {quote_text(heading)}")


def _find_missing(
    cells: Sequence[str], columns: Mapping[int, Column], unknown: Sequence[int], layout: Layout
) -> Iterable[Problem]:
    for column in layout.required:
        if column not in columns.values():
            near = _find_nearest(column, [cells[index] for index in unknown])
            guess = f"{quote_text(near)}: did you mean {column.heading}?" if near else ""
            advice = f"Or map the heading {quote_text(near)} to it by hand." if near else ""
            yield Problem.of("missing-column", column=column.heading, guess=guess, advice=advice)


def _find_nearest(column: Column, headings: Sequence[str]) -> str:
    """Return the heading most similar to a column's name, "" if none is similar."""
    alike = [(_measure_likeness(column.heading, normalize_heading(heading)), heading) for heading in headings]
    best = max(alike, default=(0.0, ""))
    return best[1] if best[0] >= _MIN_LIKENESS else ""


def _measure_likeness(column: str, heading: str) -> float:
    if len(heading) > _SHOWN_LENGTH or len(heading) < 2:
        return 0.0
    one, other = column.replace("_", ""), heading.replace("_", "")
    shared = set(column.split("_")) & set(heading.split("_"))
    contained = one in other or other in one or bool(shared - {"NUMBER", "NAME", "ID"})
    return max(SequenceMatcher(None, column, heading).ratio(), _MIN_LIKENESS if contained else 0.0)


def _find_duplicates(cells: Sequence[str], columns: Mapping[int, Column]) -> Iterable[Problem]:
    for column in dict.fromkeys(columns.values()):
        indexes = [index for index, other in columns.items() if other is column]
        if len(indexes) > 1:
            where = " and ".join(
                f"column {format_position(index)}, {quote_text(cells[index])}" for index in indexes[:5]
            )
            yield Problem.of("duplicate-column", column=column.heading, places=where)


def _find_misspelt(
    cells: Sequence[str], columns: Mapping[int, Column], unknown: Sequence[int], layout: Layout
) -> Iterable[tuple[int, Problem]]:
    absent = [column for column in layout.optional if column not in columns.values()]
    for index in unknown:
        for column in absent:
            if edit_distance(normalize_heading(cells[index]), column.heading) <= _MAX_EDITS:
                yield index, Problem.of("misspelt-column", column=column.heading, value=cells[index].strip(TRIMMED))
                break


def edit_distance(one: str, other: str) -> int:
    """Return how many letters to add, drop or change to turn one word into the other.

    Any number above 2 is returned as 3.
    """
    if abs(len(one) - len(other)) > _MAX_EDITS:
        return _MAX_EDITS + 1
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, opposite in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (letter != opposite))
    return min(row[-1], _MAX_EDITS + 1)
