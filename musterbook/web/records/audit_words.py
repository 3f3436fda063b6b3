"""Events of the audit trail in plain words, as the pages and the PDF show them."""

import unicodedata
from dataclasses import dataclass

from musterbook.accounts import sessions
from musterbook.core.domain.labels import CHANNELS, capitalize_label
from musterbook.directory.audit import event_kinds
from musterbook.directory.audit.browse import ListedEvent

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
    """An event as it is shown."""

    source: ListedEvent
    what: str
    through: str
    program: str
    outcome: str
    changes: list[FieldChange]

    @property
    def many(self) -> bool:
        """Return whether the fields are folded."""
        return len(self.changes) > _FEW

    @property
    def by(self) -> str:
        """Return the actor: their name as it is now, or what else is known."""
        if not self.source.actor:
            return "Nobody signed in" if self.source.through == "page" else "Musterbook itself"
        return f"{self.source.actor_name} ({self.source.actor})" if self.source.actor_name else self.source.actor


def describe_event(event: ListedEvent) -> ShownEvent:
    """Return the event in words."""
    name = isolate_name(event.subject_name)
    user = f"{name} ({event.subject_external_id})" if name else event.subject_external_id
    return ShownEvent(
        event,
        event_kinds.describe(event.kind, user),
        capitalize_label(CHANNELS.get(event.through, event.through)),
        sessions.describe_program(event.agent) if event.agent else "",
        event_kinds.OUTCOMES.get(event.outcome, event.outcome),
        [FieldChange(event_kinds.label_field(name), before, after) for name, (before, after) in event.changes.items()],
    )


def isolate_name(name: str) -> str:
    """Return a name that can be placed within a sentence.

    A right-to-left name is isolated, so that it does not reverse the text next to it.
    """
    turns = any(unicodedata.bidirectional(character) in ("R", "AL") for character in name)
    return f"{_BEGIN}{name}{_END}" if turns else name


def remove_marks(text: str) -> str:
    """Return the text without the marks of `isolate_name`."""
    return text.replace(_BEGIN, "").replace(_END, "")
