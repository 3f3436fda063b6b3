"""Processes of `muster watch` that are killed, ended, or started twice: each file is imported once, and none is lost."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pytest

from tests import databases
from tests.databases import Home
from tests.directory import cast as people
from tests.directory.processes import Site, until, wait_until_one_begins
from tests.feeds.test_killed import FeedSite
from tests.feeds.watch_driver import STEPS


class WatchSite(Site):
    """An installation with the agency springfield, and a folder to watch."""

    @property
    def folder(self) -> Path:
        """The watched folder."""
        return self.home.folder / "in"

    @property
    def call(self) -> list[str]:
        """The arguments of the command."""
        return ["watch", str(self.folder), "--agency", "springfield", "--pattern", "*.csv"]

    def put(self, name: str, *numbers: int, last_name: str = "Smith") -> None:
        """Put a complete file there, whose users have these numbers. Its time is the first of them."""
        (self.folder / name).write_bytes(people.file(people.people(*numbers, LAST_NAME=last_name)))
        os.utime(self.folder / name, (numbers[0], numbers[0]))
        (self.folder / f"{name}.done").touch()

    def list_files(self, folder: str = "") -> list[str]:
        """The names of the files there, or in a subfolder."""
        return sorted(one.name for one in (self.folder / folder).glob("[!.]*") if one.is_file())

    def watch(self, *options: str, **variables: str) -> "subprocess.Popen[str]":
        """Start the command in a process that tells its steps."""
        environment = self.home.environment | variables
        environment.pop("COVERAGE_PROCESS_CONFIG", None)
        command, pipe = [sys.executable, "-m", "tests.feeds.watch_driver", *self.call, *options], subprocess.PIPE
        return databases.start(command, environment, stdout=pipe, stderr=pipe, text=True)

    def imports(self) -> list[tuple[str, str]]:
        """The file and the state of each import by a watch."""
        rows = self.select(
            "SELECT file_name, state FROM directory_import WHERE file_name LIKE '%.csv' AND file_name <> 'users.csv' ORDER BY id"
        )
        return [(str(name), str(state)) for name, state in rows]


@pytest.fixture(scope="module")
def _made(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with databases.copy_home(_migrated, tmp_path_factory.mktemp("watched") / "home") as home:
        FeedSite(home).finish("make", "springfield")
        (home.folder / "in").mkdir()
        yield home


@pytest.fixture
def site(_made: Home, database_server: str, tmp_path: Path) -> Iterator[WatchSite]:
    """An installation of this test's own."""
    with databases.copy_home(_made, tmp_path / "home") as home:
        yield WatchSite(home)


@pytest.mark.parametrize("step", STEPS)
def test_a_watch_killed_after_a_step_leaves_the_file_imported_once_or_still_there(site: WatchSite, step: str) -> None:
    site.put("hr.csv", *range(1, 12))
    process = site.watch(PAUSE=step)
    until(process, step)
    process.kill()
    process.communicate()
    second = site.watch("--once", "--output", "json", HASTE="")
    said, wrong = second.communicate(timeout=60)
    assert (second.returncode, wrong) == (0, "")
    (line,) = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [state for _, state in site.imports()].count("applied") == 1
    assert {state for _, state in site.imports()} <= {"applied", "failed"}
    assert (site.list_files(), site.list_files("done")) == ([], ["hr.csv", "hr.csv.done", "hr.results.csv"])
    assert site.select("SELECT COUNT(*) FROM directory_user") == [(11,)]
    assert site.do("look", "springfield") == "whole"
    assert (line["file"], line["state"], line["moved_to"]) == ("hr.csv", "applied", "done")
    assert line["earlier"] is (step in ("imported", "results", "moved"))
    assert site.select("SELECT COUNT(*) FROM directory_feedfile") == [(0,)]


def test_watches_killed_at_any_moment_import_each_file_once_and_in_order(site: WatchSite) -> None:
    chance, names = random.Random(7), [f"{number}.csv" for number in range(1, 7)]
    for number, name in enumerate(names, 1):
        site.put(name, *range(number, 12), last_name=f"Name {number}")
    for _ in range(5):
        process = site.watch("--every", "0.1")
        wait_until_one_begins([process])
        time.sleep(chance.uniform(0, 0.8))
        process.kill()
        process.communicate()
    last = site.watch("--once", HASTE="")  # a marker that was moved without its file says nothing any more
    _, wrong = last.communicate(timeout=60)
    assert (last.returncode, wrong) == (0, "")
    assert [name for name, state in site.imports() if state == "applied"] == names
    assert site.list_files() == []
    assert [name for name in site.list_files("done") if name in names] == names
    assert site.do("look", "springfield") == "whole"


def test_a_watch_that_is_asked_to_end_finishes_the_current_file(site: WatchSite) -> None:
    site.put("1.csv", *range(1, 12))
    site.put("2.csv", *range(2, 13))
    process = site.watch(SLOW="")
    until(process, "inserted")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert site.imports() == [("1.csv", "applied")]
    assert (site.list_files(), site.list_files("done")) == (
        ["2.csv", "2.csv.done"],
        ["1.csv", "1.csv.done", "1.results.csv"],
    )


def test_a_watch_that_is_asked_to_end_twice_cancels_the_current_file(site: WatchSite) -> None:
    site.put("1.csv", *range(1, 12))
    process = site.watch(SLOW="", PAUSE="written")
    until(process, "written")
    for _ in range(2):
        process.terminate()
        time.sleep(0.2)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-1]) == (5, "Canceled. Nothing was changed.")
    assert "1.csv" in site.list_files()
    assert site.home.muster(*site.call, "--once").returncode == 0
    assert [state for _, state in site.imports()].count("applied") == 1


def test_a_folder_is_watched_by_one_process_until_that_one_dies(site: WatchSite) -> None:
    first = site.home.start(*site.call, "--every", "0.2")
    try:
        assert cast("IO[str]", first.stderr).readline() == f"Watching {site.folder}. Press Ctrl-C to end.\n"
        second = site.home.muster(*site.call, "--once")
        assert second.returncode == 3
        assert second.stderr.startswith(f"{site.folder} is watched already, by process {first.pid} on ")
        site.put("hr.csv", *range(1, 12))
        end = time.monotonic() + 60
        while "hr.csv" not in site.list_files("done"):
            assert time.monotonic() < end
            time.sleep(0.02)
        lock = site.folder / ".muster-watch.lock"
        lock.unlink()
        while not (lock.exists() and lock.read_bytes()):  # who has it is written into it
            assert time.monotonic() < end
            time.sleep(0.02)
        assert site.home.muster(*site.call, "--once").returncode == 3, "it has locked the folder again"
    finally:
        first.kill()
        first.communicate()
    assert site.home.muster(*site.call, "--once").returncode == 0
    assert site.imports() == [("hr.csv", "applied")]


def test_a_watch_goes_on_when_its_folder_is_back(site: WatchSite) -> None:
    first = site.home.start(*site.call, "--every", "0.1")
    try:
        errors = cast("IO[str]", first.stderr)
        errors.readline()
        site.folder.rename(site.home.folder / "away")
        assert errors.readline() == f"The folder {site.folder} cannot be used: No such file or directory.\n"
        (site.home.folder / "away").rename(site.folder)
        site.put("hr.csv", *range(1, 12))
        assert "hr.csv was imported" in cast("IO[str]", first.stdout).readline()
    finally:
        first.terminate()
        first.communicate(timeout=60)
    assert first.returncode == 0


def test_a_folder_of_a_feed_is_not_watched(site: WatchSite) -> None:
    done = site.home.muster(
        "watch", str(site.home.folder / "feeds/springfield/hr"), "--agency", "springfield", "--once"
    )
    assert done.returncode == 2
    assert done.stderr == "The feed hr of springfield takes the files of this folder. Watch another folder.\n"
