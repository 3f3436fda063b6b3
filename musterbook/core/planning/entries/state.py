"""What an agency has now of what a file of entries names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from musterbook.core.domain.snapshot import HEADCOUNT
from musterbook.core.planning.harms import HARMED

USERS = {
    "id": pl.Int64,
    **dict.fromkeys(("external_id", "name"), pl.String),
    **dict.fromkeys(("role_id", "group_id"), pl.Int64),
    "active": pl.Boolean,
    "no_files": pl.Boolean,
}
"""The columns of users: their name is the first and last one."""
MONITORINGS = {"group_id": pl.Int64, "user_id": pl.Int64}
"""The columns of who monitors a group."""


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group as it is: `parent` is the external ID of the group that it is part of, "" for none."""

    id: int
    external_id: str
    name: str
    active: bool = True
    parent: str = ""


@dataclass(frozen=True, slots=True)
class StoredRole:
    """A role as it is."""

    id: int
    name: str
    key: str
    permissions: frozenset[str]
    administrator: bool = False
    second_factor: bool = False


@dataclass(frozen=True, slots=True)
class StoredRank:
    """A rank as it is."""

    id: int
    name: str
    key: str
    abbreviation: str = ""


def _find_nobody(noun: str, ids: Sequence[int]) -> pl.DataFrame:  # noqa: ARG001  (an agency without users)
    return pl.DataFrame(schema=HARMED)


@dataclass(frozen=True, slots=True)
class EntryState:
    """What the agency has now.

    - `groups`: by external ID. `ranks`: in their order.
    - `users` (USERS), `monitors` (MONITORINGS), `group_monitors`: for a file of members, the users that it names, those who
      are in the groups that it names or monitor them, and the pairs of groups (monitored, monitoring).
    - `find_users`: return the active users (harms.HARMED) of some roles or groups (`role`, `group`; ids).
    - `headcount` (snapshot.HEADCOUNT): the number of active users of each role and group. Without users, nothing is held.
    - `permissions`: the names of all permissions. `own_role`: the id of the operator's role, 0 for the system.
    """

    groups: Mapping[str, StoredGroup] = field(default_factory=dict)
    roles: Sequence[StoredRole] = ()
    ranks: Sequence[StoredRank] = ()
    users: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=USERS))
    monitors: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MONITORINGS))
    group_monitors: frozenset[tuple[str, str]] = frozenset()
    find_users: Callable[[str, Sequence[int]], pl.DataFrame] = _find_nobody
    headcount: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=HEADCOUNT))
    permissions: frozenset[str] = frozenset()
    own_role: int = 0
