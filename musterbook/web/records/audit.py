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
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods

from musterbook.directory.audit import browse, hash_chain, trail, verify
from musterbook.directory.audit import export as audit_export
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.verify import Finding, Progress
from musterbook.http import incoming
from musterbook.web import fragments
from musterbook.web.permission import account, may, needs
from musterbook.web.records import audit_pdf, audit_words
from musterbook.web.records.audit_form import Filters

_OPENED = "audit_opened"
"""The session key of the filters with which the trail was last opened."""


@require_GET
@needs("audit.view")
def events(request: HttpRequest) -> HttpResponseBase:
    """Show a page of the events that match the filters, the newest first."""
    form = Filters(incoming.agency(request), request.GET, incoming.audit_context(request).at)
    if not form.is_valid():
        return render(request, "audit.html", {"form": form, "query": "", "filled": form.filled()}, status=422)
    place = request.GET.get("place", "")
    _tell_opened(request, urlencode(form.filled()), turning=bool(place))
    try:
        page = browse.read_page(incoming.agency(request), form.wanted(), place)
    except browse.UnknownCursor as unknown:
        raise Http404 from unknown
    about = {
        "form": form,
        "query": urlencode(form.filled()),
        "filled": form.said(),
        "events": [audit_words.shown(told) for told in page.events],
        "page": page,
        "turned": bool(place),
        "sees_imports": may(request, "users.import"),
    }
    return render(request, "audit.html", about)


def _tell_opened(request: HttpRequest, query: str, *, turning: bool) -> None:
    """Record that the trail was viewed.

    Opening it with these filters is one event. Turning its pages records no more events.
    """
    if turning and request.session.get(_OPENED) == query:
        return
    request.session[_OPENED] = query
    trail.record_event(
        incoming.agency(request), incoming.audit_context(request), EventKind.AUDIT_VIEWED, None, _filters(query)
    )


def _filters(query: str) -> dict[str, tuple[str, str]]:
    return {"filters": ("", query)} if query else {}


@require_http_methods(["GET", "POST"])
@needs("audit.view")
def export(request: HttpRequest) -> HttpResponseBase:
    """Export all events up to now that match the filters."""
    agency, context = incoming.agency(request), incoming.audit_context(request)
    form = Filters(agency, request.GET, context.at)
    back = f"{reverse('audit')}?{urlencode(form.filled())}"
    if request.method == "GET" or not form.is_valid():
        return redirect(back)
    wanted = form.wanted()
    wanted = replace(wanted, until=min(wanted.until or context.at, context.at))
    as_pdf = request.POST.get("form") == "pdf"
    if as_pdf and audit_export.has_more_than(agency, wanted, audit_pdf.MOST):
        most = f"{audit_pdf.MOST:,}"
        messages.error(
            request, f"These are more than {most} events. Choose a shorter time, or take the CSV, which has any number."
        )
        return redirect(back)
    told = {"form": ("", "PDF" if as_pdf else "CSV"), **_filters(urlencode(form.filled()))}
    trail.record_event(agency, context, EventKind.AUDIT_EXPORTED, None, told)
    if as_pdf:
        made = audit_pdf.made(agency, wanted, form.said(), account(request).user, context.at)
        return _file(iter([made]), "application/pdf", _name(request, "pdf", context.at))
    return _file(
        audit_export.export_events(agency, wanted, "csv"), "text/csv; charset=utf-8", _name(request, "csv", context.at)
    )


def _name(request: HttpRequest, form: str, at: datetime) -> str:
    return f"{incoming.agency(request).slug}-audit-trail-{timezone.localtime(at):%Y-%m-%d-%H%M}.{form}"


def _file(parts: Iterator[bytes], kind: str, name: str) -> StreamingHttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(parts, content_type=kind, headers=headers)


_AT_ONCE = 2.0
"""The time that one request spends on the check, in seconds. The next request continues."""
_SALT = "musterbook.web.records.audit.check"


@require_http_methods(["GET", "POST"])
@needs("audit.view")
def check(request: HttpRequest) -> HttpResponseBase:
    """Check the whole trail in steps, and report whether anything in it was altered."""
    agency = incoming.agency(request)
    about: dict[str, Any] = {"links": hash_chain.read_head(agency)[0]}
    if request.method == "POST":
        end = time.monotonic() + _AT_ONCE
        found = verify.step(agency, _so_far(request), lambda: time.monotonic() > end)
        if isinstance(found, Finding):
            _tell_checked(request, found)
            about["finding"] = found
        else:
            about |= {"so_far": found, "signed": _signed(request, found)}
    return render(request, "audit_check_part.html" if fragments.is_part(request) else "audit_check.html", about)


def _signed(request: HttpRequest, so_far: Progress) -> str:
    """Return the progress of the check, signed, for the page to send back."""
    facts = [
        request.user.pk,
        incoming.agency(request).pk,
        so_far.links,
        so_far.events,
        so_far.last,
        so_far.digest,
        list(so_far.keys),
    ]
    return signing.dumps(facts, salt=_SALT)


def _so_far(request: HttpRequest) -> Progress:
    """Return the progress of the check, or a new check if what was sent is not valid."""
    try:
        user, agency, links, events, last, digest, keys = signing.loads(
            request.POST.get("so_far", ""), salt=_SALT, max_age=24 * 60 * 60
        )
    except signing.BadSignature:
        return Progress()
    mine = (user, agency) == (request.user.pk, incoming.agency(request).pk)
    return Progress(links, events, last, digest, tuple(keys)) if mine else Progress()


def _tell_checked(request: HttpRequest, found: Finding) -> None:
    told = {
        "found": ("", found.wrong or "nothing was altered"),
        "events": ("", str(found.events)),
        "digest": ("", found.digest),
    }
    trail.record_event(incoming.agency(request), incoming.audit_context(request), EventKind.AUDIT_CHECKED, None, told)
