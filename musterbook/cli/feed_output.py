"""What the commands of feeds print: a feed with its settings and its state, for people and for programs."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from musterbook.cli.language import gettext as _
from musterbook.cli.output import escape_text, make_console, say, write_json

if TYPE_CHECKING:
    from musterbook.directory import models


def make_entry(feed: "models.Feed") -> dict[str, Any]:
    """Return a feed as a list of feeds has it, for programs."""
    from musterbook.directory.agency import feeds
    from musterbook.feeds import claims, overview

    waits = feed.location["kind"] not in claims.UNCHECKED and feed.next_check_at != claims.AT_ONCE
    return {
        "feed": feed.name,
        "agency": feed.agency.slug,
        "state": str(overview.get_state(feed, datetime.now(UTC))),
        "mode": feed.mode,
        "location": feed.location["kind"],
        "new": feeds.is_new(feed),
        "paused": {"at": _format_time(feed.paused_at), "by": feed.paused_by, "why": feed.paused_why}
        if feed.paused_at
        else None,
        "stopped": feed.stopped,
        "problem": feed.problem,
        "checked_at": _format_time(feed.checked_at),
        "arrived_at": _format_time(feed.arrived_at),
        "next_check_at": _format_time(feed.next_check_at) if waits else None,
    }


def _format_time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def print_list(entries: "list[models.Feed]", output: str) -> None:
    """Print the feeds of an agency, one in each line."""
    if output == "json":
        write_json([make_entry(feed) for feed in entries])
        return
    if not entries:
        say(_("There is no feed yet. Add one with `muster feed add NAME --agency SLUG --folder PATH`."))
    for feed in entries:
        arrived = _("last file: %(at)s") % {"at": f"{feed.arrived_at:%Y-%m-%d %H:%M} UTC"} if feed.arrived_at else ""
        parts = [feed.name, feed.mode, feed.location["kind"], _describe_state(feed), arrived]
        make_console().print("  ".join(escape_text(part) for part in parts if part), markup=False, soft_wrap=True)


def _describe_state(feed: "models.Feed") -> str:
    """Return what keeps the feed from importing without a person, in words."""
    from musterbook.feeds import overview

    if feed.problem and not (feed.paused_at or feed.stopped):
        return _("cannot be reached: %(why)s") % {"why": feed.problem}
    state = overview.get_state(feed, datetime.now(UTC))
    first = (
        _("its first file waits for you")
        if overview.read_row(feed, datetime.now(UTC)).waiting
        else _("shows its next file to a person first")
    )
    return {
        "paused": _("paused: %(why)s") % {"why": feed.paused_why} if feed.paused_why else _("paused"),
        "stopped": _("stopped: %(why)s") % {"why": feed.stopped},
        "waits": _("an import waits for you"),
        "late": _("late"),
        "failed": _("the last file could not be imported"),
        "first": first,
    }.get(str(state), _("fine"))


def print_feed(feed: "models.Feed", output: str) -> None:
    """Print one feed: its settings, what it has of secrets without showing them, and its state."""
    from musterbook.directory.agency import feed_form, feed_secrets, feeds

    unknown = feeds.list_unknown_recipients(feed)
    fingerprint = feed_secrets.get_fingerprint(feed.host_key) if feed.host_key else None
    if output == "json":
        credentials = {"secrets": sorted(feed.secrets), "host_key": fingerprint, "token": bool(feed.token)}
        settings = feed_form.read_table(feed)
        write_json({**make_entry(feed), **credentials, "settings": settings, "unknown_recipients": unknown})
        return
    texts = {"name": feed.name, **feed_form.describe(feed)}
    texts |= {f"secret {name}": _("set, never shown") for name in sorted(feed.secrets)}
    texts |= {"host key": fingerprint or "", "token": _("set, never shown") if feed.token else ""}
    texts["state"] = _describe_state(feed)
    width = max(map(len, (name for name, text in texts.items() if text)))
    for name, text in texts.items():
        if text:
            line = f"{escape_text(name):<{width}}  {escape_text(text)}"
            make_console().print(line, markup=False, highlight=False, soft_wrap=True)
    for recipient in unknown:
        say(
            _("There is no Active user with the external ID “%(id)s”, so nobody is notified for it.")
            % {"id": recipient}
        )
