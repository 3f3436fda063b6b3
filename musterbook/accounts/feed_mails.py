"""The emails about a feed: a subject that a phone shows in full, one sentence, the numbers, one link.

They have only numbers and our own words: no file name, no answer of another server, no data of a user. So they can go to
an address too. A mail program makes links of such texts, and strangers may have written them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext, gettext_lazy, ngettext

from musterbook.accounts.mail_texts import find_plain_name, format_time
from musterbook.core.planning.holds import Hold
from musterbook.core.reporting import summary
from musterbook.directory.imports import notice_facts, notice_recipients, notices
from musterbook.directory.models import Feed, Notice, NoticeKind, User

_LONGEST_NAME = 24
"""The most characters of a feed's name in a subject: a phone shows about 40 in all."""
_NO_NAME = re.compile("[^a-z0-9-]")
_NO_NUMBER = re.compile("[^0-9,]")


@dataclass(frozen=True, slots=True)
class _Text:
    """The texts of one kind of email. `{feed}`, `{agency}` and `{at}` stand for the facts."""

    subject: Any
    sentence: Any
    next_step: Any
    numbers: Callable[[Notice, Feed], str]


def describe(notice: Notice, user: User | None) -> dict[str, str]:
    """Return what the email of the notice says, if it concerns a feed; nothing otherwise.

    `user`: the recipient, or None for an address.
    """
    feed = notices.get_feed(notice)
    if feed is None:
        return {}
    text = _TEXTS[NoticeKind(notice.kind)]
    name = _NO_NAME.sub("", feed.name)
    facts = {
        "feed": name,
        "agency": find_plain_name(notice.agency),
        "at": format_time(_find_time(notice)),
    }
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    return {
        "subject": str(text.subject).format(feed=short),
        "sentence": str(text.sentence).format(**facts),
        "numbers": text.numbers(notice, feed),
        "next_step": str(text.next_step),
        "link": _make_link(notice, feed),
        "reason": _describe_reason(notice, feed, name, user),
    }


def _find_time(notice: Notice) -> datetime | None:
    name = "expected_by" if notice.kind == NoticeKind.LATE else "since"
    return notice_facts.read_time(notice.facts, name) or notice.at


def _make_link(notice: Notice, feed: Feed) -> str:
    page = f"imports/{notice.of.number}" if notice.of else f"feeds/{feed.name}/"
    return f"{settings.MUSTER_URL}/{notice.agency.slug}/{page}"


def _describe_reason(notice: Notice, feed: Feed, name: str, user: User | None) -> str:
    """Return why the recipient gets the email, and how that can be changed."""
    if user is None:
        reason = gettext(
            "You get this email because the settings of the feed {feed} name this address. "
            "A person who manages the feed can remove it there."
        )
    elif user.external_id in notice_recipients.list_named(feed, NoticeKind(notice.kind)):
        reason = gettext(
            "You get this email because the settings of the feed {feed} name you. "
            "A person who manages the feed can change that there."
        )
    else:
        reason = gettext(
            "You get this email because you may run imports and get this notice. "
            "Choose which notices you get by email under My account."
        )
    return reason.format(feed=name)


def _sum_up(notice: Notice, _feed: Feed) -> str:
    record = notice.of
    if record is None or not record.counts:
        return ""
    return f"{summary.summarize(record.counts, record.mails, done=record.state == 'applied')}."


def _explain_hold(notice: Notice, feed: Feed) -> str:
    """Return why the import is on hold, then its numbers. A name of a role or group, or a text of the file, is left out."""
    holds = [replace(Hold.of_json(hold), role="", group="") for hold in (notice.of.holds if notice.of else ())]
    reasons = [summary.describe_hold(hold) for hold in holds if hold.kind or not _NO_NUMBER.search(hold.fact)]
    return " ".join([*dict.fromkeys(reasons), _sum_up(notice, feed)]).strip()


def _describe_last(_notice: Notice, feed: Feed) -> str:
    if feed.arrived_at is None:
        return gettext("No file has arrived so far.")
    return gettext("The last file arrived on %(at)s.") % {"at": format_time(feed.arrived_at)}


def _count_attempts(notice: Notice, _feed: Feed) -> str:
    number = notice.facts.get("attempts") or 0
    return ngettext("%(number)d attempt has failed.", "%(number)d attempts have failed.", number) % {"number": number}


def _say_nothing(_notice: Notice, _feed: Feed) -> str:
    return ""


_TEXTS: Mapping[NoticeKind, _Text] = {
    NoticeKind.HELD: _Text(
        gettext_lazy("On hold: {feed}"),
        gettext_lazy(
            "An import of the feed {feed} at {agency} is on hold, and nothing changes until a person confirms it."
        ),
        gettext_lazy("Review the import, then confirm or discard it:"),
        _explain_hold,
    ),
    NoticeKind.FIRST: _Text(
        gettext_lazy("First file: {feed}"),
        gettext_lazy(
            "The first file of the feed {feed} at {agency} has arrived, and nothing changes until a person applies it."
        ),
        gettext_lazy("Review how it was read, then apply or discard it:"),
        _sum_up,
    ),
    NoticeKind.FAILED: _Text(
        gettext_lazy("Failed: {feed}"),
        gettext_lazy("A file of the feed {feed} at {agency} could not be imported, and nothing has changed."),
        gettext_lazy("See the reason, and what to do next:"),
        _sum_up,
    ),
    NoticeKind.PROBLEMS: _Text(
        gettext_lazy("Problems: {feed}"),
        gettext_lazy("A file of the feed {feed} at {agency} was imported, and rows with problems were skipped."),
        gettext_lazy("See these rows and fix them:"),
        _sum_up,
    ),
    NoticeKind.FINISHED: _Text(
        gettext_lazy("Imported: {feed}"),
        gettext_lazy("A file of the feed {feed} at {agency} was imported without problems."),
        gettext_lazy("See the import:"),
        _sum_up,
    ),
    NoticeKind.LATE: _Text(
        gettext_lazy("Late: {feed}"),
        gettext_lazy("No file has arrived at the feed {feed} at {agency}. One was expected by {at}."),
        gettext_lazy("See the feed:"),
        _describe_last,
    ),
    NoticeKind.UNREACHABLE: _Text(
        gettext_lazy("Unreachable: {feed}"),
        gettext_lazy("The location of the feed {feed} at {agency} has not been reachable since {at}."),
        gettext_lazy("See the reason, and what to do next:"),
        _count_attempts,
    ),
    NoticeKind.STOPPED: _Text(
        gettext_lazy("Stopped: {feed}"),
        gettext_lazy("The feed {feed} at {agency} has stopped, and imports nothing until a person acts."),
        gettext_lazy("See the reason, and what to do next:"),
        _say_nothing,
    ),
}
