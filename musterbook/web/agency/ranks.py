"""Ranks: pages that list, edit, order, and delete them."""

from functools import partial
from typing import Literal

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from musterbook.directory import models
from musterbook.directory.agency import ranks, vocabularies
from musterbook.directory.agency.vocabularies import InvalidValue, UnknownEntry
from musterbook.http import request_context
from musterbook.web.agency import deletion
from musterbook.web.permission import needs


class RankForm(forms.Form):
    """The name and the abbreviation of a rank."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=255)
    abbreviation = forms.CharField(
        label=gettext_lazy("Abbreviation"),
        max_length=255,
        required=False,
        help_text=gettext_lazy("Files can use it instead of the name."),
    )


@needs("ranks.manage")
def listed(request: HttpRequest) -> HttpResponseBase:
    """List all ranks, the highest first, with a form that adds another."""
    form = RankForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            added = ranks.add(
                request_context.agency(request), **form.cleaned_data, context=request_context.audit_context(request)
            )
        except InvalidValue as unfit:
            form.add_error(unfit.field, unfit.sentence)
        else:
            messages.success(request, _("The rank %(name)s was added at the end of the list.") % {"name": added.name})
            return redirect("ranks")
    context = {"ranks": ranks.list_ranks(request_context.agency(request)), "form": form}
    return render(request, "ranks.html", context, status=422 if form.is_bound else 200)


def _find_rank(request: HttpRequest, pk: int) -> models.Rank:
    try:
        return vocabularies.find_entry(models.Rank, request_context.agency(request), pk)
    except UnknownEntry:
        raise Http404 from None


@needs("ranks.manage")
def one(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Edit one rank."""
    rank = _find_rank(request, pk)
    form = RankForm(request.POST or None, initial={"name": rank.name, "abbreviation": rank.abbreviation})
    if form.is_bound and form.is_valid():
        try:
            ranks.change(rank, **form.cleaned_data, context=request_context.audit_context(request))
        except InvalidValue as unfit:
            form.add_error(unfit.field, unfit.sentence)
        else:
            messages.success(request, _("The rank %(name)s was saved.") % {"name": form.cleaned_data["name"]})
            return redirect("ranks")
    return render(request, "rank.html", {"form": form, "rank": rank}, status=422 if form.is_bound else 200)


@require_POST
@needs("ranks.manage")
def move(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Move a rank up or down by one. The button that was pressed keeps the focus, so that it can be pressed again.

    At an end of the list, the other button of the rank gets it.
    """
    rank = _find_rank(request, pk)
    way: Literal["up", "down"] = "up" if request.POST.get("way") == "up" else "down"
    ranks.move(rank, way, request_context.audit_context(request))
    order = [one.pk for one, _users in ranks.list_ranks(rank.agency)]
    at_end = order[0 if way == "up" else -1] == pk
    button = {"up": "down", "down": "up"}[way] if at_end else way
    return redirect(f"{reverse('ranks')}#{button}-{pk}")


@needs("ranks.manage")
def delete(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask for confirmation, or show how many users still have the rank. Delete it on POST."""
    rank = _find_rank(request, pk)
    if request.method == "POST":
        return deletion.delete_entry(
            request, rank, "rank", partial(ranks.delete, rank, request_context.audit_context(request))
        )
    return deletion.ask_confirmation(request, rank, "rank")
