"""The evaluation of all rows in the final state: each row alone, rows together, deactivations, supervisors."""

from dataclasses import dataclass

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.policy import Mode, Policy
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import (
    authority,
    damage,
    deactivations,
    identity,
    matching,
    releases,
    supervisors,
    uniqueness,
)
from musterbook.core.planning.deactivations import Leavers
from musterbook.core.planning.matching import MatchedTable
from musterbook.core.planning.notes import check_groups, note_addresses
from musterbook.core.planning.supervisors import FinalState, SupervisorLinks

STRICT_NOTES = ("unknown-supervisor", "own-supervisor", "supervisor-circle", "address-changed-hands")
"""The notes of rule M9 that are errors in strict mode (D4)."""


_FINAL = {
    **{name: matching.SCHEMA[name] for name in matching.VALUES.values()},
    "supervisor_id": pl.Int64,
    "supervisor_external_id": pl.String,
    "supervisor_email": pl.String,
}
_KEYS = tuple(column.key for column in columns.KEYED)
_ROW_FIELDS = ("row", "id", "external_id", *_KEYS, *(f"was_{key}" for key in _KEYS), "was_registered", "differs")

SCHEMA = {
    **{name: matching.SCHEMA[name] for name in _ROW_FIELDS},
    **_FINAL,
    "supervisor_row": pl.UInt32,
    **{f"was_{name}": kind for name, kind in _FINAL.items()},
    **dict.fromkeys(("ok", "vacates", "takes_over", "linked", "replaced"), pl.Boolean),
}
"""The columns of `Judgement.rows`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of the evaluation.

    `rows` (SCHEMA) holds the matched rows, except those of the unchanged fast path:

    - the values of the final state, and the stored ones (`was_…`), with their keys.
    - the supervisor: `supervisor_id`, or `supervisor_row` if this file adds the supervisor, `supervisor_external_id`,
      `supervisor_email`, and the same as stored.
    - `ok`: the row has no problem. `differs`: a value changes. `linked`: the supervisor changes. `vacates`: another user
      takes a unique value that this user gives up. `takes_over`: the row takes a sign-in name that another user has.
      `replaced`: the user becomes another person, who is not registered.

    `released` (releases.RELEASED): the badges that rows take from Inactive users.
    """

    rows: pl.DataFrame
    leavers: Leavers
    released: pl.DataFrame
    problems: pl.DataFrame
    notes: pl.DataFrame


def judge_rows(table: Table, matched: MatchedTable, vocabulary: Vocabulary, policy: Policy) -> Judgement:
    """Evaluate the rows of a table, matched to their users, under the policy."""
    return _Evaluation(table, matched, vocabulary, policy).judge()


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """The values that are the same throughout the evaluation."""

    table: Table
    matched: MatchedTable
    vocabulary: Vocabulary
    policy: Policy

    def judge(self) -> Judgement:
        rows, alone, about_cells = self._judge_single_rows()
        rows, together, leavers, released = self._judge_together(rows)
        rows, overstepping, about_links = self._link_supervisors(rows, leavers)
        problems = pl.concat([alone, together, overstepping])
        about_badges = releases.note_releases(released)
        notes = pl.concat([about_cells, about_links, about_badges, note_addresses(rows, self.vocabulary)])
        if self.policy.strict:
            is_error = pl.col("code").is_in(STRICT_NOTES)
            problems, notes = pl.concat([problems, notes.filter(is_error)]), notes.filter(~is_error)
        ok = ~pl.col("row").is_in(problems["row"].implode())
        by_row = ("row", "code", "column")
        result = rows.with_columns(ok=pl.col("ok") & ok).select(SCHEMA.keys())
        return Judgement(result, leavers, released, problems.sort(by_row), notes.sort(by_row))

    def _judge_single_rows(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Evaluate each row alone.

        Return the rows with `ok` and `shifted` (cells may be in the wrong columns, or the external ID is damaged), their
        problems, and notes.
        """
        rows = self.matched.rows
        inactive, notes = check_groups(rows, self.matched.unchanged_rows, self.vocabulary)
        forbidden = authority.find_forbidden(rows, self.policy.operator, self.vocabulary)
        resting = uniqueness.find_resting(rows, self.matched.resting)
        ids = [uniqueness.find_repeated_ids(rows), uniqueness.find_like_ids(rows, self.matched.users)]
        damaged = damage.find_damaged(rows, self.table, self.matched.users, self.vocabulary, self.policy.decisions)
        persons = identity.find_identities(rows, self.policy.decisions)
        problems = pl.concat([
            self.matched.problems, *ids, inactive, forbidden, resting, damaged, persons.problems,
        ])  # fmt: skip
        shifted = self.table.faults.filter(pl.col("code") == "cell-count")["row"]
        lost = damaged.filter(pl.col("column") == columns.EXTERNAL_ID.heading)["row"]
        replaced = pl.col("row").is_in(persons.others.implode())
        result = rows.with_columns(
            ok=~pl.col("row").is_in(problems["row"].implode()),
            shifted=pl.col("row").is_in(pl.concat([shifted, lost]).implode()),
            replaced=replaced,
            was_registered=pl.col("was_registered") & ~replaced,
        )
        about_groups = notes if columns.EVIDENCE_GROUP_EXT_ID in self.table.present else notes.clear()
        zeros = damage.note_missing_zeros(rows, self.matched.padded)
        return result, problems, pl.concat([about_groups, persons.notes, zeros])

    def _judge_together(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, Leavers, pl.DataFrame]:
        """Evaluate the rows in the final state, with the users who leave, and the badges that are released (M13).

        A badge is released only if its holder is Inactive and the row that takes it has no problem. If that turns out to be
        wrong, the row is barred, and all rows are evaluated again.
        """
        users, barred = self.matched.users, rows["row"].clear()
        while True:
            judged, found, together = self._judge_final_state(rows, barred)
            leavers = self._find_leavers(judged)
            kept = releases.find_kept(found, judged, users, leavers.deactivated)
            if kept.is_empty():
                released = releases.name_badges(found, judged, users, self.policy.today)
                return releases.apply_releases(judged, released), together, leavers, released
            barred = pl.concat([barred, kept])

    def _judge_final_state(
        self, rows: pl.DataFrame, barred: pl.Series
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Evaluate the rows in the final state (M5–M8, M11) up to the fixed point.

        Return the rows with `ok`, `vacates` and `takes_over`, the badges to release, and the problems found. `barred`: the
        rows that may not take a badge of an Inactive user.
        """
        users = self.matched.users
        claims = uniqueness.collect_claims(rows, users)
        if self.matched.resting is not None:
            claims = uniqueness.block_handovers(claims)
        releasing = releases.find_releases(claims, rows, users, self.policy, self._list_unreleasable(), barred)
        claims = releasing.claims
        failed = uniqueness.cascade_failures(claims, uniqueness.find_refused(claims))
        sound = rows.filter("ok", ~pl.col("row").is_in(failed.implode()))
        last = authority.find_last_admins(sound, users, self.vocabulary)
        failed = uniqueness.cascade_failures(claims, pl.concat([failed, last]))
        parts = [uniqueness.find_conflicts(claims, failed, users, rows), authority.flag_last_admins(rows, last)]
        fails = pl.col("row").is_in(failed.implode())
        given_up = claims.filter("ok", ~fails)["released_by"].drop_nulls()
        taking = uniqueness.find_handovers(claims, failed)
        result = rows.with_columns(
            ok=pl.col("ok") & ~fails,
            vacates=pl.col("row").is_in(given_up.implode()),
            takes_over=pl.col("row").is_in(taking.implode()),
        )
        return result, releasing.found, pl.concat(parts)

    def _list_unreleasable(self) -> list[int]:
        """Return the users whose badges stay: files leave them unchanged, or the operator may not change them."""
        if not self.policy.decisions.releases:
            return []
        above = authority.find_roles_above(self.policy.operator, self.vocabulary)
        theirs = self.matched.users.filter(pl.col("role_id").is_in(above))["id"]
        return [*theirs, *self.matched.marks.filter("no_files")["id"]]

    def _find_leavers(self, rows: pl.DataFrame) -> Leavers:
        if self.policy.mode is Mode.UPDATE:
            return Leavers()
        return deactivations.find_leavers(
            self.matched.users, self.matched.unchanged_rows, rows, self.policy, self.vocabulary, self.matched.marks
        )

    def _link_supervisors(
        self, rows: pl.DataFrame, leavers: Leavers
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return the rows with their supervisors in the final state (M9), the problems of M10, and the notes."""
        state = FinalState(self.matched.users, rows.filter("ok"), leavers.deactivated, self.matched.replaced)
        if columns.SUPERVISOR_EMAIL.field in rows.columns:
            repeats = self.matched.unchanged_rows.filter(pl.col("supervisor_id").is_not_null())
            links = supervisors.link_supervisors(
                state, repeats, authority.find_roles_above(self.policy.operator, self.vocabulary)
            )
        else:
            links = SupervisorLinks()
        barred = (
            rows.clear() if links.forbidden.is_empty() else rows.filter(pl.col("row").is_in(links.forbidden.implode()))
        )
        overstepping = authority.flag_above_role(
            barred,
            "The user's role has permissions that yours does not, so you cannot change their supervisor.",
        )
        return _add_supervisors(rows, state, links), overstepping, links.notes


def _add_supervisors(rows: pl.DataFrame, state: FinalState, links: SupervisorLinks) -> pl.DataFrame:
    """Return the rows with their supervisors. A user whose row is not in `chosen` keeps theirs.

    If a supervisor's own address changes, the people under them do not change: their rows have the old address before
    and after.
    """
    chosen = links.chosen.filter(pl.col("boss").ne_missing(pl.col("was"))).select("row", "boss", linked=pl.lit(True))
    now = state.list_people(chosen["boss"]).select(
        boss="person", supervisor_external_id="external_id", supervisor_email="email"
    )
    was = state.users.join(rows.select(id="was_supervisor_id"), on="id", how="semi").select(
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
