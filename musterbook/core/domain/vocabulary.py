"""The names that an agency's files may use (roles, ranks, groups), and the country of its phone numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """A role: its id in the directory, its name, and the permissions that it grants."""

    id: int
    name: str
    permissions: frozenset[str] = frozenset()
    administrator: bool = False
    """True for the single role Admin, which has every permission and cannot be changed."""


@dataclass(frozen=True, slots=True)
class Rank:
    """A rank: its id in the directory, its name, and its abbreviation ("" for none)."""

    id: int
    name: str
    abbreviation: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its id in the directory, the external ID that files use, and whether it is active."""

    id: int
    external_id: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Everything that a cell of a file may name.

    - `country`: the ISO code of the country of phone numbers that have no country code.
    - `matched_by_email`: whether users sign in with an identity provider that identifies them by email address.
    - `matched_by_id`: whether one identifies them by external ID.
    """

    roles: tuple[Role, ...] = ()
    ranks: tuple[Rank, ...] = ()
    groups: tuple[Group, ...] = ()
    country: str = ""
    matched_by_email: bool = False
    matched_by_id: bool = False
