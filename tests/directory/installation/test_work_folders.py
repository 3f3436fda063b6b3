"""Work folders: what a killed command left is removed at once, and what another one uses stays."""

import os
from pathlib import Path

import pytest
from pytest_django import Settings

from musterbook.directory.installation import work_folders
from musterbook.directory.storage import locks
from tests.directory.cast import NOW


@pytest.fixture
def home(settings: Settings, tmp_path: Path) -> Path:
    settings.MUSTER_HOME = tmp_path
    return tmp_path


def leave(home: Path, name: str) -> Path:
    """The folder of a process that was killed: it has the file of the lock, and nobody holds it."""
    folder = home / f".backup-{name}"
    folder.mkdir()
    (folder / ".in-use").touch()
    (folder / "decrypted.tar").write_text("everything")
    return folder


def test_what_a_killed_command_left_is_removed_by_the_next_one_and_by_the_worker(home: Path) -> None:
    left = leave(home, "left")
    with work_folders.open_work_folder():
        assert not left.exists()
    left = leave(home, "again")
    work_folders.forget_left(NOW)
    assert not left.exists()


def test_a_folder_in_use_stays(home: Path) -> None:
    with work_folders.open_work_folder() as used:
        work_folders.forget_left(NOW)
        with work_folders.open_work_folder() as other:
            assert used.is_dir() and other != used
    assert not used.exists() and not other.exists()


def test_a_folder_without_a_lock_is_of_an_older_version_and_stays_for_a_day(home: Path) -> None:
    young, old = home / ".backup-young", home / ".backup-old"
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    work_folders.forget_left(NOW)
    assert young.is_dir() and not old.exists()
    assert not work_folders._is_left(home / ".backup-gone"), "another process removed it meanwhile"


def test_nothing_is_removed_while_another_process_makes_a_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = leave(home, "left")
    monkeypatch.setattr(work_folders, "_PATIENCE", 0.1)
    with locks.hold_named_lock("work-folders", 0) as free:
        assert free
        work_folders.forget_left(NOW)
        with work_folders.open_work_folder() as work:
            assert work.is_dir() and left.exists()
