"""What a user keeps of All Users: the columns, the density, the size of a page, and saved filters."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.directory import models
from musterbook.directory.users import list_views
from musterbook.directory.users.list_views import NotSaved, UnknownFilter
from musterbook.http import request_context
from musterbook.web import parsers
from musterbook.web.permission import get_account, needs
from musterbook.web.users import list_address
from musterbook.web.users.search import SearchForm


@needs("users.view")
def view(request: HttpRequest) -> HttpResponseBase:
    """Save the columns, the density, and the size of a page, and return to the list."""
    if request.method == "POST":
        user = get_account(request).user
        if "reset" in request.POST:
            list_views.reset_view(user)
        else:
            size = parsers.parse_number(request.POST.get("size", ""), max(list_views.SIZES)) or 0
            is_compact = request.POST.get("compact") == "1"
            list_views.save_view(user, request.POST.getlist("column"), compact=is_compact, size=size)
        messages.success(request, _("Your view of the list is saved."))
    return redirect(_make_list_address(request.POST.get("here", "")))


def _make_list_address(query: str) -> str:
    """Return the address of the list with this search. Everything else in the query is dropped."""
    copied = list_address.copy_query(QueryDict(query)).urlencode()
    return f"{reverse('all_users')}?{copied}" if copied else reverse("all_users")


class SaveForm(forms.Form):
    """The name of a filter to save, and the search in it."""

    name = forms.CharField(
        label=gettext_lazy("Name of the filter"),
        error_messages={"required": gettext_lazy("Enter a name for the filter.")},
    )
    query = forms.CharField(widget=forms.HiddenInput, required=False)


@needs("users.view")
def saved_filters(request: HttpRequest) -> HttpResponseBase:
    """Show the filters that the user has saved, and save another: that of the search in the address."""
    user = get_account(request).user
    query = _clean_query(request.POST.get("query", "") if request.method == "POST" else request.GET.urlencode())
    form = SaveForm({"name": request.POST.get("name", ""), "query": query} if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            one = list_views.save_filter(user, form.cleaned_data["name"], query)
        except NotSaved as reason:
            form.add_error("name", str(reason))
        else:
            messages.success(request, _("The filter “%(name)s” is saved.") % {"name": one.name})
            return redirect(f"{reverse('all_users')}?{one.query}")
    if not form.is_bound:
        form = SaveForm(initial={"query": query})
    agency = request_context.agency(request)
    context: dict[str, Any] = {
        "form": form,
        "query": query,
        "about": _describe_search(agency, query),
        "saved": [(one, _describe_search(agency, one.query)) for one in list_views.list_filters(user)],
        "most": list_views.MOST_FILTERS,
    }
    return render(request, "saved_filters.html", context, status=422 if form.is_bound else 200)


def _clean_query(query: str) -> str:
    """Return the search and its order, without everything else that an address may have."""
    sent = QueryDict(query)
    search = list_address.copy_search(sent)
    if search:
        search.update({name: str(sent[name]) for name in list_address.ORDER if sent.get(name)})
    return search.urlencode()


def _describe_search(agency: models.Agency, query: str) -> list[tuple[str, str]]:
    """Return what the search asks for: labels and values."""
    sent = QueryDict(query)
    form = SearchForm(agency, sent)
    form.is_valid()
    text, status = sent.get("q", ""), sent.get("status", "")
    words = [(_("Search"), text)] if text else []
    states = [(_("Status"), str(form.label_status(status)))] if status and "status" not in form.errors else []
    return [*words, *states, *((label, value) for _name, label, value in form.chips())]


@needs("users.view")
def delete_filter(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Delete a filter that the user has saved."""
    user = get_account(request).user
    try:
        one = list_views.find_filter(user, pk) if request.method != "POST" else list_views.delete_filter(user, pk)
    except UnknownFilter:
        raise Http404 from None
    if request.method == "POST":
        messages.success(request, _("The filter “%(name)s” is deleted.") % {"name": one.name})
    return redirect("saved_filters")
