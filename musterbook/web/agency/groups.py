"""Groups: pages of their members and their monitors."""

from contextlib import suppress
from functools import partial

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from musterbook.directory import models
from musterbook.directory.agency import groups, vocabularies
from musterbook.directory.agency.vocabularies import InvalidValue, UnknownEntry
from musterbook.directory.users import editing
from musterbook.http import request_context
from musterbook.web import parsers
from musterbook.web.agency import deletion
from musterbook.web.permission import may, needs

_MOST_GROUPS = 200
_MOST_MEMBERS = 50


class NewGroupForm(forms.Form):
    """The external ID and the name of a group."""

    external_id = forms.CharField(
        label=gettext_lazy("External ID"),
        max_length=255,
        help_text=gettext_lazy("Files use it in the column EVIDENCE_GROUP_EXT_ID."),
    )
    name = forms.CharField(label=gettext_lazy("Name"), max_length=255, required=False)


class GroupForm(NewGroupForm):
    """The fields of an existing group, including whether it is active."""

    parent = forms.CharField(
        label=gettext_lazy("Part of the group"),
        max_length=255,
        required=False,
        help_text=gettext_lazy("The external ID of another group, or blank."),
    )
    active = forms.BooleanField(
        label=gettext_lazy("Active: files can add users to it"),
        required=False,
        help_text=gettext_lazy("If you clear this, members stay in the group, but files cannot add others."),
    )


@needs("users.view")
def listed(request: HttpRequest) -> HttpResponseBase:
    """List the groups that match a text, with the number of users in each."""
    agency, text = request_context.agency(request), request.GET.get("q", "").replace("\0", "").strip()
    matches = groups.search_groups(agency, text, _MOST_GROUPS + 1)
    context = {
        "groups": matches[:_MOST_GROUPS],
        "is_more": len(matches) > _MOST_GROUPS,
        "most": _MOST_GROUPS,
        "q": text,
        "may_change": may(request, "groups.manage"),
    }
    return render(request, "groups.html", context)


@needs("groups.manage")
def add(request: HttpRequest) -> HttpResponseBase:
    """Add a group."""
    form = NewGroupForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            added = groups.add(
                request_context.agency(request), **form.cleaned_data, context=request_context.audit_context(request)
            )
        except InvalidValue as unfit:
            form.add_error(unfit.field, unfit.sentence)
        else:
            messages.success(request, _("The group %(name)s was added.") % {"name": added.name})
            return redirect("group", added.pk)
    return render(request, "group_edit.html", {"form": form}, status=422 if form.is_bound else 200)


def _find_group(request: HttpRequest, pk: int) -> models.Group:
    try:
        return vocabularies.find_entry(models.Group, request_context.agency(request), pk)
    except UnknownEntry:
        raise Http404 from None


@needs("users.view")
def one(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show one group: its first members, and its monitors."""
    group = _find_group(request, pk)
    context = {
        "group": group,
        "members": groups.list_members(group, _MOST_MEMBERS),
        "number": vocabularies.count_entry_users(group.agency, "group", group.pk),
        "most": _MOST_MEMBERS,
        "parts": groups.list_groups_in(group),
        "monitors": groups.list_monitors(group),
        "monitor_groups": groups.list_monitor_groups(group),
        "may_change": may(request, "groups.manage"),
    }
    return render(request, "group.html", context)


@needs("groups.manage")
def edit(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Edit one group."""
    group = _find_group(request, pk)
    parent = group.parent.external_id if group.parent else ""
    initial = {"external_id": group.external_id, "name": group.name, "active": group.active, "parent": parent}
    form = GroupForm(request.POST or None, initial=initial)
    if form.is_bound and form.is_valid():
        try:
            groups.change(group, **form.cleaned_data, context=request_context.audit_context(request))
        except InvalidValue as unfit:
            form.add_error(unfit.field, unfit.sentence)
        else:
            messages.success(request, _("The group was saved."))
            return redirect("group", pk)
    return render(request, "group_edit.html", {"form": form, "group": group}, status=422 if form.is_bound else 200)


@needs("groups.manage")
def delete(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask for confirmation, or show how many users are still in the group. Delete it on POST."""
    group = _find_group(request, pk)
    if request.method == "POST":
        return deletion.delete_entry(
            request, group, "group", partial(groups.delete, group, request_context.audit_context(request))
        )
    return deletion.ask_confirmation(request, group, "group")


@require_POST
@needs("groups.manage")
def monitor(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Add a user or a group as a monitor, by email address or external ID, or remove one."""
    group = _find_group(request, pk)
    removed = parsers.parse_number(request.POST.get("remove", ""))
    removed_group = parsers.parse_number(request.POST.get("remove_group", ""))
    if removed_group is not None:
        _remove_monitor_group(request, group, removed_group)
    elif removed is None:
        _add_monitor(request, group, request.POST.get("who", "").replace("\0", "").strip())
    else:
        _remove_monitor(request, group, removed)
    # The part of the page where the form is gets the focus.
    return redirect(f"{reverse('group', args=[pk])}#monitors")


def _add_monitor(request: HttpRequest, group: models.Group, name: str) -> None:
    try:
        user = editing.find_named(group.agency, name)
    except editing.UnknownUser:
        other = groups.find_by_id(group.agency, name)
        if other is not None:
            _add_monitor_group(request, group, other)
            return
        text = _("No user or group has the email address or external ID “%(text)s”. Nothing has changed.")
        messages.error(request, text % {"text": name})
        return
    if groups.add_monitor(group, user, request_context.audit_context(request)):
        messages.success(request, _("%(name)s now monitors this group.") % _get_name(user))
    else:
        messages.info(request, _("%(name)s already monitors this group.") % _get_name(user))


def _add_monitor_group(request: HttpRequest, group: models.Group, other: models.Group) -> None:
    if groups.add_monitor_group(group, other, request_context.audit_context(request)):
        messages.success(request, _("Every member of %(name)s now monitors this group.") % {"name": other.name})
    else:
        messages.info(request, _("Every member of %(name)s already monitors this group.") % {"name": other.name})


def _remove_monitor_group(request: HttpRequest, group: models.Group, number: int) -> None:
    with suppress(UnknownEntry):
        other = vocabularies.find_entry(models.Group, group.agency, number)
        if groups.remove_monitor_group(group, other, request_context.audit_context(request)):
            messages.success(request, _("The group %(name)s no longer monitors this group.") % {"name": other.name})


def _get_name(user: models.User) -> dict[str, str]:
    return {"name": f"{user.first_name} {user.last_name}"}


def _remove_monitor(request: HttpRequest, group: models.Group, number: int) -> None:
    with suppress(editing.UnknownUser):
        user = editing.find_user(group.agency, number)
        if groups.remove_monitor(group, user, request_context.audit_context(request)):
            messages.success(request, _("%(name)s no longer monitors this group.") % _get_name(user))
