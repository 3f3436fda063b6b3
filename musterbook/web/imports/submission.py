"""Import Users: the pages that receive a file and submit it to be planned or applied.

The file is kept meanwhile if its sender must sign in first.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from musterbook.core.checking import meanings
from musterbook.core.domain.columns import COLUMNS, STATUS, Column
from musterbook.core.domain.file_values import MAPPED
from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.imports import history, pending_uploads
from musterbook.directory.imports.file_import import UnknownImport
from musterbook.directory.imports.quotas import OverQuota
from musterbook.http import reauthentication, request_context
from musterbook.web.imports import actions, guard, sentences, uploads
from musterbook.web.imports.entry_forms import EntryUploadForm
from musterbook.web.imports.forms import UploadForm
from musterbook.web.permission import get_account, may, needs, refuse

AnyUploadForm: TypeAlias = UploadForm | EntryUploadForm
_MOST_NAMES = 6
"""The most names of a column that the page shows. The example file lists all."""


def choose(request: HttpRequest) -> HttpResponseBase:
    """Show the page on which a file is chosen, and receive the file.

    A user whose session has expired signs in first, and continues with the file.
    """
    page = uploads.get_page(request)
    if request.method == "POST" and not request.user.is_authenticated:
        return redirect_to_login(_keep_for_later(request) or reverse(page))
    show = _show_choice if page == uploads.PAGE else _show_entry_choice
    return needs(uploads.PAGES[page])(show)(request)


def _show_entry_choice(request: HttpRequest) -> HttpResponseBase:
    """Show the page on which a file of groups, members, roles or ranks is chosen, and receive the file."""
    form = EntryUploadForm(request)
    if form.is_valid():
        answer = _submit_or_keep(request, form)
        if answer:
            return answer
    _record_refused(request, form)
    return render(request, "entries_choose.html", form.describe_page(), status=422 if form.is_bound else 200)


def _show_choice(request: HttpRequest) -> HttpResponseBase:
    if request.POST.get("mode") == Mode.SYNC.value and not may(request, "users.synchronize"):
        return refuse(request, "users.synchronize")
    form = UploadForm(request)
    if form.is_valid():
        answer = _submit_or_keep(request, form)
        if answer:
            return answer
    _record_refused(request, form)
    context = {
        "form": form,
        "modes": form.list_modes(may_synchronize=may(request, "users.synchronize")),
        "columns": _list_columns(request),
        "may_export": may(request, "users.export"),
    }
    return render(request, "import_choose.html", context, status=422 if form.is_bound else 200)


def _list_columns(request: HttpRequest) -> list[tuple[Column, list[str], int]]:
    """Return each column with the first of the agency's values for it, and how many more there are."""
    words = snapshot_queries.read_vocabulary(request_context.agency(request))
    of = {
        column: list(dict.fromkeys(meanings.list_names(column, words).values()))
        for column in MAPPED
        if column is not STATUS
    }
    lists = [(column, of.get(column, [])) for column in COLUMNS]
    return [(column, names[:_MOST_NAMES], max(0, len(names) - _MOST_NAMES)) for column, names in lists]


def _record_refused(request: HttpRequest, form: AnyUploadForm) -> None:
    """Record in the audit trail that a file was sent and refused.

    If the disk is full, nothing is recorded, because the event could not be written.
    """
    why = " ".join(map(str, form.errors.get("file", ())))
    if why and why != uploads.NO_ROOM and (request.FILES or uploads.get_refusal(request)):
        trail.record_refused_file(request_context.agency(request), request_context.audit_context(request), "", why)


def _submit_or_keep(request: HttpRequest, form: AnyUploadForm) -> HttpResponseBase | None:
    """Submit the file, or keep it while its sender re-authenticates. Return None if it could not be kept."""
    token = _keep_file(request, get_account(request).user, form, "")
    if not token:
        return None
    if reauthentication.is_recent(request):
        return _submit_kept(request, token, request.POST.get("do", ""))
    form_data = QueryDict("do=upload" if request.POST.get("do") == "upload" else "do=preview")
    return reauthentication.redirect_with_form(request, reverse("import_waiting", args=[token]), form_data)


def keep_stale(request: HttpRequest) -> str:
    """Keep the file of a form that was made for another sign-in. Return the address of the page that continues."""
    return _keep_for_later(request) or reverse(uploads.get_page(request))


def is_waiting_page(address: str) -> bool:
    """Return whether the address is the page of a kept file."""
    return address.startswith(reverse("import_waiting", args=["-"]).removesuffix("-"))


def _keep_for_later(request: HttpRequest) -> str:
    """Return the address of the kept file if its sender may import, but was not signed in when the form was made.

    It is "" for any other sender, and if the file could not be kept.
    """
    user = uploads.find_sender(request)
    form = UploadForm(request) if uploads.get_page(request) == uploads.PAGE else EntryUploadForm(request)
    if user is None or not form.is_valid():
        return ""
    token = _keep_file(request, user, form, request_context.audit_context(request).address or "unknown")
    return reverse("import_waiting", args=[token]) if token else ""


def _keep_file(request: HttpRequest, user: models.User, form: AnyUploadForm, address: str) -> str:
    """Return the token of the kept file. If it could not be kept, return "" and add an error to the form."""
    file = form.cleaned_data["file"]
    # A file from a sender who was not signed in is always previewed first.
    options = form.options(preview=bool(address) or request.POST.get("do") != "upload")
    now = datetime.now(UTC)
    try:
        return pending_uploads.keep_file(user, file.name or "file", options, file.file, now, address=address)
    except OSError:
        form.add_error("file", uploads.NO_ROOM)
    except OverQuota as over:
        form.add_error("file", f"{over.problem.message} {over.problem.remedy}")
    return ""


@require_http_methods(["GET", "POST"])
@guard.for_waiting_file
def waiting(request: HttpRequest, token: str) -> HttpResponseBase:
    """Show a kept file and where it came from.

    A POST of its sender submits it and redirects to the import.
    """
    if request.method == "POST" and reauthentication.is_recent(request):
        return _submit_kept(request, token, request.POST.get("do", ""))
    try:
        file = pending_uploads.find_waiting(get_account(request).user, token, datetime.now(UTC))
    except pending_uploads.UploadGone:
        return _redirect_to_import(request, token)
    if request.method == "POST":
        return reauthentication.redirect_to_reauth(request)
    names = {"mode": file.options.mode.value, "option": sentences.name_option(file.options.what, file.options.mode)}
    return render(
        request, "import_waiting.html", {"file": file, "page": guard.get_upload_page(file.options.what), **names}
    )


def _submit_kept(request: HttpRequest, token: str, do: str) -> HttpResponseBase:
    user = get_account(request).user
    try:
        file = pending_uploads.find_waiting(user, token, datetime.now(UTC))
        options = replace(file.options, preview=bool(file.address) or do != "upload")
        answer = actions.submit_file(request, file.file, options, actions.make_key(request, "file", token))
    except (pending_uploads.UploadGone, FileNotFoundError):  # the same request came before, or at the same time
        return _redirect_to_import(request, token)
    pending_uploads.delete_waiting(user, token)
    return answer


def _redirect_to_import(request: HttpRequest, token: str) -> HttpResponseBase:
    """Redirect to the import of a file that is no longer kept, if it was submitted."""
    user, key = get_account(request).user, actions.make_key(request, "file", token)
    try:
        return redirect("import", history.find_by_key(user.agency, user.external_id, key).number)
    except UnknownImport:
        return render(request, "import_gone.html", status=404)
