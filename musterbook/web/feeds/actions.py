"""What can be done with a feed: run now, check, pause, resume and remove."""

from datetime import UTC, datetime

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.feeds import asking, rounds
from musterbook.http import request_context
from musterbook.web.agency.settings import find_operator
from musterbook.web.feeds import report_words
from musterbook.web.feeds.pages import for_configurers, for_runners, list_lacking, render_feed


class PauseForm(forms.Form):
    """Why a feed is paused."""

    why = forms.CharField(
        label=gettext_lazy("Why"), max_length=255,
        help_text=gettext_lazy("Everyone who can see the feed sees this, such as “New HR system from 1 March”."),
        error_messages={"required": gettext_lazy("Enter why you pause the feed.")},
        widget=forms.TextInput({"autocomplete": "off"}),
    )  # fmt: skip


@require_POST
@for_runners
def run(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Have the feed look for files at once."""
    try:
        feeds.request_check(feed, request_context.audit_context(request), find_operator(request))
    except InvalidValue as unfit:
        messages.error(request, unfit.sentence)
    else:
        messages.success(request, _("The feed looks for files now."))
    return redirect("feed", feed.name)


@require_POST
@for_runners
def check(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Try the location, and show what would be taken. Nothing is taken."""
    with asking.take_turn(feed.agency) as may_ask:
        if not may_ask:
            messages.error(request, asking.BUSY)
            return redirect("feed", feed.name)
        report = rounds.preview_check(feed, lambda: datetime.now(UTC))
    return render_feed(request, feed, **report_words.describe(report))


@for_runners
def pause(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Ask why, or pause the feed."""
    form = PauseForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        context = request_context.audit_context(request)
        try:
            feeds.pause(feed, form.cleaned_data["why"], context, find_operator(request))
        except InvalidValue as unfit:
            form.add_error("why", unfit.sentence)
        else:
            messages.success(request, _("The feed %(name)s is paused.") % {"name": feed.name})
            return redirect("feed", feed.name)
    return render(request, "feed_pause.html", {"feed": feed, "form": form}, status=422 if form.errors else 200)


@require_POST
@for_runners
def resume(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Resume the feed. One whose server has another host key would stop again, so it leads to the key."""
    if feed.stopped and feed.location.get("kind") == "sftp":
        if list_lacking(request):
            messages.error(request, _("A user with every permission must accept the host key of the server first."))
            return redirect("feed", feed.name)
        return redirect("feed_host_key", feed.name)
    feeds.resume(feed, request_context.audit_context(request), find_operator(request))
    messages.success(request, _("The feed %(name)s runs again.") % {"name": feed.name})
    return redirect("feed", feed.name)


@for_configurers
def remove(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Ask for confirmation, or remove the feed."""
    if request.method == "POST":
        feeds.remove(feed, request_context.audit_context(request), find_operator(request))
        text = _("The feed %(name)s was removed. Its imports stay in the import history.")
        messages.success(request, text % {"name": feed.name})
        return redirect("feeds")
    return render(request, "feed_remove.html", {"feed": feed})
