"""The marks of users that an import of a file reads and writes: their source (S9), whether they are leaving (S10), and
whether files leave them unchanged (S11).
"""

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.policy import Policy
from musterbook.core.domain.snapshot import MARKS
from musterbook.core.planning import mentions
from musterbook.core.planning.deactivations import Leavers

_WRITTEN = ("source", "missing_since", "missing_imports")
CHANGED = {"id": MARKS["id"], **{f"{was}{name}": MARKS[name] for was in ("", "was_") for name in _WRITTEN}}
"""The columns of the marks that a plan changes: the user, the marks to write, and the present ones (`was_…`)."""

_KEPT_ANYWAY = ("exempt", "not-by-files", "named-by-faulty-row")
"""The reasons of protection for which a user is no longer leaving."""


def find_changed(
    marks: pl.DataFrame,
    users: pl.DataFrame,
    same_users: pl.DataFrame,
    rows: pl.DataFrame,
    leavers: Leavers,
    policy: Policy,
) -> pl.DataFrame:
    """Return the marks that change (CHANGED).

    - Unmarked users that a row without problems mentions get the source of the import.
    - Users that the file mentions, and users who are protected for another reason, are no longer leaving.
    - Missing users in their grace period are leaving.

    `marks`: the marks of the snapshot, `users`: its users with keys. `same_users`: `id` of the users on the unchanged fast
    path. `rows`: the other rows with `id` and `ok`.
    """
    if marks.is_empty() and leavers.leaving.is_empty():
        return pl.DataFrame(schema=CHANGED)
    sourced = _find_sourced(marks, same_users, rows, policy)
    returned = _find_returned(marks, users, same_users, rows, leavers)
    known = pl.concat([marks, _complete_marks(leavers.leaving, marks, policy)])
    now = known.join(leavers.leaving, on="id", how="left", suffix="_now")
    back, leaving = pl.col("id").is_in(returned["id"].implode()), pl.col("missing_since_now").is_not_null()
    changed = now.select(
        "id",
        source=pl.when(pl.col("id").is_in(sourced["id"].implode())).then(pl.lit(policy.source)).otherwise("source"),
        missing_since=pl.when(leaving).then("missing_since_now").when(~back).then("missing_since"),
        missing_imports=pl.when(leaving).then("missing_imports_now").when(back).then(0).otherwise("missing_imports"),
        **{f"was_{name}": pl.col(name) for name in _WRITTEN},
    ).cast(CHANGED)  # type: ignore[arg-type]  # a mapping of the same types
    return changed.filter(pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"was_{name}")) for name in _WRITTEN))


def _find_sourced(marks: pl.DataFrame, same_users: pl.DataFrame, rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return the users (`id`) who get the source of the import."""
    unmarked = marks.select("id").filter((marks["source"] == "") & ~marks["no_files"] & bool(policy.source))
    return unmarked.join(mentions.find_by_id(same_users, rows.filter("ok")), on="id", how="semi")


def _find_returned(
    marks: pl.DataFrame, users: pl.DataFrame, same_users: pl.DataFrame, rows: pl.DataFrame, leavers: Leavers
) -> pl.DataFrame:
    """Return the users (`id`) who were missing and are not missing any more."""
    missing = marks.filter(pl.col("missing_since").is_not_null()).select("id")
    if missing.is_empty():
        return missing
    named = mentions.find_by_key(users.join(missing, on="id", how="semi"), rows).select("id")
    kept = leavers.protected.filter(pl.col("code").is_in(_KEPT_ANYWAY)).select("id")
    return missing.join(pl.concat([mentions.find_by_id(same_users, rows), named, kept]), on="id", how="semi")


def _complete_marks(leaving: pl.DataFrame, marks: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return the marks (MARKS) of leaving users who have none among the marks, as they are now.

    Users without an entry in the snapshot have the source of the import, if it names one.
    """
    return (
        leaving.join(marks, on="id", how="anti")
        .select(
            "id", source=pl.lit(policy.source), no_files=pl.lit(False),
            missing_since=pl.lit(None, pl.Date), missing_imports=pl.lit(0, pl.Int64),
        )
    )  # fmt: skip


def note_rows(marks: pl.DataFrame, same: pl.DataFrame, rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return the notes of rows whose users files leave unchanged, and of rows that update a user of another source.

    `same`: the rows that change nothing. `rows`: the other rows with `id`, `ok`, `differs` and `linked`.
    """
    if marks.is_empty():
        return problems.build_frame()
    kept = same.join(marks.filter("no_files").select("id"), on="id", how="semi")
    others = marks.filter((marks["source"] != "") & (marks["source"] != policy.source) & bool(policy.source))
    updated = rows.filter(pl.col("ok") & (pl.col("differs") | pl.col("linked")))
    foreign = updated.select("row", "id").join(others.select("id", "source"), on="id")
    return pl.concat(
        [
            problems.flag_rows(kept, "not-by-files"),
            problems.flag_rows(foreign, "other-source", value=pl.col("source")),
        ]
    )
