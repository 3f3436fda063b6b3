"""One user added or edited by hand: a table of one row, processed in the same way as the rows of a file."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl
from django.db import transaction

from musterbook.core.domain import columns
from musterbook.core.domain.policy import Mode, Operator, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.core.planning import plan as planning
from musterbook.core.planning.authority import roles_above
from musterbook.core.planning.evaluate import STRICT_NOTES
from musterbook.core.planning.plan import Plan
from musterbook.core.reporting import report
from musterbook.core.reporting.report import Rows
from musterbook.core.values import text
from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries, writer
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import locks

PERMISSION = "users.edit"
EXEMPT = "X_EXEMPT"
"""Not one of the thirteen columns: whether synchronize imports keep the user; "yes" or "", as the export has it."""
EXEMPT_PERMISSION = "users.synchronize"
ENDS_ON = "X_ENDS_ON"
"""The last day on which the user has access, as 2026-12-31, or "" for no end."""
MARKS = {EXEMPT: "exempt", ENDS_ON: "ends_on"}
"""The values of a user outside the thirteen columns, each with the name of its field."""

_REFUSALS = ("above-your-role", "registered-address", "own-account", "last-administrator")
_SENT_TWICE = timedelta(minutes=1)

Row = Mapping[str, str]
"""Heading → text."""


class UnknownUser(Exception):
    """The agency has no such user."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A value that another user has written meanwhile: the heading, the value that was shown, and the current value."""

    heading: str
    shown: str
    now: str


@dataclass(frozen=True, slots=True)
class Came:
    """The result of an edit. Nothing was changed if there are problems or conflicts.

    `user`: the current user; for `add` with `there`, the user who already has the external id. `changes`: heading →
    before, after. `notes`: information that prevents nothing.
    """

    user: models.User | None = None
    changes: report.Changes | None = None
    problems: Sequence[Problem] = ()
    notes: Sequence[Problem] = ()
    conflicts: Sequence[Conflict] = ()
    there: bool = False

    @property
    def done(self) -> bool:
        """Return whether the user is now as requested."""
        return not (self.problems or self.conflicts or self.there)


def find(agency: models.Agency, number: int) -> models.User:
    """Return the agency's user with this number, and all that a row of them needs. Raise UnknownUser."""
    beside = ("agency", "role", "rank", "group", "supervisor", "account")
    found = models.User.objects.select_related(*beside).filter(agency=agency, pk=number).first()
    if found is None:
        raise UnknownUser(str(number))
    return found


def find_named(agency: models.Agency, text: str, number: int | None = None) -> models.User:
    """Return the agency's user with this e-mail address or external id, or else with this number.

    Raise UnknownUser.
    """
    users = models.User.objects.filter(agency=agency)
    found = users.filter(email_key=fold(text)).first() or users.filter(external_id=text).first()
    if found is None and number is not None:
        found = users.filter(pk=number).first()
    if found is None:
        raise UnknownUser(text)
    return found


def row_of(user: models.User) -> dict[str, str]:
    """Return the user as a row of a file, with EXEMPT and ENDS_ON."""
    told = {
        "status": "Active" if user.active else "Inactive",
        "role": user.role.name,
        "supervisor_email": user.supervisor.email if user.supervisor else "",
        "rank": user.rank.name if user.rank else "",
        "evidence_group_ext_id": user.group.external_id if user.group else "",
    }
    row = {
        column.heading: told[column.field] if column.field in told else getattr(user, column.field)
        for column in columns.COLUMNS
    }
    return row | {EXEMPT: "yes" if user.exempt else "", ENDS_ON: user.ends_on.isoformat() if user.ends_on else ""}


def edit(user: models.User, typed: Row, shown: Row, context: AuditContext) -> Came:
    """Change the values that differ from those `shown`; all others stay as they are now.

    They stay even if they differ from what was shown. The external id stays too. A value that another user has
    meanwhile changed to something else is a conflict. Raise NotPermitted and snapshot_queries.UnknownOperator.
    """
    with _turn(user.agency):
        operator = _operator(user.agency, context, PERMISSION)
        now = row_of(find(user.agency, user.pk))
        mine = {heading: value for heading, value in typed.items() if _is_mine(heading, value, shown)}
        conflicts = [
            Conflict(heading, shown.get(heading, ""), now[heading])
            for heading, value in mine.items()
            if now[heading] not in (value, shown.get(heading, ""))
        ]
        if conflicts:
            return Came(user, conflicts=conflicts)
        return _changed(user, {**now, **mine}, now, context, operator)


def _is_mine(heading: str, value: str, shown: Row) -> bool:
    return heading != columns.EXTERNAL_ID.heading and value != shown.get(heading, "")


def deactivate(user: models.User, context: AuditContext) -> Came:
    """Make the user Inactive: their sessions and links become invalid. Raise what `edit` raises."""
    return _with_status(user, "Inactive", context)


def reactivate(user: models.User, context: AuditContext) -> Came:
    """Make the user Active; a user who never registered is invited again. Raise what `edit` raises."""
    return _with_status(user, "Active", context)


def _with_status(user: models.User, status: str, context: AuditContext) -> Came:
    with _turn(user.agency):
        operator = _operator(user.agency, context, PERMISSION)
        now = row_of(find(user.agency, user.pk))
        # If the last day is over, the user would lose access again the next day.
        ends = {ENDS_ON: ""} if status == "Active" and user.ends_on and user.ends_on < context.at.date() else {}
        return _changed(user, {**now, **ends, columns.STATUS.heading: status}, now, context, operator)


def add(agency: models.Agency, row: Row, context: AuditContext, *, mails: bool | None = None) -> Came:
    """Add the user of this row, unless a user has its external id; the same row sent twice adds one user.

    `mails` None: use the agency's setting. Raise what `edit` raises.
    """
    with _turn(agency):
        operator = _operator(agency, context, PERMISSION)
        wanted = text.clean(pl.Series([row[columns.EXTERNAL_ID.heading]]), guarded=False)[0]
        there = models.User.objects.filter(agency=agency, external_id=wanted).first() if wanted else None
        came, plan = _planned(agency, row, operator)
        if there:
            again = plan.counts["unchanged"] == 1 and there.created_at > context.at - _SENT_TWICE
            return Came(find(agency, there.pk), there=not again)
        marks = {ENDS_ON: ("", row[ENDS_ON])} if row.get(ENDS_ON) else {}
        came = _with_marks(came, marks, context)
        if came.problems:
            return _refused(agency, None, came, context)
        _write(plan, agency, context, mails)
        added = models.User.objects.get(agency=agency, external_id=plan.added["external_id"][0])
        _mark(added, marks, context)
        return Came(find(agency, added.pk), came.changes, notes=came.notes)


def _changed(user: models.User, row: Row, now: Row, context: AuditContext, operator: Operator | None) -> Came:
    """Write the row of an existing user; `now`: the row as the user is now."""
    came, plan = _planned(user.agency, row, operator)
    marks = {mark: (now[mark], row[mark]) for mark in MARKS if row[mark] != now[mark]}
    if EXEMPT in marks:
        _operator(user.agency, context, EXEMPT_PERMISSION)
    if marks:
        came = _below(user, came, operator)
    if ENDS_ON in marks and operator and operator.id == user.pk and not came.problems:
        came = Came(problems=[Problem.of("own-account", column=ENDS_ON, act="set a last day for")])
    came = _with_marks(came, marks, context)
    if came.problems:
        return _refused(user.agency, user, came, context)
    changes = dict(came.changes or {})
    if changes or not plan.updated.is_empty():
        _write(plan, user.agency, context)
    _mark(user, marks, context)
    changes |= marks
    return Came(find(user.agency, user.pk), changes, notes=came.notes if changes else ())


def _below(user: models.User, came: Came, operator: Operator | None) -> Came:
    """Add to the result of the row a problem if the operator may not change this user's marks."""
    above = user.role_id in roles_above(operator, snapshot_queries.vocabulary(user.agency))
    if not above or came.problems:
        return came
    sentence = "The user's role has permissions that yours does not, so you cannot change this user."
    return Came(problems=[Problem.of("above-your-role", column=columns.ROLE.heading, sentence=sentence)])


def _with_marks(came: Came, marks: Mapping[str, tuple[str, str]], context: AuditContext) -> Came:
    """Add to the result of the row any problem with the marks: a last day must be a date that is not past."""
    ends_on = marks.get(ENDS_ON, ("", ""))[1]
    if not ends_on or (_day(ends_on) or date.min) >= context.at.date():
        return came
    return replace(came, problems=[*came.problems, Problem.of("invalid-last-day", column=ENDS_ON, value=ends_on)])


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _mark(user: models.User, marks: Mapping[str, tuple[str, str]], context: AuditContext) -> None:
    """Write the marks, which are valid, and record one event for them."""
    if not marks:
        return
    written = {MARKS[mark]: bool(now) if mark == EXEMPT else _day(now) for mark, (_, now) in marks.items()}
    models.User.objects.filter(pk=user.pk).update(**written)
    trail.record_event(user.agency, context, EventKind.USER_UPDATED, user, marks)


def _planned(agency: models.Agency, row: Row, operator: Operator | None) -> tuple[Came, Plan]:
    """Return the plan of the row, and its result.

    An invalid supervisor is a problem here, because the user who typed it is present to correct it.
    """
    cells = pl.DataFrame({column.field: [row[column.heading]] for column in columns.COLUMNS})
    table = Table.of_values(cells.with_row_index("row", offset=2))
    policy = Policy(Mode.UPDATE, operator=operator, limit=snapshot_queries.limit(agency))
    snapshot = snapshot_queries.snapshot(agency, table, policy.mode)
    plan = planning.make(table, snapshot, policy)
    told = report.rows(plan, Rows.ALL)[0]
    wrong = [note for note in told.notes if note.code in STRICT_NOTES]
    notes = [note for note in told.notes if note.code not in STRICT_NOTES]
    return Came(changes=told.changes, problems=[*told.problems, *wrong], notes=notes), plan


def _refused(agency: models.Agency, user: models.User | None, came: Came, context: AuditContext) -> Came:
    """Record in the audit trail a request that is not permitted. Other problems concern only the user who typed."""
    codes = ", ".join(problem.code for problem in came.problems if problem.code in _REFUSALS)
    if codes:
        asked = {"asked": ("", "edit" if user else "add"), "why": ("", codes)}
        trail.record_event(agency, context, EventKind.ACT_REFUSED, user, asked, outcome=REFUSED)
    return Came(user, problems=came.problems)


def _write(plan: Plan, agency: models.Agency, context: AuditContext, mails: bool | None = None) -> None:
    sends = agency.sends_mail if mails is None else mails
    writer.apply(plan, agency, context, of=None, mails=sends, written=lambda _: None)


def _operator(agency: models.Agency, context: AuditContext, permission: str) -> Operator | None:
    """Return the user who acts, or None for the system. Raise UnknownOperator and NotPermitted."""
    if not context.actor:
        return None
    operator = snapshot_queries.operator(agency, context.actor)
    if permission not in operator.permissions:
        raise NotPermitted(permission)
    return operator


@contextmanager
def _turn(agency: models.Agency) -> Iterator[None]:
    """Run one transaction in which no other writes the agency's users."""
    with transaction.atomic():
        locks.row(agency)
        yield
