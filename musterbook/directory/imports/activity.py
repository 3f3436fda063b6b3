"""The effects of applied imports, day by day: how many users were added, updated, or lost access."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from musterbook.directory import models
from musterbook.directory.imports import import_log

DAYS = 30


@dataclass(frozen=True, slots=True)
class Day:
    """One day: the users that applied imports, bulk actions and undos added, updated, or took access from."""

    day: date
    added: int
    updated: int
    losing_access: int


def read_days(agency: models.Agency, at: datetime, zone: tzinfo, days: int = DAYS) -> list[Day]:
    """Return the last days in that time zone, today as the last one. Only the numbers of each import are read."""
    today = at.astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    applied = models.Import.objects.filter(
        agency=agency, state="applied", started_at__gte=datetime.combine(first, time(), tzinfo=zone)
    )
    totals = {first + timedelta(days=number): [0, 0, 0] for number in range(days)}
    for started_at, counts in applied.values_list("started_at", "counts").iterator():
        numbers = totals.get(started_at.astimezone(zone).date())
        if numbers:
            shown = import_log.read_counts(counts)
            for place, name in enumerate(("added", "updated", "losing_access")):
                numbers[place] += shown[name]
    return [Day(day, *numbers) for day, numbers in totals.items()]
