"""What each figure must come to, from what was measured."""

from typing import Any

import pytest

from benchmarks.plans import Row
from benchmarks.targets import Verdict, find_p95, get_import_target, get_memory_target, list_verdicts


def _row(case: str, users: int = 1000, database: str = "sqlite", **seconds: float | list[float]) -> Row:
    timed = {name.replace("_", "-"): s if isinstance(s, list) else [s] for name, s in seconds.items()}
    return Row(case, database, users, timed, peak_bytes=[100_000_000])


def _only(rows: list[Row], part: str) -> Verdict:
    (found,) = (verdict for verdict in list_verdicts(rows) if part in verdict.what)
    return found


def test_new_users_are_held_against_reading_and_writing() -> None:
    verdict = _only([_row("new", run=[9.0, 2.0, 4.0], read=1.0, write=2.0)], "everybody is new")
    assert (verdict.measured, verdict.limit, verdict.target, verdict.ratio) == (4.0, 3.0, 3.75, 4 / 3)
    assert not verdict.met


def test_unchanged_users_are_held_against_reading_both() -> None:
    verdict = _only([_row("unchanged", run=2.0, read=0.4, select=0.6)], "the same file again")
    assert (verdict.limit, verdict.target, verdict.met) == (1.0, 2.0, True)


def test_changed_users_are_held_against_the_unchanged_of_the_same_size_and_database() -> None:
    changed = _row("changed", run=3.0, write=1.0)
    others = [_row("unchanged", users=5, run=7.0), _row("unchanged", database="postgresql", run=7.0)]
    assert get_import_target(changed, [changed, *others]) == (None, None)
    limit, target = get_import_target(changed, [changed, *others, _row("unchanged", run=2.0)])
    assert limit == 3.0
    assert target == pytest.approx(4.1)


@pytest.mark.parametrize("case", ["rotated", "everybody"])
def test_cases_without_a_target_have_a_limit(case: str) -> None:
    row = _row(case, run=3.0, write=1.0)
    assert get_import_target(row, [row, _row("unchanged", run=2.0)]) == (3.0, None)
    assert [verdict.what for verdict in list_verdicts([row])] == [f"peak memory, {case}"]


def test_memory_is_held_against_the_rows() -> None:
    assert get_memory_target(1_000_000) == 1_350_000_000
    verdict = _only([_row("new", run=1.0)], "peak memory")
    assert (verdict.measured, verdict.target, verdict.unit, verdict.met) == (100.0, 151.2, "MB", True)


def test_an_import_is_held_against_itself_without_what_search_needs() -> None:
    row = Row("new", "sqlite", 10, {"run": [4.0], "writing.search": [1.0]}, peak_bytes=[1])
    verdict = _only([row], "search")
    assert verdict.measured == pytest.approx(4 / 3)
    assert (verdict.target, verdict.met) == (1.3, False)


def test_a_night_is_fifty_thousand_users() -> None:
    timed: dict[str, Any] = {"run": 0.6, "command": 1.9, "command_empty": 1.0}
    assert not [verdict for verdict in list_verdicts([_row("changed", **timed)]) if "night" in verdict.what]
    night = [verdict for verdict in list_verdicts([_row("changed", users=50_000, **timed)]) if "night" in verdict.what]
    assert [(verdict.measured, verdict.target, verdict.met) for verdict in night] == [
        (0.6, 0.5, False),
        (1.9, 2.0, True),
    ]


def test_five_million_rows_cost_no_more_each_than_a_tenth_of_them() -> None:
    many = _row("new", users=5_000_000, run=30.0)
    assert not [verdict for verdict in list_verdicts([many]) if "cost a row" in verdict.what]
    verdict = _only([many, _row("new", users=500_000, run=2.0)], "cost a row")
    assert (verdict.measured, verdict.limit) == (6.0, 4.0)
    assert verdict.target == pytest.approx(4.8)


def test_an_edit_is_held_against_one_in_a_small_agency() -> None:
    verdict = _only([_row("edit", run=[0.05, 0.03, 0.04], small=0.025)], "edited")
    assert (verdict.measured, verdict.target, verdict.met) == (40.0, 50.0, True)


def test_commands_start_in_time() -> None:
    row = Row("start", "any", 0, {"python": [0.01], "muster --version": [0.16], "muster import --help": [0.2]})
    assert [verdict.met for verdict in list_verdicts([row])] == [False, True]


def test_peers_must_be_so_many_times_slower() -> None:
    row = _row("peer-new", run=1.0, peer=6.0)
    assert [(verdict.measured, verdict.met) for verdict in list_verdicts([row])] == [(6.0, True)]
    row = Row("peer-changed", "sqlite", 9, {"run": [1.0], "peer": [40.0], "peer hooked": [20.0]})
    assert [(verdict.measured, verdict.met) for verdict in list_verdicts([row])] == [(40.0, True), (20.0, False)]
    assert not list(list_verdicts([_row("kolibri")]))
    assert _only([_row("kolibri", run=0.1, peer=60.0)], "Kolibri").measured == pytest.approx(600)


def test_lists_and_searches_are_held_against_their_slowest_but_five() -> None:
    assert find_p95([float(number) for number in range(1, 101)]) == 95.0
    assert find_p95([1.0]) == 1.0
    row = Row("list", "sqlite", 10, {"first page": [0.031], "search": [0.099]})
    assert [(verdict.target, verdict.met) for verdict in list_verdicts([row])] == [(30.0, False), (100.0, True)]


def _waits(workers: str, alone: float, longest: float, large: float) -> Row:
    seconds = {"wait alone": [alone / 2, alone], "wait, new": [alone, longest], "large, new": [large]}
    return Row("feed-waits", "sqlite", 10, {f"{name}, {workers}": timed for name, timed in seconds.items()})


def test_a_small_feed_waits_for_one_large_import_with_one_worker_and_for_none_with_two() -> None:
    one = _only([_waits("1 worker", 1.0, 41.0, 40.0)], "the longest wait")
    assert (one.limit, one.measured, one.target, one.met) == (40.0, 41.0, 41.0, True)
    two = _only([_waits("2 workers", 1.0, 3.0, 40.0)], "the longest wait")
    assert (two.limit, two.target, two.met) == (1.0, 2.0, False)


def test_feeds_are_held_against_the_time_of_a_check_and_against_the_first_quarter_of_the_night() -> None:
    row = _row("feeds", looking=[0.001, 0.0015, 0.009])
    assert _only([row], "finds nothing").met
    for part, seconds in (("first", 0.1), ("last", 0.13)):
        row.add(f"an import of the {part} quarter, 2 workers", seconds)
    growth = _only([row], "last quarter")
    assert growth.ratio == pytest.approx(1.3)
    assert not growth.met
