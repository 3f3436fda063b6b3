"""Import history: who imported when, through what, and what came of it (rule A4)."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from musterbook.accounts import requests
from musterbook.directory.imports import history
from musterbook.web.permission import needs

_FILTERS = {"done": "Done", "previews": "Previews and held", "all": "All"}


@needs("users.import")
def listed(request: HttpRequest) -> HttpResponseBase:
    """The agency's imports, the latest first, page by page."""
    which = request.GET.get("which", "done")
    which = which if which in _FILTERS else "done"
    page = history.page(requests.agency(request), which, request.GET.get("before", ""))
    about = {"entries": page.entries, "before": page.before, "which": which, "filters": _FILTERS.items()}
    return render(request, "imports.html", about)
