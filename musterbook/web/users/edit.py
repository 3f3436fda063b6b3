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
from musterbook.directory.users import editing, user_list
from musterbook.directory.users.editing import EXEMPT, Came
from musterbook.directory.users.filters import Wanted
from musterbook.http import incoming, reauthentication
from musterbook.web.fragments import is_part
from musterbook.web.permission import account, may, needs, refuse
from musterbook.web.users.form import LABELS, UserForm, said

_SUGGESTED = 10
Result = TypeVar("Result")


def found(request: HttpRequest, pk: int) -> models.User:
    """Return the agency's user with that id. Raise Http404."""
    try:
        return editing.find(incoming.agency(request), pk)
    except editing.UnknownUser:
        raise Http404 from None


def back(request: HttpRequest, user: models.User) -> HttpResponseBase:
    """Redirect to the page of the user, or to the home page if the signed-in user may not see it."""
    return redirect("user", user.pk) if may(request, "users.view") else redirect("home")


@needs("users.edit")
def edit(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Edit a user's row as a form.

    Concurrent changes of another user are neither lost nor overwritten unseen.
    """
    user = found(request, pk)
    left_out = {"EXTERNAL_ID", "STATUS"} | (set() if may(request, editing.EXEMPT_PERMISSION) else {EXEMPT})
    form = _form(request, editing.row_of(user), left_out, _sent(request))
    if form.is_bound and form.is_valid():
        if form.is_grave and not reauthentication.is_recent(request):
            return reauthentication.ask(request)
        came = tried(request, lambda: editing.edit(user, form.row, form.base, incoming.audit_context(request)))
        if not isinstance(came, Came):
            return came
        if came.done:
            _tell_saved(request, came)
            return back(request, user)
        form = _again(request, form, came, editing.row_of(found(request, pk)), left_out)
    return _shown(request, "user_edit.html", form, about=user)


@never_cache
@needs("users.edit")
def add(request: HttpRequest) -> HttpResponseBase:
    """Add a user from a form."""
    form = _form(request, {}, {EXEMPT}, _sent(request))
    if not form.is_bound or not form.is_valid():
        return _shown(request, "user_add.html", form)
    if not reauthentication.is_recent(request):
        return reauthentication.ask(request)
    agency = incoming.agency(request)
    came = tried(request, lambda: editing.add(agency, form.row, incoming.audit_context(request)))
    if not isinstance(came, Came):
        return came
    if came.done and came.user:
        return _welcomed(request, came.user, came)
    form.tell(came)
    if came.there and came.user:
        named = f"{came.user.first_name} {came.user.last_name}"
        form.add_error(
            "external_id", f"{named} has this external id already. Nobody was added, and nobody was changed."
        )
    return _shown(request, "user_add.html", form, there=came.user if came.there else None)


def _welcomed(request: HttpRequest, user: models.User, came: Came) -> HttpResponseBase:
    """Report how the new user signs in: by an invitation mail, or by a link to hand over."""
    name = f"{user.first_name} {user.last_name}"
    for note in came.notes:
        messages.info(request, said(note))
    if not user.active:
        messages.success(request, f"{name} is added, Inactive: they can register once they are reactivated.")
    elif is_told(user, "invitation"):
        messages.success(request, f"{name} is added. An invitation is on its way to {user.email}.")
    elif may(request, credentials.PERMISSION):
        context = incoming.audit_context(request)
        link = credentials.invitation(user, context, credentials.operator(user.agency, context.actor))
        return handed_over(request, user, link, title=f"{name} is added", days=user.agency.invitation_days)
    else:
        told = "No invitation is sent: ask somebody who manages credentials for a link to hand over."
        messages.warning(request, f"{name} is added. {told}")
    return back(request, user)


def is_told(user: models.User, kind: str) -> bool:
    """Return whether an edit sends the user a mail of that kind, and a mail server is configured."""
    agency = user.agency
    return bool(settings.MAIL_SERVER) and agency.sends_mail and kind not in agency.mails_off


def handed_over(request: HttpRequest, user: models.User, link: str, **about: Any) -> HttpResponseBase:
    """Show a link once, for the signed-in user to hand over."""
    return render(request, "user_link.html", {"about": user, "link": link, **about})


def _sent(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _form(request: HttpRequest, now: editing.Row, left_out: set[str], sent: QueryDict | None) -> UserForm:
    agency, me = incoming.agency(request), account(request).user
    operator = Operator(me.pk, me.external_id, permissions.of(me.role))
    words, listed = snapshot_queries.vocabulary(agency), groups.list_groups(agency)
    suggests = may(request, "users.view")
    return UserForm(now, words, listed, operator, sent, left_out=left_out, suggests=suggests)


def _again(request: HttpRequest, form: UserForm, came: Came, now: editing.Row, left_out: set[str]) -> UserForm:
    """Return the form with its errors. After a conflict, it has the values that others have saved."""
    if came.conflicts:
        form = _form(request, now, left_out, _mixed(request, now, left_out))
        form.is_valid()
    form.tell(came)
    return form


def _mixed(request: HttpRequest, now: editing.Row, left_out: set[str]) -> QueryDict:
    """Return what was sent, combined with what others have saved."""
    fresh = _form(request, now, left_out, request.POST)
    fresh.is_valid()
    return fresh.with_theirs(request.POST)


def _shown(request: HttpRequest, template: str, form: UserForm, **about: Any) -> HttpResponseBase:
    return render(request, template, {"form": form, **about}, status=422 if form.is_bound else 200)


def _tell_saved(request: HttpRequest, came: Came) -> None:
    if not came.changes:
        messages.info(request, "Nothing was changed: all of it stands so already.")
        return
    messages.success(request, f"Saved: {', '.join(LABELS[heading] for heading in LABELS if heading in came.changes)}.")
    for note in came.notes:
        messages.info(request, said(note))


BUSY = "An import is being written just now. Nothing was changed here: try again in a minute."


def tried(request: HttpRequest, work: Callable[[], Result]) -> Result | HttpResponseBase:
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
    if not is_part(request):
        raise Http404
    typed = request.GET.get("supervisor_email", "").strip()[:100]
    if len(typed) < 2:
        return render(request, "supervisors.html", {"users": []})
    context = incoming.audit_context(request)
    listed = user_list.page(incoming.agency(request), Wanted(text=typed), at=context.at).users
    return render(request, "supervisors.html", {"users": [u for u in listed if u.status != "Inactive"][:_SUGGESTED]})
