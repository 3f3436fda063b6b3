"""What an import does with each row: the rows, their problems by kind, and the results and errors files."""

from http import HTTPStatus
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Query, Router, Schema
from pydantic import Field

from musterbook.api import cursors, import_schemas
from musterbook.api.cursors import Cursor
from musterbook.api.import_schemas import ProblemText, find_import
from musterbook.api.problems import ProblemError
from musterbook.api.schemas import Page, ProblemBody, answers
from musterbook.core.reporting.groups import ProblemGroup
from musterbook.core.reporting.results_file import ResultsKind
from musterbook.directory import models
from musterbook.directory.imports import history, plan_slices, problem_groups
from musterbook.directory.imports.plan_pages import KindFilter, PlanRow
from musterbook.directory.models import FROM_FILE
from musterbook.http import downloads

router = Router()

Outcome = Literal[
    "all", "errored", "removed", "added", "updated", "deactivated", "protected", "unchanged", "skipped", "noted", "mailed",
    "deactivations", "privileges", "handovers", "cleared", "identities", "losses",
]  # fmt: skip
"""Which rows are listed: all of the file, those of an outcome, those with notes or emails, or those of a kind of harm."""


class Email(Schema):
    """An email that the import sends or has sent."""

    kind: str
    to: str


class Row(Schema):
    """A row of the file, or a user that no row mentions (`row` is null)."""

    row: int | None
    external_id: str
    name: str
    outcome: str | None = Field(description="Null in lists of other kinds, such as emails")
    changes: dict[str, list[str]] = Field(description="Column → the values before and after")
    cells: dict[str, str] = Field(description="The cells of a row with problems, as they are in the file")
    problems: list[ProblemText]
    notes: list[ProblemText]
    protection: dict[str, str | int] | None = Field(description="Why a user is protected")
    email: Email | None


class GroupedProblem(Schema):
    """The same problem in some rows (an example of it), and the agency's value that is nearest to the value."""

    code: str
    column: str
    value: str
    message: str
    remedy: str
    rows: int
    suggestion: str
    can_map: bool = Field(
        description="Whether the value can be mapped to one of the agency's, with the option `values`"
    )


@router.get(
    "{number}/rows",
    auth=import_schemas.NEEDS,
    response=answers(Page[Row], s410=ProblemBody),
    operation_id="listImportRows",
    summary="List the rows of an import",
)
def list_rows(  # noqa: PLR0913, PLR0917  (each is a parameter of the address)
    request: HttpRequest,
    number: str,
    outcome: Outcome = "all",
    code: Annotated[str, Query("", max_length=64)] = "",
    column: Annotated[str, Query("", max_length=64)] = "",
    value: Annotated[str | None, Query(None, max_length=1_000)] = None,
    q: Annotated[str, Query("", max_length=255)] = "",
    limit: Annotated[int, Query(50, ge=1, le=1_000)] = 50,
    cursor: Cursor = "",
) -> Page[Row]:
    """Return rows of an import that has ended, in the order of the file.

    `outcome`: which of them. `code`, with `column` and perhaps `value`: only rows with this kind of problem, as `problems`
    lists them. `q`: only rows with this text in a cell, a problem or a note.
    """
    record = _find_ended(request, number)
    if code and outcome not in ("all", "errored"):
        detail = "Only errored rows can be listed by their problem. Leave out outcome or code."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "invalid-request")
    kind = KindFilter(code, column, value) if code else None
    place = cursors.read_cursor(cursor, [int])
    start = int(place[0]) if place else 0
    lines = plan_slices.read_slice(record, "errored" if kind else outcome, start, limit + 1, q, kind)
    following = cursors.make_cursor(start + limit) if len(lines) > limit else None
    return Page[Row](items=[_describe_row(line) for line in lines[:limit]], next=following)


def _find_ended(request: HttpRequest, number: str) -> models.Import:
    """Return the import of that number, which must have a result."""
    record = find_import(request, number)
    history.refresh_record(record)
    if record.finished_at is None:
        detail = "The import has not ended yet. Ask again when its state is another one."
        raise ProblemError(HTTPStatus.CONFLICT, detail, "not-ended", headers={"Retry-After": "1"})
    return record


def _describe_row(line: PlanRow) -> Row:
    problems = [*line.problems, *(problem for cell in line.cells for problem in cell.problems)]
    facts = dict(line.facts)
    return Row(
        row=line.row,
        external_id=line.external_id,
        name=line.name,
        outcome=line.outcome or None,
        changes={change.heading: [change.before, change.after] for change in line.changes},
        cells={cell.heading: cell.text for cell in line.cells},
        problems=import_schemas.describe_problems(problems),
        notes=import_schemas.describe_problems(line.notes),
        protection=facts if "code" in facts else None,
        email=Email(kind=str(facts["kind"]), to=str(facts["to"])) if "kind" in facts else None,
    )


@router.get(
    "{number}/problems",
    auth=import_schemas.NEEDS,
    response=answers(Page[GroupedProblem]),
    operation_id="listImportProblems",
    summary="List the problems of an import by kind",
)
def list_problems(request: HttpRequest, number: str) -> Page[GroupedProblem]:
    """Return the problems of the rows by code, column and value, those of most rows first: at most 100.

    The problems of the file itself are those of the import.
    """
    record = _find_ended(request, number)
    return Page[GroupedProblem](items=[_describe_group(group) for group in problem_groups.list_groups(record)])


def _describe_group(group: ProblemGroup) -> GroupedProblem:
    text = group.problem.as_json()
    return GroupedProblem(**text, rows=group.rows, suggestion=group.suggestion, can_map=group.can_map)


_FILE: dict[str, Any] = {
    "responses": {
        200: {
            "description": "The file",
            "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in downloads.KINDS.values()},
        }
    }
}
_ANSWERS = answers(None, s410=ProblemBody, s503=ProblemBody)
Form = Annotated[Literal["csv", "xlsx"], Query("csv", description="CSV, or a workbook whose cells are text")]


@router.get(
    "{number}/results",
    auth=import_schemas.NEEDS,
    response=_ANSWERS,
    operation_id="downloadResults",
    summary="Download all rows with their results",
    openapi_extra=_FILE,
)
def download_results(request: HttpRequest, number: str, form: Form = "csv") -> HttpResponseBase:
    """Return the rows of the file as they were, with the columns X_ROW, X_RESULT and X_PROBLEMS."""
    return _send(_find_ended(request, number), "results", form)


@router.get(
    "{number}/errors",
    auth=import_schemas.NEEDS,
    response=_ANSWERS,
    operation_id="downloadErrors",
    summary="Download the rows with problems",
    openapi_extra=_FILE,
)
def download_errors(request: HttpRequest, number: str, form: Form = "csv") -> HttpResponseBase:
    """Return only the rows that have problems. The file can be imported again when its cells are corrected."""
    return _send(_find_ended(request, number), "errors", form)


def _send(record: models.Import, which: ResultsKind, form: Literal["csv", "xlsx"]) -> HttpResponseBase:
    if record.kind not in FROM_FILE or record.state == "failed":
        raise ProblemError(HTTPStatus.CONFLICT, "This import has no file with results. Read its rows.", "no-file")
    file = history.open_results_file(record, which, form)
    return downloads.send_file(file, history.name_results_file(record, which, form), downloads.KINDS[form])
