"""The schedule of a round: which load arrives, and which faults follow, all decided by the seed."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of faults."""

    KILL_WEB = "SIGKILL of the web server"
    KILL_WORKER = "SIGKILL of a worker"
    KILL_COMMAND = "SIGKILL of a command"
    KILL_RECEIVER = "SIGKILL of the webhook receiver"
    KILL_PRIMARY = "SIGKILL of the PostgreSQL primary"
    KILL_STANDBY = "SIGKILL of the PostgreSQL standby"
    FULL_DISK = "full disk"
    FULL_DATABASE = "full disk of the PostgreSQL primary"
    LOST_CONNECTION = "database connection lost at a statement"
    CLOCK_AHEAD = "clock set forward, then corrected"
    CLOCK_BEHIND = "clock set back, then corrected"
    FILE_TWICE = "the same file twice in the folder"
    REQUEST_TWICE = "the same request twice, with its key"
    REQUEST_TWICE_WITHOUT_KEY = "the same request twice, without a key"
    COMMAND_TWICE = "the same command twice, with its key"
    RECEIVER_SILENT = "receiver takes a message and does not answer"
    RECEIVER_LATE = "receiver answers late"
    RECEIVER_REFUSES = "receiver answers with an error"
    STOPPED_PROCESS = "process stopped for a moment (slow disk)"
    SLOW_DATABASE = "slow connection to the database"


class Path(StrEnum):
    """The paths that a file arrives by."""

    FOLDER = "folder"
    SENT = "sent"
    COMMAND = "command"


_WEIGHTS = {
    Kind.KILL_WEB: 2, Kind.KILL_WORKER: 5, Kind.KILL_COMMAND: 2, Kind.KILL_RECEIVER: 8, Kind.KILL_PRIMARY: 4,
    Kind.KILL_STANDBY: 3, Kind.FULL_DISK: 6, Kind.FULL_DATABASE: 4, Kind.LOST_CONNECTION: 35, Kind.CLOCK_AHEAD: 10,
    Kind.CLOCK_BEHIND: 10, Kind.FILE_TWICE: 5, Kind.REQUEST_TWICE: 4, Kind.REQUEST_TWICE_WITHOUT_KEY: 4,
    Kind.COMMAND_TWICE: 1, Kind.RECEIVER_SILENT: 6, Kind.RECEIVER_LATE: 6, Kind.RECEIVER_REFUSES: 4,
    Kind.STOPPED_PROCESS: 20, Kind.SLOW_DATABASE: 10,
}  # fmt: skip
"""How often each kind comes, in proportion."""
_PATHS = {
    Kind.FILE_TWICE: Path.FOLDER, Kind.REQUEST_TWICE: Path.SENT, Kind.REQUEST_TWICE_WITHOUT_KEY: Path.SENT,
    Kind.KILL_COMMAND: Path.COMMAND, Kind.COMMAND_TWICE: Path.COMMAND,
}  # fmt: skip
"""The path of the load on which a fault needs it to arrive."""
ONLY_POSTGRES = frozenset({
    Kind.KILL_PRIMARY, Kind.KILL_STANDBY, Kind.FULL_DATABASE, Kind.LOST_CONNECTION, Kind.SLOW_DATABASE,
})  # fmt: skip
NEEDS_FILE = frozenset(_PATHS)
"""The faults that are one of a file that arrives."""
CLOCKS = frozenset({Kind.CLOCK_AHEAD, Kind.CLOCK_BEHIND})


@dataclass(frozen=True, slots=True)
class Step:
    """One file that arrives, and one fault.

    `path`: how the file arrives. `wait`: the seconds from its arrival to the fault. `lasts`: the seconds of the fault, if it
    ends by itself. `target`: which of several processes, messages or places it hits. `size`: the share of what it may reach.
    """

    kind: Kind
    path: Path
    wait: float
    lasts: float
    target: int
    size: float


def make_schedule(seed: int, faults: int, kinds: frozenset[Kind]) -> list[Step]:
    """Return so many steps. The same seed, number and kinds give the same steps.

    The first steps have one fault of each kind, in a random order, as far as the number allows.
    """
    chance = random.Random(seed)
    known = sorted(kinds)
    chosen = chance.sample(known, min(faults, len(known)))
    chosen += chance.choices(known, [_WEIGHTS[kind] for kind in known], k=faults - len(chosen))
    return [_make_step(kind, chance) for kind in chosen]


def _make_step(kind: Kind, chance: random.Random) -> Step:
    usual = chance.choices(list(Path), [6, 6, 1])[0]
    lasts = round(chance.uniform(0.2, 1.2), 2)
    return Step(
        kind, _PATHS.get(kind, usual), round(chance.uniform(0, 0.5), 2), lasts, chance.randrange(1_000), chance.random()
    )
