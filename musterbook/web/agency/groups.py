"""Groups: pages of their members and their monitors."""

from functools import partial

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.agency import groups
from musterbook.directory.agency.vocabularies import Unfit
from musterbook.http import incoming
from musterbook.web import asked
from musterbook.web.agency import deletion
from musterbook.web.permission import may, needs

_LISTED = 200
_MEMBERS = 50


class NewGroup(forms.Form):
    """The external id and the name of a group."""

    external_id = forms.CharField(
        label="External id", max_length=255, help_text="What files call it, in the column EVIDENCE_GROUP_EXT_ID."
    )
    name = forms.CharField(label="Name", max_length=255, required=False)


class GroupForm(NewGroup):
    """The fields of an existing group, including whether it is active."""

    active = forms.BooleanField(
        label="Active: files may put users into it", required=False,
        help_text="Who is in a group that is no longer active stays in it.",
    )  # fmt: skip


@needs("users.view")
def listed(request: HttpRequest) -> HttpResponseBase:
    """List the groups that match a text, with the number of users in each."""
    agency, text = incoming.agency(request), request.GET.get("q", "").replace("\0", "").strip()
    found = models.Group.objects.filter(agency=agency).order_by("name", "pk")
    if text:
        found = found.filter(Q(name__icontains=text) | Q(external_id__icontains=text))
    shown = list(found[: _LISTED + 1])
    members = models.User.objects.filter(agency=agency, group__in=[group.pk for group in shown])
    counts = dict(members.values_list("group").annotate(n=Count("id")).order_by())
    about = {
        "groups": [(group, counts.get(group.pk, 0)) for group in shown[:_LISTED]],
        "is_more": len(shown) > _LISTED,
        "most": _LISTED,
        "q": text,
        "may_change": may(request, "groups.manage"),
    }
    return render(request, "groups.html", about)


@needs("groups.manage")
def add(request: HttpRequest) -> HttpResponseBase:
    """Add a group."""
    form = NewGroup(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            added = groups.add(incoming.agency(request), **form.cleaned_data, act=incoming.act(request))
        except Unfit as unfit:
            form.add_error(unfit.field, unfit.sentence)
        else:
            messages.success(request, f"The group {added.name} is added.")
            return redirect("group", added.pk)
    return render(request, "group_edit.html", {"form": form}, status=422 if form.is_bound else 200)


def _group(request: HttpRequest, pk: int) -> models.Group:
    found: models.Group = get_object_or_404(models.Group, agency=incoming.agency(request), pk=pk)
    return found


@needs("users.view")
def one(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show one group: its first members, and its monitors."""
    group = _group(request, pk)
    members = models.User.objects.filter(agency=group.agency, group=group)
    about = {
        "group": group,
        "members": members.select_related("role", "rank").order_by("name_key", "pk")[:_MEMBERS],
        "number": members.count(),
        "most": _MEMBERS,
        "monitors": models.User.objects.filter(
            pk__in=models.Monitor.objects.filter(group=group).values("user")
        ).order_by("name_key", "pk"),
        "may_change": may(request, "groups.manage"),
    }
    return render(request, "group.html", about)


@needs("groups.manage")
def edit(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Edit one group."""
    group = _group(request, pk)
    told = {"external_id": group.external_id, "name": group.name, "active": group.active}
    form = GroupForm(request.POST or None, initial=told)
    if form.is_bound and form.is_valid():
        try:
            groups.change(group, **form.cleaned_data, act=incoming.act(request))
        except Unfit as unfit:
            form.add_error(unfit.field, unfit.sentence)
        else:
            messages.success(request, "The group is saved.")
            return redirect("group", pk)
    return render(request, "group_edit.html", {"form": form, "group": group}, status=422 if form.is_bound else 200)


@needs("groups.manage")
def delete(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask for confirmation, or show how many users are still in the group. Delete it on POST."""
    group = _group(request, pk)
    if request.method == "POST":
        return deletion.done(request, group, "group", partial(groups.delete, group, incoming.act(request)))
    return deletion.ask(request, group, "group")


@require_POST
@needs("groups.manage")
def monitor(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Add a monitor by e-mail address or external id, or remove one."""
    group = _group(request, pk)
    users = models.User.objects.filter(agency=group.agency)
    removed = asked.number(request.POST.get("remove", ""))
    if removed is not None:
        user = users.filter(pk=removed).first()
        if user and groups.remove_monitor(group, user, incoming.act(request)):
            messages.success(request, f"{user.first_name} {user.last_name} monitors this group no longer.")
        return redirect("group", pk)
    named = request.POST.get("who", "").replace("\0", "").strip()
    user = users.filter(email_key=fold(named)).first() or users.filter(external_id=named).first()
    if user is None:
        messages.error(request, f"Nobody has the e-mail address or external id “{named}”. Nothing was changed.")
    elif groups.add_monitor(group, user, incoming.act(request)):
        messages.success(request, f"{user.first_name} {user.last_name} monitors this group.")
    else:
        messages.info(request, f"{user.first_name} {user.last_name} monitors this group already.")
    return redirect("group", pk)
