"""What HR sends in each of thirty nights, and what goes wrong in it."""

import csv
import io
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from tests.directory.cast import person
from tests.feeds.nights.books import File

FIRST_NIGHT = date(2026, 3, 2)
"""The clock of Chicago is set forward on March 8."""
CONTENTS = (
    *["plain"] * 11, *["many leave"] * 2, *["wrong, discarded"] * 2, *["wrong, replaced"] * 2, *["shrunk"] * 2,
    *["cut off"] * 2, *["same"] * 3, *["none"] * 4, "unreadable",
)  # fmt: skip
"""What HR sends in the nights after the first."""
MISHAPS = (
    *[""] * 6, *["killed"] * 7, *["two workers"] * 3, *["down"] * 2, "down all night", *["host key"] * 2,
    "host key, seen late", *["growing"] * 2, "renamed", "checksum", "paused", "paused long", "changed",
)  # fmt: skip
"""What goes wrong in them."""


@dataclass(frozen=True)
class Night:
    """One night: what HR sends, and what goes wrong."""

    day: date
    content: str
    mishap: str


def plan_nights(chance: random.Random) -> list[Night]:
    """Return thirty nights, of which the first is quiet."""
    contents, mishaps = list(CONTENTS), list(MISHAPS)
    assert len(contents) == len(mishaps) == 29
    chance.shuffle(contents)
    chance.shuffle(mishaps)
    pairs = [("plain", ""), *zip(contents, mishaps, strict=True)]
    return [Night(FIRST_NIGHT + timedelta(days=number), *pair) for number, pair in enumerate(pairs)]


class HumanResources:
    """HR: whom it employs, and the files that it makes of that."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.roster = {number: f"Last {number}" for number in range(1, 61)}
        self.next_number = 61
        self.last: File | None = None

    def write(self, night: Night, name: str) -> File | None:
        """Return the file of a night: the roster after hires, leavers and weddings, or what a fault makes of it."""
        if night.content == "none":
            return None
        if night.content == "same" and self.last:
            last = self.last
            return File(name, last.content, last.rows, last.verdict, last.is_cut_off)
        if night.content == "unreadable":
            return File(name, f"EXTERNAL_ID,NOTE\r\nE-1,{night.day}\r\n".encode(), None)
        self.employ(night)
        self.last = self.cut_off(name) if night.content == "cut off" else self.leave_out(night.content, name)
        return self.last

    def employ(self, night: Night) -> None:
        """People come, go and marry."""
        roster, chance = self.roster, self.chance
        for _ in range(chance.randint(1, 3)):
            roster[self.next_number] = f"Last {self.next_number}"
            self.next_number += 1
        for number in chance.sample(sorted(roster), 9 if night.content == "many leave" else chance.randint(0, 2)):
            del roster[number]
        for number in chance.sample(sorted(roster), chance.randint(0, 4)):
            roster[number] = f"Married {number} on {night.day}"

    def leave_out(self, content: str, name: str) -> File:
        """Return the roster, without those whom a fault leaves out."""
        missing = {"wrong, discarded": 10, "wrong, replaced": 10, "shrunk": int(len(self.roster) * 0.4)}.get(content, 0)
        left_out = set(self.chance.sample(sorted(self.roster), missing))
        rows = {number: last for number, last in sorted(self.roster.items()) if number not in left_out}
        verdicts = {"wrong, discarded": "discard", "shrunk": "discard", "wrong, replaced": ""}
        return File(name, _write(rows), _describe(rows), verdicts.get(content, "apply"))

    def cut_off(self, name: str) -> File:
        """Return the roster until the middle of the fourth row from the end."""
        rows = dict(sorted(self.roster.items()))
        lines = _write(rows).splitlines(keepends=True)
        content = b"".join(lines[:-4]) + lines[-4][:3]
        kept = _describe(dict(list(rows.items())[:-4]))
        return File(name, content, kept, self.chance.choice(["discard", ""]), is_cut_off=True)


def _write(rows: Mapping[int, str]) -> bytes:
    people = [person(number, LAST_NAME=name) for number, name in rows.items()]
    text = io.StringIO()
    writer = csv.DictWriter(text, people[0])
    writer.writeheader()
    writer.writerows(people)
    return text.getvalue().encode()


def _describe(rows: Mapping[int, str]) -> dict[str, tuple[str, str]]:
    return {f"E-{number}": (f"user{number}@agency.example", name) for number, name in rows.items()}
