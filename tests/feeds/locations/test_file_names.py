"""Names of files at a location: which are used, and which names files get when they are moved."""

import pytest

from musterbook.feeds.locations import file_names


@pytest.mark.parametrize("name", ["roster.csv", "Personal März.xlsx", "<b>.csv", "a;b.csv", "ñ" * 127, "-rf"])
def test_a_name_that_can_be_shown_is_used(name: str) -> None:
    assert file_names.is_usable(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "/", "a\\b", "a\nb", "a\0b", "a\x1bb", "\u202ecsv", "caf\udce9", "ñ" * 128, "a\u2028b"],
)
def test_a_name_that_is_a_path_or_cannot_be_shown_is_not(name: str) -> None:
    assert not file_names.is_usable(name)
    assert file_names.show(name).isprintable()


def test_files_that_are_moved_together_get_the_same_addition() -> None:
    names = file_names.list_free_names("roster.csv", ["roster.results.csv", "other.txt"], 1_700_000_000)
    assert next(names) == {one: one for one in ("roster.csv", "roster.results.csv", "other.txt")}
    assert next(names) == {
        "roster.csv": "roster-20231114-221320.csv",
        "roster.results.csv": "roster-20231114-221320.results.csv",
        "other.txt": "other-20231114-221320.txt",
    }
    assert next(names)["roster.csv"] == "roster-20231114-221320-2.csv"
    assert len(list(names)) < 100


@pytest.mark.parametrize("modified", [1e20, -1e20, float("nan")])
def test_a_time_that_is_none_is_no_obstacle(modified: float) -> None:
    names = file_names.list_free_names("roster.csv", [], modified)
    next(names)
    assert next(names) == {"roster.csv": "roster-0.csv"}


def test_a_long_name_stays_short_enough() -> None:
    names = list(file_names.list_free_names("ñ" * 125 + ".csv", [], 0))
    assert all(len(one.encode()) <= 255 for entry in names for one in entry.values())
