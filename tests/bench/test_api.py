"""A quick run of the requests of programs: real servers, every request succeeds, and the table says what there is."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.api_client import read_processor_seconds
from benchmarks.bursts import add_burst, list_bursts
from benchmarks.peers import scim_servers
from benchmarks.plans import Row
from benchmarks.report import make_report
from tests.bench.test_bench import _quick_processes as _quick_processes  # noqa: PLC0414  (used by being here)
from tests.databases import Home

_OURS = {
    "REST: read a user", "REST: edit a user", "REST: search, 50 users", "REST: users:batch, each user", "SCIM: read a user",
    "SCIM: edit a user", "SCIM: find a user by userName", "SCIM: a page of 50 users", "SCIM: create a user",
    "SCIM: create a user by Bulk",
}  # fmt: skip


@pytest.fixture
def _no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other servers cannot be installed: the tests need no network."""

    def fetch() -> Path:
        raise scim_servers.CannotRun("there is no network.")

    monkeypatch.setattr(scim_servers, "fetch", fetch)


@pytest.mark.any_database
@pytest.mark.usefixtures("_quick_processes", "_no_peers")
def test_a_quick_run_measures_every_request_and_says_which_programs_are_missing(
    fresh_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_home.database_url)
    database = "postgresql" if fresh_home.database_url else "sqlite"
    options = ["--quick", "--case", "api", "--users", "120", "--database", database, "--out", str(tmp_path)]
    assert main(options) == 0
    (row,) = [Row(**facts) for facts in json.loads((tmp_path / "quick.json").read_text(encoding="utf-8"))["rows"]]
    bursts = list_bursts([row])
    assert {burst.what for burst in bursts} == _OURS
    assert {burst.program for burst in bursts} == {"Musterbook"}
    assert all(wait > 0 for burst in bursts for wait in burst.waits)
    assert "not run: there is no network." in (tmp_path / "quick.md").read_text(encoding="utf-8")


def test_other_programs_are_compared_by_the_same_request() -> None:
    row = Row("api", "postgresql", 50)
    add_burst(row, "read", "Musterbook", [0.1, 0.3], 0.02, 0.01)
    add_burst(row, "read", "scim2-server", [0.4], 0.08, None)
    add_burst(row, "read", "django-scim2", [0.4], 0.01, 0.01)
    ours, memory, django = list_bursts([row])
    assert [one.advantage for one in (ours, memory, django)] == [None, 4, 0.5]
    assert [one.database for one in (ours, memory, django)] == ["postgresql", "memory", "postgresql"]
    assert (memory.processor, ours.rates) == (None, [50])
    line = next(line for line in make_report([row]).splitlines() if "scim2-server" in line)
    assert [cell.strip() for cell in line.split("|")[5:8]] == ["12", "4.00", "400.0"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not say it")
def test_processor_time_is_read() -> None:
    import os

    before = read_processor_seconds(os.getpid())
    sum(range(10_000_000))
    after = read_processor_seconds(os.getpid())
    assert before is not None
    assert after is not None
    assert after > before
