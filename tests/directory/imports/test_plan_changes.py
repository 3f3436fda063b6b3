"""Plans that are made again: what can be changed in them, and what cannot."""

from dataclasses import replace
from datetime import timedelta

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import drafts, import_permissions, plan_changes, plan_ends, queue
from musterbook.directory.imports.bulk import BulkChange
from musterbook.directory.imports.drafts import CannotFix, TooManyFixes
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_changes import NewCell, NewValue, RowDecision
from musterbook.directory.imports.plan_ends import PlanEnded
from musterbook.directory.imports.worker import run_next_import
from tests.directory import cast
from tests.directory.cast import NOW, file, person

pytestmark = pytest.mark.any_database

CONTEXT = AuditContext(NOW, "", "api")
WRONG = file([person(7, ROLE="Oficer"), person(8, EMAIL="bad")])


@pytest.fixture
def shown(db: None) -> models.Import:
    """A preview with two rows that have problems."""
    return cast.run(cast.agency(), WRONG, Options(preview=True)).record


def planned_again(record: models.Import, options: Options, key: str | None = None) -> models.Import:
    """The plan that is made again, when a worker has made it."""
    made = plan_changes.plan_again(record, options, CONTEXT, key)
    while run_next_import("tests", lambda: NOW):
        pass
    made.refresh_from_db()
    return made


def test_cells_are_set_and_the_plan_is_made_again_once_for_one_key(shown: models.Import) -> None:
    options = Options.of_json(shown.options)
    options = plan_changes.set_cells(
        shown, options, [NewCell(2, "ROLE", "Officer", "Oficer"), NewCell(3, "EMAIL", "a@b.example")]
    )
    assert plan_changes.find_made(shown, "k") is None
    made = planned_again(shown, options, "k")
    assert (made.state, made.counts["added"]) == ("previewed", 2)
    shown.refresh_from_db()
    assert plan_changes.find_made(shown, "k") == made
    assert plan_changes.find_made(shown, "other") is None
    assert plan_changes.set_cells(shown, options, []) is options
    with pytest.raises(PlanEnded):
        plan_changes.plan_again(shown, options, CONTEXT)


def test_a_cell_that_is_too_long_or_too_many_cells_are_refused(
    shown: models.Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TooManyFixes):
        plan_changes.set_cells(shown, Options(), [NewCell(2, "ROLE", "x" * (drafts.LONGEST + 1))])
    monkeypatch.setattr("musterbook.directory.imports.problem_groups.MOST_CORRECTED", 1)
    with pytest.raises(TooManyFixes):
        plan_changes.set_cells(shown, Options(), [NewCell(row, "ROLE", "Officer") for row in (2, 3)])


def test_a_nul_is_not_stored(shown: models.Import) -> None:
    options = plan_changes.set_cells(shown, Options(), [NewCell(2, "ROLE", "Off\0icer")])
    assert options.corrections == {"2": {"ROLE": "Officer"}}


@pytest.mark.parametrize("heading", ["EMAIL", "SALARY", "ROLE"])
def test_users_share_only_values_of_some_columns(shown: models.Import, heading: str) -> None:
    with pytest.raises(InvalidValue):
        plan_changes.set_values(
            shown, Options(), [NewValue("unknown-role", heading, None, "" if heading == "ROLE" else "x")]
        )


def test_an_expired_plan_is_made_again_and_a_discarded_one_is_not(shown: models.Import) -> None:
    assert shown.finished_at
    later = shown.finished_at + timedelta(days=100)
    assert plan_ends.get_end(shown, later) == "expired"
    assert plan_changes.can_plan_again(shown, later)
    plan_ends.discard(shown, CONTEXT)
    assert not plan_changes.can_plan_again(shown, NOW)
    with pytest.raises(PlanEnded):
        plan_changes.check_can_plan_again(shown, NOW)


def test_an_undo_is_not_made_again(shown: models.Import) -> None:
    applied = cast.run(shown.agency, [person(9)]).record
    undo = queue.submit_undo(applied, context=CONTEXT, preview=True, confirmed={"deactivations": 1}, mails=False)
    assert (undo.options["confirmed"], undo.options["mails"]) == ({"deactivations": 1}, False)
    with pytest.raises(CannotFix):
        plan_changes.check_can_plan_again(undo, NOW)
    assert import_permissions.list_needed(undo) == {"users.import"}


def test_another_sheet_forgets_what_was_said_of_rows(shown: models.Import) -> None:
    said = Options(corrections={"2": {"ROLE": "Officer"}}, decided={"2": {"identity-change": "same"}})
    assert plan_changes.forget_other_sheet(shown, said) == said
    other = plan_changes.forget_other_sheet(shown, replace(said, sheet="Staff"))
    assert (other.corrections, other.decided) == ({}, {})


def test_decisions_add_up_and_wrong_ones_are_refused() -> None:
    options = plan_changes.decide(
        Options(), [RowDecision(2, "looks-damaged", "LOCATION"), RowDecision(2, "looks-damaged", "PHONE")]
    )
    assert options.decided == {"2": {"looks-damaged": "LOCATION,PHONE"}}
    with pytest.raises(InvalidValue):
        plan_changes.decide(options, [RowDecision(2, "invalid-email", "")])


@pytest.mark.parametrize(
    ("mode", "needed"), [(Mode.SYNC, {"users.import", "users.synchronize"}), (Mode.UPDATE, {"users.import"})]
)
def test_the_permissions_are_those_of_the_mode(db: None, mode: Mode, needed: set[str]) -> None:
    made = cast.run(cast.agency(), [person(7)], Options(mode, preview=True)).record
    assert import_permissions.list_needed(made) == needed


def test_the_permissions_of_an_undo_are_those_of_what_it_undoes(db: None) -> None:
    made = cast.agency()
    applied = cast.run(made, [person(7)], Options(Mode.SYNC)).record
    undo = queue.submit_undo(applied, context=CONTEXT, preview=True)
    assert import_permissions.list_needed(undo) == {"users.import", "users.synchronize"}
    users = [cast.user(made, 7).pk]
    act = queue.submit_bulk(made, users, BulkChange("invite"), context=CONTEXT, preview=True)
    assert import_permissions.list_needed(act) == {"credentials.manage"}
