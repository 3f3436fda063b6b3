"""The folder that Musterbook keeps its things in, and the secret key within it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from musterbook.config import home, settings


def test_the_folder_and_the_key_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "share" / "musterbook"
    assert len(home.read_or_make_key(folder)) >= 50
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / home.KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == [home.KEY_FILE]


def test_the_key_stays_the_same(tmp_path: Path) -> None:
    assert home.read_or_make_key(tmp_path) == home.read_or_make_key(tmp_path)


def test_of_several_that_make_a_key_at_once_the_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(4)
    monkeypatch.setattr(Path, "exists", lambda _: together.wait() < 0)
    with ThreadPoolExecutor(4) as pool:
        keys = set(pool.map(lambda _: home.read_or_make_key(tmp_path), range(4)))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == [home.KEY_FILE]


def test_the_settings_have_a_key_when_it_is_first_asked_for() -> None:
    assert str(settings.SECRET_KEY) == home.read_or_make_key(settings.MUSTER_HOME)
