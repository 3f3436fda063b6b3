"""Step 3, plan: the effect of a table on the directory, based on the final state. Nothing is written here."""

import hashlib
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from musterbook.core.checking import check, defaults, meanings
from musterbook.core.domain import columns
from musterbook.core.domain.policy import LimitKind, Mode, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.problems import build_frame as none_found
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import (
    changes,
    evaluate,
    failing_columns,
    file_end,
    harms,
    holds,
    identity,
    mails,
    marks,
    matching,
    releases,
)
from musterbook.core.planning.deactivations import Leavers
from musterbook.core.planning.entry_changes import Entries
from musterbook.core.planning.evaluate import Judgement
from musterbook.core.planning.harms import Harms
from musterbook.core.planning.holds import Hold
from musterbook.core.planning.matching import MatchedTable

OUTCOMES = ("added", "updated", "unchanged", "errored", "skipped")

_AT_ONCE = 100_000
"""The number of rows that are converted to text at once for the digest."""

OUTCOME = pl.Enum(OUTCOMES)
"""The type of the column that holds the outcome of a row."""
ROWS: dict[str, pl.DataType | type[pl.DataType]] = {"row": pl.UInt32, "external_id": pl.String, "outcome": OUTCOME}
"""The columns of `Plan.rows`."""
_KEYS = tuple(column.key for column in columns.KEYED)
_LINK = ("supervisor_id", "supervisor_row", "supervisor_external_id", "supervisor_email")
_VALUES = (*matching.VALUES.values(), *_LINK)
_WAS = tuple(f"was_{name}" for name in (*_VALUES, "registered") if name != "supervisor_row")

ADDED = {name: evaluate.SCHEMA[name] for name in ("row", "external_id", *_KEYS, *_VALUES)}
"""The columns of `Plan.added`."""
UPDATED = {
    **{
        name: evaluate.SCHEMA[name]
        for name in (
            "row",
            "id",
            "external_id",
            *_KEYS,
            *_VALUES,
            *_WAS,
            *(f"was_{key}" for key in _KEYS),
            "vacates",
            "replaced",
        )
    },
    "reactivated": pl.Boolean,
}
"""The columns of `Plan.updated`."""
REKEYED = {
    "row": pl.UInt32,
    "id": pl.Int64,
    **dict.fromkeys(("external_id", "new_external_id", "email", "badge_number"), pl.String),
    **dict.fromkeys(("first_name", "last_name", "username"), pl.String),
    "vacates": pl.Boolean,
}
"""The columns of `Plan.rekeyed`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The effect of an import. Only `apply` and `report` use its frames.

    - `rows` (ROWS): every row except the skipped ones, by row.
    - `added` (ADDED), `updated` (UPDATED): the users to write, by row. Both have all values with keys, `supervisor_id`
      or, where this plan adds the supervisor, `supervisor_row`, and the supervisor's external ID and address. `updated`
      also has `id`, the stored values and keys (`was_…`), `reactivated`, `vacates` (another user takes a unique value that
      this user gives up), and `replaced` (the user becomes another person: all access of the former person ends). Both
      have no columns in a plan that writes no users: a refused file, or mails only.
    - `rekeyed` (REKEYED): the users who get a new external ID (M14), by row. `vacates`: another user takes the old one.
    - `released` (releases.RELEASED): the badges that rows take from Inactive users (M13). The rows of their former holders
      are in `added` and `updated`.
    - `mailings` (mails.SCHEMA): the emails that applying it sends.
    """

    mode: Mode
    table: Table
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    rows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ROWS))
    added: pl.DataFrame = field(default_factory=pl.DataFrame)
    updated: pl.DataFrame = field(default_factory=pl.DataFrame)
    rekeyed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REKEYED))
    released: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=releases.RELEASED))
    leavers: Leavers = field(default_factory=Leavers)
    harms: Harms = field(default_factory=Harms)
    holds: tuple[Hold, ...] = ()
    """Why the import waits for confirmation by the operator. A plan that is refused has none."""
    problems: pl.DataFrame = field(default_factory=none_found)
    notes: pl.DataFrame = field(default_factory=none_found)
    refusals: tuple[Problem, ...] = ()
    mailings: pl.DataFrame = field(default_factory=mails.build_frame)
    source: str = ""
    """The source of the users that the plan adds (S9)."""
    marks: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=marks.CHANGED))
    """The marks of other users that the plan changes (marks.CHANGED). The mark alone is not a change of a user."""
    entries: Entries | None = None
    """What the plan of a file of groups, members, roles or ranks changes; None for any other plan."""

    @property
    def held(self) -> Mapping[str, object] | None:
        """Return the first reason why the import waits, in the format that has a single one, or None."""
        return self.holds[0].as_first(self.harms.losing_access.height) if self.holds else None

    @property
    def counts(self) -> Mapping[str, int]:
        """Return the counts of rule A1, and the users whose marks change (`marked`)."""
        tally = dict(self.rows["outcome"].value_counts().iter_rows())
        reactivated = int(self.updated["reactivated"].sum()) if self.updated.width else 0
        return (
            {
                "rows": self.table.rows,
                "added": tally.get("added", 0),
                "updated": tally.get("updated", 0),
                "reactivated": reactivated,
                "unchanged": tally.get("unchanged", 0),
                "errored": tally.get("errored", 0),
                "skipped": self.table.skipped.height,
                "deactivated": self.leavers.deactivated.height,
                "protected": self.leavers.protected.height,
                "marked": self.marks.height,
                **self.harmed,
                "released": self.released.height,
            }
            | ({"identity_changes": changed} if (changed := self._count_identity_changes()) else {})
            | self._count_entries()
        )

    def _count_entries(self) -> dict[str, int]:
        if self.entries is None:
            return {}
        return {"removed": self.entries.select_shown("removed").height, "losses": self.entries.losses.height}

    def _count_identity_changes(self) -> int:
        decided = self.notes.filter(pl.col("code").is_in(identity.DECIDED.values()))
        return decided.join(self.updated, on="row", how="semi").height if decided.height else 0

    @property
    def harmed(self) -> Mapping[str, int]:
        """Return the number of users of each kind of harm."""
        found = self.harms
        return {
            "losing_access": found.losing_access.height,
            "privileges": found.privileges.height,
            "handovers": found.handovers.height,
            "cleared": found.cleared.height,
        }

    @property
    def mails(self) -> Mapping[str, int]:
        """Return the number of emails of each kind (rule D8)."""
        return mails.count_kinds(self.mailings)

    def without_mails(self, kinds: Collection[str] | None) -> "Plan":
        """Return the plan without the emails of these kinds; None: without any."""
        left = mails.build_frame() if kinds is None else mails.drop_kinds(self.mailings, kinds)
        return replace(self, mailings=left)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what the plan would do and find.

        Two plans of one file with the same digest do the same (D2). The digest includes the number of users of each
        kind of harm, which is what the operator confirms. It does not include whether the plan is held: that depends
        only on the confirmation.
        """
        parts: list[tuple[pl.DataFrame, tuple[str, ...]]] = [
            (self.added, ("row", "external_id", *_VALUES)),
            (self.updated, ("row", "external_id", *_VALUES, *_WAS)),
            (self.leavers.deactivated, ("external_id",)),
            (self.leavers.protected, ("external_id", "code")),
        ]
        if not self.rekeyed.is_empty():
            # The same external IDs may belong to other users by now.
            parts.append((self.rekeyed, ("row", "id", "external_id", "new_external_id")))
        if not self.released.is_empty():
            # The day is that of the plan that is applied.
            unnamed = pl.col("badge_number").str.replace(matching.RELEASED, "")
            parts = [
                (users.with_columns(unnamed) if "badge_number" in users.columns else users, fields)
                for users, fields in parts
            ]
            parts.append((self.released, ("row", "external_id", "was_badge_number")))
        digest = hashlib.sha256(repr((self.mode.value, self.refusals, *self.harmed.values())).encode())
        for users, fields in parts:
            if users.width:
                # No cell of these contains a control character (rule C1), so none needs quotes.
                _update_digest(digest, users.select(fields), "never")
        _update_digest(digest, self.problems, "necessary")
        if self.entries is not None:
            digest.update(f"{self.entries.describe()}{self.entries.losses.height}".encode())
        if self.updated.width:
            digest.update(repr(self.updated.filter("replaced")["row"].to_list() or "").encode())
        return digest.hexdigest()

    def with_changes(self, users: pl.DataFrame) -> pl.DataFrame:
        """Return some rows of `added`, `updated` or `rekeyed`, with `changes`.

        `changes` is JSON text, several times as long as the values that it describes.
        """
        if "new_external_id" in users.columns:
            return users.with_columns(changes=changes.describe_rekeyed(users))
        describe = changes.describe_updated if "was_email" in users.columns else changes.describe_added
        return users.with_columns(changes=describe(users, self.vocabulary))


def _update_digest(digest: "hashlib._Hash", part: pl.DataFrame, quotes: Literal["never", "necessary"]) -> None:
    digest.update(f"{part.height}\n".encode())
    for some in part.iter_slices(_AT_ONCE):
        text = io.BytesIO()
        some.write_csv(text, include_header=False, separator="\x1f", quote_style=quotes)
        digest.update(text.getbuffer())


def make_plan(table: Table, snapshot: Snapshot, policy: Policy) -> Plan:
    """Return the plan of a table.

    It is a pure function of the file, the directory and the rules. A refused file makes a refused plan.
    """
    words, own = snapshot.vocabulary, policy.file_values
    new = defaults.read_defaults(table, own, words)
    wrong = (*table.problems, *meanings.find_unusable(own.given, words), *new.problems)
    if wrong:
        return Plan(policy.mode, table, refusals=wrong)
    table = file_end.settle_end(table, snapshot.users)
    wrong = file_end.find_count_problems(table, policy)
    if policy.mode is Mode.SYNC and table.cells.is_empty():
        wrong = (Problem.of("no-rows"), *wrong)
    if wrong:
        return Plan(policy.mode, table, refusals=wrong)
    try:
        translated, notes = meanings.translate_cells(table, own, words)
        matched = matching.match_table(translated, snapshot, new.values)
        judgement = evaluate.judge_rows(translated, matched, words, policy)
        check.refuse_too_many(judgement.problems, table.file)
    except check.TooManyProblems as error:
        return Plan(policy.mode, table, refusals=(error.problem,))
    table = file_end.skip_repeated(table, matched.repeated)
    plan = replace(_assemble_plan(table, matched.unchanged_rows, judgement, policy.mode), vocabulary=words)
    plan = _add_marks(plan, matched, judgement, policy)
    found = harms.find_harms(translated, judgement.rows, judgement.leavers.deactivated, snapshot)
    more = (
        *notes,
        *new.describe(plan.added.height),
        *found.notes,
        *failing_columns.note_failing(table, judgement.problems),
    )
    plan = replace(plan, table=replace(table, notes=(*table.notes, *more)))
    refusals = find_refusals(plan, policy)
    if refusals:
        # A refused file is not compared to the users that it does not mention (F10).
        return replace(plan, refusals=refusals, leavers=Leavers())
    mailings = mails.list_mails(plan.added, plan.updated, plan.leavers.deactivated)
    plan = replace(plan, harms=found, mailings=mailings)
    return replace(plan, holds=_find_holds(plan, snapshot, policy))


def _assemble_plan(table: Table, same: pl.DataFrame, judgement: Judgement, mode: Mode) -> Plan:
    rows = judgement.rows.with_columns(outcome=_decide_outcome()).sort("row")
    # A row of the fast path has an error only in strict mode, if the link that it repeats would be part of a cycle.
    errs = pl.col("row").is_in(judgement.problems["row"].implode())
    outcome = pl.when(errs).then(pl.lit("errored")).otherwise(pl.lit("unchanged")).cast(OUTCOME)
    same_rows = same.select("row", "external_id", outcome=outcome)
    outcomes = pl.concat([same_rows, rows.select(pl.col("row"), pl.col("external_id").fill_null(""), "outcome")])
    return Plan(
        mode,
        table,
        rows=outcomes.sort("row"),
        added=rows.filter(pl.col("outcome") == "added").select(ADDED.keys()),
        updated=_select_updated(rows.filter(pl.col("outcome") == "updated")),
        released=judgement.released,
        leavers=judgement.leavers,
        problems=judgement.problems,
        notes=judgement.notes,
    )


def _add_marks(plan: Plan, matched: MatchedTable, judgement: Judgement, policy: Policy) -> Plan:
    same, rows = matched.unchanged_rows, judgement.rows
    changed = marks.find_changed(matched.marks, matched.users, same, rows, judgement.leavers, policy)
    notes = pl.concat([plan.notes, marks.note_rows(matched.marks, same, rows, policy)])
    return replace(plan, source=policy.source, marks=changed, notes=notes.sort("row", "code", "column"))


def _decide_outcome() -> pl.Expr:
    outcome = (
        pl.when(~pl.col("ok")).then(pl.lit("errored"))
        .when(pl.col("id").is_null()).then(pl.lit("added"))
        .when(pl.col("differs") | pl.col("linked")).then(pl.lit("updated"))
        .otherwise(pl.lit("unchanged"))
    )  # fmt: skip
    return outcome.cast(OUTCOME)


def _select_updated(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(reactivated=pl.col("active") & ~pl.col("was_active")).select(UPDATED.keys())


def _find_holds(plan: Plan, snapshot: Snapshot, policy: Policy) -> tuple[Hold, ...]:
    added = plan.added.with_columns(was_role_id=pl.lit(None, pl.Int64), was_group_id=pl.lit(None, pl.Int64))
    changed = {LimitKind.UPDATES: plan.updated, LimitKind.ADDITIONS: added}
    return holds.find_holds(plan.table, plan.harms, changed, plan.leavers.unreadable, snapshot, policy)


def find_refusals(plan: Plan, policy: Policy) -> tuple[Problem, ...]:
    """Return why nothing may be written although the file could be read.

    The reason is strict mode (D4), or that the file names no user (S6).
    """
    errored = int((plan.rows["outcome"] == "errored").sum())
    if policy.strict and errored:
        return (Problem.of("not-strict", errored=f"{errored} of {plan.table.rows}"),)
    if policy.mode is Mode.SYNC and errored == plan.rows.height:
        return (Problem.of("no-good-row"),)
    return ()
