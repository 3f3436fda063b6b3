"""The audit trail: pages to browse, export, and check it. Each of these acts is itself an event of the trail."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from musterbook.directory.audit import browse, groups, hash_chain, trail, verify
from musterbook.directory.audit import export as audit_export
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.filters import EventFilters
from musterbook.directory.audit.verify import CheckProgress, TrailFinding
from musterbook.http import request_context
from musterbook.web.permission import get_account, may, needs
from musterbook.web.records import audit_pdf, audit_words
from musterbook.web.records.audit_form import AuditFilterForm

_OPENED_KEY = "audit_opened"
"""The session key of the filters with which the trail was last opened."""


@require_GET
@needs("audit.view")
def events(request: HttpRequest) -> HttpResponseBase:
    """Show a page of the events that match the filters, the newest first."""
    agency = request_context.agency(request)
    form = AuditFilterForm(agency, request.GET, request_context.audit_context(request).at)
    if not form.is_valid():
        return render(request, "audit.html", {"form": form, "query": "", "filled": form.filled()}, status=422)
    cursor = request.GET.get("place", "")
    try:
        rows, page = _read_rows(request, form.read_filters(), cursor)
    except browse.UnknownCursor as unknown:
        raise Http404 from unknown
    _record_opened(request, urlencode(form.filled()), is_next_page=bool(cursor))
    context = {
        "form": form,
        "query": urlencode(form.filled()),
        "filled": form.describe_filters(),
        "days": audit_words.list_days(rows),
        "page": page,
        "turned": bool(cursor),
        "sees_imports": may(request, "users.import"),
        "sees_users": may(request, "users.view"),
    }
    return render(request, "audit.html", context)


def _read_rows(
    request: HttpRequest, filters: EventFilters, cursor: str
) -> tuple[list[audit_words.ShownRow], browse.EventPage | groups.GroupPage]:
    """Return the rows of a page. The events of an import are one row, unless the filters ask for single events."""
    agency, sees_users = request_context.agency(request), may(request, "users.view")
    if filters.subjects is not None or filters.import_id is not None or filters.kinds:
        page = browse.read_page(agency, filters, cursor)
        return [audit_words.describe_event(event, sees_users=sees_users) for event in page.events], page
    grouped = groups.read_page(agency, filters, cursor)
    return [audit_words.describe_group(group, sees_users=sees_users) for group in grouped.groups], grouped


def _record_opened(request: HttpRequest, query: str, *, is_next_page: bool) -> None:
    """Record that the trail was viewed.

    Opening it with these filters is one event. Turning its pages records no more events.
    """
    if is_next_page and request.session.get(_OPENED_KEY) == query:
        return
    request.session[_OPENED_KEY] = query
    trail.record_event(
        request_context.agency(request),
        request_context.audit_context(request),
        EventKind.AUDIT_VIEWED,
        None,
        _list_filters(query),
    )


def _list_filters(query: str) -> dict[str, tuple[str, str]]:
    return {"filters": ("", query)} if query else {}


@require_http_methods(["GET", "POST"])
@needs("audit.view")
def export(request: HttpRequest) -> HttpResponseBase:
    """Export all events up to now that match the filters."""
    agency, context = request_context.agency(request), request_context.audit_context(request)
    form = AuditFilterForm(agency, request.GET, context.at)
    back = f"{reverse('audit')}?{urlencode(form.filled())}"
    if request.method == "GET" or not form.is_valid():
        return redirect(back)
    filters = form.read_filters()
    filters = replace(filters, until=min(filters.until or context.at, context.at))
    as_pdf = request.POST.get("form") == "pdf"
    if as_pdf and audit_export.has_more_than(agency, filters, audit_pdf.MOST):
        text = _(
            "These are more than %(most)s events. Choose a shorter period, or download the CSV, which has no limit."
        )
        messages.error(request, text % {"most": formats.number_format(audit_pdf.MOST, force_grouping=True)})
        return redirect(back)
    changes = {"form": ("", "PDF" if as_pdf else "CSV"), **_list_filters(urlencode(form.filled()))}
    trail.record_event(agency, context, EventKind.AUDIT_EXPORTED, None, changes)
    if as_pdf:
        pdf = audit_pdf.render_pdf(agency, filters, form.describe_filters(), get_account(request).user, context.at)
        return _make_download(iter([pdf]), "application/pdf", _make_file_name(request, "pdf", context.at))
    return _make_download(
        audit_export.export_events(agency, filters, "csv"),
        "text/csv; charset=utf-8",
        _make_file_name(request, "csv", context.at),
    )


def _make_file_name(request: HttpRequest, form: str, at: datetime) -> str:
    return f"{request_context.agency(request).slug}-audit-trail-{timezone.localtime(at):%Y-%m-%d-%H%M}.{form}"


def _make_download(parts: Iterator[bytes], kind: str, name: str) -> StreamingHttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(parts, content_type=kind, headers=headers)


_AT_ONCE = 2.0
"""The time that one request spends on the check, in seconds. The next request continues."""
_SALT = "musterbook.web.records.audit.check"


@require_http_methods(["GET", "POST"])
@needs("audit.view")
def check(request: HttpRequest) -> HttpResponseBase:
    """Check the whole trail in steps, and report whether anything in it was altered."""
    agency = request_context.agency(request)
    context: dict[str, Any] = {"links": hash_chain.read_head(agency)[0]}
    if request.method == "POST":
        end = time.monotonic() + _AT_ONCE
        result = verify.continue_check(agency, _read_progress(request), lambda: time.monotonic() > end)
        if isinstance(result, TrailFinding):
            _record_check(request, result)
            context["finding"] = result
        else:
            context |= {"so_far": result, "signed": _sign_progress(request, result)}
    return render(request, "audit_check_part.html" if request_context.is_part(request) else "audit_check.html", context)


def _sign_progress(request: HttpRequest, so_far: CheckProgress) -> str:
    """Return the progress of the check, signed, for the page to send back."""
    facts = [
        request.user.pk,
        request_context.agency(request).pk,
        so_far.links,
        so_far.events,
        so_far.last,
        so_far.digest,
        list(so_far.keys),
    ]
    return signing.dumps(facts, salt=_SALT)


def _read_progress(request: HttpRequest) -> CheckProgress:
    """Return the progress of the check, or a new check if what was sent is not valid."""
    try:
        user, agency, links, events, last, digest, keys = signing.loads(
            request.POST.get("so_far", ""), salt=_SALT, max_age=24 * 60 * 60
        )
    except signing.BadSignature:
        return CheckProgress()
    mine = (user, agency) == (request.user.pk, request_context.agency(request).pk)
    return CheckProgress(links, events, last, digest, tuple(keys)) if mine else CheckProgress()


def _record_check(request: HttpRequest, finding: TrailFinding) -> None:
    changes = {
        "found": ("", finding.error or "nothing was altered"),
        "events": ("", str(finding.events)),
        "digest": ("", finding.digest),
    }
    trail.record_event(
        request_context.agency(request), request_context.audit_context(request), EventKind.AUDIT_CHECKED, None, changes
    )
