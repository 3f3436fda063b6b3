"""The downloads of an import: the example file, the results file, and the errors file."""

import os
from collections.abc import Iterator
from functools import partial
from typing import IO, Literal

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from musterbook.core.reporting import example_file as examples
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports import history, plan_files, sandbox
from musterbook.directory.storage import formats, import_files
from musterbook.http import request_context
from musterbook.web.imports import guard
from musterbook.web.imports.actions import find_import
from musterbook.web.permission import needs

_KINDS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


@require_GET
@needs("users.import")
def example(request: HttpRequest, form: Literal["csv", "xlsx"]) -> HttpResponseBase:
    """Return the example file with the agency's roles, ranks and groups."""
    if form not in _KINDS:
        raise Http404
    words = snapshot_queries.read_vocabulary(request_context.agency(request))
    return _make_download(examples.build_example(form, words), f"example.{form}", _KINDS[form])


@require_GET
@guard.for_import
def results_file(request: HttpRequest, number: str) -> HttpResponseBase:
    """Return all rows of the file, each with its result."""
    return _send_rows(request, number, "results")


@require_GET
@guard.for_import
def errors_file(request: HttpRequest, number: str) -> HttpResponseBase:
    """Return only the rows that have problems."""
    return _send_rows(request, number, "errors")


def _send_rows(request: HttpRequest, number: str, which: Literal["results", "errors"]) -> HttpResponseBase:
    record = find_import(request, number)
    form: Literal["csv", "xlsx"] = "xlsx" if request.GET.get("form") == "xlsx" else "csv"
    try:
        file = history.open_results_file(record, which, form)
    except tuple(_MESSAGES) as error:
        messages.error(request, _MESSAGES[type(error)])
        return redirect("import", number)
    stem = record.file_name.rpartition(".")[0] or record.file_name or "import"
    return _make_download(_read_small(file) or _read_parts(file), f"{stem}-{which}.{form}", _KINDS[form])


_FILE_GONE = "The file of this import is kept no longer, so it cannot be given back."
_MESSAGES: dict[type[Exception], str] = {
    import_files.FileGone: _FILE_GONE,
    plan_files.PlanGone: _FILE_GONE,
    history.ResultsInProgress: "Another results file is being made. Download this one again in a moment.",
    formats.TooManyRows: "The file has more rows than a workbook can hold. Download it as CSV.",
    sandbox.ReadingStopped: "The file took more memory or time than a file of its size may take, so it cannot be given back.",
    sandbox.ReadingFailed: "The file could not be made. Tell the person who runs Musterbook here: the log says more.",
}
"""The message for each error that prevents a file."""
_PART = 1 << 16


def _read_small(file: IO[bytes]) -> bytes:
    """Return the content of a file that fits in one part, or b"" for a larger file."""
    if os.fstat(file.fileno()).st_size > _PART:
        return b""
    with file:
        return file.read()


def _read_parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        yield from iter(partial(file.read, _PART), b"")


def _make_download(content: bytes | Iterator[bytes], name: str, kind: str) -> HttpResponseBase:
    response_class = HttpResponse if isinstance(content, bytes) else StreamingHttpResponse
    answer = response_class(content, content_type=kind)
    answer.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return answer
