"""The list of feeds, and the page of one feed with its state, its files and its settings."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRefresh

from musterbook.directory import models
from musterbook.directory.agency import feed_secrets, feeds
from musterbook.directory.agency.feeds import UnknownFeed
from musterbook.directory.imports import heartbeats
from musterbook.directory.models import FeedMode
from musterbook.directory.permissions import ALL, get_permissions
from musterbook.feeds import deadlines, overview
from musterbook.feeds.overview import ArrivedFile, FeedRow, Mark
from musterbook.http import request_context
from musterbook.web import parsers
from musterbook.web.feeds import settings_shown, words
from musterbook.web.permission import get_account, may, needs, refuse

PERMISSION, SYNC_PERMISSION = "users.import", "users.synchronize"
_MOST_PAGES = 10**6
P = ParamSpec("P")
FeedView: TypeAlias = Callable[Concatenate[HttpRequest, models.Feed, P], HttpResponseBase]


@require_GET
@needs(PERMISSION)
def listed(request: HttpRequest) -> HttpResponseBase:
    """List the feeds of the agency that the user may open."""
    agency, at, sync = request_context.agency(request), datetime.now(UTC), may(request, SYNC_PERMISSION)
    total = overview.count_feeds(agency, sync=sync)
    number = min(_read_page(request), max(1, -(-total // overview.PAGE)))
    start = (number - 1) * overview.PAGE
    rows = overview.list_rows(agency, at, sync=sync, start=start, most=overview.PAGE)
    context = {
        "rows": [describe_row(row) for row in rows],
        "first": start + 1,
        "last": start + len(rows),
        "total": total,
        "previous": number - 1,
        "next": number + 1 if start + len(rows) < total else 0,
        "legend": words.render_legend(),
        "may_change": not list_lacking(request),
        "sees_all": sync,
    }
    return render(request, "feeds.html", context)


def _read_page(request: HttpRequest) -> int:
    return parsers.parse_number(request.GET.get("page", ""), _MOST_PAGES) or 1


def list_lacking(request: HttpRequest) -> list[str]:
    """Return the permissions that the user's role lacks. A feed imports as the system, so its changes need all."""
    return sorted(ALL - get_permissions(get_account(request).user.role))


def describe_row(row: FeedRow) -> dict[str, Any]:
    """Return a feed with its words."""
    return {
        "row": row,
        "feed": row.feed,
        "kind": words.KINDS.get(row.feed.location.get("kind", ""), ""),
        "mode": words.MODES[row.feed.mode],
        "state": words.label_state(row),
        "is_sent": row.feed.location.get("kind") in overview.SENT_KINDS,
        "nights": words.render_nights(row.feed.name, row.nights),
        "last_address": words.make_file_address(row.feed.name, row.last.pk) if row.last else "",
    }


def for_runners(view: FeedView[P]) -> Callable[..., HttpResponseBase]:
    """Pass the agency's feed with this name to the view, if the user may see and run it. Otherwise refuse."""
    return _guard(view, _list_lacking_to_run)


def for_configurers(view: FeedView[P]) -> Callable[..., HttpResponseBase]:
    """Pass the agency's feed with this name to the view, if the user may change it. Otherwise refuse."""
    return _guard(view, lambda request, _feed: list_lacking(request))


def _guard(
    view: FeedView[P], list_missing: Callable[[HttpRequest, models.Feed], list[str]]
) -> Callable[..., HttpResponseBase]:
    @needs(PERMISSION)
    @wraps(view)
    def guarded(request: HttpRequest, /, name: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            feed = feeds.find_feed(request_context.agency(request), name)
            lacking = list_missing(request, feed)
            return refuse(request, *lacking) if lacking else view(request, feed, *args, **kwargs)
        except UnknownFeed:  # there is none, or someone removed it a moment ago
            raise Http404 from None

    return guarded


def _list_lacking_to_run(request: HttpRequest, feed: models.Feed) -> list[str]:
    """Return the permissions that the user lacks to see and to run the feed."""
    return [SYNC_PERMISSION] if feed.mode == FeedMode.SYNC and not may(request, SYNC_PERMISSION) else []


@require_GET
@for_runners
def one(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Show one feed: its state, what it needs, its files and its settings. A part of it is the progress of a check."""
    if request_context.is_part(request):
        context = _describe_progress(feed, overview.read_row(feed, datetime.now(UTC)))
        return render(request, "feed_progress.html", context) if context["progress"] else HttpResponseClientRefresh()
    return render_feed(request, feed)


def _describe_progress(feed: models.Feed, row: FeedRow) -> dict[str, Any]:
    """Return what happens at this moment: the check that a user has asked for, or the import of the last file."""
    is_asked = feed.asked_at is not None and not feed.paused_at and not feed.stopped
    is_importing = row.last is not None and row.last.mark == Mark.RUNNING
    idle = (is_asked or is_importing) and not heartbeats.has_live_worker()
    return {"progress": "none" if idle else "check" if is_asked else "import" if is_importing else ""}


def render_feed(request: HttpRequest, feed: models.Feed, **more: Any) -> HttpResponseBase:
    """Render the page of a feed. `more`: what an act on it has found."""
    at = datetime.now(UTC)
    row = overview.read_row(feed, at)
    file = parsers.parse_number(request.GET.get("file", ""), 2**63 - 1) or 0
    page, late = overview.read_files(feed, _read_page(request), file), deadlines.find_late(feed, at)
    kind, may_change = feed.location.get("kind"), not list_lacking(request)
    context = describe_row(row) | {
        "files": [(file, *_mark_file(file, row)) for file in page.files],
        "expected_by": late.at if late else None,
        "page": page,
        "legend": words.render_legend(),
        "sections": settings_shown.list_sections(feed),
        "may_change": may_change,
        "missing": settings_shown.list_missing(feed),
        "is_sftp": kind == "sftp",
        "is_rest": kind == "sent",
        "has_secret": kind == "sftp" or bool(feed.location.get("header")),
        "fingerprint": feed_secrets.get_fingerprint(feed.host_key),
        "command": settings_shown.make_command(feed),
        "pauser": overview.find_pauser(feed),
        "may_view": may(request, "users.view"),
    }
    return render(request, "feed.html", context | _describe_progress(feed, row) | more)


def _mark_file(file: ArrivedFile, row: FeedRow) -> tuple[str, str]:
    """Return the sign and the label of a file. One that a person must decide on waits, as its feed does."""
    sign, label = words.MARKS[file.mark]
    waits = file.entry is not None and file.entry.number == row.waiting
    return sign, _("waits for you") if waits else str(label)
