"""The books of a feed: a small model of the rules N1 to N7 that shares no code with the product."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/Chicago")
CHIEF, HR, IT = "userchief@agency.example", "hr@example.org", "it@example.org"
NOTIFY = {"held": ["E-chief", HR], "failed": [HR], "late": [IT], "problems": [], "finished": []}
RECIPIENTS = {
    "import-held": [CHIEF, HR], "feed-first-file": [CHIEF, HR], "import-failed": [CHIEF, HR],
    "feed-late": [CHIEF, IT], "feed-unreachable": [CHIEF, IT], "feed-stopped": [CHIEF, IT], "import-finished": [],
}  # fmt: skip
"""Kind of notice → who gets an email of it: those whom the feed names, and the Chief, who chose nothing."""
WAITING = ("previewed", "held")


@dataclass
class File:
    """A file that HR sends. `rows`: external ID → email and last name; None if it cannot be read.

    `verdict`: what a person does if it waits: `apply`, `discard`, or nothing. `is_cut_off`: whether its end is missing.
    """

    name: str
    content: bytes
    rows: dict[str, tuple[str, str]] | None
    verdict: str = "apply"
    is_cut_off: bool = False
    is_complete: bool = True

    @property
    def digest(self) -> str:
        """What identifies its content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Entry:
    """A file that was taken. `outcome`: `same`, or the state of its import and how its plan ended."""

    file: File
    day: date
    outcome: str
    settings: int
    preview: bool = False
    is_settled: bool = False
    taken_at: datetime | None = None
    number: int = -1
    """The place of its import among all."""


@dataclass
class Books:
    """What the rules say must be there."""

    moves: bool
    users: dict[str, list[Any]] = field(default_factory=dict)
    fed: set[str] = field(default_factory=set)
    """Those whom a file of the feed has had: only they leave when a file has them no more (S9)."""
    waiting_there: list[File] = field(default_factory=list)
    """The files that were delivered and not taken."""
    entries: list[Entry] = field(default_factory=list)
    imports: list[list[Any]] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    notices: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    unsent: list[list[str]] = field(default_factory=list)
    """The emails of files that a newer one replaced before they were sent."""
    unsent_tonight: list[list[str]] = field(default_factory=list)
    """Those of this night."""
    days: set[tuple[str, date]] = field(default_factory=set)
    """The days of the notices about the feed."""
    last_rows: int | None = None
    settings: int = 1
    approved: int = 0
    arrived_at: datetime | None = None
    made_at: datetime = datetime(2026, 1, 1, tzinfo=ZONE)
    is_paused: bool = False
    is_stopped: bool = False
    is_down: bool = False
    is_unreachable: bool = False

    def deliver(self, file: File) -> None:
        """HR has put a file there. At one address, it takes the place of the file before."""
        if not self.moves:
            self.waiting_there.clear()
        self.waiting_there.append(file)

    @property
    def works(self) -> bool:
        """Whether a check finds what is there."""
        return not (self.is_paused or self.is_stopped or self.is_down)

    def take_all(self, at: datetime) -> None:
        """A worker has had the time to take everything that is complete."""
        if not self.works:
            return
        self.is_unreachable = False
        while self.waiting_there and self.waiting_there[0].is_complete:
            self.take(self.waiting_there.pop(0), at)
        self.settle()

    def take(self, file: File, at: datetime) -> None:
        """A file is taken: it has nothing new, or it becomes an import."""
        self.arrived_at = at
        entry = Entry(
            file, at.astimezone(ZONE).date(), "same", self.settings, self.settings != self.approved, taken_at=at
        )
        known = next((one for one in reversed(self.entries) if one.outcome not in ("same", "refused")), None)
        if known is None or known.file.digest != file.digest or not self._means_the_same(known):
            entry.number = len(self.imports)
            self.imports.append(["", "", False])
            self._import(entry)
        self.entries.append(entry)

    def _means_the_same(self, known: Entry) -> bool:
        return known.settings == self.settings or (known.outcome == "applied" and self.approved == self.settings)

    def _import(self, entry: Entry) -> None:
        file = entry.file
        if file.rows is None:
            self._end(entry, "refused")
            self.notices["import-failed"] += 1
        elif entry.preview:
            self._replace_waiting(entry)
            self._end(entry, "previewed")
            self.notices["feed-first-file"] += 1
        elif self.find_holds(file):
            self._replace_waiting(entry)
            self._end(entry, "held")
            self.notices["import-held"] += 1
        else:
            self._replace_waiting(entry)
            self._apply(entry)

    def find_holds(self, file: File) -> set[str]:
        """Return why the file waits."""
        assert file.rows is not None
        active = sum(1 for _, _, is_active in self.users.values() if is_active)
        holds = {"deactivations"} if len(self._find_leavers(file)) > max(5, active // 10) else set()
        if len(file.rows) * 100 < (self.last_rows or 0) * 80:
            holds.add("shrunk")
        return holds | ({"cut-off"} if file.is_cut_off else set())

    def _find_leavers(self, file: File) -> list[str]:
        assert file.rows is not None
        return [name for name in self.fed if self.users[name][2] and name not in file.rows]

    def _apply(self, entry: Entry) -> None:
        rows = entry.file.rows or {}
        leavers = self._find_leavers(entry.file)
        added = [name for name in rows if name not in self.users]
        updated = [name for name, cells in rows.items() if name in self.users and self.users[name] != [*cells, True]]
        self.users |= {name: [*cells, True] for name, cells in rows.items()}
        for name in leavers:
            self.users[name][2] = False
        self.fed |= set(rows)
        self.last_rows = len(rows)
        self.changes.append(len(added) + len(updated) + len(leavers))
        for kind, changed in (("added", added), ("updated", updated), ("deactivated", leavers)):
            self.events[f"user.{kind}"] += len(changed)
        self.notices["import-finished"] += 1
        self._end(entry, "applied")

    def _end(self, entry: Entry, state: str) -> None:
        entry.outcome = self.imports[entry.number][0] = state

    def find_waiting(self) -> Entry | None:
        """Return the file that waits for a person."""
        return next((one for one in self.entries if one.outcome in WAITING), None)

    def _replace_waiting(self, newer: Entry) -> None:
        waiting = self.find_waiting()
        if waiting:
            if waiting.taken_at == newer.taken_at:
                kind = "import-held" if waiting.outcome == "held" else "feed-first-file"
                unsent = [[kind, to] for to in RECIPIENTS[kind]]
                self.unsent += unsent
                self.unsent_tonight += unsent
            self._finish(waiting, "replaced-by")

    def let_leave(self, found: list[list[str]]) -> None:
        """Accept that emails of this night have left just before their file was replaced. `found`: all that have not left."""
        for mail in self.unsent_tonight:
            if found.count(mail) < self.unsent.count(mail):
                self.unsent.remove(mail)

    def _finish(self, waiting: Entry, how: str) -> None:
        self.imports[waiting.number][1] = how
        waiting.outcome = f"{waiting.outcome} {how}"

    def decide(self, what: str) -> None:
        """A person applies the file that waits, or discards it."""
        waiting = self.find_waiting()
        if waiting is None:
            return
        if what == "discard":
            self._finish(waiting, "discarded")
            self.events["import.discarded"] += 1
            return
        self._finish(waiting, "applied-as")
        waiting.number = len(self.imports)
        self.imports.append(["", "", True])
        self._apply(waiting)
        if waiting.settings == self.settings:
            self.approved = self.settings

    def settle(self) -> None:
        """What has ended leaves, if the location can be used."""
        if self.is_stopped or self.is_down:
            return
        for entry in self.entries:
            waits = entry.outcome in WAITING or (
                entry.outcome == "refused" and entry.preview and entry is self.entries[-1]
            )
            entry.is_settled = entry.is_settled or not waits

    def find_late(self, at: datetime) -> date | None:
        """Return the day of the notice that is due because no file has arrived in time."""
        local = at.astimezone(ZONE)
        day = local.date() if local.time() >= time(6) else local.date() - timedelta(days=1)
        deadline, before = (datetime.combine(day - timedelta(days=n), time(6), ZONE) for n in (0, 1))
        if deadline < self.made_at:
            return None
        return None if self.arrived_at and self.arrived_at >= before else day

    def pass_time(self, at: datetime) -> None:
        """A worker has looked at the clock. What seems to have arrived later than now has arrived by now."""
        if self.arrived_at and self.arrived_at > at + timedelta(minutes=1):
            self.arrived_at = at
        day = None if self.is_paused else self.find_late(at)
        if day:
            self.notify("feed-late", day)

    def notify(self, kind: str, day: date) -> None:
        """There is a notice about the feed, one of a kind each day."""
        self.notices[kind] += (kind, day) not in self.days
        self.days.add((kind, day))

    def find_state(self, at: datetime) -> str:
        """Return what the page says of the feed: first what stops it, then what waits, then what is missing or wrong."""
        waiting = self.find_waiting()
        last = next((one.outcome for one in reversed(self.entries) if one.outcome != "same"), "")
        states = {
            "stopped": self.is_stopped,
            "first": waiting and waiting.outcome == "previewed",
            "waits": waiting,
            "paused": self.is_paused,
            "unreachable": self.is_unreachable,
            "late": self.find_late(at),
            "failed": last == "refused",
        }
        new = "first" if self.approved != self.settings else "fine"
        return next((state for state, holds in states.items() if holds), new)

    def find_mark(self, day: date) -> str:
        """Return the mark of a night: that of its last file with something new, if there is one."""
        marks = [_mark(entry.outcome) for entry in self.entries if entry.day == day]
        return next((mark for mark in reversed(marks) if mark != "same"), marks[-1] if marks else "none")

    def list_mails(self) -> list[list[str]]:
        """Return the kind and the recipient of each email."""
        return sorted(
            [kind, to] for kind, number in self.notices.items() for to in RECIPIENTS[kind] for _ in range(number)
        )


def _mark(outcome: str) -> str:
    state = outcome.partition(" ")[0]
    return {"refused": "failed", "previewed": "held"}.get(state, state)
