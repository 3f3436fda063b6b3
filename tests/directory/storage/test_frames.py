"""Rows that are written from frames."""

import polars as pl
import pytest

from musterbook.directory import models
from musterbook.directory.storage import frames, isolation
from tests.directory.cast import agency


@pytest.mark.django_db
@pytest.mark.parametrize("number", [0, 1, 100, 101, 250])
def test_work_for_one_agency_writes_few_rows_and_many(number: int) -> None:
    made, other = agency("aalen"), agency("bremen")
    before = models.Group.objects.count()
    names = [f"New {index}" for index in range(number)]
    rows = pl.DataFrame({"external_id": pl.Series(names, dtype=pl.String)}).with_columns(
        id=frames.new_ids(models.Group, number), agency_id=pl.lit(made.pk), name=pl.lit(""), active=pl.lit(value=True)
    )
    with isolation.limit_to(made.pk):
        frames.insert(models.Group, rows)
        stored = models.Group.objects.filter(agency=made, external_id__startswith="New ").order_by("id")
        assert list(stored.values_list("external_id", "name")) == [(name, "") for name in names]
    assert models.Group.objects.count() == before + number
    assert not models.Group.objects.filter(agency=other, external_id__startswith="New ").exists()
