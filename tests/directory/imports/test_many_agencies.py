"""Thousands of agencies on one installation: what a worker does by the clock and between imports does not grow with them."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from musterbook import jobs
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import heartbeats, queue, worker
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.worker import Turns, run_next_import
from musterbook.feeds import lateness
from tests.directory import cast

pytestmark = pytest.mark.django_db(transaction=True)
_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


def _add_agencies(first: int, number: int) -> None:
    """Each with a feed that is not due, a plan that can be applied, and a name that was released."""
    made = models.Agency.objects.bulk_create(
        models.Agency(slug=f"a-{one}", name=f"A {one}", created_at=_AT) for one in range(first, first + number)
    )
    schedule = {"every_minutes": 5}
    models.Feed.objects.bulk_create(
        models.Feed(
            agency=one, name="hr", mode="update", source="", created_at=_AT, location={"kind": "folder", "path": "hr"},
            schedule=schedule, next_check_at=_AT + timedelta(minutes=5),
        )
        for one in made
    )  # fmt: skip
    models.Import.objects.bulk_create(
        models.Import(
            agency=one, number=f"{one.pk:026}", mode="update", state="previewed", digest="d", started_at=_AT,
            finished_at=_AT, in_totals=True, options={},
        )
        for one in made
    )  # fmt: skip


def _count_queries(at: datetime) -> int:
    with CaptureQueriesContext(connection) as queries:
        jobs.tidy()
        lateness.correct_times(at)
        lateness.notify_late(at)
    return len(queries)


def test_the_work_by_the_clock_takes_as_many_queries_for_many_agencies_as_for_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the first round of a day, too, which looks for users whose access ends."""
    counts = []
    for number, first in enumerate((0, 3, 40)):
        _add_agencies(first, 3 if not first else 37)
        at = _AT + timedelta(days=number)
        monkeypatch.setattr(jobs, "now", lambda at=at: at)
        counts.append((_count_queries(at), _count_queries(at)))
    assert counts[1] == counts[2]
    assert set(models.Agency.objects.values_list("looked_on", flat=True)) == {_AT.date() + timedelta(days=2)}


def _submit(*agencies: models.Agency) -> None:
    for one in agencies:
        upload = Upload(cast.file(cast.people(1)), f"{one.slug}.csv")
        queue.submit(one, upload, Options(), context=AuditContext(datetime.now(UTC), "", "cli"))


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The agencies that each query has found."""
    found: list[list[int]] = []
    query = worker._query_turns

    def note(*, small: bool) -> list[int]:
        found.append([*query(small=small)])
        return found[-1]

    monkeypatch.setattr(worker, "_query_turns", note)
    return found


def _run(remembered: Turns) -> bool:
    return run_next_import("one", lambda: datetime.now(UTC), turns=remembered)


def test_turns_are_remembered_for_some_imports_and_then_made_again(turns: list[list[int]]) -> None:
    agencies = [cast.agency(slug) for slug in ("one", "two", "three")]
    _submit(*agencies)
    remembered = Turns(1e9)
    assert [_run(remembered) for _ in range(4)] == [True, True, True, False]
    assert turns == [[one.pk for one in agencies]]
    _submit(agencies[1])
    assert _run(remembered)
    assert set(models.Import.objects.values_list("state", flat=True)) == {"applied"}


def test_an_import_that_another_worker_has_done_is_passed_over_and_a_new_one_is_found(turns: list[list[int]]) -> None:
    agencies = [cast.agency(slug) for slug in ("one", "two", "three")]
    _submit(*agencies[:2])
    remembered = Turns(1e9)
    assert _run(remembered)
    assert run_next_import("two", lambda: datetime.now(UTC))
    _submit(agencies[2])
    assert _run(remembered)
    assert not _run(remembered)
    assert models.Import.objects.get(agency=agencies[2]).state == "applied"


def test_an_agency_that_was_paused_meanwhile_has_no_turn(turns: list[list[int]]) -> None:
    agencies = [cast.agency(slug) for slug in ("one", "two")]
    _submit(*agencies)
    remembered = Turns(1e9)
    assert _run(remembered)
    models.Agency.objects.filter(pk=agencies[1].pk).update(paused_at=_AT)
    assert not _run(remembered)
    assert turns == [[one.pk for one in agencies], []]


def test_turns_that_took_no_time_are_not_remembered(turns: list[list[int]]) -> None:
    """A small agency that arrives next to a few others waits for none of them twice."""
    agencies = [cast.agency(slug) for slug in ("one", "two")]
    _submit(agencies[0], agencies[0], agencies[1])
    remembered = Turns(0)
    while _run(remembered):
        pass
    done = models.Import.objects.order_by("started_at").values_list("agency", flat=True)
    assert [*done] == [agencies[0].pk, agencies[1].pk, agencies[0].pk]
    assert len(turns) == 3


def test_turns_are_remembered_for_twenty_times_as_long_as_their_query_took(monkeypatch: pytest.MonkeyPatch) -> None:
    agencies = [cast.agency(slug) for slug in ("one", "two", "three")]
    _submit(*agencies)
    now, query = [5_000.0], worker._query_turns

    def take_a_second(*, small: bool) -> list[int]:
        now[0] += 1
        return [*query(small=small)]

    monkeypatch.setattr(worker, "_query_turns", take_a_second)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    remembered = Turns()
    found = []
    for seconds in (0, 19.5, 1):
        now[0] += seconds
        found.append(next(remembered.list_agencies()).slug)
    assert found == ["one", "two", "one"]


def test_next_to_a_long_import_only_small_files_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each agency keeps the order of its imports, so a small file behind a large one waits for it."""
    agencies = [cast.agency(slug) for slug in ("large", "behind", "small", "bulk")]
    monkeypatch.setattr(worker, "SMALL_FILE", 500)
    for one in agencies[:2]:
        upload = Upload(cast.file(cast.people(*range(1, 20))), "large.csv")
        queue.submit(one, upload, Options(), context=AuditContext(datetime.now(UTC), "", "cli"))
    _submit(*agencies[1:3])
    models.Import.objects.filter(agency=agencies[2]).update(file_size=400)
    cast.apply_rows(agencies[3], cast.people(1, 2))
    context = AuditContext(datetime.now(UTC), "", "cli")
    users = list(models.User.objects.filter(agency=agencies[3]).values_list("pk", flat=True))
    queue.submit_bulk(agencies[3], users, BulkChange("deactivate"), context=context, preview=False)
    small = Turns(small=True)
    assert [_run(small) for _ in range(2)] == [True, False]
    waiting = models.Import.objects.filter(state="waiting").values_list("agency__slug", flat=True)
    assert sorted(waiting) == ["behind", "behind", "bulk", "large"]
    while _run(Turns()):
        pass
    assert set(models.Import.objects.values_list("state", flat=True)) == {"applied"}


def test_an_agency_whose_small_import_has_gone_meanwhile_keeps_its_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = cast.agency()
    _submit(made)
    remembered = Turns(1e9, small=True)
    monkeypatch.setattr(worker, "_query_turns", lambda *, small: [made.pk] if small else [])
    models.Import.objects.update(file_size=worker.SMALL_FILE + 1)
    assert not _run(remembered)
    assert models.Import.objects.get().state == "waiting"


class _Imports:
    """The thread that runs any import: busy for long, or not."""

    busy = False

    def is_long_busy(self) -> bool:
        return self.busy


def _list_workers() -> list[str]:
    return [one.worker for one in heartbeats.list_heartbeats()]


def test_a_worker_has_a_second_import_only_while_the_first_takes_long() -> None:
    imports = _Imports()
    loop = jobs._SmallImportLoop("w-small", threading.Event(), imports)  # type: ignore[arg-type]  # stands for it
    _submit(cast.agency())
    assert (loop.round() > 0, _list_workers()) == (True, [])
    imports.busy = True
    assert (loop.round(), _list_workers()) == (0, ["w-small"])
    assert loop.round() > 0
    assert models.Import.objects.get().state == "applied"
    imports.busy = False
    assert (loop.round() > 0, _list_workers()) == (True, [])


def test_an_import_takes_long_after_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, seen = jobs._ImportLoop("w", threading.Event()), list[bool]()

    def run(*_: object) -> bool:
        seen.append(loop.is_long_busy())
        monkeypatch.setattr(jobs, "_LONG", -1.0)
        seen.append(loop.is_long_busy())
        return True

    monkeypatch.setattr(jobs, "run_next_import", run)
    loop.round()
    assert (seen, loop.is_long_busy()) == ([False, True], False)
