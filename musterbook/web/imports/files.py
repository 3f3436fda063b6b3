"""The downloads of an import: the example file, the results file, and the errors file."""

from typing import Literal

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_GET

from musterbook.core.reporting import example_file as examples
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports import history, plan_files, sandbox
from musterbook.directory.storage import formats, import_files
from musterbook.http import downloads, request_context
from musterbook.web.imports import guard
from musterbook.web.imports.actions import find_import
from musterbook.web.permission import needs


@require_GET
@needs("users.import")
def example(request: HttpRequest, form: Literal["csv", "xlsx"]) -> HttpResponseBase:
    """Return the example file with the agency's roles, ranks and groups."""
    if form not in downloads.KINDS:
        raise Http404
    words = snapshot_queries.read_vocabulary(request_context.agency(request))
    return downloads.send(examples.build_example(form, words), f"example.{form}", downloads.KINDS[form])


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
    return downloads.send_file(file, history.name_results_file(record, which, form), downloads.KINDS[form])


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
