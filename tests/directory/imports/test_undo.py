"""Undo: what an import did goes back, and what others did since stays."""

from typing import Any

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, undo
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.permissions import NotPermitted
from tests.directory.cast import (
    NOW,
    agency,
    apply_rows,
    assert_whole,
    mails,
    people,
    person,
    read_everything,
    register,
    run,
    user,
)

pytestmark = pytest.mark.django_db

SYNC = Options(mode=Mode.SYNC)


def undo_import(done: ImportResult, by: str = "") -> ImportResult:
    return undo.run_undo(done.record, context=AuditContext(NOW, by, "cli"))


def list_events(done: ImportResult) -> list[tuple[str, str, bool]]:
    return list(
        models.ImportProblem.objects.filter(of=done.record).order_by("pk").values_list("external_id", "code", "note")
    )


def users(made: models.Agency) -> list[dict[str, Any]]:
    return snapshot_queries.read_all_users(made).drop("registered").to_dicts()


def test_values_go_back_added_users_become_inactive_and_deactivated_ones_active() -> None:
    made = agency()
    apply_rows(
        made, [*people(1, 2, 3, RANK="Captain", PHONE="+12025550143", LOCATION="North"), person(4, STATUS="Inactive")]
    )
    before = users(made)
    changed = person(
        1,
        EMAIL="new@agency.example",
        RANK="Sergeant",
        EVIDENCE_GROUP_EXT_ID="PATROL",
        SUPERVISOR_EMAIL="user5@agency.example",
    )
    done = apply_rows(made, [changed, person(2, RANK="Captain"), person(4), person(5)], SYNC)
    back = undo_import(done)
    assert back.record.state == "applied"
    assert back.record.counts["errored"] == 0
    *others, added = users(made)
    assert others == before
    assert (added["external_id"], added["active"], added["email"]) == ("E-5", False, "user5@agency.example")
    assert back.record.undoes == done.record
    assert_whole(made)


def test_an_undo_is_undone_like_any_other() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    done = apply_rows(made, [person(1, LAST_NAME="New"), person(3)], SYNC)
    after = users(made)
    undo_import(undo_import(done))
    assert users(made) == after


def test_a_second_undo_finds_nothing_to_do() -> None:
    made = agency()
    apply_rows(made, people(1))
    done = apply_rows(made, [person(1, LAST_NAME="New"), person(2)])
    undo_import(done)
    before = read_everything(made)
    again = undo_import(done)
    assert (again.record.counts["unchanged"], again.record.counts["errored"]) == (2, 0)
    assert read_everything(made) == before


def test_what_was_changed_since_stays_with_a_note_where_something_goes_back() -> None:
    made = agency()
    apply_rows(made, people(1))
    done = apply_rows(made, [person(1, LAST_NAME="New", FIRST_NAME="New")])
    apply_rows(made, [person(1, LAST_NAME="Newer", FIRST_NAME="New")])
    back = undo_import(done)
    assert list_events(back) == [("E-1", "changes-left", True)]
    assert (user(made, 1).last_name, user(made, 1).first_name) == ("Newer", "First 1")


def test_what_was_changed_since_is_a_problem_where_nothing_goes_back() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    done = apply_rows(made, [person(1, LAST_NAME="New"), person(2, LAST_NAME="New")])
    apply_rows(made, [person(1, LAST_NAME="Newer")])
    back = undo_import(done)
    assert list_events(back) == [("E-1", "changed-since", False)]
    assert (user(made, 1).last_name, user(made, 2).last_name) == ("Newer", "Last 2")


def test_who_was_deactivated_and_is_active_again_stays_so() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    done = apply_rows(made, people(1), SYNC)
    apply_rows(made, people(2))
    assert undo_import(done).record.counts["unchanged"] == 1
    assert user(made, 2).active


def test_a_value_that_somebody_else_has_taken_since_does_not_go_back() -> None:
    made = agency()
    apply_rows(made, people(1))
    done = apply_rows(made, [person(1, EMAIL="new@agency.example")])
    apply_rows(made, [person(2, EMAIL="user1@agency.example")])
    assert list_events(undo_import(done)) == [("E-1", "taken", False)]
    assert user(made, 1).email == "new@agency.example"


def test_swapped_values_and_supervisors_go_back() -> None:
    made = agency()
    one, two = person(1), person(2, SUPERVISOR_EMAIL="user1@agency.example")
    apply_rows(made, [one, two, person(3)])
    before = users(made)
    done = apply_rows(made, [
        person(1, EMAIL="user2@agency.example", SUPERVISOR_EMAIL="user3@agency.example"),
        person(2, EMAIL="user1@agency.example", SUPERVISOR_EMAIL=""),
    ])  # fmt: skip
    assert undo_import(done).record.counts["errored"] == 0
    assert users(made) == before


def test_a_supervisor_who_stays_is_named_by_the_address_that_they_will_have() -> None:
    made = agency()
    one = person(1, SUPERVISOR_EMAIL="user2@agency.example")
    apply_rows(made, [one, *people(2, 3)])
    before = users(made)
    done = apply_rows(made, [
        person(1, LAST_NAME="New", SUPERVISOR_EMAIL="user3@agency.example"),
        person(2, EMAIL="user3@agency.example"), person(3, EMAIL="user2@agency.example"),
    ])  # fmt: skip
    assert user(made, 1).supervisor_id == user(made, 2).pk
    undo_import(done)
    assert users(made) == before


def test_a_preview_of_an_undo_changes_nothing() -> None:
    made = agency()
    done = apply_rows(made, people(1))
    before = read_everything(made)
    seen = undo.run_undo(done.record, context=AuditContext(NOW, "", "cli"), preview=True)
    assert (seen.record.state, seen.record.counts["updated"]) == ("previewed", 1)
    assert read_everything(made) == before


@pytest.mark.parametrize("options", [Options(preview=True), Options(strict=True)])
def test_what_changed_nothing_cannot_be_undone(options: Options) -> None:
    made = agency()
    done = run(made, [person(1), person(2, EMAIL="no address")], options)
    with pytest.raises(undo.NotApplied):
        undo_import(done)


def test_who_may_not_import_may_not_undo() -> None:
    made = agency()
    done = apply_rows(made, people(1))
    with pytest.raises(NotPermitted):
        undo_import(done, by="E-1")
    with pytest.raises(snapshot_queries.UnknownOperator):
        undo_import(done, by="E-9")


def test_the_undo_of_a_synchronize_import_needs_the_permission_to_synchronize() -> None:
    made = agency()
    models.Role.objects.filter(agency=made, name="Officer").update(permissions=["users.import"])
    apply_rows(made, [person(1, ROLE="Chief"), *people(2, 3, 4)])
    done = apply_rows(made, [person(1, ROLE="Chief"), *people(2, 3)], SYNC)
    with pytest.raises(NotPermitted, match=r"^users\.synchronize$"):
        undo_import(done, by="E-2")
    assert not user(made, 4).active
    assert not undo.is_allowed(done.record, "E-2") and undo.is_allowed(done.record, "E-1")
    back = undo_import(done, by="E-1")
    assert user(made, 4).active
    # To undo the undo deactivates the users once more.
    assert not undo.is_allowed(back.record, "E-2") and undo.is_allowed(back.record, "E-1")


def test_the_undo_of_an_update_import_needs_the_permission_to_import() -> None:
    made = agency()
    done = apply_rows(made, [person(1, ROLE="Chief"), person(2)])
    assert undo.is_allowed(done.record, "E-1") and undo.is_allowed(done.record, "")
    assert not undo.is_allowed(done.record, "E-2") and not undo.is_allowed(done.record, "E-9")
    with pytest.raises(NotPermitted, match=r"^users\.import$"):
        undo_import(done, by="E-2")


def test_an_operator_undoes_nothing_above_their_role() -> None:
    made = agency()
    apply_rows(made, [person(1, ROLE="Chief"), *people(2, 3)])
    done = apply_rows(made, [person(2, ROLE="Admin"), person(3, LAST_NAME="New")])
    back = undo_import(done, by="E-1")
    assert list_events(back) == [("E-2", "above-your-role", False)]
    assert (user(made, 2).role.name, user(made, 3).last_name) == ("Admin", "Last 3")


def test_an_operator_does_not_undo_their_own_account_away() -> None:
    made = agency()
    done = apply_rows(made, people(1, ROLE="Chief"))
    assert list_events(undo_import(done, by="E-1")) == [("E-1", "own-account", False)]
    assert user(made, 1).active


def test_an_undo_leaves_the_last_administrator() -> None:
    made = agency()
    done = apply_rows(made, people(1, ROLE="Admin"))
    register(made, 1)
    assert list_events(undo_import(done)) == [("E-1", "last-administrator", False)]
    assert user(made, 1).active


def test_an_import_is_found_by_its_own_agency_alone() -> None:
    one, other = agency(), agency("shelbyville")
    number = apply_rows(one, people(1)).record.number
    assert file_import.find_import(one, number).number == number
    with pytest.raises(file_import.UnknownImport):
        file_import.find_import(other, number)
    with pytest.raises(file_import.UnknownImport):
        file_import.apply_previewed(other, number, context=AuditContext(NOW, "", "cli"))


def test_an_operator_of_another_agency_cannot_undo() -> None:
    one, other = agency(), agency("shelbyville")
    done = apply_rows(one, people(1))
    apply_rows(other, people("boss", ROLE="Admin"))
    with pytest.raises(snapshot_queries.UnknownOperator):
        undo_import(done, by="E-boss")


def test_an_undo_mails_as_an_import_does() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    register(made, 1, 2)
    done = apply_rows(made, [person(1, EMAIL="new@agency.example")], SYNC)
    assert mails(undo_import(done)) == [
        ("email-changed", "new@agency.example"),
        ("reactivated", "user2@agency.example"),
    ]


def test_a_supervisor_whose_address_was_taken_by_an_added_user_is_named_by_the_one_they_keep() -> None:
    made = agency()
    boss = "user1@agency.example"
    apply_rows(made, [*people(1, 2), person(3, SUPERVISOR_EMAIL=boss)])
    moved = person(1, EMAIL="elsewhere@agency.example")
    done = apply_rows(made, [moved, person(9, EMAIL=boss), person(3, SUPERVISOR_EMAIL="user2@agency.example")])
    back = undo_import(done)
    assert [(one, code) for one, code, note in list_events(back) if not note] == [("E-1", "taken")]
    assert user(made, 3).supervisor_id == user(made, 1).pk
    assert user(made, 1).email == "elsewhere@agency.example"
    assert_whole(made)
