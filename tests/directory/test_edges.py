"""Edges of the directory that no journey reaches by itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.imports import records
from musterbook.directory.imports.options import Options
from musterbook.directory.installation import doctor, migration
from musterbook.directory.installation.migration import NotMigrated
from musterbook.directory.storage import frames, locks
from tests.directory import cast

pytestmark = pytest.mark.django_db


def test_who_is_managed_by_an_identity_provider_is_kept_by_a_synchronize() -> None:
    made = cast.agency()
    cast.apply_rows(made, [cast.person(1), cast.person(2), cast.person(3)])
    models.User.objects.filter(agency=made, external_id="E-2").update(managed_by="scim")
    done = cast.run(made, [cast.person(1)], Options(mode=Mode.SYNC))
    assert done.record.leavers["deactivated"] == ["E-3"]
    assert done.record.leavers["protected"] == [{"external_id": "E-2", "code": "exempt"}]


def test_an_import_that_still_runs_is_not_reported_as_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    made = cast.agency()
    done = cast.apply_rows(made, [cast.person(1)])
    models.Import.objects.filter(pk=done.record.pk).update(state="running")

    @contextmanager
    def taken(agency: models.Agency) -> Iterator[bool]:
        yield False

    monkeypatch.setattr(locks, "try_import_lock", taken)
    records.reap_orphans(made)
    assert models.Import.objects.get(pk=done.record.pk).state == "running"


class Answering:
    """A connection to a database that gives one answer, whatever it is asked."""

    def __init__(self, *answer: object) -> None:
        self.answer = answer

    @contextmanager
    def cursor(self) -> Iterator["Answering"]:
        """Itself."""
        yield self

    def execute(self, sql: str) -> None:
        """Asks."""

    def fetchone(self) -> tuple[object, ...]:
        """The answer."""
        return self.answer


def test_a_damaged_embedded_database_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "connection", Answering("row 7 missing from index user_email_once"))
    found = doctor._check_sqlite()
    assert "row 7 missing" in found.found
    assert "muster restore" in found.remedy


def test_a_database_that_cannot_store_every_script_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "connection", Answering(160_004, "SQL_ASCII"))
    found = doctor._check_postgres()
    assert found.found.startswith("PostgreSQL 16.4, SQL_ASCII, ")
    assert "--encoding UTF8" in found.remedy


def test_a_database_that_is_behind_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "list_pending", lambda: ["directory.0002_more"])
    with pytest.raises(NotMigrated, match=r"1 change is missing: directory\.0002_more"):
        migration._refuse_old()


def test_the_values_of_a_long_column_are_the_same_whether_they_differ_or_not() -> None:
    for values in (["a"] * 300, [None] * 300, [str(number) for number in range(300)]):
        assert list(frames._list_values(pl.Series(values, dtype=pl.String))) == values
