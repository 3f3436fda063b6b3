"""Bursts of requests among the results: the figures of one request of one program, as a row stores them and as tables show them.

A row has three lists for each: `WHAT, PROGRAM` has the seconds of each response; with `.each`, it has the seconds of the whole
burst by request (or by user, where one request has many), one figure for each burst; with `.processor`, the processor time of
the program's processes likewise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.plans import Row

CASE = "api"
MUSTERBOOK = "Musterbook"
_EACH, _PROCESSOR = ".each", ".processor"
_IN_MEMORY = "scim2-server"


@dataclass(frozen=True, slots=True)
class Burst:
    """All bursts of one request of one program. `advantage`: how many times as fast Musterbook is, None for itself."""

    row: Row
    what: str
    program: str
    waits: Sequence[float]
    rates: Sequence[float]
    processor: float | None
    advantage: float | None

    @property
    def database(self) -> str:
        """Return where the program keeps its users."""
        return "memory" if self.program == _IN_MEMORY else self.row.database


def add_burst(row: Row, what: str, program: str, waits: Sequence[float], each: float, processor: float | None) -> None:
    """Add a burst to the row. `each`, `processor`: seconds by request or user; None if this system does not say."""
    name = f"{what}, {program}"
    row.add(name, *waits)
    row.add(name + _EACH, each)
    if processor is not None:
        row.add(name + _PROCESSOR, processor)


def list_bursts(rows: Iterable[Row]) -> list[Burst]:
    """Return the bursts of the rows of this case."""
    return [_read_burst(row, name) for row in rows if row.case == CASE for name in row.seconds if "." not in name]


def _read_burst(row: Row, name: str) -> Burst:
    what, _, program = name.rpartition(", ")
    each, processor = row.seconds[name + _EACH], row.seconds.get(name + _PROCESSOR)
    ours = row.seconds.get(f"{what}, {MUSTERBOOK}{_EACH}")
    advantage = median(each) / median(ours) if ours and program != MUSTERBOOK else None
    rates = [1 / seconds for seconds in each]
    return Burst(row, what, program, row.seconds[name], rates, median(processor) if processor else None, advantage)
