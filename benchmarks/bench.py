"""The environment of one benchmark: the files of one size, and installations on one database."""

import sys
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import installations, machine
from benchmarks.jobs import run_job
from benchmarks.measurements import Results
from benchmarks.plans import Plan, Row
from scripts.postgres import server
from tests.databases import Home, template


@dataclass
class Bench:
    """One benchmark: its size, its database, its files, and installations that are removed with it."""

    plan: Plan
    results: Results
    files: Path
    database: str
    users: int
    stack: ExitStack
    _copies: int = field(default=0, init=False)

    def make_empty(self) -> Home:
        """Return an installation with an agency that has no users."""
        url = self.stack.enter_context(server(durable=True)) if self.database == "postgresql" else ""
        folder = self._folder()
        folder.mkdir()
        home = self.stack.enter_context(template(folder, url))
        run_job("prepare", home)
        return home

    def copy_home(self, home: Home) -> AbstractContextManager[Home]:
        """Return a copy of an installation."""
        return installations.copy_installation(home, self._folder())

    def copy_loaded(self, home: Home, file: Path) -> Home:
        """Return a copy of an installation with the users of the file, in the state of some time later."""
        copy = self.stack.enter_context(self.copy_home(home))
        run_job("run", copy, file=str(file), mode="update")
        self.settle(copy)
        return copy

    def settle(self, home: Home) -> None:
        """Run the housekeeping that follows a large import. A quick run skips it."""
        if not self.plan.quick:
            run_job("settle", home)

    def _folder(self) -> Path:
        self._copies += 1
        return self.files / f"{self.database}-{self._copies}"

    def make_row(self, case: str) -> Row:
        """Return a new row for a case."""
        return Row(case, self.database, self.users, made=machine.read_facts())

    def announce(self, case: str, number: int) -> None:
        """Print which run starts now."""
        print(f"{self.database}, {self.users:,} users, {case}, run {number + 1} of {self.plan.runs} …", file=sys.stderr)

    def run(self, row: Row, home: Home, file: str, mode: str, *, state: bool = False) -> str:
        """Run one import in a process of its own, and add its figures to the row. Return the digest of the users, if `state`."""
        done = run_job("run", home, file=str(self.files / file), mode=mode, profile=self.plan.profile, state=state)
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
