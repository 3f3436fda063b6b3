"""The oracle's rows: each row as it is read, and judged alone (M1, M2, M6, M10, M12, S11)."""

import re
from collections import Counter
from dataclasses import dataclass, field

from tests.laws import model_cells
from tests.laws.model_cells import GROUPS, key, role
from tests.laws.world import HEADINGS, KEYED, TODAY, Case, Person, Row

_RELEASED = re.compile(r" \(until \d{4}-\d\d-\d\d\)(, .*)?$")
_COMPARED = ("BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "USERNAME", "LOCATION", "EMAIL", "EXTERNAL_ID", "PHONE")


@dataclass
class Expected:
    """The effect of a case by the rules.

    `final`: external ID → (heading → text, the supervisor by external ID as `boss`). `harms`: kind of limit → the external
    ids of the users concerned. `holds`: what is to be confirmed, the number, and the role or group of the limit.
    `released`: external ID → the badge that the user gets. `named_by`: external ID → the row of the protection. `marks`:
    external ID → (source, for how many days and in how many imports missing), of the users who are Active.
    """

    outcomes: dict[int, str] = field(default_factory=dict)
    skipped: set[int] = field(default_factory=set)
    problems: set[tuple[int, str, str]] = field(default_factory=set)
    notes: set[tuple[int, str]] = field(default_factory=set)
    file_notes: set[tuple[str, str]] = field(default_factory=set)
    final: dict[str, Row] = field(default_factory=dict)
    deactivated: set[str] = field(default_factory=set)
    protected: dict[str, str] = field(default_factory=dict)
    named_by: dict[str, int] = field(default_factory=dict)
    released: dict[str, str] = field(default_factory=dict)
    marks: dict[str, tuple[str, tuple[int, int] | None]] = field(default_factory=dict)
    harms: dict[str, set[str]] = field(default_factory=dict)
    unreadable: int = 0
    holds: list[tuple[str, int, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    refused: str = ""


@dataclass(eq=False)
class Line:
    """A row as it is read.

    - `values`: heading → final text, where the cell could be read; only columns of the file.
    - `problems`: code and column of each.
    - `kept`: files do not change its user, so nothing else in the row counts (S11).
    - `other`: its user becomes another person (M12).
    """

    number: int
    person: Person | None
    values: dict[str, str]
    problems: set[tuple[str, str]]
    kept: bool = False
    other: bool = False

    @property
    def external_id(self) -> str:
        """The external ID, "" if it cannot be read."""
        return self.values.get("EXTERNAL_ID", "")

    @property
    def registered(self) -> bool:
        """Whether its user has registered, in the end."""
        return self.person is not None and self.person.registered and not self.other

    def asks(self, heading: str) -> str | None:
        """The key of a unique value that the row would newly take."""
        if self.kept or heading not in self.values:
            return None
        asked = key(self.values[heading])
        return None if self.person and key(self.person.values[heading]) == asked else asked

    def was(self, heading: str) -> str:
        """The stored value, "" for a new user."""
        return self.person.values[heading] if self.person else ""

    def after(self, heading: str) -> str:
        """The value in the end, if the row has no problem (M2)."""
        return self.was(heading) if self.kept else self.values.get(heading, self.was(heading))

    def differs(self) -> bool:
        """Whether any value other than the supervisor changes."""
        skipped = ("SUPERVISOR_EMAIL", "EXTERNAL_ID")
        return not self.kept and any(self.was(h) != v for h, v in self.values.items() if h not in skipped)


class Run:
    """A case, and what has been found out about it so far."""

    def __init__(self, case: Case) -> None:
        self.case, self.out = case, Expected()
        self.known = {person.external_id: person for person in case.people}
        self.operator = case.people[case.operator] if case.operator is not None else None
        self.mine = role(self.operator.values["ROLE"]).permissions if self.operator else None
        self.lines = [self._read_line(number, row) for number, row in self._list_rows()]
        self.bosses = {person.external_id: person.boss for person in case.people}

    def _list_rows(self) -> list[tuple[int, Row]]:
        """M6: the rows without those that are the same as an earlier one in every cell."""
        seen, remaining = set[tuple[str, ...]](), list[tuple[int, Row]]()
        for number, row in self.case.file.rows.items():
            cells = tuple(row[heading] for heading in self.case.file.headings)
            if number in self.case.file.short or cells not in seen:
                remaining.append((number, row))
            else:
                self.out.skipped.add(number)
            if number not in self.case.file.short:
                seen.add(cells)
        return remaining

    def _read_line(self, number: int, row: Row) -> Line:
        values: dict[str, str] = {}
        wrong: set[tuple[str, str]] = set()
        for heading in self.case.file.headings:
            text = model_cells.meant(row[heading])
            code = model_cells.find_fault(heading, text)
            if code:
                wrong.add((code, heading))
            else:
                values[heading] = model_cells.read(heading, text)
        if number in self.case.file.short:
            wrong = {("cell-count", "")}
        line = Line(number, self.known.get(values.get("EXTERNAL_ID", "")), values, wrong)
        _keep_released_badge(line)
        return line

    def note(self, line: Line, code: str) -> None:
        """Add a note about a row."""
        self.out.notes.add((line.number, code))

    def may_change(self, person: Person) -> bool:
        """M10: whether the operator has every permission of the person."""
        return self.mine is None or role(person.values["ROLE"]).permissions <= self.mine

    def decide(self, line: Line, code: str) -> str | None:
        """The decision of the operator on a problem of the row, None for none."""
        return self.case.decided.get(line.number, {}).get(code, self.case.accepted.get(code))


def _keep_released_badge(line: Line) -> None:
    """M13: while a user is Inactive, the badge that they had before it was released changes nothing."""
    badge = line.values.get("BADGE_NUMBER", "")
    former = _RELEASED.sub("", line.was("BADGE_NUMBER"))
    released = former != line.was("BADGE_NUMBER") and key(former) == key(badge)
    if badge and released and line.after("STATUS") == "Inactive":
        line.values["BADGE_NUMBER"] = line.was("BADGE_NUMBER")


# Each row alone


def judge_alone(run: Run) -> None:
    """Judge each row without the others."""
    ids = Counter(line.external_id for line in run.lines if line.external_id)
    keys = Counter(model_cells.id_key(line.external_id) for line in run.lines if line.external_id and not line.person)
    holders = {model_cells.id_key(external_id) for external_id in run.known}
    for line in run.lines:
        alike = model_cells.id_key(line.external_id)
        repeated = ids[line.external_id] > 1 or (not line.person and keys[alike] > 1)
        if line.external_id and repeated:
            line.problems.add(("duplicate-in-file", "EXTERNAL_ID"))
        elif line.person and line.person.no_files and line.number not in run.case.file.short:
            line.kept, line.problems = True, set()
            run.note(line, "not-by-files")
            continue
        if line.external_id and not line.person and alike in holders:
            line.problems.add(("taken", "EXTERNAL_ID"))
        _judge_group(run, line)
        _judge_damage(run, line)
        _judge_identity(run, line)
        _judge_authority(run, line)


def _judge_group(run: Run, line: Line) -> None:
    """C7."""
    group = line.values.get("EVIDENCE_GROUP_EXT_ID", "")
    if group and not GROUPS[group].active:
        if line.was("EVIDENCE_GROUP_EXT_ID") == group:
            run.note(line, "inactive-group-kept")
        else:
            line.problems.add(("inactive-group", "EVIDENCE_GROUP_EXT_ID"))


def _judge_damage(run: Run, line: Line) -> None:
    """C12."""
    if "looks-damaged" in run.case.accepted:
        return _note_zeros(run, line)
    linked = not line.person or line.person.boss
    damaged = {h for h in _COMPARED if h in line.values and line.values[h] and _is_damaged(line, h)}
    if linked and model_cells.is_no_value(line.values.get("SUPERVISOR_EMAIL", "")):
        damaged.add("SUPERVISOR_EMAIL")
    kept = (run.decide(line, "looks-damaged") or "").split(",")
    line.problems |= {("looks-damaged", heading) for heading in damaged.difference(kept)}
    return _note_zeros(run, line)


def _is_damaged(line: Line, heading: str) -> bool:
    return line.values[heading] != line.was(heading) and model_cells.is_damaged(line.values[heading], line.was(heading))


def _note_zeros(run: Run, line: Line) -> None:
    """C12: a new badge without the zero that all others begin with."""
    badges = [person.values["BADGE_NUMBER"] for person in run.case.people]
    badge = line.values.get("BADGE_NUMBER", "")
    usual = len(badges) > 2 and all(one.startswith("0") for one in badges)
    if (
        usual
        and not line.person
        and model_cells.is_number(badge)
        and badge[0] != "0"
        and len(badge) < max(map(len, badges))
    ):
        run.note(line, "zeros-missing")


def _judge_identity(run: Run, line: Line) -> None:
    """M12: both names change, and two of the other signs of a person."""
    names = [h for h in ("FIRST_NAME", "LAST_NAME") if h in line.values and line.person]
    renamed = [h for h in names if model_cells.letters(line.was(h)) != model_cells.letters(line.values[h])]
    if len(renamed) < 2 or sum(line.asks(heading) is not None for heading in KEYED) < 2:
        return
    choice = run.decide(line, "identity-change")
    line.other = choice == "other"
    if choice:
        run.note(line, {"same": "same-person", "other": "another-person"}[choice])
    else:
        line.problems.add(("identity-change", "LAST_NAME"))


def _judge_authority(run: Run, line: Line) -> None:
    """M10."""
    if run.operator is None or run.mine is None:
        return
    mine = run.mine
    new = role(line.values["ROLE"]) if "ROLE" in line.values else None
    was = role(line.was("ROLE")) if line.person else None
    if was and not was.permissions <= mine and line.differs():
        line.problems.add(("above-your-role", "ROLE"))
    if new and new != was and not new.permissions <= mine:
        line.problems.add(("above-your-role", "ROLE"))
    moved = line.person and line.person.registered and line.asks("EMAIL") is not None
    if moved and "credentials.manage" not in mine:
        line.problems.add(("registered-address", "EMAIL"))
    if line.person == run.operator:
        if run.operator.active and line.values.get("STATUS") == "Inactive":
            line.problems.add(("own-account", "STATUS"))
        if new and new != was and not mine <= new.permissions:
            line.problems.add(("own-account", "ROLE"))


def describe_day() -> str:
    """The end of a badge that is released today."""
    return f" (until {TODAY.isoformat()})"


VALUED = tuple(heading for heading in HEADINGS if heading != "SUPERVISOR_EMAIL")
"""The columns whose values a user has; the supervisor is a link."""
