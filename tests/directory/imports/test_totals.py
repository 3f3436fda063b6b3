"""The totals over all imports: exact, once each, whatever process ran them, and read from a few rows."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import cancellation, queue, records, stage_times, totals
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.totals import Totals
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.storage import frames
from tests.directory import cast
from tests.directory.storage.test_locks import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.now(UTC)


def submit(agency: models.Agency, rows: list[cast.Row], **options: object) -> models.Import:
    return queue.submit(
        agency, Upload(cast.file(rows), "users.csv"), Options(**options),  # type: ignore[arg-type]  # as the test names them
        context=AuditContext(datetime.now(UTC), "", "page"),
    )  # fmt: skip


def test_each_import_is_counted_once_whatever_process_ran_it() -> None:
    agency = cast.agency()
    cast.apply_rows(agency, cast.people(1, 2))
    submit(agency, [*cast.people(1, 2, 3), cast.person(4, EMAIL="no address")])
    submit(agency, cast.people(1, 2, 3), mode=Mode.UPDATE, preview=True)
    while run_next_import("worker", lambda: datetime.now(UTC)):
        pass
    assert totals.add_finished(NOW) == 3
    assert totals.add_finished(NOW) == 0
    read = Totals()
    assert [read.count_imports(state) for state in ("applied", "previewed", "failed")] == [2, 1, 0]
    assert [read.count_rows(outcome) for outcome in totals.OUTCOMES] == [3, 0, 2, 1, 0]


def test_an_import_that_another_worker_adds_is_left_to_that_one() -> None:
    if not frames.on_postgres():
        pytest.skip("SQLite has one writer")
    cast.apply_rows(cast.agency(), cast.people(1))
    added: list[int] = []
    with transaction.atomic():
        models.Import.objects.select_for_update().get()
        other = elsewhere(lambda: added.append(totals.add_finished(NOW)))
        other.join(10)
        assert added == [0]
    assert totals.add_finished(NOW) == 1


def test_a_canceled_import_is_no_failed_one() -> None:
    agency = cast.agency()
    queue.cancel(submit(agency, cast.people(1)), AuditContext(NOW, "", "page"))
    totals.add_finished(NOW)
    read = Totals()
    assert (read.count_imports("canceled"), read.count_imports("failed")) == (1, 0)


def test_an_open_import_is_counted_when_it_has_ended() -> None:
    agency = cast.agency()
    record = submit(agency, cast.people(1))
    assert totals.add_finished(NOW) == 0
    assert totals.read_queue()[0] == {"waiting": 1, "running": 0}
    models.Import.objects.filter(pk=record.pk).update(started_at=datetime.now(UTC) - timedelta(minutes=5))
    assert 299 < totals.read_queue()[1] < 330
    assert run_next_import("worker", lambda: datetime.now(UTC))
    assert (totals.add_finished(NOW), totals.read_queue()) == (1, ({"waiting": 0, "running": 0}, 0.0))


def test_the_seconds_of_each_stage_are_a_histogram() -> None:
    agency = cast.agency()
    record = submit(agency, cast.people(1))
    assert run_next_import("worker", lambda: records.read_time(record.number) + timedelta(seconds=7))
    record.refresh_from_db()
    assert set(record.stages) <= set(stage_times.STAGES) and {"reading", "planning", "committing"} <= set(record.stages)
    totals.add_finished(NOW)
    read = Totals()
    assert dict(read.list_buckets("queued")) == {
        "0.1": 0, "0.5": 0, "1": 0, "5": 0, "10": 1, "30": 1, "60": 1, "300": 1, "1800": 1, "+Inf": 1,
    }  # fmt: skip
    assert 6.9 < read.sum_seconds("queued") < 7.1
    assert read.list_buckets("planning")[-1] == ("+Inf", 1)
    assert read.list_buckets("waiting")[-1] == ("+Inf", 0)


def test_a_stage_that_is_entered_again_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.0, 1.0, 3.0, 4.0, 10.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    clock = stage_times.StageTimes()
    for stage in ("planning", "waiting for another import by E-1", "planning", "committing"):
        clock.enter(stage)
    assert clock.read() == {"waiting": 2.0, "planning": 2.0, "committing": 6.0}


def test_a_number_contains_the_time_of_its_request() -> None:
    at = datetime(2026, 11, 29, 12, 0, 0, 123_000, tzinfo=UTC)
    assert records.read_time(records.new_number(at)) == at


def test_reading_the_totals_costs_the_same_after_many_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    agency = cast.agency()
    record = cast.apply_rows(agency, cast.people(1)).record
    for _ in range(5):
        record.pk, record.number = None, records.new_number(datetime.now(UTC))
        record.save(force_insert=True)
    monkeypatch.setattr(totals, "_BATCH", 2)
    monkeypatch.setattr(totals, "_MOST_BATCHES", 2)
    assert [totals.add_finished(NOW) for _ in range(3)] == [4, 2, 0]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert Totals().count_imports("applied") == 6
    assert len(queries) == 1
    assert models.ImportTotal.objects.count() < 40


def test_an_import_that_waits_for_a_person_is_held() -> None:
    agency = cast.agency(limits=[cast.allow(0)])
    cast.apply_rows(agency, cast.people(1, 2))
    cast.run(agency, cast.file(cast.people(1)), Options(mode=Mode.SYNC))
    assert totals.count_held() == 1
    assert cancellation.get_shown_state(models.Import.objects.latest("pk")) == "held"


def test_an_import_that_runs_does_not_wait() -> None:
    agency = cast.agency()
    at = datetime.now(UTC) - timedelta(hours=1)
    for number, state in enumerate(("running", "waiting")):
        models.Import.objects.create(
            number=f"01TEST{number:020}", agency=agency, mode="update", state=state, started_at=at, through="cli",
        )  # fmt: skip
    states, oldest = totals.read_queue()
    assert states == {"waiting": 1, "running": 1} and 3_500 < oldest < 3_700
