"""Import Users: a file is chosen and sent, waits for its sender to be signed in, and is handed on to be planned or done."""

from datetime import UTC, datetime

from django.contrib.auth.views import redirect_to_login
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from musterbook.accounts import again
from musterbook.core.columns import COLUMNS
from musterbook.core.policy import Mode
from musterbook.directory import models, waiting_files
from musterbook.directory.quotas import OverQuota
from musterbook.web.imports import acts, uploads
from musterbook.web.imports.forms import Choose
from musterbook.web.permission import account, may, needs, refuse


def choose(request: HttpRequest) -> HttpResponseBase:
    """The page to choose a file on, and where it is sent to. Whose session has ended meanwhile signs in, and goes on."""
    if request.method == "POST" and not request.user.is_authenticated:
        return redirect_to_login(_kept(request) or reverse("import_users"))
    return _choose(request)


@needs("users.import")
def _choose(request: HttpRequest) -> HttpResponseBase:
    if request.POST.get("mode") == Mode.SYNC.value and not may(request, "users.synchronize"):
        return refuse(request, "users.synchronize")
    form = Choose(request)
    kept = _kept(request, form) if form.is_valid() else ""
    if kept:
        return redirect(kept)
    told = {
        "form": form,
        "ticket": uploads.ticket(account(request).user),
        "columns": COLUMNS,
        "may_synchronize": may(request, "users.synchronize"),
    }
    return render(request, "import_choose.html", told, status=422 if form.is_bound else 200)


def _kept(request: HttpRequest, form: Choose | None = None) -> str:
    """The address at which the file that was sent waits; "" where there is none, or it could not be kept."""
    user, form = uploads.sender(request), form or Choose(request)
    if user is None or not form.is_valid():
        return ""
    file: UploadedFile[bytes] = form.cleaned_data["file"]
    options, now = form.options(preview=request.POST.get("do") != "upload"), datetime.now(UTC)
    try:
        token = waiting_files.keep(user, file.name or "file", options, file.chunks(), now)
    except OSError:
        form.add_error("file", uploads.NO_ROOM)
        return ""
    except OverQuota as over:
        form.add_error("file", f"{over.problem.message} {over.problem.remedy}")
        return ""
    return reverse("import_waiting", args=[token])


@require_GET
@needs("users.import")
def waiting(request: HttpRequest, token: str) -> HttpResponseBase:
    """Hands on a file that was sent, once its sender has signed in recently; leads to what comes of it."""
    user, key = account(request).user, f"page {token}"
    try:
        file = waiting_files.read(user, token, datetime.now(UTC))
    except waiting_files.Gone:
        return _handed_on(request, key)
    if not again.is_recent(request):
        return again.ask(request)
    try:
        answer = acts.submit(request, file.file, file.options, key)
    except FileNotFoundError:  # the same was asked for at the same time, and has it
        return _handed_on(request, key)
    waiting_files.forget(user, token)
    return answer


def _handed_on(request: HttpRequest, key: str) -> HttpResponseBase:
    """Leads to what came of a file that waits no longer, if it was handed on."""
    user = account(request).user
    found = models.Import.objects.filter(agency=user.agency, actor=user.external_id, idempotency_key=key).first()
    if found:
        return redirect("import", found.number)
    return render(request, "import_gone.html", status=404)
