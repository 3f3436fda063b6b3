"""Acts on an import: apply or confirm its plan, correct it, cancel it, discard it, or undo it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from pydantic import Field

from musterbook.api import access, import_schemas, keys, waiting
from musterbook.api.import_schemas import ImportState, find_import
from musterbook.api.problems import FieldError, ProblemError
from musterbook.api.schemas import ProblemBody, Strict, answers
from musterbook.api.waiting import Wait
from musterbook.core.domain.policy import Confirmed
from musterbook.directory import models
from musterbook.directory.agency.feed_errors import Errors
from musterbook.directory.imports import (
    bulk,
    file_import,
    given_options,
    history,
    import_permissions,
    plan_changes,
    plan_ends,
    queue,
)
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_changes import NewCell, NewValue, RowDecision
from musterbook.directory.imports.plan_ends import PlanEnded

router = Router()
_ACT: dict[str, Any] = {
    "auth": import_schemas.NEEDS,
    "response": answers(ImportState, s202=ImportState, s410=ProblemBody, s507=ProblemBody),
    "openapi_extra": keys.DOCUMENTED,
}
Digest = Annotated[str, Field(min_length=1, max_length=64, description="The `digest` of the plan that was seen")]
Mails = Annotated[bool | None, Field(description="Whether emails are sent. Null: as the plan shows")]
Numbers = Annotated[
    dict[str, int | bool],
    Field(
        min_length=1,
        description="What is confirmed: the `kind` of each hold → its exact `number`, or true if it has none",
    ),
]


class Apply(Strict):
    """The plan to apply."""

    digest: Digest
    mails: Mails = None


class Confirmation(Apply):
    """The plan to apply although it is over limits, with what is confirmed."""

    confirm: Numbers


@router.post("{number}/apply", operation_id="applyImport", summary="Apply a plan", **_ACT)
def apply_import(
    request: HttpRequest, response: HttpResponse, number: str, body: Apply, wait: Wait
) -> Status[ImportState]:
    """Apply the plan of a preview as it was seen.

    The response is a new import. If the directory has changed so that the plan is another one, nothing is written: with
    `wait` the response is 409 with the new digest, and without it the new import has the state `refused` and the new digest.
    A plan that is over a limit becomes an import that is held. A held import is applied by `confirm`.
    """
    record = _find_seen(request, number, body.digest)
    if record.state == "held":
        holds = [hold.model_dump() for hold in map(import_schemas.describe_hold, history.list_unconfirmed(record, {}))]
        detail = "The import is held. Confirm each reason by its kind and its exact number."
        raise ProblemError(HTTPStatus.CONFLICT, detail, "held", more={"holds": holds})
    return _apply_seen(request, response, record, body, {}, wait)


@router.post("{number}/confirm", operation_id="confirmImport", summary="Confirm and apply a plan", **_ACT)
def confirm_import(
    request: HttpRequest, response: HttpResponse, number: str, body: Confirmation, wait: Wait
) -> Status[ImportState]:
    """Apply a plan that is over limits: of a held import, or of a preview that would be held.

    It does what `apply` does, and confirms each reason in `holds` by its `kind` and its exact `number`. If a number is
    another one, or a reason is not confirmed, the new import is held again, and nothing is written.
    """
    record = _find_seen(request, number, body.digest)
    if not history.list_unconfirmed(record, {}):
        raise ProblemError(HTTPStatus.CONFLICT, "Nothing holds this plan. Apply it.", "nothing-to-confirm")
    errors = Errors("confirm")
    confirmed = given_options.read_confirmed(body.confirm, errors)
    errors.raise_found()
    return _apply_seen(request, response, record, body, confirmed, wait)


def _find_seen(request: HttpRequest, number: str, digest: str) -> models.Import:
    """Return the import whose plan was seen with this digest. Raise UnknownImport, NothingToApply and ProblemError."""
    record = find_import(request, number)
    history.refresh_record(record)
    _require(request, record)
    if not plan_ends.shows_plan(record):
        raise file_import.NothingToApply(record.number)
    if record.digest != digest:
        raise _make_changed(record, "This is not the digest of the plan. Read the plan, and apply it by its digest.")
    return record


def _require(request: HttpRequest, record: models.Import) -> None:
    """Raise AccessRefused if the token lacks a permission that the import needs."""
    for permission in sorted(import_permissions.list_needed(record)):
        access.require(request, permission)


def _make_changed(record: models.Import, detail: str) -> ProblemError:
    more = {"import": record.number, "digest": record.digest}
    return ProblemError(HTTPStatus.CONFLICT, detail, "plan-changed", more=more)


def _apply_seen(
    request: HttpRequest, response: HttpResponse, shown: models.Import, body: Apply, confirmed: Confirmed, wait: int
) -> Status[ImportState]:
    submit = queue.submit_bulk_apply if bulk.get_change(shown) else queue.submit_apply
    context, key = access.make_context(request), keys.make_key(request, "apply", shown.number)
    with _explain_end():
        new = submit(
            shown.agency, shown.number, context=context, confirmed=confirmed, mails=body.mails, key=key
        )  # fmt: skip
    record = waiting.wait(new, wait)
    if record.state == "refused" and record.digest not in ("", record.expected):
        raise _make_changed(record, "The directory has changed, so the plan is another one. Nothing was changed.")
    return waiting.answer(response, record)


@contextmanager
def _explain_end() -> Iterator[None]:
    """Name the import in the place of a plan that has ended."""
    try:
        yield
    except PlanEnded as ended:
        successor = ended.successor
        more = {"import": successor.number, "digest": successor.digest} if successor else {}
        detail = f"{ended} Nothing was changed."
        raise ProblemError(HTTPStatus.CONFLICT, detail, "plan-ended", more=more) from None


class Cell(Strict):
    """A new text for a cell of a row with problems."""

    row: Annotated[int, Field(ge=1, le=2**31 - 1)]
    column: Annotated[str, Field(max_length=64)]
    text: Annotated[str, Field(max_length=10_000)]
    was: str | None = Field(None, description="The text that the cell has. If it has another one, nothing is done.")


class GroupFix(Strict):
    """A new text for the cells of all rows with the same problem, as `problems` lists them."""

    code: Annotated[str, Field(max_length=64)]
    column: Annotated[str, Field(max_length=64)]
    value: str | None = Field(None, description="The value that the cells have. Null: any")
    text: Annotated[str, Field(max_length=10_000)]


class Decision(Strict):
    """A decision about a row.

    `looks-damaged`: the column whose cell is kept as written. `identity-change`: same or other. `taken`: BADGE_NUMBER, to
    release the badge of an Inactive user.
    """

    row: Annotated[int, Field(ge=1, le=2**31 - 1)]
    code: Literal["looks-damaged", "identity-change", "taken"]
    choice: Annotated[str, Field(max_length=64)]


class Corrections(Strict):
    """What is corrected."""

    cells: list[Cell] = Field(default_factory=list, max_length=20_000)
    groups: list[GroupFix] = Field(default_factory=list, max_length=100)
    decisions: list[Decision] = Field(default_factory=list, max_length=20_000)
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the import. Each replaces the one that the plan has."
    )


@router.post("{number}/corrections", operation_id="correctImport", summary="Correct a plan", **_ACT)
def correct_import(
    request: HttpRequest, response: HttpResponse, number: str, body: Corrections, wait: Wait
) -> Status[ImportState]:
    """Make the plan again with other cells, other options, or decisions about rows.

    The file itself stays as it is. The response is a new preview, which takes the place of this import. An option such as
    `values` or `mapping` is given whole: it replaces that of the plan, and the agency remembers it when the plan is applied.
    """
    record = find_import(request, number)
    history.refresh_record(record)
    if not (body.cells or body.groups or body.decisions or body.options):
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "There is nothing to correct.", "nothing-to-correct")
    context, key = access.make_context(request), keys.make_key(request, "correct", record.number)
    made = plan_changes.find_made(record, key)
    if made:
        return waiting.answer(response, made)
    with _explain_end():
        plan_changes.check_can_plan_again(record, context.at)
        options = _correct(record, body)
        for permission in sorted(file_import.list_needed(options.mode, options.what)):
            access.require(request, permission)
        new = plan_changes.plan_again(record, options, context, key)
    return waiting.answer(response, new, wait)


def _correct(record: models.Import, body: Corrections) -> Options:
    """Return the options of the import with the corrections. Raise InvalidValue, ProblemError, and those of `plan_changes`."""
    before = Options.of_json(record.options)
    try:
        options = given_options.read_options(body.options, before, given_options.CHANGEABLE)
    except given_options.InvalidOptions as invalid:
        errors = [FieldError(f"/options/{name}", "invalid-value", sentence) for name, sentence in invalid.errors]
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(invalid), "invalid-value", errors) from None
    options = plan_changes.forget_other_sheet(record, options)
    cells = [NewCell(cell.row, cell.column, cell.text, cell.was) for cell in body.cells]
    values = [NewValue(group.code, group.column, group.value, group.text) for group in body.groups]
    decisions = [RowDecision(one.row, one.code, one.choice) for one in body.decisions]
    try:
        options = plan_changes.set_cells(record, options, cells)
    except plan_changes.CellsChanged as changed:
        now = [{"row": row, "column": column, "text": text} for row, column, text in changed.cells]
        detail = "Some cells have another text than you have seen. Nothing was changed."
        raise ProblemError(HTTPStatus.CONFLICT, detail, "cells-changed", more={"cells": now}) from None
    return plan_changes.decide(plan_changes.set_values(record, options, values), decisions)


class Undo(Strict):
    """How the import is undone."""

    preview: bool = Field(default=False, description="Only show the plan of the undo")
    mails: Mails = None
    confirm: Numbers | None = None


@router.post("{number}/undo", operation_id="undoImport", summary="Undo an import", **_ACT)
def undo_import(
    request: HttpRequest, response: HttpResponse, number: str, body: Undo, wait: Wait
) -> Status[ImportState]:
    """Undo an import that was applied, or preview the undo. The undo is an import too.

    Values that nobody has changed since are restored, and users that the import added become Inactive. An undo that is
    over a limit is held.
    """
    record = find_import(request, number)
    history.refresh_record(record)
    _require(request, record)
    errors = Errors("confirm")
    confirmed = given_options.read_confirmed(body.confirm or {}, errors)
    errors.raise_found()
    new = queue.submit_undo(
        record, context=access.make_context(request), preview=body.preview, confirmed=confirmed, mails=body.mails,
        key=keys.make_key(request, "undo", record.number),
    )  # fmt: skip
    return waiting.answer(response, new, wait)


@router.post(
    "{number}/cancel", auth=import_schemas.NEEDS, response=answers(ImportState, s202=ImportState),
    operation_id="cancelImport", summary="Cancel an import",
)  # fmt: skip
def cancel_import(request: HttpRequest, response: HttpResponse, number: str, wait: Wait) -> Status[ImportState]:
    """Ask a waiting or running import to stop. It stops, and nothing is changed, unless it is finished first."""
    record = find_import(request, number)
    history.refresh_record(record)
    if bulk.get_change(record):
        _require(request, record)
    if record.finished_at:
        raise ProblemError(HTTPStatus.CONFLICT, "The import has ended already.", "already-ended")
    queue.cancel(record, access.make_context(request))
    return waiting.answer(response, record, wait)


@router.post(
    "{number}/discard", auth=import_schemas.NEEDS, response=answers(ImportState),
    operation_id="discardImport", summary="Discard a plan",
)  # fmt: skip
def discard_import(request: HttpRequest, number: str) -> ImportState:
    """Discard the plan of a preview or of a held import, so that nobody can apply it."""
    record = find_import(request, number)
    _require(request, record)
    with _explain_end():
        queue.discard(record, access.make_context(request))
    return import_schemas.describe(record)
