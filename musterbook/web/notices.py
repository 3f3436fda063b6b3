"""Notices: the page that lists them, the number in the header, and the choice of those that come by email."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from musterbook.directory import models
from musterbook.directory.imports import import_log, notices
from musterbook.directory.models import NoticeKind
from musterbook.web import parsers
from musterbook.web.imports import log
from musterbook.web.permission import get_account, require_sign_in

TITLES = {
    NoticeKind.HELD: gettext_lazy("Import on hold"),
    NoticeKind.FAILED: gettext_lazy("Import failed"),
    NoticeKind.PROBLEMS: gettext_lazy("Import applied with problems"),
}
EMAIL_LABELS = {
    NoticeKind.HELD: gettext_lazy("An import is on hold until somebody confirms it"),
    NoticeKind.FAILED: gettext_lazy("An import failed, or its file could not be used"),
    NoticeKind.PROBLEMS: gettext_lazy("An import was applied, and rows with problems were skipped"),
}
"""The notices that can come by email: every kind, each with its label."""


@require_GET
@require_sign_in
def listed(request: HttpRequest) -> HttpResponseBase:
    """List the notices of the signed-in user, the latest first."""
    user = get_account(request).user
    before = parsers.parse_number(request.GET.get("before", "")) or 0
    page = notices.read_page(user, before)
    entries = import_log.make_entries(user.agency, [notice.of for notice in page.notices])
    context = {
        "page": page,
        "notices": [
            _describe(notice, log.describe(entry), page.read_to)
            for notice, entry in zip(page.notices, entries, strict=True)
        ],
        "may_get": bool(notices.list_visible(user.role)),
    }
    return render(request, "notices.html", context)


def _describe(notice: models.Notice, one: dict[str, Any], read_to: int) -> dict[str, Any]:
    settled = notice.kind == NoticeKind.HELD and bool(notice.of.ended)
    return one | {
        "kind": notice.kind,
        "heading": TITLES[NoticeKind(notice.kind)],
        "at": notice.at,
        "is_new": notice.pk > read_to and not settled,
    }


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
        "may_get": bool(notices.list_visible(user.role)),
        "agency_sends": user.agency.sends_mail,
    }
    return render(request, "notice_emails.html", context, status=422 if form.is_bound else 200)
