"""The targets of the figures, computed from the results."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

from benchmarks.plans import FEED_WAITS, IMPORTS, PEERS, Row

BYTES_A_ROW, BYTES_AT_LEAST = 1200, 150_000_000
NIGHT = 50_000
_FEW, _MANY = 500_000, 5_000_000
_STARTS = {"muster --version": 0.15, "muster import --help": 0.3}
_PEERS = dict(zip(PEERS, (5, 30, 30), strict=True))
_KOLIBRI = 500
_LISTED, _SEARCHED, _DEARER = 0.030, 0.100, 1.3
_LOOKED, _GROWN, _ALONE = 0.002, 1.2, 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target and its measured figure. `limit` is None if there is no bare limit. `unit` is that of all three figures."""

    what: str
    row: Row
    measured: float
    target: float
    limit: float | None = None
    unit: str = "s"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Return whether the target is met."""
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    @property
    def ratio(self) -> float | None:
        """Return the figure as a multiple of the limit."""
        return self.measured / self.limit if self.limit else None


def find_median(row: Row, name: str) -> float | None:
    """Return the median of the seconds of that name, or None if there are none."""
    return median(row.seconds[name]) if row.seconds.get(name) else None


def find_p95(seconds: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return sorted(seconds)[ceil(len(seconds) * 0.95) - 1]


def get_memory_target(users: int) -> int:
    """Return the most bytes that an import of that many users may use."""
    return BYTES_A_ROW * users + BYTES_AT_LEAST


def get_import_target(row: Row, rows: Iterable[Row]) -> tuple[float | None, float | None]:
    """Return the limit of a whole import and its target in seconds; None where a part was not measured or does not exist."""
    read, select, write = (find_median(row, name) for name in ("read", "select", "write"))
    if row.case == "new":
        return (None, None) if read is None or write is None else (read + write, 1.25 * (read + write))
    if row.case == "unchanged":
        return (None, None) if read is None or select is None else (read + select, 2 * (read + select))
    same = next((other for other in rows if other.key == ("unchanged", row.database, row.users)), None)
    unchanged = find_median(same, "run") if same else None
    if unchanged is None or write is None:
        return None, None
    return unchanged + write, 1.3 * unchanged + 1.5 * write if row.case == "changed" else None


def list_verdicts(rows: Sequence[Row]) -> Iterator[Verdict]:
    """Yield every target whose figures were measured."""
    for row in rows:
        if row.case in IMPORTS:
            yield from _judge_import(row, rows)
        elif row.case in _PEERS:
            what = f"{PEERS[row.case].about}: × django-import-export"
            yield from _judge_peer(row, what, "peer", _PEERS[row.case])
            yield from _judge_peer(row, f"{what} with our comparison", "peer hooked", _PEERS[row.case])
        elif row.case in _JUDGES:
            yield from _JUDGES[row.case](row)


def _judge_import(row: Row, rows: Sequence[Row]) -> Iterator[Verdict]:
    limit, target = get_import_target(row, rows)
    run = find_median(row, "run")
    if run is None:
        return
    if target is not None:
        yield Verdict(IMPORTS[row.case].about, row, run, target, limit)
    if row.case == "changed" and row.users == NIGHT:
        yield from _judge_night(row, run)
    if row.users == _MANY:
        yield from _judge_growth(row, run, rows)
    searchable = sum(median(found) for name, found in row.seconds.items() if name.endswith(".search"))
    if searchable:
        yield Verdict(
            f"{row.case}: × the same less what search needs", row, run / (run - searchable), _DEARER, unit="×"
        )
    yield Verdict(
        f"peak memory, {row.case}", row, max(row.peak_bytes) / 1e6, get_memory_target(row.users) / 1e6, unit="MB"
    )


def _judge_night(row: Row, run: float) -> Iterator[Verdict]:
    yield Verdict("a large agency’s night: work after start-up", row, run, 0.5)
    command, empty = find_median(row, "command"), find_median(row, "command-empty")
    if command is not None and empty is not None:
        yield Verdict("a large agency’s night: whole command, beside an empty file", row, command, 2 * empty, empty)


def _judge_growth(row: Row, run: float, rows: Sequence[Row]) -> Iterator[Verdict]:
    few = next((other for other in rows if other.key == (row.case, row.database, _FEW)), None)
    before = find_median(few, "run") if few else None
    if before is not None:
        cost, limit = (seconds / users * 1e6 for seconds, users in ((run, row.users), (before, _FEW)))
        yield Verdict(f"{row.case}: cost a row, beside {_FEW:,} rows", row, cost, 1.2 * limit, limit, "µs")


def _judge_peer(row: Row, what: str, name: str, target: float) -> Iterator[Verdict]:
    ours, theirs = find_median(row, "run"), find_median(row, name)
    if ours is not None and theirs is not None:
        yield Verdict(what, row, theirs / ours, target, unit="×", at_least=True)


def _judge_edits(row: Row) -> Iterator[Verdict]:
    here, small = find_median(row, "run"), find_median(row, "small")
    if here is not None and small is not None:
        what = "one user edited, beside an agency of 100"
        yield Verdict(what, row, here * 1000, 2 * small * 1000, small * 1000, "ms")


def _judge_start(row: Row) -> Iterator[Verdict]:
    limit = find_median(row, "python")
    for command, target in _STARTS.items():
        taken = find_median(row, command)
        if taken is not None:
            yield Verdict(f"start-up, `{command}`, beside a bare Python", row, taken, target, limit)


def _judge_lists(row: Row) -> Iterator[Verdict]:
    for name, seconds in row.seconds.items():
        target = _SEARCHED if "search" in name else _LISTED
        yield Verdict(f"{name}, 95th of 100", row, find_p95(seconds) * 1000, target * 1000, unit="ms")


def _judge_feeds(row: Row) -> Iterator[Verdict]:
    looked = find_median(row, "looking")
    if looked is not None:
        yield Verdict("a check of a feed that finds nothing", row, looked * 1000, _LOOKED * 1000, unit="ms")
    for workers in ("1 worker", "2 workers"):
        first, last = (find_median(row, f"an import of the {part} quarter, {workers}") for part in ("first", "last"))
        if first and last:
            what = f"feeds, {workers}: an import of the last quarter, beside the first"
            yield Verdict(what, row, last * 1000, _GROWN * first * 1000, first * 1000, "ms")


def _judge_waits(row: Row) -> Iterator[Verdict]:
    """Judge the longest wait of a small feed: with one worker by the one large import, with two by that of small feeds alone."""
    for kind in ("new", "changed"):
        for workers in ("1 worker", "2 workers"):
            waits, alone = row.seconds.get(f"wait, {kind}, {workers}"), row.seconds.get(f"wait alone, {workers}")
            large = find_median(row, f"large, {kind}, {workers}")
            if waits and alone and large:
                is_one = workers == "1 worker"
                beside = "the large import" if is_one else "small feeds alone"
                what = f"{workers}: the longest wait of a small feed, beside {beside} ({kind})"
                limit, target = (large, large + max(alone)) if is_one else (max(alone), _ALONE * max(alone))
                yield Verdict(what, row, max(waits), target, limit)


def _judge_kolibri(row: Row) -> Iterator[Verdict]:
    yield from _judge_peer(row, "users a second: × Kolibri’s bulkimportusers, less start-up", "peer", _KOLIBRI)


_JUDGES: dict[str, Callable[[Row], Iterator[Verdict]]] = {
    "kolibri": _judge_kolibri,
    "edit": _judge_edits,
    "start": _judge_start,
    "list": _judge_lists,
    "pages": _judge_lists,
    "feeds": _judge_feeds,
    FEED_WAITS: _judge_waits,
}
"""The cases that are no imports of a whole agency. The requests of programs have no targets."""
