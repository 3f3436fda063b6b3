"""The values of an import's file that name nothing that the agency has, once each with their number of rows (F13)."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import polars as pl
from django.db.models import Count

from musterbook.core.checking import meanings
from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column
from musterbook.core.domain.file_values import MAPPED
from musterbook.directory import models
from musterbook.directory.agency import missing_names, vocabularies
from musterbook.directory.agency.missing_names import Names
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports import plan_files

_CODES = {
    "invalid-status": columns.STATUS,
    "unknown-role": columns.ROLE,
    "unknown-rank": columns.RANK,
    "unknown-group": columns.EVIDENCE_GROUP_EXT_ID,
}
"""The problems of cells that should name something → their column."""
_MOST = missing_names.MOST + 1
"""The most values of a column that are listed. More than can be created are one too many."""


@dataclass(frozen=True, slots=True)
class UnknownValue:
    """One value of a column, as most rows write it, with the number of its rows."""

    column: Column
    value: str
    rows: int

    @property
    def can_create(self) -> bool:
        """Return whether a role, rank or group can have this name."""
        return self.column is not columns.STATUS and vocabularies.is_name(self.value)


@dataclass(frozen=True, slots=True)
class Missing:
    """The roles, ranks and groups that the file names and the agency does not have, each with its number of rows.

    Roles and groups have the most rows first. Ranks have the fewest rows first: few users have a high rank.
    """

    roles: tuple[UnknownValue, ...] = ()
    ranks: tuple[UnknownValue, ...] = ()
    groups: tuple[UnknownValue, ...] = ()

    @property
    def names(self) -> Names:
        """Return the names that can be created. A kind with too many names has none: its column is another one."""
        return Names(*(_list_creatable(kind) for kind in (self.roles, self.ranks, self.groups)))


def _list_creatable(values: Iterable[UnknownValue]) -> list[str]:
    names = [value.value for value in values if value.can_create]
    return names if len(names) <= missing_names.MOST else []


def list_unknown(record: models.Import) -> list[UnknownValue]:
    """Return the values of STATUS, ROLE, RANK and EVIDENCE_GROUP_EXT_ID that name nothing, most rows first by column.

    Values that differ only in case are one value, except those of groups. Those that were created since are left out.
    """
    words = snapshot_queries.read_vocabulary(record.agency)
    found: dict[tuple[Column, str], tuple[str, int]] = {}
    for code, value, rows in _tally_values(record):
        column = _CODES[code]
        key = (column, value if column is columns.EVIDENCE_GROUP_EXT_ID else meanings.normalize_value(value))
        first, before = found.get(key, (value, 0))
        found[key] = (first, before + rows)
    listed = [
        UnknownValue(column, value, rows)
        for (column, _), (value, rows) in found.items()
        if value and meanings.name_value(column, value, words) is None
    ]
    return sorted(listed, key=lambda one: (MAPPED.index(one.column), -one.rows, one.value))


def list_missing(record: models.Import) -> Missing:
    """Return the roles, ranks and groups that the file of the import names and that do not exist."""
    unknown = list_unknown(record)
    of = {column: tuple(one for one in unknown if one.column is column) for column in MAPPED}
    ranks = sorted(of[columns.RANK], key=lambda one: (one.rows, one.value))
    return Missing(of[columns.ROLE], tuple(ranks), of[columns.EVIDENCE_GROUP_EXT_ID])


def _tally_values(record: models.Import) -> list[tuple[str, str, int]]:
    """Return the most frequent values of each code with their numbers of rows, from the plan or else from the record."""
    with suppress(plan_files.PlanGone):
        problems = plan_files.scan_part(record.number, "problems").filter(
            ~pl.col("note"), pl.col("row") > 0, pl.col("code").is_in([*_CODES])
        )
        tally = problems.group_by("code", "value").agg(pl.len().alias("rows")).collect()
        most = tally.sort("rows", "value", descending=[True, False]).group_by("code", maintain_order=True).head(_MOST)
        return most.select("code", "value", "rows").rows()
    entries = models.ImportProblem.objects.filter(of=record, row__gt=0, note=False).order_by()
    tallies = [entries.filter(code=code).values_list("code", "value").annotate(rows=Count("pk")) for code in _CODES]
    return [values for tally in tallies for values in tally.order_by("-rows", "value")[:_MOST]]
