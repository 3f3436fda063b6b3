"""The import history: who imported, when, through which channel, and with which result (rule A4)."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from musterbook.directory.imports import history
from musterbook.http import incoming
from musterbook.web.permission import needs

_FILTERS = {"done": "Done", "previews": "Previews and held", "all": "All"}


@needs("users.import")
def listed(request: HttpRequest) -> HttpResponseBase:
    """List the agency's imports page by page, the latest first."""
    which = request.GET.get("which", "done")
    which = which if which in _FILTERS else "done"
    page = history.list_page(incoming.agency(request), which, request.GET.get("before", ""))
    context = {"entries": page.entries, "before": page.before, "which": which, "filters": _FILTERS.items()}
    return render(request, "imports.html", context)
