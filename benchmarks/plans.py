"""The plan of a run of the benchmark, and its results."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    """An import to measure: its file, its mode, and a description."""

    file: str
    mode: str
    about: str


IMPORTS = {
    "new": Case("all.csv", "update", "everybody is new"),
    "unchanged": Case("all.csv", "sync", "the same file again"),
    "changed": Case("changed.csv", "sync", "1 % of the users changed, 1 % of the rows faulty"),
    "rotated": Case("rotated.csv", "sync", "1 % of the users swap or rotate addresses, badges, usernames"),
    "everybody": Case("everybody.csv", "sync", "every user changed in one column"),
}
"""The cases that are imports of a whole agency, on each database and for each size."""

PEERS = {
    "peer-new": Case("plain.csv", "update", "everybody is new"),
    "peer-unchanged": Case("plain.csv", "update", "the same file again"),
    "peer-changed": Case("plain-changed.csv", "update", "1 % of the users changed"),
}
"""The imports that django-import-export does too."""

ALONE = ("edit", "list", "pages", "isolation", "peers", "kolibri", "feeds", "agencies", "api", "start")
"""The other cases: edits of one user, lists and search, the cost of row-level security, both peers, feeds, many agencies,
requests of programs, and the start of commands."""

FEED_WAITS = "feed-waits"
"""The row of small feeds next to a large one, in the case of feeds."""
AGENCIES, AGENCY_WAITS = "agencies", "agency-waits"
"""The rows of a night of many agencies, and of a small one next to a large one."""
NIGHTS, WORKERS = (250, 500, 1_000, 2_000), (1, 2, 4)
"""The numbers of agencies and of workers that the case of many agencies has by default."""
CASES = (*IMPORTS, *ALONE)
DATABASES = ("sqlite", "postgresql")
SMALL_AGENCY = 100
"""The size of the small agency. An edit in a large one must take about as long as in it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan: every case, for each size, on each database, `runs` times. The results are stored in `out`."""

    users: tuple[int, ...]
    databases: tuple[str, ...]
    cases: tuple[str, ...]
    runs: int
    out: Path
    peer_users: tuple[int, ...] = (10_000,)
    kolibri_users: tuple[int, ...] = (1_000,)
    feeds: tuple[int, ...] = (2_000,)
    feed_users: int = 500
    feed_rows: int = 1_000_000
    """The rows of the large feed; 0: no large feed."""
    agencies: tuple[int, ...] = NIGHTS
    workers: tuple[int, ...] = WORKERS
    """The numbers of workers, in the case of many agencies."""
    part: int = 0
    """The agencies whose imports are measured, while those of the others wait in the queue; 0: all."""
    profile: bool = False
    quick: bool = False

    @property
    def imports(self) -> tuple[str, ...]:
        """Return the cases that are imports of a whole agency."""
        return tuple(case for case in IMPORTS if case in self.cases)


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one case on one database: the seconds of each run by name, and peak memory in bytes.

    `seconds["run"]` is the import itself, `seconds["process"]` includes the start of its Python. `read`, `write`,
    `select` are the bare limits. A name with a dot is a part of the name before the dot.
    """

    case: str
    database: str
    users: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_bytes: list[int] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)
    """Peak memory at the end of each stage, in the last run."""
    counts: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    made: dict[str, object] = field(default_factory=dict)
    """The facts of `machine.read_facts`."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Return the key of the row. A later row with the same key replaces it."""
        return self.case, self.database, self.users

    def add(self, name: str, *seconds: float) -> None:
        """Add the seconds of one run or of several."""
        self.seconds.setdefault(name, []).extend(seconds)
