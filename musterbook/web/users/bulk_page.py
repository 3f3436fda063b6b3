"""The page of a bulk action: its progress, or the users that it changes or leaves out, and what can be done about it."""

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRefresh

from musterbook.core.domain.labels import CHANNELS
from musterbook.directory import models
from musterbook.directory.imports import bulk, history, plan_ends, undo
from musterbook.directory.imports.bulk import BulkChange
from musterbook.http import request_context
from musterbook.web.imports import page, sentences
from musterbook.web.imports.forms import ConfirmForm
from musterbook.web.permission import get_account, may
from musterbook.web.users import bulk_sentences


def render_change(
    request: HttpRequest, record: models.Import, change: BulkChange, form: ConfirmForm | None = None
) -> HttpResponseBase:
    """Return the page; with an invalid form, as 422."""
    history.refresh_record(record)
    done = record.state == "applied"
    context: dict[str, Any] = {
        "title": sentences.make_title(record),
        "label": bulk_sentences.label_change(change),
        "change": change,
        "mails": bulk_sentences.MAILED.get(change.act, ""),
        "reason": bulk.get_reason(record, change),
    }
    if record.state in {"waiting", "running"}:
        context["in_history"] = may(request, "users.import")
        return page.render_progress(request, record, "bulk_running.html", context)
    if request_context.is_part(request) and "progress" in request.GET:
        return HttpResponseClientRefresh()
    labels, about = bulk_sentences.label_tiles(change, done=done), bulk_sentences.describe_tiles(change, done=done)
    rows = page.list_rows(request, record, labels, about) | context | {"of_chosen": True}
    if request_context.is_part(request):
        return render(request, "import_rows.html", rows)
    return render(
        request, "bulk.html", rows | _describe_change(request, record, change, form), status=422 if form else 200
    )


def _describe_change(
    request: HttpRequest, record: models.Import, change: BulkChange, form: ConfirmForm | None
) -> dict[str, Any]:
    summary = history.summarize_import(record)
    undone, ended = history.find_undo(record), page.describe_end(record)
    done, changed = record.state == "applied", sentences.has_changed(record)
    form = form or page.make_confirm_form(request, record)
    updated = record.counts.get("updated", 0)
    is_plan = plan_ends.shows_plan(record) and not ended
    can_confirm = page.can_confirm(request, record)
    return {
        "summary": summary,
        "problems": [problem for problem in summary.problems if not (changed and problem.code == "plan-changed")],
        "changed_plan": changed,
        "counted": bulk_sentences.describe_counts(change, summary.counts, done=done),
        "emails": sentences.describe_emails(summary.mails, done=done) if change.kind.column else [],
        "sends": any(summary.mails.values()),
        "actor": history.find_operator(record),
        "undone_by": undone,
        "ended": ended,
        "once": secrets.token_urlsafe(12),
        "form": form,
        "holds": page.describe_holds(record, form),
        "needs_approver": not can_confirm,
        "is_plan": is_plan,
        "can_apply": is_plan
        and updated
        and may(request, change.kind.permission)
        and (can_confirm or record.state != "held" or not summary.holds),
        "button": bulk_sentences.label_button(change, updated),
        "can_discard": is_plan and may(request, change.kind.permission),
        "can_undo": not undone and not ended and undo.is_allowed(record, get_account(request).user.external_id),
        "through": CHANNELS.get(record.through, record.through),
    }
