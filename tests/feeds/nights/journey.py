"""The nights of one feed pass in an installation of its own, whose workers are real processes, and the books are balanced."""

import base64
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from tests.databases import Home
from tests.feeds.nights.books import NOTIFY, ZONE, Books, Entry, File
from tests.feeds.nights.places import PLACES, SftpPlace
from tests.feeds.nights.plans import FIRST_NIGHT, HumanResources, Night
from tests.feeds.nights.processes import Worker

_SECOND = timedelta(seconds=1)
JUMPS = {"an hour behind": timedelta(hours=-1), "an hour ahead": timedelta(hours=1), "a day ahead": timedelta(days=1)}
"""How wrong a clock is in a night."""


class Journey:
    """The nights of one feed."""

    def __init__(self, home: Home, folder: Path, kind: str, seed: int, first: date) -> None:
        self.home, self.chance = home, random.Random(f"{kind} {seed}")
        self.place = PLACES[kind](home, folder)
        self.log = (folder / "workers.log").open("w", encoding="utf-8")
        self.books = Books(self.place.moves)
        self.hr = HumanResources(self.chance)
        self.pending: list[File] = []
        """The files that HR could not send yet."""
        self.at = clock(first, 0)
        self.kills = Counter[str]()
        self.workers = [Worker(home, self.log)]
        self.token = ""
        self.due: datetime | None = None
        self.untried = list(self.place.kills)
        self.chance.shuffle(self.untried)

    @property
    def worker(self) -> Worker:
        """The worker that is there always."""
        return self.workers[0]

    def end(self) -> None:
        """End what runs."""
        for worker in self.workers:
            worker.end()
        self.place.end()
        self.log.close()

    def begin(self) -> None:
        """Make the agency and its feed."""
        given = {"location": self.place.location(), "secrets": self.place.secrets(), "notify": NOTIFY}
        self.token = self.worker.do(self.at, "make", key=self.place.key, **given)["token"]
        found = self.look()
        self.books.users, self.books.events = dict(found["users"]), Counter(found["events"])
        self.books.made_at = self.at

    def look(self) -> dict[str, Any]:
        """Return what the installation has."""
        return self.worker.do(self.at, "look")

    # What happens

    def round(self, pause: str = "") -> bool:
        """Let a worker, or two, do what is due. Return whether one was killed after the step `pause`."""
        self.books.pass_time(self.at)
        for worker in self.workers:
            worker.ask(self.at, "round", pause=pause)
        answers = [worker.read() for worker in self.workers]
        if any("paused" in answer for answer in answers):
            self.kill(pause)
            self.due = None
            return True
        due = answers[-1]["due"]
        self.due = datetime.fromisoformat(due).astimezone(UTC) if due else None
        return False

    def kill(self, step: str) -> None:
        """End the worker at once, and start another one."""
        self.worker.kill()
        self.kills[step] += 1
        # What it leaves is as old as the clock of the nights says, so that it is deleted a day later.
        for path in self.home.folder.rglob("arriving-*"):
            os.utime(path, (self.at.timestamp(), self.at.timestamp()))
        self.workers[0] = Worker(self.home, self.log)

    def pass_to(self, to: datetime, pause: str = "") -> str:
        """Let the time pass, with a round whenever the feed is due. Return the step that no worker was killed after."""
        while self.at < to:
            if self.round(pause):
                pause = ""
                self.at = min(self.at + timedelta(minutes=3), to)
            else:
                later = self.due if self.due and self.due > self.at else to
                self.at = min(later, to)
        return pause

    def run_night(self, night: Night) -> None:
        """Let a night pass, from midnight to the next one, and balance the books at its end."""
        file = self.hr.write(night, self.place.name(night.day))
        if file and night.mishap == "growing":
            file.is_complete = False
        self.at = clock(night.day, 0, 30)
        self.begin_mishap(night)
        if file:
            self.deliver(file, night)
        self.at = clock(night.day, 1)
        self.spend_first_hours(night, file)
        self.books.take_all(self.at)
        self.end_mishap(night)
        self.pass_to(clock(night.day, 5, 50))
        self.books.take_all(self.at)
        for moment in (clock(night.day, 6, 1), clock(night.day, 6, 30)):
            self.at = moment
            self.round()
        self.end_night(night)
        self.balance(night)

    def begin_mishap(self, night: Night) -> None:
        """What goes wrong before the file is there."""
        if night.mishap.startswith("paused"):
            self.act("pause", "feed.paused")
            self.books.is_paused = True
        elif night.mishap == "changed":
            self.act("change", "feed.changed")
            self.books.settings += 1
        elif night.mishap.startswith("down"):
            self.place.stop()
            self.books.is_down = not self.place.sends
        elif night.mishap.startswith("host key") and isinstance(self.place, SftpPlace):
            self.place.server.change_key()
            self.place.server.restart()
            self.books.is_stopped = True
            self.books.notify("feed-stopped", night.day)
        elif night.mishap == "two workers":
            self.workers.append(Worker(self.home, self.log))

    def act(self, what: str, event: str) -> None:
        """A person does something with the feed."""
        self.worker.do(self.at, "act", what=what)
        self.books.events[event] += 1

    def deliver(self, file: File, night: Night) -> None:
        """HR delivers the file, or begins to."""
        if self.place.sends:
            self.pending.append(file)
            return
        self.books.deliver(file)
        content = file.content
        if night.mishap == "growing":
            content = content[: len(content) // 3]
        elif night.mishap == "checksum" and self.place.moves:
            self.place.put(f"{file.name}.sha256", f"{file.digest}  {file.name}\n".encode(), self.at)
            content = content[: len(content) // 2]
        name = f"{file.name}.part" if night.mishap == "renamed" and self.place.moves else file.name
        self.place.put(name, content, self.at)

    def spend_first_hours(self, night: Night, file: File | None) -> None:
        """What goes wrong while the file is taken, until ten past three."""
        if self.place.sends:
            self.send_all(night)
        elif night.mishap == "killed":
            step = self.untried.pop(0) if self.untried else "imported"
            if self.pass_to(clock(night.day, 1, 20), step):
                self.untried.append(step)
        elif night.mishap == "two workers":
            self.pass_to(clock(night.day, 1, 20))
            self.workers.pop().end()
        elif night.mishap in JUMPS:
            self.jump(night)
        elif file:
            self.complete(night, file)
        self.pass_to(clock(night.day, 3, 10))
        if night.mishap.startswith("down") and not self.place.sends:
            self.books.is_unreachable = True
            self.books.notify("feed-unreachable", night.day)

    def jump(self, night: Night) -> None:
        """The clock of the worker is wrong before the file is taken, and after that."""
        for _ in range(2):
            right = self.at
            self.at += JUMPS[night.mishap]
            self.pass_to(self.at + timedelta(minutes=10))
            if night.mishap == "a day ahead":
                self.books.take_all(self.at)
            self.at = right
            self.pass_to(self.at + timedelta(minutes=10))
            self.books.take_all(self.at)

    def complete(self, night: Night, file: File) -> None:
        """HR goes on with a file that it has begun to deliver."""
        if night.mishap == "growing":
            for part in (2, 3):
                self.round()
                self.place.put(file.name, file.content[: len(file.content) * part // 3], self.at + 20 * _SECOND)
                self.at = self.due or self.at + 61 * _SECOND
            file.is_complete = True
        elif night.mishap == "checksum" and self.place.moves:
            self.round()
            self.place.put(file.name, file.content, self.at + 20 * _SECOND)
        elif night.mishap == "renamed" and self.place.moves:
            self.pass_to(clock(night.day, 1, 40))
            (self.place.folder / f"{file.name}.part").rename(self.place.folder / file.name)

    def send_all(self, night: Night) -> None:
        """The program of HR sends what it has, and repeats it until it is answered."""
        if self.books.is_paused or night.mishap.startswith("down"):
            for file in self.pending[:1] if self.books.is_paused else ():
                assert self.send(file, "")["status"] == 409
            return
        step = self.untried.pop(0) if night.mishap == "killed" and self.untried else ""
        at = self.at
        while self.pending:
            file = self.pending.pop(0)
            if night.mishap in ("growing", "checksum", "renamed"):
                assert self.send(file, "", broken=True)["status"] == 400
            while "status" not in (answer := self.send(file, step)):
                self.kill(step)
                step = ""
            assert answer["status"] in (200, 202)
            file.is_complete = True
            self.books.take(file, at)  # no worker has begun with the first before the last is there
            self.at += 5 * _SECOND
        if step and self.pass_to(self.at + timedelta(minutes=20), step):
            self.untried.append(step)
        if night.mishap == "two workers":
            self.round()
            self.workers.pop().end()
        self.round()
        self.books.settle()

    def send(self, file: File, pause: str, *, broken: bool = False) -> dict[str, Any]:
        """Send a file once."""
        content = base64.b64encode(file.content).decode()
        key = f"{id(file)}"
        return self.worker.do(self.at, "send", token=self.token, content=content, key=key, broken=broken, pause=pause)

    def end_mishap(self, night: Night) -> None:
        """A person, or HR, ends at ten past three what went wrong."""
        if night.mishap == "paused":
            self.act("resume", "feed.resumed")
            self.books.is_paused = False
        elif night.mishap == "down":
            self.place.start()
            self.books.is_down = False
        elif night.mishap == "host key" and self.books.is_stopped:
            self.accept()
        else:
            return
        if self.place.sends:
            self.send_all(Night(night.day, night.content, ""))

    def accept(self) -> None:
        """A person accepts the new host key."""
        self.act("accept", "feed.host-key-accepted")
        self.books.is_stopped = False

    def end_night(self, night: Night) -> None:
        """In the morning, a person sees to what waits, and to what was not noticed in the night."""
        self.at = clock(night.day, 7)
        if night.mishap == "paused long":
            self.act("resume", "feed.resumed")
            self.books.is_paused = False
        elif night.mishap == "host key, seen late" and self.books.is_stopped:
            self.accept()
        self.round()
        self.books.settle()
        waiting = self.books.find_waiting()
        self.at = clock(night.day, 7, 30)
        if waiting and waiting.file.verdict:
            self.worker.do(self.at, "decide", what=waiting.file.verdict)
            self.books.decide(waiting.file.verdict)
        self.round()
        self.books.settle()
        self.at = clock(night.day, 8)
        self.round()
        if night.mishap == "down all night":
            self.place.start()

    def balance(self, night: Night) -> None:
        """Compare the books with the installation."""
        found = self.look()
        self.balance_files(found)
        self.balance_notices(found, night)
        self.balance_place()
        self.balance_page(found, night)
        self.books.unsent_tonight.clear()
        if night.mishap == "down all night":
            self.books.is_down = False

    def balance_files(self, found: dict[str, Any]) -> None:
        """Compare the files, the imports, what they did, and what a worker knows of the feed."""
        books, entries = self.books, self.books.entries
        problem = found["feed"]["problem"]
        assert bool(problem) == (books.is_down or books.is_stopped), problem
        expected = [[self._name(one), one.file.digest, one.outcome, one.is_settled] for one in entries]
        assert found["files"] == expected
        assert found["imports"] == books.imports
        by_feed = [one for one in books.imports if not one[2]]
        assert len(entries) == len(by_feed) + sum(one.outcome == "same" for one in entries)
        assert found["changes"] == books.changes, "each import was applied once"
        assert found["users"] == books.users
        assert found["events"] == +books.events
        feed = found["feed"]
        assert (feed["worker"], feed["lease"]) == ("", False)
        assert (feed["last_rows"], feed["new"]) == (books.last_rows, books.approved != books.settings)
        assert found["left"] <= (2 if self.kills else 0)

    def balance_notices(self, found: dict[str, Any], night: Night) -> None:
        """Compare the notices, and the emails that have left.

        Of two workers, one may send the email of a held file while the other one still reads the file that replaces it.
        """
        assert found["notices"] == +self.books.notices
        assert found["mails"] == self.books.list_mails()
        if night.mishap == "two workers":
            self.books.let_leave(found["unsent"])
        assert found["unsent"] == sorted(self.books.unsent), night
        sent = list((self.home.folder / "mail").glob("*.eml"))
        assert len(sent) == len(found["mails"]) - len(self.books.unsent)

    def balance_page(self, found: dict[str, Any], night: Night) -> None:
        """Compare what the pages Feeds and Home show."""
        books, state = self.books, self.books.find_state(self.at)
        assert found["states"] == [state, state]
        days = [night.day - timedelta(days=number) for number in range(29, -1, -1)]
        assert found["nights"] == [[str(day), books.find_mark(day)] for day in days]
        is_shown = state in ("waits", "late", "failed", "unreachable", "stopped") or (
            state == "first" and books.find_waiting()
        )
        assert found["home"] == ([state] if is_shown else [])

    def _name(self, entry: Entry) -> str:
        return "file" if self.place.sends else entry.file.name

    def balance_place(self) -> None:
        """Compare the books with what is at the location: each file is there once, and those that ended with their results."""
        if not self.place.moves:
            return
        there = {one.name for one in self.books.waiting_there}
        expected: dict[str, set[str]] = {"": there, "done": set(), "failed": set()}
        for entry in self.books.entries:
            folder = ("failed" if entry.outcome == "refused" else "done") if entry.is_settled else ""
            expected[folder].add(entry.file.name)
            if entry.is_settled and entry.outcome == "applied":
                expected[folder].add(entry.file.name.replace(".csv", ".results.csv"))
            if entry.is_settled and entry.file.is_cut_off and entry.outcome != "same":
                expected[folder].add(entry.file.name.replace(".csv", ".errors.csv"))
            if entry.is_settled and entry.outcome == "refused":
                expected[folder].add(entry.file.name.replace(".csv", ".problem.txt"))
        for folder, names in expected.items():
            assert {one for one in self.place.list_names(folder) if not one.endswith(".sha256")} == names, folder

    def check_end(self) -> None:
        """Check what is seen only at the end: the trail, and that the nights were as hard as they should be."""
        assert self.worker.do(self.at, "check") == {"error": ""}
        assert sum(self.kills.values()) >= 4, self.kills


def clock(day: date, hour: int, minute: int = 0) -> datetime:
    """Return when a clock in Chicago shows this time."""
    return datetime.combine(day, time(hour, minute), ZONE).astimezone(UTC)


@contextmanager
def begin(home: Home, folder: Path, kind: str, seed: int, first: date = FIRST_NIGHT) -> Iterator[Journey]:
    """Yield the journey of a feed of this kind, whose agency and feed are made."""
    journey = Journey(home, folder, kind, seed, first)
    try:
        journey.begin()
        yield journey
    finally:
        journey.end()
