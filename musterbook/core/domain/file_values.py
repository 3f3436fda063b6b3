"""The file's own values and the defaults of an import: how they are stored, and which columns can have them (F13, F14)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column

Meanings: TypeAlias = Mapping[str, Mapping[str, str]]
"""Column (`STATUS`) → value in the file → the agency's value ("" for none, in an optional column)."""
Defaults: TypeAlias = Mapping[str, str]
"""Column → the value of new users, if the file does not have the column."""

MAPPED: tuple[Column, ...] = (columns.STATUS, columns.ROLE, columns.RANK, columns.EVIDENCE_GROUP_EXT_ID)
"""The columns whose values can be mapped: their cells name something that the agency has."""

_PERSONAL = (columns.FIRST_NAME, columns.LAST_NAME)
DEFAULTED: tuple[Column, ...] = tuple(
    column for column in columns.COLUMNS if not column.unique and column not in _PERSONAL
)
"""The columns that can have a default: every column whose value two users may share, except their names."""


@dataclass(frozen=True, slots=True)
class FileValues:
    """The mapped values and the defaults of one import.

    `given` and `defaults` are for this file, so an import with a wrong one is refused. `remembered` and
    `agency_defaults` are the agency's, and apply where they fit.
    """

    given: Meanings = field(default_factory=dict)
    remembered: Meanings = field(default_factory=dict)
    defaults: Defaults = field(default_factory=dict)
    agency_defaults: Defaults = field(default_factory=dict)
