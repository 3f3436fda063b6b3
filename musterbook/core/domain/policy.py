"""The rules of a plan: mode, strictness, operator, and the limit on deactivations without confirmation."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from musterbook.core.domain.decisions import Decisions
from musterbook.core.domain.file_values import FileValues


class Mode(StrEnum):
    """The treatment of users that the file does not mention."""

    UPDATE = "update"
    """Add or update user accounts. Other users are not affected."""
    SYNC = "sync"
    """Synchronize all user accounts. Other users become Inactive."""
    REKEY = "rekey"
    """Change external ids (rule M14). Nothing else of any user changes."""


@dataclass(frozen=True, slots=True)
class Operator:
    """The user who acts. Their permissions limit what the import may do (rule M10)."""

    id: int
    external_id: str
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class DeactivationLimit:
    """The number of users that a sync import may deactivate without confirmation (rule S4)."""

    users: int = 5
    percent: float = 10
    most: int = 500

    def allowed(self, active: int) -> int:
        """Return the number of deactivations allowed in an agency with `active` active users."""
        return min(max(self.users, int(active * self.percent / 100)), self.most)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one plan.

    `operator` None is the system, which no role restricts. `confirmed` is the number of deactivations that the operator
    has confirmed, or None. `file_values`: the mapped values (F13) and the defaults (F14).
    `decisions`: what the operator has decided about rows that are errors otherwise.
    """

    mode: Mode = Mode.UPDATE
    strict: bool = False
    operator: Operator | None = None
    limit: DeactivationLimit = DeactivationLimit()
    confirmed: int | None = None
    file_values: FileValues = field(default_factory=FileValues)
    source: str = ""
    """The source of the file (rule S9), "" for none. A synchronize import looks for missing users among its users only."""
    grace_days: int = 0
    """The days for which a missing user keeps access (rule S10)."""
    today: date = date.min
    """The day of the import, from which the grace period is counted."""
    decisions: Decisions = field(default_factory=Decisions)
