"""Import Users: a file is chosen, its plan is shown, and done if that is agreed to."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from allauth.account.decorators import reauthentication_required
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from musterbook.accounts import again, requests
from musterbook.core.policy import Mode
from musterbook.core.report import Rows
from musterbook.core.sentences import HELD, PROTECTIONS
from musterbook.directory import history, imports, kept_files, models, queries, waiting_files
from musterbook.directory.imports import Done, Options, Upload
from musterbook.web import uploads
from musterbook.web.permission import account, may, needs, refuse

_LISTED = 50
"""So many of a kind are shown."""
_MODES = [
    (Mode.UPDATE.value, "Add or update user accounts. Users whom the file does not mention stay as they are."),
    (Mode.SYNC.value, "Synchronize all user accounts. Users whom the file does not mention become Inactive."),
]


class Choose(forms.Form):
    """A mode and a file."""

    mode = forms.ChoiceField(label="Import option", choices=_MODES, widget=forms.RadioSelect, initial=Mode.UPDATE.value)
    file = forms.FileField(label="Select file", allow_empty_file=True, max_length=None)

    def __init__(self, request: HttpRequest) -> None:
        sent = request.method == "POST"
        super().__init__(request.POST if sent else None, request.FILES if sent else None)
        most = settings.MUSTER_MAX_FILE_MB
        file = self.fields["file"]
        file.help_text = f"CSV, .xlsx or .ods, up to {most:,} MB."
        file.error_messages["required"] = (
            f"This file is larger than {most:,} MB. Split it, or ask whoever runs Musterbook here to allow more."
            if uploads.is_too_large(request)
            else "Select a file: CSV, .xlsx or .ods."
        )


class Agree(forms.Form):
    """The number of deactivations, typed by whoever agrees to them."""

    number = forms.CharField(label="Number of users to deactivate", widget=forms.TextInput({"inputmode": "numeric"}))

    def __init__(self, deactivations: int, *args: Any) -> None:
        super().__init__(*args)
        self._deactivations = deactivations
        self._wanted = f"The plan deactivates {deactivations:,}. Type that number if it is right."
        self.fields["number"].error_messages["required"] = self._wanted

    def clean_number(self) -> int:
        """The number, if it is the one that the plan comes to."""
        typed = "".join(self.cleaned_data["number"].replace(",", "").split())
        if typed != str(self._deactivations):
            raise forms.ValidationError(self._wanted)
        return self._deactivations


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
    told = {"form": form, "ticket": uploads.ticket(account(request).user)}
    return render(request, "import_choose.html", told, status=422 if form.is_bound else 200)


def _kept(request: HttpRequest, form: Choose | None = None) -> str:
    """The address at which the file that was sent waits; "" where there is none, or it could not be kept."""
    user, form = uploads.sender(request), form or Choose(request)
    if user is None or not form.is_valid():
        return ""
    file: UploadedFile[bytes] = form.cleaned_data["file"]
    mode, now = Mode(form.cleaned_data["mode"]), datetime.now(UTC)
    try:
        token = waiting_files.keep(user, file.name or "file", mode, file.chunks(), now)
    except OSError:
        form.add_error("file", "There is no room for this file now. Tell whoever runs Musterbook here.")
        return ""
    return reverse("import_waiting", args=[token])


@require_GET
@needs("users.import")
def waiting(request: HttpRequest, token: str) -> HttpResponseBase:
    """Plans a file that was sent, once its sender has signed in recently; leads to the plan."""
    user, now = account(request).user, datetime.now(UTC)
    key = f"page {token}"
    try:
        file = waiting_files.read(user, token, now)
    except waiting_files.Gone:
        return _planned(request, key)
    if not again.is_recent(request):
        return again.ask(request)

    def work() -> Done:
        options = Options(mode=file.mode, preview=True)
        upload = Upload(file.content, file.name)
        return imports.run(user.agency, upload, options, **_by(request), key=key)

    answer = _carried_out(request, work)
    waiting_files.forget(user, token)
    return answer


def _by(request: HttpRequest) -> dict[str, Any]:
    """Who does it, when and from where, as the use cases of imports are told."""
    act = requests.act(request)
    return {"at": act.at, "by": act.actor, "through": act.through, "address": act.address, "agent": act.agent}


def _planned(request: HttpRequest, key: str) -> HttpResponseBase:
    """Leads to the plan of a file that waits no longer, if there is one."""
    user = account(request).user
    planned = models.Import.objects.filter(agency=user.agency, actor=user.external_id, idempotency_key=key).first()
    if planned:
        return redirect("import", planned.number)
    return render(request, "import_gone.html", status=404)


def _carried_out(request: HttpRequest, work: Callable[[], Done]) -> HttpResponseBase:
    """Does it, and leads to what it came to; or says why the user may not."""
    try:
        number = work().record.number
    except imports.Failed as failed:
        number = failed.record.number
    except imports.NotPermitted as lacking:
        return refuse(request, *str(lacking).split(", "))
    except queries.UnknownOperator:
        return redirect_to_login(request.get_full_path())
    return redirect("import", number)


@needs("users.import")
def one(request: HttpRequest, number: str) -> HttpResponseBase:
    """One of the user's own imports: its plan, to be applied, or what it came to."""
    user = account(request).user
    imports.settle_dead(user.agency)
    try:
        record = imports.find(user.agency, number)
    except imports.UnknownImport:
        raise Http404 from None
    if record.actor != user.external_id:
        raise Http404
    return _apply(request, record) if request.method == "POST" else _shown(request, record, _agreement(record))


def _agreement(record: models.Import, *sent: Any) -> Agree | None:
    return Agree(record.held["deactivations"], *sent) if record.held else None


@reauthentication_required
def _apply(request: HttpRequest, record: models.Import) -> HttpResponseBase:
    form = _agreement(record, request.POST)
    if form and not form.is_valid():
        return _shown(request, record, form)
    confirmed = form.cleaned_data["number"] if form else None
    user = account(request).user

    def work() -> Done:
        key = f"page {record.number}"
        return imports.apply_previewed(user.agency, record.number, **_by(request), confirmed=confirmed, key=key)

    try:
        return _carried_out(request, work)
    except imports.NotShown:
        messages.error(request, "This import is no plan that waits to be applied. Nothing was changed.")
    except kept_files.FileGone:
        messages.error(request, "The file of this plan is kept no longer. Import it once more. Nothing was changed.")
    return redirect("import", record.number)


def _shown(request: HttpRequest, record: models.Import, form: Agree | None) -> HttpResponse:
    told = history.report_of(record, None, Rows.ERRORED)
    names = history.names(record, _LISTED)
    changed = any(problem.code == "plan-changed" for problem in told.problems)
    about = {
        "told": told,
        "record": record,
        "form": form,
        "can_apply": record.state in ("previewed", "held") or changed,
        "counts": [(name, number) for name, number in told.counts.items() if number or name == "rows"],
        "problems": [(row, problem) for row in told.rows[:_LISTED] for problem in row.problems],
        "more_problems": max(0, len(told.rows) - _LISTED),
        "leavers": [(number, names.get(number, "")) for number in told.deactivated[:_LISTED]],
        "more_leavers": max(0, len(told.deactivated) - _LISTED),
        "protected": [(one["external_id"], names.get(one["external_id"], ""), PROTECTIONS.get(one["code"], one["code"]))
                      for one in told.protected[:_LISTED]],
        "held": HELD.get(str(told.held["code"]), "") if told.held else "",
    }  # fmt: skip
    return render(request, "import.html", about, status=422 if form and form.is_bound else 200)
