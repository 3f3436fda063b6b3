"""Many users as an identity provider changes them at once: one import, with plan, limits, holds and undo.

Each change names only what the provider has said. It becomes a whole row, because a file has whole rows. So that no row
takes back what someone else writes meanwhile, a plan that would change anything else is made again from the users as
they are then.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from musterbook.core.domain.columns import COLUMNS, EXTERNAL_ID, REQUIRED, STATUS
from musterbook.core.domain.problems import Problem
from musterbook.core.planning.evaluate import STRICT_NOTES
from musterbook.core.planning.plan import Plan
from musterbook.core.reading.sent_rows import FIRST_ROW
from musterbook.core.reporting import report
from musterbook.core.reporting.report import ReportRow, RowFilter
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import (
    cancellation,
    file_import,
    memberships,
    provisioned_values,
    quotas,
    records,
    runner,
    sent_rows,
)
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.provisioned_values import RowValues
from musterbook.directory.imports.runner import Attempt, ImportFailed
from musterbook.directory.models import ImportKind
from musterbook.directory.users import editing, provisioning
from musterbook.directory.users.provisioning import SOURCE, Kept

Row = Mapping[str, str]
ERRORED, MISSING, EXISTS, REKEYED, CHANGED = "errored", "missing", "exists", "rekeyed", "changed"
"""The outcomes of changes that are not done: the row has problems; there is no such user; there is one already; the
change would give a user another external ID, which an import cannot do; the user has another version."""
_TRIES = 3
_NAME = "scim-bulk.csv"
_REQUEST = "request"
"""The key of the digest of the request in the options of an import."""


class _WrittenMeanwhile(cancellation.ImportCancelled):
    """Someone else has written a user since the rows were made."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one user. `number`: their id, None for a new user. `row`: the headings that the provider has named.

    `kept`: what is kept of the user as it was sent. `deletes`: whether the user is Inactive and absent afterwards.
    `version`: the version of the user that is to change, "" for any.
    """

    number: int | None
    row: Row
    kept: Kept = field(default_factory=dict)
    deletes: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a change: that of its row (`core.planning.plan.OUTCOMES`), or why there is none."""

    outcome: str
    number: int | None = None
    problems: Sequence[Problem] = ()

    @property
    def is_done(self) -> bool:
        """Return whether the user is as wanted."""
        return self.outcome in ("added", "updated", "unchanged")


@dataclass(frozen=True, slots=True)
class Result:
    """The result of many changes. `record`: their import, None if no change could be planned."""

    outcomes: Sequence[Outcome]
    record: models.Import | None = None

    @property
    def is_held(self) -> bool:
        """Return whether the changes wait for confirmation."""
        return self.record is not None and self.record.state == "held"


@dataclass(slots=True)
class _Batch:
    """Changes as rows: `users`: the id of each row's user, None for a new one; `named`: the headings that it may change.

    `indexes`: the change that each row is of. `early`: the outcomes of the other changes.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    users: list[int | None] = field(default_factory=list)
    named: list[frozenset[str]] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    early: dict[int, Outcome] = field(default_factory=dict)

    def add(self, index: int, number: int | None, row: dict[str, str], named: Iterable[str]) -> None:
        self.indexes.append(index)
        self.users.append(number)
        self.rows.append(row)
        self.named.append(frozenset(named))


def preview(agency: models.Agency, changes: Sequence[Change], context: AuditContext) -> list[Outcome]:
    """Return what would come of the changes, without a record of it. A supervisor that cannot be set is a problem here.

    Raise UnknownOperator, NotPermitted.
    """
    batch = _prepare(agency, changes, context)
    if not batch.rows:
        return _list_outcomes(len(changes), batch, [])
    attempt = _make_attempt(agency, changes, batch, context)
    rows = report.list_rows(attempt.make_plan(agency), RowFilter.ALL)
    return _list_outcomes(len(changes), batch, rows, STRICT_NOTES)


def run(agency: models.Agency, changes: Sequence[Change], context: AuditContext) -> Result:
    """Do the changes that have no problem, as one import. If it is over a limit, it is held, and nothing is done.

    Raise UnknownOperator, NotPermitted, OverQuota, and ImportFailed.
    """
    waiting = _find_held(agency, changes, context)
    if waiting is not None:
        return Result([], waiting)
    left = _TRIES
    while True:
        batch = _prepare(agency, changes, context)
        if not batch.rows:
            return Result(_list_outcomes(len(changes), batch, []))
        attempt = _make_attempt(agency, changes, batch, context)
        quotas.check_quotas(agency, context, attempt.record.file_size)
        try:
            done = runner.run_attempt(attempt)
        except ImportFailed as failed:
            left -= 1
            if left and isinstance(failed.__cause__, _WrittenMeanwhile):
                continue
            raise
        rows = report.list_rows(done.plan, RowFilter.ALL) if done.plan else []
        return Result(_list_outcomes(len(changes), batch, rows, numbers=_read_numbers(agency, batch)), done.record)


def _prepare(agency: models.Agency, changes: Sequence[Change], context: AuditContext) -> _Batch:
    """Return the changes as rows of the users as they are now."""
    numbers = [one.number for one in changes if one.number is not None]
    known = {one.user.pk: one for one in provisioning.read_users(agency, numbers, context.at)}
    has_deleted = models.ProvisionedUser.objects.filter(user__agency=agency, deleted_at__isnull=False).exists()
    taken = _find_taken(agency, changes)
    batch = _Batch()
    for index, one in enumerate(changes):
        deleted = provisioning.find_deleted(agency, one.row) if has_deleted and one.number is None else None
        if one.number is not None and one.number not in known:
            batch.early[index] = Outcome(MISSING)
        elif one.number is not None and one.version not in ("", known[one.number].version):
            batch.early[index] = Outcome(CHANGED)
        elif deleted is not None:
            _add_user(batch, index, deleted.pk, editing.build_row(deleted), {STATUS.heading: "Active", **one.row})
        elif one.number is not None:
            _add_user(batch, index, one.number, known[one.number].row, one.row)
        elif one.row.get(EXTERNAL_ID.heading) in taken:
            batch.early[index] = Outcome(EXISTS)
        else:
            row = provisioning.complete(agency, one.row)
            batch.add(index, None, row, row)
    _keep_columns(batch)
    return batch


def _find_taken(agency: models.Agency, changes: Sequence[Change]) -> set[str]:
    wanted = {one.row.get(EXTERNAL_ID.heading, "") for one in changes if one.number is None} - {""}
    users = models.User.objects.filter(agency=agency, external_id__in=wanted)
    return set(users.values_list("external_id", flat=True))


def _add_user(batch: _Batch, index: int, number: int, shown: Row, wanted: Row) -> None:
    filled = provisioning.fill_made(wanted, shown)
    if filled.get(EXTERNAL_ID.heading, shown[EXTERNAL_ID.heading]) != shown[EXTERNAL_ID.heading]:
        batch.early[index] = Outcome(REKEYED)
        return
    batch.add(index, number, {column.heading: {**shown, **filled}[column.heading] for column in COLUMNS}, filled)


def _keep_columns(batch: _Batch) -> None:
    """Leave out the columns that no change names, so that they stay as they are (M2)."""
    required = {column.heading for column in REQUIRED}
    of_users = [named for named, number in zip(batch.named, batch.users, strict=True) if number is not None]
    of_new = (
        {heading for heading, text in row.items() if text}
        for row, number in zip(batch.rows, batch.users, strict=True)
        if number is None
    )
    kept = required.union(*of_users, *of_new)
    batch.rows = [{name: text for name, text in row.items() if name in kept} for row in batch.rows]


def _make_attempt(agency: models.Agency, changes: Sequence[Change], batch: _Batch, context: AuditContext) -> Attempt:
    options = sent_rows.make_options(batch.rows, Options(source=SOURCE))
    upload = sent_rows.make_upload(batch.rows, _NAME)
    stored = {**options.as_json(), _REQUEST: _digest(changes)}
    record = records.make_record(
        agency, ImportKind.FILE, stored, context, state="running", **file_import.describe_file(upload)
    )
    attempt = file_import.make_attempt(record, upload, context, None, memberships.make_impatient(memberships.PATIENCE))
    values = _list_values(changes, batch)

    def plan(current: models.Agency) -> Plan:
        _check_versions(current, changes, batch, context)
        made = attempt.make_plan(current)
        _check_unnamed(made, batch)
        provisioned_values.store_held(record, made, values)
        return made

    return replace(
        attempt, make_plan=plan,
        after_apply=lambda made: provisioned_values.write(record.agency, made, values, context),
    )  # fmt: skip


def _list_values(changes: Sequence[Change], batch: _Batch) -> list[RowValues]:
    known = models.ProvisionedUser.objects.filter(user__in=[number for number in batch.users if number is not None])
    before: dict[int | None, Kept] = dict(known.values_list("user", "kept"))
    return [
        RowValues(changes[index].kept, before.get(number, {}), changes[index].deletes)
        for index, number in zip(batch.indexes, batch.users, strict=True)
    ]


def _check_versions(agency: models.Agency, changes: Sequence[Change], batch: _Batch, context: AuditContext) -> None:
    """Raise _WrittenMeanwhile if a user no longer has the version that is to change."""
    wanted = {
        one.number: one.version for one in (changes[index] for index in batch.indexes) if one.number and one.version
    }
    if not wanted:
        return
    now = {one.user.pk: one.version for one in provisioning.read_users(agency, wanted, context.at)}
    if now != wanted:
        raise _WrittenMeanwhile("")


def _check_unnamed(made: Plan, batch: _Batch) -> None:
    """Raise _WrittenMeanwhile if a row would change what its change does not name."""
    for row in report.list_rows(made, RowFilter.CHANGED):
        if row.outcome == "updated" and not row.changes.keys() <= batch.named[row.row - FIRST_ROW]:
            raise _WrittenMeanwhile("")


def _read_numbers(agency: models.Agency, batch: _Batch) -> dict[int, int]:
    """Return the id of each row's user, as far as there is one."""
    new = {row[EXTERNAL_ID.heading]: place for place, row in enumerate(batch.rows) if batch.users[place] is None}
    added = models.User.objects.filter(agency=agency, external_id__in=new).values_list("external_id", "pk")
    known = {place: number for place, number in enumerate(batch.users) if number is not None}
    return known | {new[external_id]: number for external_id, number in added}


def _list_outcomes(
    total: int,
    batch: _Batch,
    rows: Sequence[ReportRow],
    problematic: Sequence[str] = (),
    numbers: Mapping[int, int] | None = None,
) -> list[Outcome]:
    """Return the outcome of each change. `problematic`: the codes of notes that are problems here."""
    found = dict(batch.early)
    for row in rows:
        place = row.row - FIRST_ROW
        problems = [*row.problems, *(note for note in row.notes if note.code in problematic)]
        number = (numbers or {}).get(place, batch.users[place])
        found[batch.indexes[place]] = Outcome(ERRORED if problems else row.outcome, number, problems)
    return [found.get(index, Outcome(ERRORED)) for index in range(total)]


def _digest(changes: Sequence[Change]) -> str:
    """Return a short text for the request, which is the same if a program repeats it."""
    content: list[Any] = [[one.number, dict(one.row), dict(one.kept), one.deletes] for one in changes]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _find_held(agency: models.Agency, changes: Sequence[Change], context: AuditContext) -> models.Import | None:
    """Return the import that waits for confirmation since the operator requested the same before, if any."""
    held = models.Import.objects.select_related("agency").filter(
        agency=agency, actor=context.actor, kind=ImportKind.FILE, file_name=_NAME, state="held", ended=""
    )
    digest = _digest(changes)
    return next((one for one in held.order_by("-pk") if one.options.get(_REQUEST) == digest), None)
