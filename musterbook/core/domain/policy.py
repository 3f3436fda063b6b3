"""The rules of a plan: mode, strictness, operator, the limits of what needs no confirmation, and what is confirmed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from musterbook.core.domain.decisions import Decisions
from musterbook.core.domain.file_values import FileValues


class Mode(StrEnum):
    """The treatment of users that the file does not mention."""

    UPDATE = "update"
    """Add or update user accounts. Other users are not affected."""
    SYNC = "sync"
    """Synchronize all user accounts. Other users become Inactive."""
    REKEY = "rekey"
    """Change external IDs (rule M14). Nothing else of any user changes."""


@dataclass(frozen=True, slots=True)
class Operator:
    """The user who acts. Their permissions limit what the import may do (rule M10)."""

    id: int
    external_id: str
    permissions: frozenset[str]


class LimitKind(StrEnum):
    """What a limit counts (rule S4)."""

    DEACTIVATIONS = "deactivations"
    """Everyone who loses access."""
    PRIVILEGES = "privileges"
    """Everyone who gains a permission."""
    HANDOVERS = "handovers"
    """Everyone who takes an email address or username that another user has now."""
    CLEARED = "cleared"
    """Everyone who loses a value to a column that is blank in every row."""
    LOSSES = "losses"
    """Everyone who loses a group or a permission, or whose group is deleted, by a file of groups, members or roles."""
    REKEYS = "rekeys"
    """Everyone who gets another external ID."""
    UPDATES = "updates"
    """Every existing user who changes."""
    ADDITIONS = "additions"
    """Every user who is added."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The number of users of one kind that an import may concern without confirmation (rule S4).

    It is the larger of `users` and `percent` of the active users, but at most `most` (None: no maximum).

    - `off`: the limit is switched off.
    - `role`, `group`: the name of a role or the external ID of a group. The limit holds for its users only, in addition
      to the agency's own. "" for both: the limit of the whole agency.
    - `cautious`: it is also at most a third of the active users, but at least one. So a default never allows most of
      a small agency.
    """

    kind: LimitKind
    users: int = 0
    percent: float = 0
    most: int | None = None
    off: bool = False
    role: str = ""
    group: str = ""
    cautious: bool = False

    @property
    def whole(self) -> bool:
        """Return whether it is the limit of the whole agency."""
        return not (self.role or self.group)

    def allowed(self, active: int) -> int:
        """Return the number of users allowed where there are `active` active users."""
        number = max(self.users, int(active * self.percent / 100))
        number = number if self.most is None else min(number, self.most)
        return min(number, max(active // 3, 1)) if self.cautious else number


DEFAULT_LIMITS = (
    Limit(LimitKind.DEACTIVATIONS, 5, 10, 500, cautious=True),
    Limit(LimitKind.PRIVILEGES, 3, 1, 20),
    Limit(LimitKind.HANDOVERS, 3, 1),
    Limit(LimitKind.CLEARED, 5, 10),
    Limit(LimitKind.LOSSES, 5, 10),
    Limit(LimitKind.REKEYS, 3, 1),
    Limit(LimitKind.UPDATES, off=True),
    Limit(LimitKind.ADDITIONS, off=True),
)
"""The limits of an agency that sets none."""

Confirmed: TypeAlias = Mapping[str, int | None]
"""What the operator has confirmed: the kind of a limit, or the code of another hold → its number.

None is the number of a hold that has none.
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one plan.

    `operator` None is the system, which no role restricts. `limits`: one for each kind, and those of roles and groups.
    `file_values`: the mapped values (F13) and the defaults (F14). `decisions`: what the operator has decided about rows
    that are errors otherwise.
    `expect_rows`: the number of data rows that the file must have (F11). `last_rows`, `least_percent`: the file is held if
    it has fewer data rows than this share of the last applied file of its feed (N7); None: there was none.
    """

    mode: Mode = Mode.UPDATE
    strict: bool = False
    operator: Operator | None = None
    limits: tuple[Limit, ...] = DEFAULT_LIMITS
    confirmed: Confirmed = field(default_factory=dict)
    file_values: FileValues = field(default_factory=FileValues)
    source: str = ""
    """The source of the file (rule S9), "" for none. A synchronize import looks for missing users among its users only."""
    grace_days: int = 0
    """The days for which a missing user keeps access (rule S10)."""
    today: date = date.min
    """The day of the import, from which the grace period is counted."""
    decisions: Decisions = field(default_factory=Decisions)
    expect_rows: int | None = None
    last_rows: int | None = None
    least_percent: int = 0

    def shrinks(self, rows: int) -> bool:
        """Return whether a file with that many data rows has too few of them (N7)."""
        return rows * 100 < (self.last_rows or 0) * self.least_percent
