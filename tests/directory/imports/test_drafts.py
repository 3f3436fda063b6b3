"""Fixes of cells that are saved as they are typed (A3): by several users, over a plan made again, within limits."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import draft_ends, drafts, file_import, plan_ends, plan_files, queue
from musterbook.directory.imports.drafts import CannotFix, Conflict, Edit, Fix, NothingToUndo, TooManyFixes
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_ends import PlanEnded
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.models import ImportDraft
from musterbook.directory.permissions import NotPermitted
from tests.directory.cast import NOW, agency, apply_rows, people, person, run

pytestmark = pytest.mark.django_db(transaction=True)

PREVIEW = Options(preview=True)
ROLE = Edit(2, "ROLE", "Oficer", "Officer")


def by(number: int, minutes: float = 0) -> AuditContext:
    """The context of something that a user does on a page."""
    return AuditContext(NOW + timedelta(minutes=minutes), f"E-{number}", "page")


@pytest.fixture
def record() -> models.Import:
    """The preview of two wrong rows and a right one, in an agency with two chiefs, an officer, and its administrator."""
    made = agency()
    apply_rows(made, [person(1, ROLE="Admin"), person(2, ROLE="Chief"), person(3, ROLE="Chief"), person(4)])
    return run(made, [person(7, ROLE="Oficer"), person(8, EMAIL="x"), person(9)], PREVIEW, by="E-1").record


def save(record: models.Import, edit: Edit, number: int = 1, minutes: float = 0) -> list[Conflict]:
    """Saves what a user typed into one cell."""
    return drafts.save_fixes(record, [edit], by(number, minutes))


def plan_again(record: models.Import, **changes: Any) -> models.Import:
    """The plan made again from the same file, with other options."""
    options = replace(Options.of_json(record.options), preview=True, **changes)
    again = queue.submit_again(record, options, context=by(1))
    assert run_next_import("w", lambda: NOW)
    again.refresh_from_db()
    record.refresh_from_db()
    return again


def test_a_fix_is_kept_for_everyone_until_it_is_planned(record: models.Import) -> None:
    assert save(record, ROLE) == []
    assert drafts.count_fixes(record) == 1
    assert drafts.map_fixes(record, [2, 3]) == {(2, "ROLE"): Fix(2, "ROLE", "Officer", "E-1")}
    again = plan_again(record, corrections=drafts.make_corrections(record))
    assert again.counts["errored"] == 1
    assert drafts.list_fixes(again) == drafts.list_fixes(record) == []
    assert drafts.make_corrections(again) == {"2": {"ROLE": "Officer"}}


def test_a_fix_that_gives_the_cell_its_text_back_is_no_fix(record: models.Import) -> None:
    save(record, ROLE)
    assert save(record, Edit(2, "ROLE", "Officer", "Oficer"), minutes=5) == []
    assert (drafts.count_fixes(record), drafts.make_corrections(record)) == (0, {})
    assert drafts.undo_fix(record, by(1)).text == "Officer"
    assert drafts.count_fixes(record) == 1


def test_what_is_typed_into_one_cell_in_one_go_is_one_fix(record: models.Import) -> None:
    for was, text in (("Oficer", "O"), ("O", "Of"), ("Of", "Officer")):
        assert save(record, Edit(2, "ROLE", was, text)) == []
    assert ImportDraft.objects.count() == 1
    assert drafts.undo_fix(record, by(1)) == Fix(2, "ROLE", "Oficer", "")
    with pytest.raises(NothingToUndo):
        drafts.undo_fix(record, by(1))


def test_another_cell_or_another_minute_begins_another_fix(record: models.Import) -> None:
    save(record, Edit(2, "ROLE", "Oficer", "Chief"))
    save(record, Edit(3, "EMAIL", "x", "user8@agency.example"))
    save(record, Edit(2, "ROLE", "Chief", "Officer"))
    save(record, Edit(2, "ROLE", "Officer", "Admin"), minutes=2)
    assert ImportDraft.objects.count() == 4
    undone = [drafts.undo_fix(record, by(1)).text for _ in range(4)]
    assert undone == ["Officer", "Chief", "x", "Oficer"]


def test_a_fix_that_another_user_has_made_is_not_replaced_unseen(record: models.Import) -> None:
    save(record, ROLE, 2)
    mine = Edit(2, "ROLE", "Oficer", "Chief")
    assert save(record, mine, 3) == [Conflict(mine, "Officer", "E-2")]
    assert drafts.list_fixes(record) == [Fix(2, "ROLE", "Officer", "E-2")]
    assert save(record, Edit(2, "ROLE", "Officer", "Chief"), 3) == []
    with pytest.raises(NothingToUndo):
        drafts.undo_fix(record, by(2))
    assert drafts.undo_fix(record, by(3)) == Fix(2, "ROLE", "Officer", "E-2")
    assert (drafts.can_undo(record, "E-2"), drafts.can_undo(record, "E-3")) == (True, False)


def test_the_same_text_by_two_users_is_no_conflict(record: models.Import) -> None:
    save(record, ROLE, 2)
    assert save(record, ROLE, 3) == []
    assert ImportDraft.objects.count() == 1


def test_a_fix_that_is_typed_while_the_plan_is_made_again_goes_on(record: models.Import) -> None:
    save(record, ROLE)
    options = replace(PREVIEW, corrections=drafts.make_corrections(record))
    again = queue.submit_again(record, options, context=by(1))
    save(record, Edit(3, "EMAIL", "x", "new@agency.example"), 2)
    save(record, Edit(2, "ROLE", "Officer", "Chief"), 3)
    assert run_next_import("w", lambda: NOW)
    again.refresh_from_db()
    assert {fix.text for fix in drafts.list_fixes(again)} == {"new@agency.example", "Chief"}
    assert drafts.count_fixes(record) == 0


def test_a_text_given_back_while_the_plan_is_made_again_goes_on(record: models.Import) -> None:
    save(record, ROLE)
    options = replace(PREVIEW, corrections=drafts.make_corrections(record))
    again = queue.submit_again(record, options, context=by(1))
    save(record, Edit(2, "ROLE", "Officer", "Oficer"), 2)
    assert run_next_import("w", lambda: NOW)
    assert drafts.list_fixes(again) == [Fix(2, "ROLE", "Oficer", "E-2")]


def test_a_fix_on_a_page_of_a_replaced_plan_is_saved_with_the_plan_in_its_place(record: models.Import) -> None:
    again = plan_again(record, corrections={"2": {"ROLE": "Officer"}})
    assert save(record, Edit(3, "EMAIL", "x", "new@agency.example"), 2) == []
    assert drafts.list_fixes(again) == [Fix(3, "EMAIL", "new@agency.example", "E-2")]
    assert drafts.find_current(record) == again
    mine = Edit(2, "ROLE", "Oficer", "Chief")
    assert save(record, mine, 2) == [Conflict(mine, "Officer", "")]


def test_fixes_survive_a_plan_made_again_without_them(record: models.Import) -> None:
    save(record, ROLE)
    again = plan_again(record, mapping={})
    assert again.counts["errored"] == 2
    assert drafts.list_fixes(again) == [Fix(2, "ROLE", "Officer", "E-1")]


def test_fixes_stay_if_the_plan_cannot_be_made_again(record: models.Import) -> None:
    save(record, ROLE)
    again = plan_again(record, delimiter="tab")
    assert again.state == "refused"
    assert (drafts.count_fixes(again), drafts.count_fixes(record)) == (0, 1)


def test_fixes_of_a_plan_that_is_applied_without_them_go_on_with_the_import(record: models.Import) -> None:
    save(record, ROLE)
    save(record, Edit(3, "EMAIL", "x", "y"), 2)
    save(record, Edit(3, "EMAIL", "y", "x"), 3)
    done = file_import.apply_previewed(record.agency, record.number, context=by(1)).record
    assert done.state == "applied"
    assert drafts.list_fixes(done) == [Fix(2, "ROLE", "Officer", "E-1")]
    again = plan_again(done, corrections=drafts.make_corrections(done))
    assert again.counts["errored"] == 1
    assert drafts.count_fixes(done) == 0


def test_the_fixes_of_a_plan_that_has_ended_are_deleted_and_none_is_added(record: models.Import) -> None:
    save(record, ROLE)
    plan_ends.discard(record, by(1))
    with pytest.raises(PlanEnded, match="was discarded"):
        save(record, Edit(3, "EMAIL", "x", "y"))
    assert draft_ends.delete_expired(NOW) == 1
    assert not ImportDraft.objects.exists()


def test_fixes_are_kept_no_longer_than_files(record: models.Import) -> None:
    save(record, ROLE)
    assert draft_ends.delete_expired(NOW + timedelta(days=89)) == 0
    assert draft_ends.delete_expired(NOW + timedelta(days=91)) == 1


def test_a_plan_that_has_expired_takes_no_fix(record: models.Import) -> None:
    models.Import.objects.filter(pk=record.pk).update(finished_at=NOW)
    with pytest.raises(PlanEnded, match="has expired"):
        save(record, ROLE, minutes=60 * 24 * 60)


def test_the_fixes_of_a_plan_that_has_expired_are_in_the_plan_that_is_made_again(record: models.Import) -> None:
    save(record, ROLE)
    expired = NOW + timedelta(days=60)
    models.Import.objects.filter(pk=record.pk).update(finished_at=NOW)
    assert plan_ends.expire_due(expired) >= 1
    assert draft_ends.delete_expired(expired) == 0
    record.refresh_from_db()
    assert [fix.text for fix in drafts.list_fixes(plan_again(record))] == ["Officer"]


@pytest.mark.parametrize("edit", [
    Edit(4, "ROLE", "Officer", "Admin"), Edit(999, "ROLE", "", "Admin"), Edit(2, "NEW_EXTERNAL_ID", "", "E-1"),
    Edit(2, "RANK", "", "Captain"), Edit(2, "id", "", "1"), Edit(0, "ROLE", "", "Admin"),
])  # fmt: skip
def test_a_cell_that_the_plan_does_not_show_as_wrong_is_ignored(record: models.Import, edit: Edit) -> None:
    assert save(record, edit) == []
    assert not ImportDraft.objects.exists()


def test_a_user_without_permission_saves_and_undoes_nothing(record: models.Import) -> None:
    for act in (lambda: save(record, ROLE, 4), lambda: drafts.undo_fix(record, by(4))):
        with pytest.raises(NotPermitted):
            act()
    models.Role.objects.filter(name="Chief").update(permissions=["users.import"])
    models.Import.objects.update(mode="sync")
    record.refresh_from_db()
    with pytest.raises(NotPermitted, match=r"users\.synchronize"):
        save(record, ROLE, 2)


def test_an_import_without_a_plan_takes_no_fix(record: models.Import) -> None:
    for change in ({"state": "running"}, {"state": "failed"}, {"state": "previewed", "kind": "undo"}):
        models.Import.objects.filter(pk=record.pk).update(**change)
        with pytest.raises(CannotFix):
            save(record, ROLE)


def test_a_plan_that_is_no_longer_kept_takes_no_fix(record: models.Import) -> None:
    plan_files.find_path(record.number, "errored").unlink()
    with pytest.raises(CannotFix):
        save(record, ROLE)


def test_fixes_are_bounded_in_number_and_size(record: models.Import, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooManyFixes):
        save(record, Edit(2, "ROLE", "Oficer", "x" * 10_001))
    monkeypatch.setattr(drafts, "MOST_FIXES", 2)
    save(record, Edit(2, "ROLE", "Oficer", "a"))
    save(record, Edit(2, "ROLE", "a", "b"), minutes=5)
    save(record, Edit(2, "ROLE", "b", "c"), minutes=10)
    assert ImportDraft.objects.count() == 1, "earlier fixes of a cell go first"
    save(record, Edit(3, "EMAIL", "x", "y"))
    with pytest.raises(TooManyFixes):
        save(record, Edit(3, "ROLE", "Officer", "Chief"))
    assert drafts.count_fixes(record) == 2
    monkeypatch.setattr(drafts, "MOST_CHARACTERS", 3)
    save(record, Edit(3, "EMAIL", "y", "yy"))
    with pytest.raises(TooManyFixes):
        save(record, Edit(3, "EMAIL", "yy", "yyy"))


def test_a_text_is_kept_without_characters_that_no_database_takes(record: models.Import) -> None:
    save(record, Edit(2, "ROLE", "Oficer", "Off\0icer"))
    assert drafts.list_fixes(record)[0].text == "Officer"


def test_a_line_break_that_no_input_shows_makes_no_fix() -> None:
    made = agency()
    apply_rows(made, [person(1, ROLE="Admin"), *people(2)])
    found = run(made, [person(7, ROLE="Of\nicer")], PREVIEW, by="E-1").record
    assert save(found, Edit(2, "ROLE", "Of\r\nicer", "Oficer")) == []
    assert drafts.count_fixes(found) == 0
