"""Where one benchmark is carried out: the files of one size, and installations on one database."""

import sys
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import installations, machine
from benchmarks.jobs import job
from benchmarks.measurements import Kept
from benchmarks.plans import Plan, Row
from scripts.postgres import server
from tests.databases import Home, template


@dataclass
class Bench:
    """The benchmark of one size on one database: its files, and installations that end with it."""

    plan: Plan
    kept: Kept
    files: Path
    database: str
    users: int
    stack: ExitStack
    _copies: int = field(default=0, init=False)

    def empty(self) -> Home:
        """An installation with an agency that has nobody."""
        url = self.stack.enter_context(server(durable=True)) if self.database == "postgresql" else ""
        folder = self._folder()
        folder.mkdir()
        home = self.stack.enter_context(template(folder, url))
        job("prepare", home)
        return home

    def copied(self, home: Home) -> AbstractContextManager[Home]:
        """A copy of an installation."""
        return installations.copied(home, self._folder())

    def loaded(self, home: Home, file: Path) -> Home:
        """A copy of an installation with the users of the file, as it is some time later."""
        copy = self.stack.enter_context(self.copied(home))
        job("run", copy, file=str(file), mode="update")
        self.settle(copy)
        return copy

    def settle(self, home: Home) -> None:
        """Leaves the database of an installation as it is some time after a large import; a quick run does without."""
        if not self.plan.quick:
            job("settle", home)

    def _folder(self) -> Path:
        self._copies += 1
        return self.files / f"{self.database}-{self._copies}"

    def row(self, case: str) -> Row:
        """A new row for a case."""
        return Row(case, self.database, self.users, made=machine.facts())

    def say(self, case: str, number: int) -> None:
        """Tells whoever waits what is being run."""
        print(f"{self.database}, {self.users:,} users, {case}, run {number + 1} of {self.plan.runs} …", file=sys.stderr)

    def run(self, row: Row, home: Home, file: str, mode: str, *, state: bool = False) -> str:
        """One import, from within; its figures go into the row. Gives how the users stand then, if `state`."""
        done = job("run", home, file=str(self.files / file), mode=mode, profile=self.plan.profile, state=state)
        for name, seconds in done["seconds"].items():
            row.add(name, seconds)
        row.add("process", done["process"])
        row.peak_bytes.append(done["peak_bytes"])
        row.peaks.update(done["peaks"])
        row.counts.update(done["counts"])
        for stage, text in done["profiles"].items():
            name = f"profile-{self.database}-{self.users}-{row.case}-{stage.replace(' ', '-')}.txt"
            (self.plan.out / name).write_text(text, encoding="utf-8")
        return str(done.get("state", ""))
