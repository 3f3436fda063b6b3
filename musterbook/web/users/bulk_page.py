"""The page of a bulk action: its progress, or the users that it changes or leaves out, and what can be done about it."""

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRefresh

from musterbook.core.domain.labels import CHANNELS, count_emails, format_state_title
from musterbook.directory import models
from musterbook.directory.imports import bulk, history, undo
from musterbook.directory.imports.bulk import BulkChange
from musterbook.http import request_context
from musterbook.web.imports import page
from musterbook.web.imports.forms import ConfirmForm
from musterbook.web.permission import get_account, may

_TILE_SENTENCES = {
    "errored": "These users are left out, each for the reason given. The others do not wait for them.",
    "updated": "These users change.",
    "unchanged": "These users are so already.",
    "noted": "These users change, or stay, with a note. A note informs and stops nothing.",
    "mailed": page.MAILED_SENTENCE,
}
_MAILS = {
    "invite": "Each of these users gets a new invitation; earlier ones no longer work then.",
    "reset": "Each of these users gets a link to choose a new password. Until then the old one works.",
}
_MAILED = {"invite": "a new invitation", "reset": "a link to choose a new password"}
_WILL = {
    "deactivate": "This deactivates", "reactivate": "This reactivates", "invite": "This sends a new invitation to",
    "reset": "This sends a link to choose a new password to",
}  # fmt: skip


def render_change(
    request: HttpRequest, record: models.Import, change: BulkChange, form: ConfirmForm | None = None
) -> HttpResponseBase:
    """Return the page; with an invalid form, as 422."""
    history.refresh_record(record)
    context: dict[str, Any] = {
        "title": format_state_title(record.state),
        "change": change,
        "mails": _MAILED.get(change.act, ""),
    }
    context["reason"] = bulk.get_reason(record, change)
    if record.state in {"waiting", "running"}:
        context["in_history"] = may(request, "users.import")
        return page.render_progress(request, record, "bulk_running.html", context)
    if request_context.is_part(request) and "progress" in request.GET:
        return HttpResponseClientRefresh()
    labels = change.words | ({"mailed": "emails"} if change.kind.column else {})
    rows = (
        page.list_rows(request, record, labels, _TILE_SENTENCES | _pick_sentences(change))
        | context
        | {"of_chosen": True}
    )
    if request_context.is_part(request):
        return render(request, "import_rows.html", rows)
    return render(
        request, "bulk.html", rows | _describe_change(request, record, change, form), status=422 if form else 200
    )


def _pick_sentences(change: BulkChange) -> dict[str, str]:
    return {"updated": _MAILS[change.act]} if change.act in _MAILS else {}


def _describe_change(
    request: HttpRequest, record: models.Import, change: BulkChange, form: ConfirmForm | None
) -> dict[str, Any]:
    summary = history.summarize_import(record)
    changed = any(problem.code == "plan-changed" for problem in summary.problems)
    undone = history.find_undo(record)
    ended = page.describe_end(record)
    waits = (record.state in {"previewed", "held"} or changed) and bool(record.digest) and not ended
    return {
        "told": summary,
        "emails": count_emails(summary.mails),
        "actor": history.find_operator(record),
        "undone_by": undone,
        "ended": ended,
        "will": _WILL.get(change.act, "This changes"),
        "once": secrets.token_urlsafe(12),
        "form": form or page.make_confirm_form(request, record),
        "holds": page.describe_holds(record),
        "needs_approver": not page.can_confirm(request, record),
        "can_apply": waits and record.counts.get("updated") and may(request, change.kind.permission),
        "is_done": record.state == "applied",
        "can_undo": not undone and undo.is_allowed(record, get_account(request).user.external_id),
        "through": CHANNELS.get(record.through, record.through),
    }
