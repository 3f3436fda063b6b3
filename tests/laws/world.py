"""An invented agency for the laws: its people, and the files about them, with all that may happen in a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import polars as pl
from hypothesis import strategies as st

from musterbook.core.domain import columns, problems
from musterbook.core.domain.policy import DEFAULT_LIMITS, Limit, LimitKind, Mode, Operator, Policy
from musterbook.core.domain.problems import Problem
from musterbook.core.domain.snapshot import SCHEMA, Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Group, Rank, Role, Vocabulary
from musterbook.directory.permissions import ALL

HEADINGS = tuple(column.heading for column in columns.COLUMNS)
OPTIONAL = tuple(column.heading for column in columns.OPTIONAL)
KEYED = ("EMAIL", "BADGE_NUMBER", "USERNAME")

WORDS = Vocabulary(
    roles=(
        Role(1, "Admin", ALL, administrator=True),
        Role(2, "Chief", frozenset({"users.view", "users.import", "users.synchronize"})),
        Role(3, "Officer", frozenset({"users.view"})),
        Role(4, "Auditor", frozenset({"audit.view"})),
    ),
    ranks=(Rank(1, "Captain", "Cpt"), Rank(2, "Sergeant", "Sgt")),
    groups=(Group(1, "G-1"), Group(2, "=G-2"), Group(3, "G-OLD", active=False)),
)
_ROLES = {role.name: role for role in WORDS.roles}

Row = dict[str, str]
"""One row of a file: heading → cell, as it stands in the file."""


@dataclass(frozen=True)
class Person:
    """A user of the directory: heading → stored text, the supervisor by external id ("" for none)."""

    id: int
    values: Row
    boss: str = ""
    registered: bool = False
    exempt: bool = False

    @property
    def external_id(self) -> str:
        """Their external id."""
        return self.values["EXTERNAL_ID"]

    @property
    def active(self) -> bool:
        """Whether they are Active."""
        return self.values["STATUS"] == "Active"


@dataclass(frozen=True)
class File:
    """A file: its rows by number, the optional headings that it bears, and the numbers of rows that are too short."""

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
        return Table(pl.DataFrame(cells), faults=faults)


@dataclass(frozen=True)
class Case:
    """A directory, a file about it, and how it is to be imported. `operator`: the place of a person, None: the system."""

    people: tuple[Person, ...]
    file: File
    mode: Mode
    strict: bool = False
    operator: int | None = None
    confirmed: dict[str, int | None] = field(default_factory=dict)
    limits: tuple[Limit, ...] = DEFAULT_LIMITS

    @property
    def policy(self) -> Policy:
        """The rules that the case sets."""
        return Policy(self.mode, self.strict, self._operator(), self.limits, self.confirmed)

    def _operator(self) -> Operator | None:
        if self.operator is None:
            return None
        person = self.people[self.operator]
        return Operator(person.id, person.external_id, _ROLES[person.values["ROLE"]].permissions)

    def snapshot(self) -> Snapshot:
        """The whole directory."""
        ids = {person.external_id: person.id for person in self.people}
        return Snapshot(pl.DataFrame([_stored(person, ids) for person in self.people], schema=SCHEMA), WORDS)


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


# People

_NAMES = ("Ana", "Zoë", "李", "محمد", "=cmd", "'=odd", "@home", "-dash", "O'Neil", "İ", "ß", "ﬃ", "'tis", '="x"')


def _person(number: int, style: int, role: int, off: bool, boss: int) -> Person:
    """The person of a number: style says how odd the values are, `boss` is below the number or there is none."""
    odd = (style % 4) == 3
    values = {
        "EXTERNAL_ID": f"E{number}",
        "EMAIL": f"U{number}@A.example"
        if style % 3 == 1
        else f"={number}@a.example"
        if odd
        else f"u{number}@a.example",
        "BADGE_NUMBER": f"=B{number}" if odd else f"B{number}",
        "FIRST_NAME": _NAMES[style % len(_NAMES)],
        "LAST_NAME": "Ruiz",
        "STATUS": "Inactive" if off else "Active",
        "USERNAME": f"Straße{number}" if odd else f"u{number}@a.example" if style == 10 else f"name{number}",
        "ROLE": WORDS.roles[role].name,
        "LOCATION": "" if style % 2 else "North",
        "RANK": ("", "Captain", "Sergeant")[style % 3],
        "EVIDENCE_GROUP_EXT_ID": ("", "G-1", "=G-2", "G-OLD")[style % 4],
        "PHONE": "" if style % 5 == 0 else f"+1202555{number:04}",
    }
    return Person(number + 100, values, f"E{boss}" if boss < number else "", style % 2 == 0, style % 7 == 6)


_few = st.integers(0, 13)


@st.composite
def people(draw: st.DrawFn, most: int = 9) -> tuple[Person, ...]:
    """The users of an agency; sometimes a crowd of ordinary ones beside a few odd ones."""
    drawn = st.tuples(
        _few, st.sampled_from((2, 3, 1, 0, 2)), st.sampled_from((False, False, False, True)), st.integers(0, 9)
    )
    size = draw(st.integers(0, most))
    some = draw(st.lists(drawn, min_size=size, max_size=size))
    crowd = draw(st.sampled_from((0,) * 17 + (30, 30, 200)))
    odd = [_person(number, *one) for number, one in enumerate(some)]
    plain = [_person(number, 4 * (number % 3), 2, False, number // 3) for number in range(len(odd), len(odd) + crowd)]
    return tuple(odd + plain)


# What happens in a file

Happening = Callable[[dict[int, Row], tuple[Person, ...], int, int, int], object]
"""Changes the rows of a file; the three numbers say of whom and what, whatever they are."""


def _at(rows: dict[int, Row], place: int) -> Row:
    numbers = list(rows)
    return rows[numbers[place % len(numbers)]]


def _swap(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    heading, one, other = KEYED[k % 3], _at(rows, i), _at(rows, j)
    one[heading], other[heading] = other[heading], one[heading]


def _rotate(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    heading = KEYED[k % 3]
    ring = [_at(rows, place) for place in range(i, i + min(2 + j, len(rows)))]
    values = [row[heading] for row in ring]
    for row, value in zip(ring, [*values[1:], values[0]], strict=True):
        row[heading] = value


def _take(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    _at(rows, i)[KEYED[k % 3]] = _at(rows, j)[KEYED[k % 3]]


def _take_stored(rows: dict[int, Row], people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    if people:
        _at(rows, i)[KEYED[k % 3]] = people[j % len(people)].values[KEYED[k % 3]].upper()


def _fresh(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    _at(rows, i)[KEYED[k % 3]] = f"new{j % 3}@a.example"


def _cross(rows: dict[int, Row], people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """One sign-in name as the other: of another row, or of somebody whom the directory has."""
    pair = [("EMAIL", "USERNAME"), ("USERNAME", "EMAIL")][k % 2]
    other = people[j % len(people)].values if people and k % 3 else _at(rows, j)
    _at(rows, i)[pair[0]] = other[pair[1]]


_WRONG = (
    ("EMAIL", "no address"), ("STATUS", "Away"), ("ROLE", "Pope"), ("RANK", "Pope"), ("EVIDENCE_GROUP_EXT_ID", "g-1"),
    ("PHONE", "12"), ("FIRST_NAME", ""), ("BADGE_NUMBER", "#REF!"), ("USERNAME", ""), ("EXTERNAL_ID", ""),
    ("EXTERNAL_ID", "#N/A"), ("LAST_NAME", "a\tb"), ("EMAIL", " "), ("LOCATION", "#REF!"), ("SUPERVISOR_EMAIL", "#REF!"),
)  # fmt: skip


def _misspell(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    heading, value = _WRONG[j % len(_WRONG)]
    _at(rows, i)[heading] = value


def _repeat(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    copy = dict(_at(rows, i))
    if j % 3 == 1:
        copy["EXTERNAL_ID"] = f" {copy['EXTERNAL_ID']}\u00a0"
    elif j % 3 == 2:
        copy["EXTERNAL_ID"] = f"0{copy['EXTERNAL_ID']}"
    rows[max(rows) + 1] = copy


def _leave_out(rows: dict[int, Row], _people: tuple[Person, ...], i: int, _j: int, _k: int) -> None:
    del rows[list(rows)[i % len(rows)]]


def _add(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    number = 500 + i % 5
    values = _person(number, j, k % 4, i % 2 == 1, number).values
    rows[max(rows) + 1] = {**values, "SUPERVISOR_EMAIL": _at(rows, k)["EMAIL"]}


def _status(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["STATUS"] = ("Active", "INACTIVE", "Locked", " active")[j % 4]


def _role(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["ROLE"] = WORDS.roles[j % 4].name.upper()


def _supervisor(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["SUPERVISOR_EMAIL"] = _at(rows, j)["EMAIL"]


def _stored_supervisor(rows: dict[int, Row], people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    if people:
        _at(rows, i)["SUPERVISOR_EMAIL"] = people[j % len(people)].values["EMAIL"].upper()


def _strange_supervisor(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["SUPERVISOR_EMAIL"] = ("", "nobody@a.example", "not an address", "new1@a.example")[j % 4]


def _round(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    """A line of people, each under the next, that may close to a circle."""
    line = [_at(rows, place) for place in range(i, i + 2 + j % 6)]
    for row, above in pairwise(line):
        row["SUPERVISOR_EMAIL"] = above["EMAIL"]


def _upside_down(rows: dict[int, Row], people: tuple[Person, ...], _i: int, _j: int, _k: int) -> None:
    """Everybody under one who was under them."""
    by_id = {row["EXTERNAL_ID"]: row for row in rows.values()}
    for person in people:
        if person.boss in by_id and person.external_id in by_id:
            by_id[person.boss]["SUPERVISOR_EMAIL"] = by_id[person.external_id]["EMAIL"]


def _optional(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    heading, values = (
        ("LOCATION", ("", "South", "=1+1", "'x")), ("RANK", ("", "sgt", " captain")),
        ("EVIDENCE_GROUP_EXT_ID", ("", "G-1", "G-OLD", "'=G-2", "=G-2")), ("PHONE", ("", "+12025559999", "001 202 555 9998")),
    )[k % 4]  # fmt: skip
    _at(rows, i)[heading] = values[j % len(values)]


def _name(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, _k: int) -> None:
    _at(rows, i)["FIRST_NAME"] = _NAMES[j % len(_NAMES)]


def _dressed(rows: dict[int, Row], _people: tuple[Person, ...], i: int, j: int, k: int) -> None:
    """The same value in another dress: other case, space around, a formula that holds it, decomposed letters."""
    heading, row = HEADINGS[k % len(HEADINGS)], _at(rows, i)
    value = row[heading]
    row[heading] = (
        value.upper() if heading != "EXTERNAL_ID" else value,
        f" {value}\u200b",
        f'="{value}"',
        f"'{value}",
    )[j % 4]


_HAPPENINGS: tuple[Happening, ...] = (
    _swap, _swap, _rotate, _rotate, _take, _take_stored, _fresh, _cross, _cross, _misspell, _repeat, _leave_out, _leave_out, _add,
    _add, _status, _role, _supervisor, _supervisor, _stored_supervisor, _strange_supervisor, _round, _upside_down, _optional,
    _optional, _name, _dressed,
)  # fmt: skip


@st.composite
def files(draw: st.DrawFn, known: tuple[Person, ...], *, sound: bool = False) -> File:
    """A file about the people: what the directory holds, and then things happen. Every row of a `sound` one is long enough."""
    rows = export(known)
    newcomers = draw(st.sampled_from((0, 0, 1, 2))) if rows else 1
    for number in range(newcomers):
        values = _person(600 + number, draw(_few), draw(st.integers(0, 3)), False, 1000).values
        rows[max(rows, default=1) + 1] = {**values, "SUPERVISOR_EMAIL": ""}
    steps = st.tuples(st.sampled_from(_HAPPENINGS), st.integers(0, 9), st.integers(0, 14), st.integers(0, 12))
    size = draw(st.integers(0, 12))
    for happening, i, j, k in draw(st.lists(steps, min_size=size, max_size=size)):
        if rows:
            happening(rows, known, i, j, k)
    absent = draw(st.sets(st.sampled_from(OPTIONAL), max_size=3)) if draw(st.booleans()) else set()
    headings = tuple(heading for heading in HEADINGS if heading not in absent)
    cut = rows and not sound and draw(st.integers(0, 4)) == 4
    short = frozenset({draw(st.sampled_from(list(rows)))}) if cut else frozenset[int]()
    for number in short:
        rows[number][headings[-1]] = ""
    return File(rows, headings, short)


_LIMITS = (
    tuple(Limit(kind) for kind in LimitKind),
    tuple(Limit(kind, 1, 50.0, 3) for kind in LimitKind),
    tuple(Limit(kind, off=kind is not LimitKind.CLEARED) for kind in LimitKind),
)
"""Limits of which all allow no user, all allow some, and all but one are switched off."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A directory, a file about it, and how it is to be imported."""
    known = draw(people())
    active = [place for place, person in enumerate(known) if person.active]
    return Case(
        known,
        draw(files(known)),
        draw(st.sampled_from((Mode.UPDATE, Mode.SYNC))),
        strict=draw(st.integers(0, 5)) == 5,
        operator=draw(st.sampled_from([None, *active])),
        confirmed=draw(st.sampled_from(({}, {}, {"deactivations": 0}, {"deactivations": 1}, {"privileges": 1}))),
        limits=draw(st.sampled_from((DEFAULT_LIMITS, DEFAULT_LIMITS, *_LIMITS))),
    )


def shuffle(case: Case, order: Sequence[int]) -> Case:
    """The same case with the rows of its file in another order, each with the number of its new place."""
    numbers = sorted(case.file.rows)
    moved = {numbers[place]: number for place, number in enumerate(order)}
    rows = {new: case.file.rows[old] for new, old in moved.items()}
    short = frozenset(new for new, old in moved.items() if old in case.file.short)
    return replace(case, file=replace(case.file, rows=rows, short=short))
