"""The peers are given the same users, and one that cannot be had is said to be missing."""

from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest

from benchmarks import peer_runs, people
from benchmarks.bench import Bench
from benchmarks.measurements import Results
from benchmarks.peers import kolibri
from benchmarks.plans import Plan

_COLUMNS = {
    "UUID", "USERNAME", "PASSWORD", "FULL_NAME", "USER_TYPE", "IDENTIFIER", "BIRTH_YEAR", "GENDER", "ENROLLED_IN", "ASSIGNED_TO",
}  # fmt: skip


def test_kolibri_is_given_the_same_users_in_its_own_columns(tmp_path: Path) -> None:
    people.make_files(tmp_path, 50, ["all.csv"])
    assert kolibri.write_users(tmp_path / "all.csv", tmp_path / "theirs.csv") == 50
    ours, theirs = (pl.read_csv(tmp_path / name, infer_schema=False) for name in ("all.csv", "theirs.csv"))
    assert set(theirs.columns) == _COLUMNS
    assert theirs["IDENTIFIER"].to_list() == ours["EXTERNAL_ID"].to_list()
    assert theirs["USERNAME"].str.contains(r"^\w+$").all()
    assert theirs["FULL_NAME"][0] == f"{ours['FIRST_NAME'][0]} {ours['LAST_NAME'][0]}"


def test_a_peer_that_cannot_be_had_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed() -> kolibri.Kolibri:
        raise kolibri.CannotRun("there is no network.")

    monkeypatch.setattr(kolibri, "find_kolibri", installed)
    plan = Plan((10,), ("sqlite",), ("kolibri",), 1, tmp_path)
    with ExitStack() as stack:
        peer_runs.measure_kolibri(Bench(plan, Results(tmp_path), tmp_path, "sqlite", 10, stack))
    (row,) = Results(tmp_path).rows
    assert (row.key, row.remarks) == (("kolibri", "sqlite", 10), ["Kolibri: not run: there is no network."])


def test_a_command_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(kolibri.CannotRun, match="No such file"):
        kolibri.Kolibri(tmp_path / "none", _empty(tmp_path)).time_import(_one(tmp_path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def _empty(folder: Path) -> Path:
    home = folder / "home"
    home.mkdir()
    return home


def _one(folder: Path) -> Path:
    people.make_files(folder, 20, ["all.csv"])
    return folder / "all.csv"
