"""An import as a use case: done once, as it was seen, by who may, and kept."""

import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import cancellation, file_import, queue, records, runner
from musterbook.directory.imports.file_import import KeyTaken, NothingToApply
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.records import reap_orphans
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import import_files
from tests.directory.cast import (
    NOW,
    Row,
    agency,
    allow,
    apply_rows,
    assert_whole,
    file,
    mails,
    people,
    person,
    read_everything,
    register,
    run,
    unlimited,
    user,
)

pytestmark = pytest.mark.django_db

SYNC = Options(mode=Mode.SYNC)
PREVIEW = Options(preview=True)


def problem_codes(record: models.Import) -> list[str]:
    return list(models.ImportProblem.objects.filter(of=record).order_by("pk").values_list("code", flat=True))


def test_an_import_is_kept_with_who_when_how_and_of_what() -> None:
    made = agency()
    apply_rows(made, people(1, ROLE="Chief"))
    done = run(
        made, [*people(2), person(3, EMAIL="no address")], Options(mapping={"EMAIL": "EMAIL"}), by="E-1", through="api"
    )
    kept = models.Import.objects.get(number=done.record.number)
    assert (kept.actor, kept.through, kept.mode, kept.state) == ("E-1", "api", "update", "applied")
    assert (kept.file_name, kept.file_size) == ("users.csv", len(import_files.read_content(kept.number)))
    assert (len(kept.file_sha256), len(kept.digest)) == (64, 64)
    assert Options.of_json(kept.options) == Options(mapping={"EMAIL": "EMAIL"})
    assert kept.file_facts["mapped"]["EMAIL"] == "EMAIL"
    assert {name: kept.counts[name] for name in ("rows", "added", "errored")} == {"rows": 2, "added": 1, "errored": 1}
    assert kept.finished_at
    assert list(
        models.ImportProblem.objects.filter(of=kept).values_list("row", "external_id", "code", "column", "note")
    ) == [(3, "E-3", "invalid-email", "EMAIL", False)]


def test_the_same_file_again_writes_nothing() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    before = read_everything(made)
    assert apply_rows(made, people(1, 2)).record.counts["unchanged"] == 2
    assert read_everything(made) == before


def test_a_preview_changes_nothing_and_is_applied_as_it_was_seen() -> None:
    made = agency()
    seen = run(made, people(1), PREVIEW).record
    assert (seen.state, models.User.objects.count(), models.Event.objects.count()) == ("previewed", 0, 0)
    done = file_import.apply_previewed(made, seen.number, context=AuditContext(NOW, "", "page"))
    assert (done.record.state, done.record.digest) == ("applied", seen.digest)
    assert user(made, 1).email == "user1@agency.example"


def test_a_preview_of_another_plan_by_now_writes_nothing_and_shows_the_new_one() -> None:
    made = agency()
    seen = run(made, people(1, 2), PREVIEW).record
    apply_rows(made, people(1))
    again = file_import.apply_previewed(made, seen.number, context=AuditContext(NOW, "", "page")).record
    assert (again.state, again.counts["added"], problem_codes(again)) == ("refused", 1, ["plan-changed"])
    assert models.User.objects.count() == 1
    assert (
        file_import.apply_previewed(made, again.number, context=AuditContext(NOW, "", "page")).record.state == "applied"
    )


def test_what_is_held_goes_through_by_the_exact_number_alone() -> None:
    made = agency(limits=[allow(0)])
    apply_rows(made, people(1, 2, 3))
    held = run(made, people(1), SYNC).record
    assert (held.state, (held.held or {})["deactivations"]) == ("held", 2)
    for wrong in (None, 1, 3):
        context = AuditContext(NOW, "", "page")
        held = file_import.apply_previewed(
            made, held.number, context=context, confirmed={"deactivations": wrong}
        ).record
        assert held.state == "held"
    done = file_import.apply_previewed(
        made, held.number, context=AuditContext(NOW, "", "page"), confirmed={"deactivations": 2}
    )
    assert (done.record.state, done.record.leavers["deactivated"]) == ("applied", ["E-2", "E-3"])
    assert not user(made, 3).active


def test_what_is_held_is_held_again_when_the_number_has_changed() -> None:
    made = agency(limits=[allow(0)])
    apply_rows(made, people(1, 2))
    held = run(made, people(1), SYNC).record
    apply_rows(made, people(3))
    again = file_import.apply_previewed(
        made, held.number, context=AuditContext(NOW, "", "page"), confirmed={"deactivations": 1}
    ).record
    assert again.state in ("held", "refused")
    assert user(made, 2).active


@pytest.mark.parametrize("state", ["applied", "failed"])
def test_only_what_was_shown_can_be_applied_as_it_was_seen(state: str) -> None:
    made = agency()
    done = apply_rows(made, people(1)).record
    models.Import.objects.filter(pk=done.pk).update(state=state)
    with pytest.raises(NothingToApply):
        file_import.apply_previewed(made, done.number, context=AuditContext(NOW, "", "page"))


def test_a_strict_import_writes_all_or_nothing() -> None:
    made = agency()
    done = run(made, [*people(1), person(2, EMAIL="no address")], Options(strict=True))
    assert (done.record.state, models.User.objects.count()) == ("refused", 0)
    assert problem_codes(done.record) == ["not-strict", "invalid-email"]


def test_a_refused_file_changes_nothing_and_says_what_is_wrong_with_it() -> None:
    made = agency()
    done = run(made, b"EXTERNAL_ID,EMAIL\n1,a@b.example\n")
    assert done.record.state == "refused"
    assert set(problem_codes(done.record)) == {"missing-column"}


def test_one_idempotency_key_is_one_import() -> None:
    made = agency()
    first, second = run(made, people(1), key="k"), run(made, people(1), key="k")
    assert (first.record.pk, second.plan) == (second.record.pk, None)
    assert models.Import.objects.count() == 1
    with pytest.raises(KeyTaken):
        run(made, people(2), key="k")
    with pytest.raises(KeyTaken):
        run(made, people(1), SYNC, key="k")
    assert run(agency("shelbyville"), people(1), key="k").record.pk != first.record.pk


def test_a_key_that_is_used_while_this_one_waited_is_that_import() -> None:
    made = agency()
    meanwhile: list[str] = []

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "reading" and not meanwhile:
            meanwhile.append(run(made, people(1), key="k").record.number)

    assert [run(made, people(1), key="k", progress=progress).record.number] == meanwhile
    assert models.Import.objects.count() == 1


def test_a_key_is_free_again_after_a_preview_a_refusal_and_a_hold() -> None:
    """Rule D6."""
    made = agency(limits=[allow(0)])
    apply_rows(made, people(1, 2, 3))
    states = [
        run(made, rows, options, key="k").record.state
        for rows, options in (
            (people(1), PREVIEW),
            (people(2), PREVIEW),
            (b"no file of users", None),
            (people(1), SYNC),
            (people(1, 2), SYNC),
            (people(1, 2), replace(SYNC, confirmed={"deactivations": 1})),
        )
    ]
    assert states == ["previewed", "previewed", "refused", "held", "held", "applied"]
    with pytest.raises(KeyTaken):
        run(made, people(1), SYNC, key="k")


def test_a_request_that_was_held_is_the_import_that_was_confirmed_since() -> None:
    """Rule D6: a nightly command that is repeated after its confirmation runs nothing again."""
    made = agency(limits=[allow(0)])
    apply_rows(made, people(1, 2))
    run(made, people(1), SYNC, key="k")
    done = run(made, people(1), replace(SYNC, confirmed={"deactivations": 1}), key="k")
    assert run(made, people(1), SYNC, key="k").record.pk == done.record.pk


def test_an_import_that_failed_gives_its_key_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    keep = import_files.store_file
    monkeypatch.setattr(import_files, "store_file", _full)
    with pytest.raises(ImportFailed):
        run(made, people(1), key="k")
    monkeypatch.setattr(import_files, "store_file", keep)
    assert run(made, people(1), key="k").record.state == "applied"


def _full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("mode", list(Mode))
def test_who_lacks_the_permission_may_not_import(mode: Mode) -> None:
    made = agency()
    apply_rows(made, people(1))
    with pytest.raises(NotPermitted, match=r"users\.import"):
        run(made, people(2), Options(mode=mode), by="E-1")
    with pytest.raises(snapshot_queries.UnknownOperator):
        run(made, people(2), Options(mode=mode), by="E-99")
    assert models.Import.objects.count() == 1


def test_to_synchronize_takes_a_permission_of_its_own() -> None:
    made = agency()
    models.Role.objects.filter(agency=made, name="Chief").update(permissions=["users.import"])
    apply_rows(made, people(1, ROLE="Chief"))
    assert run(made, people(2), by="E-1").record.state == "applied"
    with pytest.raises(NotPermitted, match=r"^users\.synchronize$"):
        run(made, people(2), SYNC, by="E-1")


def test_who_is_deactivated_while_the_import_waits_may_not_import() -> None:
    made = agency()
    apply_rows(made, people(1, ROLE="Chief"))

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "reading":
            models.User.objects.filter(agency=made).update(active=False)

    with pytest.raises(snapshot_queries.UnknownOperator):
        run(made, people(2), by="E-1", progress=progress)
    (record,) = models.Import.objects.filter(state="failed")
    assert record.message == "The operator is no longer allowed to do this. Nothing was changed."


def test_an_inactive_operator_is_unknown() -> None:
    made = agency()
    apply_rows(made, people(1, ROLE="Chief", STATUS="Inactive"))
    with pytest.raises(snapshot_queries.UnknownOperator):
        run(made, people(2), by="E-1")


def test_progress_reports_the_stages_in_order_and_the_rows_written(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    monkeypatch.setattr("musterbook.directory.apply.writer._PART", 2)
    stages: list[tuple[str, int, int]] = []

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        stages.append((stage, done, total))

    run(made, [person(2, LAST_NAME="New"), *people(3, 4, 5)], SYNC, progress=progress)
    assert stages == [
        ("reading", 0, 0), ("planning", 0, 0), ("writing", 0, 5), ("writing", 1, 5), ("writing", 3, 5),
        ("writing", 4, 5), ("writing", 5, 5), ("committing", 0, 0),
    ]  # fmt: skip


def test_the_progress_of_any_import_ends_at_its_total() -> None:
    made = agency(limits=unlimited())
    apply_rows(made, people(1, 2, 3))
    shown: list[tuple[int, int]] = []

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "writing":
            shown.append((done, total))

    def last(content: list[Row] | bytes, options: Options) -> tuple[int, int]:
        assert run(made, content, options, progress=progress).record.state == "applied"
        return shown[-1]

    assert last([person(1, LAST_NAME="New"), *people(2, 4, 5)], SYNC) == (4, 4)
    ids = b"EXTERNAL_ID,NEW_EXTERNAL_ID\r\nE-1,N-1\r\nE-2,N-2\r\n"
    assert last(ids, Options(mode=Mode.REKEY)) == (2, 2)


@pytest.mark.parametrize("stage", ["planning", "writing", "committing"])
def test_an_import_is_cancelled_until_it_commits(stage: str) -> None:
    made = agency()
    apply_rows(made, people(1))
    before = read_everything(made)

    def progress(now: str, done: int = 0, total: int = 0) -> None:
        if now == stage:
            cancellation.request_cancel(models.Import.objects.latest("pk"))

    with pytest.raises(ImportFailed) as failed:
        run(made, people(2), progress=progress)
    assert str(failed.value) == "It was canceled. Nothing was changed."
    assert failed.value.record.state == models.Import.objects.get(pk=failed.value.record.pk).state == "failed"
    assert read_everything(made) == before
    assert apply_rows(made, people(2)).record.counts["added"] == 1


def test_a_key_stroke_cancels_an_import() -> None:
    made = agency()

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "writing" and done:
            raise KeyboardInterrupt

    with pytest.raises(ImportFailed, match=r"^It was canceled\. Nothing was changed\.$"):
        run(made, people(1), progress=progress)
    assert models.User.objects.count() == models.Event.objects.count() == models.Mail.objects.count() == 0


def test_a_cancelled_reading_is_reported_too() -> None:
    made = agency()

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        raise KeyboardInterrupt

    with pytest.raises(ImportFailed) as failed:
        run(made, people(1), progress=progress)
    assert failed.value.record.message == "It was canceled. Nothing was changed."
    assert models.Import.objects.get().state == "failed"


def test_what_has_ended_cannot_be_cancelled() -> None:
    made = agency()
    record = apply_rows(made, people(1)).record
    queue.cancel(record, AuditContext(NOW, "", "page"))
    assert file_import.find_import(made, record.number).state == "applied"


def test_a_folder_that_cannot_keep_the_file_fails_the_import_clearly(settings: Settings, tmp_path: Path) -> None:
    made = agency()
    (tmp_path / "files").write_text("a file where the folder should be")
    (tmp_path / "locks").mkdir()
    settings.MUSTER_HOME = tmp_path
    with pytest.raises(ImportFailed) as failed:
        run(made, people(1))
    assert "Nothing was changed." in failed.value.record.message
    assert models.User.objects.count() == 0
    assert models.Import.objects.get().state == "failed"


def test_a_full_disk_leaves_no_half_of_a_file(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    settings.MUSTER_HOME = tmp_path
    made = agency()
    monkeypatch.setattr(Path, "write_bytes", _full)
    with pytest.raises(
        ImportFailed, match=r"^The disk is full\. Free some space, then import again\. Nothing was changed\.$"
    ):
        run(made, people(1), Options(preview=True))
    assert list((tmp_path / "files").iterdir()) == []


def test_files_are_kept_for_their_days_and_no_longer(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path
    made = agency()
    first, second = run(made, people(1), PREVIEW).record, run(made, people(1), PREVIEW).record
    days = timedelta(days=settings.MUSTER_KEEP_FILES_DAYS)
    for record, age in ((first, days + timedelta(hours=1)), (second, days - timedelta(hours=1))):
        then = time.time() - age.total_seconds()
        os.utime(tmp_path / "files" / record.number, (then, then))
    run(made, people(2))
    assert import_files.read_content(second.number) == file(people(1))
    with pytest.raises(import_files.FileGone):
        file_import.apply_previewed(made, first.number, context=AuditContext(NOW, "", "page"))
    assert file_import.find_import(made, first.number).file_sha256 == second.file_sha256


def test_a_kept_file_is_for_the_owner_alone() -> None:
    record = run(agency(), people(1)).record
    assert (import_files._prepare_folder() / record.number).stat().st_mode & 0o777 == 0o600


def test_a_mapping_is_remembered_with_the_import_that_is_applied() -> None:
    made = agency()
    content = file(people(1)).replace(b"BADGE_NUMBER", b"Shield")
    assert run(made, content).record.state == "refused"
    mapping = {"Shield": "BADGE_NUMBER"}
    run(made, content, Options(mapping=mapping, preview=True))
    made.refresh_from_db()
    assert made.mapping == {}
    run(made, content, Options(mapping=mapping))
    made.refresh_from_db()
    assert made.mapping == mapping
    assert run(made, content).record.counts["unchanged"] == 1


def test_a_mapping_given_and_one_remembered_hold_together() -> None:
    made = agency(mapping={"Shield": "BADGE_NUMBER"})
    content = file(people(1)).replace(b"BADGE_NUMBER", b"Shield").replace(b"USERNAME", b"Login")
    assert run(made, content, Options(mapping={"Login": "USERNAME"})).record.state == "applied"
    made.refresh_from_db()
    assert made.mapping == {"Shield": "BADGE_NUMBER", "Login": "USERNAME"}
    refused = run(made, content, Options(mapping={"Logon": "USERNAME"})).record
    assert problem_codes(refused)[0] == "unknown-mapping"


def test_the_limit_and_the_mails_are_those_of_the_agency_as_it_is_now() -> None:
    made = agency()
    models.Agency.objects.filter(pk=made.pk).update(sends_mail=False)
    assert mails(run(made, people(1))) == []


def test_a_number_sorts_by_time() -> None:
    numbers = [records.new_number(NOW + timedelta(milliseconds=n)) for n in range(20)]
    assert numbers == sorted(numbers)
    assert {len(number) for number in numbers} == {26}


def test_an_import_whose_process_died_is_reported_failed_by_the_next_look() -> None:
    made = agency()
    dead = apply_rows(made, people(1), key="k").record
    models.Import.objects.filter(pk=dead.pk).update(state="running")
    reap_orphans(made)
    dead.refresh_from_db()
    assert (dead.state, dead.message) == (
        "failed",
        "Its process ended before the import was complete. Nothing was changed.",
    )
    assert dead.idempotency_key is None
    reap_orphans(made)


def test_a_commit_that_is_only_thought_lost_is_an_import_done() -> None:
    made = agency()
    record = apply_rows(made, people(1)).record

    def end() -> None:
        raise KeyboardInterrupt

    with runner.record_errors(record):
        end()
    record.refresh_from_db()
    assert record.state == "applied"


def test_last_administrators_stay_when_a_file_would_take_them() -> None:
    made = agency()
    apply_rows(made, people(1, ROLE="Admin"))
    register(made, 1)
    done = run(made, [person(1, ROLE="Officer")])
    assert problem_codes(done.record) == ["last-administrator"]
    assert_whole(made)


@pytest.mark.parametrize("options", [Options(), SYNC, Options(preview=True), Options(strict=True)])
def test_a_long_file_is_read_while_the_directory_is_read_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, options: Options
) -> None:
    night = [*people(3, LOCATION="Annex"), person(4), person(5, STATUS="Gone")]
    plans = []
    for number, bytes_ in enumerate((1 << 22, 0)):
        monkeypatch.setattr(file_import, "_LONG_BYTES", bytes_)
        made = agency(f"agency-{number}")
        apply_rows(made, people(4))
        done = run(made, night, options)
        assert done.plan
        plans.append((done.plan.rows.to_dicts(), done.record.counts, done.record.state, done.record.file_facts))
        assert done.record.file_facts["format"] == "csv"
    assert plans[0] == plans[1]


def test_errors_in_the_background_are_reported_like_errors_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise MemoryError

    made = agency()
    monkeypatch.setattr(file_import, "_LONG_BYTES", 0)
    monkeypatch.setattr(file_import, "read_upload", broken)
    with pytest.raises(ImportFailed) as failed:
        run(made, people(1))
    assert "memory" in failed.value.record.message
    assert models.Import.objects.get(number=failed.value.record.number).state == "failed"


def test_of_three_administrators_a_small_file_may_retire_two_in_a_large_agency() -> None:
    made = agency()
    apply_rows(made, [*people(1, 2, 3, ROLE="Admin"), *people(*range(10, 40))])
    register(made, 1, 2, 3)
    assert not snapshot_queries.needs_all_users(made, 2, Mode.UPDATE)
    done = apply_rows(made, people(1, 2, ROLE="Admin", STATUS="Inactive"))
    assert done.record.counts["updated"] == 2
