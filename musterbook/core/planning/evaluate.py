"""The evaluation of all rows in the final state: each row alone, rows together, deactivations, supervisors."""

from dataclasses import dataclass

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import authority, deactivations, matching, supervisors, uniqueness
from musterbook.core.planning.deactivations import Leavers
from musterbook.core.planning.matching import Matched
from musterbook.core.planning.notes import inactive_groups, sign_on_addresses
from musterbook.core.planning.supervisors import Ends, Links

STRICT_NOTES = ("unknown-supervisor", "own-supervisor", "supervisor-circle")
"""The notes of rule M9 that are errors in strict mode (D4)."""


_FINAL = {
    **{name: matching.SCHEMA[name] for name in matching.VALUES.values()},
    "supervisor_id": pl.Int64,
    "supervisor_external_id": pl.String,
    "supervisor_email": pl.String,
}
_KEPT = ("row", "id", "external_id", *(column.key for column in columns.KEYED), "was_registered", "differs")

SCHEMA = {
    **{name: matching.SCHEMA[name] for name in _KEPT},
    **_FINAL,
    "supervisor_row": pl.UInt32,
    **{f"was_{name}": kind for name, kind in _FINAL.items()},
    **dict.fromkeys(("ok", "vacates", "linked"), pl.Boolean),
}
"""The columns of `Judgement.rows`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of the evaluation.

    `rows` (SCHEMA) holds the matched rows, except those of the unchanged fast path:

    - the values of the final state with their keys, and the stored ones (`was_…`).
    - the supervisor: `supervisor_id`, or `supervisor_row` if this file adds the supervisor, `supervisor_external_id`,
      `supervisor_email`, and the same as stored.
    - `ok`: the row has no problem. `differs`: a value changes. `linked`: the supervisor changes. `vacates`: another user
      takes a unique value that this user gives up.
    """

    rows: pl.DataFrame
    leavers: Leavers
    problems: pl.DataFrame
    notes: pl.DataFrame


def judge(table: Table, matched: Matched, vocabulary: Vocabulary, policy: Policy) -> Judgement:
    """Evaluate the rows of a table, matched to their users, under the policy."""
    return _Bench(table, matched, vocabulary, policy).judgement()


@dataclass(frozen=True, slots=True)
class _Bench:
    """The values that are the same throughout the evaluation."""

    table: Table
    matched: Matched
    vocabulary: Vocabulary
    policy: Policy

    def judgement(self) -> Judgement:
        rows, alone, about_groups = self._alone()
        rows, together = self._together(rows)
        leavers = self._leavers(rows)
        rows, overstepping, about_links = self._linked(rows, leavers)
        found = pl.concat([alone, together, overstepping])
        notes = pl.concat([about_groups, about_links, sign_on_addresses(rows, self.vocabulary)])
        if self.policy.strict:
            grave = pl.col("code").is_in(STRICT_NOTES)
            found, notes = pl.concat([found, notes.filter(grave)]), notes.filter(~grave)
        ok = ~pl.col("row").is_in(found["row"].implode())
        by_row = ("row", "code", "column")
        judged = rows.with_columns(ok=pl.col("ok") & ok).select(SCHEMA.keys())
        return Judgement(judged, leavers, found.sort(by_row), notes.sort(by_row))

    def _alone(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Evaluate each row alone.

        Return the rows with `ok` and `shifted` (cells may be in the wrong columns), their problems, and notes.
        """
        rows = self.matched.rows
        inactive, notes = inactive_groups(rows, self.matched.same, self.vocabulary)
        forbidden = authority.forbidden(rows, self.policy.operator, self.vocabulary)
        resting = uniqueness.resting(rows, self.matched.resting)
        found = pl.concat([self.matched.problems, uniqueness.repeated_ids(rows), inactive, forbidden, resting])
        shifted = self.table.faults.filter(pl.col("code") == "cell-count")["row"]
        judged = rows.with_columns(
            ok=~pl.col("row").is_in(found["row"].implode()), shifted=pl.col("row").is_in(shifted.implode())
        )
        return judged, found, notes if columns.EVIDENCE_GROUP_EXT_ID in self.table.present else notes.clear()

    def _together(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Evaluate the rows in the final state (M5–M8, M11) up to the fixed point.

        Return the rows with `ok` and `vacates`, and the problems found.
        """
        users = self.matched.users
        asked = uniqueness.of(rows, users)
        if self.matched.resting is not None:
            asked = uniqueness.never_handed_over(asked)
        failed = uniqueness.cascade(asked, uniqueness.refused(asked))
        sound = rows.filter("ok", ~pl.col("row").is_in(failed.implode()))
        last = authority.last_administrators(sound, users, self.vocabulary)
        failed = uniqueness.cascade(asked, pl.concat([failed, last]))
        found = [uniqueness.found(asked, failed, users, rows), authority.last_administrator_problems(rows, last)]
        fails = pl.col("row").is_in(failed.implode())
        given_up = asked.filter("ok", ~fails)["released_by"].drop_nulls()
        judged = rows.with_columns(ok=pl.col("ok") & ~fails, vacates=pl.col("row").is_in(given_up.implode()))
        return judged, pl.concat(found)

    def _leavers(self, rows: pl.DataFrame) -> Leavers:
        if self.policy.mode is Mode.UPDATE:
            return Leavers()
        return deactivations.leavers(self.matched.users, self.matched.same, rows, self.policy, self.vocabulary)

    def _linked(self, rows: pl.DataFrame, leavers: Leavers) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return the rows with their supervisors in the final state (M9), the problems of M10, and the notes."""
        ends = Ends(self.matched.users, rows.filter("ok"), leavers.deactivated)
        if columns.SUPERVISOR_EMAIL in self.table.present:
            kept = self.matched.same.filter(pl.col("supervisor_id").is_not_null())
            links = supervisors.links(ends, kept, authority.roles_above(self.policy.operator, self.vocabulary))
        else:
            links = Links()
        overstepping = authority.above_role(
            rows.filter(pl.col("row").is_in(links.overstepping.implode())),
            "The user's role has permissions that yours does not, so you cannot change their supervisor.",
        )
        return _with_supervisors(rows, ends, links), overstepping, links.notes


def _with_supervisors(rows: pl.DataFrame, ends: Ends, links: Links) -> pl.DataFrame:
    """Return the rows with their supervisors. A user whose row is not in `chosen` keeps theirs.

    If a supervisor's own address changes, the people under them do not change: their rows have the old address before
    and after.
    """
    chosen = links.chosen.filter(pl.col("boss").ne_missing(pl.col("was"))).select("row", "boss", linked=pl.lit(True))
    now = ends.people(chosen["boss"]).select(
        boss="person", supervisor_external_id="external_id", supervisor_email="email"
    )
    was = ends.users.join(rows.select(id="was_supervisor_id"), on="id", how="semi").select(
        was_supervisor_id="id", was_supervisor_external_id="external_id", was_supervisor_email="email"
    )
    joined = (
        rows.drop("supervisor_email", strict=False)
        .join(chosen.join(now, on="boss", how="left"), on="row", how="left", maintain_order="left")
        .join(was, on="was_supervisor_id", how="left", maintain_order="left")
        .with_columns(pl.col("linked").fill_null(False))
    )
    boss = pl.col("boss")
    changed = {
        "supervisor_id": pl.when(boss > 0).then(boss),
        "supervisor_external_id": pl.col("supervisor_external_id"),
        "supervisor_email": pl.col("supervisor_email"),
    }
    return joined.with_columns(
        *(pl.when("linked").then(value).otherwise(f"was_{name}").alias(name) for name, value in changed.items()),
        supervisor_row=pl.when(boss < 0).then(-boss).cast(pl.UInt32),
    )
