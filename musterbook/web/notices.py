"""Notices: the page that lists them, the number in the header, and the choice of those that come by email."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from musterbook.directory import models
from musterbook.directory.agency import webhook_problems
from musterbook.directory.imports import import_log, notice_facts, notice_recipients, notices
from musterbook.directory.imports.import_log import LoggedImport
from musterbook.directory.models import NoticeKind
from musterbook.web import parsers, times
from musterbook.web.imports import log
from musterbook.web.permission import get_account, require_sign_in

TITLES = {
    NoticeKind.HELD: gettext_lazy("Import on hold"),
    NoticeKind.FAILED: gettext_lazy("Import failed"),
    NoticeKind.PROBLEMS: gettext_lazy("Import applied with problems"),
    NoticeKind.FINISHED: gettext_lazy("Import applied"),
    NoticeKind.FIRST: gettext_lazy("First file of a feed"),
    NoticeKind.LATE: gettext_lazy("Feed late"),
    NoticeKind.UNREACHABLE: gettext_lazy("Location of a feed unreachable"),
    NoticeKind.STOPPED: gettext_lazy("Feed stopped"),
    NoticeKind.WEBHOOK: gettext_lazy("Webhook disabled"),
}
EMAIL_LABELS = {
    NoticeKind.HELD: gettext_lazy(
        "An import is on hold, or the first file of a feed waits, until somebody confirms it"
    ),
    NoticeKind.FAILED: gettext_lazy("An import failed, or its file could not be used"),
    NoticeKind.LATE: gettext_lazy(
        "The file of a feed is late, its location cannot be reached, or the feed has stopped; or a webhook was disabled"
    ),
    NoticeKind.PROBLEMS: gettext_lazy("An import was applied, and rows with problems were skipped"),
    NoticeKind.FINISHED: gettext_lazy("A file of a feed was imported, even if there is nothing to do"),
}
"""The notices that can come by email, each with its label (`notice_recipients.CHOICES`)."""


@require_GET
@require_sign_in
def listed(request: HttpRequest) -> HttpResponseBase:
    """List the notices of the signed-in user, the latest first."""
    user = get_account(request).user
    before = parsers.parse_number(request.GET.get("before", "")) or 0
    page = notices.read_page(user, before)
    records = [notice.of for notice in page.notices if notice.of]
    entries = {entry.number: entry for entry in import_log.make_entries(user.agency, records)}
    context = {
        "page": page,
        "notices": [_describe(notice, entries, page.read_to) for notice in page.notices],
        "may_get": bool(notice_recipients.list_visible(user.role)),
    }
    return render(request, "notices.html", context)


def _describe(notice: models.Notice, entries: dict[str, LoggedImport], read_to: int) -> dict[str, Any]:
    record, feed = notice.of, notices.get_feed(notice)
    settled = notice.kind in notices.WAITING and record is not None and bool(record.ended)
    of_import = log.describe(entries[record.number]) if record else {}
    return of_import | {
        "kind": notice.kind,
        "heading": TITLES[NoticeKind(notice.kind)],
        "at": notice.at,
        "is_new": notice.pk > read_to and not settled,
        "feed": feed.name if feed else "",
        "webhook": notice.facts.get("webhook", ""),
        "says": "" if record else _say(notice),
    }


def _say(notice: models.Notice) -> str:
    """Return the sentence of a notice about a feed or a webhook."""
    facts = notice.facts
    if notice.kind == NoticeKind.LATE:
        return _("No file has arrived. One was expected by %(at)s.") % {"at": _format(facts, "expected_by", notice.at)}
    if notice.kind == NoticeKind.UNREACHABLE:
        since = _format(facts, "since", notice.at)
        return _("It has not been reachable since %(at)s: %(problem)s") % {"at": since, "problem": facts.get("problem")}
    problem = str(facts.get("problem") or "")
    return webhook_problems.translate_problem(problem) if notice.kind == NoticeKind.WEBHOOK else problem


def _format(facts: dict[str, Any], name: str, otherwise: datetime) -> str:
    return times.format_time(notice_facts.read_time(facts, name) or otherwise, timezone.get_current_timezone())


@require_POST
@require_sign_in
def read(request: HttpRequest) -> HttpResponseBase:
    """Mark the notices up to the latest one on the page as read."""
    notices.mark_read(get_account(request).user, parsers.parse_number(request.POST.get("to", "")) or 0)
    return redirect("notices")


class EmailForm(forms.Form):
    """The notices that come by email."""

    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Email me when"), choices=list(EMAIL_LABELS.items()), required=False,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip


@require_sign_in
def emails(request: HttpRequest) -> HttpResponseBase:
    """Choose the notices that come by email."""
    user = get_account(request).user
    initial = {"kinds": notices.list_emails(user)}
    form = EmailForm(request.POST) if request.method == "POST" else EmailForm(initial=initial)
    if form.is_bound and form.is_valid():
        notices.choose_emails(user, form.cleaned_data["kinds"])
        messages.success(request, _("Your choice of emails is saved."))
        return redirect("notice_emails")
    context = {
        "form": form,
        "may_get": bool(notice_recipients.list_visible(user.role)),
        "agency_sends": user.agency.sends_mail,
    }
    return render(request, "notice_emails.html", context, status=422 if form.is_bound else 200)
