"""The file's own values: “Terminated” in a file is read as the agency's Inactive, if someone has mapped it so (F13).

A mapping takes precedence over a name that the agency has. Only the few distinct cells of a column are looked at, and
the cells get the text that the directory has, so that unchanged rows stay on the fast path.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import polars as pl

from musterbook.core.checking.cells import STATES
from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column
from musterbook.core.domain.file_values import MAPPED, FileValues, Meanings
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Role, Vocabulary
from musterbook.core.values import names, text
from musterbook.core.values.keys import fold

_MOST_LISTED = 10
_NOUNS = {"STATUS": "status", "ROLE": "role", "RANK": "rank", "EVIDENCE_GROUP_EXT_ID": "group with the external ID"}
_INACTIVE = (
    "terminated",
    "t",
    "separated",
    "retired",
    "resigned",
    "deceased",
    "disabled",
    "former",
    "i",
    "no",
    "false",
    "0",
    "inactivo",
    "inactiva",
    "baja",
    "inaktiv",
    "ausgeschieden",
)
_ACTIVE = (
    "a",
    "current",
    "employed",
    "enabled",
    "active duty",
    "yes",
    "true",
    "1",
    "activo",
    "activa",
    "alta",
    "aktiv",
)
_STATUS_WORDS = dict.fromkeys(_INACTIVE, "Inactive") | dict.fromkeys(_ACTIVE, "Active")
"""What other programs write as a status, as a suggestion. Nothing is read so unless someone says so."""


def normalize_value(value: str) -> str:
    """Return a value of a file in the form that is compared: trimmed, and without regard to case."""
    return fold(text.clean(pl.Series([value]), guarded=True)[0])


def merge_meanings(remembered: Meanings, given: Meanings) -> dict[str, dict[str, str]]:
    """Return two mappings as one. A given entry takes precedence over a remembered one with the same value."""
    merged = {column: dict(pairs) for column, pairs in remembered.items()}
    for column, pairs in given.items():
        keys = {normalize_value(theirs) for theirs in pairs}
        others = {
            theirs: ours for theirs, ours in merged.get(column, {}).items() if normalize_value(theirs) not in keys
        }
        merged[column] = others | dict(pairs)
    return merged


def keep_allowed(given: Meanings, above: Iterable[int], words: Vocabulary) -> dict[str, dict[str, str]]:
    """Return the entries that an operator may have remembered: none for a role above their own, by their ids (M10)."""
    barred = {role.name for role in words.roles if role.id in set(above)}
    kept = {
        heading: {
            theirs: ours
            for theirs, ours in pairs.items()
            if heading != columns.ROLE.heading or name_value(columns.ROLE, ours, words) not in barred
        }
        for heading, pairs in given.items()
    }
    return {heading: pairs for heading, pairs in kept.items() if pairs}


def name_value(column: Column, value: str, words: Vocabulary) -> str | None:
    """Return the agency's value that a cell of the column means, as the directory has it. Return None if it has none.

    A blank value is "" in an optional column.
    """
    clean = text.clean(pl.Series([value]), guarded=False)[0]
    if not clean and not column.required:
        return ""
    if column is columns.STATUS:
        active = STATES.get(fold(clean))
        return None if active is None else "Active" if active else "Inactive"
    if column is columns.EVIDENCE_GROUP_EXT_ID:
        return next((group.external_id for group in words.groups if group.external_id == clean), None)
    if column is columns.ROLE:
        role = find_role(clean, words)
        return role.name if role else None
    named = names.index_ranks(words.ranks).get(fold(clean))
    return next((rank.name for rank in words.ranks if rank.id == named), None)


def find_role(value: str, words: Vocabulary) -> Role | None:
    """Return the role that a cell of ROLE means, or None."""
    named = names.index_roles(words.roles).get(fold(value))
    return next((role for role in words.roles if role.id == named), None)


def list_names(column: Column, words: Vocabulary) -> dict[str, str]:
    """Return what a cell of the column may contain → the agency's value, including the abbreviations of ranks."""
    if column is columns.STATUS:
        return {"Active": "Active", "Inactive": "Inactive"}
    if column is columns.ROLE:
        return {role.name: role.name for role in words.roles}
    if column is columns.RANK:
        short = {rank.abbreviation: rank.name for rank in words.ranks if rank.abbreviation}
        return short | {rank.name: rank.name for rank in words.ranks}
    return {group.external_id: group.external_id for group in words.groups if group.active}


def suggest_value(heading: str, value: str, words: Vocabulary) -> str:
    """Return the agency's value that is nearest to a value of a file, or "" if none is near."""
    column, key = columns.BY_HEADING[heading], normalize_value(value)
    if column is columns.STATUS and key in _STATUS_WORDS:
        return _STATUS_WORDS[key]
    near = {fold(name): meant for name, meant in list_names(column, words).items()}
    close = difflib.get_close_matches(key, near, n=1)
    return near[close[0]] if close else ""


def list_near(heading: str, value: str, words: Vocabulary) -> list[str]:
    """Return the agency's values that are near a value of a file, the nearest first."""
    column, key = columns.BY_HEADING[heading], normalize_value(value)
    first = [_STATUS_WORDS[key]] if column is columns.STATUS and key in _STATUS_WORDS else []
    near = {fold(name): meant for name, meant in list_names(column, words).items()}
    return list(dict.fromkeys([*first, *(near[close] for close in difflib.get_close_matches(key, near))]))


def find_unusable(given: Meanings, words: Vocabulary) -> Iterator[Problem]:
    """Yield the problem of each given entry whose value on the right is not one of the agency's."""
    for heading, pairs in given.items():
        column = columns.BY_HEADING[heading]
        for theirs, ours in pairs.items():
            if name_value(column, ours, words) is None:
                cause = f"there is no {_NOUNS[heading]} “{ours}”" if ours else f"{heading} cannot be blank"
                near = suggest_value(heading, ours, words)
                suggestion = f"Did you mean {near}?" if near else ""
                value = f"{heading}:{theirs}={ours}"
                yield Problem.of("unknown-meaning", column=heading, value=value, cause=cause, suggestion=suggestion)


def translate_cells(table: Table, values: FileValues, words: Vocabulary) -> tuple[Table, list[Problem]]:
    """Return the table with the agency's values in its cells, and a note for each column that has mapped values.

    A remembered entry whose value the agency no longer has is skipped.
    """
    notes: list[Problem] = []
    for heading, pairs in merge_meanings(values.remembered, values.given).items():
        column = columns.BY_HEADING[heading]
        if column not in MAPPED or column not in table.present:
            continue
        usable = {theirs: name_value(column, ours, words) for theirs, ours in pairs.items()}
        cells = table.cells[column.field]
        found = _find_mapped(
            column, cells, {theirs: ours for theirs, ours in usable.items() if ours is not None}, table, words
        )
        if found:
            put = cells.replace_strict(
                [*found], [ours for _, ours in found.values()], default=cells, return_dtype=pl.String
            )
            notes += _describe_mapped(column, cells, found, words)
            table = replace(table, cells=table.cells.with_columns(put.alias(column.field)))
    return table, notes


def _find_mapped(
    column: Column, cells: pl.Series, pairs: Mapping[str, str], table: Table, words: Vocabulary
) -> dict[str, tuple[str, str]]:
    """Return the distinct cells that are mapped → the entry's value in the file, and the agency's value."""
    exact = {text.clean(pl.Series([theirs]), guarded=False)[0]: (theirs, ours) for theirs, ours in pairs.items()}
    folded = {normalize_value(theirs): (theirs, ours) for theirs, ours in pairs.items()}
    # Groups are compared exactly: a value in another case can be another group.
    own = {group.external_id for group in words.groups} if column is columns.EVIDENCE_GROUP_EXT_ID else set()
    distinct = cells.unique()
    found: dict[str, tuple[str, str]] = {}
    for cell, clean in zip(distinct, text.clean(distinct, guarded=table.guarded), strict=True):
        entry = exact.get(clean) or (None if clean in own else folded.get(fold(clean)))
        if clean and entry:
            found[cell] = entry
    return found


def _describe_mapped(
    column: Column, cells: pl.Series, found: Mapping[str, tuple[str, str]], words: Vocabulary
) -> Iterator[Problem]:
    rows: Counter[tuple[str, str]] = Counter()
    counted = cells.filter(cells.is_in([*found])).value_counts()
    for cell, number in counted.iter_rows():
        rows[found[cell]] += number
    listed = [f"“{theirs}” → “{ours}” ({number:,})" for (theirs, ours), number in rows.most_common(_MOST_LISTED)]
    more = [f"and {len(rows) - _MOST_LISTED} more"] if len(rows) > _MOST_LISTED else []
    yield Problem.of("mapped-values", column=column.heading, values=", ".join([*listed, *more]))
    for (theirs, ours), number in rows.most_common(_MOST_LISTED):
        own = name_value(column, theirs, words)
        if own is not None and own != ours:
            yield Problem.of(
                "mapped-name", column=column.heading, value=theirs, ours=ours or "blank", rows=f"{number:,}"
            )
