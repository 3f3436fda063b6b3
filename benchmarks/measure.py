"""Carries a plan out: makes files and databases, and runs imports and limits in turn, each in a process of its own."""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.plans import FILES, MODES, Plan, Row
from scripts import setup
from scripts.postgres import server
from tests.databases import Home, copied, template

_COMMAND = setup.ROOT / "musterbook" / "cli" / "main.py"
_DONE = (0, 1)
"""The exit statuses of an import that was done; 1: some rows excepted."""


def measured(plan: Plan) -> list[Row]:
    """Every case of the plan; profiles, if asked for, are written into its folder."""
    rows: list[Row] = []
    for users in plan.users:
        with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
            files = Path(folder)
            _job("make", None, folder=folder, users=users)
            for database in plan.databases:
                with ExitStack() as stack:
                    rows += _Bench(plan, files, database, users, stack).rows()
    return rows


def _job(job: str, home: Home | None, **arguments: Any) -> dict[str, Any]:
    """One job of bench/work.py, on an installation if one is named; gives what it measured, and the whole process's seconds."""
    since = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.work", job, json.dumps(arguments)],
        cwd=setup.ROOT, env=home.environment if home else None, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return {**json.loads(done.stdout.splitlines()[-1]), "process": time.perf_counter() - since}


def _source(home: Home) -> dict[str, str]:
    return {"url": home.database_url, "folder": str(home.folder)}


@dataclass
class _Bench:
    """The benchmark of one size on one database."""

    plan: Plan
    files: Path
    database: str
    users: int
    stack: ExitStack
    copies: int = 0

    def rows(self) -> list[Row]:
        """Runs every case, so many times as the plan says."""
        empty = self._empty()
        loaded = self.stack.enter_context(copied(empty, self._folder()))
        results = {case: Row(case, self.database, self.users) for case in self.plan.cases}
        first = results.get("new") or Row("new", self.database, self.users)
        self._run(first, loaded)
        for number in range(self.plan.runs if "new" in results else 0):
            self._say("new", number)
            if number:
                with copied(empty, self._folder()) as home:
                    self._run(first, home)
            self._limit(first, "read", file=str(self.files / FILES["new"]))
            with copied(empty, self._folder()) as home:
                self._limit(first, "write", done=_source(loaded), fresh=_source(home), added=True)
            self._command(first, empty)
        _job("settle", loaded)
        for number in range(self.plan.runs):
            for case in self.plan.cases:
                if case != "new":
                    self._say(case, number)
                    self._again(results[case], loaded)
        return list(results.values())

    def _empty(self) -> Home:
        """An installation with an agency that has nobody."""
        url = ""
        if self.database == "postgresql":
            url = self.stack.enter_context(server(durable=True))
        home = self.stack.enter_context(template(self._folder(), url))
        _job("prepare", home)
        return home

    def _folder(self) -> Path:
        self.copies += 1
        folder = self.files / f"{self.database}-{self.copies}"
        folder.mkdir()
        return folder

    def _say(self, case: str, number: int) -> None:
        print(f"{self.database}, {self.users:,} users, {case}, run {number + 1} of {self.plan.runs} …", file=sys.stderr)

    def _again(self, row: Row, loaded: Home) -> None:
        """One run of a case that finds the users there, and of its limits."""
        self._limit(row, "read", file=str(self.files / FILES[row.case]))
        with copied(loaded, self._folder()) as home:
            self._limit(row, "select", done=_source(home))
            self._run(row, home)
            if row.case == "changed":
                with copied(loaded, self._folder()) as fresh:
                    self._limit(row, "write", done=_source(home), fresh=_source(fresh), added=False)
        self._command(row, loaded)

    def _run(self, row: Row, home: Home) -> None:
        file = self.files / FILES[row.case]
        done = _job("run", home, file=str(file), mode=MODES[row.case], profile=self.plan.profile)
        for name, seconds in done["seconds"].items():
            row.add(name, seconds)
        row.add("process", done["process"])
        row.peak_bytes.append(done["peak_bytes"])
        row.peaks.update(done["peaks"])
        row.counts.update(done["counts"])
        for stage, text in done["profiles"].items():
            (self.plan.out / f"profile-{self.database}-{self.users}-{row.case}-{stage}.txt").write_text(
                text, encoding="utf-8"
            )

    def _limit(self, row: Row, limit: str, **arguments: Any) -> None:
        for name, seconds in _job("limit", None, name=limit, **arguments)["seconds"].items():
            row.add(name, seconds)

    def _command(self, row: Row, like: Home) -> None:
        """The whole command `muster import`, from its start to its end, and the same with an empty file."""
        if not _COMMAND.exists():
            row.remarks[:] = ["The command `muster import` was not measured: musterbook/cli/main.py is not there."]
            return
        with copied(like, self._folder()) as home:
            self._timed(row, "command-empty", home, "empty.csv", "update")
            self._timed(row, "command", home, FILES[row.case], MODES[row.case])

    def _timed(self, row: Row, name: str, home: Home, file: str, mode: str) -> None:
        since = time.perf_counter()
        done = home.muster("import", str(self.files / file), "--agency", "bench", "--mode", mode, timeout=3600)
        row.add(name, time.perf_counter() - since)
        if done.returncode not in _DONE:
            raise SystemExit(f"muster import ended with {done.returncode}:\n{done.stdout}{done.stderr}")
