"""Rows that a program sends become an import like any other, and what files have taught the agency has no part in it."""

from dataclasses import replace
from typing import Any

import pytest

from musterbook.core.reading.sent_rows import UnsendableText
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, history, queue, sent_rows
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from tests.directory import cast
from tests.directory.cast import NOW, agency, person, run

pytestmark = pytest.mark.django_db
TAUGHT: dict[str, Any] = {
    "mapping": {"FIRST_NAME": "LAST_NAME", "LAST_NAME": "FIRST_NAME"},
    "values": {"ROLE": {"Officer": "Admin"}, "STATUS": {"Active": "Inactive"}},
    "reading": {"encoding": "windows-1250", "header_row": 3},
}


def send(made: models.Agency, rows: list[cast.Row], options: Options | None = None) -> ImportResult:
    """An import of the rows, sent by a program."""
    context = AuditContext(NOW, "", "api")
    how = sent_rows.make_options(rows, options or Options())
    return file_import.run_import(made, sent_rows.make_upload(rows), how, context=context)


def test_what_files_have_taught_the_agency_changes_no_value_and_stays_as_it_is() -> None:
    made = agency(**TAUGHT)
    done = send(made, [person(1, FIRST_NAME="Ann", LAST_NAME="Dvořák"), person(2)])
    assert (done.record.state, done.record.counts["added"]) == ("applied", 2)
    user = cast.user(made, 1)
    assert (user.first_name, user.last_name, user.active, user.role.name) == ("Ann", "Dvořák", True, "Officer")
    made.refresh_from_db()
    assert {name: getattr(made, name) for name in TAUGHT} == TAUGHT
    assert run(made, cast.file([person(3)])).record.counts["errored"] == 0


def test_absent_columns_stay_and_blank_ones_are_cleared() -> None:
    made = agency()
    send(made, [person(1, LOCATION="North", RANK="Captain")])
    send(made, [person(1, LOCATION="")])
    user = cast.user(made, 1)
    assert (user.location, user.rank and user.rank.name) == ("", "Captain")


def test_a_row_without_a_value_and_an_example_are_rows_with_problems_and_are_not_skipped() -> None:
    made = agency()
    blank = dict.fromkeys(person(1), "")
    example = person(9, EXTERNAL_ID="EXAMPLE-1", EMAIL="alma.reyes@example.invalid")
    done = send(made, [blank, example, {**blank, "EXTERNAL_ID": "Total: 3 rows"}])
    assert (done.record.counts["errored"], done.record.counts["added"], done.record.counts["skipped"]) == (2, 1, 0)
    rows = models.ImportProblem.objects.filter(of=done.record, note=False).values_list("row", flat=True).distinct()
    assert sorted(rows) == [2, 4]


def test_the_file_of_the_rows_can_be_read_again_as_it_was_and_gives_a_results_file() -> None:
    made = agency(**TAUGHT)
    rows = [person(1), person(2, ROLE="Unknown", FIRST_NAME="=1+1")]
    shown = send(made, rows, Options(preview=True))
    again = queue.submit_again(shown.record, Options(preview=True, strict=True), context=AuditContext(NOW, "", "page"))
    assert Options.of_json(again.options) == replace(Options(preview=True, strict=True), exact=True)
    with history.open_results_file(shown.record, "errors") as file:
        assert b"Unknown" in file.read()


def test_half_of_a_character_is_refused_before_there_is_an_import() -> None:
    made = agency()
    with pytest.raises(UnsendableText):
        send(made, [person(1, FIRST_NAME="\ud800")])
    assert not models.Import.objects.exists()
