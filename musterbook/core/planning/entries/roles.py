"""The plan of a file of roles: which permissions each has, and whether its users need a second factor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from musterbook.core.domain.columns import PERMISSIONS, ROLE_NAME, ROLES, SECOND_FACTOR
from musterbook.core.domain.policy import Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.planning.entries import assembling
from musterbook.core.planning.entries import rows as reading
from musterbook.core.planning.entries.assembling import Judgement, Outcome
from musterbook.core.planning.entries.rows import CheckedRows
from musterbook.core.planning.entries.state import EntryState, StoredRole
from musterbook.core.planning.entry_changes import EntryChange, EntryKind
from musterbook.core.planning.plan import Plan
from musterbook.core.values.keys import fold

ANSWERS = {"Yes": True, "No": False}
"""The words of SECOND_FACTOR."""
EVERY = "all"
"""The word for every permission, which only the role of administrators has."""
SEPARATOR = "; "
MOST_ROWS = 10_000


def make_plan(table: Table, state: EntryState, policy: Policy) -> Plan:
    """Return the plan of a file of roles. A role that it does not name, and a column that it does not have, stay."""
    return assembling.run(table, state, policy, ROLES, _judge, has_trailer=False, most=MOST_ROWS)


@dataclass
class _Row:
    """One row: what the role is now (None: it is new), and what it will be."""

    number: int
    name: str
    key: str
    stored: StoredRole | None
    permissions: frozenset[str] = frozenset()
    second_factor: bool = False
    problems: list[Problem] = field(default_factory=list)


def _judge(checked: CheckedRows, state: EntryState, policy: Policy) -> Judgement:
    lines = list(checked.rows.iter_rows(named=True))
    names = {int(line["row"]): str(line["name"]) for line in lines if line["name"]}
    repeated = reading.find_repeated(((row, fold(name)) for row, name in names.items()), ROLE_NAME, names)
    faulty = {*checked.faults["row"], *(problem.row for problem in repeated)}
    stored = {role.key: role for role in state.roles}
    rows = [_read_row(line, checked, state, stored) for line in lines if line["row"] not in faulty]
    for row in rows:
        if not row.problems:
            row.problems += check_authority(
                row.number, get_values(row.stored), get_values(row), row.stored, state, policy
            )
    ok = [row for row in rows if not row.problems]
    return Judgement(
        names,
        [*repeated, *(problem for row in rows for problem in row.problems)],
        [
            Outcome(row.number, row.name, _decide(row), "", describe_values(get_values(row.stored), get_values(row)))
            for row in ok
        ],
        changes=[
            EntryChange(EntryKind.ROLE, row.key, get_values(row.stored), get_values(row), row=row.number)
            for row in ok
            if _decide(row) != "unchanged"
        ],
        losses=state.find_users("role", _list_ids(ok, lose=True)),
        privileges=state.find_users("role", _list_ids(ok, lose=False)),
    )


def _list_ids(rows: Sequence[_Row], *, lose: bool) -> list[int]:
    """Return the ids of the roles that lose a permission, or that gain one."""
    known = [(row.stored, row.permissions) for row in rows if row.stored]
    return [role.id for role, now in known if (role.permissions - now if lose else now - role.permissions)]


def _read_row(
    line: Mapping[str, Any], checked: CheckedRows, state: EntryState, stored: Mapping[str, StoredRole]
) -> _Row:
    number, name = int(line["row"]), str(line["name"])
    role = stored.get(fold(name))
    row = _Row(number, role.name if role and role.administrator else name, fold(name), role)
    if role:
        row.permissions, row.second_factor = role.permissions, role.second_factor
    if checked.has(PERMISSIONS):
        _read_permissions(row, line["permissions"], state)
    if checked.has(SECOND_FACTOR):
        text = line["second_factor"]
        answer = reading.read_choice(text, ANSWERS) if text else False
        if answer is None:
            row.problems.append(reading.flag_choice(number, SECOND_FACTOR, text, ANSWERS))
        row.second_factor = bool(answer)
    return row


def _read_permissions(row: _Row, text: str, state: EntryState) -> None:
    """Read the permissions of a cell. That of administrators has every permission, and says so or nothing."""
    parts = [part.strip() for part in text.replace(",", ";").split(";") if part.strip()]
    if row.stored and row.stored.administrator:
        if parts and parts != [EVERY] and set(parts) != state.permissions:
            row.problems.append(Problem.of("fixed-role", row.number, PERMISSIONS.heading, text, role=row.name))
        return
    advise = reading.make_adviser(sorted(state.permissions))
    for part in dict.fromkeys(parts):
        if part not in state.permissions:
            row.problems.append(
                Problem.of("unknown-permission", row.number, PERMISSIONS.heading, part, advice=advise(part))
            )
    row.permissions = frozenset(parts)


def check_authority(
    row: int,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    stored: StoredRole | None,
    state: EntryState,
    policy: Policy,
) -> list[Problem]:
    """Return the problem of a change that the operator may not make.

    Nobody gives or takes a permission that their own role lacks, changes a role that has one, or takes one from themselves.
    """
    if policy.operator is None or before == after:
        return []
    was, now = (frozenset(values["permissions"] if values else ()) for values in (before, after))
    lacking = sorted((was | now) - policy.operator.permissions)
    if lacking:
        return [Problem.of("foreign-permission", row, PERMISSIONS.heading, permissions=SEPARATOR.join(lacking))]
    lost = sorted(was - now)
    if lost and stored and stored.id == state.own_role:
        return [Problem.of("own-role", row, PERMISSIONS.heading, permissions=SEPARATOR.join(lost))]
    return []


def get_values(role: StoredRole | _Row | None) -> dict[str, Any] | None:
    """Return the values of a role, as a change has them, or None if there is none."""
    if role is None:
        return None
    return {"name": role.name, "permissions": sorted(role.permissions), "second_factor": role.second_factor}


def _decide(row: _Row) -> str:
    if row.stored is None:
        return "added"
    return "updated" if get_values(row.stored) != get_values(row) else "unchanged"


def describe_values(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, tuple[str, str]]:
    """Return what changes of a role: heading → before and after."""
    return assembling.compare(_name_values(before), _name_values(after))


def _name_values(values: Mapping[str, Any] | None) -> dict[str, str]:
    if values is None:
        return {}
    words = {answer: word for word, answer in ANSWERS.items()}
    return {
        ROLE_NAME.heading: values["name"],
        PERMISSIONS.heading: SEPARATOR.join(values["permissions"]),
        SECOND_FACTOR.heading: words[values["second_factor"]],
    }
