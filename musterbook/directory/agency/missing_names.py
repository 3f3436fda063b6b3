"""Roles, ranks and groups that a file names and the agency does not have: created together, in one act (F13).

Which names those are says `directory.imports.unknown_values.list_missing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.agency import agencies, groups, ranks, roles
from musterbook.directory.agency.roles import RoleInput
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.permissions import NotPermitted

MOST = 300
"""The most names of one kind that are created at once. A file with more has another column in that place."""


class TooMany(Exception):
    """More names of one kind than MOST."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of roles and ranks, and the external IDs of groups. Ranks are in their order, the highest first."""

    roles: Sequence[str] = ()
    ranks: Sequence[str] = ()
    groups: Sequence[str] = ()

    @property
    def needed(self) -> list[str]:
        """Return the permissions that creating them needs."""
        kinds = {"roles.manage": self.roles, "ranks.manage": self.ranks, "groups.manage": self.groups}
        return [permission for permission, names in kinds.items() if names]

    def __len__(self) -> int:
        """Return the number of all names."""
        return len(self.roles) + len(self.ranks) + len(self.groups)


def create(agency: models.Agency, context: AuditContext, names: Names) -> Names:
    """Create what does not exist yet, all or nothing and as one event, and return what was created.

    The actor of the context must have the permission for each kind. A new role has no permissions. Raise NotPermitted,
    InvalidValue, TooMany and UnknownOperator.
    """
    by = snapshot_queries.find_operator(agency, context.authority)
    lacking = [] if by is None else [permission for permission in names.needed if permission not in by.permissions]
    if lacking:
        raise NotPermitted(", ".join(lacking))
    if max(len(names.roles), len(names.ranks), len(names.groups)) > MOST:
        raise TooMany
    with agencies.changing(agency, context):
        new = _select_new(agency, names)
        for role in new.roles:
            roles.insert(agency, RoleInput(role, frozenset(), second_factor=False), by)
        for rank in new.ranks:
            ranks.insert(agency, rank)
        for group in new.groups:
            groups.insert(agency, group)
    return new


def _select_new(agency: models.Agency, names: Names) -> Names:
    """Return the names that the agency does not have, each once. A rank has its abbreviation as a name, too."""
    words = snapshot_queries.read_vocabulary(agency)
    known_ranks = {fold(text) for rank in words.ranks for text in (rank.name, rank.abbreviation) if text}
    return Names(
        _drop_known(names.roles, {fold(role.name) for role in words.roles}),
        _drop_known(names.ranks, known_ranks),
        [name for name in dict.fromkeys(names.groups) if name not in {group.external_id for group in words.groups}],
    )


def _drop_known(names: Sequence[str], known: set[str]) -> list[str]:
    by_key = {fold(name): name for name in reversed(names)}
    return [name for name in names if fold(name) not in known and by_key[fold(name)] == name]
