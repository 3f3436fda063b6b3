"""The members of a group: users who join it and leave it together, as one plan that is recorded and can be undone.

A user is in one group at most, so a user who joins a group leaves the one before. The change of one user is an edit, as
on the user's page; that of more users is an import of the kind bulk, to which the limits apply (S4). It is applied as
a whole, or not at all.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from musterbook.core.domain.columns import EVIDENCE_GROUP_EXT_ID
from musterbook.core.domain.problems import Problem
from musterbook.core.planning.plan import Plan
from musterbook.core.reporting import report
from musterbook.core.reporting.report import RowFilter
from musterbook.directory import models
from musterbook.directory.agency import agencies, groups, provisioned_groups
from musterbook.directory.apply.snapshot_queries import UnknownOperator
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import bulk, cancellation, plan_ends, records, runner, selection
from musterbook.directory.imports.bulk import MEMBERS, BulkChange
from musterbook.directory.imports.heartbeats import Progress
from musterbook.directory.imports.options import Options
from musterbook.directory.models import ImportKind
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.users import editing

PATIENCE = 20.0
"""The seconds for which a change waits for another import of the agency."""
_TRIES = 3


class UnknownMembers(Exception):
    """The agency has no users with these ids, which `ids` has."""

    def __init__(self, ids: Collection[int]) -> None:
        super().__init__(", ".join(map(str, sorted(ids))))
        self.ids = sorted(ids)


class ChangedMeanwhile(Exception):
    """Others have changed the user each time that the change was tried."""


class GroupChanged(Exception):
    """The group is no longer the one that was to be changed. Nothing was changed."""


IsChanged = Callable[[], bool]
"""Returns whether the group has changed since it was read. It is called under the lock of the change."""


def _accept() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class MembersChange:
    """The result of a change of members.

    `record`: its import, None if at most one user was concerned. `problems`: why it was not applied, each with the external
    ID of the user. It is on hold if there are none and it is not applied.
    """

    record: models.Import | None = None
    problems: Sequence[tuple[str, Problem]] = ()

    @property
    def is_held(self) -> bool:
        """Return whether the change waits for confirmation."""
        return self.record is not None and self.record.state == "held"


def list_member_ids(group: models.Group) -> list[int]:
    """Return the ids of the group's members, in ascending order."""
    members = models.User.objects.filter(agency=group.agency_id, group=group)
    return list(members.order_by("pk").values_list("pk", flat=True))


def find_known(agency: models.Agency, ids: Collection[int]) -> set[int]:
    """Return those of the ids that users of the agency have."""
    return set(selection.filter_ids(agency, ids))


def find_members(group: models.Group, ids: Collection[int]) -> set[int]:
    """Return those of the ids that are members of the group."""
    return set(models.User.objects.filter(agency=group.agency_id, group=group, pk__in=ids).values_list("pk", flat=True))


def change_members(
    group: models.Group,
    joining: Collection[int],
    leaving: Collection[int],
    context: AuditContext,
    is_changed: IsChanged = _accept,
) -> MembersChange:
    """Let users (their ids) join the group, and others leave it. Those who are as wanted already stay so.

    Raise UnknownMembers if a user who joins is not of the agency, GroupChanged if `is_changed` says so, UnknownOperator,
    NotPermitted, ChangedMeanwhile, and ImportFailed.
    """
    agency = group.agency
    known = find_known(agency, joining)
    if len(known) < len(set(joining)):
        raise UnknownMembers(set(joining) - known)
    wanted = known - _find_many_members(group, known)
    unwanted = _find_many_members(group, leaving) - known
    if not wanted and not unwanted:
        bulk.authorize_change(agency, context.authority, BulkChange(MEMBERS, group.external_id))
        with agencies.holding(agency):
            _check_group(is_changed)
        return MembersChange()
    if len(wanted) + len(unwanted) == 1:
        (one,) = wanted | unwanted
        return _change_one(group, one, context, is_changed, joins=bool(wanted))
    return _change_many(group, sorted(wanted), sorted(unwanted), context, is_changed)


def _check_group(is_changed: IsChanged) -> None:
    if is_changed():
        raise GroupChanged


_FEW = 500


def _find_many_members(group: models.Group, ids: Collection[int]) -> set[int]:
    """Return those of the ids that are members, even if there are more ids than a query can have."""
    few = len(ids) <= _FEW
    return find_members(group, ids) if few else set(list_member_ids(group)) & set(ids)


def _change_one(
    group: models.Group, number: int, context: AuditContext, is_changed: IsChanged, *, joins: bool
) -> MembersChange:
    heading = EVIDENCE_GROUP_EXT_ID.heading
    for _ in range(_TRIES):
        user = editing.find_user(group.agency, number)
        shown = editing.build_row(user)
        if not joins and shown[heading] != group.external_id:
            return MembersChange()
        typed = {heading: group.external_id if joins else ""}
        result = editing.edit(user, typed, {heading: shown[heading]}, context, lambda _user: _check_group(is_changed))
        if not result.conflicts:
            return MembersChange(problems=[(user.external_id, problem) for problem in result.problems])
    raise ChangedMeanwhile(str(number))


def _change_many(
    group: models.Group, joining: list[int], leaving: list[int], context: AuditContext, is_changed: IsChanged
) -> MembersChange:
    agency, change = group.agency, BulkChange(MEMBERS, group.external_id)
    bulk.authorize_change(agency, context.authority, change)
    options = {**Options(strict=True).as_json(), bulk.OPTION: change.as_json()}
    ids = [*joining, *(-one for one in leaving)]
    digest = hashlib.sha256(repr((group.external_id, ids)).encode()).hexdigest()
    waiting = find_held(agency, context.actor, digest)
    if waiting is not None:
        return MembersChange(waiting)
    facts: dict[str, Any] = {"file_name": change.label[:255], "file_sha256": digest}
    record = records.make_record(agency, ImportKind.BULK, options, context, state="running", **facts)
    selection.keep_ids(record.number, ids)
    attempt = bulk.make_attempt(record, context, None, make_impatient(PATIENCE))
    changed = list[bool]()

    def plan(agency: models.Agency) -> Plan:
        if is_changed():
            changed.append(True)
            raise cancellation.ImportCancelled("")
        return attempt.make_plan(agency)

    try:
        result = runner.run_attempt(replace(attempt, make_plan=plan))
    except runner.ImportFailed:
        if changed:
            raise GroupChanged from None
        raise
    if result.record.state in ("applied", "held") or result.plan is None:
        return MembersChange(result.record)
    rows = report.list_rows(result.plan, RowFilter.ERRORED)
    return MembersChange(result.record, [(row.external_id, problem) for row in rows for problem in row.problems])


def find_held(agency: models.Agency, actor: str, digest: str) -> models.Import | None:
    """Return the import that waits for confirmation since the operator requested the same before, if any.

    A program repeats a request until it is done. Each time, it would make another import, and notices of it.
    """
    held = models.Import.objects.select_related("agency").filter(
        agency=agency, actor=actor, file_sha256=digest, state="held", ended=""
    )
    return held.order_by("pk").last()


def make_impatient(seconds: float) -> Progress:
    """Return a progress callback that cancels an import which waits longer than that for others."""
    until = time.monotonic() + seconds

    def progress(stage: str, done: int = 0, total: int = 0) -> None:  # noqa: ARG001  (the signature of Progress)
        if stage.startswith("waiting") and time.monotonic() > until:
            raise cancellation.ImportCancelled("")

    return progress


def add_group(
    agency: models.Agency, external_id: str, name: str, joining: Collection[int], context: AuditContext
) -> tuple[models.Group, MembersChange]:
    """Add a group with members, and return it with the result of their change. It is not added if that is not applied.

    `external_id`: "" to take the name. A change that is on hold is discarded, because its group does not exist. Raise
    AlreadyExists, InvalidValue, and what `change_members` raises.
    """
    group = provisioned_groups.add(agency, external_id, name, context)
    change = MembersChange()
    try:
        change = change_members(group, joining, [], context) if joining else change
    except (NotPermitted, UnknownMembers, UnknownOperator, ChangedMeanwhile, runner.ImportFailed):
        groups.delete(group, context)
        raise
    if change.is_held and change.record:
        plan_ends.discard(change.record, context)
    if change.is_held or change.problems:
        groups.delete(group, context)
    return group, change


def record_unknown(group: models.Group, names: Sequence[str], context: AuditContext) -> None:
    """Record in the audit trail that users who are not of the agency were to join the group."""
    shown = ", ".join(names[:_NAMES_RECORDED])[:255]
    changes = {"asked": ("", f"members of {group.external_id}"), "why": ("", f"unknown: {shown}")}
    trail.record_event(group.agency, context, EventKind.ACT_REFUSED, None, changes, outcome=REFUSED)


_NAMES_RECORDED = 20


def delete_group(group: models.Group, context: AuditContext, is_changed: IsChanged = _accept) -> MembersChange:
    """Let all members leave the group, and delete it if that was applied.

    Raise InUse if a user joins it meanwhile, and what `change_members` raises.
    """
    members = list_member_ids(group)
    change = change_members(group, [], members, context, is_changed) if members else MembersChange()
    if not change.is_held and not change.problems:
        with agencies.holding(group.agency):
            if not members:
                _check_group(is_changed)
            groups.delete(group, context)
    return change
