"""The files of the benchmark: the same each time, and changed as much as they say."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from benchmarks import people

_USERS = 700
_UNIQUE = ("EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "USERNAME")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    people.make_files(made, _USERS)
    return made


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False).fill_null("")


def _differing(folder: Path, name: str, before: str = "all.csv") -> dict[str, int]:
    was, now = _read(folder / before), _read(folder / name)
    counts = {column: int((was[column] != now[column]).sum()) for column in was.columns}
    return {column: number for column, number in counts.items() if number}


def test_the_same_seed_makes_the_same_files_and_another_makes_others(folder: Path, tmp_path: Path) -> None:
    people.make_files(tmp_path, _USERS)
    assert {path.name for path in tmp_path.iterdir()} == set(people.FILES)
    assert all((tmp_path / name).read_bytes() == (folder / name).read_bytes() for name in people.FILES)
    people.make_files(tmp_path, _USERS, ["all.csv"], seed=2)
    assert (tmp_path / "all.csv").read_bytes() != (folder / "all.csv").read_bytes()


def test_only_the_files_asked_for_are_made(tmp_path: Path) -> None:
    people.make_files(tmp_path, 20, ["empty.csv"])
    assert [path.name for path in tmp_path.iterdir()] == ["empty.csv"]


def test_nobody_shares_what_is_unique_and_everybody_but_the_head_has_a_supervisor(folder: Path) -> None:
    everybody = _read(folder / "all.csv")
    assert all(everybody[column].n_unique() == _USERS for column in _UNIQUE)
    assert Counter(everybody["SUPERVISOR_EMAIL"].is_in(everybody["EMAIL"].to_list())) == {True: _USERS - 1, False: 1}


def test_a_day_changes_some_users_and_makes_as_many_rows_faulty(folder: Path) -> None:
    was, now = (
        _read(folder / "all.csv").drop("SUPERVISOR_EMAIL"),
        _read(folder / "changed.csv").drop("SUPERVISOR_EMAIL"),
    )
    assert sum(before != after for before, after in zip(was.iter_rows(), now.iter_rows(), strict=True)) == 14
    assert _differing(folder, "plain-changed.csv", "plain.csv").keys() >= {
        "EMAIL",
        "LAST_NAME",
        "LOCATION",
        "PHONE",
        "RANK",
    }


def test_what_is_handed_on_stays_among_those_who_hand_it_on(folder: Path) -> None:
    was, now = _read(folder / "all.csv"), _read(folder / "rotated.csv")
    assert {name: number for name, number in _differing(folder, "rotated.csv").items() if name != "SUPERVISOR_EMAIL"} == {
        "EMAIL": 5, "BADGE_NUMBER": 5, "USERNAME": 5,
    }  # fmt: skip
    assert all(set(was[column]) == set(now[column]) for column in _UNIQUE)


def test_a_supervisor_with_another_address_is_the_supervisor_still(tmp_path: Path) -> None:
    people.make_files(tmp_path, 20, ["all.csv", "rotated.csv"])
    led = [_led(_read(tmp_path / name)) for name in ("all.csv", "rotated.csv")]
    assert led[0] == led[1]
    assert "SUPERVISOR_EMAIL" in _differing(tmp_path, "rotated.csv")


def _led(users: pl.DataFrame) -> dict[str, str]:
    """Who leads whom, by number."""
    numbers = dict(zip(users["EMAIL"], users["EXTERNAL_ID"], strict=True))
    return {
        number: numbers.get(boss, "")
        for number, boss in zip(users["EXTERNAL_ID"], users["SUPERVISOR_EMAIL"], strict=True)
    }


def test_everybody_is_changed_in_one_column(folder: Path) -> None:
    assert _differing(folder, "everybody.csv") == {"LOCATION": _USERS // 2, "RANK": _USERS // 2}


def test_plain_phones_have_no_marks(folder: Path) -> None:
    assert set(_differing(folder, "plain.csv")) == {"PHONE"}
    assert _read(folder / "plain.csv")["PHONE"].str.contains(r"^(\+\d+)?$").all()
