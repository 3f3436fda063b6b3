"""Makes first-night.csv and second-night.csv: an invented police department, and what has changed a day later.

Run it from the checkout: `.venv/bin/python -m examples.make`. It gives the same files each time. The second night, in
synchronize mode, holds: six people hired (one of them reports to somebody outside the department), five promoted, two moved
to another district, one telephone changed; two who get each other's e-mail address; a sergeant with a new name and address
(one report still bears the old one); eight who have left; and seven rows with six kinds of mistakes.
"""

import csv
import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path

from examples.names import FIRST, LAST, OTHER_SCRIPTS
from scripts import program

HEADINGS = (
    "EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "STATUS", "USERNAME", "ROLE", "SUPERVISOR_EMAIL",
    "LOCATION", "RANK", "EVIDENCE_GROUP_EXT_ID", "PHONE",
)  # fmt: skip
DOMAIN = "riverton.example"
LEAVERS = 8
_AREA_CODES = (202, 303, 312, 415, 504)
_LETTERS = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d", "ß": "ss", "ı": "i"})

Row = dict[str, str]


@dataclass
class Unit:
    """A part of the department: its name as a location, its group, and whom it has besides its head."""

    location: str
    group: str
    head: tuple[str, str]
    teams: int
    members: int
    member: tuple[str, str]


UNITS = (
    Unit("First district station", "PATROL-1", ("Captain", "Supervisor"), 4, 31, ("Police Officer", "Officer")),
    Unit("Second district station", "PATROL-2", ("Captain", "Supervisor"), 4, 31, ("Police Officer", "Officer")),
    Unit("Third district station", "PATROL-3", ("Captain", "Supervisor"), 4, 31, ("Police Officer", "Officer")),
    Unit("Harbor station", "PATROL-4", ("Captain", "Supervisor"), 3, 24, ("Police Officer", "Officer")),
    Unit("Headquarters, ground floor", "TRAFFIC", ("Lieutenant", "Supervisor"), 2, 16, ("Police Officer", "Officer")),
    Unit("Headquarters, 2nd floor", "INVEST-PROPERTY", ("Lieutenant", "Supervisor"), 2, 14, ("Detective", "Officer")),
    Unit("Headquarters, 3rd floor", "INVEST-PERSONS", ("Lieutenant", "Supervisor"), 2, 14, ("Detective", "Officer")),
    Unit("Evidence building", "FORENSICS", ("Lieutenant", "Supervisor"), 1, 10, ("Detective", "Officer")),
    Unit("Headquarters, ground floor", "RECORDS", ("", "Records Supervisor"), 0, 12, ("", "Records Clerk")),
    Unit("Academy", "TRAINING", ("Lieutenant", "Supervisor"), 2, 13, ("Recruit", "Officer")),
)


@dataclass
class Department:
    """Everybody, in the order in which they joined; chance decides names and telephones."""

    chance: random.Random
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names = self._drawn_names()
        self._numbers = count(117)
        self._area = cycle(_AREA_CODES)

    def _drawn_names(self) -> Iterator[tuple[str, str, str, str]]:
        latin = [*zip(self._shuffled(FIRST), cycle(self._shuffled(LAST)))]
        latin += zip(self._shuffled(FIRST), self._shuffled(LAST), strict=False)
        spaced = ((first, last.replace("_", " ")) for first, last in dict.fromkeys(latin))
        names = [(first, last, _plain(first), _plain(last)) for first, last in spaced]
        for place, name in zip(range(20, 250, 23), OTHER_SCRIPTS, strict=True):
            names.insert(place, name)
        return iter(names)

    def _shuffled(self, names: list[str]) -> list[str]:
        return self.chance.sample(names, len(names))

    def join(self, unit: Unit, rank: str, role: str, supervisor: str) -> Row:
        """Somebody new, with the next name and number."""
        first, last, plain_first, plain_last = next(self._names)
        number = next(self._numbers)
        row = dict(zip(HEADINGS, (
            f"{number:06}", self._free("EMAIL", f"{plain_first}.{plain_last}", f"@{DOMAIN}"),
            f"{4000 + number}" if rank else f"C-{number}", first, last, "Active",
            self._free("USERNAME", f"{plain_first[0]}{plain_last}"), role, supervisor,
            unit.location, rank, unit.group, self._phone(),
        ), strict=True))  # fmt: skip
        self.rows.append(row)
        return row

    def _free(self, column: str, wanted: str, end: str = "") -> str:
        taken = {row[column] for row in self.rows}
        others = (f"{wanted}{number}{end}" for number in count(2))
        return next(value for value in (f"{wanted}{end}", *[next(others) for _ in range(9)]) if value not in taken)

    def _phone(self) -> str:
        area, last = next(self._area), f"01{self.chance.randrange(100):02}"
        forms = (
            f"+1 {area} 555 {last}", f"+1 ({area}) 555-{last}", f"1-{area}-555-{last}", f"1{area}555{last}",
            f"+1 {area} 555 {last} ext. {self.chance.randrange(10, 99)}", "",
        )  # fmt: skip
        return self.chance.choices(forms, weights=(8, 5, 3, 3, 1, 2))[0]


def first_night(department: Department) -> None:
    """Fill the department from the chief down; the last eleven have left long ago."""
    headquarters = Unit("Headquarters, 4th floor", "COMMAND", ("", ""), 0, 0, ("", ""))
    chief = department.join(headquarters, "Chief of Police", "Admin", "")["EMAIL"]
    deputies = [department.join(headquarters, "Deputy Chief", "Admin", chief)["EMAIL"] for _ in range(2)]
    commanders = [department.join(headquarters, "Commander", "Supervisor", deputy)["EMAIL"] for deputy in deputies]
    for _ in range(3):
        department.join(headquarters, "", "Admin", deputies[1])["EVIDENCE_GROUP_EXT_ID"] = ""
    department.join(headquarters, "", "Auditor", chief)
    for place, unit in enumerate(UNITS):
        _fill(department, unit, commanders[place % 2])
    for _ in range(11):
        department.join(UNITS[0], "Police Officer", "Officer", chief).update(
            STATUS="Inactive", EVIDENCE_GROUP_EXT_ID=""
        )


def _fill(department: Department, unit: Unit, above: str) -> None:
    head = department.join(unit, *unit.head, above)["EMAIL"]
    leads = [department.join(unit, "Sergeant", "Supervisor", head)["EMAIL"] for _ in range(unit.teams)] or [head]
    for _, lead in zip(range(unit.members), cycle(leads), strict=False):
        member = department.join(unit, *unit.member, lead)
        if unit.group.startswith("PATROL") and department.chance.random() < 0.1:
            member["RANK"] = "Cpl"


def second_night(department: Department) -> list[Row]:
    """What the second night's file holds: changes the department, and gives the rows, mistakes among them."""
    officers = [row for row in department.rows if row["RANK"] == "Police Officer" and row["STATUS"] == "Active"]
    chosen = iter(department.chance.sample(officers, len(officers)))
    gone = {next(chosen)["EXTERNAL_ID"] for _ in range(LEAVERS)}
    gone |= {row["EXTERNAL_ID"] for row in department.rows[-8:]}
    _promote(department, chosen)
    _move(chosen)
    _readdress(department, chosen)
    hired = [_hire(department) for _ in range(6)]
    hired[0]["SUPERVISOR_EMAIL"] = "liaison@state-academy.example"
    mistaken = _mistakes(department, chosen)
    return [mistaken.get(row["EXTERNAL_ID"], row) for row in department.rows if row["EXTERNAL_ID"] not in gone]


def _promote(department: Department, chosen: Iterator[Row]) -> None:
    for _ in range(3):
        next(chosen).update(RANK="Corporal")
    for _ in range(2):
        row = next(chosen)
        head = next(
            r for r in department.rows if r["RANK"] in ("Captain", "Lieutenant") and r["LOCATION"] == row["LOCATION"]
        )
        row.update(RANK="Sergeant", ROLE="Supervisor", SUPERVISOR_EMAIL=head["EMAIL"])


def _move(chosen: Iterator[Row]) -> None:
    for unit in (UNITS[1], UNITS[3]):
        next(chosen).update(LOCATION=unit.location, EVIDENCE_GROUP_EXT_ID=unit.group)
    next(chosen).update(PHONE="+1 202 555 0199")


def _readdress(department: Department, chosen: Iterator[Row]) -> None:
    one, other = next(chosen), next(chosen)
    one["EMAIL"], other["EMAIL"] = other["EMAIL"], one["EMAIL"]
    sergeant = [row for row in department.rows if row["RANK"] == "Sergeant" and row["ROLE"] == "Supervisor"][3]
    before, after = sergeant["EMAIL"], f"{_plain(sergeant['FIRST_NAME'])}.castellanos@{DOMAIN}"
    sergeant.update(LAST_NAME="Castellanos", EMAIL=after)
    for row in [row for row in department.rows if row["SUPERVISOR_EMAIL"] == before][1:]:
        row["SUPERVISOR_EMAIL"] = after


def _hire(department: Department) -> Row:
    academy = UNITS[-1]
    sergeant = next(r for r in department.rows if r["RANK"] == "Sergeant" and r["LOCATION"] == academy.location)
    return department.join(academy, *academy.member, sergeant["EMAIL"])


def _mistakes(department: Department, chosen: Iterator[Row]) -> dict[str, Row]:
    """Rows with a mistake in them, by external ID; the two who share a badge number and the last one are new."""
    wrong = [
        {**next(chosen), "RANK": "Sargent"},
        {**next(chosen), "PHONE": "+1 202 555 014"},
        {**next(chosen), "LAST_NAME": ""},
        {**next(chosen), "STATUS": "Actve"},
        {**_hire(department), "BADGE_NUMBER": "4999"},
        {**_hire(department), "BADGE_NUMBER": "4999"},
        {**_hire(department), "EMAIL": next(chosen)["EMAIL"]},
    ]
    return {row["EXTERNAL_ID"]: row for row in wrong}


def _plain(name: str) -> str:
    """The name as an address has it: `Ó Súilleabháin` is `osuilleabhain`."""
    parted = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    return "".join(letter for letter in parted if letter.isascii() and letter.isalpha()).lower()


def write(path: Path, rows: list[Row], encoding: str) -> None:
    """Write rows as a spreadsheet saves “CSV UTF-8” (with the byte order mark) or as most programs do (without)."""
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, HEADINGS)
        writer.writeheader()
        writer.writerows(rows)


def main(folder: Path) -> None:
    """Write both files into the folder."""
    department = Department(random.Random(1851))
    first_night(department)
    write(folder / "first-night.csv", department.rows, "utf-8")
    write(folder / "second-night.csv", second_night(department), "utf-8-sig")


if __name__ == "__main__":
    with program.run(__doc__):
        main(Path(__file__).parent)
