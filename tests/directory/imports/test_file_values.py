"""Imports with values of their own, and their problems by kind once the plan is gone."""

import shutil

import pytest
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, problem_groups, undo
from musterbook.directory.imports.options import Options
from tests.directory.cast import NOW, agency, apply_rows, people, person, run, user

pytestmark = pytest.mark.django_db


def test_values_and_defaults_are_stored_with_the_import_only_if_they_are_given() -> None:
    options = Options(values={"STATUS": {"T": "Inactive"}}, defaults={"RANK": "Sergeant"})
    assert Options.of_json(options.as_json()) == options
    assert not {"values", "defaults"} & Options().as_json().keys()


def test_the_problems_of_an_old_import_are_grouped_from_its_record(settings: Settings) -> None:
    """A7: the same groups, when the plan is no longer kept."""
    made = agency()
    rows = [*people(1, 2, 3, STATUS="Gone"), person(4, ROLE="Oficer"), person(5, EMAIL="x"), person(6, EMAIL="y")]
    record = run(made, rows).record
    kept = problem_groups.list_groups(record)
    assert [(group.problem.value, group.rows, group.suggestion) for group in kept] == [
        ("Gone", 3, ""), ("x", 1, ""), ("y", 1, ""), ("Oficer", 1, "Officer"),
    ]  # fmt: skip
    shutil.rmtree(settings.MUSTER_HOME / "plans" / record.number)
    assert problem_groups.list_groups(record) == kept


def test_the_default_supervisor_is_found_in_an_agency_that_is_not_read_whole() -> None:
    """F14: the snapshot holds the user that the default names."""
    made = agency()
    apply_rows(made, people(*range(1, 30)))
    made.defaults = {"SUPERVISOR_EMAIL": "USER7@agency.example"}
    made.save()
    apply_rows(made, people(40))
    assert user(made, 40).supervisor == user(made, 7)
    assert models.User.objects.filter(supervisor=None).count() == 29


def test_an_import_with_mapped_values_is_undone_like_any_other() -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    done = apply_rows(made, [person(1, STATUS="T"), person(2)], Options(values={"STATUS": {"T": "Inactive"}}))
    assert not user(made, 1).active
    undone = undo.run_undo(done.record, context=AuditContext(NOW, "", "cli"))
    assert (undone.record.state, user(made, 1).active) == ("applied", True)
    assert file_import.find_import(made, done.record.number).options["values"] == {"STATUS": {"T": "Inactive"}}
