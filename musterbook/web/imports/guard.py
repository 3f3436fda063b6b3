"""The guards of the pages of imports: what an import or a waiting file is about says which permission it takes."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from musterbook.accounts.models import Account
from musterbook.directory.imports import entry_files, file_import, pending_uploads
from musterbook.http import request_context
from musterbook.web.imports import uploads
from musterbook.web.permission import needs

_UPLOAD_PAGES = {
    "groups": "groups_import",
    "members": "groups_import",
    "roles": "roles_import",
    "ranks": "ranks_import",
}
View = Callable[..., HttpResponseBase]
_USUAL = uploads.PAGES[uploads.PAGE]


def get_upload_page(what: str) -> str:
    """Return the name of the page on which a file with this layout is chosen ("": of users)."""
    return _UPLOAD_PAGES.get(what, uploads.PAGE)


def for_import(view: View) -> View:
    """Admit only users who may run imports like the one in the address, as `permission.needs` does."""
    return _guard(view, _find_of_import)


def for_waiting_file(view: View) -> View:
    """Admit only users who may import the waiting file in the address."""
    return _guard(view, _find_of_file)


def _guard(view: View, find: Callable[[HttpRequest, str], str]) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: Any, **named: Any) -> HttpResponseBase:
        name = str(next(iter([*args, *named.values()])))
        return needs(entry_files.PERMISSIONS.get(find(request, name), _USUAL))(view)(request, *args, **named)

    guarded.permission = _USUAL  # type: ignore[attr-defined]  # for the tests that attack each page
    return guarded


def _find_of_import(request: HttpRequest, number: str) -> str:
    """Return the layout of the file of an import, "" for one of users, and if there is no such import."""
    try:
        return entry_files.get_layout(file_import.find_import(request_context.agency(request), number))
    except file_import.UnknownImport:
        return ""


def _find_of_file(request: HttpRequest, token: str) -> str:
    if not isinstance(request.user, Account):
        return ""
    try:
        return pending_uploads.find_waiting(request.user.user, token, datetime.now(UTC)).options.what
    except pending_uploads.UploadGone:
        return ""
