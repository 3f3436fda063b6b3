"""The pages that add and edit a user."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from musterbook.accounts import credentials
from musterbook.core.domain.policy import Operator
from musterbook.directory import models, permissions
from musterbook.directory.agency import groups
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.users import editing, marks, new_users, user_list
from musterbook.directory.users.editing import EditResult
from musterbook.directory.users.filters import UserFilters
from musterbook.http import reauthentication, request_context
from musterbook.web import times
from musterbook.web.field_labels import LABELS
from musterbook.web.permission import get_account, may, needs
from musterbook.web.users import links
from musterbook.web.users.form import NewUserForm, UserForm, describe_problem
from musterbook.web.users.shared import (
    find_delivery,
    find_user,
    format_name,
    redirect_to_user,
    run_or_respond,
)

_SUGGESTED = 10
_ADDED = "added_users"
"""The session key of the users that were added just now: their page says so, and can be loaded again."""
_MOST_ADDED = 20


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
    """Add a user from a form. The next page says that the user was added, and how they sign in."""
    # A user who is added by hand belongs to no source (S9).
    agency = request_context.agency(request)
    hidden = {marks.SOURCE} | _list_hidden_marks(request)
    form = _make_form(request, _list_defaults(request), hidden, _get_posted(request), NewUserForm)
    if not form.is_bound or not form.is_valid():
        risk = marks.find_risk_of_source(agency)
        return _render_form(request, "user_add.html", form, risk=risk and _describe_risk(_("this user"), risk))
    if not reauthentication.is_recent(request):
        return reauthentication.redirect_to_reauth(request)
    result = run_or_respond(request, lambda: editing.add(agency, form.row, request_context.audit_context(request)))
    if not isinstance(result, EditResult):
        return result
    if result.done and result.user:
        return _redirect_to_added(request, result.user, result)
    form.add_errors(result)
    if result.already_exists and result.user:
        taken = _("%(name)s already has this external ID. No one was added or changed.")
        form.add_error("external_id", taken % {"name": format_name(result.user)})
    return _render_form(request, "user_add.html", form, existing_user=result.user if result.already_exists else None)


def _list_defaults(request: HttpRequest) -> dict[str, str]:
    """Return what a new user has if nobody says otherwise."""
    mine = permissions.get_permissions(get_account(request).user.role)
    return new_users.list_defaults(request_context.agency(request), mine)


def _list_hidden_marks(request: HttpRequest) -> set[str]:
    """Return the marks that the signed-in user may not set."""
    return set() if may(request, marks.PERMISSION) else set(marks.OF_IMPORTS)


def _redirect_to_added(request: HttpRequest, user: models.User, result: EditResult) -> HttpResponseBase:
    """Redirect to the page that says how the new user signs in: by an invitation, or by a link that is made now."""
    for note in result.notes:
        messages.info(request, describe_problem(note))
    if user.active and find_delivery(user, "invitation") != "sent" and may(request, credentials.PERMISSION):
        context = request_context.audit_context(request)
        credentials.create_invitation(user, context, credentials.find_operator(user.agency, context.actor))
        links.remember_link(request, user, "invitation")
    request.session[_ADDED] = [*request.session.get(_ADDED, []), user.pk][-_MOST_ADDED:]
    return redirect("user_added", user.pk)


@never_cache
@require_GET
@needs("users.edit")
def added(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Say that the user was added in this session, and how they sign in. Otherwise return to the user."""
    user = find_user(request, pk)
    if pk not in request.session.get(_ADDED, []):
        return redirect_to_user(request, user)
    made = links.find_link(request, user) if may(request, credentials.PERMISSION) else None
    risk = marks.find_risk(user)
    context = {
        "about": user,
        "delivery": find_delivery(user, "invitation"),
        "risk": risk and _describe_risk(format_name(user), risk),
        "sees_users": may(request, "users.view"),
        **(links.describe_link(user, made) if made else {}),
    }
    return render(request, "user_added.html", context)


def _describe_risk(name: str, risk: marks.Risk) -> str:
    """Return when a synchronize import would make the new user Inactive."""
    last = times.format_day(risk.last)
    advice = _("To prevent this, select “Exempt from synchronize” or “Not changed by files”.")
    if not risk.grace_days:
        text = _(
            "The next synchronize import will make %(name)s Inactive if they are missing from its file. The last one was on"
            " %(last)s."
        )
        return f"{text % {'name': name, 'last': last}} {advice}"
    text = ngettext(
        "The next synchronize import will make %(name)s Inactive after %(days)s day if they are missing from its file. The"
        " last one was on %(last)s.",
        "The next synchronize import will make %(name)s Inactive after %(days)s days if they are missing from its file. The"
        " last one was on %(last)s.",
        risk.grace_days,
    )
    return f"{text % {'name': name, 'last': last, 'days': risk.grace_days}} {advice}"


def _get_posted(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _make_form(
    request: HttpRequest,
    now: editing.Row,
    left_out: set[str],
    data: QueryDict | None,
    kind: type[UserForm] = UserForm,
) -> UserForm:
    agency, me = request_context.agency(request), get_account(request).user
    operator = Operator(me.pk, me.external_id, permissions.get_permissions(me.role))
    vocabulary, all_groups = snapshot_queries.read_vocabulary(agency), groups.list_groups(agency)
    suggests = may(request, "users.view")
    return kind(now, vocabulary, all_groups, operator, data, left_out=left_out, suggests=suggests)


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
        messages.info(request, _("Nothing has changed. The user already has these values."))
        return
    fields = ", ".join(str(LABELS[heading]) for heading in LABELS if heading in result.changes)
    messages.success(request, _("Saved: %(fields)s.") % {"fields": fields})
    for note in result.notes:
        messages.info(request, describe_problem(note))


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
