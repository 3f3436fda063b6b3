"""Rows that are written from frames."""

from collections.abc import Callable

import polars as pl
import pytest
from django.db import Error, connection

from musterbook.directory import models
from musterbook.directory.storage import frames, isolation
from tests.directory.cast import agency
from tests.directory.storage.test_locks import elsewhere


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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "use",
    [
        lambda: frames.read_frame("SELECT 1 AS one", [], {"one": pl.Int64}),
        lambda: frames.new_ids(models.Group, 1_000),
        lambda: frames.update(models.Group, pl.DataFrame({"id": range(2_000), "name": [""] * 2_000})),
    ],
)
def test_a_connection_that_is_lost_in_a_copy_is_an_error_of_the_database(use: Callable[[], object]) -> None:
    """What retries such errors must recognize it: the driver's own ones are unknown to it."""
    if not frames.on_postgres():
        pytest.skip("SQLite has no connection to lose")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (process,) = cursor.fetchone()

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [process])

    elsewhere(end).join()
    with pytest.raises(Error):
        use()
    connection.close()
