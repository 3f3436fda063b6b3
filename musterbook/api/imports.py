"""Imports: a program sends a file, and reads what it does."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from musterbook.api import (
    access,
    arriving,
    cursors,
    import_acts,
    import_options,
    import_rows,
    import_schemas,
    keys,
    problems,
    waiting,
)
from musterbook.api.access import needs
from musterbook.api.arriving import BadBody
from musterbook.api.cursors import Cursor, Limit
from musterbook.api.import_schemas import ImportState, Listed, find_import
from musterbook.api.schemas import Moment, Page, ProblemBody, answers
from musterbook.api.waiting import Wait
from musterbook.directory.audit import trail
from musterbook.directory.imports import file_import, import_log, pending_uploads, queue
from musterbook.directory.imports.file_import import FileOnDisk
from musterbook.directory.imports.import_log import LogFilters
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.pending_uploads import TooLarge
from musterbook.directory.imports.quotas import OverQuota

router = Router()
States = Literal["", "open", "running", "applied", "previewed", "held", "refused", "failed", "canceled"]
"""The states that the list can be filtered by."""
router.add_router("", import_rows.router)
router.add_router("", import_acts.router)


@router.post(
    "",
    auth=needs("users.import"),
    response=answers(ImportState, s202=ImportState, s411=ProblemBody, s415=ProblemBody, s507=ProblemBody),
    operation_id="createImport",
    summary="Import a file",
    openapi_extra=import_options.RECEIVING,
)
def create_import(request: HttpRequest, response: HttpResponse, wait: Wait) -> Status[ImportState]:
    """Import a file of users, or preview it.

    Send the file as the body, with the options as query parameters; or send a form with one file, and the options as
    its fields. Options that are tables are JSON. A worker runs the import: the response is 202 with its address, or 200
    if it ended within `wait` seconds. A file that cannot be imported is answered in the same way: its state is
    `refused`, and `problems` says why. With an `Idempotency-Key`, the same request sent again is one import.
    """
    return receive_file(request, response, wait, _read_options)


def receive_file(
    request: HttpRequest, response: HttpResponse, wait: int, read_options: Callable[[HttpRequest], Options]
) -> Status[ImportState]:
    """Receive a file and submit it. `read_options`: return the options of the request, or raise why they are refused."""
    arriving.check_headers(request)
    key = keys.make_key(request)
    options = None if import_options.is_form(request) else read_options(request)
    maker = access.get_token(request).maker
    try:
        with closing(pending_uploads.open_arriving(maker, datetime.now(UTC))) as arrived:
            name = arriving.read_body(request, arrived, lambda: pending_uploads.check_room(maker))
            upload = FileOnDisk(arrived.path, name, arrived.size, arrived.digest())
            record = queue.submit(
                maker.agency, upload, options or read_options(request), context=access.make_context(request), key=key
            )
    except (BadBody, TooLarge, OverQuota) as refused:
        _record_refused(request, refused)
        raise
    return waiting.answer(response, record, wait)


create_import.reads_large_bodies = True  # type: ignore[attr-defined]  # for `web.imports.uploads.from_known`


def _read_options(request: HttpRequest) -> Options:
    """Return the options of the request. Raise AccessRefused if its token lacks what their mode needs."""
    options = import_options.read_options(request)
    for permission in sorted(file_import.list_needed(options.mode, options.what)):
        access.require(request, permission)
    return options


def _record_refused(request: HttpRequest, refused: Exception) -> None:
    """Record in the audit trail that a file was sent and refused, as the page does."""
    why = problems.describe_error(refused)
    trail.record_refused_file(access.get_agency(request), access.make_context(request), "", why)


class Filters(Schema):
    """What imports are listed: those that pass every filter given."""

    q: str = Field("", max_length=255, description="Part of the file name, in any case")
    state: States = Field("", description="open: its plan can be applied. running: it waits or runs.")
    kind: Literal["", "file", "rekey", "groups", "members", "roles", "ranks", "bulk", "undo"] = ""
    mode: Literal["", "update", "sync", "rekey"] = ""
    by: str | None = Field(None, max_length=255, description="The external ID of the operator. Blank: the system")
    source: str = Field("", max_length=255)
    feed: str = Field("", max_length=63)
    since: Moment | None = Field(None, description="Begun at this time or later")
    before: Moment | None = Field(None, description="Begun before this time")


@router.get(
    "", auth=needs("users.import"), response=answers(Page[Listed]),
    operation_id="listImports", summary="List imports",
)  # fmt: skip
def list_imports(
    request: HttpRequest, filters: Annotated[Filters, Query()], limit: Limit = 50, cursor: Cursor = ""
) -> Page[Listed]:
    """Return the imports of the agency, the latest first."""
    agency = access.get_agency(request)
    place = cursors.read_cursor(cursor, [str, int])
    records = import_log.read_after(agency, _make_filters(filters), _read_place(*place) if place else None, limit + 1)
    shown = records[:limit]
    following = cursors.make_cursor(shown[-1].started_at.isoformat(), shown[-1].pk) if len(records) > limit else None
    entries = import_log.make_entries(agency, shown)
    items = [import_schemas.describe_entry(*pair) for pair in zip(shown, entries, strict=True)]
    return Page[Listed](items=items, next=following)


def _make_filters(given: Filters) -> LogFilters:
    found = given.model_dump(exclude={"q"})
    return LogFilters(text=given.q, **found)


def _read_place(text: str | int, pk: str | int) -> tuple[datetime, int]:
    """Return the place of a cursor. Raise ProblemError."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise cursors.make_refusal() from None
    if at.tzinfo is None:
        raise cursors.make_refusal()
    return at, int(pk)


@router.get(
    "{number}",
    auth=import_schemas.NEEDS,
    response=answers(ImportState),
    operation_id="readImport",
    url_name="readImport",
    summary="Describe an import",
)
def read_import(request: HttpRequest, number: str) -> ImportState:
    """Return the state of an import, its progress, its counts, what holds it, and its emails by kind."""
    return import_schemas.describe(find_import(request, number))
