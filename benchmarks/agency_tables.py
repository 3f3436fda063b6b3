"""The tables of the case of many agencies."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

from benchmarks.plans import AGENCIES, AGENCY_WAITS, Row
from benchmarks.visits import PAGES

_WORKERS = ("1 worker", "2 workers", "4 workers", "8 workers")


@dataclass(frozen=True, slots=True)
class Night:
    """The nights of a row with that many workers, and the same with the fewest agencies."""

    row: Row
    workers: str
    fewest: Row

    @property
    def agencies(self) -> int:
        """Return the number of agencies."""
        return self.row.counts["agencies"]

    def find(self, name: str) -> float | None:
        """Return the median of the seconds of that name."""
        found = self.row.seconds.get(f"{name}, {self.workers}")
        return median(found) if found else None

    def find_of_each(self, row: Row | None = None) -> float:
        """Return the seconds of the night for each agency."""
        row = row or self.row
        return median(row.seconds[f"night, {self.workers}"]) / row.counts[f"settled, {self.workers}"]

    def find_processor(self, row: Row | None = None) -> float:
        """Return the seconds of the processor for each agency."""
        row = row or self.row
        return median(row.seconds[f"processor, {self.workers}"]) / row.counts[f"settled, {self.workers}"]


@dataclass(frozen=True, slots=True)
class Visits:
    """The seconds of a page in nights with that many workers, and on the idle installation."""

    row: Row
    workers: str
    page: str

    @property
    def night(self) -> Sequence[float]:
        """Return the seconds in the night."""
        return self.row.seconds[f"{self.page}, {self.workers}"]

    @property
    def idle(self) -> Sequence[float]:
        """Return the seconds on the idle installation."""
        return self.row.seconds[f"idle: {self.page}"]


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits of a small agency next to a large file of that kind (new, changed), with that many workers."""

    row: Row
    workers: str
    kind: str

    def get(self, name: str) -> Sequence[float]:
        """Return the seconds of that name."""
        return self.row.seconds[f"{name}, {self.workers}"]

    @property
    def more(self) -> float:
        """Return by how many small imports the longest wait is longer than the longest one alone."""
        return (max(self.get(f"next to {self.kind}")) - max(self.get("alone"))) / median(self.get("small import"))


def list_nights(rows: Iterable[Row]) -> list[Night]:
    """Return the nights, the fewest agencies first."""
    return list(_yield_nights([row for row in rows if row.case == AGENCIES]))


def _yield_nights(rows: Sequence[Row]) -> Iterator[Night]:
    for row in sorted(rows, key=lambda row: (row.database, row.users)):
        for workers in _WORKERS:
            name = f"night, {workers}"
            if name in row.seconds:
                same = [one for one in rows if one.database == row.database and name in one.seconds]
                yield Night(row, workers, min(same, key=lambda one: one.users))


def list_visits(rows: Iterable[Row]) -> list[Visits]:
    """Return the visits in nights."""
    return [Visits(night.row, night.workers, page) for night in list_nights(rows) for page in PAGES]


def list_waits(rows: Iterable[Row]) -> list[Waits]:
    """Return the waits next to each kind of large file."""
    return [
        Waits(row, workers, kind)
        for row in rows if row.case == AGENCY_WAITS
        for workers in _WORKERS if f"alone, {workers}" in row.seconds
        for kind in ("new", "changed") if row.seconds.get(f"next to {kind}, {workers}")
    ]  # fmt: skip


def find_percentile(seconds: Sequence[float], percent: int) -> float:
    """Return the percentile of the seconds."""
    return sorted(seconds)[ceil(len(seconds) * percent / 100) - 1]


def _format(value: float | None, places: int = 0) -> str:
    return "–" if value is None else f"{value:,.{places}f}"


def _format_log(night: Night) -> str:
    written = night.row.counts.get(f"log, {night.workers}", 0)
    return _format(written / night.row.counts[f"settled, {night.workers}"] / 1000) if written else "–"


def _format_growth(night: Night) -> str:
    first, last = (night.find(f"an import of the {part} quarter") for part in ("first", "last"))
    return _format(last / first, 2) if first and last else "–"


def _format_log_of_user(waits: Waits) -> str:
    written, changed = (
        waits.row.counts.get(f"{name}, {waits.kind}, {waits.workers}", 0) for name in ("log", "changed")
    )
    return _format(written / changed) if written and changed else "–"


NIGHTS: dict[str, Callable[[Night], str]] = {
    "agencies": lambda night: f"{night.agencies:,}",
    "users": lambda night: f"{night.row.counts['users']:,}",
    "database": lambda night: night.row.database,
    "workers": lambda night: night.workers.split()[0],
    "imports": lambda night: f"{night.row.counts[f'settled, {night.workers}']:,}",
    "seconds": lambda night: _format(night.find("night")),
    "agencies a minute": lambda night: _format(60 / night.find_of_each()),
    "seconds of an agency, × those with the fewest": lambda night: _format(
        night.find_of_each() / night.find_of_each(night.fewest), 2
    ),
    "last quarter, × the first": _format_growth,
    "processor of an agency, s": lambda night: _format(night.find_processor(), 3),
    "processor, × those with the fewest": lambda night: _format(
        night.find_processor() / night.find_processor(night.fewest), 2
    ),
    "peak MB of a worker": lambda night: _format(night.row.counts[f"peak, {night.workers}"] / 1e6),
    "database, MB": lambda night: _format(night.row.counts["bytes"] / 1e6),
    "after the night, MB": lambda night: _format(night.row.counts[f"bytes after, {night.workers}"] / 1e6),
    "log of an import, kB": _format_log,
    "load": lambda night: str(night.row.made.get("load", "–")),
}


VISITS: dict[str, Callable[[Visits], str]] = {
    "page": lambda visits: visits.page,
    "agencies": lambda visits: f"{visits.row.counts['agencies']:,}",
    "database": lambda visits: visits.row.database,
    "workers": lambda visits: visits.workers.split()[0],
    "p50, ms": lambda visits: _format(median(visits.night) * 1000),
    "p99, ms": lambda visits: _format(find_percentile(visits.night, 99) * 1000),
    "idle p50, ms": lambda visits: _format(median(visits.idle) * 1000),
    "idle p99, ms": lambda visits: _format(find_percentile(visits.idle, 99) * 1000),
    "p50 ×": lambda visits: _format(median(visits.night) / median(visits.idle), 1),
    "p99 ×": lambda visits: _format(find_percentile(visits.night, 99) / find_percentile(visits.idle, 99), 1),
    "visits": lambda visits: str(len(visits.night)),
}

WAITS: dict[str, Callable[[Waits], str]] = {
    "rows of the large file": lambda waits: f"{waits.row.users:,}",
    "its users": lambda waits: "all new" if waits.kind == "new" else "1 % changed",
    "database": lambda waits: waits.row.database,
    "workers": lambda waits: waits.workers.split()[0],
    "large import, s": lambda waits: _format(median(waits.get(f"large {waits.kind}")), 1),
    "small import, s": lambda waits: _format(median(waits.get("small import")), 2),
    "longest wait alone, s": lambda waits: _format(max(waits.get("alone")), 2),
    "median next to it, s": lambda waits: _format(median(waits.get(f"next to {waits.kind}")), 2),
    "longest next to it, s": lambda waits: _format(max(waits.get(f"next to {waits.kind}")), 2),
    "longer by small imports": lambda waits: _format(waits.more, 1),
    "arrivals": lambda waits: str(len(waits.get(f"next to {waits.kind}"))),
    "log of a changed user, B": _format_log_of_user,
    "load": lambda waits: str(waits.row.made.get("load", "–")),
}
