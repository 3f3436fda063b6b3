"""The words and marks of feeds on pages."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.directory.models import FeedMode
from musterbook.feeds.overview import FeedRow, FeedState, Mark, Night
from musterbook.web import times

STATES = {
    FeedState.FINE: gettext_lazy("Fine"),
    FeedState.WAITS: gettext_lazy("Waits for you"),
    FeedState.FIRST: gettext_lazy("First file"),
    FeedState.LATE: gettext_lazy("Late"),
    FeedState.FAILED: gettext_lazy("Last file failed"),
    FeedState.UNREACHABLE: gettext_lazy("Unreachable"),
    FeedState.STOPPED: gettext_lazy("Stopped"),
    FeedState.PAUSED: gettext_lazy("Paused"),
}
"""The states of feeds, each with its label."""
MODES: Mapping[str, Any] = {
    FeedMode.UPDATE.value: gettext_lazy("Add or update user accounts"),
    FeedMode.SYNC.value: gettext_lazy("Synchronize all user accounts"),
}
"""The modes of feeds, each with its label."""
KINDS = {
    "folder": gettext_lazy("A folder"),
    "sftp": gettext_lazy("An SFTP server"),
    "https": gettext_lazy("A web address (HTTPS)"),
    "sent": gettext_lazy("Sent to us (REST)"),
    "command": gettext_lazy("A command"),
}
"""The kinds of locations, each with its label."""
KINDS_EXPLAINED = {
    "folder": gettext_lazy("Something puts the file into a folder of the computer on which Musterbook runs."),
    "sftp": gettext_lazy("Musterbook fetches the file from a server of yours or of your HR system."),
    "https": gettext_lazy("Musterbook fetches the file from a web address, with a secret if you need one."),
    "sent": gettext_lazy("A program sends the file to Musterbook, with a token that allows only that."),
    "command": gettext_lazy("A script on the computer on which Musterbook runs brings the file."),
}
"""The kinds of locations, each with a sentence."""
MARKS = {
    Mark.APPLIED: ("✓", gettext_lazy("applied")),
    Mark.SAME: ("=", gettext_lazy("nothing new")),
    Mark.HELD: ("!", gettext_lazy("held")),
    Mark.FAILED: ("×", gettext_lazy("failed")),
    Mark.RUNNING: ("…", gettext_lazy("in progress")),
    Mark.NONE: ("·", gettext_lazy("no file")),
}
"""The marks of nights, each with its sign and its label."""


def label_state(row: FeedRow) -> str:
    """Return the label of the state of a feed. A first file that has arrived waits."""
    if row.state == FeedState.FIRST:
        return _("First file waits for you") if row.waiting else _("Waits for its first file")
    return str(STATES[row.state])


def render_nights(name: str, nights: Iterable[Night]) -> SafeString:
    """Return one mark for each night of the feed with this name, as the items of a list.

    A mark is a link to its import, or to its file on the page of the feed.
    """
    return format_html_join("", "<li>{}</li>", ((_render_night(name, night),) for night in nights))


def _render_night(name: str, night: Night) -> SafeString:
    sign, label = MARKS[night.mark]
    day = times.format_day(night.day)
    text = (
        _("%(day)s: %(mark)s, %(file)s") % {"day": day, "mark": label, "file": night.name}
        if night.name
        else _("%(day)s: %(mark)s") % {"day": day, "mark": label}
    )
    if night.number or night.file:
        address = reverse("import", args=[night.number]) if night.number else make_file_address(name, night.file)
        return format_html(
            '<a class="m-night m-night--{}" href="{}" title="{}" aria-label="{}">{}</a>',
            night.mark, address, text, text, sign,
        )  # fmt: skip
    return format_html(
        '<span class="m-night m-night--{}" title="{}" role="img" aria-label="{}">{}</span>',
        night.mark, text, text, sign,
    )  # fmt: skip


def make_file_address(name: str, file: int) -> str:
    """Return the address of a file on the page of the feed with this name."""
    return f"{reverse('feed', args=[name])}?file={file}#file-{file}"


def render_legend() -> SafeString:
    """Return what each mark means, as the items of a list."""
    items = ((mark, sign, label) for mark, (sign, label) in MARKS.items() if mark != Mark.RUNNING)
    return format_html_join("", '<li><span class="m-night m-night--{}" aria-hidden="true">{}</span> {}</li>', items)
