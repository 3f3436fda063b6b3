"""The oracle: the rules of spec/import.md, sections 2 to 4, row by row, slowly, and written from the rules alone."""

import functools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from musterbook.core.domain.policy import LimitKind, Mode
from musterbook.core.domain.vocabulary import Role
from tests.laws.world import HEADINGS, KEYED, OPTIONAL, WORDS, Case, Person, Row

_REQUIRED = ("EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "STATUS", "USERNAME", "ROLE")
_ACTIVE = ("active", "invited", "locked", "password reset")
_ROLES = {role.name.casefold(): role for role in WORDS.roles}
_RANKS = {name.casefold(): rank.name for rank in WORDS.ranks for name in (rank.name, rank.abbreviation)}
_GROUPS = {group.external_id: group for group in WORDS.groups}

_UNSEEN = " \t\u00a0\u200b"


@dataclass
class Expected:
    """What the rules make of a case. `final`: external id → (heading → text, the supervisor by external id)."""

    outcomes: dict[int, str] = field(default_factory=dict)
    problems: set[tuple[int, str, str]] = field(default_factory=set)
    notes: set[tuple[int, str]] = field(default_factory=set)
    final: dict[str, Row] = field(default_factory=dict)
    deactivated: set[str] = field(default_factory=set)
    protected: dict[str, str] = field(default_factory=dict)
    harms: dict[str, set[str]] = field(default_factory=dict)
    """Kind of limit → the external ids of the users concerned."""
    unreadable: int = 0
    holds: list[str] = field(default_factory=list)
    refused: str = ""


@functools.cache
def key(value: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).casefold()


def meant(cell: str) -> str:
    """C1: the text that a cell means."""
    text = unicodedata.normalize("NFC", cell.strip(_UNSEEN))
    if text.startswith('="') and text.endswith('"') and len(text) > 2:
        return text[2:-1].strip(_UNSEEN)
    bare = text.lstrip("'")
    return text[1:] if text.startswith("'") and bare[:1] in ("=", "+", "-", "@") and bare else text


def _space(heading: str) -> tuple[str, ...]:
    """The columns within which a value is unique: sign-in names share one namespace (M4)."""
    return ("EMAIL", "USERNAME") if heading in ("EMAIL", "USERNAME") else (heading,)


def _find_note(line: "_Line", target: str, former: str) -> str:
    """M9: the note that leaves the link as it was, "" for none. `former`: who gives up the address in this file."""
    if former != target != (line.person.boss if line.person else ""):
        return "address-changed-hands"
    return "own-supervisor" if target == line.external_id else "" if target else "unknown-supervisor"


@dataclass(eq=False)
class _Line:
    """A row as it is read. `values`: heading → final text, where the cell could be read; present columns alone."""

    number: int
    person: Person | None
    values: dict[str, str]
    problems: set[tuple[str, str]]

    @property
    def external_id(self) -> str:
        return self.values.get("EXTERNAL_ID", "")

    def asks(self, heading: str) -> str | None:
        """The key of a unique value that the row would newly take."""
        if heading not in self.values:
            return None
        asked = key(self.values[heading])
        return None if self.person and key(self.person.values[heading]) == asked else asked

    def after(self, heading: str) -> str:
        """The value in the end, if the row is sound (M2)."""
        return self.values.get(heading, self.person.values[heading] if self.person else "")


def _is_renamed(line: _Line, heading: str) -> bool:
    if line.person is None or heading not in line.values:
        return False
    return _letters(line.person.values[heading]) != _letters(line.values[heading])


def _letters(name: str) -> str:
    """The letters and digits of a name, without case and accents."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return "".join(letter for letter in plain if letter.isalnum()) or plain


def expected(case: Case) -> Expected:
    """What becomes of the case."""
    return _Model(case).run()


class _Model:
    def __init__(self, case: Case) -> None:
        self.case, self.out = case, Expected()
        self.known = {person.external_id: person for person in case.people}
        self.operator = case.people[case.operator] if case.operator is not None else None
        self.lines = [self._line(number, row) for number, row in self._list_rows()]

    def run(self) -> Expected:
        if self.case.mode is Mode.SYNC and not self.lines:
            self.out.refused = "no-rows"
            return self.out
        self.ids = Counter(line.external_id for line in self.lines)
        for line in self.lines:
            self._alone(line)
        self.sound_alone = [line for line in self.lines if not line.problems]
        self.movers = {line.person.external_id: line for line in self.sound_alone if line.person}
        failed = self._clashes()
        sound = [line for line in self.sound_alone if line.number not in failed]
        if self.case.mode is Mode.SYNC:
            self._leave(sound)
        sound = self._supervisors(sound)
        self._conclude(sound)
        self._harm(sound)
        self._hold()
        return self.out

    # Cells

    def _list_rows(self) -> list[tuple[int, Row]]:
        """M6: rows that are the same in every cell are one row. A row whose cells are not certain is none of them."""
        rows, seen = [], set[tuple[str, ...]]()
        for number, row in self.case.file.rows.items():
            cells = tuple(row[heading] for heading in self.case.file.headings)
            if number in self.case.file.short or cells not in seen:
                rows.append((number, row))
            if number not in self.case.file.short:
                seen.add(cells)
        return rows

    def _line(self, number: int, row: Row) -> _Line:
        values: dict[str, str] = {}
        wrong: set[tuple[str, str]] = set()
        for heading in self.case.file.headings:
            text = meant(row[heading])
            code = _fault(heading, text)
            if code:
                wrong.add((code, heading))
            else:
                values[heading] = _read(heading, text)
        if number in self.case.file.short:
            wrong = {("cell-count", "")}
        return _Line(number, self.known.get(values.get("EXTERNAL_ID", "")), values, wrong)

    # Each row alone

    def _alone(self, line: _Line) -> None:
        if line.external_id and self.ids[line.external_id] > 1:
            line.problems.add(("duplicate-in-file", "EXTERNAL_ID"))
        group = line.values.get("EVIDENCE_GROUP_EXT_ID", "")
        if group and not _GROUPS[group].active:
            if line.person and line.person.values["EVIDENCE_GROUP_EXT_ID"] == group:
                self.out.notes.add((line.number, "inactive-group-kept"))
            else:
                line.problems.add(("inactive-group", "EVIDENCE_GROUP_EXT_ID"))
        if self._is_another_person(line):
            line.problems.add(("identity-change", "LAST_NAME"))
        if self.operator:
            self._as_operator(line, self.operator)

    def _is_another_person(self, line: _Line) -> bool:
        """M12: both names change, and two of the other signs of a person."""
        signs = sum(line.asks(heading) is not None for heading in KEYED)
        return signs > 1 and all(_is_renamed(line, heading) for heading in ("FIRST_NAME", "LAST_NAME"))

    def _as_operator(self, line: _Line, operator: Person) -> None:
        """M10."""
        mine = _role(operator.values["ROLE"]).permissions
        new = _role(line.values["ROLE"]) if "ROLE" in line.values else None
        was = _role(line.person.values["ROLE"]) if line.person else None
        if was and not was.permissions <= mine and self._differs(line):
            line.problems.add(("above-your-role", "ROLE"))
        if new and new != was and not new.permissions <= mine:
            line.problems.add(("above-your-role", "ROLE"))
        moved = line.person and line.person.registered and line.asks("EMAIL") is not None
        if moved and "credentials.manage" not in mine:
            line.problems.add(("registered-address", "EMAIL"))
        if line.person == operator:
            if operator.active and line.values.get("STATUS") == "Inactive":
                line.problems.add(("own-account", "STATUS"))
            if new and new != was and not mine <= new.permissions:
                line.problems.add(("own-account", "ROLE"))

    def _differs(self, line: _Line) -> bool:
        was = line.person.values if line.person else {}
        return any(was.get(h) != v for h, v in line.values.items() if h not in ("SUPERVISOR_EMAIL", "EXTERNAL_ID"))

    # Rows against each other

    def _clashes(self) -> set[int]:
        """M5–M8, M11: the numbers of the sound rows that fail, and every problem of a clash."""
        failed = {line.number for line in self.sound_alone if self._shared(line)}
        self._until_nothing_changes(failed)
        last = self._last_administrators([line for line in self.sound_alone if line.number not in failed])
        failed |= last
        self._until_nothing_changes(failed)
        for line in self.lines:
            line.problems |= {("duplicate-in-file", heading) for heading in self._shared(line)}
            line.problems |= {("taken", heading) for heading in self._taken(line, failed)}
            line.problems |= {("last-administrator", "STATUS")} if line.number in last else set()
        return failed

    def _until_nothing_changes(self, failed: set[int]) -> None:
        while more := {
            line.number for line in self.sound_alone if line.number not in failed and self._taken(line, failed)
        }:
            failed |= more

    def _shared(self, line: _Line) -> list[str]:
        """The columns whose value another row newly asks for too; a sound row is troubled by sound rows alone."""
        others = [one for one in (self.sound_alone if line in self.sound_alone else self.lines) if one is not line]
        return [
            h for h in KEYED
            if line.asks(h) is not None and any(one.asks(other) == line.asks(h) for one in others for other in _space(h))
        ]  # fmt: skip

    def _taken(self, line: _Line, failed: set[int]) -> list[str]:
        """The columns whose value somebody has who keeps it in the end."""
        return [h for h in KEYED if line.asks(h) is not None and any(self._kept(line, h, failed))]

    def _kept(self, line: _Line, heading: str, failed: set[int]) -> Iterator[bool]:
        """For everybody who has the value that the row asks for: whether they keep it."""
        for person, held_as in product(self.known.values(), _space(heading)):
            own = person is line.person and held_as != heading
            if key(person.values[held_as]) == line.asks(heading) and not own:
                mover = self.movers.get(person.external_id)
                yield not mover or mover.number in failed or mover.asks(held_as) is None

    def _last_administrators(self, sound: list[_Line]) -> set[int]:
        now = {
            person.external_id for person in self.known.values() if person.registered and _administrator(person.values)
        }
        rows = {line.person.external_id: line for line in sound if line.person}
        after = {
            external_id: {h: rows[external_id].after(h) for h in ("ROLE", "STATUS")}
            if external_id in rows
            else person.values
            for external_id, person in self.known.items()
        }
        stay = [
            person
            for external_id, person in self.known.items()
            if person.registered and _administrator(after[external_id])
        ]
        return set() if stay else {rows[external_id].number for external_id in now if external_id in rows}

    # Who leaves

    def _leave(self, sound: list[_Line]) -> None:
        """S1–S6, M11."""
        errored = [line for line in self.lines if line not in sound]
        missing = [p for p in self.known.values() if p.active and not any(line.person == p for line in self.lines)]
        mine = _role(self.operator.values["ROLE"]).permissions if self.operator else None
        for person in missing:
            if person.exempt:
                self.out.protected[person.external_id] = "exempt"
            elif person == self.operator:
                self.out.protected[person.external_id] = "own-account"
            elif mine is not None and not _role(person.values["ROLE"]).permissions <= mine:
                self.out.protected[person.external_id] = "above-your-role"
            elif any(self._bears(line, person) for line in errored):
                self.out.protected[person.external_id] = "named-by-faulty-row"
            else:
                self.out.deactivated.add(person.external_id)
        self._keep_administrators(sound)
        self.out.unreadable = len(
            [
                line for line in errored
                if not line.person and ("EXTERNAL_ID" not in line.values or line.number in self.case.file.short)
                and not any(self._bears(line, person) for person in self.known.values())
            ]
        )  # fmt: skip

    def _bears(self, line: _Line, person: Person) -> bool:
        return any(h in line.values and key(line.values[h]) == key(person.values[h]) for h in KEYED)

    def _keep_administrators(self, sound: list[_Line]) -> None:
        rows = {line.person.external_id: line for line in sound if line.person}
        leaving = {e for e in self.out.deactivated if self.known[e].registered and _administrator(self.known[e].values)}
        for person in self.known.values():
            line = rows.get(person.external_id)
            values = {h: line.after(h) for h in ("ROLE", "STATUS")} if line else person.values
            if person.registered and _administrator(values) and person.external_id not in leaving:
                return
        self.out.deactivated -= leaving
        self.out.protected.update(dict.fromkeys(leaving, "last-administrator"))

    # Limits

    def _harm(self, sound: list[_Line]) -> None:
        """S4: the users of each kind."""
        known = [(line, line.person) for line in sound if line.person]
        self.out.harms = {
            "deactivations": self.out.deactivated
            | {line.external_id for line, person in known if person.active and line.after("STATUS") == "Inactive"},
            "privileges": {line.external_id for line in sound if self._gains(line)},
            "handovers": {line.external_id for line in sound if self._takes_over(line)},
            "cleared": {line.external_id for line, person in known if self._loses(line, person)},
            "updates": {line.external_id for line, _ in known if self.out.outcomes[line.number] == "updated"},
            "additions": {line.external_id for line in sound if not line.person},
        }

    def _gains(self, line: _Line) -> bool:
        active = line.person is not None and line.person.active
        had = _role(line.person.values["ROLE"]).permissions if line.person and active else frozenset[str]()
        return line.after("STATUS") == "Active" and not _role(line.after("ROLE")).permissions <= had

    def _takes_over(self, line: _Line) -> bool:
        others = [person for person in self.known.values() if person is not line.person]
        names = {key(person.values[heading]) for person in others for heading in ("EMAIL", "USERNAME")}
        return any(line.asks(heading) in names for heading in ("EMAIL", "USERNAME"))

    def _loses(self, line: _Line, person: Person) -> bool:
        rows = self.case.file.rows.values()
        blank = [h for h in OPTIONAL if h in self.case.file.headings and not any(meant(row[h]) for row in rows)]
        values = person.values | {"SUPERVISOR_EMAIL": person.boss}
        after = {h: line.after(h) for h in blank if h != "SUPERVISOR_EMAIL"} | {
            "SUPERVISOR_EMAIL": self.bosses.get(line.external_id, "")
        }
        return any(values[h] and not after[h] for h in blank)

    def _hold(self) -> None:
        active, confirmed = sum(person.active for person in self.known.values()), self.case.confirmed
        limits = sorted(self.case.limits, key=lambda limit: list(LimitKind).index(limit.kind))
        for limit in limits if self.known and not self.out.refused else ():
            number = len(self.out.harms.get(limit.kind, ()))
            allowed = max(limit.users, int(active * limit.percent / 100))
            allowed = allowed if limit.most is None else min(allowed, limit.most)
            allowed = min(allowed, max(1, active // 3)) if limit.cautious else allowed
            asked = limit.kind in confirmed and limit.kind in self.out.harms
            if not limit.off and (number > allowed or asked) and confirmed.get(limit.kind) != number:
                self.out.holds.append(limit.kind.value)
        if self.out.unreadable and not self.out.refused:
            self.out.holds.append("unreadable-rows")

    # Supervisors

    def _supervisors(self, sound: list[_Line]) -> list[_Line]:
        """M9 and M10: the rows that are still sound; sets `self.bosses`, external id → external id."""
        self.bosses = {person.external_id: person.boss for person in self.known.values()}
        if "SUPERVISOR_EMAIL" not in self.case.file.headings:
            return sound
        emails, old = self._addresses(sound)
        asked: dict[str, str] = {}
        over = []
        for line in sound:
            me, text = line.external_id, line.values["SUPERVISOR_EMAIL"]
            target = emails.get(key(text)) or old.get(key(text)) or ""
            kept = _find_note(line, target, old.get(key(text), target)) if text else ""
            if kept:
                self._note(line, kept)
            elif line.person and target != line.person.boss and self._barred(line.person):
                over.append(line)
            else:
                asked[me] = target
                if text and key(text) not in emails:
                    self._note(line, "replaced-supervisor-address")
        for line in over:
            line.problems.add(("above-your-role", "ROLE"))
        back = self._without_circles(asked, {line.external_id: line for line in sound})
        self._note_inactive(sound, {me: boss for me, boss in asked.items() if boss and me not in back})
        return [line for line in sound if line not in over]

    def _addresses(self, sound: list[_Line]) -> tuple[dict[str, str], dict[str, str]]:
        emails = {key(person.values["EMAIL"]): person.external_id for person in self.known.values()}
        moved = [line for line in sound if line.person and line.asks("EMAIL") is not None]
        old = {key(line.person.values["EMAIL"]): line.external_id for line in moved if line.person}
        for address in old:
            del emails[address]
        return emails | {key(line.after("EMAIL")): line.external_id for line in sound}, old

    def _barred(self, person: Person) -> bool:
        if not self.operator:
            return False
        return not _role(person.values["ROLE"]).permissions <= _role(self.operator.values["ROLE"]).permissions

    def _without_circles(self, requested: dict[str, str], lines: dict[str, _Line]) -> set[str]:
        was = dict(self.bosses)
        self.bosses.update(requested)
        back: set[str] = set()
        while around := _around(self.bosses):
            for me in around & requested.keys():
                if me not in back:
                    self._note(lines[me], "supervisor-circle")
            for me in around:
                if self.bosses[me] != was.get(me, ""):
                    back.add(me)
                    self.bosses[me] = was.get(me, "")
        return back

    def _note_inactive(self, sound: list[_Line], requested: dict[str, str]) -> None:
        active = {p.external_id: p.active and p.external_id not in self.out.deactivated for p in self.known.values()}
        active |= {line.external_id: line.after("STATUS") == "Active" for line in sound}
        for line in sound:
            if line.external_id in requested and not active[requested[line.external_id]]:
                self._note(line, "inactive-supervisor")

    def _note(self, line: _Line, code: str) -> None:
        self.out.notes.add((line.number, code))

    # The end

    def _conclude(self, sound: list[_Line]) -> None:
        if self.case.strict:
            grave = ("unknown-supervisor", "own-supervisor", "supervisor-circle")
            for line in self.lines:
                line.problems |= {
                    (code, "SUPERVISOR_EMAIL") for n, code in self.out.notes if n == line.number and code in grave
                }
            self.out.notes = {(number, code) for number, code in self.out.notes if code not in grave}
            sound = [line for line in sound if not line.problems]
        for line in self.lines:
            self.out.outcomes[line.number] = self._outcome(line) if line in sound else "errored"
            self.out.problems |= {(line.number, *problem) for problem in line.problems}
        errored = any(outcome == "errored" for outcome in self.out.outcomes.values())
        if self.case.strict and errored:
            self._refuse("not-strict")
        elif self.case.mode is Mode.SYNC and not sound:
            self._refuse("no-good-row")
        self.out.final = {p.external_id: {**p.values, "boss": p.boss} for p in self.known.values()}
        for external_id in self.out.deactivated:
            self.out.final[external_id]["STATUS"] = "Inactive"
        for line in sound:
            values = {h: line.after(h) for h in HEADINGS if h != "SUPERVISOR_EMAIL"}
            self.out.final[line.external_id] = {**values, "boss": self.bosses.get(line.external_id, "")}

    def _refuse(self, code: str) -> None:
        """F10: a refused file says nothing of users that it does not mention."""
        self.out.refused, self.out.deactivated, self.out.protected = code, set(), {}

    def _outcome(self, line: _Line) -> str:
        if not line.person:
            return "added"
        linked = self.bosses[line.external_id] != line.person.boss
        return "updated" if linked or self._differs(line) else "unchanged"


def _around(bosses: dict[str, str]) -> set[str]:
    """Everybody on a circle."""
    found = set()
    for start in bosses:
        passed, here = set(), start
        while here and here not in passed:
            passed.add(here)
            here = bosses.get(here, "")
            if here == start:
                found.add(start)
    return found


def _administrator(values: Row) -> bool:
    return values["STATUS"] == "Active" and _role(values["ROLE"]).administrator


def _role(name: str) -> Role:
    return _ROLES[name.casefold()]


def _fault(heading: str, text: str) -> str:
    """The code of what is wrong with a cell; "" for nothing. The files know only some wrong cells."""
    if "\t" in text:
        return "illegal-character"
    if text.startswith("#"):
        return "spreadsheet-damage"
    if not text:
        return "required" if heading in _REQUIRED else ""
    wrong: dict[str, tuple[bool, str]] = {
        "EMAIL": ("@" not in text or text.startswith('="'), "invalid-email"),
        "STATUS": (text.casefold() not in (*_ACTIVE, "inactive"), "invalid-status"),
        "ROLE": (text.casefold() not in _ROLES, "unknown-role"),
        "RANK": (text.casefold() not in _RANKS, "unknown-rank"),
        "EVIDENCE_GROUP_EXT_ID": (text not in _GROUPS, "unknown-group"),
        "PHONE": (len(_digits(text)) < 11 or text.startswith("'"), "invalid-phone"),
    }
    fault, code = wrong.get(heading, (False, ""))
    return code if fault else ""


def _digits(text: Iterable[str]) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def _read(heading: str, text: str) -> str:
    """The text as it is stored."""
    if heading == "STATUS":
        return "Active" if text.casefold() in _ACTIVE else "Inactive"
    if not text:
        return ""
    if heading == "ROLE":
        return _role(text).name
    if heading == "RANK":
        return _RANKS[text.casefold()]
    return "+" + _digits(text).removeprefix("00") if heading == "PHONE" else text
