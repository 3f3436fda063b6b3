"""Events of the audit trail in plain words, as the pages and the PDF show them."""

import unicodedata
from dataclasses import dataclass

from musterbook.accounts import sessions
from musterbook.core.domain.labels import CHANNELS, capitalized
from musterbook.directory.audit import event_kinds
from musterbook.directory.audit.browse import ListedEvent

_BEGIN, _END = "\u2068", "\u2069"
_FEW = 4
"""The most fields of an event that are shown unfolded."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field of an event, before and after. `before` is empty if there was no value."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as it is shown."""

    told: ListedEvent
    what: str
    through: str
    program: str
    outcome: str
    changes: list[Change]

    @property
    def many(self) -> bool:
        """Return whether the fields are folded."""
        return len(self.changes) > _FEW

    @property
    def by(self) -> str:
        """Return the actor: their name as it is now, or what else is known."""
        if not self.told.actor:
            return "Nobody signed in" if self.told.through == "page" else "Musterbook itself"
        return f"{self.told.actor_name} ({self.told.actor})" if self.told.actor_name else self.told.actor


def shown(told: ListedEvent) -> Shown:
    """Return the event in words."""
    name = isolated(told.subject_name)
    user = f"{name} ({told.subject_external_id})" if name else told.subject_external_id
    return Shown(
        told,
        event_kinds.describe(told.kind, user),
        capitalized(CHANNELS.get(told.through, told.through)),
        sessions.program(told.agent) if told.agent else "",
        event_kinds.OUTCOMES.get(told.outcome, told.outcome),
        [Change(event_kinds.label_field(name), before, after) for name, (before, after) in told.changes.items()],
    )


def isolated(name: str) -> str:
    """Return a name that can be placed within a sentence.

    A right-to-left name is isolated, so that it does not reverse the text next to it.
    """
    turns = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in name)
    return f"{_BEGIN}{name}{_END}" if turns else name


def plain(text: str) -> str:
    """Return the text without the marks of `isolated`."""
    return text.replace(_BEGIN, "").replace(_END, "")
