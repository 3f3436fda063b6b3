"""The names that an agency's files may use: its roles, ranks and groups, and the country of its phones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """A role: its id in the directory, its name, and the permissions that it grants."""

    id: int
    name: str
    permissions: frozenset[str] = frozenset()
    administrator: bool = False
    """True of the one role Admin, which has every permission and cannot be changed."""


@dataclass(frozen=True, slots=True)
class Rank:
    """A rank: its id in the directory, its name, and its abbreviation ("" for none)."""

    id: int
    name: str
    abbreviation: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its id in the directory, the external id that files use, and whether it is active."""

    id: int
    external_id: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All that a cell of a file may name, and `country`: the ISO code that phones without a country code are of.

    `matched_by_email`: whether users sign in by a provider that knows them by their e-mail address.
    """

    roles: tuple[Role, ...] = ()
    ranks: tuple[Rank, ...] = ()
    groups: tuple[Group, ...] = ()
    country: str = ""
    matched_by_email: bool = False
