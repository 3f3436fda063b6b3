"""Workers in processes of their own: killed at any moment, what they were doing is done by another, once (rule D3)."""

import os
import random
import signal
import time

import pytest

from tests.directory.processes import ONE, OTHER, Site, until, wait_until_one_begins


def write_files(site: Site) -> tuple[str, str]:
    return site.file("one.csv", ONE), site.file("other.csv", OTHER)


def ends(site: Site, seconds: float = 150) -> None:
    """Waits until no import waits or runs."""
    end = time.monotonic() + seconds
    while {"waiting", "running"} & set(site.states()):
        assert time.monotonic() < end, site.states()
        time.sleep(0.02)


@pytest.mark.parametrize("stage", ["planning", "writing", "committing"])
def test_a_worker_killed_at_a_stage_leaves_the_import_to_another(site: Site, stage: str) -> None:
    _, other = write_files(site)
    before = site.tables()
    site.do("submit", "springfield", other, "sync")
    doomed = site.start("work", PAUSE=stage, DOOMED="")
    until(doomed, stage)
    doomed.kill()
    doomed.communicate()
    assert site.tables() == before
    assert site.states()[1:] == ["running"]
    site.do("work")
    assert site.states()[1:] == ["applied"]
    assert site.select("SELECT attempts FROM directory_import ORDER BY id")[1] == (2,)
    assert site.do("look", "springfield") == "whole"
    assert site.names()["E-1"] == ("user2@agency.example", "New", True)


def test_workers_killed_at_any_moment_do_each_import_once(site: Site) -> None:
    one, other = write_files(site)
    chance = random.Random(11)
    for turn in range(6):
        site.do("submit", "springfield", (other, one)[turn % 2], "sync")
    for _ in range(5):
        workers = [site.start("work", "9", DOOMED="") for _ in range(2)]
        wait_until_one_begins(workers)
        time.sleep(chance.uniform(0, 0.4))
        for worker in workers:
            worker.kill()
            worker.communicate()
    last = site.start("work", "99", DOOMED="")
    ends(site)
    last.kill()
    last.communicate()
    assert set(site.states()) <= {"applied", "failed"}
    applied = site.select("SELECT id FROM directory_import WHERE state = 'applied'")
    events = site.select("SELECT of_id, COUNT(DISTINCT subject_id), COUNT(*) FROM directory_event GROUP BY of_id")
    assert events
    assert {of for of, _, _ in events} <= {number for (number,) in applied}
    assert all(users == recorded for _, users, recorded in events)
    assert site.do("look", "springfield") == "whole"


def test_two_workers_share_the_work_and_do_nothing_twice(site: Site) -> None:
    one, other = write_files(site)
    site.do("agency", "shelbyville")
    for slug in ("springfield", "shelbyville"):
        for path in (other, one):
            site.do("submit", slug, path, "sync")
    workers = [site.start("work", "2") for _ in range(2)]
    ends(site)
    for worker in workers:
        worker.kill()
        worker.communicate()
    assert site.states() == ["applied"] * 5
    attempts = site.select("SELECT DISTINCT attempts FROM directory_import WHERE worker <> ''")
    assert attempts == [(1,)]


def test_a_worker_of_which_nothing_is_heard_loses_its_import(site: Site) -> None:
    if not site.home.database_url:
        pytest.skip("on SQLite all workers are on one machine, which knows whether they live")
    _, other = write_files(site)
    site.do("submit", "springfield", other, "sync")
    frozen = site.start("work", PAUSE="writing", DOOMED="")
    until(frozen, "writing")
    os.kill(frozen.pid, signal.SIGSTOP)
    site.do("work", SILENCE="1")
    assert site.states()[1:] == ["applied"]
    os.kill(frozen.pid, signal.SIGCONT)
    frozen.kill()
    frozen.communicate()
    assert site.do("look", "springfield") == "whole"


def test_the_worker_of_serve_runs_the_requested_imports(site: Site) -> None:
    one, other = write_files(site)
    worker = site.home.start("worker")
    try:
        for path in (other, one, other):
            site.do("submit", "springfield", path, "sync")
        ends(site)
    finally:
        worker.terminate()
        _, said = worker.communicate(timeout=40)
    assert worker.returncode == 0, said
    assert site.states() == ["applied"] * 4
    site.do("submit", "springfield", one, "sync")
    assert "Imports run: 1." in site.home.muster("worker", "--once").stderr
