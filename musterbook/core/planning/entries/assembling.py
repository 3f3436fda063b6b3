"""The plan of a file of entries, from what its rows were judged to be."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from musterbook.core.checking import check
from musterbook.core.domain import problems
from musterbook.core.domain.columns import Layout
from musterbook.core.domain.policy import LimitKind, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.snapshot import Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.planning import holds, plan
from musterbook.core.planning.entries import rows as reading
from musterbook.core.planning.entries.rows import CheckedRows, Refused
from musterbook.core.planning.entries.state import EntryState
from musterbook.core.planning.entry_changes import MONITORS, MOVES, Entries, EntryChange, build_shown
from musterbook.core.planning.harms import HARMED, Harms
from musterbook.core.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a row does: `key` is what it names, `name` is its name, `changes` is heading → before and after."""

    row: int
    key: str
    outcome: str
    name: str = ""
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def _none(schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> Callable[[], pl.DataFrame]:
    return lambda: pl.DataFrame(schema=schema)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of judging all rows.

    - `keys`: what each row names. `found`: the problems, besides those of cells.
    - `outcomes`: of each row without a problem. `shown` (changes.SHOWN), if there are too many rows for that.
    - `losses`, `privileges` (harms.HARMED): the users who lose something, and who gain a permission.
    """

    keys: Mapping[int, str]
    found: Sequence[Problem] | pl.DataFrame = ()
    outcomes: Sequence[Outcome] = ()
    shown: pl.DataFrame | None = None
    changes: Sequence[EntryChange] = ()
    moves: pl.DataFrame = field(default_factory=_none(MOVES))
    monitors: pl.DataFrame = field(default_factory=_none(MONITORS))
    losses: pl.DataFrame = field(default_factory=_none(HARMED))
    privileges: pl.DataFrame = field(default_factory=_none(HARMED))
    notes: pl.DataFrame = field(default_factory=problems.build_frame)
    file_notes: Sequence[Problem] = ()


Judge = Callable[[CheckedRows, EntryState, Policy], Judgement]


def run(
    table: Table, state: EntryState, policy: Policy, layout: Layout, judge: Judge, *, has_trailer: bool, most: int
) -> Plan:
    """Return the plan of a file with that layout. Never raise: a refused file makes a refused plan."""
    try:
        checked = reading.check_rows(table, layout, policy, has_trailer=has_trailer, most=most)
        judged = judge(checked, state, policy)
        check.refuse_too_many(_join(checked, judged), checked.table.file)
    except Refused as refused:
        return Plan(policy.mode, table, refusals=refused.problems, entries=Entries())
    except check.TooManyProblems as error:
        return Plan(policy.mode, table, refusals=(error.problem,), entries=Entries())
    return assemble(checked, judged, state, policy)


def _join(checked: CheckedRows, judged: Judgement) -> pl.DataFrame:
    found = judged.found if isinstance(judged.found, pl.DataFrame) else problems.build_frame(judged.found)
    return pl.concat([checked.faults, found]).sort("row", "column", "code", maintain_order=True)


def assemble(checked: CheckedRows, judged: Judgement, state: EntryState, policy: Policy) -> Plan:
    """Return the plan of judged rows. A plan that is refused, or that is held, changes nothing."""
    found = _join(checked, judged)
    shown = build_outcomes(judged.outcomes) if judged.shown is None else judged.shown
    made = Plan(
        policy.mode,
        replace(checked.table, notes=(*checked.table.notes, *judged.file_notes)),
        rows=_build_rows(checked, judged, shown, found),
        harms=Harms(privileges=judged.privileges),
        problems=found,
        notes=judged.notes,
        entries=Entries(tuple(judged.changes), judged.moves, judged.monitors, shown, judged.losses),
    )
    errored = int((made.rows["outcome"] == "errored").sum())
    if policy.strict and errored:
        reason = Problem.of("not-strict", errored=f"{errored} of {made.table.rows}")
        return replace(made, refusals=(reason,), entries=Entries(), harms=Harms())
    return replace(made, holds=_find_holds(made, judged, state, policy))


def build_outcomes(outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return what rows do, as it is shown (SHOWN). Rows that change nothing are left out."""
    return build_shown(
        {
            "row": one.row or None, "external_id": one.key, "name": one.name, "outcome": one.outcome,
            "changes": json.dumps(one.changes, ensure_ascii=False), "user_id": None,
        }
        for one in outcomes
        if one.outcome != "unchanged"
    )  # fmt: skip


def _build_rows(checked: CheckedRows, judged: Judgement, shown: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Return every row with what it names, and its outcome. A row that changes nothing is unchanged."""
    keys = pl.DataFrame(
        {"row": list(judged.keys), "external_id": list(judged.keys.values())},
        schema={"row": pl.UInt32, "external_id": pl.String},
    )
    known = shown.filter(pl.col("row").is_not_null()).select("row", "outcome").unique("row", keep="first")
    # What an undo takes away is a row of its own. In a file, only users and groups that no row names are removed.
    changed = known.with_columns(pl.col("outcome").replace("removed", "updated"))
    rows = (
        checked.rows.select("row")
        .join(keys, on="row", how="left", maintain_order="left")
        .join(changed, on="row", how="left", maintain_order="left")
    )
    errored = pl.col("row").is_in(found["row"].implode())
    outcome = pl.when(errored).then(pl.lit("errored")).otherwise(pl.col("outcome").fill_null("unchanged"))
    return rows.select("row", pl.col("external_id").fill_null(""), outcome=outcome.cast(plan.OUTCOME)).sort("row")


def _find_holds(made: Plan, judged: Judgement, state: EntryState, policy: Policy) -> tuple[holds.Hold, ...]:
    """Return why the import waits: users who lose something, gain a permission, or change their group (S4)."""
    counted = {LimitKind.LOSSES: judged.losses, LimitKind.UPDATES: judged.moves}
    snapshot = Snapshot(headcount=state.headcount if state.headcount.height else None)
    return holds.find_holds(made.table, made.harms, counted, 0, snapshot, policy)


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return what differs: heading → before and after, "" where there was nothing."""
    names = dict.fromkeys((*before, *after))
    pairs = {name: (before.get(name, ""), after.get(name, "")) for name in names}
    return {name: (was, now) for name, (was, now) in pairs.items() if was != now}
