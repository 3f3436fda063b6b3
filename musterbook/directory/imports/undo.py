"""Undo: the inverse of an applied import, planned, shown and recorded like any other import (rule A5)."""

from dataclasses import replace

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.policy import Mode, Operator, Policy
from musterbook.core.domain.snapshot import SCHEMA
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import changes
from musterbook.core.planning import plan as planning
from musterbook.core.planning.plan import Plan
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.apply.snapshot_queries import UnknownOperator
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import bulk, file_import, records
from musterbook.directory.imports.file_import import Options
from musterbook.directory.imports.heartbeats import Progress, silent
from musterbook.directory.imports.runner import Attempt, Done, carry_out
from musterbook.directory.models import ImportKind
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import frames

_UNDOABLE = tuple(column for column in columns.COLUMNS if column is not columns.EXTERNAL_ID)
_PAIRS = pl.Struct({heading: pl.List(pl.String) for heading in changes.NAMES})


class NotApplied(Exception):
    """The import changed nothing, so there is nothing to undo."""


def run(record: models.Import, *, context: AuditContext, preview: bool = False, progress: Progress = silent) -> Done:
    """Undo an applied import. Values that were not changed since are restored, and added users become Inactive.

    Values that were changed since stay. They get a problem if no value of the user can be restored, else a note.
    The same holds for a unique value that an added user has taken, because added users stay, Inactive, with all
    their data. Raise the errors of `may_undo` and of `file_import.run`.
    """
    may_undo(record, context.actor)
    options = Options(preview=preview).as_json()
    undoing = records.new(record.agency, ImportKind.UNDO, options, context, state="running", undoes=record)
    return carry_out(attempt(undoing, context, None, progress))


def may_undo(record: models.Import, by: str) -> Operator | None:
    """Return the operator of an undo of the import, or None for the system.

    An undo needs the permissions of a file import, in the mode of the import that it takes back. Raise NotApplied if
    there is nothing to undo, UnknownOperator, and NotPermitted.
    """
    change = bulk.change_of(record)
    # Sent mails cannot be undone.
    if record.state != "applied" or (change and change.kind.mail):
        raise NotApplied(record.number)
    return file_import.permitted(record.agency, by, _mode(record))


def _mode(record: models.Import) -> Mode:
    """Return the mode of the import. An undo has that of the import that it takes back, because its undo repeats it."""
    while record.kind == ImportKind.UNDO:
        record = undone(record)
    return Mode(record.mode)


def is_allowed(record: models.Import, by: str) -> bool:
    """Return whether the operator may undo the import."""
    try:
        may_undo(record, by)
    except (NotApplied, NotPermitted, UnknownOperator):
        return False
    return True


def undone(undoing: models.Import) -> models.Import:
    """Return the import that an undo takes back."""
    record: models.Import = undoing.undoes  # type: ignore[assignment]  # every undo has one
    return record


def attempt(undoing: models.Import, context: AuditContext, expected: str | None, progress: Progress) -> Attempt:
    """Return the attempt for the record of an undo."""
    record = undone(undoing)

    def plan(agency: models.Agency) -> Plan:
        operator = may_undo(record, context.actor)
        limit = snapshot_queries.limit(agency)
        return _plan(record, agency, Policy(Mode(undoing.mode), operator=operator, limit=limit))

    return Attempt(undoing, context, plan, expected=expected, progress=progress)


def _plan(record: models.Import, agency: models.Agency, policy: Policy) -> Plan:
    """Return the plan of the inverse.

    Rows name supervisors by their addresses after the undo. A supervisor whose row fails keeps the current address,
    so the plan is made again with that address.
    """
    words = snapshot_queries.vocabulary(agency)
    found = _changed(record, words)
    keeping: set[str] = set()
    while True:
        changed = _with_supervisors(found, agency, keeping)
        table = Table.of_values(_cells(changed), _stuck(changed))
        snapshot = replace(snapshot_queries.snapshot(agency, table, policy.mode), vocabulary=words)
        plan = planning.make(table, snapshot, policy)
        errored = set(plan.rows.filter(pl.col("outcome") == "errored")["external_id"])
        if errored <= keeping:
            return replace(plan, notes=pl.concat([plan.notes, _left(changed)]).sort("row", maintain_order=True))
        keeping |= errored


def _changed(record: models.Import, words: Vocabulary) -> pl.DataFrame:
    """Return the users that the import changed.

    The columns are `row`, `kind`, the current values as text, and for each column a pair of its values before and
    after the import, and its direction: `back`, `stays` (changed since) or null (nothing to undo).
    """
    events, users = frames.table(models.Event), frames.table(models.User)
    listed = snapshot_queries.columns_of_users("u.")
    found = frames.read(
        f"SELECT e.kind, e.changes, b.email, b.external_id, {listed} FROM {events} e JOIN {users} u ON u.id = e.subject_id"
        f" LEFT JOIN {users} b ON b.id = u.supervisor_id WHERE e.of_id = %s ORDER BY e.id",
        [record.pk],
        {
            "kind": pl.String,
            "changes": pl.String,
            "supervisor_email": pl.String,
            "supervisor_external_id": pl.String,
            **SCHEMA,
        },
    )
    pairs = found["changes"].str.json_decode(_PAIRS).struct.unnest()
    now = found.select("id", "external_id", "kind", *changes.texts(words)).with_row_index("row", offset=2)
    joined = pl.concat([now, pairs], how="horizontal")
    return _with_ways(joined).with_columns(pl.col("row").cast(pl.UInt32))


def _with_supervisors(changed: pl.DataFrame, agency: models.Agency, keeping: set[str]) -> pl.DataFrame:
    """Return the changed users with `supervisor_back`, the address that their supervisor has after the undo.

    It is set for supervisors that stay as well, because their current address may belong to another user after the
    undo. `keeping`: the external ids of users whose row fails, so they keep their current address.
    """
    back = pl.col(f"way_{columns.SUPERVISOR_EMAIL.field}") == "back"
    before = pl.col(changes.LINK).list.get(0, null_on_oob=True)
    then = pl.when(back).then(before).otherwise(pl.col("supervisor_external_id"))
    ids = changed.select(then.drop_nulls().unique()).to_series().to_list()
    condition, parameter = frames.among("external_id", ids)
    bosses = frames.read(
        f"SELECT external_id, email FROM {frames.table(models.User)} WHERE agency_id = %s AND {condition}",
        [agency.pk, parameter],
        {"boss": pl.String, "email_now": pl.String},
    )
    moving = pl.col("EMAIL").list.get(1, null_on_oob=True) == pl.col("email")
    failing = pl.col("external_id").is_in(list(keeping))
    returning = changed.filter(pl.col("kind") == EventKind.USER_UPDATED, moving, ~failing).select(
        boss="external_id", email_back=pl.col("EMAIL").list.get(0)
    )
    addresses = bosses.join(returning, on="boss", how="left").select(
        "boss", supervisor_back=pl.coalesce("email_back", "email_now")
    )
    named = changed.with_columns(boss=then).join(addresses, on="boss", how="left", maintain_order="left")
    return named.with_columns(pl.col("supervisor_back").fill_null(""))


def _with_ways(changed: pl.DataFrame) -> pl.DataFrame:
    return changed.with_columns(_way(column).alias(f"way_{column.field}") for column in _UNDOABLE)


def _way(column: columns.Column) -> pl.Expr:
    """Return whether the column goes `back`, `stays` because it was changed since, or has nothing to undo (null).

    For added users only the status goes back, to Inactive, because users are never deleted.
    """
    heading, name = column.heading, column.field
    if column is columns.SUPERVISOR_EMAIL:
        heading = name = changes.LINK
        name = changes.NAMES[heading]
    was, became = (pl.col(heading).list.get(place, null_on_oob=True) for place in (0, 1))
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


def _cells(changed: pl.DataFrame) -> pl.DataFrame:
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


def _stuck(changed: pl.DataFrame) -> pl.DataFrame:
    """Return a problem for each changed column of the users for which nothing can be restored."""
    return _told(changed.filter(~_goes_back()), "changed-since")


def _left(changed: pl.DataFrame) -> pl.DataFrame:
    """Return a note for each changed column of the users for which something is restored."""
    return _told(changed.filter(_goes_back()), "changes-left")


def _goes_back() -> pl.Expr:
    return pl.any_horizontal((pl.col(f"way_{column.field}") == "back").fill_null(False) for column in _UNDOABLE)


def _told(changed: pl.DataFrame, code: str) -> pl.DataFrame:
    parts = [
        problems.of_rows(
            changed.filter(pl.col(f"way_{column.field}") == "stays"),
            code,
            column=column.heading,
            value=pl.col(column.field),
        )
        for column in _UNDOABLE
    ]
    return pl.concat([problems.frame(), *parts])
