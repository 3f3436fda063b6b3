"""Files that an import gives out: the example file, the results file and the errors file."""

from typing import Literal

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from musterbook.core import example as examples
from musterbook.directory import kept_files, kept_plans, results
from musterbook.web.imports.acts import find
from musterbook.web.permission import needs

_KINDS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


@require_GET
@needs("users.import")
def example(_: HttpRequest, form: Literal["csv", "xlsx"]) -> HttpResponseBase:
    """The example file."""
    if form not in _KINDS:
        raise Http404
    return _file(examples.example(form), f"example.{form}", _KINDS[form])


@require_GET
@needs("users.import")
def results_file(request: HttpRequest, number: str) -> HttpResponseBase:
    """All rows of the file with what became of them."""
    return _of_rows(request, number, "results")


@require_GET
@needs("users.import")
def errors_file(request: HttpRequest, number: str) -> HttpResponseBase:
    """The rows with problems alone."""
    return _of_rows(request, number, "errors")


def _of_rows(request: HttpRequest, number: str, which: Literal["results", "errors"]) -> HttpResponseBase:
    record = find(request, number)
    try:
        content = results.file(record, which)
    except (kept_files.FileGone, kept_plans.PlanGone):
        messages.error(request, "The file of this import is kept no longer, so it cannot be given back.")
        return redirect("import", number)
    stem = record.file_name.rpartition(".")[0] or record.file_name or "import"
    return _file(content, f"{stem}-{which}.csv", _KINDS["csv"])


def _file(content: bytes, name: str, kind: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=kind)
    answer.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return answer
