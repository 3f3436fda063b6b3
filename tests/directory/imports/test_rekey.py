"""New external IDs (M14): planned, applied in one transaction, recorded, undone, and what else knows users by their ids."""

import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as current_settings
from pytest_django import Settings

from musterbook.core.domain.policy import Mode
from musterbook.core.reporting.report import RowFilter
from musterbook.directory import models
from musterbook.directory.audit import browse, export, former_ids, verify
from musterbook.directory.audit.filters import EventFilters
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import approval, file_import, history, plan_pages, queue, undo
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.users import editing, user_list
from tests.directory.cast import (
    NOW,
    agency,
    apply_rows,
    assert_whole,
    people,
    person,
    read_everything,
    run,
    unlimited,
    user,
)

pytestmark = pytest.mark.django_db(transaction=True)

LATER, LATEST = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
REKEY = Options(mode=Mode.REKEY)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


def file(ids: Mapping[str, str]) -> bytes:
    lines = ["EXTERNAL_ID,NEW_EXTERNAL_ID", *(f"{old},{new}" for old, new in ids.items())]
    return "\r\n".join([*lines, ""]).encode()


def rekey(made: models.Agency, ids: Mapping[str, str], *, at: datetime = LATER, **more: Any) -> ImportResult:
    return run(made, file(ids), more.pop("options", REKEY), at=at, **more)


def take_back(done: ImportResult, *, at: datetime = LATEST) -> ImportResult:
    return undo.run_undo(done.record, context=AuditContext(at, "", "cli"))


def emails(made: models.Agency) -> dict[str, str]:
    """External ID → address, which tells who has the id."""
    return dict(models.User.objects.filter(agency=made).order_by("pk").values_list("external_id", "email"))


@pytest.fixture
def made() -> models.Agency:
    """Four officers: 2 reports to 1, who may import."""
    new = agency(limits=unlimited())
    apply_rows(new, [person(1, ROLE="Chief"), person(2, SUPERVISOR_EMAIL="user1@agency.example"), *people(3, 4)])
    return new


def test_new_ids_are_written_with_an_event_each_and_nothing_else_changes(made: models.Agency) -> None:
    before = list(models.User.objects.order_by("pk").values())
    done = rekey(made, {"E-1": "N-1", "E-2": "N-2"})
    assert (done.record.state, done.record.kind, done.record.mode) == ("applied", "rekey", "rekey")
    assert done.record.counts["updated"] == 2
    after = list(models.User.objects.order_by("pk").values())
    assert [row | {"external_id": ""} for row in after] == [row | {"external_id": ""} for row in before]
    assert [row["external_id"] for row in after] == ["N-1", "N-2", "E-3", "E-4"]
    events = models.Event.objects.filter(of=done.record).order_by("pk")
    assert list(events.values_list("kind", "subject_external_id", "row", "changes")) == [
        ("user.rekeyed", "E-1", 2, '{"EXTERNAL_ID":["E-1","N-1"]}'), ("user.rekeyed", "E-2", 3, '{"EXTERNAL_ID":["E-2","N-2"]}'),
    ]  # fmt: skip
    assert not models.Mail.objects.filter(of=done.record).exists()
    assert_whole(made)


def test_the_next_import_finds_everyone_by_their_new_ids(made: models.Agency) -> None:
    rekey(made, {"E-1": "N-1", "E-2": "N-2"})
    rows = [person(1, EXTERNAL_ID="N-1", ROLE="Chief"), person(2, EXTERNAL_ID="N-2"), *people(3, 4)]
    assert run(made, rows, Options(mode=Mode.SYNC), at=LATEST).record.counts["unchanged"] == 4


def test_swaps_and_chains_are_written_in_any_order(made: models.Agency) -> None:
    before = emails(made)
    rekey(made, {"E-1": "E-2", "E-3": "N-3", "E-2": "E-1", "E-4": "E-3"})
    now = emails(made)
    assert now == {"E-2": before["E-1"], "E-1": before["E-2"], "N-3": before["E-3"], "E-3": before["E-4"]}
    assert_whole(made)


def test_the_same_file_again_changes_nothing(made: models.Agency) -> None:
    """Law 1."""
    ids = {"E-1": "E-2", "E-2": "E-1", "E-3": "E-4", "E-4": "N-4"}
    rekey(made, ids)
    before = read_everything(made)
    again = rekey(made, ids, at=LATEST)
    assert (again.record.counts["unchanged"], again.record.counts["updated"]) == (4, 0)
    assert read_everything(made) | {"ImportProblem": []} == before | {"ImportProblem": []}


def test_users_are_found_by_their_new_ids(made: models.Agency) -> None:
    rekey(made, {"E-1": "Neu-77"})
    assert [found for _, found in user_list.find_by_text(made, "neu-77", at=LATER)] == ["Neu-77"]


def test_a_preview_changes_nothing_and_is_applied_as_it_was_shown(made: models.Agency) -> None:
    before = read_everything(made)
    shown = rekey(made, {"E-1": "N-1"}, options=Options(mode=Mode.REKEY, preview=True))
    assert (shown.record.state, read_everything(made)) == ("previewed", before)
    page = plan_pages.read_page(shown.record, "updated")
    (line,) = page.lines
    assert (line.external_id, line.name, line.changes) == (
        "E-1", "First 1 Last 1", [plan_pages.CellChange("EXTERNAL_ID", "E-1", "N-1")]
    )  # fmt: skip
    rows = history.make_report(shown.record, None, RowFilter.CHANGED).rows
    assert [(row.external_id, row.changes) for row in rows] == [("E-1", {"EXTERNAL_ID": ["E-1", "N-1"]})]
    context = AuditContext(LATEST, "", "cli")
    applied = file_import.apply_previewed(made, shown.record.number, context=context)
    assert (applied.record.state, emails(made)["N-1"]) == ("applied", "user1@agency.example")


def test_a_preview_is_not_applied_if_its_ids_are_others_by_then(made: models.Agency) -> None:
    shown = rekey(made, {"E-1": "N-1"}, options=Options(mode=Mode.REKEY, preview=True))
    rekey(made, {"E-1": "E-2", "E-2": "E-1"})
    applied = file_import.apply_previewed(made, shown.record.number, context=AuditContext(LATEST, "", "cli"))
    assert applied.record.state == "refused"
    assert "N-1" not in emails(made)


def test_an_undo_gives_the_ids_back_and_its_undo_takes_them_again(made: models.Agency) -> None:
    """Law 5, for swaps and chains too."""
    before = emails(made)
    done = rekey(made, {"E-1": "E-2", "E-2": "E-1", "E-3": "E-4", "E-4": "N-4"})
    after = emails(made)
    undone = take_back(done)
    assert (undone.record.state, undone.record.mode, undone.record.kind) == ("applied", "rekey", "undo")
    assert emails(made) == before
    assert take_back(undone, at=LATEST + timedelta(hours=1)).record.state == "applied"
    assert emails(made) == after
    assert_whole(made)


def test_an_undo_gives_back_an_id_without_zeros(made: models.Agency) -> None:
    done = rekey(made, {"E-3": "12"})
    padded = rekey(made, {"12": "0012"}, at=LATEST)
    assert take_back(padded, at=LATEST + timedelta(hours=1)).record.counts["updated"] == 1
    assert done.record.state == "applied"
    assert "12" in emails(made)


def test_an_undo_leaves_ids_that_were_changed_since_and_ids_that_others_have_by_now(made: models.Agency) -> None:
    done = rekey(made, {"E-1": "N-1", "E-2": "N-2", "E-3": "N-3"})
    rekey(made, {"N-1": "M-1"}, at=LATEST)
    apply_rows(made, [person(9, EXTERNAL_ID="E-2")], at=LATEST)
    undone = take_back(done, at=LATEST + timedelta(hours=1))
    problems = models.ImportProblem.objects.filter(of=undone.record).order_by("row")
    assert list(problems.values_list("row", "code", "column", "external_id")) == [
        (2, "changed-since", "EXTERNAL_ID", "M-1"), (3, "taken", "NEW_EXTERNAL_ID", "N-2"),
    ]  # fmt: skip
    assert {"M-1", "N-2", "E-3"} <= set(emails(made))


def test_an_undo_passes_over_a_user_who_has_their_former_id_already(made: models.Agency) -> None:
    done = rekey(made, {"E-1": "N-1"})
    rekey(made, {"N-1": "E-1"}, at=LATEST)
    undone = take_back(done, at=LATEST + timedelta(hours=1))
    assert (undone.record.counts["unchanged"], undone.record.counts["errored"]) == (1, 0)


def test_an_older_import_is_undone_by_who_its_users_and_supervisors_are(made: models.Agency) -> None:
    """The trail names a supervisor by the id of its time, which is another user's by now."""
    rows = [person(3, SUPERVISOR_EMAIL="user1@agency.example"), person(2, SUPERVISOR_EMAIL="user4@agency.example")]
    done = apply_rows(made, rows, at=LATER)
    rekey(made, {"E-1": "E-4", "E-4": "E-1", "E-2": "N-2"}, at=LATEST)
    undone = take_back(done, at=LATEST + timedelta(hours=1))
    assert (undone.record.state, undone.record.counts["updated"], undone.record.counts["errored"]) == ("applied", 2, 0)
    two, three = (models.User.objects.get(email=f"user{n}@agency.example") for n in (2, 3))
    assert three.supervisor is None
    assert two.supervisor is not None
    assert two.supervisor.email == "user1@agency.example"


# Limits


ALL = {"E-1": "N-1", "E-2": "N-2", "E-3": "N-3", "E-4": "N-4"}


def test_more_than_the_limit_waits_for_the_exact_number_on_every_path(made: models.Agency) -> None:
    """S4: a file, and its undo."""
    models.Agency.objects.update(limits=[])
    before = emails(made)
    held = rekey(made, ALL)
    assert (held.record.state, emails(made)) == ("held", before)
    context = AuditContext(LATER, "", "cli")
    again = file_import.apply_previewed(made, held.record.number, context=context, confirmed={"rekeys": 3})
    assert again.record.state == "held"
    done = file_import.apply_previewed(made, again.record.number, context=context, confirmed={"rekeys": 4})
    assert done.record.state == "applied"
    assert take_back(done).record.state == "held"
    context = AuditContext(LATEST, "", "cli")
    assert undo.run_undo(done.record, context=context, confirmed={"rekeys": 4}).record.state == "applied"
    assert emails(made) == before


def test_nobody_confirms_their_own_import_under_a_new_id(made: models.Agency) -> None:
    """S8."""
    models.Agency.objects.update(limits=[], second_approver=True)
    held = rekey(made, ALL, by="E-1")
    user_edit = editing.edit(
        user(made, 1), {"EXTERNAL_ID": "X-1"}, {"EXTERNAL_ID": "E-1"}, AuditContext(LATER, "", "page")
    )
    assert user_edit.done
    with pytest.raises(approval.NeedsApprover):
        file_import.apply_previewed(
            made, held.record.number, context=AuditContext(LATEST, "X-1", "cli"), confirmed={"rekeys": 4}
        )


# Who may


def test_it_needs_the_permission_to_import(made: models.Agency) -> None:
    with pytest.raises(NotPermitted, match=r"users\.import"):
        rekey(made, {"E-3": "N-3"}, by="E-2")


def test_an_operator_may_change_their_own_id_and_is_the_operator_of_the_import_afterwards(made: models.Agency) -> None:
    done = rekey(made, {"E-1": "N-1"}, by="E-1")
    done.record.refresh_from_db()
    assert done.record.actor == "N-1"
    assert history.find_operator(done.record) == models.User.objects.get(external_id="N-1")
    assert models.Event.objects.get(of=done.record).actor == "E-1"


def test_a_waiting_import_still_acts_as_its_operator(made: models.Agency) -> None:
    """A swap of ids makes nobody the operator of another user's import."""
    context = AuditContext(NOW, "E-1", "page")
    rows = b"EXTERNAL_ID,NEW_EXTERNAL_ID\nE-3,N-3\n"
    record = queue.submit(made, Upload(rows, "ids.csv"), REKEY, context=context)
    rekey(made, {"E-1": "E-2", "E-2": "E-1"})
    assert run_next_import("one", lambda: LATEST)
    record.refresh_from_db()
    assert (record.state, record.actor) == ("applied", "E-2")
    assert models.Event.objects.get(of=record).actor == "E-2"


# What is kept by the ids of its time


def test_the_trail_names_who_had_the_id_at_the_time(made: models.Agency) -> None:
    first = apply_rows(made, [person(3, LOCATION="North")], by="E-1", at=LATER).record
    rekey(made, {"E-1": "E-2", "E-2": "E-1"}, at=LATEST)
    after = run(made, [person(4, LOCATION="North")], by="E-2", at=LATEST + timedelta(hours=1)).record
    named = {
        event.number: (event.actor, event.actor_name)
        for event in browse.read_page(made, EventFilters(kinds=("user.updated",))).events
    }
    assert named == {first.number: ("E-1", "First 1 Last 1"), after.number: ("E-2", "First 1 Last 1")}


def test_old_plans_and_lists_name_who_had_the_id_at_the_time(made: models.Agency) -> None:
    done = run(made, [person(1, ROLE="Chief"), person(2)], Options(mode=Mode.SYNC), at=LATER)
    assert done.record.leavers["deactivated"] == ["E-3", "E-4"]
    rekey(made, {"E-3": "E-4", "E-4": "E-3"}, at=LATEST)
    assert history.map_names(done.record, 10) == {"E-3": "First 3 Last 3", "E-4": "First 4 Last 4"}
    assert [line.name for line in plan_pages.read_page(done.record, "unchanged").lines] == [
        "First 1 Last 1",
        "First 2 Last 2",
    ]


def test_a_plan_that_is_no_longer_kept_shows_its_changes_from_the_trail(made: models.Agency) -> None:
    done = rekey(made, {"E-1": "N-1", "E-2": "E-1"})
    shutil.rmtree(current_settings.MUSTER_HOME / "plans")
    lines = plan_pages.read_page(done.record, "updated").lines
    assert [(line.external_id, line.name, line.changes[0].after) for line in lines] == [
        ("E-1", "First 1 Last 1", "N-1"), ("E-2", "First 2 Last 2", "E-1"),
    ]  # fmt: skip


def test_a_user_is_found_in_the_trail_by_a_former_id_too(made: models.Agency) -> None:
    number = user(made, 3).pk
    rekey(made, {"E-3": "N-3", "E-4": "M-4"})
    assert user_list.find_ids(made, "E-3") == [number]
    assert user_list.find_ids(made, "N-3") == [number]
    assert user_list.find_by_text(made, "E-3", at=LATER) == [(number, "N-3")]
    assert former_ids.list_former(made, ["N-3"]) == ["E-3"]
    lines = b"".join(export.export_events(made, EventFilters(subjects=(number,)), "csv"))
    assert b"user.rekeyed" in lines


def test_an_id_that_is_changed_in_the_database_alone_is_found(made: models.Agency) -> None:
    rekey(made, {"E-1": "N-1"})
    assert verify.verify_trail(made).error == ""
    models.User.objects.filter(external_id="N-1").update(external_id="X-1")
    assert "EXTERNAL_ID of X-1" in verify.verify_trail(made).error
