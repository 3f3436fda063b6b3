"""The writing of feeds: add, change and remove one, and make all of an agency those of its file, each with its event.

The caller holds the agency's lock, and has checked who asks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from musterbook.directory import models
from musterbook.directory.agency import feed_form, feed_locations, feed_secrets, limits, values_in_file
from musterbook.directory.agency.feed_errors import InvalidFeed
from musterbook.directory.agency.feed_values import Settings
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import FeedMode

MOST = 100
"""The most feeds of one agency."""
SETTINGS = ("mode", "source", "reading", "location", "schedule", "limits", "least_percent", "together", "notify")
"""The columns that are settings."""
_OF_LOCATION = (
    "secrets", "host_key", "token", "stopped", "seen", "problem", "failing_since", "failures", "unreachable",
)  # fmt: skip
"""The columns that another location clears."""


def add(agency: models.Agency, settings: Settings, context: AuditContext) -> models.Feed:
    """Add a feed with these settings, and return it. Raise InvalidFeed."""
    name = settings.get("name", "")
    feeds = models.Feed.objects.filter(agency=agency)
    if not name:
        raise InvalidFeed([("name", _("This is missing. Write lowercase letters, digits and hyphens, like hr-sworn."))])
    if feeds.filter(name=name).exists():
        raise InvalidFeed([("name", _("There is a feed named %(name)s. Choose another name.") % {"name": name})])
    if feeds.count() >= MOST:
        raise InvalidFeed([("name", _("There are %(most)s feeds, which is the maximum.") % {"most": MOST})])
    feed = models.Feed(agency=agency, name=name, mode=FeedMode.UPDATE, source=name, created_at=context.at)
    _write(feed, settings)
    feed.save(force_insert=True)
    record(feed, context, EventKind.FEED_ADDED, _compare({}, feed_form.describe(feed)))
    return feed


def change(feed: models.Feed, settings: Settings, context: AuditContext) -> dict[str, tuple[str, str]]:
    """Change the settings, and return each of those that differ, before and after."""
    if settings.get("name", feed.name) != feed.name:
        raise InvalidFeed([("name", _("The name of a feed never changes. Add another feed."))])
    before, location = feed_form.describe(feed), dict(feed.location)
    _write(feed, settings)
    changes = _compare(before, feed_form.describe(feed))
    if changes:
        # Its next check may be earlier or later than it was.
        feed.next_check_at = None
        columns = [*SETTINGS, "next_check_at"]
        if feed.location != location:
            changes |= _forget_location(feed, location)
            columns += _OF_LOCATION
        feed.save(update_fields=columns)
        record(feed, context, EventKind.FEED_CHANGED, changes)
    return changes


def _forget_location(feed: models.Feed, before: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Forget what is known of the former location. Return the secrets that the feed loses, before and after.

    Secrets are for one server. The user who names another one must have them, and sets them again.
    """
    feed.seen, feed.stopped, feed.problem, feed.failing_since, feed.failures = {}, "", "", None, 0
    feed.unreachable = False
    if feed_locations.get_target(before) == feed_locations.get_target(feed.location):
        return {}
    lost = {f"secret {name}": ("set", "") for name in sorted(feed.secrets)}
    if feed.host_key:
        lost["host key"] = (feed_secrets.get_fingerprint(feed.host_key), "")
    if feed.token:
        lost["token"] = ("set", "")
    feed.secrets, feed.host_key, feed.token = {}, "", ""
    return lost


def _write(feed: models.Feed, settings: Settings) -> None:
    """Set the settings of the feed, if they fit each other and the agency. Raise InvalidFeed."""
    try:
        feed_form.write(feed, settings)
    except limits.UnknownName as unknown:
        raise InvalidFeed([("limits", _("There is no role or group “%(name)s”.") % {"name": unknown})]) from None
    errors: list[tuple[str, str]] = []
    if not feed.location:
        errors.append(("location", _("This is missing. Say where the files are, or how they arrive.")))
    elif feed.together and feed.location["kind"] not in feed_locations.WITH_FOLDERS:
        errors.append(("together", _("This location has one file at a time. Write false, or choose another location.")))
    if "values" in settings or "defaults" in settings:
        options, words = feed_form.read_options(feed), snapshot_queries.read_vocabulary(feed.agency)
        errors += [("values", sentence) for sentence in values_in_file.find_unusable(options["values"], {}, words)]
        errors += [("defaults", sentence) for sentence in values_in_file.find_unusable({}, options["defaults"], words)]
    if errors:
        raise InvalidFeed(errors)


def remove(feed: models.Feed, context: AuditContext) -> None:
    """Remove the feed. Its imports stay."""
    record(feed, context, EventKind.FEED_REMOVED, _compare(feed_form.describe(feed), {}))
    models.Feed.objects.filter(pk=feed.pk).delete()


def record(
    feed: models.Feed, context: AuditContext, kind: EventKind, changes: Mapping[str, tuple[str, str]] | None = None
) -> None:
    """Record an event about the feed, which names it."""
    name = (feed.name, "") if kind is EventKind.FEED_REMOVED else ("", feed.name)
    trail.record_event(feed.agency, context, kind, changes={"feed": name, **(changes or {})})


def _compare(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    pairs = {name: (before.get(name, ""), after.get(name, "")) for name in {**before, **after}}
    return {name: (was, now) for name, (was, now) in pairs.items() if was != now}


def apply_listed(
    agency: models.Agency, listed: Sequence[Settings], context: AuditContext
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Make the agency's feeds those that an agency file lists. The caller holds the agency's lock.

    A feed that is not listed is removed, unless a file has arrived by it. Return the changes, and a description of each
    feed that is kept. Raise InvalidFeed.
    """
    stored = models.Feed.objects.select_for_update(of=("self",), no_key=True).filter(agency=agency).order_by("name")
    feeds = {feed.name: feed for feed in stored}
    for feed in feeds.values():
        feed.agency = agency
    unlisted = [feed for name, feed in feeds.items() if name not in {settings["name"] for settings in listed}]
    used = set(models.FeedFile.objects.filter(feed__in=unlisted).values_list("feed", flat=True).distinct())
    changes: dict[str, tuple[str, str]] = {}
    for feed in unlisted:
        if feed.pk not in used:
            changes |= _name_changes(feed.name, _compare(feed_form.describe(feed), {}))
            remove(feed, context)
    for settings in listed:
        name = settings["name"]
        try:
            changes |= _name_changes(name, _apply_one(agency, feeds.get(name), settings, context))
        except InvalidFeed as error:
            raise InvalidFeed([(f"{name}: {setting}", sentence) for setting, sentence in error.errors]) from None
    return changes, [f"feed “{feed.name}”" for feed in unlisted if feed.pk in used]


def _apply_one(
    agency: models.Agency, feed: models.Feed | None, settings: Settings, context: AuditContext
) -> dict[str, tuple[str, str]]:
    if feed is not None:
        return change(feed, settings, context)
    return _compare({}, feed_form.describe(add(agency, settings, context)))


def _name_changes(name: str, changes: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {f"feed {name} {setting}": pair for setting, pair in changes.items()}
