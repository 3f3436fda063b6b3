"""Events of the audit trail in plain words, as the pages and the PDF show them."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy, pgettext, pgettext_lazy

from musterbook.accounts import sessions
from musterbook.core.domain.labels import CHANNELS, capitalize_label
from musterbook.directory import models
from musterbook.directory.audit import event_kinds
from musterbook.directory.audit.browse import ListedEvent
from musterbook.directory.audit.groups import EventGroup
from musterbook.web.field_labels import LABELS

_BEGIN, _END = "\u2068", "\u2069"
_FEW = 4
"""The most fields of an event that are shown unfolded."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of an event, before and after. `before` is empty if there was no value."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event as it is shown. `sees_users`: names are links."""

    source: ListedEvent
    what: str
    through: str
    program: str
    outcome: str
    changes: list[FieldChange]
    sees_users: bool = False

    @property
    def first(self) -> "ShownEvent":
        """Return the event itself, as the first of its row."""
        return self

    @property
    def events(self) -> tuple[()]:
        """Return nothing: a row of one event does not open."""
        return ()

    @property
    def many(self) -> bool:
        """Return whether the fields are folded."""
        return len(self.changes) > _FEW

    @property
    def by(self) -> str:
        """Return the actor: their name as it is now, or what else is known."""
        if not self.source.actor:
            return _("Not signed in") if self.source.through == "page" else _("System")
        return f"{self.source.actor_name} ({self.source.actor})" if self.source.actor_name else self.source.actor

    @property
    def by_link(self) -> SafeString:
        """Return the actor, as a link to the user if the reader may see users."""
        if self.source.actor_id is None:
            return format_html("{}", self.by)
        return _link_user(self.source.actor_id, self.source.actor_name, linked=self.sees_users)

    @property
    def what_linked(self) -> SafeString:
        """Return the sentence, in which the user is a link if the reader may see users."""
        event = self.source
        if event.subject is None or not event.subject_name:
            return format_html("{}", self.what)
        before, mark, after = event_kinds.translate_sentence(event.kind).partition("{user}")
        name = _link_user(event.subject, isolate_name(event.subject_name), linked=self.sees_users)
        number = f" ({event.subject_external_id})" if mark and event.subject_external_id else ""
        return format_html("{}{}{}{}", before, name if mark else "", number, after)

    @property
    def label(self) -> str:
        """Return what happened without the user, for a list that is about one user."""
        return event_kinds.translate_label(self.source.kind)

    @property
    def import_name(self) -> str:
        """Return the name of the import that the event belongs to, or ""."""
        return name_import(self.source.of_kind, self.source.file_name) if self.source.number else ""

    @property
    def clock(self) -> SafeString:
        """Return the time of day, with the exact time on hover."""
        return render_clock(self.source.at)


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """Several events that are shown as one line, which opens. `more`: the number of events that are not shown."""

    first: ShownEvent
    events: list[ShownEvent]
    title: str
    counts: str
    of_import: bool
    more: int


ShownRow = ShownEvent | ShownGroup


def describe_event(event: ListedEvent, *, sees_users: bool = False) -> ShownEvent:
    """Return the event in words."""
    name = isolate_name(event.subject_name)
    user = f"{name} ({event.subject_external_id})" if name else event.subject_external_id
    return ShownEvent(
        event,
        event_kinds.describe(event.kind, user),
        capitalize_label(CHANNELS.get(event.through, event.through)),
        sessions.describe_program(event.agent) if event.agent else "",
        str(event_kinds.OUTCOMES.get(event.outcome, event.outcome)),
        [FieldChange(_label_field(name), before, after) for name, (before, after) in event.changes.items()],
        sees_users,
    )


_FIELDS: Mapping[str, Any] = {
    "address": gettext_lazy("Address"),
    "asked": pgettext_lazy("field of an event", "Asked"),
    "factor": gettext_lazy("Second factor"),
    "factors": pgettext_lazy("field of an event", "Factors"),
    "file": gettext_lazy("File"),
    "file_name": gettext_lazy("File name"),
    "group": gettext_lazy("Group"),
    "import": gettext_lazy("Import"),
    "link": gettext_lazy("Link"),
    "more of the same": pgettext_lazy("field of an event", "More of the same"),
    "provider": gettext_lazy("Provider"),
    "reason": pgettext_lazy("field of an event", "Reason"),
    "display_name": gettext_lazy("Display name"),
    "token": gettext_lazy("Token"),
    "why": gettext_lazy("Why"),
}
"""The labels of fields that are not of a user. Those of an agency's settings are as in an agency file."""


def _label_field(name: str) -> str:
    return str(LABELS.get(name) or _FIELDS.get(name) or event_kinds.label_field(name))


def describe_group(group: EventGroup, *, sees_users: bool = False) -> ShownRow:
    """Return an entry of the trail: an event as it is, and more than one as one line."""
    events = [describe_event(event, sees_users=sees_users) for event in group.events]
    first = events[0]
    if group.number == 1:
        return first
    title = first.import_name if group.of_import else first.label
    counts = _count_rows(group) if group.of_import else _count_events(group.number)
    return ShownGroup(first, events, title, counts, group.of_import, max(group.number - len(events), 0))


def _count_events(number: int) -> str:
    shown = formats.number_format(number, force_grouping=True)
    return ngettext("%(number)s event", "%(number)s events", number) % {"number": shown}


_COUNTS: Mapping[str, Any] = {
    "added": ngettext_lazy("%(number)s added", "%(number)s added", "count"),
    "updated": ngettext_lazy("%(number)s updated", "%(number)s updated", "count"),
    "deactivated": ngettext_lazy("%(number)s deactivated", "%(number)s deactivated", "count"),
}


def _count_rows(group: EventGroup) -> str:
    """Return what an import did: “250 added, 3 updated”."""
    found = [
        str(text % {"count": number, "number": formats.number_format(number, force_grouping=True)})
        for name, text in _COUNTS.items()
        if (number := group.counts.get(name))
    ]
    return ", ".join(found) or _count_events(group.number)


def name_import(kind: str, file_name: str) -> str:
    """Return the name of an import: that of its file, or what it was."""
    if kind == models.ImportKind.UNDO:
        return _("Undo of an import")
    if kind == models.ImportKind.BULK:
        return _("Bulk change: %(change)s") % {"change": file_name}
    return file_name or _("Import")


def list_days(rows: Iterable[ShownRow]) -> list[tuple[str, list[ShownRow]]]:
    """Return the rows of each day of the reader, with its heading."""
    days = groupby(rows, lambda row: timezone.localtime(_find_time(row)).date())
    return [(formats.date_format(day, pgettext("date", "l, j F Y")), list(some)) for day, some in days]


def _find_time(row: ShownRow) -> datetime:
    return row.first.source.at


def render_clock(at: datetime) -> SafeString:
    """Return the time of day in the reader's zone, with the exact time on hover."""
    local = timezone.localtime(at)
    exact = f"{local.isoformat(' ', 'seconds')} ({local.tzname()})"
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, f"{local:%H:%M}")


def _link_user(pk: int, name: str, *, linked: bool) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("user", args=[pk]), name) if linked else format_html("{}", name)


def isolate_name(name: str) -> str:
    """Return a name that can be placed within a sentence.

    A right-to-left name is isolated, so that it does not reverse the text next to it.
    """
    turns = any(unicodedata.bidirectional(character) in ("R", "AL") for character in name)
    return f"{_BEGIN}{name}{_END}" if turns else name


def remove_marks(text: str) -> str:
    """Return the text without the marks of `isolate_name`."""
    return text.replace(_BEGIN, "").replace(_END, "")
