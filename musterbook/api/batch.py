"""Many users at once, as rows of JSON. They are one import, with plan, limits, holds and undo."""

from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import BeforeValidator, Field

from musterbook.api import access, bodies, keys, user_schemas, waiting
from musterbook.api.access import needs
from musterbook.api.import_schemas import ImportState
from musterbook.api.problems import FieldError, ProblemError
from musterbook.api.schemas import ProblemBody, ProblemField, Strict, answers
from musterbook.api.user_schemas import SentRow
from musterbook.api.waiting import Wait
from musterbook.core.reading.sent_rows import FIRST_ROW
from musterbook.directory import models
from musterbook.directory.imports import given_options, history, queue, sent_rows
from musterbook.directory.imports.sent_rows import MixedRows

router = Router()
MOST_BYTES = 8 * 1024 * 1024
_MOST_ERRORS, _MOST_SHOWN = 1_000, 100
"""The most problems of rows, and the most errors of the form of a body."""
_NAME = "users-batch.json"


class BatchOptions(Strict):
    """The options of an import that make sense for rows of JSON."""

    strict: bool | None = Field(None, description="Write nothing if a row has a problem")
    mails: bool | None = Field(None, description="Whether emails are sent. null: the agency's setting")
    source: str | None = Field(None, max_length=255, description="The source of the rows, such as hr-sworn")
    defaults: dict[str, str] | None = Field(None, description="Column that the rows do not have → value of new users")
    accept: list[str] | None = Field(
        None,
        max_length=20,
        description="Problems with which rows are applied: looks-damaged, identity-change=same or =other",
    )
    confirm: dict[str, int | bool] | None = Field(
        None, description="What is confirmed beforehand: kind → its exact number, or true for a kind without a number"
    )
    release_badges: bool | None = Field(None, description="Whether rows can take badges of Inactive users")


def _check_rows(rows: Any) -> Any:
    """Raise ProblemError for rows with other members or values. The library would make an error of each, without end."""
    if not isinstance(rows, list) or len(rows) > sent_rows.MOST:
        return rows
    errors = list(islice(_find_wrong(rows), _MOST_SHOWN))
    if errors:
        detail = "The request does not have the form that the documentation describes. Nothing was changed."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "invalid-request", errors)
    return rows


def _find_wrong(rows: list[Any]) -> Iterator[FieldError]:
    for index, row in enumerate(rows):
        place = f"/rows/{index}"
        if not isinstance(row, dict):
            yield FieldError(place, "model_type", "A row is an object with the members of a user.")
            continue
        for name, value in row.items():
            if name not in user_schemas.COLUMNS:
                yield FieldError(f"{place}/{bodies.escape(name)[:100]}", "extra_forbidden", "A row has no such member.")
            elif not isinstance(value, str | None):
                yield FieldError(f"{place}/{name}", "string_type", "Give a text, or null to clear the value.")


class Batch(BatchOptions):
    """The users to add or update. All rows have the same members: the other columns of their users stay unchanged."""

    rows: Annotated[list[SentRow], BeforeValidator(_check_rows)] = Field(min_length=1, max_length=sent_rows.MOST)
    name: str = Field(_NAME, min_length=1, max_length=200, description="A name for the history of imports")


class BatchState(ImportState):
    """The import of a batch. The row at index 0 is row 2 of the import, because a file begins with its headings."""

    errors: list[ProblemField] = Field(
        description="The problems of the rows, the first 1,000: these rows change nothing"
    )


class BatchQuery(Schema):
    """Whether the batch changes anything."""

    dry_run: bool = Field(False, description="Only make the plan, and change nothing")


@router.post(
    "",
    auth=needs("users.import", MOST_BYTES),
    response=answers(BatchState, s202=BatchState, s411=ProblemBody, s415=ProblemBody, s507=ProblemBody),
    operation_id="sendUsers",
    summary="Add or update many users",
    openapi_extra=keys.DOCUMENTED,
)
def send_users(
    request: HttpRequest, response: HttpResponse, wait: Wait, query: Query[BatchQuery], given: Batch
) -> Status[BatchState]:
    """Add or update up to 10,000 users by one import of the mode update.

    A worker runs it: the response is 202 with the address of the import, or 200 if it ended within `wait` seconds. Then
    `errors` names each row with a problem, which changes nothing, and `state` is `applied`; or `held` if the import
    exceeds a limit of the agency: `holds` says what to confirm, at `links.confirm` or by `confirm` here. With `dry_run`,
    the state is `previewed`, and the plan can be applied. With an `Idempotency-Key`, the same request sent again is one
    import.
    """
    rows = [user_schemas.read_row(row) for row in given.rows]
    _check_members(rows)
    chosen = given.model_dump(exclude_unset=True, exclude={"rows", "name"})
    options = given_options.read_options(
        {name: value for name, value in chosen.items() if value is not None} | {"preview": query.dry_run}
    )
    record = queue.submit(
        access.get_agency(request),
        sent_rows.make_upload(rows, given.name),
        sent_rows.make_options(rows, options),
        context=access.make_context(request),
        key=keys.make_key(request),
    )
    found = waiting.answer(response, record, wait)
    return Status(found.status_code, BatchState(**found.value.model_dump(), errors=_list_errors(record)))


send_users.reads_large_bodies = True  # type: ignore[attr-defined]  # for `web.imports.uploads.from_known`


def _check_members(rows: list[dict[str, str]]) -> None:
    """Raise ProblemError unless all rows have the same members."""
    try:
        sent_rows.check_headings(rows)
    except MixedRows as mixed:
        detail = (
            f"The row at index {mixed.index} has other members than the first row. Give all rows the same members, with null"
            " for a value to clear, or send the rows in several batches. Nothing was changed."
        )
        found = [FieldError(f"/rows/{mixed.index}", "mixed-rows", detail)]
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "mixed-rows", found) from None


def _list_errors(record: models.Import) -> list[ProblemField]:
    """Return the problems of the rows, with the JSON pointers of their values in the body of the request."""
    return [
        ProblemField(pointer=one.pointer, code=one.code, detail=one.detail, remedy=one.remedy)
        for problem in history.list_row_problems(record, _MOST_ERRORS)
        for one in user_schemas.list_row_errors([problem], f"/rows/{problem.row - FIRST_ROW}")
    ]
