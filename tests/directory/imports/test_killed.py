"""Killed at any moment, an import is done or not begun, and the next one goes through (rule D3)."""

import random
import time

import pytest

from tests.directory.processes import ONE, OTHER, Site, until


def write_files(site: Site) -> tuple[str, str]:
    return site.file("one.csv", ONE), site.file("other.csv", OTHER)


@pytest.mark.parametrize("stage", ["reading", "planning", "writing", "committing"])
def test_an_import_killed_at_a_stage_leaves_the_directory_as_it_was(site: Site, stage: str) -> None:
    _, other = write_files(site)
    before = site.tables()
    process = site.start("import", "springfield", other, "sync", "the-key", PAUSE=stage, DOOMED="")
    until(process, stage)
    process.kill()
    process.communicate()
    assert site.do("look", "springfield") == "whole"
    assert site.tables() == before
    assert site.states()[1:] == ([] if stage == "reading" else ["failed"])
    assert site.do("import", "springfield", other, "sync", "the-key").startswith("applied")
    assert site.do("look", "springfield") == "whole"
    assert site.states()[-1] == "applied"


def test_an_import_killed_at_any_moment_is_done_or_not(site: Site) -> None:
    one, other = write_files(site)
    chance = random.Random(7)
    known = [site.names()]
    started = time.monotonic()
    site.do("import", "springfield", other, "sync")
    whole_time = time.monotonic() - started
    known.append(site.names())
    # The first is killed long before it is done, whatever the machine does.
    for turn, share in enumerate([0.1, *(chance.uniform(0.5, 1.05) for _ in range(5))]):
        before, many = site.tables(), len(site.states())
        process = site.start("import", "springfield", (one, other)[turn % 2], "sync", DOOMED="")
        time.sleep(whole_time * share)
        process.kill()
        process.communicate()
        assert site.do("look", "springfield") == "whole"
        states = site.states()[many:]
        assert states in (([], ["failed"]) if turn == 0 else ([], ["failed"], ["applied"]))
        if states != ["applied"]:
            assert site.tables() == before
    assert site.do("import", "springfield", other, "sync").startswith("applied")
    active = {name: row for name, row in site.names().items() if row[2]}
    assert active == {name: row for name, row in known[1].items() if row[2]}


def test_an_import_killed_while_it_waits_leaves_nothing(site: Site) -> None:
    one, other = write_files(site)
    before, many = site.tables(), len(site.states())
    first = site.start("import", "springfield", one, PAUSE="planning", DOOMED="")
    until(first, "planning")
    second = site.start("import", "springfield", other, DOOMED="")
    assert until(second, "waiting").startswith("waiting for another import by the system, import ")
    for process in (second, first):
        process.kill()
        process.communicate()
    assert site.do("look", "springfield") == "whole"
    assert (site.tables(), site.states()[many:]) == (before, ["failed"])
