"""One user added or edited by hand: a table of one row, processed in the same way as the rows of a file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import polars as pl
from django.db import transaction
from django.db.models import QuerySet

from musterbook.core.domain import columns
from musterbook.core.domain.decisions import AS_GIVEN
from musterbook.core.domain.policy import Mode, Operator, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.planning import plan as planning
from musterbook.core.planning import rekeys
from musterbook.core.planning.authority import find_roles_above
from musterbook.core.planning.evaluate import STRICT_NOTES
from musterbook.core.planning.plan import Plan
from musterbook.core.reporting import report
from musterbook.core.reporting.report import RowFilter
from musterbook.core.values import text
from musterbook.core.values.keys import fold, make_key
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries, writer
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import locks
from musterbook.directory.users import marks

PERMISSION = "users.edit"
_REFUSALS = ("above-your-role", "registered-address", "registered-id", "own-account", "last-administrator")
_SENT_TWICE = timedelta(minutes=1)
RELATED = ("role", "rank", "group", "supervisor", "account")
"""What is read with a user for `build_row`."""
MOST_NUMBER = 2**63 - 1
"""The highest number that a user can have."""

Row = Mapping[str, str]
"""Heading → text: the thirteen columns, and the marks of `marks.FIELDS`."""


MarkChanges = Mapping[str, tuple[str, str]]
"""Mark → its text before and after."""


Check = Callable[[models.User], None]
"""What may refuse a change by an error: it gets the user as they are within the lock of the change."""


class UnknownUser(Exception):
    """The agency has no such user."""


def accept(_user: models.User) -> None:
    """Refuse no change."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A value that another user has written meanwhile: the heading, the value that was shown, and the current value."""

    heading: str
    shown: str
    now: str


@dataclass(frozen=True, slots=True)
class EditResult:
    """The result of an edit. Nothing was changed if there are problems or conflicts.

    `user`: the current user; for `add` with `already_exists`, the user who already has the external ID. `changes`: heading →
    before, after. `notes`: information that prevents nothing.
    """

    user: models.User | None = None
    changes: report.Changes | None = None
    problems: Sequence[Problem] = ()
    notes: Sequence[Problem] = ()
    conflicts: Sequence[Conflict] = ()
    already_exists: bool = False

    @property
    def done(self) -> bool:
        """Return whether the user is now as requested."""
        return not (self.problems or self.conflicts or self.already_exists)


def find_user(agency: models.Agency, number: int) -> models.User:
    """Return the agency's user with this number, and all that a row of them needs. Raise UnknownUser."""
    return _find(agency, number, models.User.objects.select_related(*RELATED))


def find_alone(agency: models.Agency, number: int) -> models.User:
    """Return the same user. What belongs to them is read only if it is asked for."""
    return _find(agency, number, models.User.objects.all())


def _find(agency: models.Agency, number: int, users: QuerySet[models.User]) -> models.User:
    found = list(users.filter(agency=agency, pk=number)) if number <= MOST_NUMBER else []
    if not found:
        raise UnknownUser(str(number))
    found[0].agency = agency
    return found[0]


def find_named(agency: models.Agency, text: str, number: int | None = None) -> models.User:
    """Return the agency's user with this email address or external ID, or else with this number.

    Raise UnknownUser.
    """
    users = models.User.objects.filter(agency=agency)
    user = users.filter(email_key=make_key(text.strip())).first() or users.filter(external_id=text).first()
    if user is None and number is not None:
        user = users.filter(pk=number).first()
    if user is None:
        raise UnknownUser(text)
    return user


def build_row(user: models.User) -> dict[str, str]:
    """Return the user as a row of a file, with their marks."""
    values = {
        "status": "Active" if user.active else "Inactive",
        "role": user.role.name,
        "supervisor_email": user.supervisor.email if user.supervisor else "",
        "rank": user.rank.name if user.rank else "",
        "evidence_group_ext_id": user.group.external_id if user.group else "",
    }
    row = {
        column.heading: values[column.field] if column.field in values else getattr(user, column.field)
        for column in columns.COLUMNS
    }
    return row | marks.read_texts(user)


def edit(user: models.User, typed: Row, shown: Row, context: AuditContext, check: Check = accept) -> EditResult:
    """Change the values that differ from those `shown`; all others stay as they are now.

    They stay even if they differ from what was shown. A value that another user has meanwhile changed to something
    else is a conflict. Raise NotPermitted, snapshot_queries.UnknownOperator, and what `check` raises.
    """
    with _lock_users(user.agency):
        operator = _read_operator(user.agency, context, PERMISSION)
        current = find_user(user.agency, user.pk)
        check(current)
        now = build_row(current)
        changes = {
            heading: value for heading, value in marks.clean_row(typed).items() if value != shown.get(heading, "")
        }
        conflicts = [
            Conflict(heading, shown.get(heading, ""), now[heading])
            for heading, value in changes.items()
            if now[heading] not in (value, shown.get(heading, ""))
        ]
        if conflicts:
            return EditResult(user, conflicts=conflicts)
        return _change_user(user, {**now, **changes}, now, context, operator)


def deactivate(user: models.User, context: AuditContext, check: Check = accept) -> EditResult:
    """Make the user Inactive: their sessions and links become invalid. Raise what `change` raises."""
    return change(user, {columns.STATUS.heading: "Inactive"}, context, check)


def reactivate(user: models.User, context: AuditContext, check: Check = accept) -> EditResult:
    """Make the user Active; a user who never registered is invited again. Raise what `change` raises."""
    return change(user, {columns.STATUS.heading: "Active"}, context, check)


def change(user: models.User, values: Row, context: AuditContext, check: Check = accept) -> EditResult:
    """Give these columns and marks of the user these values; all others stay as they are now.

    A user who is made Active loses a last day that is over: otherwise they would lose access again the next day.
    Raise UnknownUser, NotPermitted, snapshot_queries.UnknownOperator, and what `check` raises.
    """
    with _lock_users(user.agency):
        operator = _read_operator(user.agency, context, PERMISSION)
        current = find_user(user.agency, user.pk)
        check(current)
        now = build_row(current)
        is_over = current.ends_on is not None and current.ends_on < context.at.date()
        returns = fold(values.get(columns.STATUS.heading, "")) == "active"
        ends = {marks.ENDS_ON: ""} if returns and is_over else {}
        return _change_user(current, {**now, **ends, **marks.clean_row(values)}, now, context, operator)


def add(agency: models.Agency, row: Row, context: AuditContext, *, mails: bool | None = None) -> EditResult:
    """Add the user of this row, unless a user has its external ID; the same row sent twice adds one user.

    `mails` None: use the agency's setting. Raise what `edit` raises.
    """
    with _lock_users(agency):
        operator = _read_operator(agency, context, PERMISSION)
        external_id = text.clean(pl.Series([row[columns.EXTERNAL_ID.heading]]), guarded=False)[0]
        existing = models.User.objects.filter(agency=agency, external_id=external_id).first() if external_id else None
        result, plan = _plan_row(agency, row, operator, context)
        cleaned = marks.clean_row(row)
        if existing:
            has_marks = {mark: cleaned.get(mark, "") for mark in marks.FIELDS} == marks.read_texts(existing)
            repeated = has_marks and plan.counts["unchanged"] == 1 and existing.created_at > context.at - _SENT_TWICE
            return EditResult(find_alone(agency, existing.pk), already_exists=not repeated)
        set_marks = {mark: ("", cleaned[mark]) for mark in marks.FIELDS if cleaned.get(mark)}
        _check_permission(agency, set_marks, context)
        result = _check_marks(result, set_marks, context)
        if result.problems:
            return _refuse_edit(agency, None, result, context)
        _write(plan, agency, context, mails)
        added = models.User.objects.get(agency=agency, external_id=plan.added["external_id"][0])
        _write_marks(added, set_marks, context)
        return EditResult(find_alone(agency, added.pk), result.changes, notes=result.notes)


def _change_user(user: models.User, row: Row, now: Row, context: AuditContext, operator: Operator | None) -> EditResult:
    """Write the row of an existing user; `now`: the row as the user is now."""
    identity = {columns.EXTERNAL_ID.heading: now[columns.EXTERNAL_ID.heading]}
    result, plan = _plan_row(user.agency, {**row, **identity}, operator, context)
    renamed, rekey = _plan_rekey(user.agency, row, now, operator)
    result = replace(
        result,
        changes={**(renamed.changes or {}), **(result.changes or {})},
        problems=[*renamed.problems, *result.problems],
        notes=[*renamed.notes, *result.notes],
    )
    changed = {mark: (now[mark], row[mark]) for mark in marks.FIELDS if row[mark] != now[mark]}
    _check_permission(user.agency, changed, context)
    if changed:
        result = _check_authority(user, result, operator)
    if marks.ENDS_ON in changed and operator and operator.id == user.pk and not result.problems:
        result = EditResult(problems=[Problem.of("own-account", column=marks.ENDS_ON, act="set a last day for")])
    result = _check_marks(result, changed, context)
    if result.problems:
        return _refuse_edit(user.agency, user, result, context)
    changes = dict(result.changes or {})
    if not plan.updated.is_empty():
        _write(plan, user.agency, context)
    _write_marks(user, changed, context)
    if rekey is not None:
        _write(rekey, user.agency, context)
    changes |= changed
    return EditResult(find_alone(user.agency, user.pk), changes, notes=result.notes if changes else ())


def _check_authority(user: models.User, result: EditResult, operator: Operator | None) -> EditResult:
    """Add to the result of the row a problem if the operator may not change this user's marks."""
    above = user.role_id in find_roles_above(operator, snapshot_queries.read_vocabulary(user.agency))
    if not above or result.problems:
        return result
    sentence = "The user's role has permissions that yours does not, so you cannot change this user."
    return EditResult(problems=[Problem.of("above-your-role", column=columns.ROLE.heading, sentence=sentence)])


def _check_permission(agency: models.Agency, changed: MarkChanges, context: AuditContext) -> None:
    """Raise NotPermitted if the operator may not change what imports do to a user."""
    if changed.keys() & set(marks.OF_IMPORTS):
        _read_operator(agency, context, marks.PERMISSION)


def _check_marks(result: EditResult, changed: MarkChanges, context: AuditContext) -> EditResult:
    """Add to the result of the row any problem with the new marks."""
    found = marks.find_problems({mark: now for mark, (_, now) in changed.items()}, context.at.date())
    return replace(result, problems=[*result.problems, *found]) if found else result


def _write_marks(user: models.User, changed: MarkChanges, context: AuditContext) -> None:
    """Write the marks, which are valid, and record one event for them."""
    if changed:
        marks.write(user, {mark: now for mark, (_, now) in changed.items()})
        trail.record_event(user.agency, context, EventKind.USER_UPDATED, user, changed)


def _plan_row(
    agency: models.Agency, row: Row, operator: Operator | None, context: AuditContext
) -> tuple[EditResult, Plan]:
    """Return the plan of the row, and its result.

    An invalid supervisor is a problem here, because the user who typed it is present to correct it.
    """
    cells = pl.DataFrame({column.field: [row[column.heading]] for column in columns.COLUMNS})
    table = Table.of_values(cells.with_row_index("row", offset=2))
    today = context.at.date()
    decisions = replace(AS_GIVEN, release_badges=agency.release_badges)
    policy = Policy(Mode.UPDATE, operator=operator, decisions=decisions, today=today)
    released_on = today if agency.release_badges else None
    snapshot = snapshot_queries.read_snapshot(
        agency, table, policy.mode, needs=snapshot_queries.Needs(context.at, limited=False, released_on=released_on)
    )
    plan = planning.make_plan(table, snapshot, policy)
    entry = report.list_rows(plan, RowFilter.ALL)[0]
    errors = [note for note in entry.notes if note.code in STRICT_NOTES]
    notes = [note for note in entry.notes if note.code not in STRICT_NOTES]
    return EditResult(changes=entry.changes, problems=[*entry.problems, *errors], notes=notes), plan


def _plan_rekey(agency: models.Agency, row: Row, now: Row, operator: Operator | None) -> tuple[EditResult, Plan | None]:
    """Return the plan of the user's new external ID, and its result; no plan if the id stays (M14)."""
    heading = columns.EXTERNAL_ID.heading
    if row[heading] == now[heading]:
        return EditResult(), None
    cells = pl.DataFrame({"external_id": [now[heading]], "new_external_id": [row[heading]]})
    table = Table.of_values(cells.with_row_index("row", offset=2))
    snapshot = snapshot_queries.read_rekey_snapshot(agency, table, whole=False)
    plan = rekeys.make_plan(table, snapshot, Policy(Mode.REKEY, operator=operator, decisions=AS_GIVEN))
    entry = report.list_rows(plan, RowFilter.ALL)[0]
    found = [replace(problem, column=heading) for problem in entry.problems]
    notes = [replace(note, column=heading) for note in entry.notes]
    return EditResult(changes=entry.changes, problems=found, notes=notes), plan


def _refuse_edit(
    agency: models.Agency, user: models.User | None, result: EditResult, context: AuditContext
) -> EditResult:
    """Record in the audit trail a request that is not permitted. Other problems concern only the user who typed."""
    codes = ", ".join(problem.code for problem in result.problems if problem.code in _REFUSALS)
    if codes:
        details = {"asked": ("", "edit" if user else "add"), "why": ("", codes)}
        trail.record_event(agency, context, EventKind.ACT_REFUSED, user, details, outcome=REFUSED)
    return EditResult(user, problems=result.problems)


def _write(plan: Plan, agency: models.Agency, context: AuditContext, mails: bool | None = None) -> None:
    sending = plan.without_mails(writer.find_unsent(agency, mails))
    writer.apply_plan(sending, agency, context, of=None, written=lambda _: None)


def _read_operator(agency: models.Agency, context: AuditContext, permission: str) -> Operator | None:
    """Return the user who acts, or None for the system. Raise UnknownOperator and NotPermitted."""
    operator = snapshot_queries.find_operator(agency, context.authority)
    if operator is None:
        return None
    if permission not in operator.permissions:
        raise NotPermitted(permission)
    return operator


@contextmanager
def _lock_users(agency: models.Agency) -> Iterator[None]:
    """Run one transaction in which no other writes the agency's users."""
    with transaction.atomic():
        locks.lock_row(agency)
        yield
