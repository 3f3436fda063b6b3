"""Events of the trail in plain words, as the pages and the PDF have them."""

import unicodedata
from dataclasses import dataclass

from musterbook.accounts import sessions
from musterbook.directory.audit import event_kinds
from musterbook.directory.audit.browse import Told

_BEGIN, _END = "\u2068", "\u2069"
_FEW = 4
"""So many fields of an event are shown at once; more are folded away."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field of an event, before and after; `before` is empty where there was nothing."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as it is shown."""

    told: Told
    what: str
    through: str
    program: str
    outcome: str
    changes: list[Change]

    @property
    def many(self) -> bool:
        """Whether its fields are folded away."""
        return len(self.changes) > _FEW

    @property
    def by(self) -> str:
        """Who has done it: their name as it is now, or what else is known."""
        if not self.told.actor:
            return "Nobody signed in" if self.told.through == "page" else "Musterbook itself"
        return f"{self.told.actor_name} ({self.told.actor})" if self.told.actor_name else self.told.actor


def shown(told: Told) -> Shown:
    """The event in words."""
    name = isolated(told.subject_name)
    whom = f"{name} ({told.subject_external_id})" if name else told.subject_external_id
    return Shown(
        told,
        event_kinds.sentence(told.kind, whom),
        event_kinds.THROUGH.get(told.through, told.through),
        sessions.program(told.agent) if told.agent else "",
        event_kinds.OUTCOMES.get(told.outcome, told.outcome),
        [Change(event_kinds.field(name), before, after) for name, (before, after) in told.changes.items()],
    )


def isolated(name: str) -> str:
    """A name as it can stand within a sentence: one that is written from right to left does not turn what stands beside it."""
    turns = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in name)
    return f"{_BEGIN}{name}{_END}" if turns else name


def plain(text: str) -> str:
    """The text without the marks of `isolated`."""
    return text.replace(_BEGIN, "").replace(_END, "")
