"""The generated cases of the laws: directories, files about them, and the ways to import them."""

from collections.abc import Mapping

from hypothesis.strategies import SearchStrategy

from musterbook.core.domain.decisions import DAMAGE, IDENTITY, OTHER, SAME, TAKEN
from musterbook.core.domain.policy import DEFAULT_LIMITS, Limit, LimitKind, Mode
from tests.laws.choosing import Chooser, strategy
from tests.laws.happenings import HAPPENINGS, OLD_ADDRESSES
from tests.laws.people import STYLES, make_people, make_person
from tests.laws.world import HEADINGS, OPTIONAL, Case, File, Person, export


def _make_file(choose: Chooser, known: tuple[Person, ...]) -> File:
    """A file about the people: it repeats the directory, and then things happen."""
    rows = export(known)
    for number in range(choose.pick((0, 0, 1, 2)) if rows else 1):
        values = make_person(600 + number, choose.number(STYLES - 1), choose.number(4), False, 1000).values
        rows[max(rows, default=1) + 1] = {**values, "SUPERVISOR_EMAIL": ""}
    for _ in range(choose.number(12)):
        happening = choose.pick(HAPPENINGS)
        numbers = choose.number(9), choose.number(14), choose.number(12)
        if rows:
            happening(rows, known, *numbers)
    absent = {choose.pick(OPTIONAL) for _ in range(choose.pick((0, 0, 1, 3)))}
    headings = tuple(heading for heading in HEADINGS if heading not in absent)
    short = frozenset({choose.pick(list(rows))}) if rows and choose.number(7) == 7 else frozenset[int]()
    for number in short:
        rows[number][headings[-1]] = ""
    return File(rows, headings, short)


_KINDS = tuple(kind for kind in LimitKind if kind is not LimitKind.REKEYS)
_LIMITS = (
    DEFAULT_LIMITS,
    DEFAULT_LIMITS,
    tuple(Limit(kind) for kind in LimitKind),
    tuple(Limit(kind, 1, 50.0, 3) for kind in LimitKind),
    tuple(Limit(kind, off=kind is not LimitKind.CLEARED) for kind in LimitKind),
    (
        *DEFAULT_LIMITS,
        *(Limit(kind, role="officer") for kind in _KINDS),
        Limit(LimitKind.DEACTIVATIONS, 1, group="G-1"),
    ),
    (Limit(LimitKind.ADDITIONS, 1), Limit(LimitKind.PRIVILEGES, group="=G-2"), Limit(LimitKind.UPDATES, 0, 40)),
)
"""The default limits; limits that allow nobody, or a few; all but one switched off; limits of roles and groups."""

_CONFIRMED: tuple[dict[str, int | None], ...] = (
    {}, {}, {"deactivations": 0}, {"deactivations": 1}, {"privileges": 1}, {"handovers": 2, "cleared": 1}, {"additions": 1},
    {"unreadable-rows": 1},
)  # fmt: skip

_ACCEPTED: tuple[dict[str, str], ...] = ({}, {}, {}, {IDENTITY: SAME}, {IDENTITY: OTHER, DAMAGE: ""}, {DAMAGE: ""})

_BY_ROW: tuple[dict[str, str], ...] = (
    {IDENTITY: SAME}, {IDENTITY: OTHER}, {TAKEN: "BADGE_NUMBER"}, {DAMAGE: "BADGE_NUMBER,FIRST_NAME"}, {DAMAGE: "LOCATION"},
)  # fmt: skip


def _make_decisions(choose: Chooser, file: File) -> Mapping[int, Mapping[str, str]]:
    decisions = choose.pick((0, 0, 1, 4)) if file.rows else 0
    return {choose.pick(list(file.rows)): choose.pick(_BY_ROW) for _ in range(decisions)}


def _make_memory(choose: Chooser, known: tuple[Person, ...]) -> tuple[tuple[str, int], ...]:
    """The addresses that users replaced: old ones that nobody has now, and some that others have."""
    present = [person.values["EMAIL"].lower() for person in known[:9]]
    addresses = (*OLD_ADDRESSES, *OLD_ADDRESSES, *present)
    size = choose.pick((0, 1, 4)) if known else 0
    return tuple((choose.pick(addresses), choose.number(len(known) - 1)) for _ in range(size))


def make_case(choose: Chooser) -> Case:
    """A directory, a file about it, and how it is to be imported."""
    known = make_people(choose)
    active = [place for place, person in enumerate(known) if person.active]
    file = _make_file(choose, known)
    return Case(
        known,
        file,
        choose.pick((Mode.UPDATE, Mode.SYNC)),
        strict=choose.number(9) == 9,
        operator=choose.pick(active) if active and choose.number(1) else None,
        confirmed=choose.pick(_CONFIRMED),
        limits=choose.pick(_LIMITS),
        source=choose.pick(("", "hr")),
        grace_days=choose.pick((0, 3)),
        release_badges=choose.pick((False, True)),
        accepted=choose.pick(_ACCEPTED),
        decided=_make_decisions(choose, file),
        memory=_make_memory(choose, known),
    )


def cases() -> SearchStrategy[Case]:
    """A directory, a file about it, and how it is to be imported."""
    return strategy(make_case)
