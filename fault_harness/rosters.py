"""The files that arrive: rosters of invented people, each different from all others, and what each of them means."""

import csv
import hashlib
import io
import random
from dataclasses import dataclass, field

from fault_harness.schedule import Path

HEADINGS = ("EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "STATUS", "USERNAME", "ROLE")
Row = dict[str, str]
_PEOPLE = 24
_PREFIXES = {Path.FOLDER: "H", Path.SENT: "S", Path.COMMAND: "C"}
"""Each path has people of its own."""


@dataclass(frozen=True, slots=True)
class Roster:
    """A file: its path, its content and its rows."""

    path: Path
    content: bytes
    rows: tuple[Row, ...]

    @property
    def sha256(self) -> str:
        """The name that the product gives its content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def synchronizes(self) -> bool:
        """Return whether the people who are not in it leave."""
        return self.path is Path.FOLDER


@dataclass
class Rosters:
    """The files of a round, made one after the other by chance. `known`: all of them, by their hash."""

    chance: random.Random
    known: dict[str, Roster] = field(default_factory=dict)
    _versions: dict[str, list[int]] = field(default_factory=dict)

    def make(self, path: Path) -> Roster:
        """Return the next file of the path: a few people have changed, and a few are missing."""
        versions = self._versions.setdefault(path, [0] * _PEOPLE)
        for number in self.chance.sample(range(1, _PEOPLE), 3):
            versions[number] += 1
        versions[0] += 1  # so no file is like another one
        missing = self.chance.sample(range(1, _PEOPLE), 3)
        rows = tuple(
            _make_row(_PREFIXES[path], number, versions[number]) for number in range(_PEOPLE) if number not in missing
        )
        roster = Roster(path, _write(rows), rows)
        self.known[roster.sha256] = roster
        return roster


def replay(applied: list[Roster]) -> dict[str, Row]:
    """Return the users that these files lead to, in their order. This is the whole meaning of a file, said again."""
    users: dict[str, Row] = {}
    for roster in applied:
        listed = {row["EXTERNAL_ID"]: row for row in roster.rows}
        users |= listed
        if roster.synchronizes:
            for external_id, row in users.items():
                if external_id.startswith(_PREFIXES[roster.path]) and external_id not in listed:
                    users[external_id] = row | {"STATUS": "Inactive"}
    return users


def _make_row(prefix: str, number: int, version: int) -> Row:
    name = f"{prefix.lower()}{number}"
    return {
        "EXTERNAL_ID": f"{prefix}-{number}", "EMAIL": f"{name}.{version // 4}@agency.example",
        "BADGE_NUMBER": f"{prefix}{number:04}", "FIRST_NAME": f"First {number}", "LAST_NAME": f"Last {number} {version}",
        "STATUS": "Active", "USERNAME": name, "ROLE": "Officer",
    }  # fmt: skip


def _write(rows: tuple[Row, ...]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADINGS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
