"""The plan of a file of ranks: names, abbreviations, and their order."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from musterbook.core.domain.columns import ABBREVIATION, ORDER, RANK_NAME, RANKS
from musterbook.core.domain.policy import Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.planning.entries import assembling
from musterbook.core.planning.entries import rows as reading
from musterbook.core.planning.entries.assembling import Judgement, Outcome
from musterbook.core.planning.entries.rows import CheckedRows
from musterbook.core.planning.entries.state import EntryState, StoredRank
from musterbook.core.planning.entry_changes import EntryChange, EntryKind
from musterbook.core.planning.plan import Plan
from musterbook.core.values.keys import fold

MOST_ROWS = 10_000


def make_plan(table: Table, state: EntryState, policy: Policy) -> Plan:
    """Return the plan of a file of ranks. A rank that it does not name, and a column that it does not have, stay.

    A rank with ORDER gets that place among all ranks; the others keep their order, and new ones come last.
    """
    return assembling.run(table, state, policy, RANKS, _judge, has_trailer=False, most=MOST_ROWS)


@dataclass
class _Row:
    """One row: what the rank is now (None: it is new), and what it will be. `place`: its ORDER, 0 for none."""

    number: int
    name: str
    key: str
    stored: StoredRank | None
    abbreviation: str = ""
    place: int = 0
    problems: list[Problem] = field(default_factory=list)


def _judge(checked: CheckedRows, state: EntryState, policy: Policy) -> Judgement:  # noqa: ARG001  (ranks give no permission)
    lines = list(checked.rows.iter_rows(named=True))
    names = {int(line["row"]): str(line["name"]) for line in lines if line["name"]}
    repeated = reading.find_repeated(((row, fold(name)) for row, name in names.items()), RANK_NAME, names)
    faulty = {*checked.faults["row"], *(problem.row for problem in repeated)}
    stored = {rank.key: rank for rank in state.ranks}
    rows = [_read_row(line, checked, stored) for line in lines if line["row"] not in faulty]
    _flag_places(rows)
    _flag_taken(rows, stored)
    ok = [row for row in rows if not row.problems]
    changes = list_changes(state.ranks, ok)
    by_key = {change.key: change for change in changes}
    return Judgement(
        names,
        [*repeated, *(problem for row in rows for problem in row.problems)],
        [_describe_row(row, by_key.get(row.key)) for row in ok],
        changes=changes,
    )


def _read_row(line: Mapping[str, Any], checked: CheckedRows, stored: Mapping[str, StoredRank]) -> _Row:
    number, name = int(line["row"]), str(line["name"])
    rank = stored.get(fold(name))
    row = _Row(number, name, fold(name), rank, rank.abbreviation if rank else "")
    if checked.has(ABBREVIATION):
        row.abbreviation = line["abbreviation"]
    text = line["order"] if checked.has(ORDER) else ""
    if text:
        if text.isascii() and text.isdecimal() and int(text[:_MOST_DIGITS]) > 0 and len(text) <= _MOST_DIGITS:
            row.place = int(text)
        else:
            row.problems.append(Problem.of("invalid-order", number, ORDER.heading, text))
    return row


_MOST_DIGITS = 6


def _flag_places(rows: Sequence[_Row]) -> None:
    """Flag the rows that have the ORDER of another row."""
    places = [(row.number, str(row.place)) for row in rows if row.place]
    by_row = {row.number: row for row in rows}
    for problem in reading.find_repeated(places, ORDER, dict(places)):
        by_row[problem.row].problems.append(problem)


def _flag_taken(rows: Sequence[_Row], stored: Mapping[str, StoredRank]) -> None:
    """Flag the rows that take a name or abbreviation of another rank in the final state, until nothing changes.

    Files name a rank by its name or its abbreviation, so no two ranks may share one (C6).
    """
    while True:
        ok = {row.key: row for row in rows if not row.problems}
        holders: dict[str, list[str]] = defaultdict(list)
        final = {key: rank.abbreviation for key, rank in stored.items()} | {
            k: row.abbreviation for k, row in ok.items()
        }
        for key, short in final.items():
            for word in {key, fold(short)} - {""}:
                holders[word].append(key)
        wrong = False
        for row in ok.values():
            for column, word in (RANK_NAME, row.key), (ABBREVIATION, fold(row.abbreviation)):
                others = [key for key in holders[word] if key != row.key]
                is_new = row.stored is None or (column is ABBREVIATION and fold(row.stored.abbreviation) != word)
                if word and others and is_new:
                    other = ok[others[0]].name if others[0] in ok else stored[others[0]].name
                    text = row.name if column is RANK_NAME else row.abbreviation
                    row.problems.append(Problem.of("rank-taken", row.number, column.heading, text, rank=other))
                    wrong = True
        if not wrong:
            return


def list_changes(stored: Sequence[StoredRank], rows: Sequence[_Row]) -> list[EntryChange]:
    """Return the changes of all ranks: of those of the rows, and of those that get another place because of them."""
    by_key = {row.key: row for row in rows}
    placed = sorted((row for row in rows if row.place), key=lambda row: row.place)
    moving = {row.key for row in placed}
    order = [
        key for key in [*(rank.key for rank in stored), *(r.key for r in rows if not r.stored)] if key not in moving
    ]
    for row in placed:
        order.insert(row.place - 1, row.key)
    before = {rank.key: get_values(rank, place) for place, rank in enumerate(stored)}
    final: dict[str, StoredRank | _Row] = {**{rank.key: rank for rank in stored}, **by_key}
    after = {key: get_values(final[key], place) for place, key in enumerate(order)}
    numbers = {row.key: row.number for row in rows}
    return [
        EntryChange(EntryKind.RANK, key, before.get(key), values, row=numbers.get(key, 0))
        for key, values in after.items()
        if before.get(key) != values
    ]


def get_values(rank: StoredRank | _Row, place: int) -> dict[str, Any]:
    """Return the values of a rank, as a change has them. `place`: its place among all ranks, from 0."""
    return {"name": rank.name, "abbreviation": rank.abbreviation, "position": place}


def _describe_row(row: _Row, change: EntryChange | None) -> Outcome:
    if change is None:
        return Outcome(row.number, row.name, "unchanged")
    outcome = "updated" if row.stored else "added"
    return Outcome(row.number, row.name, outcome, "", describe_values(change.before, change.after))


def describe_values(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, tuple[str, str]]:
    """Return what changes of a rank: heading → before and after."""
    return assembling.compare(_name_values(before), _name_values(after))


def _name_values(values: Mapping[str, Any] | None) -> dict[str, str]:
    if values is None:
        return {}
    return {
        RANK_NAME.heading: values["name"],
        ABBREVIATION.heading: values["abbreviation"],
        ORDER.heading: str(values["position"] + 1),
    }
