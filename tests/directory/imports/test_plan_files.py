"""The plan of an import is kept beside it: whole, once it is done, and not at all if it is not."""

import os
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from musterbook.directory import models
from musterbook.directory.apply import writer
from musterbook.directory.imports import plan_files
from musterbook.directory.imports.runner import ImportFailed
from tests.directory.cast import agency, apply_rows, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def plans(settings: Any, tmp_path: Path) -> Path:
    settings.MUSTER_HOME = tmp_path
    return tmp_path / "plans"


def _fails(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_import_that_fails_leaves_no_plan(plans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    monkeypatch.setattr(writer, "apply_plan", _fails)
    with pytest.raises(ImportFailed):
        apply_rows(made, [person(1)])
    assert list(plans.iterdir()) == []


def test_an_import_whose_plan_cannot_be_kept_changes_nothing(plans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    monkeypatch.setattr(pl.DataFrame, "write_parquet", _fails)
    with pytest.raises(ImportFailed):
        apply_rows(made, [person(1)])
    assert list(plans.iterdir()) == []
    assert not models.User.objects.filter(agency=made).exists()


def test_the_draft_of_a_dead_process_is_deleted(plans: Path, settings: Any) -> None:
    settings.MUSTER_KEEP_FILES_DAYS = 0
    made = agency()
    apply_rows(made, [person(1)])
    drafted, left = plans / ".another-1", plans / ".another-2"
    for folder, age in ((drafted, 3600), (left, 2 * 86_400)):
        folder.mkdir()
        os.utime(folder, (time.time() - age,) * 2)
    apply_rows(made, [person(2)])
    assert drafted.exists() and not left.exists()


def test_a_plan_is_readable_by_its_owner_alone(plans: Path) -> None:
    apply_rows(agency(), [person(1)])
    (kept,) = plans.iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    assert plan_files.scan_part(kept.name, "added").collect()["external_id"].to_list() == ["E-1"]
