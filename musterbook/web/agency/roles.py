"""Roles: a table of their permissions, and a page for each role."""

from functools import partial
from typing import Any

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.core.domain.policy import Operator
from musterbook.directory import models, permissions
from musterbook.directory.agency import roles, vocabularies
from musterbook.directory.agency.roles import RoleInput
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed, UnknownEntry
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.permissions import PERMISSIONS
from musterbook.http import request_context
from musterbook.web.agency import deletion
from musterbook.web.permission import get_account, may, needs


class RoleForm(forms.Form):
    """The name and the permissions of a role."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=255)
    permissions = forms.MultipleChoiceField(
        label=gettext_lazy("Users with this role can"),
        choices=list(PERMISSIONS.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    second_factor = forms.BooleanField(label=gettext_lazy("Must sign in with a second factor"), required=False)

    def __init__(self, *args: Any, fixed: bool = False, **more: Any) -> None:
        """Build the fields. `fixed` means that only the second factor can be chosen."""
        super().__init__(*args, **more)
        for name in ("name", "permissions") if fixed else ():
            del self.fields[name]

    def read_values(self) -> RoleInput:
        """Return the values that were chosen."""
        data = self.cleaned_data
        return RoleInput(data.get("name", ""), frozenset(data.get("permissions", ())), data["second_factor"])


@needs("roles.manage")
def listed(request: HttpRequest) -> HttpResponseBase:
    """List all roles with the number of their users and their permissions."""
    agency = request_context.agency(request)
    rows = [(role, permissions.get_permissions(role)) for role in roles.list_roles(agency)]
    users = vocabularies.count_users(agency, "role", [role.pk for role, _granted in rows])
    table = [(label, [name in granted for _role, granted in rows]) for name, label in PERMISSIONS.items()]
    context = {
        "roles": [(role, users.get(role.pk, 0)) for role, _granted in rows],
        "table": table,
        "sees_users": may(request, "users.view"),
    }
    return render(request, "roles.html", context)


@needs("roles.manage")
def add(request: HttpRequest) -> HttpResponseBase:
    """Add a role."""
    if request.method == "POST":
        answer: HttpResponseBase = _save(request, RoleForm(request.POST), None)
        return answer
    return _render_page(request, RoleForm(), None)


@needs("roles.manage")
def one(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Edit one role."""
    role = _find_role(request, pk)
    if request.method == "POST":
        answer: HttpResponseBase = _save(request, RoleForm(request.POST, fixed=role.administrator), role)
        return answer
    initial = {"name": role.name, "permissions": role.permissions, "second_factor": role.second_factor}
    return _render_page(request, RoleForm(initial=initial, fixed=role.administrator), role)


def _find_role(request: HttpRequest, pk: int) -> models.Role:
    try:
        return vocabularies.find_entry(models.Role, request_context.agency(request), pk)
    except UnknownEntry:
        raise Http404 from None


def _find_operator(request: HttpRequest) -> Operator:
    return snapshot_queries.read_operator(request_context.agency(request), get_account(request).user.external_id)


@reauthentication_required
def _save(request: HttpRequest, form: RoleForm, role: models.Role | None) -> HttpResponseBase:
    agency, context, by = (
        request_context.agency(request),
        request_context.audit_context(request),
        _find_operator(request),
    )
    if form.is_valid():
        try:
            if role:
                roles.change(role, form.read_values(), context, by)
            else:
                role = roles.add(agency, form.read_values(), context, by)
        except InvalidValue as unfit:
            form.add_error(unfit.field, unfit.sentence)
        except NotAllowed as refused:
            form.add_error("permissions" if "permissions" in form.fields else None, str(refused))
        else:
            messages.success(request, _("The role %(name)s was saved.") % {"name": role.name})
            return redirect("roles")
    return _render_page(request, form, role)


def _render_page(request: HttpRequest, form: RoleForm, role: models.Role | None) -> HttpResponseBase:
    users = vocabularies.count_entry_users(role.agency, "role", role.pk) if role else 0
    context = {"form": form, "role": role, "users": users, "sees_users": may(request, "users.view")}
    return render(request, "role.html", context, status=422 if form.is_bound else 200)


@needs("roles.manage")
def delete(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask for confirmation, or show how many users still have the role. Delete it on POST."""
    role = _find_role(request, pk)
    if request.method == "POST":
        answer: HttpResponseBase = _delete(request, role)
        return answer
    return deletion.ask_confirmation(request, role, "role")


@reauthentication_required
def _delete(request: HttpRequest, role: models.Role) -> HttpResponseBase:
    return deletion.delete_entry(
        request,
        role,
        "role",
        partial(roles.delete, role, request_context.audit_context(request), _find_operator(request)),
    )
