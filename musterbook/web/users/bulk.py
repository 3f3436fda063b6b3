"""What is done to selected users together: selected here, previewed, and applied as it was seen."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from musterbook.directory import models, permissions
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports import approval, bulk, file_import, plan_ends, queue
from musterbook.directory.imports.bulk import ACTIONS, BulkChange
from musterbook.directory.storage import import_files
from musterbook.http import request_context
from musterbook.web.imports import page
from musterbook.web.imports.actions import APPROVER, PATIENCE, make_key, read_mails, redirect_from_ended
from musterbook.web.permission import get_account, may, needs, refuse
from musterbook.web.users import bulk_page, bulk_sentences, chosen_users

TOO_MANY = gettext_lazy(
    "You can select at most 500 users one by one. To change more, search for them and select all that match."
)


class ValueForm(forms.Form):
    """Which role, rank or group is set."""

    def __init__(self, act: str, choices: list[tuple[str, str]], sent: Any = None) -> None:
        super().__init__(sent)
        label, message = (str(text) for text in bulk_sentences.FIELDS[act])
        options = [(f"={value}", name if value else bulk_sentences.NONE[act]) for value, name in choices]
        self.fields["value"] = forms.ChoiceField(
            label=label, choices=[("", _("Choose one")), *options],
            error_messages={"required": message, "invalid_choice": message},
        )  # fmt: skip

    @property
    def cell(self) -> str:
        """The cell that names the value. What is sent begins with a mark, because the blank cell can be chosen too."""
        return str(self.cleaned_data["value"])[1:]


def list_actions(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the actions that the signed-in user's role allows, each with its label."""
    return [
        (name, str(bulk_sentences.LABELS[name]))
        for name, kind in ACTIONS.items()
        if kind.is_offered and may(request, kind.permission)
    ]


@needs("users.view")
def choose(request: HttpRequest) -> HttpResponseBase:
    """Take the users chosen in All Users, ask for the value to set if there is one, and plan the action."""
    act = request.POST.get("act", "")
    if request.method != "POST" or "keep" in request.POST:
        return _redirect_back(request)
    if act not in ACTIONS or not ACTIONS[act].is_offered:
        return _redirect_back(request, _("Choose an action."))
    if not may(request, ACTIONS[act].permission):
        return refuse(request, ACTIONS[act].permission)
    return _plan_chosen(request, act)


def _plan_chosen(request: HttpRequest, act: str) -> HttpResponseBase:
    agency, wrong = request_context.agency(request), _("Select at least one user.")
    try:
        ids = chosen_users.list_chosen(agency, request.POST, request.GET.dict(), datetime.now(UTC))
    except chosen_users.TooManyTicked:
        ids = []
    except chosen_users.WrongSearch:
        ids, wrong = (
            [],
            _("A filter cannot be read, so it is not clear which users match. Correct it, and select again."),
        )
    return _submit_plan(request, agency, act, ids) if ids else _redirect_back(request, wrong)


def _redirect_back(request: HttpRequest, wrong: str = "") -> HttpResponseBase:
    """Return to where the users were selected, with the same users ticked."""
    address, is_all = _make_list_address(request)
    wrong = wrong if is_all else str(TOO_MANY)
    if wrong:
        messages.error(request, wrong)
    return redirect(address)


def _make_list_address(request: HttpRequest) -> tuple[str, bool]:
    """Return the address of the list with the ticked users, and whether it can hold all of them."""
    query = request.GET.copy()
    ticked, is_all = chosen_users.read_fitting(request.POST or request.GET)
    query["chosen"] = chosen_users.join_ids(ticked)
    return f"{reverse('all_users')}?{query.urlencode()}", is_all


def _submit_plan(request: HttpRequest, agency: models.Agency, act: str, ids: list[int]) -> HttpResponseBase:
    value = ""
    if ACTIONS[act].column and not ACTIONS[act].value:
        operator = snapshot_queries.read_operator(agency, get_account(request).user.external_id)
        form = ValueForm(
            act, bulk.list_choices(agency, act, operator), request.POST if "value" in request.POST else None
        )
        if not (form.is_bound and form.is_valid()):
            return _ask_value(request, act, form, len(ids))
        value = form.cell

    def work() -> models.Import:
        return queue.submit_bulk(
            agency, ids, BulkChange(act, value), context=request_context.audit_context(request), preview=True
        )

    return _run_and_redirect(request, work)


def _ask_value(request: HttpRequest, act: str, form: ValueForm, number: int) -> HttpResponseBase:
    hidden = [
        (name, value) for name in ("act", "all", "chosen", "shown", "user") for value in request.POST.getlist(name)
    ]
    context = {
        "label": bulk_sentences.LABELS[act], "form": form, "number": number, "sent": hidden, "here": request.get_full_path(),
        "back": _make_list_address(request)[0],
    }  # fmt: skip
    return render(request, "bulk_choose.html", context, status=422 if form.is_bound else 200)


def _run_and_redirect(request: HttpRequest, work: Callable[[], models.Import]) -> HttpResponseBase:
    """Submit it and redirect to its page, or say why the user may not."""
    try:
        record = queue.wait(work(), PATIENCE)
    except permissions.NotPermitted as lacking:
        return refuse(request, str(lacking))
    except snapshot_queries.UnknownOperator:
        return redirect_to_login(request.get_full_path())
    except OSError:
        messages.error(request, _("There is no room to save this. Tell the person who runs Musterbook."))
        return redirect("all_users")
    return redirect("bulk_plan", record.number)


def _find_change(request: HttpRequest, number: str) -> tuple[models.Import, BulkChange]:
    try:
        record = file_import.find_import(request_context.agency(request), number)
    except file_import.UnknownImport:
        raise Http404 from None
    change = bulk.get_change(record)
    if change is None:
        raise Http404
    return record, change


@needs("users.view")
def one(request: HttpRequest, number: str) -> HttpResponseBase:
    """Show one bulk action: its progress, its preview, or its result; apply it."""
    record, change = _find_change(request, number)
    if request.method != "POST":
        return bulk_page.render_change(request, record, change)
    if not may(request, change.kind.permission):
        return refuse(request, change.kind.permission)
    answer: HttpResponseBase = _apply(request, record, change)
    return answer


@reauthentication_required
def _apply(request: HttpRequest, record: models.Import, change: BulkChange) -> HttpResponseBase:
    form = page.make_confirm_form(request, record, request.POST)
    if form and not form.is_valid():
        return bulk_page.render_change(request, record, change, form)
    confirmed = form.confirmed if form else None

    def work() -> models.Import:
        context, key = request_context.audit_context(request), make_key(request, "apply", record.number)
        return queue.submit_bulk_apply(
            record.agency, record.number, context=context, confirmed=confirmed, mails=read_mails(request), key=key
        )

    try:
        return _run_and_redirect(request, work)
    except file_import.NothingToApply:
        messages.error(request, _("This plan cannot be applied. Nothing was changed."))
    except approval.NeedsApprover:
        messages.error(request, APPROVER)
    except plan_ends.PlanEnded as ended:
        return redirect_from_ended(request, record, ended)
    except import_files.FileGone:
        messages.error(
            request, _("The list of selected users is no longer available. Select them again. Nothing was changed.")
        )
    return redirect("bulk_plan", record.number)


@require_POST
@needs("users.view")
def cancel(request: HttpRequest, number: str) -> HttpResponseBase:
    """Ask an action that waits or runs to stop."""
    record, change = _find_change(request, number)
    if not may(request, change.kind.permission):
        return refuse(request, change.kind.permission)
    queue.cancel(record, request_context.audit_context(request))
    messages.info(request, _("The action was asked to stop. If it was not finished before, nothing was changed."))
    return redirect("bulk_plan", number)
