"""The queue: an import that is asked for is kept, carried out once in its turn, and can be looked at and cancelled meanwhile."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from pytest_django import Settings

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import cancellation, file_import, heartbeats, queue, records, runner, undo
from musterbook.directory.imports.file_import import KeyTaken, NotShown, Options, Upload
from musterbook.directory.imports.heartbeats import Sign
from musterbook.directory.imports.queue import Ahead, Standing
from musterbook.directory.imports.records import settle_dead
from musterbook.directory.imports.worker import carry_out_next
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import database_errors, import_files, locks
from tests.directory.cast import NOW, Row, agency, applied, everything, file, people, user, whole
from tests.directory.storage.test_locks import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

CONTEXT = AuditContext(NOW, "", "page", "192.0.2.7", "Browser/2")
LATER = NOW + timedelta(minutes=3)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


def asked(made: models.Agency, rows: list[Row], options: Options | None = None, **more: Any) -> models.Import:
    """An import of the rows that waits."""
    return queue.submit(made, Upload(file(rows), "users.csv"), options or Options(), **({"context": CONTEXT} | more))


def work(worker: str = "one") -> bool:
    """The worker's next import, three minutes later."""
    return carry_out_next(worker, lambda: LATER)


def now(record: models.Import) -> models.Import:
    """The record as it is by now."""
    return models.Import.objects.get(pk=record.pk)


# Asking


def test_what_is_asked_for_is_kept_and_done_by_a_worker() -> None:
    made = agency()
    applied(made, people(1, ROLE="Chief"))
    record = asked(made, people(2), context=AuditContext(NOW, "E-1", "page", "192.0.2.7", "Browser/2"))
    assert (now(record).state, import_files.content(record.number)) == ("waiting", file(people(2)))
    assert not models.User.objects.filter(external_id="E-2").exists()
    assert work()
    done = now(record)
    assert (done.state, done.counts["added"], done.file_name) == ("applied", 1, "users.csv")
    assert (done.worker, done.attempts, done.started_at) == ("one", 1, LATER)
    assert done.file_facts["format"] == "csv"
    event = models.Event.objects.get(subject_external_id="E-2")
    assert (event.at, event.actor, event.through, event.of_id) == (LATER, "E-1", "page", record.pk)
    assert (event.address, event.agent) == ("192.0.2.7", "Browser/2")
    assert not work()
    whole(made)


def test_a_preview_that_is_asked_for_changes_nothing_and_is_applied_as_it_was_seen() -> None:
    made = agency()
    seen = asked(made, people(1), Options(preview=True))
    assert work()
    assert now(seen).state == "previewed" and not models.User.objects.exists()
    record = queue.submit_apply(made, seen.number, context=CONTEXT)
    assert import_files.content(record.number) == file(people(1))
    assert record.file_sha256 == seen.file_sha256
    assert work()
    assert (now(record).state, now(record).counts["added"]) == ("applied", 1)


def test_a_plan_that_is_another_by_now_is_not_done() -> None:
    made = agency()
    seen = asked(made, people(1, 2), Options(preview=True))
    work()
    applied(made, people(1))
    record = queue.submit_apply(made, seen.number, context=CONTEXT)
    work()
    assert now(record).state == "refused"
    assert models.ImportProblem.objects.get(of=record, row=0).code == "plan-changed"
    with pytest.raises(NotShown):
        queue.submit_apply(made, queue.submit_apply(made, record.number, context=CONTEXT).number, context=CONTEXT)


def test_a_held_import_is_done_when_its_number_is_confirmed() -> None:
    made = agency(limit_users=0, limit_percent=0)
    applied(made, people(1, 2))
    held = asked(made, people(1), Options(mode=Mode.SYNC))
    work()
    assert now(held).state == "held"
    record = queue.submit_apply(made, held.number, context=CONTEXT, confirmed=1)
    work()
    assert now(record).state == "applied" and not user(made, 2).active


def test_an_undo_is_previewed_and_done_by_a_worker_as_it_was_seen() -> None:
    made = agency()
    done = applied(made, people(1)).record
    seen = queue.submit_undo(done, context=CONTEXT, preview=True)
    work()
    assert now(seen).state == "previewed" and user(made, 1).active
    record = queue.submit_apply(made, seen.number, context=CONTEXT)
    work()
    assert (now(record).state, now(record).undoes_id) == ("applied", done.pk)
    assert not user(made, 1).active
    assert models.Event.objects.get(of=record).agent == "Browser/2"
    again = queue.submit_undo(done, context=CONTEXT, preview=False)
    work()
    assert now(again).state == "applied" and now(again).counts["updated"] == 0
    with pytest.raises(undo.NotApplied):
        queue.submit_undo(now(seen), context=CONTEXT, preview=False)


def test_one_key_is_one_import() -> None:
    made = agency()
    record = asked(made, people(1), key="k")
    assert asked(made, people(1), key="k") == record
    work()
    assert asked(made, people(1), key="k").state == "applied"
    assert models.Import.objects.count() == 1
    with pytest.raises(KeyTaken):
        asked(made, people(2), key="k")
    with pytest.raises(KeyTaken):
        queue.submit_undo(now(record), context=CONTEXT, preview=False, key="k")


def test_of_two_with_one_key_that_come_at_once_one_is_kept(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    made = agency()
    usual = import_files.keep
    first: list[models.Import] = []

    def overtaken(number: str, content: bytes) -> None:
        monkeypatch.setattr(import_files, "keep", usual)
        first.append(asked(made, people(1), key="k"))
        usual(number, content)

    monkeypatch.setattr(import_files, "keep", overtaken)
    assert asked(made, people(1), key="k") == first[0]
    assert [path.name for path in (settings.MUSTER_HOME / "files").iterdir()] == [first[0].number]


def test_an_undo_of_a_synchronize_import_is_refused_when_asking_and_when_applying() -> None:
    made = agency()
    models.Role.objects.filter(agency=made, name="Officer").update(permissions=["users.import"])
    applied(made, [*people(1, ROLE="Chief"), *people(2, 3)])
    done = applied(made, [*people(1, ROLE="Chief"), *people(2)], Options(mode=Mode.SYNC)).record
    with pytest.raises(NotPermitted):
        queue.submit_undo(done, context=AuditContext(NOW, "E-2", "page"), preview=True)
    seen = queue.submit_undo(done, context=AuditContext(NOW, "E-1", "page"), preview=True)
    work()
    with pytest.raises(NotPermitted):
        queue.submit_apply(made, seen.number, context=AuditContext(NOW, "E-2", "page"))
    assert queue.submit_apply(made, seen.number, context=AuditContext(NOW, "E-1", "page")).undoes == done


def test_who_may_not_is_refused_when_asking_and_when_it_is_done() -> None:
    made = agency()
    applied(made, [*people(1, ROLE="Chief"), *people(2)])
    with pytest.raises(NotPermitted):
        asked(made, people(3), context=AuditContext(NOW, "E-2", "page"))
    record = asked(made, people(3), context=AuditContext(NOW, "E-1", "page"), key="k")
    applied(made, people(1))
    assert work()
    ended = now(record)
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
        asked(made, people(1))
    assert not models.Import.objects.exists()


def test_a_file_that_is_gone_fails_the_import_clearly() -> None:
    made = agency()
    record = asked(made, people(1))
    import_files.let_go(record.number)
    assert work()
    assert now(record).message == (
        "The file is no longer kept, or the worker has no access to it. Import the file again. Nothing was changed."
    )


# Turns


def test_agencies_take_turns_and_one_agency_s_imports_come_in_their_order() -> None:
    many, few = agency("many"), agency("few")
    waiting = [asked(many, people(n)) for n in (1, 2, 3)] + [asked(few, people(1))]
    times = iter(NOW + timedelta(minutes=n) for n in range(20))
    for _ in waiting:
        assert carry_out_next("one", lambda: next(times))
    order = models.Import.objects.order_by("started_at").values_list("pk", flat=True)
    assert list(order) == [waiting[0].pk, waiting[3].pk, waiting[1].pk, waiting[2].pk]


def test_an_import_of_the_command_line_goes_before_one_that_waits() -> None:
    made = agency()
    record = asked(made, people(1))
    applied(made, people(1))
    work()
    assert now(record).counts["unchanged"] == 1


def test_who_sends_the_key_of_a_waiting_import_waits_for_it() -> None:
    made = agency()
    record = asked(made, people(1), key="k")
    told: list[str] = []

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        told.append(stage)
        if stage.startswith("waiting for the same"):
            work()

    done = file_import.run(
        made,
        Upload(file(people(1)), "users.csv"),
        Options(),
        context=AuditContext(NOW, "", "cli"),
        key="k",
        progress=progress,
    )
    assert done.record.pk == record.pk and done.plan is None
    assert "waiting for the same import, sent before" in told


# Looking and waiting


def test_it_is_told_where_an_import_stands() -> None:
    made = agency()
    applied(made, people(1, ROLE="Chief"))
    first = asked(made, people(2), context=AuditContext(NOW, "E-1", "page"))
    second = asked(made, people(3))
    assert queue.progress_of(first) == Standing("waiting", no_worker=True)
    heartbeats.give(Sign("one"))
    assert queue.progress_of(second) == Standing("waiting", ahead=Ahead(first.number, "E-1"))
    records.take_up(first, "one", LATER)
    assert queue.progress_of(first) == Standing("running")
    heartbeats.give(Sign("one", first.number, "writing", 10, 20))
    assert queue.progress_of(first) == Standing("running", "writing", 10, 20)
    assert queue.progress_of(second).ahead == Ahead(first.number, "E-1")
    queue.cancel(first, CONTEXT)
    assert queue.progress_of(first).stopping
    heartbeats.end("one")
    assert queue.progress_of(second).no_worker
    models.Import.objects.filter(pk=first.pk).update(state="applied", finished_at=LATER)
    assert queue.progress_of(first) == Standing("applied")


def test_a_worker_that_is_silent_counts_as_gone_and_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeats.give(Sign("one"))
    assert heartbeats.seen() == [Sign("one")]
    monkeypatch.setattr(heartbeats, "LASTS", 0)
    assert heartbeats.seen() == []
    heartbeats.give(Sign("two"))
    monkeypatch.setattr(heartbeats, "_FORGOTTEN", timedelta(0))
    heartbeats.end("three")
    monkeypatch.undo()
    assert heartbeats.seen() == []


def test_a_worker_that_ends_takes_its_own_sign_with_it() -> None:
    heartbeats.give(Sign("one"))
    heartbeats.give(Sign("two"))
    heartbeats.end("one")
    assert heartbeats.seen() == [Sign("two")]
    heartbeats.end("two")


def test_an_import_tells_how_far_it_is_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "_TOLD_EVERY", 0.005)
    with heartbeats.told("one", "N") as tell:
        tell("writing", 1, 2)
        until(lambda: heartbeats.seen() == [Sign("one", "N", "writing", 1, 2)])


def test_an_import_of_the_command_line_is_told_of_as_well_but_is_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "_TOLD_EVERY", 0.005)
    made = agency()
    told: list[Standing] = []

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "planning":
            until(heartbeats.seen)
            assert not heartbeats.anybody()
            told.append(queue.progress_of(models.Import.objects.get()))

    applied(made, people(1), progress=progress)
    assert told[0] == Standing("running", "planning")
    assert heartbeats.seen() == []


def until(holds: Any) -> None:
    """Waits until it holds."""
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to hold")


def test_one_can_wait_for_an_import_to_end() -> None:
    made = agency()
    record = asked(made, people(1))
    assert queue.wait(record, 60).state == "waiting", "nobody waits where there is no worker"
    heartbeats.give(Sign("one"))
    assert queue.wait(record, 0.1).state == "waiting"
    work()
    ended = queue.wait(record, 60)
    assert (ended.state, ended.agency) == ("applied", made)


# Cancelling


def test_a_waiting_import_is_cancelled_at_once() -> None:
    made = agency()
    record = asked(made, people(1), key="k")
    queue.cancel(record, AuditContext(NOW, "E-9", "page"))
    ended = now(record)
    assert (ended.state, ended.message) == ("failed", "It was cancelled by E-9. Nothing was changed.")
    assert ended.idempotency_key is None and ended.finished_at
    assert not work()
    queue.cancel(ended, CONTEXT)
    assert now(record).message == ended.message


def test_a_running_import_is_cancelled_until_it_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = asked(made, people(1))
    usual = runner.Attempt.watched

    def watched(attempt: runner.Attempt, stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "planning":
            elsewhere(lambda: queue.cancel(record, AuditContext(NOW, "E-9", "page"))).join()
        usual(attempt, stage, done, total)

    monkeypatch.setattr(runner.Attempt, "watched", watched)
    assert work()
    assert now(record).message == "It was cancelled by E-9. Nothing was changed."
    assert not models.User.objects.exists()
    whole(made)


def test_where_the_writer_is_busy_a_cancelled_import_ends_when_it_would_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = asked(made, people(1))
    with monkeypatch.context() as patched:
        patched.setattr(locks, "_begun", lambda stack: False)
        queue.cancel(record, CONTEXT)
    assert queue.progress_of(record).stopping
    work()
    assert now(record).message == "It was cancelled. Nothing was changed."
    assert not models.User.objects.exists()


# Workers that end


def died(record: models.Import, worker: str = "gone") -> None:
    """A worker has taken the import up and died."""
    record.refresh_from_db()
    assert records.take_up(record, worker, NOW)


def test_the_import_of_a_worker_that_died_is_taken_up_again() -> None:
    made = agency()
    record = asked(made, people(1))
    died(record)
    assert work("two")
    done = now(record)
    assert (done.state, done.worker, done.attempts) == ("applied", "two", 2)


def test_what_a_dead_command_left_behind_has_failed_and_there_is_nothing_to_do() -> None:
    made = agency()
    record = applied(made, people(1)).record
    models.Import.objects.filter(pk=record.pk).update(state="running", finished_at=None, worker="")
    assert not work()
    assert now(record).state == "failed"


def test_where_one_writer_is_all_nobody_s_session_is_ended() -> None:
    made = agency()
    with locks.if_free(made) as free:
        assert free
        if connection.vendor == "sqlite":
            locks.end_holder(made)
        assert work() is False


def test_who_looks_in_between_does_not_bury_it() -> None:
    made = agency()
    record = asked(made, people(1))
    died(record)
    settle_dead(made)
    assert (now(record).state, now(record).worker) == ("waiting", "")
    applied(made, people(1))
    work()
    assert now(record).counts["unchanged"] == 1


def test_an_import_whose_workers_die_again_and_again_fails() -> None:
    made = agency()
    record = asked(made, people(1), key="k")
    for _ in range(records.ATTEMPTS):
        died(record)
        settle_dead(made)
    ended = now(record)
    assert ended.state == "failed" and ended.message.startswith(
        "Its worker ended several times before the import was complete."
    )
    assert ended.idempotency_key is None
    assert not work()


def test_an_import_that_another_took_up_meanwhile_counts_for_nothing() -> None:
    made = agency()
    applied(made, people(1))
    record = asked(made, people(2))
    before = everything(made)
    records.take_up(record, "slow", NOW)
    models.Import.objects.filter(pk=record.pk).update(worker="quick", attempts=2)
    upload = Upload(file(people(2)), "users.csv")
    with pytest.raises(records.Superseded):
        runner.carry_out_taken(file_import.attempt(record, upload, CONTEXT, None, heartbeats.silent))
    assert everything(made) == before
    assert not records.fail(record, "too late")
    assert (now(record).state, now(record).worker) == ("running", "quick")


def test_a_superseded_worker_goes_on_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = asked(made, people(1))

    def superseded(attempt: runner.Attempt) -> None:
        raise records.Superseded

    with monkeypatch.context() as patched:
        patched.setattr(runner, "carry_out_taken", superseded)
        assert work()
    assert work()
    assert now(record).state == "applied"


def test_an_import_taken_by_another_between_looking_and_taking_is_left() -> None:
    made = agency()
    record = asked(made, people(1))
    stale = now(record)
    assert records.take_up(record, "one", NOW)
    assert not records.take_up(stale, "two", NOW)


@pytest.mark.parametrize("options", [Options(), Options(preview=True)])
def test_a_worker_that_is_asked_to_end_leaves_its_import_for_the_next(options: Options) -> None:
    made = agency()
    record = asked(made, people(1), options)
    assert carry_out_next("one", lambda: NOW, lambda: True)
    assert (now(record).state, now(record).attempts) == ("waiting", 0)
    assert not models.User.objects.exists()
    assert work("two")
    assert now(record).attempts == 1 and now(record).finished_at


def lost(attempt: runner.Attempt) -> None:
    """The connection to the database is lost."""
    raise OperationalError from psycopg.OperationalError("the server closed the connection")


def test_a_connection_that_is_lost_again_and_again_fails_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = asked(made, people(1))
    with monkeypatch.context() as patched:
        patched.setattr(runner, "_planned", lost)
        assert work()
        assert now(record).state == "running"
        assert work()
        assert work()
    ended = now(record)
    assert (ended.state, ended.attempts) == ("failed", records.ATTEMPTS)
    assert ended.message.startswith("The connection to the database was lost.")


def test_after_a_lost_connection_it_is_done_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = asked(made, people(1))
    with monkeypatch.context() as patched:
        patched.setattr(runner, "_planned", lost)
        work()
    assert work()
    assert (now(record).state, now(record).attempts) == ("applied", 2)


def test_what_fails_is_told_by_the_record_and_the_worker_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    record = asked(made, people(1))

    def full(attempt: runner.Attempt) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(runner, "_planned", full)
        assert work()
    assert now(record).message.startswith("The disk is full.")
    assert cancellation.is_asked(record) is False
    assert database_errors.cancelled("") == database_errors.CANCELLED
