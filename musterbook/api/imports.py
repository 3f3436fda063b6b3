"""Imports: a program sends a file, and reads what it does."""

from contextlib import closing
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from musterbook.api import access, arriving, import_options, import_schemas, keys, problems, waiting
from musterbook.api.access import needs
from musterbook.api.arriving import BadBody
from musterbook.api.import_schemas import ImportState
from musterbook.api.schemas import ProblemBody, answers
from musterbook.api.waiting import Wait
from musterbook.directory import models
from musterbook.directory.audit import trail
from musterbook.directory.imports import file_import, pending_uploads, queue
from musterbook.directory.imports.file_import import FileOnDisk
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.pending_uploads import TooLarge
from musterbook.directory.imports.quotas import OverQuota

router = Router()


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
    arriving.check_headers(request)
    key = keys.make_key(request)
    options = None if import_options.is_form(request) else _read_options(request)
    maker = access.get_token(request).maker
    try:
        with closing(pending_uploads.open_arriving(maker, datetime.now(UTC))) as arrived:
            name = arriving.read_body(request, arrived, lambda: pending_uploads.check_room(maker))
            upload = FileOnDisk(arrived.path, name, arrived.size, arrived.digest())
            record = queue.submit(
                maker.agency, upload, options or _read_options(request), context=access.make_context(request), key=key
            )
    except (BadBody, TooLarge, OverQuota) as refused:
        _record_refused(request, refused)
        raise
    return waiting.answer(response, record, wait)


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


def find_import(request: HttpRequest, number: str) -> models.Import:
    """Return the import of the agency with that number, in upper or lower case. Raise UnknownImport."""
    return file_import.find_import(access.get_agency(request), number.upper())


@router.get(
    "{number}",
    auth=needs("users.import"),
    response=answers(ImportState),
    operation_id="readImport",
    url_name="readImport",
    summary="Describe an import",
)
def read_import(request: HttpRequest, number: str) -> ImportState:
    """Return the state of an import, its progress, its counts, what holds it, and its emails by kind."""
    return import_schemas.describe(find_import(request, number))
