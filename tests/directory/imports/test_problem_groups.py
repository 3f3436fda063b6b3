"""The problems of a plan by kind (A7): values that name something apart, all others by column."""

import shutil

import pytest

from musterbook.directory import models
from musterbook.directory.imports import plan_files, plan_pages, problem_groups
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_pages import KindFilter
from tests.directory.cast import agency, apply_rows, people, person, run

pytestmark = pytest.mark.django_db

ROWS = [
    *people(11, 12, 13, RANK="Sargent"),
    person(14, RANK="Captian"),
    *(person(number, PHONE=f"55{number}") for number in (15, 16)),
    person(17, BADGE_NUMBER="B-3"),
    *(person(number, BADGE_NUMBER=f"B-{number - 10}") for number in (18, 19)),
]


@pytest.fixture
def record() -> models.Import:
    """A preview of rows with problems of some kinds. The badges 8 and 9 are those of inactive users, the badge 3 is not."""
    made = agency()
    apply_rows(made, [person(1, ROLE="Admin"), person(3), *people(8, 9, STATUS="Inactive")])
    return run(made, ROWS, Options(preview=True)).record


def list_kinds(record: models.Import) -> list[tuple[str, str, int, int, str]]:
    """Code, value, rows, values and suggestion of each kind."""
    found = problem_groups.list_kinds(record)
    return [
        (kind.group.problem.code, kind.group.problem.value, kind.group.rows, kind.values, kind.group.suggestion)
        for kind in found
    ]


NAMED = [("unknown-rank", "Sargent", 3, 1, "Sergeant"), ("unknown-rank", "Captian", 1, 1, "Captain")]


def test_kinds_are_by_value_only_where_a_value_names_something(record: models.Import) -> None:
    assert list_kinds(record) == [
        NAMED[0],
        ("invalid-phone", "5515", 2, 2, ""),
        ("taken", "B-8", 2, 2, ""),
        ("taken", "B-3", 1, 1, ""),
        NAMED[1],
    ]
    releasable = {kind.group.problem.value: kind.group.problem.releasable for kind in problem_groups.list_kinds(record)}
    assert releasable["B-8"] and not releasable["B-3"]


def test_kinds_are_listed_when_the_plan_is_no_longer_kept(record: models.Import) -> None:
    shutil.rmtree(plan_files.find_path(record.number, "rows").parent)
    assert list_kinds(record) == [("taken", "B-3", 3, 3, ""), NAMED[0], ("invalid-phone", "5515", 2, 2, ""), NAMED[1]]


@pytest.mark.parametrize("kept", [True, False], ids=["from the plan", "from the record"])
def test_what_is_wrong_with_the_file_as_a_whole_is_no_kind_of_its_rows(record: models.Import, kept: bool) -> None:
    refused = run(record.agency, ROWS, Options(strict=True)).record
    assert models.ImportProblem.objects.filter(of=refused, row=0, code="not-strict").exists()
    if not kept:
        shutil.rmtree(plan_files.find_path(refused.number, "rows").parent)
    assert "not-strict" not in [code for code, *_ in list_kinds(refused)] != []


@pytest.mark.parametrize("kept", [True, False], ids=["from the plan", "from the record"])
def test_the_kinds_with_the_most_rows_are_listed_if_there_are_too_many(
    record: models.Import, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    if not kept:
        shutil.rmtree(plan_files.find_path(record.number, "rows").parent)
    listed = list_kinds(record)
    monkeypatch.setattr(problem_groups, "MOST", 2)
    assert list_kinds(record) == listed[:2] != []


def test_the_rows_of_a_kind_are_those_of_one_value_or_of_any(
    record: models.Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert problem_groups.list_group_rows(record, "invalid-phone", "PHONE", "5516") == [7]
    assert problem_groups.list_group_rows(record, "invalid-phone", "PHONE", None) == [6, 7]
    monkeypatch.setattr(problem_groups, "MOST_CORRECTED", 1)
    assert problem_groups.list_group_rows(record, "invalid-phone", "PHONE", None) == []


def test_a_problem_of_the_file_is_in_no_row() -> None:
    record = run(agency(), b"EXTERNAL_ID\nE-1\n").record
    problem = models.ImportProblem.objects.filter(of=record).earliest("pk")
    assert problem_groups.list_kinds(record) == []
    assert problem_groups.list_group_rows(record, problem.code, problem.column, None) == []


def test_a_page_shows_the_rows_of_one_kind(record: models.Import) -> None:
    def show(kind: KindFilter) -> list[int | None]:
        return [line.row for line in plan_pages.read_page(record, "errored", kind=kind).lines]

    assert show(KindFilter("unknown-rank", "RANK", "Sargent")) == [2, 3, 4]
    assert show(KindFilter("unknown-rank", "RANK")) == [2, 3, 4, 5]
    assert show(KindFilter("nonsense", "RANK")) == []


def test_skipped_rows_have_a_page() -> None:
    made = agency()
    record = run(made, [person(1, ROLE="Admin"), person(1, ROLE="Admin"), person(2)], Options(preview=True)).record
    assert record.counts["skipped"] == 1
    assert [line.row for line in plan_pages.read_page(record, "skipped").lines] == [3]
