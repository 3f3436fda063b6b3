"""Step 5, report: the result of an import for every interface: counts, rows with their problems, and reasons."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import polars as pl

from musterbook.core.domain import problems
from musterbook.core.domain.problems import Problem
from musterbook.core.planning import changes
from musterbook.core.planning.plan import Plan


class Rows(StrEnum):
    """The rows that a report lists."""

    ERRORED = "errored"
    CHANGED = "changed"
    ALL = "all"


LISTED = {
    Rows.ERRORED: ("errored",),
    Rows.CHANGED: ("added", "updated"),
    Rows.ALL: ("added", "updated", "unchanged", "errored"),
}
"""The outcomes of the rows that each listing holds."""

Changes: TypeAlias = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a report. `changes` is heading → [before, after]."""

    row: int
    external_id: str
    outcome: str
    changes: Changes = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    notes: Sequence[Problem] = ()

    def as_json(self) -> dict[str, object]:
        """Return the row in the format of the command line's contract."""
        told: dict[str, object] = {"row": self.row, "external_id": self.external_id, "outcome": self.outcome}
        if self.changes:
            told["changes"] = {heading: list(pair) for heading, pair in self.changes.items()}
        return told | {
            "problems": [problem.as_json() for problem in self.problems],
            "notes": [note.as_json() for note in self.notes],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an import. `problems` and `notes` are those of the whole file."""

    number: str
    agency: str
    mode: str
    state: str
    counts: Mapping[str, int]
    file: Mapping[str, object]
    problems: Sequence[Problem] = ()
    notes: Sequence[Problem] = ()
    held: Mapping[str, object] | None = None
    rows: Sequence[Row] = ()
    deactivated: Sequence[str] = ()
    protected: Sequence[Mapping[str, str]] = ()
    message: str = ""
    """The message for an import that failed."""

    def as_json(self) -> dict[str, object]:
        """Return the object of the command line's contract."""
        told: dict[str, object] = {
            "import": self.number,
            "agency": self.agency,
            "mode": self.mode,
            "state": self.state,
            "counts": dict(self.counts),
            "file": dict(self.file),
            "problems": [problem.as_json() for problem in self.problems],
            "notes": [note.as_json() for note in self.notes],
            "held": dict(self.held) if self.held else None,
            "rows": [row.as_json() for row in self.rows],
            "deactivated": list(self.deactivated),
            "protected": [dict(one) for one in self.protected],
        }
        return told | ({"message": self.message} if self.message else {})


def rows(plan: Plan, which: Rows) -> list[Row]:
    """Return the rows of a plan that belong to a listing, by row."""
    listed = plan.rows.filter(pl.col("outcome").cast(pl.String).is_in(LISTED[which]))
    found, notes = by_row(_of(plan.problems, listed)), by_row(_of(plan.notes, listed))
    changed = dict(_changes(plan, listed))
    return [
        Row(row, external_id, outcome, parsed(changed.get(row, "{}")), found.get(row, ()), notes.get(row, ()))
        for row, external_id, outcome in listed.iter_rows()
    ]


def noted(plan: Plan) -> list[tuple[str, Problem]]:
    """Return the notes of a plan's rows, each with the external id of its row."""
    named = plan.notes.join(plan.rows.select("row", "external_id"), on="row", how="left", maintain_order="left")
    return list(zip(named["external_id"].fill_null(""), problems.of(plan.notes), strict=True))


def parsed(text: str) -> Changes:
    """Return the changes of one user, from the JSON text in the audit trail."""
    return {heading: pair for heading, pair in json.loads(text).items() if heading != changes.LINK}


def by_row(found: Sequence[Problem]) -> Mapping[int, list[Problem]]:
    """Return the problems grouped by row."""
    grouped: dict[int, list[Problem]] = defaultdict(list)
    for problem in found:
        grouped[problem.row].append(problem)
    return grouped


def _of(found: pl.DataFrame, listed: pl.DataFrame) -> list[Problem]:
    return problems.of(found.join(listed, on="row", how="semi", maintain_order="left"))


def _changes(plan: Plan, listed: pl.DataFrame) -> list[tuple[int, str]]:
    return [
        pair
        for users in (plan.added, plan.updated)
        if users.width
        for pair in plan.told(users.join(listed, on="row", how="semi")).select("row", "changes").iter_rows()
    ]


def outcomes(plan: Plan) -> pl.DataFrame:
    """Return the outcome of each row, for the results file: `row`, `outcome`, `problems` (finished text)."""
    return told_rows(plan.rows, problems.of(plan.problems))


def told_rows(rows: pl.DataFrame, found: Sequence[Problem]) -> pl.DataFrame:
    """Return the same for rows (`row`, `outcome`) and their problems."""
    told = by_row(found)
    texts = [(row, "; ".join(f"{p.message} {p.remedy}".strip() for p in of)) for row, of in told.items()]
    ready = pl.DataFrame(texts, schema={"row": pl.UInt32, "problems": pl.String}, orient="row")
    joined = rows.join(ready, on="row", how="left", maintain_order="left")
    return joined.select("row", pl.col("outcome").cast(pl.String), pl.col("problems").fill_null(""))
