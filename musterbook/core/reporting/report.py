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
from musterbook.core.planning import changes, identity
from musterbook.core.planning.holds import Hold
from musterbook.core.planning.plan import Plan
from musterbook.core.reporting.groups import ProblemGroup


class RowFilter(StrEnum):
    """The rows that a report lists."""

    ERRORED = "errored"
    CHANGED = "changed"
    ALL = "all"


OUTCOMES_LISTED = {
    RowFilter.ERRORED: ("errored",),
    RowFilter.CHANGED: ("added", "updated", "errored"),
    RowFilter.ALL: ("added", "updated", "unchanged", "errored"),
}
"""The outcomes of the rows that each listing holds."""

Changes: TypeAlias = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row of a report. `changes` is heading → [before, after]."""

    row: int
    external_id: str
    outcome: str
    changes: Changes = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    notes: Sequence[Problem] = ()

    @property
    def identity(self) -> Mapping[str, str]:
        """Return who the row's account belongs to, and who it would belong to, if the row changes that (M12)."""
        found = (one for one in (*self.problems, *self.notes) if one.code in identity.CODES)
        return next(({"was": one.detail, "would_be": one.hint} for one in found), {})

    def as_json(self) -> dict[str, object]:
        """Return the row in the format of the command line's contract."""
        data: dict[str, object] = {"row": self.row, "external_id": self.external_id, "outcome": self.outcome}
        if self.changes:
            data["changes"] = {heading: list(pair) for heading, pair in self.changes.items()}
        if self.identity:
            data["identity"] = dict(self.identity)
        return data | {
            "problems": [problem.as_json() for problem in self.problems],
            "notes": [note.as_json() for note in self.notes],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an import. `problems` and `notes` are those of the whole file, `groups` the rows' problems by kind."""

    number: str
    agency: str
    mode: str
    state: str
    counts: Mapping[str, int]
    file: Mapping[str, object]
    mails: Mapping[str, int] = field(default_factory=dict)
    """Kind of email → how many of them it sends."""
    problems: Sequence[Problem] = ()
    notes: Sequence[Problem] = ()
    held: Mapping[str, object] | None = None
    holds: Sequence[Hold] = ()
    """Why it waits for confirmation, or would if it were applied."""
    rows: Sequence[ReportRow] = ()
    deactivated: Sequence[str] = ()
    protected: Sequence[Mapping[str, object]] = ()
    groups: Sequence[ProblemGroup] = ()
    recipients: Sequence[Mapping[str, str]] | None = None
    """The emails, each with `external_id`, `kind` and `to`; None if they are not listed."""
    ended: Mapping[str, str] | None = None
    """How the plan that it shows ended: `how`, and `import`, the number of the import in its place ("" for none)."""
    message: str = ""
    """The message for an import that failed."""
    source: str = ""
    """The source that the import names (S9)."""
    what: str = ""
    """The layout of a file of groups, members, roles or ranks; "" for a file of users."""
    removed: Sequence[ReportRow] = ()
    """What the file does not list, and what is therefore removed. They have no row (0)."""

    def as_json(self) -> dict[str, object]:
        """Return the object of the command line's contract."""
        data: dict[str, object] = {
            "import": self.number,
            "agency": self.agency,
            "mode": self.mode,
            "state": self.state,
            "counts": dict(self.counts),
            "mails": dict(self.mails),
            "file": dict(self.file),
            "problems": [problem.as_json() for problem in self.problems],
            "notes": [note.as_json() for note in self.notes],
            "held": dict(self.held) if self.held else None,
            "holds": [hold.as_json() for hold in self.holds],
            "groups": [group.as_json() for group in self.groups],
            "rows": [row.as_json() for row in self.rows],
            "deactivated": list(self.deactivated),
            "protected": [dict(one) for one in self.protected],
        }
        if self.recipients is not None:
            data["recipients"] = [dict(one) for one in self.recipients]
        if self.ended:
            data["ended"] = dict(self.ended)
        if self.what:
            data["what"] = self.what
            data["removed"] = [
                {"external_id": one.external_id, "changes": {name: list(pair) for name, pair in one.changes.items()}}
                for one in self.removed
            ]
        more = {"source": self.source, "message": self.message}
        return data | {name: text for name, text in more.items() if text}


def list_rows(plan: Plan, which: RowFilter) -> list[ReportRow]:
    """Return the rows of a plan that belong to a listing, by row."""
    listed = plan.rows.filter(pl.col("outcome").cast(pl.String).is_in(OUTCOMES_LISTED[which]))
    faults, notes = (
        group_by_row(_filter_problems(plan.problems, listed)),
        group_by_row(_filter_problems(plan.notes, listed)),
    )
    changed = dict(_list_changes(plan, listed))
    return [
        ReportRow(
            row, external_id, outcome, parse_changes(changed.get(row, "{}")), faults.get(row, ()), notes.get(row, ())
        )
        for row, external_id, outcome in listed.iter_rows()
    ]


def list_removed(plan: Plan) -> list[ReportRow]:
    """Return what a plan of members removes because the file does not list it."""
    return make_removed(plan.entries.select_shown("removed")) if plan.entries else []


def make_removed(shown: pl.DataFrame) -> list[ReportRow]:
    """Return the same from the frame that is kept (`external_id`, `changes`)."""
    rows = shown.select("external_id", "changes").iter_rows()
    return [ReportRow(0, external_id, "removed", parse_changes(changed)) for external_id, changed in rows]


def list_notes(plan: Plan) -> list[tuple[str, Problem]]:
    """Return the notes of a plan's rows, each with the external ID of its row."""
    notes = plan.notes.join(plan.rows.select("row", "external_id"), on="row", how="left", maintain_order="left")
    return list(zip(notes["external_id"].fill_null(""), problems.list_problems(plan.notes), strict=True))


def parse_changes(text: str) -> Changes:
    """Return the changes of one user, from the JSON text in the audit trail."""
    return {heading: pair for heading, pair in json.loads(text).items() if heading != changes.LINK}


def group_by_row(entries: Sequence[Problem]) -> Mapping[int, list[Problem]]:
    """Return the problems grouped by row."""
    grouped: dict[int, list[Problem]] = defaultdict(list)
    for problem in entries:
        grouped[problem.row].append(problem)
    return grouped


def _filter_problems(frame: pl.DataFrame, listed: pl.DataFrame) -> list[Problem]:
    return problems.list_problems(frame.join(listed, on="row", how="semi", maintain_order="left"))


def _list_changes(plan: Plan, listed: pl.DataFrame) -> list[tuple[int, str]]:
    if plan.entries is not None:
        shown = plan.entries.shown.join(listed, on="row", how="semi", maintain_order="left")
        return list(shown.select("row", "changes").iter_rows())
    return [
        pair
        for users in (plan.added, plan.updated, plan.rekeyed)
        if not users.is_empty() and not (shown := users.join(listed, on="row", how="semi")).is_empty()
        for pair in plan.with_changes(shown).select("row", "changes").iter_rows()
    ]


def tabulate_outcomes(plan: Plan) -> pl.DataFrame:
    """Return the outcome of each row, for the results file: `row`, `outcome`, `problems` (finished text)."""
    return describe_rows(plan.rows, problems.list_problems(plan.problems))


def describe_rows(rows: pl.DataFrame, faults: Sequence[Problem]) -> pl.DataFrame:
    """Return the same for rows (`row`, `outcome`) and their problems."""
    problems_by_row = group_by_row(faults)
    texts = [
        (row, "; ".join(" ".join(problem.in_english()).strip() for problem in entries))
        for row, entries in problems_by_row.items()
    ]
    ready = pl.DataFrame(texts, schema={"row": pl.UInt32, "problems": pl.String}, orient="row")
    joined = rows.join(ready, on="row", how="left", maintain_order="left")
    return joined.select("row", pl.col("outcome").cast(pl.String), pl.col("problems").fill_null(""))
