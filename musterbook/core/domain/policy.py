"""Under which rules a plan is made: the mode, strictness, who acts, and how many may be deactivated unasked."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """What an import does with users whom its file does not mention."""

    UPDATE = "update"
    """Add or update user accounts: the others are not affected."""
    SYNC = "sync"
    """Synchronize all user accounts: the others become Inactive."""


@dataclass(frozen=True, slots=True)
class Operator:
    """The user who acts, whose permissions bound what the import may do (rule M10)."""

    id: int
    external_id: str
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class DeactivationLimit:
    """How many users a synchronize import may deactivate without being asked (rule S4)."""

    users: int = 5
    percent: float = 10
    most: int = 500

    def allowed(self, active: int) -> int:
        """The number of deactivations allowed in an agency of so many active users."""
        return min(max(self.users, int(active * self.percent / 100)), self.most)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one plan. `operator` None is the system, bound by nobody's role.

    `confirmed` is the number of deactivations that the operator has confirmed, if any.
    """

    mode: Mode = Mode.UPDATE
    strict: bool = False
    operator: Operator | None = None
    limit: DeactivationLimit = DeactivationLimit()
    confirmed: int | None = None
