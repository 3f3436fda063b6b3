"""Workers that are killed (rule N6): wherever it happens, each file is taken exactly once, or is still where it was."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests import databases
from tests.databases import Home
from tests.directory import cast
from tests.directory.processes import Site, until, wait_until_one_begins
from tests.feeds.places import NOW

STEPS = [
    "claimed",
    "looked",
    "read",
    "kept",
    "recorded",
    "remembered",
    "taken",
    "released",
    "learned",
    "results",
    "moved",
]
ELEVEN = cast.file(cast.people(*range(1, 12)))


class FeedSite(Site):
    """An installation with the feed `hr` of the agency springfield."""

    @property
    def folder(self) -> Path:
        """Where the files of the feed arrive."""
        return self.home.folder / "feeds" / "springfield" / "hr"

    def put(self, name: str, content: bytes) -> None:
        """Put a complete file there."""
        (self.folder / name).write_bytes(content)
        (self.folder / f"{name}.done").touch()

    def names(self, slug: str = "") -> list[str]:  # type: ignore[override]  # of files, not of users
        """The names of the files there, or in a subfolder."""
        return sorted(one.name for one in (self.folder / slug).glob("*") if one.is_file())

    def run(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        """Start the driver of feeds."""
        environment = self.home.environment | variables
        if "DOOMED" in variables:
            environment.pop("COVERAGE_PROCESS_CONFIG", None)
        command, pipe = [sys.executable, "-m", "tests.feeds.driver", *arguments], subprocess.PIPE
        return databases.start(command, environment, stdout=pipe, stderr=pipe, text=True)

    def finish(self, *arguments: str) -> None:
        """Run it to its end."""
        done = self.home.run(sys.executable, "-m", "tests.feeds.driver", *arguments, timeout=120)
        assert done.returncode == 0, done.stderr

    def files(self) -> list[tuple[str, str]]:
        """The name of each file that is remembered, and the state of its import."""
        return [
            (str(name), str(state))
            for name, state in self.select(
                "SELECT f.name, i.state FROM directory_feedfile f LEFT JOIN directory_import i ON i.id = f.of_id ORDER BY f.id"
            )
        ]


@pytest.fixture(scope="module")
def _made(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with databases.copy_home(_migrated, tmp_path_factory.mktemp("fed") / "home") as home:
        FeedSite(home).finish("make", "springfield")
        yield home


@pytest.fixture
def site(_made: Home, database_server: str, tmp_path: Path) -> Iterator[FeedSite]:
    """An installation of this test's own."""
    with databases.copy_home(_made, tmp_path / "home") as home:
        yield FeedSite(home)


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_after_a_step_leaves_the_file_taken_once_or_still_there(site: FeedSite, step: str) -> None:
    site.put("hr.csv", ELEVEN)
    process = site.run("round", NOW.isoformat(), PAUSE=step, DOOMED="")
    until(process, step)
    process.kill()
    process.communicate()
    taken = STEPS.index(step) >= STEPS.index("taken")
    assert len(site.files()) == taken
    if step != "moved":
        assert "hr.csv" in site.names()
    site.finish("round", (NOW + timedelta(minutes=3)).isoformat())
    assert site.files() == [("hr.csv", "applied")]
    assert (site.names(), site.names("done")) == ([], ["hr.csv", "hr.csv.done", "hr.results.csv"])
    assert site.select("SELECT COUNT(*) FROM directory_import WHERE feed_id IS NOT NULL") == [(1,)]
    assert site.select("SELECT last_rows, worker FROM directory_feed") == [(11, "")]
    assert site.select("SELECT COUNT(*) FROM directory_user") == [(11,)]


def test_workers_killed_at_any_moment_take_each_file_once(site: FeedSite) -> None:
    chance, names = random.Random(3), [f"{number}.csv" for number in range(6)]
    for number, name in enumerate(names):
        content = cast.file(cast.people(*range(1, 11), LAST_NAME=f"Name {number}"))
        site.put(name, content)
        os.utime(site.folder / name, (number, number))
    for _ in range(4):
        workers = [site.run("work", DOOMED="") for _ in range(2)]
        wait_until_one_begins(workers)
        time.sleep(chance.uniform(0.2, 1.4))
        for worker in workers:
            worker.kill()
            worker.communicate()
    last = site.run("work", DOOMED="")
    end = time.monotonic() + 60
    while site.names() or {"waiting", "running"} & set(site.states()):
        assert time.monotonic() < end, (site.names(), site.states())
        time.sleep(0.02)
    last.terminate()
    last.communicate(timeout=60)
    assert [name for name, _ in site.files()] == names
    assert {state for _, state in site.files()} <= {"applied", "failed"}
    left = [name for folder in ("done", "failed") for name in site.names(folder)]
    assert sorted(name for name in left if name in names) == names
    assert site.do("look", "springfield") == "whole"


def test_the_worker_of_serve_takes_what_arrives_and_ends_when_it_is_asked_to(site: FeedSite) -> None:
    site.put("hr.csv", ELEVEN)
    worker = site.home.start("worker")
    try:
        end = time.monotonic() + 60
        while "hr.csv" not in site.names("done"):
            assert time.monotonic() < end, (site.names(), site.states())
            time.sleep(0.02)
    finally:
        worker.terminate()
        _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert site.files() == [("hr.csv", "applied")]
