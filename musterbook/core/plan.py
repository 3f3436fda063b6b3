"""Step 3, plan: what a table would do to the directory, judged on the final state. Nothing is written here."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from musterbook.core import authority, changes, check, claims, columns, keys, problems, settled, supervisors, synchronize
from musterbook.core.checked import CheckedTable
from musterbook.core.policy import Mode, Policy
from musterbook.core.problems import Problem
from musterbook.core.problems import frame as none_found
from musterbook.core.snapshot import Snapshot
from musterbook.core.synchronize import Held, Leavers
from musterbook.core.table import Table
from musterbook.core.vocabulary import Vocabulary

OUTCOMES = ("added", "updated", "unchanged", "errored", "skipped")

_VALUES = {
    columns.EMAIL: "email",
    columns.BADGE_NUMBER: "badge_number",
    columns.FIRST_NAME: "first_name",
    columns.LAST_NAME: "last_name",
    columns.STATUS: "active",
    columns.USERNAME: "username",
    columns.ROLE: "role_id",
    columns.LOCATION: "location",
    columns.RANK: "rank_id",
    columns.EVIDENCE_GROUP_EXT_ID: "group_id",
    columns.PHONE: "phone",
}
"""Column → the name of its value in a user's row; the supervisor is a link, judged apart."""

STRICT_NOTES = ("unknown-supervisor", "own-supervisor", "supervisor-circle")
"""The notes of rule M9 that are errors in strict mode (D4)."""

_OUTCOME = pl.Enum(OUTCOMES)
_ROWS = {"row": pl.UInt32, "external_id": pl.String, "outcome": _OUTCOME}


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do. Its frames are for `apply` and `report` alone.

    `rows`: `row`, `external_id`, `outcome`, of every row but the skipped ones, by row.
    `added`, `updated`: the users to write, by row: all values with keys, `supervisor_id` or, where the supervisor is
    added by this plan, `supervisor_row`; `changes` (JSON text); and of updated ones `id`, what they were (`was_…`),
    `reactivated`, and `vacates` (somebody else takes a unique value that they give up).
    """

    mode: Mode
    table: Table
    rows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ROWS))
    added: pl.DataFrame = field(default_factory=pl.DataFrame)
    updated: pl.DataFrame = field(default_factory=pl.DataFrame)
    leavers: Leavers = field(default_factory=Leavers)
    problems: pl.DataFrame = field(default_factory=none_found)
    notes: pl.DataFrame = field(default_factory=none_found)
    refusals: tuple[Problem, ...] = ()

    @property
    def held(self) -> Held | None:
        """Why the import waits for the operator's word, if it does."""
        return self.leavers.held

    @property
    def counts(self) -> Mapping[str, int]:
        """The counts of rule A1."""
        tally = dict(self.rows.group_by("outcome").len().iter_rows())
        reactivated = int(self.updated["reactivated"].sum()) if self.updated.width else 0
        return {
            "rows": self.table.rows if not self.table.problems else 0,
            "added": tally.get("added", 0),
            "updated": tally.get("updated", 0),
            "reactivated": reactivated,
            "unchanged": tally.get("unchanged", 0),
            "errored": tally.get("errored", 0),
            "skipped": self.table.skipped.height,
            "deactivated": self.leavers.deactivated.height,
            "protected": self.leavers.protected.height,
        }

    @property
    def digest(self) -> str:
        """What the plan would do, as a SHA-256: two plans with one digest do the same (D2).

        Being held is not of it, for that ends with the operator's word; who would be deactivated is.
        """
        changed = [frame.select("row", "external_id", "changes") for frame in (self.added, self.updated) if frame.width]
        errored = self.problems.select("row", "code", "column").sort("row", "code", "column")
        parts = [*changed, errored, self.leavers.deactivated.select("external_id"), self.leavers.protected.select("external_id", "code")]
        digest = hashlib.sha256(repr((self.mode.value, self.refusals)).encode())
        for part in parts:
            digest.update(part.write_csv().encode())
        return digest.hexdigest()


def make(table: Table, snapshot: Snapshot, policy: Policy) -> Plan:
    """The plan of a table: a pure function of the file, the directory and the rules. A refused file makes a refused plan."""
    if table.problems:
        return Plan(policy.mode, table, refusals=table.problems)
    if policy.mode is Mode.SYNC and table.cells.is_empty():
        return Plan(policy.mode, table, refusals=(Problem("no-rows"),))
    users = with_keys(snapshot.users)
    same, rows, checked = _read(table, snapshot, users)
    return _Judgement(table, snapshot.vocabulary, policy, users, same, checked).plan(rows)


def with_keys(users: pl.DataFrame) -> pl.DataFrame:
    """The snapshot's users with the keys by which e-mails, badges and usernames are compared (M4)."""
    return users.with_columns(keys.keys(users[c.field]).alias(c.key) for c in columns.KEYED)


def _read(table: Table, snapshot: Snapshot, users: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, CheckedTable]:
    """The settled rows; all others beside the users whom they mean; and these as they were checked.

    A settled row is judged with the others after all if one of them has its external id, or changes the address of its
    supervisor: the address that it repeats may mean somebody else now.
    """
    same, rest = settled.split(table, snapshot)
    checked = check.check(replace(table, cells=rest), snapshot.vocabulary)
    rows = _matched(checked, users)
    if same.is_empty() or rows.is_empty():
        return same, rows, checked
    moving = rows.filter(pl.col("email_key") != pl.col("was_email_key"))["id"]
    again = same.filter(
        pl.col("external_id").is_in(rows["external_id"].implode()) | pl.col("supervisor_id").is_in(moving.implode())
    )
    if again.is_empty():
        return same, rows, checked
    cells = table.cells.join(again, on="row", how="semi", maintain_order="left")
    more = check.check(replace(table, cells=cells, faults=problems.frame()), snapshot.vocabulary)
    checked = CheckedTable(pl.concat([checked.rows, more.rows]), checked.present, pl.concat([checked.problems, more.problems]))
    return same.join(again, on="row", how="anti"), _matched(checked, users), checked


def _matched(checked: CheckedTable, users: pl.DataFrame) -> pl.DataFrame:
    """The checked rows beside the user whom each means (M1): `id` and what they were (`was_…`), null for new ones."""
    stored = users.select("external_id", "id", *(pl.col(c).alias(f"was_{c}") for c in users.columns if c not in ("external_id", "id")))
    rows = checked.rows.rename({"status": "active"} if "status" in checked.rows.columns else {})
    return rows.join(stored, on="external_id", how="left", maintain_order="left")


@dataclass(frozen=True, slots=True)
class _Judgement:
    """One plan in the making: what stays the same throughout."""

    table: Table
    vocabulary: Vocabulary
    policy: Policy
    users: pl.DataFrame
    same: pl.DataFrame
    checked: CheckedTable

    def plan(self, rows: pl.DataFrame) -> Plan:
        """The plan: rows judged alone, then against each other, then those who leave, then the supervisors."""
        rows, alone, notes = self._alone(rows)
        rows, together = self._together(rows)
        leaving = self._leavers(rows)
        rows, linked, overstepping = self._linked(rows, leaving)
        found = pl.concat([alone, together, overstepping])
        notes = pl.concat([notes, linked])
        if self.policy.strict:
            strict = pl.col("code").is_in(STRICT_NOTES)
            found, notes = pl.concat([found, notes.filter(strict)]), notes.filter(~strict)
        return self._assembled(rows, leaving, found.sort("row", maintain_order=True), notes.sort("row", maintain_order=True))

    def _alone(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """The rows with `ok`, judged each for itself, and their problems and notes."""
        rows = self._finals(rows)
        groups, notes = self._groups(rows)
        barred = authority.forbidden(rows, self.policy.operator, self.vocabulary)
        found = pl.concat([self.checked.problems, claims.repeated_ids(rows), groups, barred])
        shifted = self.table.faults.filter(pl.col("code") == "cell-count")["row"]
        return (
            rows.with_columns(
                ok=~pl.col("row").is_in(found["row"].implode()),
                shifted=pl.col("row").is_in(shifted.implode()),
            ),
            found,
            notes,
        )

    def _finals(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with every value as it would be in the end (M2), and `differs`: whether any changes."""
        fields = {c: name for c, name in _VALUES.items() if c in self.checked.present}
        absent = [name for c, name in _VALUES.items() if c not in self.checked.present]
        kept = [pl.col(f"was_{n}").fill_null("") if rows.schema[f"was_{n}"] == pl.String else pl.col(f"was_{n}") for n in absent]
        blank = {"rank_id": "rank_blank", "group_id": "group_blank"}
        differs = [
            pl.col(n).ne_missing(pl.col(f"was_{n}")) & (pl.col(n).is_not_null() | (pl.col(blank[n]) if n in blank else False))
            for n in fields.values()
        ]
        missing = [pl.lit(None, pl.Boolean).alias(b) for b in (*blank.values(), "group_inactive") if b not in rows.columns]
        return rows.with_columns(
            *(expr.alias(name) for expr, name in zip(kept, absent, strict=True)), *missing, differs=pl.any_horizontal(differs)
        )

    def _groups(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The problems of rows that name an inactive group, and the notes of those whose user is in it already (C7)."""
        if columns.EVIDENCE_GROUP_EXT_ID not in self.checked.present:
            return problems.frame(), problems.frame()
        ids = {group.id: group.external_id for group in self.vocabulary.groups}
        off = [group.id for group in self.vocabulary.groups if not group.active]
        shown = {
            "column": pl.lit(columns.EVIDENCE_GROUP_EXT_ID.heading),
            "value": settled.named("group_id", ids),
            "detail": pl.lit(""),
            "hint": pl.lit(""),
        }
        named = rows.filter("group_inactive")
        keeps = pl.col("group_id").eq_missing(pl.col("was_group_id"))
        repeated = self.same.filter(pl.col("group_id").is_in(off))
        kept = pl.concat([named.filter(keeps).select("row", "group_id"), repeated.select("row", "group_id")])
        return (
            named.filter(~keeps).select("row", code=pl.lit("inactive-group"), **shown),
            kept.select("row", code=pl.lit("inactive-group-kept"), **shown),
        )

    def _together(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows judged on the final state (M5–M8, M11) to the fixed point: `ok`, `vacates`, and the problems found."""
        asked = claims.of(rows, self.users)
        alone = rows.filter("ok")
        failed = claims.cascade(asked, claims.refused(asked))
        sound = alone.filter(~pl.col("row").is_in(list(failed)))
        last = authority.last_administrators(sound, self.users, self.vocabulary)
        failed = claims.cascade(asked, failed | last)
        found = [
            claims.found(asked, failed, self.users, rows),
            authority.last_administrator_problems(rows, last),
        ]
        released = asked.filter("ok", ~pl.col("row").is_in(list(failed)))["released_by"].drop_nulls()
        judged = rows.with_columns(
            ok=pl.col("ok") & ~pl.col("row").is_in(list(failed)), vacates=pl.col("row").is_in(released.implode())
        )
        return judged, pl.concat(found)

    def _leavers(self, rows: pl.DataFrame) -> Leavers:
        if self.policy.mode is Mode.UPDATE:
            return Leavers()
        return synchronize.leavers(self.users, self.same, rows, self.policy, self.vocabulary)

    def _linked(self, rows: pl.DataFrame, leaving: Leavers) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """The rows with their supervisors in the final state (M9), the notes, and the problems of M10."""
        sound = rows.filter("ok")
        everybody = supervisors.people(self.users, sound, leaving.deactivated)
        asking, kept = self._asking(sound, everybody)
        above = authority.roles_above(self.policy.operator, self.vocabulary)
        barred = sound.filter(pl.col("was_role_id").is_in(above))["row"].to_list()
        links = supervisors.links(everybody, asking, kept, barred)
        over = authority.above_role(
            rows.filter(pl.col("row").is_in(links.overstepping)),
            "The user's role has permissions that yours has not, so you may not change their supervisor.",
        )
        return self._with_supervisors(rows, everybody, links), links.notes, over

    def _asking(self, sound: pl.DataFrame, everybody: supervisors.People) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows that name a supervisor, and the settled ones, which repeat the stored one (`row`, `id`)."""
        if columns.SUPERVISOR_EMAIL not in self.table.present:
            return pl.DataFrame(schema=_ASKING), pl.DataFrame(schema={"row": pl.UInt32, "id": pl.Int64})
        nodes = everybody.nodes.filter(pl.col("row").is_not_null()).select("row", "node")
        kept = self.same.filter(pl.col("supervisor_id").is_not_null()).select("row", "id")
        return sound.join(nodes, on="row").select(_ASKING.keys()), kept

    def _with_supervisors(
        self, rows: pl.DataFrame, everybody: supervisors.People, links: supervisors.Links
    ) -> pl.DataFrame:
        """The rows with `supervisor_id`, `supervisor_row` and the texts of the supervisor now and before."""
        nodes = everybody.nodes
        now = links.chosen.join(
            nodes.select(boss="node", supervisor_id="id", boss_row="row", supervisor_external_id="external_id", supervisor_email_new="email"),
            on="boss", how="left",
        ).select(
            "row", "supervisor_id", "supervisor_external_id", "supervisor_email_new",
            supervisor_row=pl.when(pl.col("supervisor_id").is_null()).then("boss_row"), chosen=pl.lit(True),
        )  # fmt: skip
        was = self.users.select(
            was_supervisor_id="id", was_supervisor_external_id="external_id", was_supervisor_email="email"
        )
        joined = rows.join(now, on="row", how="left", maintain_order="left").join(
            was, on="was_supervisor_id", how="left", maintain_order="left"
        )
        stays = pl.col("chosen").is_null()
        after = {"supervisor_id": "supervisor_id", "supervisor_external_id": "supervisor_external_id", "supervisor_email": "supervisor_email_new"}
        relinked = joined.with_columns(
            *(pl.when(stays).then(f"was_{name}").otherwise(new).alias(name) for name, new in after.items()),
            ok=pl.col("ok") & ~pl.col("row").is_in(links.overstepping),
        )
        same = pl.col("supervisor_id").eq_missing(pl.col("was_supervisor_id")) & pl.col("supervisor_row").is_null()
        # The supervisor's own change of address is no change of the report's.
        return relinked.with_columns(
            linked=~same,
            supervisor_email=pl.when(same).then("was_supervisor_email").otherwise("supervisor_email"),
        )

    def _assembled(self, rows: pl.DataFrame, leaving: Leavers, found: pl.DataFrame, notes: pl.DataFrame) -> Plan:
        errored = ~pl.col("ok") | pl.col("row").is_in(found["row"].implode())
        new = pl.col("id").is_null()
        outcome = (
            pl.when(errored).then(pl.lit("errored"))
            .when(new).then(pl.lit("added"))
            .when(pl.col("differs") | pl.col("linked")).then(pl.lit("updated"))
            .otherwise(pl.lit("unchanged"))
        )  # fmt: skip
        rows = rows.with_columns(outcome=outcome.cast(_OUTCOME)).sort("row")
        same = self.same.select("row", "external_id", outcome=pl.lit("unchanged", _OUTCOME))
        outcomes = pl.concat([same, rows.select(pl.col("row"), pl.col("external_id").fill_null(""), "outcome")])
        plan = Plan(
            self.policy.mode,
            self.table,
            rows=outcomes.sort("row"),
            added=self._added(rows.filter(pl.col("outcome") == "added")),
            updated=self._updated(rows.filter(pl.col("outcome") == "updated")),
            leavers=leaving,
            problems=found,
            notes=notes,
        )
        return replace(plan, refusals=_refusals(plan, self.policy))

    def _added(self, rows: pl.DataFrame) -> pl.DataFrame:
        written = rows.select("row", "external_id", *_WRITTEN, "supervisor_row")
        return written.with_columns(changes=changes.of_added(rows, self.vocabulary))

    def _updated(self, rows: pl.DataFrame) -> pl.DataFrame:
        written = rows.select(
            "row", "id", "external_id", *_WRITTEN, "supervisor_row", "vacates", "was_active", "was_email", "was_registered",
            reactivated=pl.col("active") & ~pl.col("was_active"),
        )  # fmt: skip
        return written.with_columns(changes=changes.of_updated(rows, self.vocabulary))


_ASKING = {"row": pl.UInt32, "node": pl.UInt32, "supervisor_email": pl.String, "supervisor_email_key": pl.String}
_WRITTEN = (*_VALUES.values(), *(column.key for column in columns.KEYED), "supervisor_id")


def _refusals(plan: Plan, policy: Policy) -> tuple[Problem, ...]:
    """Why nothing may be written although the file could be read: strict mode (D4), or nobody is named (S6)."""
    errored = plan.counts["errored"]
    if policy.strict and errored:
        return (Problem("not-strict", detail=f"{errored} of {plan.table.rows}"),)
    if policy.mode is Mode.SYNC and errored == plan.rows.height:
        return (Problem("no-good-row"),)
    return ()
