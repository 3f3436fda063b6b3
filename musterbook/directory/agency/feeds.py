"""Feeds as an agency keeps them: find, add, change, pause and remove them, and set what is secret about them.

A feed imports as the system, which no role restricts. So only a user with every permission decides what it does. A user
who may import sees it, runs it now, pauses and resumes it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from musterbook.config import encryption
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import feed_form, feed_secrets, feed_values, feed_writing, networks
from musterbook.directory.agency.feed_errors import Errors, InvalidFeed
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import FeedMode
from musterbook.directory.permissions import ALL
from musterbook.directory.storage import locks

_LONGEST_REASON = 255
_TOKEN = "muster_feed_"

__all__ = ["InvalidFeed"]


class UnknownFeed(Exception):
    """The agency has no feed with this name."""


class StaleFeed(Exception):
    """Another user, or a feed that has learned, has changed the settings since they were shown. Nothing was changed."""


def find_feed(agency: models.Agency, name: str) -> models.Feed:
    """Return the agency's feed with this name. Raise UnknownFeed."""
    feed = models.Feed.objects.filter(agency=agency, name=name).first() if feed_values.is_name(name) else None
    if feed is None:
        raise UnknownFeed(name[: feed_values.NAME_LONGEST])
    feed.agency = agency
    return feed


def list_feeds(agency: models.Agency) -> list[models.Feed]:
    """Return the agency's feeds, by name."""
    feeds = list(models.Feed.objects.filter(agency=agency).order_by("name"))
    for feed in feeds:
        feed.agency = agency
    return feeds


def may_configure(by: Operator | None) -> bool:
    """Return whether the operator may add, change and remove feeds, and set their secrets. None: the command line."""
    return by is None or by.permissions >= ALL


def may_run(feed: models.Feed, by: Operator | None) -> bool:
    """Return whether the operator may see the feed, run it now, pause and resume it."""
    needed = {"users.import", "users.synchronize"} if feed.mode == FeedMode.SYNC else {"users.import"}
    return by is None or by.permissions >= needed


def mark(feed: models.Feed) -> str:
    """Return a mark that shows whether the settings of a feed are still as they were shown."""
    return encryption.make_fingerprint(repr(sorted(feed_form.describe(feed).items())))


def digest_settings(feed: models.Feed) -> str:
    """Return a digest of everything that decides what a file of the feed does (rule N3)."""
    return feed_form.digest(feed)


def is_new(feed: models.Feed) -> bool:
    """Return whether a person must see the next file, because nobody has applied one with these settings (rule N3)."""
    return feed.approved != digest_settings(feed)


def list_unknown_recipients(feed: models.Feed) -> list[str]:
    """Return the recipients of notices that are neither addresses nor external IDs of Active users of the agency."""
    named = {text for texts in feed.notify.values() for text in texts if "@" not in text}
    users = models.User.objects.filter(agency=feed.agency, external_id__in=named, active=True)
    return sorted(named - set(users.values_list("external_id", flat=True)))


def list_troubled() -> list[str]:
    """Return the feeds of all agencies that have stopped or whose location cannot be used, each with the reason.

    Those of paused agencies wait, as feeds that were paused do.
    """
    running = models.Feed.objects.filter(paused_at=None, agency__paused_at=None)
    troubled = running.exclude(stopped="", problem="").select_related("agency")
    return [
        f"{feed.agency.slug}: {feed.name}: {feed.stopped or feed.problem}"
        for feed in troubled.order_by("agency__slug", "name")
    ]


def limit_addresses(location: Mapping[str, Any], within: Sequence[str]) -> dict[str, Any]:
    """Return the location with no more addresses than `within` has. Only one whose files are sent has any.

    `within`: the networks of the token that changes the feed; none for all addresses. Raise InvalidValue.
    """
    if not within or location.get("kind") != "sent":
        return dict(location)
    listed = location.get("addresses", "").replace(",", " ").split()
    return {**location, "addresses": ", ".join(networks.check_networks(listed, within))}


def _read(values: Mapping[str, Any], within: Sequence[str]) -> dict[str, Any]:
    """Return the settings that `values` has, with no more addresses than `within`. Raise InvalidFeed."""
    settings = dict(feed_values.read_feed(values))
    if "location" in settings:
        try:
            settings["location"] = limit_addresses(settings["location"], within)
        except InvalidValue as error:
            raise InvalidFeed([("location.addresses", error.sentence)]) from None
    return settings


def add(
    agency: models.Agency,
    values: Mapping[str, Any],
    context: AuditContext,
    by: Operator | None,
    within: Sequence[str] = (),
) -> models.Feed:
    """Add a feed with these settings, in the form of an agency file, and return it. Raise InvalidFeed and NotAllowed.

    `within`: the networks of the token that adds it; files sent to the feed come from no other addresses.
    """
    check_configures(by)
    settings = _read(values, within)
    with transaction.atomic():
        locks.lock_row(agency)
        return feed_writing.add(agency, settings, context)


def change(
    feed: models.Feed,
    values: Mapping[str, Any],
    shown_mark: str,
    context: AuditContext,
    by: Operator | None,
    within: Sequence[str] = (),
) -> bool:
    """Change the settings that `values` has; the others stay. Return whether anything changed.

    `shown_mark`: the feed's mark when it was shown. `within`: as for `add`. Raise InvalidFeed, NotAllowed, UnknownFeed and
    StaleFeed.
    """
    check_configures(by)
    settings = _read(values, within)
    with _changing(feed):
        if mark(feed) != shown_mark:
            raise StaleFeed(feed.name)
        return bool(feed_writing.change(feed, settings, context))


def pause(feed: models.Feed, why: str, context: AuditContext, by: Operator | None) -> None:
    """Check the feed no more until it is resumed. Raise NotAllowed, UnknownFeed, and InvalidValue for a long reason."""
    check_runs(feed, by)
    reason = _read_reason(why)
    with _changing(feed):
        if feed.paused_at is None:
            feed.paused_at, feed.paused_by, feed.paused_why = context.at, context.actor, reason
            feed.save(update_fields=["paused_at", "paused_by", "paused_why"])
            feed_writing.record(feed, context, EventKind.FEED_PAUSED, {"reason": ("", reason)} if reason else {})


def resume(feed: models.Feed, context: AuditContext, by: Operator | None) -> None:
    """Check the feed again, if it was paused or has stopped by itself. Raise NotAllowed and UnknownFeed."""
    check_runs(feed, by)
    with _changing(feed):
        if feed.paused_at is not None or feed.stopped:
            was = feed.paused_why or feed.stopped
            feed.paused_at, feed.paused_by, feed.paused_why = None, "", ""
            feed.stopped, feed.next_check_at = "", None
            feed.save(update_fields=["paused_at", "paused_by", "paused_why", "stopped", "next_check_at"])
            feed_writing.record(feed, context, EventKind.FEED_RESUMED, {"reason": (was, "")} if was else {})


def remove(feed: models.Feed, context: AuditContext, by: Operator | None) -> None:
    """Remove the feed. Its imports and their trail stay. Raise NotAllowed and UnknownFeed."""
    check_configures(by)
    with _changing(feed):
        feed_writing.remove(feed, context)


def set_secret(feed: models.Feed, name: str, text: str, context: AuditContext, by: Operator | None) -> None:
    """Set a secret of the feed's location; "" removes it. It is stored sealed, and never shown again.

    Raise InvalidValue, NotAllowed and UnknownFeed.
    """
    check_configures(by)
    with _changing(feed):
        secret = feed_secrets.check(feed.location.get("kind", ""), name, text)
        had = name in feed.secrets
        kept = {other: sealed for other, sealed in feed.secrets.items() if other != name}
        feed.secrets = {**kept, **({name: encryption.seal(secret)} if secret else {})}
        feed.next_check_at = None
        feed.save(update_fields=["secrets", "next_check_at"])
        feed_writing.record(
            feed, context, EventKind.FEED_SECRET_SET,
            {f"secret {name}": ("set" if had else "", "set" if secret else "")},
        )  # fmt: skip


def accept_host_key(feed: models.Feed, key: str, context: AuditContext, by: Operator | None) -> None:
    """Pin the key of the feed's SFTP server, so that only a server with this key is used, and let the feed go on.

    Raise InvalidValue, NotAllowed and UnknownFeed.
    """
    check_configures(by)
    with _changing(feed):
        if feed.location.get("kind") != "sftp":
            raise InvalidValue("host_key", _("Only an SFTP server has a host key."))
        pinned = feed_secrets.check_host_key(key)
        was = feed_secrets.get_fingerprint(feed.host_key) if feed.host_key else ""
        feed.host_key, feed.stopped, feed.problem = pinned, "", ""
        feed.failing_since, feed.failures, feed.unreachable, feed.next_check_at = None, 0, False, None
        feed.save(
            update_fields=[
                "host_key", "stopped", "problem", "failing_since", "failures", "unreachable", "next_check_at",
            ]
        )  # fmt: skip
        feed_writing.record(
            feed, context, EventKind.FEED_HOST_KEY_ACCEPTED,
            {"host key": (was, feed_secrets.get_fingerprint(pinned))},
        )  # fmt: skip


def make_token(feed: models.Feed, context: AuditContext, by: Operator | None, within: Sequence[str] = ()) -> str:
    """Return a new token with which a program sends files to the feed. The former one ends. It is shown once.

    `within`: the networks of the token that asks for it; the feed then takes files from these, or some of their addresses.
    Raise InvalidValue, NotAllowed and UnknownFeed.
    """
    check_configures(by)
    with _changing(feed):
        if feed.location.get("kind") != "sent":
            raise InvalidValue("token", _("Only a feed whose files are sent has a token."))
        limited = limit_addresses(feed.location, within)
        if limited != feed.location:
            feed_writing.change(feed, {"location": limited}, context)
        token, had = f"{_TOKEN}{secrets.token_hex(32)}", bool(feed.token)
        feed.token = _hash_token(token)
        feed.save(update_fields=["token"])
        feed_writing.record(
            feed, context, EventKind.FEED_TOKEN_MADE, {"token": ("set" if had else "", f"…{token[-4:]}")}
        )
        return token


def check_token(agency: models.Agency, name: str, secret: str) -> models.Feed:
    """Return the agency's feed with this name, if the secret is its token. Raise UnknownFeed, even for a wrong one.

    The time does not depend on which of them is wrong.
    """
    feed = models.Feed.objects.filter(agency=agency, name=name).first() if feed_values.is_name(name) else None
    expected = (feed.token if feed and feed.location.get("kind") == "sent" else "") or "-" * 64
    if not hmac.compare_digest(expected.encode(), _hash_token(secret).encode()) or feed is None:
        raise UnknownFeed(name[: feed_values.NAME_LONGEST])
    feed.agency = agency
    return feed


def request_check(feed: models.Feed, context: AuditContext, by: Operator | None) -> None:
    """Have a worker check the feed now. Raise InvalidValue if nothing checks it, NotAllowed and UnknownFeed."""
    check_runs(feed, by)
    with _changing(feed):
        if feed.location.get("kind") in {"sent", "command"}:
            raise InvalidValue(
                "location", _("Files of this feed are sent to it, so there is no place to look for them.")
            )
        if feed.paused_at is not None or feed.stopped:
            raise InvalidValue("paused", _("The feed is paused, or has stopped. Resume it first."))
        feed.next_check_at = feed.asked_at = context.at
        feed.save(update_fields=["next_check_at", "asked_at"])
        feed_writing.record(feed, context, EventKind.FEED_CHECK_ASKED)


def check_configures(by: Operator | None) -> None:
    """Raise NotAllowed unless the operator may add, change and remove feeds."""
    if not may_configure(by):
        raise NotAllowed(
            _(
                "A feed imports without a person, and no role restricts it. The user who changes one needs every permission."
            )
        )


def check_runs(feed: models.Feed, by: Operator | None) -> None:
    """Raise NotAllowed unless the operator may run the feed."""
    if not may_run(feed, by):
        raise NotAllowed(_("Your role does not allow the imports of this feed."))


def _read_reason(why: str) -> str:
    errors = Errors("why")
    reason = errors.read_text(why, _LONGEST_REASON)
    errors.raise_found()
    return reason


@contextmanager
def _changing(feed: models.Feed) -> Iterator[None]:
    """Read the feed again and hold it, in one transaction and under its agency's lock. Raise UnknownFeed."""
    agency = feed.agency
    with transaction.atomic():
        locks.lock_row(agency)
        try:
            feed.refresh_from_db(from_queryset=models.Feed.objects.select_for_update(of=("self",), no_key=True))
        except models.Feed.DoesNotExist:
            raise UnknownFeed(feed.name) from None
        feed.agency = agency
        yield


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def count_last_rows(feed: models.Feed) -> int | None:
    """Return the number of rows of the last applied file (rule N7), even if the feed has not learned it yet.

    Return None if no file was applied.
    """
    unsettled = models.FeedFile.objects.filter(feed=feed, settled_at=None, of__state="applied")
    counts = unsettled.order_by("-pk").values_list("of__counts", flat=True).first()
    return feed.last_rows if counts is None else count_data_rows(counts)


def count_data_rows(counts: Mapping[str, int]) -> int:
    """Return the number of rows of an applied file without those that are blank, from the counts of its import."""
    return counts.get("rows", 0) - counts.get("skipped", 0)
