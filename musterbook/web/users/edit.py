"""The pages that add and edit a user."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.contrib import messages
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from musterbook.accounts import credentials
from musterbook.core.domain.policy import Operator
from musterbook.directory import models, permissions
from musterbook.directory.agency import groups
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import database_errors
from musterbook.directory.users import editing, marks, user_list
from musterbook.directory.users.editing import EditResult
from musterbook.directory.users.filters import UserFilters
from musterbook.http import reauthentication, request_context
from musterbook.web.permission import get_account, may, needs, refuse
from musterbook.web.users.form import LABELS, UserForm, describe_problem

_SUGGESTED = 10
Result = TypeVar("Result")


def find_user(request: HttpRequest, pk: int) -> models.User:
    """Return the agency's user with that id. Raise Http404."""
    try:
        return editing.find_user(request_context.agency(request), pk)
    except editing.UnknownUser:
        raise Http404 from None


def redirect_to_user(request: HttpRequest, user: models.User) -> HttpResponseBase:
    """Redirect to the page of the user, or to the home page if the signed-in user may not see it."""
    return redirect("user", user.pk) if may(request, "users.view") else redirect("home")


@needs("users.edit")
def edit(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Edit a user's row as a form.

    Concurrent changes of another user are neither lost nor overwritten unseen.
    """
    user = find_user(request, pk)
    left_out = {"STATUS"} | _list_hidden_marks(request)
    form = _make_form(request, editing.build_row(user), left_out, _get_posted(request))
    if form.is_bound and form.is_valid():
        if form.is_sensitive and not reauthentication.is_recent(request):
            return reauthentication.redirect_to_reauth(request)
        result = run_or_respond(
            request, lambda: editing.edit(user, form.row, form.base, request_context.audit_context(request))
        )
        if not isinstance(result, EditResult):
            return result
        if result.done:
            _report_saved(request, result)
            return redirect_to_user(request, user)
        form = _add_errors(request, form, result, editing.build_row(find_user(request, pk)), left_out)
    return _render_form(request, "user_edit.html", form, about=user)


@never_cache
@needs("users.edit")
def add(request: HttpRequest) -> HttpResponseBase:
    """Add a user from a form."""
    # A user who is added by hand belongs to no source (S9).
    form = _make_form(request, {}, {marks.SOURCE} | _list_hidden_marks(request), _get_posted(request))
    if not form.is_bound or not form.is_valid():
        risk = marks.find_risk_of_source(request_context.agency(request))
        return _render_form(request, "user_add.html", form, risk=risk and _describe_risk("this user", risk))
    if not reauthentication.is_recent(request):
        return reauthentication.redirect_to_reauth(request)
    agency = request_context.agency(request)
    result = run_or_respond(request, lambda: editing.add(agency, form.row, request_context.audit_context(request)))
    if not isinstance(result, EditResult):
        return result
    if result.done and result.user:
        return _report_added(request, result.user, result)
    form.add_errors(result)
    if result.already_exists and result.user:
        name = f"{result.user.first_name} {result.user.last_name}"
        form.add_error("external_id", f"{name} has this external id already. Nobody was added, and nobody was changed.")
    return _render_form(request, "user_add.html", form, existing_user=result.user if result.already_exists else None)


def _list_hidden_marks(request: HttpRequest) -> set[str]:
    """Return the marks that the signed-in user may not set."""
    return set() if may(request, marks.PERMISSION) else set(marks.OF_IMPORTS)


def _report_added(request: HttpRequest, user: models.User, result: EditResult) -> HttpResponseBase:
    """Report how the new user signs in: by an invitation mail, or by a link to hand over."""
    name = f"{user.first_name} {user.last_name}"
    for note in result.notes:
        messages.info(request, describe_problem(note))
    risk = marks.find_risk(user)
    if risk:
        messages.warning(request, _describe_risk(name, risk))
    if not user.active:
        messages.success(request, f"{name} is added, Inactive: they can register once they are reactivated.")
    elif is_notified(user, "invitation"):
        messages.success(request, f"{name} is added. An invitation is on its way to {user.email}.")
    elif may(request, credentials.PERMISSION):
        context = request_context.audit_context(request)
        link = credentials.create_invitation(user, context, credentials.find_operator(user.agency, context.actor))
        return show_link(request, user, link, title=f"{name} is added", days=user.agency.invitation_days)
    else:
        advice = "No invitation is sent: ask somebody who manages credentials for a link to hand over."
        messages.warning(request, f"{name} is added. {advice}")
    return redirect_to_user(request, user)


def _describe_risk(name: str, risk: marks.Risk) -> str:
    """Return when a synchronize import would make the new user Inactive."""
    last = f"{risk.last.day} {risk.last:%B %Y}"
    when = f", {risk.grace_days} days after the first such import" if risk.grace_days else ""
    return (
        f"The next synchronize import makes {name} Inactive{when}, unless its file mentions them: the last one, of {last},"
        " looked at all users. To prevent it, mark the user as exempt from synchronize, or as not changed by files."
    )


def is_notified(user: models.User, kind: str) -> bool:
    """Return whether an edit sends the user a mail of that kind, and a mail server is configured."""
    agency = user.agency
    return bool(settings.MAIL_SERVER) and agency.sends_mail and kind not in agency.mails_off


def show_link(request: HttpRequest, user: models.User, link: str, **about: Any) -> HttpResponseBase:
    """Show a link once, for the signed-in user to hand over."""
    return render(request, "user_link.html", {"about": user, "link": link, **about})


def _get_posted(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _make_form(request: HttpRequest, now: editing.Row, left_out: set[str], data: QueryDict | None) -> UserForm:
    agency, me = request_context.agency(request), get_account(request).user
    operator = Operator(me.pk, me.external_id, permissions.get_permissions(me.role))
    vocabulary, all_groups = snapshot_queries.read_vocabulary(agency), groups.list_groups(agency)
    suggests = may(request, "users.view")
    return UserForm(now, vocabulary, all_groups, operator, data, left_out=left_out, suggests=suggests)


def _add_errors(
    request: HttpRequest, form: UserForm, result: EditResult, now: editing.Row, left_out: set[str]
) -> UserForm:
    """Return the form with its errors. After a conflict, it has the values that others have saved."""
    if result.conflicts:
        form = _make_form(request, now, left_out, _merge_saved(request, now, left_out))
        form.is_valid()
    form.add_errors(result)
    return form


def _merge_saved(request: HttpRequest, now: editing.Row, left_out: set[str]) -> QueryDict:
    """Return what was sent, combined with what others have saved."""
    fresh = _make_form(request, now, left_out, request.POST)
    fresh.is_valid()
    return fresh.add_saved_values(request.POST)


def _render_form(request: HttpRequest, template: str, form: UserForm, **about: Any) -> HttpResponseBase:
    return render(request, template, {"form": form, **about}, status=422 if form.is_bound else 200)


def _report_saved(request: HttpRequest, result: EditResult) -> None:
    if not result.changes:
        messages.info(request, "Nothing was changed: all of it stands so already.")
        return
    messages.success(
        request, f"Saved: {', '.join(LABELS[heading] for heading in LABELS if heading in result.changes)}."
    )
    for note in result.notes:
        messages.info(request, describe_problem(note))


BUSY = "An import is being written just now. Nothing was changed here: try again in a minute."


def run_or_respond(request: HttpRequest, work: Callable[[], Result]) -> Result | HttpResponseBase:
    """Return the result of the work, or a response if it could not be done."""
    try:
        return work()
    except NotPermitted as lacking:
        return refuse(request, str(lacking))
    except OperationalError as error:
        if not database_errors.is_busy(error):
            raise
        return render(request, "busy.html", {"why": BUSY}, status=503)


@require_GET
@needs("users.view")
def supervisors(request: HttpRequest) -> HttpResponseBase:
    """Suggest Active users for the supervisor field: those whose name or address has what was typed so far.

    The number of suggestions is limited.
    """
    if not request_context.is_part(request):
        raise Http404
    typed = request.GET.get("supervisor_email", "").strip()[:100]
    if len(typed) < 2:
        return render(request, "supervisors.html", {"users": []})
    context = request_context.audit_context(request)
    users = user_list.read_page(request_context.agency(request), UserFilters(text=typed), at=context.at).users
    return render(request, "supervisors.html", {"users": [u for u in users if u.status != "Inactive"][:_SUGGESTED]})
