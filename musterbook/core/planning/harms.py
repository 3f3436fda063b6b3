"""The harms of a plan: the users that it concerns in a way that hurts, by kind (law 0, rule S4)."""

from collections.abc import Collection
from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import matching
from musterbook.core.values import text

HARMED = {
    "row": pl.UInt32,
    "external_id": pl.String,
    **dict.fromkeys(("role_id", "was_role_id", "group_id", "was_group_id"), pl.Int64),
}
"""The columns of the users of each kind. `row` is null for a user that the file does not mention."""

_LARGE = 50
"""The number of users from which on a change of one column for most of them is noted."""
_SAMPLE = 1000


def _none() -> pl.DataFrame:
    return pl.DataFrame(schema=HARMED)


@dataclass(frozen=True, slots=True)
class Harms:
    """The users that a plan harms, by kind (HARMED).

    - `losing_access`: active users who become Inactive, by their row or because the file does not mention them.
    - `privileges`: users who are Active afterwards, with a permission that they do not have now.
    - `handovers`: users who take an email address or a username that another user has now (rule M12).
    - `cleared`: users who lose a value to a column that is blank in every row.
    - `notes`: the notes about whole columns.
    """

    losing_access: pl.DataFrame = field(default_factory=_none)
    privileges: pl.DataFrame = field(default_factory=_none)
    handovers: pl.DataFrame = field(default_factory=_none)
    cleared: pl.DataFrame = field(default_factory=_none)
    notes: tuple[Problem, ...] = ()


def find_harms(table: Table, rows: pl.DataFrame, leavers: pl.DataFrame, snapshot: Snapshot) -> Harms:
    """Return the harms of judged rows (`evaluate.SCHEMA`), and of the users who leave unmentioned (`id`).

    No row of the unchanged fast path harms anyone.
    """
    sound = rows.filter("ok")
    known = sound.filter(pl.col("id").is_not_null())
    clears = _find_cleared(table, known)
    return Harms(
        pl.concat([_select(known.filter("was_active", ~pl.col("active"))), _select_leavers(leavers, snapshot.users)]),
        _select(_find_privileged(sound, snapshot.vocabulary)),
        _select(sound.filter("takes_over")),
        _select(known.filter(pl.any_horizontal(clears.values()))) if clears else _none(),
        (*_note_blank(table, clears), *_note_most(table, known, snapshot, clears)),
    )


def _select(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(HARMED.keys())


def _select_leavers(leavers: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    if leavers.is_empty():
        return _none()
    stored = users.select("id", "external_id", was_role_id="role_id", was_group_id="group_id")
    gone = stored.join(leavers.select("id"), on="id", how="semi").sort("external_id")
    return gone.select(
        pl.lit(None, pl.UInt32).alias("row"), "external_id", pl.col("was_role_id").alias("role_id"), "was_role_id",
        pl.col("was_group_id").alias("group_id"), "was_group_id",
    )  # fmt: skip


def _find_privileged(sound: pl.DataFrame, vocabulary: Vocabulary) -> pl.DataFrame:
    """Return the rows whose users gain a permission.

    Only an active user has permissions. So an inactive user who becomes Active gains those of their role.
    """
    permissions = {role.id: role.permissions for role in vocabulary.roles}
    had = pl.when("was_active").then("was_role_id")
    changed = sound.with_columns(had_role_id=had).filter("active", pl.col("had_role_id").ne_missing(pl.col("role_id")))
    if changed.is_empty():
        return changed
    pairs = changed.select("had_role_id", "role_id").unique()
    gains = [
        not permissions.get(now, frozenset()) <= permissions.get(had, frozenset()) for had, now in pairs.iter_rows()
    ]
    return changed.join(
        pairs.filter(pl.Series(gains, dtype=pl.Boolean)), on=["had_role_id", "role_id"], how="semi", nulls_equal=True
    )


def _find_cleared(table: Table, known: pl.DataFrame) -> dict[Column, pl.Series]:
    """Return which rows lose a value, for each column that is blank in every row and clears one."""
    optional = [column for column in columns.OPTIONAL if column in table.present]
    clears = known.select(_clears(column).alias(column.field) for column in optional)
    return {
        column: clears[column.field] for column in optional if clears[column.field].any() and _is_blank(table, column)
    }


def _is_blank(table: Table, column: Column) -> bool:
    """Return whether a column is blank in every row. A few rows answer that for most columns."""
    cells = table.cells[column.field]
    return all(
        bool((text.clean(some.unique(), guarded=table.guarded) == "").all()) for some in (cells.head(_SAMPLE), cells)
    )


def _clears(column: Column) -> pl.Expr:
    """Return whether a row clears the value that its user has."""
    if column is columns.SUPERVISOR_EMAIL:
        return pl.col("linked") & pl.col("supervisor_id").is_null() & pl.col("supervisor_row").is_null()
    value, was = pl.col(matching.VALUES[column]), pl.col(f"was_{matching.VALUES[column]}")
    if column in (columns.RANK, columns.EVIDENCE_GROUP_EXT_ID):
        return was.is_not_null() & value.is_null()
    return (was != "") & (value == "")


def _note_blank(table: Table, clears: dict[Column, pl.Series]) -> list[Problem]:
    """Return a note for each column that is blank in every row of a file, and clears a value."""
    if not table.file.format:
        return []
    numbers = {column: int(cleared.sum()) for column, cleared in clears.items()}
    return [
        Problem.of("blank-column", column=column.heading, users=f"{number:,} user{'' if number == 1 else 's'}")
        for column, number in numbers.items()
    ]


def _note_most(table: Table, known: pl.DataFrame, snapshot: Snapshot, blank: Collection[Column]) -> list[Problem]:
    """Return a note for each column that a file changes for more than half of the users of a large agency.

    If the snapshot does not hold all users, the file has too few rows for that.
    """
    users = snapshot.users.height
    if snapshot.headcount is not None or users < _LARGE or known.height * 2 <= users or not table.file.format:
        return []
    others = [column for column in (*matching.VALUES, columns.SUPERVISOR_EMAIL) if column not in blank]
    counts = known.select(_changes(column).sum().alias(column.heading) for column in others)
    return [
        Problem.of("most-users-change", column=heading, users=f"{number:,}", total=f"{users:,}")
        for heading, number in counts.row(0, named=True).items()
        if number * 2 > users
    ]


def _changes(column: Column) -> pl.Expr:
    if column is columns.SUPERVISOR_EMAIL:
        return pl.col("linked")
    name = matching.VALUES[column]
    return pl.col(name).ne_missing(pl.col(f"was_{name}"))
