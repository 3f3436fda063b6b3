"""The queue: an import that is asked for is kept, carried out once in its turn, and can be looked at and cancelled meanwhile."""

import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import (
    cancellation,
    file_import,
    heartbeats,
    plan_ends,
    queue,
    records,
    runner,
    undo,
    worker,
)
from musterbook.directory.imports.file_import import KeyTaken, NothingToApply, Upload
from musterbook.directory.imports.heartbeats import Heartbeat
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.queue import EarlierImport, ImportStatus
from musterbook.directory.imports.records import reap_orphans
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import database_errors, import_files, locks
from tests.directory.cast import NOW, Row, agency, allow, apply_rows, assert_whole, file, people, read_everything, user
from tests.directory.storage.test_locks import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

CONTEXT = AuditContext(NOW, "", "page", "192.0.2.7", "Browser/2")
LATER = NOW + timedelta(minutes=3)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


def submit(made: models.Agency, rows: list[Row], options: Options | None = None, **more: Any) -> models.Import:
    """An import of the rows that waits."""
    return queue.submit(made, Upload(file(rows), "users.csv"), options or Options(), **({"context": CONTEXT} | more))


def work(worker: str = "one") -> bool:
    """The worker's next import, three minutes later."""
    return run_next_import(worker, lambda: LATER)


def reload(record: models.Import) -> models.Import:
    """The record as it is by now."""
    return models.Import.objects.get(pk=record.pk)


# Asking


def test_what_is_asked_for_is_kept_and_done_by_a_worker() -> None:
    made = agency()
    apply_rows(made, people(1, ROLE="Chief"))
    record = submit(made, people(2), context=AuditContext(NOW, "E-1", "page", "192.0.2.7", "Browser/2"))
    assert (reload(record).state, import_files.read_content(record.number)) == ("waiting", file(people(2)))
    assert not models.User.objects.filter(external_id="E-2").exists()
    assert work()
    done = reload(record)
    assert (done.state, done.counts["added"], done.file_name) == ("applied", 1, "users.csv")
    assert (done.worker, done.attempts, done.started_at) == ("one", 1, LATER)
    assert done.file_facts["format"] == "csv"
    event = models.Event.objects.get(subject_external_id="E-2")
    assert (event.at, event.actor, event.through, event.of_id) == (LATER, "E-1", "page", record.pk)
    assert (event.address, event.agent) == ("192.0.2.7", "Browser/2")
    assert not work()
    assert_whole(made)


def test_a_preview_that_is_asked_for_changes_nothing_and_is_applied_as_it_was_seen() -> None:
    made = agency()
    seen = submit(made, people(1), Options(preview=True))
    assert work()
    assert reload(seen).state == "previewed" and not models.User.objects.exists()
    record = queue.submit_apply(made, seen.number, context=CONTEXT)
    assert import_files.read_content(record.number) == file(people(1))
    assert record.file_sha256 == seen.file_sha256
    assert work()
    assert (reload(record).state, reload(record).counts["added"]) == ("applied", 1)


def test_a_plan_that_is_another_by_now_is_not_done() -> None:
    made = agency()
    seen = submit(made, people(1, 2), Options(preview=True))
    work()
    apply_rows(made, people(1))
    record = queue.submit_apply(made, seen.number, context=CONTEXT)
    work()
    assert reload(record).state == "refused"
    assert models.ImportProblem.objects.get(of=record, row=0).code == "plan-changed"
    with pytest.raises(NothingToApply):
        queue.submit_apply(made, queue.submit_apply(made, record.number, context=CONTEXT).number, context=CONTEXT)


def test_a_held_import_is_done_when_its_number_is_confirmed() -> None:
    made = agency(limits=[allow(0)])
    apply_rows(made, people(1, 2))
    held = submit(made, people(1), Options(mode=Mode.SYNC))
    work()
    assert reload(held).state == "held"
    record = queue.submit_apply(made, held.number, context=CONTEXT, confirmed={"deactivations": 1})
    work()
    assert reload(record).state == "applied" and not user(made, 2).active


def test_an_undo_is_previewed_and_done_by_a_worker_as_it_was_seen() -> None:
    made = agency()
    done = apply_rows(made, people(1)).record
    seen = queue.submit_undo(done, context=CONTEXT, preview=True)
    work()
    assert reload(seen).state == "previewed" and user(made, 1).active
    record = queue.submit_apply(made, seen.number, context=CONTEXT)
    work()
    assert (reload(record).state, reload(record).undoes_id) == ("applied", done.pk)
    assert not user(made, 1).active
    assert models.Event.objects.get(of=record).agent == "Browser/2"
    again = queue.submit_undo(done, context=CONTEXT, preview=False)
    work()
    assert reload(again).state == "applied" and reload(again).counts["updated"] == 0
    with pytest.raises(undo.NotApplied):
        queue.submit_undo(reload(seen), context=CONTEXT, preview=False)


def test_a_preview_that_is_asked_for_twice_with_a_key_is_made_once_while_it_is_open() -> None:
    made, preview = agency(), Options(preview=True)
    record = submit(made, people(1), preview, key="k")
    assert work()
    assert submit(made, people(1), preview, key="k") == record
    assert not work()
    assert submit(made, people(1), preview, key="") != record
    plan_ends.discard(reload(record), CONTEXT)
    assert submit(made, people(1), preview, key="k") != record


def test_one_key_is_one_import() -> None:
    made = agency()
    record = submit(made, people(1), key="k")
    assert submit(made, people(1), key="k") == record
    work()
    assert submit(made, people(1), key="k").state == "applied"
    assert models.Import.objects.count() == 1
    with pytest.raises(KeyTaken):
        submit(made, people(2), key="k")
    with pytest.raises(KeyTaken):
        queue.submit_undo(reload(record), context=CONTEXT, preview=False, key="k")


def test_of_two_with_one_key_that_come_at_once_one_is_kept(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    made = agency()
    usual = import_files.store_file
    first: list[models.Import] = []

    def overtaken(number: str, content: bytes) -> None:
        monkeypatch.setattr(import_files, "store_file", usual)
        first.append(submit(made, people(1), key="k"))
        usual(number, content)

    monkeypatch.setattr(import_files, "store_file", overtaken)
    assert submit(made, people(1), key="k") == first[0]
    assert [path.name for path in (settings.MUSTER_HOME / "files").iterdir()] == [first[0].number]


def test_an_undo_of_a_synchronize_import_is_refused_when_asking_and_when_applying() -> None:
    made = agency()
    models.Role.objects.filter(agency=made, name="Officer").update(permissions=["users.import"])
    apply_rows(made, [*people(1, ROLE="Chief"), *people(2, 3)])
    done = apply_rows(made, [*people(1, ROLE="Chief"), *people(2)], Options(mode=Mode.SYNC)).record
    with pytest.raises(NotPermitted):
        queue.submit_undo(done, context=AuditContext(NOW, "E-2", "page"), preview=True)
    seen = queue.submit_undo(done, context=AuditContext(NOW, "E-1", "page"), preview=True)
    work()
    with pytest.raises(NotPermitted):
        queue.submit_apply(made, seen.number, context=AuditContext(NOW, "E-2", "page"))
    assert queue.submit_apply(made, seen.number, context=AuditContext(NOW, "E-1", "page")).undoes == done


def test_who_may_not_is_refused_when_asking_and_when_it_is_done() -> None:
    made = agency()
    apply_rows(made, [*people(1, ROLE="Chief"), *people(2)])
    with pytest.raises(NotPermitted):
        submit(made, people(3), context=AuditContext(NOW, "E-2", "page"))
    record = submit(made, people(3), context=AuditContext(NOW, "E-1", "page"), key="k")
    apply_rows(made, people(1))
    assert work()
    ended = reload(record)
    assert (ended.state, ended.message) == (
        "failed",
        "The operator is no longer allowed to do this. Nothing was changed.",
    )
    assert ended.idempotency_key is None
    assert not models.User.objects.filter(external_id="E-3").exists()


def test_a_file_that_cannot_be_kept_is_not_an_import(settings: Settings, tmp_path: Path) -> None:
    made = agency()
    (tmp_path / "files").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="files"):
        submit(made, people(1))
    assert not models.Import.objects.exists()


def test_a_file_that_is_gone_fails_the_import_clearly() -> None:
    made = agency()
    record = submit(made, people(1))
    import_files.delete_file(record.number)
    assert work()
    assert reload(record).message == (
        "The file is no longer kept, or the worker has no access to it. Import the file again. Nothing was changed."
    )


# Turns


def test_agencies_take_turns_and_one_agency_s_imports_come_in_their_order() -> None:
    many, few = agency("many"), agency("few")
    waiting = [submit(many, people(n)) for n in (1, 2, 3)] + [submit(few, people(1))]
    times = iter(NOW + timedelta(minutes=n) for n in range(20))
    for _ in waiting:
        assert run_next_import("one", lambda: next(times))
    order = models.Import.objects.order_by("started_at").values_list("pk", flat=True)
    assert list(order) == [waiting[0].pk, waiting[3].pk, waiting[1].pk, waiting[2].pk]


def test_of_many_agencies_that_wait_only_the_next_one_is_loaded() -> None:
    waiting = [agency(f"agency-{number}") for number in range(5)]
    for made in waiting:
        submit(made, people(1))
    with CaptureQueriesContext(connection) as queries:
        assert next(worker.Turns().list_agencies()) == waiting[0]
    assert len(queries) == 2
    assert list(worker.Turns().list_agencies()) == waiting


def test_an_import_of_the_command_line_goes_before_one_that_waits() -> None:
    made = agency()
    record = submit(made, people(1))
    apply_rows(made, people(1))
    work()
    assert reload(record).counts["unchanged"] == 1


def test_who_sends_the_key_of_a_waiting_import_waits_for_it() -> None:
    made = agency()
    record = submit(made, people(1), key="k")
    numbers: list[str] = []

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        numbers.append(stage)
        if stage.startswith("waiting for the same"):
            work()

    done = file_import.run_import(
        made,
        Upload(file(people(1)), "users.csv"),
        Options(),
        context=AuditContext(NOW, "", "cli"),
        key="k",
        progress=progress,
    )
    assert done.record.pk == record.pk and done.plan is None
    assert "waiting for the same import, sent before" in numbers


# Looking and waiting


def test_the_page_shows_the_state_of_an_import() -> None:
    made = agency()
    apply_rows(made, people(1, ROLE="Chief"))
    first = submit(made, people(2), context=AuditContext(NOW, "E-1", "page"))
    second = submit(made, people(3))
    assert queue.get_status(first) == ImportStatus("waiting", no_worker=True)
    heartbeats.send_heartbeat(Heartbeat("one"))
    assert queue.get_status(second) == ImportStatus("waiting", ahead=EarlierImport(first.number, "E-1"))
    records.claim_import(first, "one", LATER)
    assert queue.get_status(first) == ImportStatus("running")
    heartbeats.send_heartbeat(Heartbeat("one", first.number, "writing", 10, 20))
    assert queue.get_status(first) == ImportStatus("running", "writing", 10, 20)
    assert queue.get_status(second).ahead == EarlierImport(first.number, "E-1")
    queue.cancel(first, CONTEXT)
    assert queue.get_status(first).stopping
    heartbeats.delete_heartbeat("one")
    assert queue.get_status(second).no_worker
    models.Import.objects.filter(pk=first.pk).update(state="applied", finished_at=LATER)
    assert queue.get_status(first) == ImportStatus("applied")


def test_a_worker_that_is_silent_counts_as_gone_and_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeats.send_heartbeat(Heartbeat("one"))
    assert heartbeats.list_heartbeats() == [Heartbeat("one")]
    monkeypatch.setattr(heartbeats, "TIMEOUT", 0)
    assert heartbeats.list_heartbeats() == []
    heartbeats.send_heartbeat(Heartbeat("two"))
    monkeypatch.setattr(heartbeats, "_DELETE_AFTER", timedelta(0))
    heartbeats.delete_heartbeat("three")
    monkeypatch.undo()
    assert heartbeats.list_heartbeats() == []


def test_a_worker_that_ends_takes_its_own_sign_with_it() -> None:
    heartbeats.send_heartbeat(Heartbeat("one"))
    heartbeats.send_heartbeat(Heartbeat("two"))
    heartbeats.delete_heartbeat("one")
    assert heartbeats.list_heartbeats() == [Heartbeat("two")]
    heartbeats.delete_heartbeat("two")


def test_an_import_reports_its_progress_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "_REPORT_EVERY", 0.005)
    with heartbeats.report_progress("one", "N") as tell:
        tell("writing", 1, 2)
        until(lambda: heartbeats.list_heartbeats() == [Heartbeat("one", "N", "writing", 1, 2)])


@pytest.mark.parametrize("error", [OperationalError("the connection is lost"), OSError("the disk is full")])
def test_a_heartbeat_that_could_not_be_sent_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Otherwise other workers would take the import for a dead one's."""
    usual, sent = heartbeats.send_heartbeat, []

    def fail_first(heartbeat: Heartbeat) -> None:
        sent.append(heartbeat)
        if len(sent) == 1:
            raise error
        usual(heartbeat)

    monkeypatch.setattr(heartbeats, "send_heartbeat", fail_first)
    monkeypatch.setattr(heartbeats, "_REPORT_EVERY", 0.005)
    with heartbeats.report_progress("one", "N"):
        until(lambda: heartbeats.list_heartbeats() == [Heartbeat("one", "N")])
    assert len(sent) > 1


def test_an_import_of_the_command_line_reports_its_progress_but_is_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "_REPORT_EVERY", 0.005)
    made = agency()
    statuses: list[ImportStatus] = []

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "planning":
            until(lambda: any(heartbeat.stage for heartbeat in heartbeats.list_heartbeats()))
            assert not heartbeats.has_live_worker()
            statuses.append(queue.get_status(models.Import.objects.get()))

    apply_rows(made, people(1), progress=progress)
    assert statuses[0] == ImportStatus("running", "planning")
    assert heartbeats.list_heartbeats() == []


def until(holds: Any) -> None:
    """Waits until it holds."""
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to hold")


def test_one_can_wait_for_an_import_to_end() -> None:
    made = agency()
    record = submit(made, people(1))
    assert queue.wait(record, 60).state == "waiting", "nobody waits where there is no worker"
    heartbeats.send_heartbeat(Heartbeat("one"))
    assert queue.wait(record, 0.1).state == "waiting"
    work()
    ended = queue.wait(record, 60)
    assert (ended.state, ended.agency) == ("applied", made)


# Cancelling


def test_a_waiting_import_is_cancelled_at_once() -> None:
    made = agency()
    record = submit(made, people(1), key="k")
    queue.cancel(record, AuditContext(NOW, "E-9", "page"))
    ended = reload(record)
    assert (ended.state, ended.message) == ("failed", "It was canceled by E-9. Nothing was changed.")
    assert ended.idempotency_key is None and ended.finished_at
    assert not work()
    queue.cancel(ended, CONTEXT)
    assert reload(record).message == ended.message


def test_a_running_import_is_cancelled_until_it_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = submit(made, people(1))
    usual = runner.Attempt.report_stage

    def watched(attempt: runner.Attempt, stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "planning":
            elsewhere(lambda: queue.cancel(record, AuditContext(NOW, "E-9", "page"))).join()
        usual(attempt, stage, done, total)

    monkeypatch.setattr(runner.Attempt, "report_stage", watched)
    assert work()
    assert reload(record).message == "It was canceled by E-9. Nothing was changed."
    assert not models.User.objects.exists()
    assert_whole(made)


def test_where_the_writer_is_busy_a_cancelled_import_ends_when_it_would_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = submit(made, people(1))
    with monkeypatch.context() as patched:
        patched.setattr(locks, "_try_begin", lambda stack: False)
        queue.cancel(record, CONTEXT)
    assert queue.get_status(record).stopping
    work()
    assert reload(record).message == "It was canceled. Nothing was changed."
    assert not models.User.objects.exists()


# Workers that end


def mark_dead(record: models.Import, worker: str = "gone") -> None:
    """A worker has taken the import up and died."""
    record.refresh_from_db()
    assert records.claim_import(record, worker, NOW)


def test_the_import_of_a_worker_that_died_is_taken_up_again() -> None:
    made = agency()
    record = submit(made, people(1))
    mark_dead(record)
    assert work("two")
    done = reload(record)
    assert (done.state, done.worker, done.attempts) == ("applied", "two", 2)


def test_what_a_dead_command_left_behind_has_failed_and_there_is_nothing_to_do() -> None:
    made = agency()
    record = apply_rows(made, people(1)).record
    models.Import.objects.filter(pk=record.pk).update(state="running", finished_at=None, worker="")
    assert not work()
    assert reload(record).state == "failed"


def test_where_one_writer_is_all_nobody_s_session_is_ended() -> None:
    made = agency()
    with locks.try_import_lock(made) as free:
        assert free
        assert not locks.end_holder(made, 0)
        assert work() is False


def test_who_looks_in_between_does_not_bury_it() -> None:
    made = agency()
    record = submit(made, people(1))
    mark_dead(record)
    reap_orphans(made)
    assert (reload(record).state, reload(record).worker) == ("waiting", "")
    apply_rows(made, people(1))
    work()
    assert reload(record).counts["unchanged"] == 1


def test_an_import_whose_workers_die_again_and_again_fails() -> None:
    made = agency()
    record = submit(made, people(1), key="k")
    for _ in range(records.ATTEMPTS):
        mark_dead(record)
        reap_orphans(made)
    ended = reload(record)
    assert ended.state == "failed" and ended.message.startswith(
        "Its worker ended several times before the import was complete."
    )
    assert ended.idempotency_key is None
    assert not work()


def test_an_import_that_another_took_up_meanwhile_counts_for_nothing() -> None:
    made = agency()
    apply_rows(made, people(1))
    record = submit(made, people(2))
    before = read_everything(made)
    records.claim_import(record, "slow", NOW)
    models.Import.objects.filter(pk=record.pk).update(worker="quick", attempts=2)
    upload = Upload(file(people(2)), "users.csv")
    with pytest.raises(records.Superseded):
        runner.run_claimed(file_import.make_attempt(record, upload, CONTEXT, None, heartbeats.ignore_progress))
    assert read_everything(made) == before
    assert not records.record_failure(record, "too late")
    assert (reload(record).state, reload(record).worker) == ("running", "quick")


def test_a_superseded_worker_goes_on_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = submit(made, people(1))

    def superseded(attempt: runner.Attempt) -> None:
        raise records.Superseded

    with monkeypatch.context() as patched:
        patched.setattr(runner, "run_claimed", superseded)
        assert work()
    assert work()
    assert reload(record).state == "applied"


def test_an_import_taken_by_another_between_looking_and_taking_is_left() -> None:
    made = agency()
    record = submit(made, people(1))
    stale = reload(record)
    assert records.claim_import(record, "one", NOW)
    assert not records.claim_import(stale, "two", NOW)


@pytest.mark.parametrize("options", [Options(), Options(preview=True)])
def test_a_worker_that_is_asked_to_end_leaves_its_import_for_the_next(options: Options) -> None:
    made = agency()
    record = submit(made, people(1), options)
    assert run_next_import("one", lambda: NOW, lambda: True)
    assert (reload(record).state, reload(record).attempts) == ("waiting", 0)
    assert not models.User.objects.exists()
    assert work("two")
    assert reload(record).attempts == 1 and reload(record).finished_at


def lose_connection(attempt: runner.Attempt) -> None:
    """The connection to the database is lost."""
    raise OperationalError from psycopg.OperationalError("the server closed the connection")


def test_a_connection_that_is_lost_again_and_again_fails_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = submit(made, people(1))
    with monkeypatch.context() as patched:
        patched.setattr(runner, "_make_plan", lose_connection)
        assert work()
        assert reload(record).state == "running"
        assert work()
        assert work()
    ended = reload(record)
    assert (ended.state, ended.attempts) == ("failed", records.ATTEMPTS)
    assert ended.message.startswith("The connection to the database was lost.")


def test_after_a_lost_connection_it_is_done_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = submit(made, people(1))
    with monkeypatch.context() as patched:
        patched.setattr(runner, "_make_plan", lose_connection)
        work()
    assert work()
    assert (reload(record).state, reload(record).attempts) == ("applied", 2)


def test_a_failure_is_stored_in_the_record_and_the_worker_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = submit(made, people(1))

    def full(attempt: runner.Attempt) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(runner, "_make_plan", full)
        assert work()
    assert reload(record).message.startswith("The disk is full.")
    assert cancellation.is_requested(record) is False
    assert database_errors.describe_cancel("") == database_errors.CANCELLED


def test_the_lock_of_an_import_is_taken_from_a_worker_that_sends_no_heartbeats(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made, taken, held = agency(), list[str](), [True, False]
    record = submit(made, people(1))
    models.Import.objects.update(state="running", worker="one")

    def end_holder(of: models.Agency, _: object) -> bool:
        taken.append(of.slug)
        return held.pop()

    monkeypatch.setattr(locks, "end_holder", end_holder)
    monkeypatch.setattr(locks, "try_import_lock", lambda _: nullcontext(False))
    heartbeats.send_heartbeat(Heartbeat("one", record.number))
    assert not work("two")
    assert taken == []
    heartbeats.delete_heartbeat("one")
    assert not work("two")
    assert taken == [made.slug]
    assert "sends no heartbeats" not in caplog.text, "it had just taken the lock"
    assert not work("two")
    assert taken == [made.slug] * 2
    assert "sends no heartbeats" in caplog.text


@pytest.mark.parametrize(
    "broken", [{"options": {}, "granted": []}, {"options": {}}, {"options": [], "granted": {"actor": 5}}]
)
@pytest.mark.parametrize("kind", models.ImportKind.values)
def test_a_row_that_no_import_has_fails_and_the_worker_goes_on(broken: dict[str, Any], kind: str) -> None:
    made = agency()
    first, second = submit(made, people(1)), submit(made, people(2))
    models.Import.objects.filter(pk=first.pk).update(kind=kind, **broken)
    assert work() and reload(first).state == "failed"
    assert "Nothing was changed." in reload(first).message
    assert work() and reload(second).state == "applied"


def test_a_row_that_no_import_has_is_reaped_and_the_worker_goes_on() -> None:
    made = agency()
    first, second = submit(made, people(1)), submit(made, people(2))
    models.Import.objects.filter(pk=first.pk).update(
        kind=models.ImportKind.BULK, options={}, state="running", worker="gone", attempts=records.ATTEMPTS
    )
    assert work() and (reload(first).state, reload(second).state) == ("failed", "applied")


def test_a_database_error_of_the_report_is_no_fault_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: models.Import) -> None:
        raise OperationalError

    made = agency()
    record = submit(made, people(1))
    models.Import.objects.filter(pk=record.pk).update(state="running", worker="gone", attempts=records.ATTEMPTS)
    monkeypatch.setattr(records, "_report_end", fail)
    with pytest.raises(OperationalError):
        reap_orphans(made)
    assert reload(record).state == "running"
