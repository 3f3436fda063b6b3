"""The rows of an import, page by page, by outcome.

They come from its plan while that is kept, and later from the audit trail.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from django.db.models import QuerySet

from musterbook.core.domain import problems
from musterbook.core.domain.columns import ALL
from musterbook.core.domain.labels import describe_email, describe_protection
from musterbook.core.domain.policy import Mode
from musterbook.core.domain.problems import Problem
from musterbook.core.planning import changes
from musterbook.core.reporting import report
from musterbook.core.reporting.report import ReportRow
from musterbook.directory import models
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.imports import entry_files, plan_files, plan_search
from musterbook.directory.imports.people import Person, find_people

PAGE = 50
FILTERS = (
    "errored",
    "removed",
    "added",
    "updated",
    "deactivated",
    "protected",
    "unchanged",
    "skipped",
    "noted",
    "mailed",
)
"""The filters of the rows, ordered by how much they need attention."""
CONCERNED = {
    "deactivations": "losing_access", "privileges": "privileges", "handovers": "handovers", "cleared": "cleared",
    "identities": "identity_changes", "losses": "losses",
}  # fmt: skip
"""The kinds of harm whose users are a filter too, and the count of each."""


@dataclass(frozen=True, slots=True)
class CellChange:
    """A changed column with its old and new value."""

    heading: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a row that has problems, with the problems of this cell."""

    heading: str
    text: str
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One row of the file, or one user who is not in the file (row None). `why`: the reason why a user is protected."""

    row: int | None
    external_id: str
    name: str = ""
    changes: Sequence[CellChange] = ()
    cells: Sequence[Cell] = ()
    problems: Sequence[Problem] = ()
    """The problems that belong to no cell."""
    notes: Sequence[Problem] = ()
    why: str = ""
    mail: str = ""
    """The email that the user gets, and its address."""
    pk: int = 0
    """The id of the user, 0 if there is none."""
    outcome: str = ""
    """The outcome of the row, "" if it is not known here."""
    facts: Mapping[str, str | int] = field(default_factory=dict)
    """Why a user is protected (`code`, `named_by`, `leaving_on`), or the email (`kind`, `to`), as codes."""


@dataclass(frozen=True, slots=True)
class PlanPage:
    """One page of rows.

    It has the total number of rows, the number of this page, and `gone` if the rows are no longer kept.
    """

    lines: Sequence[PlanRow] = ()
    total: int = 0
    number: int = 1
    gone: bool = False
    columns: Sequence[str] = field(default=())
    """The headings of the cells, if the rows have problems."""

    @property
    def first(self) -> int:
        """Return the place of the first row of this page among all rows, from 1 on."""
        return (self.number - 1) * PAGE + 1

    @property
    def last(self) -> int:
        """Return the place of the last row of this page."""
        return min(self.number * PAGE, self.total)

    @property
    def pages(self) -> int:
        """Return the number of pages."""
        return max(1, -(-self.total // PAGE))


@dataclass(frozen=True, slots=True)
class KindFilter:
    """A kind of problem (A7): its code, its column, and its value (None: any)."""

    code: str
    column: str
    value: str | None = None


def read_page(
    record: models.Import, filter_name: str, text: str = "", number: int = 1, kind: KindFilter | None = None
) -> PlanPage:
    """Return one page of the rows of one kind: an outcome, `noted`, or a kind of harm (CONCERNED).

    `text`: only rows with it in a cell, a problem or a note. `number`: the number of the page, from 1 on. `kind`: only
    rows with this kind of problem, as long as the plan is kept.
    """
    try:
        rows, total, number = _read_plan_rows(record, filter_name, text.strip(), number, kind)
    except plan_files.PlanGone:
        rows, total, number = _read_trail_rows(record, filter_name, text.strip(), number)
        if not rows and count_kept(record, filter_name) and not text:
            return PlanPage(gone=True)
    lines = list(make_rows(record, filter_name, rows))
    return PlanPage(lines, total, number, columns=[cell.heading for cell in lines[0].cells] if lines else [])


def count_kept(record: models.Import, filter_name: str) -> int:
    """Return the number of rows of a filter, as the record of the import has it."""
    if filter_name == "mailed":
        return sum(record.mails.values())
    return int(record.counts.get(CONCERNED.get(filter_name, filter_name), 0))


def _read_plan_rows(
    record: models.Import, filter_name: str, text: str, number: int, kind: KindFilter | None
) -> tuple[list[dict[str, str | int]], int, int]:
    part = scan_filtered(record, filter_name, text, kind)
    total = int(part.select(pl.len()).collect().item())
    number = min(max(number, 1), max(1, -(-total // PAGE)))
    return collect_rows(part.slice((number - 1) * PAGE, PAGE), filter_name), total, number


def scan_filtered(record: models.Import, filter_name: str, text: str, kind: KindFilter | None) -> pl.LazyFrame:
    """Return the rows of a filter that match, as a lazy frame. Raise PlanGone."""
    part = _scan_rows(record, filter_name)
    if kind and filter_name == "errored":
        part = part.join(_scan_kind(record, kind), on="row", how="semi", maintain_order="left")
    return plan_search.filter_rows(part, record, filter_name, text) if text else part


def collect_rows(part: pl.LazyFrame, filter_name: str) -> list[dict[str, str | int]]:
    """Return rows of a part of a plan."""
    rows: list[dict[str, Any]] = part.collect().to_dicts()
    if filter_name in CONCERNED:  # the parts have different columns
        return [{name: cell for name, cell in row.items() if cell is not None} for row in rows]
    return rows


def _scan_rows(record: models.Import, filter_name: str) -> pl.LazyFrame:
    if filter_name in CONCERNED:
        return _scan_concerned(record, filter_name)
    if filter_name == "skipped":
        return plan_files.scan_part(record.number, "rows").filter(pl.col("outcome").cast(pl.String) == "skipped")
    return _scan_noted(record) if filter_name == "noted" else plan_files.scan_part(record.number, filter_name)


def _scan_kind(record: models.Import, kind: KindFilter) -> pl.LazyFrame:
    """Return the rows that have this kind of problem."""
    found = plan_files.scan_part(record.number, "problems").filter(
        ~pl.col("note"), pl.col("code") == kind.code, pl.col("column") == kind.column
    )
    return (found if kind.value is None else found.filter(pl.col("value") == kind.value)).select("row").unique()


def _scan_concerned(record: models.Import, kind: str) -> pl.LazyFrame:
    """Return the rows of these users, as the plan changes them. What changes groups and roles has no rows of users."""
    if entry_files.get_layout(record):
        return plan_files.scan_part(record.number, "concerned").filter(pl.col("kind") == kind).drop("kind")
    off = {"status": pl.lit("Inactive"), "was_status": pl.lit("Active")}
    parts = [plan_files.scan_part(record.number, name) for name in _CHANGED]
    gone = plan_files.scan_part(record.number, "deactivated").select("external_id", **off)
    users = pl.concat([*parts, gone], how="diagonal")
    ids = plan_files.scan_part(record.number, "concerned").filter(pl.col("kind") == kind)
    return users.join(ids, on="external_id", how="semi", maintain_order="left")


def _scan_noted(record: models.Import) -> pl.LazyFrame:
    """Return the rows with notes, with any outcome. A row with problems is shown with these as well."""
    noted = plan_files.scan_part(record.number, "problems").filter("note").select("row").unique()
    return plan_files.scan_part(record.number, "rows").join(noted, on="row", how="semi", maintain_order="left")


_KINDS = {
    "added": EventKind.USER_ADDED,
    "updated": EventKind.USER_UPDATED,
    "deactivated": EventKind.USER_DEACTIVATED,
}
"""The kind of event by outcome. Of an import that changes external IDs, `updated` rows have another kind."""


def _read_trail_rows(
    record: models.Import, filter_name: str, text: str, number: int
) -> tuple[list[dict[str, str | int]], int, int]:
    """Return the same for an import whose plan is no longer kept.

    Its changes come from the audit trail, and its problems from its record.
    """
    values, names = select_trail_rows(record, filter_name, text)
    total = values.count() if names else 0
    number = min(max(number, 1), max(1, -(-total // PAGE)))
    page_rows = values[(number - 1) * PAGE : number * PAGE] if names else []
    return [dict(zip(names, row, strict=True)) for row in page_rows], total, number


def select_trail_rows(
    record: models.Import, filter_name: str, text: str, kind: KindFilter | None = None
) -> tuple[Any, Sequence[str]]:
    """Return the rows of a filter as values of a query, and their names. There are no names if the trail has no such rows."""
    rows: QuerySet[models.Event] | QuerySet[models.ImportProblem] | QuerySet[models.Mail]
    if filter_name in _KINDS:
        event = EventKind.USER_REKEYED if record.mode == Mode.REKEY else _KINDS[filter_name]
        events = models.Event.objects.filter(of=record, kind=event, subject_external_id__icontains=text)
        rows = events.order_by("row", "subject_external_id")
        names = {"row": "row", "external_id": "subject_external_id", "changes": "changes"}
    elif filter_name in {"errored", "noted"}:
        entries = models.ImportProblem.objects.filter(of=record, row__gt=0, note=filter_name == "noted")
        if kind:
            of_value = {} if kind.value is None else {"value": kind.value}
            entries = entries.filter(code=kind.code, column=kind.column, **of_value)
        rows = entries.filter(plan_search.make_condition(text)).order_by("row").distinct()
        names = {"row": "row", "external_id": "external_id"}
    elif filter_name == "mailed":
        rows = _select_mails(record).filter(user__external_id__icontains=text)
        names = {"external_id": "user__external_id", "kind": "kind", "to": "to"}
    else:
        return models.Event.objects.none(), ()
    return rows.values_list(*names.values()), [*names]


def _select_mails(record: models.Import) -> "QuerySet[models.Mail]":
    """Return the emails that the import has put into the outbox."""
    return models.Mail.objects.filter(of=record).order_by("pk")


def list_mails(record: models.Import, most: int | None = None) -> list[dict[str, str]]:
    """Return the first emails of an import's plan, `most` or all of them: `external_id`, `kind`, `to`.

    They come from the outbox if the plan is no longer kept.
    """
    try:
        part = plan_files.scan_part(record.number, "mailed")
    except plan_files.PlanGone:
        names = {"external_id": "user__external_id", "kind": "kind", "to": "to"}
        rows = _select_mails(record).values_list(*names.values())[:most]
        return [dict(zip(names, row, strict=True)) for row in rows]
    return (part if most is None else part.head(most)).collect().to_dicts()


def make_rows(record: models.Import, filter_name: str, rows: Sequence[Mapping[str, str | int]]) -> Iterable[PlanRow]:
    """Yield the rows for display, with names, problems and notes."""
    numbers = [int(row["row"]) for row in rows if row.get("row")]
    flagged = _read_problems(record, numbers)
    errors = report.group_by_row([problem for note, problem in flagged if not note])
    notes = report.group_by_row([problem for note, problem in flagged if note])
    # Of a file of groups, roles or ranks, an external ID is not that of a user.
    named = [] if entry_files.get_layout(record) and filter_name not in CONCERNED else rows
    people = find_people(record, [str(row["external_id"]) for row in named])
    unnamed = [row for row in named if "first_name" not in row and row["external_id"] not in people]
    new = _read_new_names(record, unnamed)
    for row in rows:
        person = people.get(str(row["external_id"]))
        number = int(row["row"]) if row.get("row") else None
        row_problems = errors.get(number or 0, [])
        cells = _make_cells(row, row_problems) if filter_name == "errored" else ()
        in_cells = {problem for cell in cells for problem in cell.problems}
        name = _name_row(row, person) or new.get(str(row["external_id"]), "")
        yield PlanRow(
            number, str(row["external_id"] or ""), name, _list_changes(filter_name, row), cells,
            [problem for problem in row_problems if problem not in in_cells], notes.get(number or 0, ()),
            _describe_protection(row), _describe_mail(row), person.pk if person else int(row.get("user_id") or 0),
            str(row.get("outcome", "")) or (filter_name if filter_name in _OUTCOMES else ""),
            {name: row[name] for name in _FACTS.get(filter_name, ()) if row.get(name)},
        )  # fmt: skip


_OUTCOMES = ("errored", "added", "updated", "unchanged", "deactivated", "protected")
"""The filters that are outcomes."""
_FACTS = {"protected": ("code", "named_by", "leaving_on"), "mailed": ("kind", "to")}
"""The filter → the names of what is known of its users besides who they are."""


def _describe_mail(row: Mapping[str, str | int]) -> str:
    kind = str(row.get("kind", ""))
    return describe_email(kind, str(row["to"])) if kind else ""


def _describe_protection(row: Mapping[str, str | int]) -> str:
    """Return why the user of a row of the filter `protected` is kept."""
    named_by, leaving_on = row.get("named_by"), row.get("leaving_on")
    return describe_protection(str(row.get("code", "")), int(named_by) if named_by else None, str(leaving_on or ""))


def _read_problems(record: models.Import, rows: Sequence[int]) -> list[tuple[bool, Problem]]:
    """Return the problems and notes of these rows, each with a flag that is true for a note."""
    try:
        frame = plan_files.scan_part(record.number, "problems").filter(pl.col("row").is_in(rows)).collect()
    except plan_files.PlanGone:
        entries = models.ImportProblem.objects.filter(of=record, row__in=rows).order_by("row", "pk")
        return [(e.note, Problem(e.code, e.row, e.column, e.value, e.detail, e.hint)) for e in entries]
    return list(zip(frame["note"], problems.list_problems(frame), strict=True))


def _read_new_names(record: models.Import, rows: Sequence[Mapping[str, str | int]]) -> dict[str, str]:
    """Return the names of those users of the rows that the plan adds: external ID → name."""
    if not rows or entry_files.get_layout(record):
        return {}
    wanted = pl.col("external_id").is_in([str(row["external_id"]) for row in rows])
    try:
        found = plan_files.scan_part(record.number, "added").filter(wanted).collect()
    except plan_files.PlanGone:
        return {}
    return {row["external_id"]: f"{row['first_name']} {row['last_name']}" for row in found.to_dicts()}


def _name_row(row: Mapping[str, str | int], person: Person | None) -> str:
    """Return the name in the row, or else the name of the user."""
    if "name" in row:
        return str(row["name"])
    if "first_name" in row:
        return f"{row['first_name']} {row['last_name']}"
    return person.name if person else ""


def read_rows(record: models.Import, kinds: Iterable[str]) -> Iterator[ReportRow]:
    """Yield the rows of some outcomes, except `errored`, as the stored plan has them. Raise PlanGone."""
    noted = plan_files.scan_part(record.number, "problems").filter("note").collect()
    notes = report.group_by_row(problems.list_problems(noted))
    for kind in kinds:
        for row in plan_files.scan_part(record.number, kind).collect().to_dicts():
            pairs = {change.heading: [change.before, change.after] for change in _list_changes(kind, row)}
            yield ReportRow(row["row"], row["external_id"], kind, pairs, (), notes.get(row["row"], ()))


_CHANGED = ("added", "updated")


def _list_changes(filter_name: str, row: Mapping[str, str | int]) -> list[CellChange]:
    if "changes" in row:
        shown = filter_name in (*_CHANGED, "removed", *CONCERNED)
        stored = json.loads(str(row["changes"] or "{}")) if shown else {}
        return [CellChange(heading, *pair) for heading, pair in stored.items() if heading != changes.LINK]
    if filter_name not in (*_CHANGED, *CONCERNED):
        return []
    pairs = [
        (heading, str(row.get(f"was_{name}", "")), str(row[name]))
        for heading, name in changes.NAMES.items()
        if heading != changes.LINK and name in row
    ]
    return [CellChange(heading, before, after) for heading, before, after in pairs if before != after]


def _make_cells(row: Mapping[str, str | int], row_problems: Sequence[Problem]) -> list[Cell]:
    """Return the cells of a row as they are in the file, with the problems of each."""
    names = {column.heading: column.field for column in ALL} | {"EXTERNAL_ID": "cell_external_id"}
    present = {heading: str(row[name] or "") for heading, name in names.items() if name in row}
    return [
        Cell(heading, cell, [problem for problem in row_problems if problem.column == heading])
        for heading, cell in present.items()
    ]
