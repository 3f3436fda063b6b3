"""The plan of a file of groups: names, states, and which group is part of which."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from musterbook.core.domain.columns import GROUP_ID, GROUP_NAME, GROUP_STATUS, GROUPS, PARENT_EXT_ID
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.planning.entries import assembling, parents
from musterbook.core.planning.entries import rows as reading
from musterbook.core.planning.entries.assembling import Judgement, Outcome
from musterbook.core.planning.entries.rows import CheckedRows
from musterbook.core.planning.entries.state import EntryState, StoredGroup
from musterbook.core.planning.entry_changes import EntryChange, EntryKind
from musterbook.core.planning.plan import Plan

STATES = {"Active": True, "Deleted": False}
"""The words of STATUS → whether the group is active."""
SHORTEST, LONGEST = 3, 128
"""The number of characters that a name has."""
MOST_ROWS = 200_000
_MOST_ATTEMPTS = 20
"""How often the parents are settled: each row that fails may close another circle. Then all changed parents fail."""


def make_plan(table: Table, state: EntryState, policy: Policy) -> Plan:
    """Return the plan of a file of groups.

    A column that the file does not have leaves its value as it is; if the named groups are synchronized, it counts as blank
    (an active group, in no other one). No group that the file does not name changes.
    """
    return assembling.run(table, state, policy, GROUPS, _judge, has_trailer=True, most=MOST_ROWS)


@dataclass
class _Row:
    """One row: what the group is now (None: it is new), and what it will be."""

    number: int
    id: str
    stored: StoredGroup | None
    name: str = ""
    active: bool = True
    parent: str = ""
    problems: list[Problem] = field(default_factory=list)

    def flag(self, problem: Problem) -> None:
        self.problems.append(problem)


def _judge(checked: CheckedRows, state: EntryState, policy: Policy) -> Judgement:
    faulty = set(checked.faults["row"])
    lines = list(checked.rows.iter_rows(named=True))
    ids = {int(line["row"]): str(line["external_id"]) for line in lines if line["external_id"]}
    sync = policy.mode is Mode.SYNC
    rows = [_read_row(line, checked, state, sync=sync) for line in lines if line["row"] not in faulty]
    by_row = {row.number: row for row in rows}
    for problem in reading.find_repeated(((row, id_) for row, id_ in ids.items()), GROUP_ID, ids):
        if problem.row in by_row:
            by_row[problem.row].flag(problem)
        else:
            by_row[problem.row] = _Row(problem.row, ids[problem.row], None, problems=[problem])
    _settle_parents(rows, state)
    changes = [_make_change(row) for row in rows if not row.problems]
    outcomes = [
        Outcome(row.number, row.id, _decide(row), row.name, _describe(row.stored, row))
        for row in rows
        if not row.problems
    ]
    deleted = [
        row.stored.id for row in rows if not row.problems and row.stored and row.stored.active and not row.active
    ]
    losses = state.find_users("group", deleted)
    return Judgement(
        ids,
        [problem for row in by_row.values() for problem in row.problems],
        outcomes,
        changes=[change for change in changes if change.before != change.after],
        losses=losses,
    )


def _read_row(line: Mapping[str, Any], checked: CheckedRows, state: EntryState, *, sync: bool) -> _Row:
    number, stored = int(line["row"]), state.groups.get(line["external_id"])
    row = _Row(number, line["external_id"], stored, line["name"])
    row.active = True if stored is None or sync else stored.active
    row.parent = "" if stored is None or sync else stored.parent
    if not SHORTEST <= len(row.name) <= LONGEST and not (stored and stored.name == row.name):
        row.flag(Problem.of("name-length", number, GROUP_NAME.heading, row.name, length=f"{len(row.name):,}"))
    if checked.has(GROUP_STATUS):
        text = line["status"]
        active = reading.read_choice(text, STATES)
        if not text:
            row.flag(Problem.of("required", number, GROUP_STATUS.heading))
        elif active is None:
            row.flag(reading.flag_choice(number, GROUP_STATUS, text, STATES))
        else:
            row.active = bool(active)
    if checked.has(PARENT_EXT_ID):
        row.parent = line["parent_ext_id"]
    return row


def _settle_parents(rows: list[_Row], state: EntryState) -> None:
    """Flag the rows whose parent does not exist in the final state, or closes a circle, until nothing changes."""
    advise = reading.make_adviser(state.groups)
    stored = {group.external_id: group.parent for group in state.groups.values()}
    for attempt in range(_MOST_ATTEMPTS):
        _flag_unknown(rows, stored.keys(), advise)
        ok = {row.id: row for row in rows if not row.problems}
        circles = parents.find_circles(stored, {row.id: row.parent for row in ok.values()})
        if circles and attempt == _MOST_ATTEMPTS - 1:
            circles |= {row.id: "…" for row in ok.values() if row.parent != stored.get(row.id, "")}
        for id_, path in circles.items():
            row = ok[id_]
            row.flag(Problem.of("group-circle", row.number, PARENT_EXT_ID.heading, row.parent, path=path))
        if not circles:
            return
    _flag_unknown(rows, stored.keys(), advise)


def _flag_unknown(rows: list[_Row], stored: AbstractSet[str], advise: Callable[[str], str]) -> None:
    """Flag the rows whose parent neither exists nor is added. A new group whose row fails is not added."""
    ok = [row for row in rows if not row.problems]
    known = stored | {row.id for row in ok}
    children: dict[str, list[_Row]] = defaultdict(list)
    for row in ok:
        children[row.parent].append(row)
    missing = [parent for parent in children if parent and parent not in known]
    while missing:
        parent = missing.pop()
        for row in children[parent]:
            row.flag(Problem.of("no-such-group", row.number, PARENT_EXT_ID.heading, parent, advice=advise(parent)))
            if row.stored is None and row.id in children:
                missing.append(row.id)


def _decide(row: _Row) -> str:
    if row.stored is None:
        return "added"
    return "updated" if _describe(row.stored, row) else "unchanged"


def get_values(group: StoredGroup | _Row) -> dict[str, Any]:
    """Return the values of a group, as a change has them."""
    return {"name": group.name, "active": group.active, "parent": group.parent}


def _make_change(row: _Row) -> EntryChange:
    before = get_values(row.stored) if row.stored else None
    return EntryChange(EntryKind.GROUP, row.id, before, get_values(row), row=row.number)


def _describe(stored: StoredGroup | None, row: _Row) -> dict[str, tuple[str, str]]:
    return describe_values(get_values(stored) if stored else None, get_values(row))


def describe_values(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, tuple[str, str]]:
    """Return what changes of a group: heading → before and after."""
    return assembling.compare(_name_values(before), _name_values(after))


def _name_values(values: Mapping[str, Any] | None) -> dict[str, str]:
    if values is None:
        return {}
    words = {active: word for word, active in STATES.items()}
    return {
        GROUP_NAME.heading: values["name"],
        GROUP_STATUS.heading: words[values["active"]],
        PARENT_EXT_ID.heading: values["parent"],
    }
