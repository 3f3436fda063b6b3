"""What a run of the benchmark is to measure, and what it has measured."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    """An import to measure: of which file, in which mode, and in words."""

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

ALONE = ("edit", "list", "pages", "peers", "kolibri", "start")
"""What else can be measured: one user edited, lists and search, both peers, and how long commands take to start."""

CASES = (*IMPORTS, *ALONE)
DATABASES = ("sqlite", "postgresql")
SMALL_AGENCY = 100
"""The agency that one with many users must keep up with, when one of them is edited."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: every case, for each size, on each database, so many times; what comes of it is kept in `out`."""

    users: tuple[int, ...]
    databases: tuple[str, ...]
    cases: tuple[str, ...]
    runs: int
    out: Path
    peer_users: tuple[int, ...] = (10_000,)
    kolibri_users: tuple[int, ...] = (1_000,)
    profile: bool = False
    quick: bool = False

    @property
    def imports(self) -> tuple[str, ...]:
        """The cases that are imports of a whole agency."""
        return tuple(case for case in IMPORTS if case in self.cases)


@dataclass(frozen=True, slots=True)
class Row:
    """What one case came to on one database: seconds of each run by what was timed, and peak memory in bytes.

    `seconds["run"]` is the import itself, `seconds["process"]` with the start of its Python; `read`, `write`, `select`
    are the bare limits; what has a dot in its name is a part of what stands before the dot.
    """

    case: str
    database: str
    users: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_bytes: list[int] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)
    """Peak memory at each stage's end, of the last run."""
    counts: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    made: dict[str, object] = field(default_factory=dict)
    """When, at which commit, on which machine and under which load."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What a row is of: a later one with the same key takes its place."""
        return self.case, self.database, self.users

    def add(self, name: str, *seconds: float) -> None:
        """Keeps one run's seconds, or those of several."""
        self.seconds.setdefault(name, []).extend(seconds)
