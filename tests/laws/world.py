"""An invented agency for the laws: its people, a file about them, and how the file is imported."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.decisions import Decisions
from musterbook.core.domain.policy import DEFAULT_LIMITS, Limit, Mode, Operator, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.snapshot import MARKS, REPLACED, SCHEMA, Snapshot
from musterbook.core.domain.table import FileFacts, Table
from musterbook.core.domain.vocabulary import Group, Rank, Role, Vocabulary
from musterbook.directory.permissions import ALL

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
"""Today, because the directory remembers addresses for some days only (M9)."""
TODAY = NOW.date()

HEADINGS = tuple(column.heading for column in columns.COLUMNS)
OPTIONAL = tuple(column.heading for column in columns.OPTIONAL)
KEYED = ("EMAIL", "BADGE_NUMBER", "USERNAME")

WORDS = Vocabulary(
    roles=(
        Role(1, "Admin", ALL, administrator=True),
        Role(2, "Chief", frozenset({"users.view", "users.import", "users.synchronize"})),
        Role(3, "Officer", frozenset({"users.view"})),
        Role(4, "Auditor", frozenset({"audit.view"})),
        Role(5, "Cadet", frozenset()),
    ),
    ranks=(Rank(1, "Captain", "Cpt"), Rank(2, "Sergeant", "Sgt")),
    groups=(Group(1, "G-1"), Group(2, "=G-2"), Group(3, "G-OLD", active=False)),
)
_ROLES = {role.name: role for role in WORDS.roles}

Row = dict[str, str]
"""One row of a file: heading → cell, as it is in the file."""


@dataclass(frozen=True)
class Person:
    """A user of the directory: heading → stored text, the supervisor by external ID ("" for none).

    `missing`: for how many days and in how many imports of their source they have been missing; None: they are not.
    """

    id: int
    values: Row
    boss: str = ""
    registered: bool = False
    exempt: bool = False
    source: str = ""
    no_files: bool = False
    missing: tuple[int, int] | None = None

    @property
    def external_id(self) -> str:
        """Their external ID."""
        return self.values["EXTERNAL_ID"]

    @property
    def active(self) -> bool:
        """Whether they are Active."""
        return self.values["STATUS"] == "Active"

    @property
    def missing_since(self) -> date | None:
        """The day since when they are missing."""
        return TODAY - timedelta(days=self.missing[0]) if self.missing else None


@dataclass(frozen=True)
class File:
    """A file: its rows by number, its headings, and the numbers of rows that are too short."""

    rows: dict[int, Row]
    headings: tuple[str, ...] = HEADINGS
    short: frozenset[int] = frozenset()

    def table(self) -> Table:
        """The file as it is read."""
        cells = {"row": pl.Series(list(self.rows), dtype=pl.UInt32)} | {
            heading.lower(): pl.Series([row[heading] for row in self.rows.values()], dtype=pl.String)
            for heading in self.headings
        }
        faults = problems.build_frame(Problem("cell-count", row) for row in self.rows if row in self.short)
        return Table(pl.DataFrame(cells), FileFacts(format="csv"), faults)


@dataclass(frozen=True)
class Case:
    """A directory, a file about it, and how the file is imported.

    - `operator`: the place of a person, None: the system.
    - `accepted`, `decided`: the decisions of the operator, for all rows and by row (`Decisions`).
    - `memory`: the replaced addresses that the directory remembers: the address, and the place of the person who had
      it, the latest first.
    """

    people: tuple[Person, ...]
    file: File
    mode: Mode
    strict: bool = False
    operator: int | None = None
    confirmed: dict[str, int | None] = field(default_factory=dict)
    limits: tuple[Limit, ...] = DEFAULT_LIMITS
    source: str = ""
    grace_days: int = 0
    release_badges: bool = False
    accepted: Mapping[str, str] = field(default_factory=dict)
    decided: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    memory: tuple[tuple[str, int], ...] = ()

    @property
    def policy(self) -> Policy:
        """The rules that the case sets."""
        return Policy(
            self.mode, self.strict, self._operator(), self.limits, self.confirmed, source=self.source,
            grace_days=self.grace_days, today=TODAY,
            decisions=Decisions(self.accepted, self.decided, self.release_badges),
        )  # fmt: skip

    def _operator(self) -> Operator | None:
        if self.operator is None:
            return None
        person = self.people[self.operator]
        return Operator(person.id, person.external_id, _ROLES[person.values["ROLE"]].permissions)

    def snapshot(self) -> Snapshot:
        """The whole directory."""
        ids = {person.external_id: person.id for person in self.people}
        users = pl.DataFrame([_stored(person, ids) for person in self.people], schema=SCHEMA)
        return Snapshot(users, WORDS, marks=self._marks(), padded=self._padded(), replaced=self._replaced())

    def _marks(self) -> pl.DataFrame:
        marked = [p for p in self.people if p.no_files or p.missing or (self.source and p.source != self.source)]
        rows = [(p.id, p.source, p.no_files, p.missing_since, p.missing[1] if p.missing else 0) for p in marked]
        return pl.DataFrame(rows, schema=MARKS, orient="row")

    def _padded(self) -> dict[str, int]:
        values = {name: [p.values[name.upper()] for p in self.people] for name in ("external_id", "badge_number")}
        padded = (name for name, texts in values.items() if all(text.startswith("0") for text in texts))
        return {name: max(map(len, values[name])) for name in padded if len(self.people) > 2}

    def _replaced(self) -> pl.DataFrame:
        rows = [(address, self.people[place].id) for address, place in self.memory]
        return pl.DataFrame(rows, schema=REPLACED, orient="row")


def _stored(person: Person, ids: dict[str, int]) -> dict[str, object]:
    values = person.values
    return {
        "id": person.id,
        "active": person.active,
        "role_id": _ROLES[values["ROLE"]].id,
        "supervisor_id": ids.get(person.boss),
        "rank_id": {rank.name: rank.id for rank in WORDS.ranks}.get(values["RANK"]),
        "group_id": {group.external_id: group.id for group in WORDS.groups}.get(values["EVIDENCE_GROUP_EXT_ID"]),
        "registered": person.registered,
        "exempt": person.exempt,
        **{h.lower(): values[h] for h in HEADINGS if h.lower() in SCHEMA},
    }


def guarded(value: str) -> str:
    """A stored value as a cell that is read as that value."""
    return f"'{value}" if value.lstrip("'")[:1] in ("=", "+", "-", "@") and value.lstrip("'") else value


def export(people: Sequence[Person]) -> dict[int, Row]:
    """The rows of a file that repeats the directory."""
    emails = {person.external_id: person.values["EMAIL"] for person in people}
    return {
        number: {h: guarded(v) if h != "PHONE" else v for h, v in person.values.items()}
        | {"SUPERVISOR_EMAIL": guarded(emails.get(person.boss, ""))}
        for number, person in enumerate(people, start=2)
    }


def keep_copies_in_order(case: Case, order: Sequence[int]) -> list[int]:
    """Leave rows with equal cells in the order of the file: the first of them counts, and the others are skipped (M6)."""
    copies: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for row in sorted(order, reverse=True):
        copies[_get_cells(case, row)].append(row)
    return [copies[_get_cells(case, row)].pop() for row in order]


def _get_cells(case: Case, row: int) -> tuple[object, ...]:
    return tuple(sorted(case.file.rows[row].items()))


def shuffle(case: Case, order: Sequence[int]) -> Case:
    """The same case with the rows of its file in another order, each with the number of its new place."""
    numbers = sorted(case.file.rows)
    moved = {numbers[place]: number for place, number in enumerate(order)}
    rows = {new: case.file.rows[old] for new, old in moved.items()}
    short = frozenset(new for new, old in moved.items() if old in case.file.short)
    decided = {new: case.decided[old] for new, old in moved.items() if old in case.decided}
    return replace(case, file=replace(case.file, rows=rows, short=short), decided=decided)
