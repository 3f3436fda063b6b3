"""The case of many agencies runs from end to end with real processes, and its tables say what was measured."""

from pathlib import Path

import pytest

from benchmarks.agency_tables import find_percentile, list_nights, list_visits, list_waits
from benchmarks.plans import Row
from benchmarks.report import make_report
from tests.bench.test_bench import _quick as quick
from tests.bench.test_bench import _quick_processes as _quick_processes  # noqa: PLC0414  (used by being here)
from tests.databases import Home


@pytest.mark.any_database
@pytest.mark.usefixtures("_quick_processes")
def test_a_quick_run_imports_the_file_of_each_agency_while_a_user_visits_the_pages(
    fresh_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_home.database_url)
    small = ("--agencies", "3", "--part", "2", "--feed-users", "20", "--rows", "300", "--workers", "2")
    rows = quick(fresh_home, tmp_path, "--case", "agencies", *small)
    night, waits = rows["agencies"], rows["agency-waits"]
    assert [night["counts"][name] for name in ("agencies", "users")] == [3, 60]
    # The third file waits in the queue, and may be imported before the night of two is over.
    assert night["counts"]["settled, 2 workers"] in (2, 3)
    assert night["counts"]["bytes after, 2 workers"] >= night["counts"]["bytes"] > 0
    assert bool(night["counts"]["log, 2 workers"]) == bool(fresh_home.database_url)
    for page in ("sign in", "first page", "search"):
        assert night["seconds"][f"idle: {page}"] and night["seconds"][f"{page}, 2 workers"]
    assert len(waits["seconds"]["alone, 2 workers"]) == 10
    assert waits["counts"]["changed, new, 2 workers"] == 300
    assert "**Many agencies in one night**" in (tmp_path / "profile.md").read_text(encoding="utf-8")


def _night(agencies: int, seconds: float) -> Row:
    pages = {f"idle: {page}": [0.1] for page in ("sign in", "first page", "search")}
    visited = {f"{page}, 2 workers": [0.1] * 98 + [0.2, 0.9] for page in ("sign in", "first page", "search")}
    timed = {"night, 2 workers": [seconds], "processor, 2 workers": [agencies * 0.25], **pages, **visited}
    timed |= {f"an import of the {part} quarter, 2 workers": [0.1] for part in ("first", "last")}
    counts = {"agencies": agencies, "users": agencies * 500, "bytes": 10**9}
    counts |= {f"{name}, 2 workers": 2 * 10**8 for name in ("peak", "bytes after", "log")}
    counts["settled, 2 workers"] = agencies
    return Row("agencies", "postgresql", agencies * 500, timed, counts=counts)


def test_a_night_is_compared_with_that_of_the_fewest_agencies_and_its_pages_with_idle_ones() -> None:
    rows = [_night(500, 100.0), _night(250, 25.0)]
    few, many = list_nights(rows)
    assert (few.find_of_each(), many.find_of_each(few.row), many.find_of_each()) == (0.1, 0.1, 0.2)
    assert find_percentile(list_visits(rows)[0].night, 99) == 0.2
    report = make_report(rows)
    [line] = [line for line in report.splitlines() if line.startswith("| 500 ")]
    assert [cell.strip() for cell in line.split("|")[5:12]] == ["500", "100", "300", "2.00", "1.00", "0.250", "1.00"]
    assert "| 2.0   | 100 " in next(line for line in report.splitlines() if line.startswith("| sign in    | 500"))


def test_a_wait_next_to_a_large_file_is_longer_by_some_small_imports() -> None:
    seconds = {"alone": [1.0, 1.2], "small import": [0.2], "next to new": [0.5, 1.6], "large new": [40.0]}
    counts = {"log, new, 1 worker": 5_000_000, "changed, new, 1 worker": 1_000}
    row = Row("agency-waits", "sqlite", 1_000, {f"{name}, 1 worker": found for name, found in seconds.items()})
    row.counts.update(counts)
    [waits] = list_waits([row])
    assert waits.more == pytest.approx(2)
    assert "| 5,000 " in make_report([row])
