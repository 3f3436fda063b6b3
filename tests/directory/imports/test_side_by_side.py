"""Imports and edits at the same time: each agency one at a time, nothing lost, nobody left waiting for ever (rules D5, D6)."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import databases
from tests.databases import Home
from tests.directory.cast import file, people, person
from tests.directory.processes import Site, until

SWAPPED = [person(1, EMAIL="user2@agency.example"), person(2, EMAIL="user1@agency.example")]


@pytest.fixture(scope="module")
def _imported(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Two agencies, one of which has two users."""
    with databases.copy_home(_migrated, tmp_path_factory.mktemp("two") / "home") as home:
        site = Site(home)
        site.do("agency", "springfield", "shelbyville")
        site.do("import", "springfield", site.file("first.csv", file(people(1, 2))))
        yield home


def end(process: object) -> str:
    out, wrong = process.communicate(timeout=60)  # type: ignore[attr-defined]  # a process of the driver's
    assert process.returncode == 0, wrong  # type: ignore[attr-defined]  # the same
    return str(out.strip().splitlines()[-1])


@pytest.mark.parametrize("stage", ["planning", "writing", "committing"])
def test_a_second_import_waits_its_turn_and_sees_what_the_first_did(site: Site, stage: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = site.start("import", "springfield", site.file("1.csv", file(SWAPPED)), PAUSE=stage, GO=str(go))
    until(first, stage)
    second = site.start("import", "springfield", site.file("2.csv", file([*SWAPPED, person(3)])))
    assert "by the system, import " in until(second, "waiting for another import")
    go.touch()
    assert end(first).startswith("applied")
    assert end(second).split()[::2] == ["applied", "2"]
    assert site.names()["E-1"][0] == "user2@agency.example"
    assert site.do("look", "springfield") == "whole"


def test_imports_all_at_once_end_as_one_after_the_other_would(site: Site) -> None:
    one = site.file("1.csv", file(SWAPPED))
    other = site.file("2.csv", file(people(1, 2, LAST_NAME="New")))
    both = [site.start("import", "springfield", path) for path in (one, other)]
    assert [end(process).split()[0] for process in both] == ["applied", "applied"]
    # Whoever came last has the addresses as its file says; the surname is each file's too.
    swapped = (("user2@agency.example", "Last 1"), ("user1@agency.example", "Last 2"))
    plain = (("user1@agency.example", "New"), ("user2@agency.example", "New"))
    assert tuple(row[:2] for row in site.names().values()) in (swapped, plain)
    assert site.do("look", "springfield") == "whole"


def test_one_key_from_two_processes_is_one_import(site: Site, tmp_path: Path) -> None:
    path, go = site.file("1.csv", file(people(3))), tmp_path / "go"
    first = site.start("import", "springfield", path, "update", "k", PAUSE="writing", GO=str(go))
    until(first, "writing")
    second = site.start("import", "springfield", path, "update", "k")
    until(second, "waiting")
    go.touch()
    assert end(first).split()[1] == end(second).split()[1]
    assert site.states() == ["applied", "applied"]


def test_a_key_whose_import_is_refused_is_free_for_the_one_that_waits(site: Site, tmp_path: Path) -> None:
    """Rule D6."""
    wrong = site.file("1.csv", file(people(1, EMAIL="no address")))
    right, go = site.file("2.csv", file(people(1, 3))), tmp_path / "go"
    first = site.start("import", "springfield", wrong, "sync", "k", PAUSE="committing", GO=str(go))
    until(first, "committing")
    second = site.start("import", "springfield", wrong, "sync", "k")
    until(second, "waiting")
    go.touch()
    assert (end(first).split()[0], end(second).split()[0]) == ("refused", "refused")
    done = site.do("import", "springfield", right, "sync", "k")
    assert done.split()[1] == site.do("import", "springfield", right, "sync", "k").split()[1]
    assert site.states() == ["applied", "refused", "refused", "applied"]


def test_a_key_whose_import_dies_is_taken_up_by_the_one_that_waits(site: Site) -> None:
    path = site.file("1.csv", file(people(3)))
    first = site.start("import", "springfield", path, "update", "k", PAUSE="writing", DOOMED="")
    until(first, "writing")
    second = site.start("import", "springfield", path, "update", "k")
    until(second, "waiting")
    first.kill()
    first.communicate()
    assert end(second).startswith("applied")
    assert site.states() == ["applied", "failed", "applied"]


def test_two_agencies_do_not_wait_for_each_other(site: Site, tmp_path: Path) -> None:
    """On SQLite, which has one writer, they do while one writes; it waits, and does not fail."""
    go = tmp_path / "go"
    path = site.file("1.csv", file(people(3)))
    first = site.start("import", "springfield", path, PAUSE="writing", GO=str(go))
    until(first, "writing")
    second = site.start("import", "shelbyville", path)
    if site.home.database_url:
        assert end(second).startswith("applied")
    else:
        until(second, "waiting for the database")
    go.touch()
    assert end(first).startswith("applied")
    if not site.home.database_url:
        assert end(second).startswith("applied")


def test_while_one_agency_s_import_is_planned_another_s_is_done(site: Site, tmp_path: Path) -> None:
    go = tmp_path / "go"
    path = site.file("1.csv", file(people(3)))
    first = site.start("import", "springfield", path, PAUSE="planning", GO=str(go))
    until(first, "planning")
    assert site.do("import", "shelbyville", path).startswith("applied")
    go.touch()
    assert end(first).startswith("applied")
    assert len(site.names()) == 3


def test_a_preview_waits_for_no_import(site: Site, tmp_path: Path) -> None:
    go = tmp_path / "go"
    path = site.file("1.csv", file(people(3)))
    first = site.start("import", "springfield", path, PAUSE="planning", GO=str(go))
    until(first, "planning")
    assert site.do("import", "springfield", path, PREVIEW="1").startswith("previewed")
    go.touch()
    assert end(first).startswith("applied")


def test_an_interrupted_process_says_that_it_was_cancelled(site: Site) -> None:
    before = site.tables()
    process = site.start("import", "springfield", site.file("1.csv", file(people(3))), PAUSE="writing")
    until(process, "writing")
    process.send_signal(signal.SIGINT)
    assert end(process) == "failed It was canceled. Nothing was changed."
    assert (site.tables(), site.states()) == (before, ["applied", "failed"])


def test_an_edit_between_the_early_plan_and_the_writing_is_not_lost(site: Site, tmp_path: Path) -> None:
    if site.home.database_url:
        pytest.skip("on PostgreSQL the plan is made within the transaction")
    go = tmp_path / "go"
    rows = [person(1, LAST_NAME="New"), person(2)]
    running = site.start("import", "springfield", site.file("2.csv", file(rows)), PAUSE="planned", GO=str(go))
    until(running, "planned")
    with closing(sqlite3.connect(site.home.folder / "muster.sqlite3")) as other:
        other.execute("UPDATE directory_user SET last_name = 'Edited'")
        other.commit()
    go.touch()
    assert end(running).startswith("applied")
    assert [name for _, name, _ in site.names().values()] == ["New", "Last 2"]
    changes = [text for (text,) in site.select("SELECT changes FROM directory_event ORDER BY id")][-2:]
    assert [json.loads(text)["LAST_NAME"] for text in changes] == [["Edited", "New"], ["Edited", "Last 2"]]
