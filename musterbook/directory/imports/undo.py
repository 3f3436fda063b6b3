"""Undo: the inverse of an applied import, planned, shown and recorded like any other import (rule A5)."""

from dataclasses import replace

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.decisions import AS_GIVEN, IDENTITY, OTHER, TAKEN, Decisions
from musterbook.core.domain.policy import Confirmed, Mode, Operator, Policy
from musterbook.core.domain.snapshot import FORMER, SCHEMA
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import changes, rekeys
from musterbook.core.planning import plan as planning
from musterbook.core.planning.marks import CHANGED
from musterbook.core.planning.matching import RELEASED
from musterbook.core.planning.plan import Plan
from musterbook.core.values import keys
from musterbook.directory import models
from musterbook.directory.agency import limits
from musterbook.directory.apply import import_marks, snapshot_queries
from musterbook.directory.apply.snapshot_queries import UnknownOperator
from musterbook.directory.audit import former_ids
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import approval, bulk, entry_files, entry_undo, file_import, plan_files, records
from musterbook.directory.imports.heartbeats import Progress, ignore_progress
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import Attempt, ImportResult, run_attempt
from musterbook.directory.models import ImportKind
from musterbook.directory.permissions import Authority, NotPermitted
from musterbook.directory.storage import frames

_UNDOABLE = tuple(column for column in columns.COLUMNS if column is not columns.EXTERNAL_ID)
_PAIRS = pl.Struct({heading: pl.List(pl.String) for heading in changes.NAMES})


class NotApplied(Exception):
    """The import changed nothing, so there is nothing to undo."""


def run_undo(
    record: models.Import,
    *,
    context: AuditContext,
    preview: bool = False,
    confirmed: Confirmed | None = None,
    mails: bool | None = None,
    progress: Progress = ignore_progress,
) -> ImportResult:
    """Undo an applied import. Values that were not changed since are restored, and added users become Inactive.

    Values that were changed since stay. They get a problem if no value of the user can be restored, else a note.
    The same holds for a unique value that an added user has taken, because added users stay, Inactive, with all
    their data. `confirmed`: what the operator confirms, if the undo is over a limit (S4). `mails` False sends no
    emails. Raise the errors of `authorize_undo` and of `file_import.run_import`.
    """
    authorize_undo(record, context.authority)
    options = replace(make_options(record, preview=preview, mails=mails), confirmed=confirmed or {}).as_json()
    undoing = records.make_record(record.agency, ImportKind.UNDO, options, context, state="running", undoes=record)
    return run_attempt(make_attempt(undoing, context, None, progress))


def make_options(record: models.Import, *, preview: bool, mails: bool | None = None) -> Options:
    """Return the options of an undo of the import. New external IDs are undone in their own mode."""
    mode = Mode.REKEY if get_mode(record) is Mode.REKEY else Mode.UPDATE
    return Options(mode=mode, preview=preview, mails=mails, what=entry_files.get_layout(record))


def apply_shown(
    agency: models.Agency, number: str, *,
    context: AuditContext, confirmed: Confirmed | None = None, mails: bool | None = None,
    progress: Progress = ignore_progress,
) -> ImportResult:  # fmt: skip
    """Run the undo that a preview or a held import of that number showed. If the plan has changed, apply nothing (D2).

    `confirmed`, `mails`: as in `file_import.make_apply_options`. Raise UnknownImport, NothingToApply, NeedsApprover,
    and the errors of `run_undo`.
    """
    shown = file_import.find_applicable(agency, number, context.at)
    approval.check_approver(shown, context.actor)
    record = get_undone(shown)
    authorize_undo(record, context.authority)
    options = file_import.make_apply_options(shown, confirmed, mails).as_json()
    undoing = records.make_record(
        agency, ImportKind.UNDO, options, context, state="running", shown=shown, undoes=record
    )
    return run_attempt(make_attempt(undoing, context, undoing.expected, progress))


def authorize_undo(record: models.Import, authority: Authority) -> Operator | None:
    """Return the operator of an undo of the import, or None for the system.

    An undo needs the permissions of a file import, in the mode of the import that it takes back. Raise NotApplied if
    there is nothing to undo, UnknownOperator, and NotPermitted.
    """
    change = bulk.get_change(record)
    # Sent emails cannot be undone.
    if record.state != "applied" or (change and change.kind.mail):
        raise NotApplied(record.number)
    return file_import.authorize_import(record.agency, authority, get_mode(record), entry_files.get_layout(record))


def get_mode(record: models.Import) -> Mode:
    """Return the mode of the import. An undo has that of the import that it takes back, because its undo repeats it."""
    while record.kind == ImportKind.UNDO:
        record = get_undone(record)
    return Mode(record.mode)


def is_allowed(record: models.Import, by: str) -> bool:
    """Return whether the operator may undo the import."""
    try:
        authorize_undo(record, Authority(by))
    except (NotApplied, NotPermitted, UnknownOperator):
        return False
    return True


def get_undone(undoing: models.Import) -> models.Import:
    """Return the import that an undo takes back."""
    record: models.Import = undoing.undoes  # type: ignore[assignment]  # every undo has one
    return record


def make_attempt(undoing: models.Import, context: AuditContext, expected: str | None, progress: Progress) -> Attempt:
    """Return the attempt for the record of an undo."""
    record = get_undone(undoing)
    what = entry_files.get_layout(undoing)

    def plan(agency: models.Agency) -> Plan:
        authorize_undo(record, context.authority)
        operator = authorize_undo(record, approval.find_authority(undoing))
        confirmed = approval.list_valid(agency, undoing, Options.of_json(undoing.options).confirmed)
        policy = Policy(
            Mode(undoing.mode), operator=operator, limits=limits.read_limits(agency), confirmed=confirmed,
            today=context.at.date(),
        )  # fmt: skip
        if what:
            return entry_undo.make_plan(record, agency, what, policy)
        make = _make_rekey_plan if undoing.mode == Mode.REKEY else _make_plan
        return make(record, agency, policy)

    apply = entry_files.make_writer(undoing, context) if what else None
    return Attempt(undoing, context, plan, expected=expected, progress=progress, apply_override=apply)


def _make_plan(record: models.Import, agency: models.Agency, policy: Policy) -> Plan:
    """Return the plan of the inverse.

    Rows name supervisors by their addresses after the undo. A supervisor whose row fails keeps the current address,
    so the plan is made again with that address.
    """
    vocabulary = snapshot_queries.read_vocabulary(agency)
    users = _read_changed(record, vocabulary)
    policy = replace(policy, decisions=_decide_badges(_decide_identities(record, users), users))
    released_on = policy.today if policy.decisions.releases else None
    failed_ids: set[str] = set()
    while True:
        changed = _add_supervisors(users, agency, failed_ids)
        table = Table.of_values(_make_cells(changed), _find_problems(changed))
        read = snapshot_queries.read_snapshot(
            agency, table, policy.mode, needs=snapshot_queries.Needs(released_on=released_on)
        )
        snapshot = replace(read, vocabulary=vocabulary)
        plan = planning.make_plan(table, snapshot, policy)
        errored = set(plan.rows.filter(pl.col("outcome") == "errored")["external_id"])
        if errored <= failed_ids:
            notes = pl.concat([plan.notes, _find_notes(changed)]).sort("row", maintain_order=True)
            return replace(plan, notes=notes, marks=_find_marks(record))
        failed_ids |= errored


def _find_marks(record: models.Import) -> pl.DataFrame:
    """Return the marks that the undo takes back: sources, and users who are leaving. None if the plan is no longer kept."""
    try:
        return import_marks.restore_marks(plan_files.scan_part(record.number, "marks").collect())
    except plan_files.PlanGone:
        return pl.DataFrame(schema=CHANGED)


def _make_rekey_plan(record: models.Import, agency: models.Agency, policy: Policy) -> Plan:
    """Return the plan that gives users their former external IDs back. An id that was changed since is a problem."""
    events, users = frames.table(models.Event), frames.table(models.User)
    rows = frames.read_frame(
        f"SELECT u.external_id, e.changes FROM {events} e JOIN {users} u ON u.id = e.subject_id WHERE e.of_id = %s"
        f" ORDER BY e.id",
        [record.pk],
        {"external_id": pl.String, "changes": pl.String},
    )
    heading = columns.EXTERNAL_ID.heading
    pairs = rows["changes"].str.json_decode(pl.Struct({heading: pl.List(pl.String)})).struct.field(heading)
    now = pl.col("external_id")
    changed = rows.with_columns(was=pairs.list.get(0), became=pairs.list.get(1)).with_row_index("row", offset=2)
    back = changed.with_columns(new_external_id=pl.when(now == pl.col("became")).then("was").otherwise(now))
    stays = changed.filter(now != pl.col("became"), now != pl.col("was"))
    later = problems.flag_rows(stays, "changed-since", column=heading, value=now)
    table = Table.of_values(back.select("row", "external_id", "new_external_id").cast({"row": pl.UInt32}))
    # What was done before is taken back here, so it does not count as done.
    snapshot = replace(snapshot_queries.read_rekey_snapshot(agency, table), former=pl.DataFrame(schema=FORMER))
    return rekeys.make_plan(table, snapshot, replace(policy, decisions=AS_GIVEN), later)


def _read_changed(record: models.Import, vocabulary: Vocabulary) -> pl.DataFrame:
    """Return the users that the import changed.

    The columns are `row`, `kind`, the current values as text, and for each column a pair of its values before and
    after the import, and its direction: `back`, `stays` (changed since) or null (nothing to undo).
    """
    events, users = frames.table(models.Event), frames.table(models.User)
    user_columns = snapshot_queries.select_columns("u.")
    rows = frames.read_frame(
        f"SELECT e.kind, e.changes, b.email, b.external_id, {user_columns} FROM {events} e JOIN {users} u ON u.id = e.subject_id"
        f" LEFT JOIN {users} b ON b.id = u.supervisor_id WHERE e.of_id = %s AND e.kind <> %s ORDER BY e.id",
        [record.pk, EventKind.USER_REPLACED],
        {
            "kind": pl.String,
            "changes": pl.String,
            "supervisor_email": pl.String,
            "supervisor_external_id": pl.String,
            **SCHEMA,
        },
    )
    pairs = _follow_ids(rows["changes"].str.json_decode(_PAIRS).struct.unnest(), record)
    current = rows.select("id", "external_id", "kind", *changes.render_texts(vocabulary)).with_row_index(
        "row", offset=2
    )
    joined = pl.concat([current, pairs], how="horizontal")
    return _add_directions(joined).with_columns(pl.col("row").cast(pl.UInt32))


def _follow_ids(pairs: pl.DataFrame, record: models.Import) -> pl.DataFrame:
    """Return the pairs with the supervisors' external IDs of today, in place of those at the time of the import."""
    ids = former_ids.map_to_current(record.agency, record.started_at)
    links = pl.col(changes.LINK).list.eval(pl.element().replace(ids))
    return pairs.with_columns(links) if ids else pairs


def _decide_identities(record: models.Import, users: pl.DataFrame) -> Decisions:
    """Return the decisions for the rows of the undo.

    Where the import made an account another person's, it becomes the former person's again, who is invited. The
    later person has no more access to it.
    """
    if not record.counts.get("identity_changes"):
        return AS_GIVEN
    events = models.Event.objects.filter(of=record, kind=EventKind.USER_REPLACED).values_list("subject_id", flat=True)
    rows = users.filter(pl.col("id").is_in(list(events)))["row"]
    return replace(AS_GIVEN, by_row={row: {IDENTITY: OTHER} for row in rows})


def _decide_badges(decisions: Decisions, changed: pl.DataFrame) -> Decisions:
    """Return the decisions with those that give badges back which the import released (M13).

    If a user that the import added has the badge, that user becomes Inactive, and the badge is released from them. A
    badge that another user has taken since is not.
    """
    heading, field = columns.BADGE_NUMBER.heading, columns.BADGE_NUMBER.field
    before, after = (pl.col(heading).list.get(index, null_on_oob=True) for index in (0, 1))
    released = changed.filter(
        pl.col(f"way_{field}") == "back", after.str.contains(RELEASED), ~before.str.contains(RELEASED)
    )
    holders = keys.make_keys(changed.filter(pl.col("kind") == EventKind.USER_ADDED)[field])
    back = released.filter(keys.make_keys(released.select(before).to_series()).is_in(holders.implode()))
    if back.is_empty():
        return decisions
    by_row = {row: {**decisions.by_row.get(row, {}), TAKEN: heading} for row in back["row"]}
    return replace(decisions, by_row={**decisions.by_row, **by_row})


def _add_supervisors(changed: pl.DataFrame, agency: models.Agency, failed_ids: set[str]) -> pl.DataFrame:
    """Return the changed users with `supervisor_back`, the address that their supervisor has after the undo.

    It is set for supervisors that stay as well, because their current address may belong to another user after the
    undo. `failed_ids`: the external IDs of users whose row fails, so they keep their current address.
    """
    back = pl.col(f"way_{columns.SUPERVISOR_EMAIL.field}") == "back"
    before = pl.col(changes.LINK).list.get(0, null_on_oob=True)
    supervisor = pl.when(back).then(before).otherwise(pl.col("supervisor_external_id"))
    ids = changed.select(supervisor.drop_nulls().unique()).to_series().to_list()
    condition, parameter = frames.match_any("external_id", ids)
    supervisors = frames.read_frame(
        f"SELECT external_id, email FROM {frames.table(models.User)} WHERE agency_id = %s AND {condition}",
        [agency.pk, parameter],
        {"boss": pl.String, "email_now": pl.String},
    )
    moving = pl.col("EMAIL").list.get(1, null_on_oob=True) == pl.col("email")
    failing = pl.col("external_id").is_in(list(failed_ids))
    returning = changed.filter(pl.col("kind") == EventKind.USER_UPDATED, moving, ~failing).select(
        boss="external_id", email_back=pl.col("EMAIL").list.get(0)
    )
    addresses = supervisors.join(returning, on="boss", how="left").select(
        "boss", supervisor_back=pl.coalesce("email_back", "email_now")
    )
    joined = changed.with_columns(boss=supervisor).join(addresses, on="boss", how="left", maintain_order="left")
    return joined.with_columns(pl.col("supervisor_back").fill_null(""))


def _add_directions(changed: pl.DataFrame) -> pl.DataFrame:
    return changed.with_columns(_make_direction(column).alias(f"way_{column.field}") for column in _UNDOABLE)


def _make_direction(column: columns.Column) -> pl.Expr:
    """Return whether the column goes `back`, `stays` because it was changed since, or has nothing to undo (null).

    For added users only the status goes back, to Inactive, because users are never deleted.
    """
    heading, name = column.heading, column.field
    if column is columns.SUPERVISOR_EMAIL:
        heading = name = changes.LINK
        name = changes.NAMES[heading]
    was, became = (pl.col(heading).list.get(index, null_on_oob=True) for index in (0, 1))
    now = pl.col(name)
    added = pl.col("kind") == EventKind.USER_ADDED
    if column is columns.STATUS:
        was = pl.when(added).then(pl.lit("Inactive")).otherwise(was)
        concerned = pl.lit(True)
    else:
        concerned = ~added
    return pl.when(concerned & was.is_not_null() & (now != was)).then(
        pl.when(now == became).then(pl.lit("back")).otherwise(pl.lit("stays"))
    )


def _make_cells(changed: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the inverse import.

    Each column has its current value, or its old value where that is restored.
    """
    cells = [pl.col("external_id")]
    for column in _UNDOABLE:
        if column is columns.SUPERVISOR_EMAIL:
            cells.append(pl.col("supervisor_back").alias(column.field))
            continue
        was = pl.col(column.heading).list.get(0, null_on_oob=True)
        if column is columns.STATUS:
            was = pl.when(pl.col("kind") == EventKind.USER_ADDED).then(pl.lit("Inactive")).otherwise(was)
        back = pl.col(f"way_{column.field}") == "back"
        cells.append(pl.when(back).then(was).otherwise(pl.col(column.field)).alias(column.field))
    return changed.select("row", *cells)


def _find_problems(changed: pl.DataFrame) -> pl.DataFrame:
    """Return a problem for each changed column of the users for which nothing can be restored."""
    return _report_stays(changed.filter(~_is_restored()), "changed-since")


def _find_notes(changed: pl.DataFrame) -> pl.DataFrame:
    """Return a note for each changed column of the users for which something is restored."""
    return _report_stays(changed.filter(_is_restored()), "changes-left")


def _is_restored() -> pl.Expr:
    return pl.any_horizontal((pl.col(f"way_{column.field}") == "back").fill_null(False) for column in _UNDOABLE)


def _report_stays(changed: pl.DataFrame, code: str) -> pl.DataFrame:
    parts = [
        problems.flag_rows(
            changed.filter(pl.col(f"way_{column.field}") == "stays"),
            code,
            column=column.heading,
            value=pl.col(column.field),
        )
        for column in _UNDOABLE
    ]
    return pl.concat([problems.build_frame(), *parts])
