"""The status on the first page of an agency: what waits for somebody, the last import, users by state, and a chart."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from musterbook.core.domain.labels import EMAIL_TITLES
from musterbook.directory import models
from musterbook.directory.imports import activity, import_log
from musterbook.directory.imports.import_log import LogFilters
from musterbook.directory.users import counts, open_tasks
from musterbook.feeds import overview
from musterbook.feeds.overview import FeedState
from musterbook.web import charts
from musterbook.web.imports import log
from musterbook.web.permission import may
from musterbook.web.users import chosen_users
from musterbook.web.users.search import STATE_LABELS, label_state

_MOST_PLANS, _MOST_EMAILS, _MOST_FEEDS = 5, 5, 5


def describe(request: HttpRequest, agency: models.Agency, at: datetime) -> dict[str, Any]:
    """Return the parts of the status that the permissions of the signed-in user allow them to see."""
    context: dict[str, Any] = {}
    if may(request, "users.import"):
        last = import_log.find_last(agency)
        context |= _describe_plans(agency) | _describe_activity(agency, at)
        context |= _describe_feeds(agency, at, context["plans"], sync=may(request, "users.synchronize"))
        context["last"] = log.describe(last) if last else None
    if may(request, "credentials.manage"):
        context |= _describe_accounts(request, agency, at)
    if may(request, "users.view"):
        numbers = counts.count_by_state(agency, at)
        context["states"] = [
            (name, label_state(name, numbers.get(name, 0)), numbers.get(name, 0)) for name in STATE_LABELS
        ]
    context["may_view"] = may(request, "users.view")
    context["sees_tasks"] = "plans" in context or "failed_emails" in context
    context["has_tasks"] = any(context.get(name) for name in ("plans", "feeds", "failed_emails", "expiring"))
    return context


def _describe_plans(agency: models.Agency) -> dict[str, Any]:
    """Return the plans that wait to be applied, first those on hold, and the imports in progress."""
    found = import_log.list_latest(agency, LogFilters(state="open"), _MOST_PLANS + 1)
    return {
        "plans": [log.describe(entry) for entry in found[:_MOST_PLANS]],
        "more_plans": len(found) > _MOST_PLANS,
        "running": [log.describe(entry) for entry in import_log.list_latest(agency, LogFilters(state="running"), 3)],
    }


def _describe_feeds(agency: models.Agency, at: datetime, plans: list[dict[str, Any]], *, sync: bool) -> dict[str, Any]:
    """Return the feeds that wait for a person, without those whose plan is shown already."""
    shown = {plan["entry"].number for plan in plans}
    waiting = [one for one in overview.list_waiting(agency, at, sync=sync) if one.number not in shown]
    return {
        "feeds": [(one.feed, one.state, _FEEDS[one.state]) for one in waiting[:_MOST_FEEDS]],
        "more_feeds": len(waiting) > _MOST_FEEDS,
    }


_FEEDS = {
    FeedState.FIRST: gettext_lazy("First file of a feed"),
    FeedState.WAITS: gettext_lazy("Feed with a file on hold"),
    FeedState.LATE: gettext_lazy("Feed late"),
    FeedState.FAILED: gettext_lazy("Feed with a failed file"),
    FeedState.UNREACHABLE: gettext_lazy("Feed unreachable"),
    FeedState.STOPPED: gettext_lazy("Feed stopped"),
}
"""What waits for a person, by the state of its feed."""


def _describe_accounts(request: HttpRequest, agency: models.Agency, at: datetime) -> dict[str, Any]:
    failed, expiring = open_tasks.list_failed_emails(agency, at), open_tasks.list_expiring(agency, at)
    emails = [(email, EMAIL_TITLES.get(email.kind, email.kind)) for email in failed.emails[:_MOST_EMAILS]]
    uninvited = [email.user_id for email in failed.emails if email.user_id and email.kind == "invitation"][
        : chosen_users.MOST
    ]
    return {
        "failed_emails": emails,
        "failed_number": len(failed.emails),
        "failed_is_more": failed.is_more,
        "expiring": expiring.ids,
        "expiring_number": len(expiring.ids),
        "expiring_is_more": expiring.is_more,
        "expiring_next": expiring.next_at,
        # The plan of a bulk action shows who gets an email, before any is sent.
        "invite_expiring": chosen_users.join_ids(expiring.ids) if may(request, "users.view") else "",
        "invite_failed": chosen_users.join_ids(uninvited) if uninvited and may(request, "users.view") else "",
    }


def _describe_activity(agency: models.Agency, at: datetime) -> dict[str, Any]:
    """Return the chart of the last days, and the same numbers for a table."""
    days = activity.read_days(agency, at, timezone.get_current_timezone())
    series = (
        ("added", pgettext("users", "Added")),
        ("updated", pgettext("users", "Updated")),
        ("losing_access", _("Lost access")),
    )
    return {
        "charts": [
            charts.make_bars(name, label, [(one.day, getattr(one, name)) for one in days]) for name, label in series
        ],
        "days": [one for one in reversed(days) if one.added or one.updated or one.losing_access],
        "first_day": days[0].day,
        "last_day": days[-1].day,
    }
