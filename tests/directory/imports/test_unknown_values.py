"""The values of a file that name nothing: once each with their number of rows, from the plan or from the record."""

import shutil

import pytest

from musterbook.core.domain import columns
from musterbook.directory import models
from musterbook.directory.agency import missing_names
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import plan_files, unknown_values
from musterbook.directory.imports.options import Options
from tests.directory.cast import NOW, Row, agency, apply_rows, people, person, run

pytestmark = pytest.mark.django_db

PREVIEW = Options(preview=True)


def preview(made: models.Agency, rows: list[Row]) -> models.Import:
    return run(made, rows, PREVIEW).record


@pytest.fixture
def made() -> models.Agency:
    return agency()


def list_unknown(record: models.Import) -> list[tuple[str, str, int]]:
    return [(one.column.heading, one.value, one.rows) for one in unknown_values.list_unknown(record)]


ROWS = [
    *people(1, 2, ROLE="Detective", RANK="Corporal", STATUS="Terminated"),
    person(3, ROLE="detective", RANK="Major", STATUS="TERMINATED", EVIDENCE_GROUP_EXT_ID="K9"),
    person(4, ROLE="Clerk", EVIDENCE_GROUP_EXT_ID="k9"),
    person(5, RANK="Sergeant", EVIDENCE_GROUP_EXT_ID="PATROL"),
]


@pytest.mark.parametrize("kept", [True, False], ids=["the plan is kept", "the plan is no longer kept"])
def test_each_value_is_listed_once_with_its_rows_most_rows_first(made: models.Agency, kept: bool) -> None:
    record = preview(made, ROWS)
    if not kept:
        shutil.rmtree(plan_files.find_path(record.number, "rows").parent)
    assert list_unknown(record) == [
        ("STATUS", "Terminated", 3),
        ("ROLE", "Detective", 3),
        ("ROLE", "Clerk", 1),
        ("RANK", "Corporal", 2),
        ("RANK", "Major", 1),
        ("EVIDENCE_GROUP_EXT_ID", "K9", 1),
        ("EVIDENCE_GROUP_EXT_ID", "k9", 1),
    ]


def test_missing_ranks_have_the_fewest_rows_first_and_a_status_cannot_be_created(made: models.Agency) -> None:
    missing = unknown_values.list_missing(preview(made, ROWS))
    assert missing.names == missing_names.Names(["Detective", "Clerk"], ["Major", "Corporal"], ["K9", "k9"])


def test_what_was_created_since_is_not_missing_any_more(made: models.Agency) -> None:
    record = preview(made, ROWS)
    names = unknown_values.list_missing(record).names
    missing_names.create(made, AuditContext(NOW, "", "cli"), names)
    assert list_unknown(record) == [("STATUS", "Terminated", 3)]
    apply_rows(made, ROWS[3:])


def test_a_name_that_nothing_can_have_is_listed_and_not_created(made: models.Agency) -> None:
    missing = unknown_values.list_missing(preview(made, [*people(1, 2, RANK="x" * 255), person(3, RANK="\u202etac")]))
    assert [(one.rows, one.can_create) for one in missing.ranks] == [(2, True)]
    assert unknown_values.UnknownValue(columns.RANK, "x" * 256, 1).can_create is False


@pytest.mark.parametrize("kept", [True, False], ids=["the plan is kept", "the plan is no longer kept"])
def test_of_more_values_than_are_listed_those_of_most_rows_and_then_the_first_by_name_are(
    made: models.Agency, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr(unknown_values, "_MOST", 2)
    record = preview(made, [*people(1, 2, ROLE="Clerk"), person(3, ROLE="Baker"), person(4, ROLE="Cook")])
    if not kept:
        shutil.rmtree(plan_files.find_path(record.number, "rows").parent)
    assert list_unknown(record) == [("ROLE", "Clerk", 2), ("ROLE", "Baker", 1)]


def test_a_column_with_more_names_than_an_agency_has_is_another_column(made: models.Agency) -> None:
    rows = [person(n, EVIDENCE_GROUP_EXT_ID=f"G{n}", RANK="Corporal") for n in range(missing_names.MOST + 5)]
    missing = unknown_values.list_missing(preview(made, rows))
    assert (len(missing.groups), len(missing.names.groups)) == (missing_names.MOST + 1, 0)
    assert missing.names.ranks == ["Corporal"]
