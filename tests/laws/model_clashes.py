"""The oracle's rows against each other: unique values in the final state, released badges, the last administrator (M4–M13)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from musterbook.core.domain.policy import Mode
from tests.laws.model_cells import key, role
from tests.laws.model_rows import Line, Run, describe_day
from tests.laws.world import KEYED, Person, Row

_BADGE = "BADGE_NUMBER"


def list_space(heading: str) -> tuple[str, ...]:
    """The columns within which a value is unique: sign-in names share one namespace (M4)."""
    return ("EMAIL", "USERNAME") if heading in ("EMAIL", "USERNAME") else (heading,)


def is_administrator(values: Row) -> bool:
    """Whether these are the values of an active administrator."""
    return values["STATUS"] == "Active" and role(values["ROLE"]).administrator


@dataclass
class Verdict:
    """What rows do to each other: the rows that fail (`failed`), and their problems.

    `taken`: a row, and the holder whose badge it takes: a person, or the row of one who is new.
    """

    failed: set[int]
    problems: list[tuple[Line, tuple[str, str]]] = field(default_factory=list)
    taken: list[tuple[Line, Person | Line]] = field(default_factory=list)


class Clashes:
    """One judgement of all rows (M5–M8, M11). `barred`: the rows that may not take the badge of another user after all."""

    def __init__(self, run: Run, barred: set[int]) -> None:
        self.run, self.barred = run, barred
        self.alone = [line for line in run.lines if not line.problems]
        self.movers = {line.person.external_id: line for line in self.alone if line.person}
        self.rows = {line.person.external_id for line in run.lines if line.person}
        self.aside = self._find_aside()

    def judge(self) -> Verdict:
        """Judge the rows until nothing changes."""
        verdict = Verdict({line.number for line in self.alone if self._shared(line)})
        self._cascade(verdict.failed)
        last = self._last_administrators([line for line in self.alone if line.number not in verdict.failed])
        verdict.failed |= last
        self._cascade(verdict.failed)
        for line in self.run.lines:
            verdict.problems += [(line, ("duplicate-in-file", heading)) for heading in self._shared(line)]
            verdict.problems += [(line, ("taken", heading)) for heading in self._taken(line, verdict.failed)]
            verdict.problems += [(line, ("last-administrator", "STATUS"))] if line.number in last else []
        verdict.taken = [(taker, line) for line, taker in self.aside.items()]
        verdict.taken += [(line, person) for line in self.alone for person in self._list_released(line)]
        return verdict

    def _cascade(self, failed: set[int]) -> None:
        while more := {line.number for line in self.alone if line.number not in failed and self._taken(line, failed)}:
            failed |= more

    def _shared(self, line: Line) -> list[str]:
        """The columns whose value another row newly asks for too. Only rows without problems make one fail that has none."""
        others = [one for one in (self.alone if line in self.alone else self.run.lines) if one is not line]
        settled = {*self.aside, *self.aside.values()}
        found = []
        for heading in KEYED:
            rivals = [one for one in others if one not in settled] if heading == _BADGE else others
            asked = None if heading == _BADGE and line in settled else line.asks(heading)
            if asked is not None and any(one.asks(h) == asked for one in rivals for h in list_space(heading)):
                found.append(heading)
        return found

    def _taken(self, line: Line, failed: set[int]) -> list[str]:
        """The columns whose value another user has and keeps."""
        asked = [h for h in KEYED if line.asks(h) is not None and not (h == _BADGE and line in self.aside)]
        return [h for h in asked if any(self._kept(line, h, failed))]

    def _kept(self, line: Line, heading: str, failed: set[int]) -> Iterator[bool]:
        """For everyone who has the value that the row asks for: whether they keep it."""
        for person, held_as in product(self.run.known.values(), list_space(heading)):
            own = person is line.person and held_as != heading
            if key(person.values[held_as]) == line.asks(heading) and not own:
                mover = self.movers.get(person.external_id)
                released = heading == _BADGE and self._releases(line, person)
                if released:
                    yield mover is not None and mover.number in failed
                else:
                    yield not mover or mover.number in failed or mover.asks(held_as) is None

    # Released badges (M13)

    def _may_release(self, line: Line) -> bool:
        decided = self.run.case.decided.get(line.number, {}).get("taken") == _BADGE
        return line.number not in self.barred and (self.run.case.release_badges or decided)

    def _releases(self, line: Line, person: Person) -> bool:
        """Whether the row may take the badge of that person, if the rows without problems of their own do what they ask."""
        mover = self.movers.get(person.external_id)
        if line not in self.alone or not self._may_release(line) or (mover and mover.asks(_BADGE) is not None):
            return False
        if person.no_files or not self.run.may_change(person):
            return False
        if person.external_id in self.rows:
            return mover is not None and mover.after("STATUS") == "Inactive"
        return not person.active or self.run.case.mode is Mode.SYNC

    def _list_released(self, line: Line) -> list[Person]:
        asked = line.asks(_BADGE)
        holders = [p for p in self.run.known.values() if asked is not None and key(p.values[_BADGE]) == asked]
        return [person for person in holders if self._releases(line, person)]

    def _find_aside(self) -> dict[Line, Line]:
        """The Inactive users among the rows that ask for one badge, each with the one Active user who takes it."""
        askers: dict[str, list[Line]] = {}
        for line in self.alone:
            asked = line.asks(_BADGE)
            if asked is not None:
                askers.setdefault(asked, []).append(line)
        aside: dict[Line, Line] = {}
        for lines in askers.values():
            active = [line for line in lines if line.after("STATUS") == "Active"]
            if len(active) == 1 and self._may_release(active[0]):
                aside |= {line: active[0] for line in lines if line is not active[0]}
        return aside

    # The last administrator (M11)

    def _last_administrators(self, sound: list[Line]) -> set[int]:
        rows = {line.person.external_id: line for line in sound if line.person}
        now = {p.external_id for p in self.run.known.values() if p.registered and is_administrator(p.values)}
        return set() if any(list_administrators(self.run, sound)) else {rows[one].number for one in now if one in rows}


def list_administrators(run: Run, sound: Iterable[Line]) -> list[str]:
    """The registered, active administrators after these rows."""
    rows = {line.person.external_id: line for line in sound if line.person}
    remaining = []
    for external_id, person in run.known.items():
        line = rows.get(external_id)
        values = {h: line.after(h) for h in ("ROLE", "STATUS")} if line else person.values
        if (line.registered if line else person.registered) and is_administrator(values):
            remaining.append(external_id)
    return remaining


def name_badges(run: Run, verdict: Verdict, sound: list[Line]) -> dict[str, str]:
    """M13: external ID → the badge that a former holder gets."""
    rows = {line.external_id: line for line in sound}
    holders = {holder.external_id for _, holder in verdict.taken}
    used = {key(p.values[_BADGE]) for external_id, p in run.known.items() if external_id not in rows}
    used |= {key(line.after(_BADGE)) for line in sound}
    named: dict[str, str] = {}
    for external_id in sorted(holders):
        if external_id not in rows and external_id not in run.known:
            continue
        line = rows.get(external_id)
        badge = line.after(_BADGE) if line else run.known[external_id].values[_BADGE]
        name = badge + describe_day()
        taken = key(name) in used or key(name) in {key(one) for one in named.values()}
        named[external_id] = f"{name}, {external_id}" if taken else name
    return named
