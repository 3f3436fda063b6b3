"""The pages that add a feed, and change its settings section by section."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.agency.feeds import StaleFeed
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.http import request_context
from musterbook.web.agency.settings import find_operator
from musterbook.web.feeds import settings_shown, words
from musterbook.web.feeds.forms import SECTIONS, SectionForm
from musterbook.web.feeds.new_forms import LOCATIONS, NewFeedForm
from musterbook.web.feeds.pages import PERMISSION, for_configurers, list_lacking
from musterbook.web.permission import get_account, needs, refuse


@needs(PERMISSION)
def choose_kind(request: HttpRequest) -> HttpResponseBase:
    """Ask where the files of a new feed come from."""
    lacking = list_lacking(request)
    if lacking:
        return refuse(request, *lacking)
    kinds = [(kind, words.KINDS[kind], words.KINDS_EXPLAINED[kind]) for kind in words.KINDS]
    return render(request, "feed_add.html", {"kinds": kinds})


@needs(PERMISSION)
def add(request: HttpRequest, kind: str) -> HttpResponseBase:
    """Add a feed with files from this kind of location."""
    if kind not in LOCATIONS:
        raise Http404
    lacking = list_lacking(request)
    if lacking:
        return refuse(request, *lacking)
    me = get_account(request).user.external_id
    form = NewFeedForm(kind, request.POST if request.method == "POST" else None, me=me)
    if form.is_bound and form.is_valid():
        agency, context = request_context.agency(request), request_context.audit_context(request)
        try:
            feed = feeds.add(agency, form.read_values(), context, find_operator(request))
        except InvalidValue as unfit:
            form.place_errors(unfit)
        else:
            messages.success(request, _("The feed %(name)s was added.") % {"name": feed.name})
            return redirect("feed", feed.name)
    shown = {"form": form, "kind": words.KINDS[kind], "about": words.KINDS_EXPLAINED[kind]}
    return render(request, "feed_add_kind.html", shown, status=422 if form.errors else 200)


@for_configurers
def change(request: HttpRequest, feed: models.Feed, section: str) -> HttpResponseBase:
    """Change one section of the settings of a feed."""
    if section not in settings_shown.TITLES:
        raise Http404
    form = _make_form(request, feed, section)
    if form.is_bound and form.is_valid() and _save(request, feed, form):
        text = _("The settings were saved.")
        if feeds.is_new(feed):
            text = _("The settings were saved. The next file waits for you before it changes anything.")
        messages.success(request, text)
        return redirect("feed", feed.name)
    context = {
        "feed": feed,
        "form": form,
        "section": section,
        "title": settings_shown.TITLES[section],
        "kinds": [(kind, label) for kind, label in words.KINDS.items() if kind != getattr(form, "kind", "")],
    }
    return render(request, "feed_change.html", context, status=422 if form.errors else 200)


def _make_form(request: HttpRequest, feed: models.Feed, section: str) -> SectionForm:
    """Return the form of the section. The address can ask for another kind of location."""
    sent = request.POST if request.method == "POST" else None
    if section != "location":
        return SECTIONS[section](feed, sent)
    kind = request.GET.get("kind") or feed.location.get("kind", "")
    if kind not in LOCATIONS:
        raise Http404
    return LOCATIONS[kind](feed, sent)


def _save(request: HttpRequest, feed: models.Feed, form: SectionForm) -> bool:
    context, by = request_context.audit_context(request), find_operator(request)
    try:
        feeds.change(feed, form.read_values(), form.cleaned_data["shown"], context, by)
    except InvalidValue as unfit:
        form.place_errors(unfit)
    except StaleFeed:
        text = _("Someone else changed this feed while you were editing. Nothing was saved. Check it again.")
        form.add_error(None, text)
    else:
        return True
    return False
