"""What a run of the benchmark is to measure, and what it has measured."""

from dataclasses import dataclass, field
from pathlib import Path

CASES = ("new", "unchanged", "changed")
"""All users are new (update mode); the same file again (synchronize); 1 % changed and 1 % faulty (synchronize)."""

DATABASES = ("sqlite", "postgresql")

FILES = {"new": "all.csv", "unchanged": "all.csv", "changed": "changed.csv"}
MODES = {"new": "update", "unchanged": "sync", "changed": "sync"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: every case, for each size, on each database, so many times; what comes of it is kept in `out`."""

    users: tuple[int, ...]
    databases: tuple[str, ...]
    cases: tuple[str, ...]
    runs: int
    profile: bool
    out: Path


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

    def add(self, name: str, seconds: float) -> None:
        """Keeps one run's seconds."""
        self.seconds.setdefault(name, []).append(seconds)
