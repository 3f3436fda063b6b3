"""The imports that a list of users can be filtered by: the latest that were applied."""

from dataclasses import dataclass
from datetime import datetime

from musterbook.directory import models
from musterbook.directory.imports import bulk

MOST = 50
"""The most imports that are offered."""


@dataclass(frozen=True, slots=True)
class AppliedImport:
    """An import that was applied. `name`: the name of its file, or what a bulk change did."""

    id: int
    number: str
    at: datetime
    name: str
    kind: str
    changed: int
    """The number of users that it added or changed."""


def list_latest(agency: models.Agency) -> list[AppliedImport]:
    """Return the latest imports of the agency that were applied, the latest first."""
    records = models.Import.objects.filter(agency=agency, state="applied").order_by("-started_at", "-pk")
    return [describe_import(record) for record in records[:MOST]]


def describe_import(record: models.Import) -> AppliedImport:
    """Return the import as a list of imports shows it."""
    change = bulk.get_change(record)
    changed = sum(record.counts.get(name, 0) for name in ("added", "updated", "deactivated"))
    name = change.label if change else record.file_name
    return AppliedImport(record.pk, record.number, record.started_at, name, record.kind, changed)
