"""What a concluded import keeps: problems and notes, of its rows and of its file."""

import pytest

from musterbook.directory import models
from musterbook.directory.imports import history, sandbox, sandbox_process
from musterbook.directory.imports.sandbox import ReadingFailed
from musterbook.directory.storage import formats
from tests.attacks import bombs
from tests.directory.cast import agency, file, person, run

pytestmark = pytest.mark.django_db


def test_problems_and_notes_of_rows_and_of_the_file_are_kept_apart() -> None:
    made = agency()
    rows = [person(1, SUPERVISOR_EMAIL="nobody@case.example"), person(2, STATUS="?")]
    content = file(rows).replace(b"EXTERNAL_ID,", b"SHOE_SIZE,EXTERNAL_ID,").replace(b"E-", b"9,E-")
    record = run(made, content).record
    kept = models.ImportProblem.objects.filter(of=record).values_list("row", "note", "code")
    assert sorted(kept) == [(0, True, "ignored-columns"), (2, True, "unknown-supervisor"), (3, False, "invalid-status")]
    assert [(who, note.code) for who, note in history.list_notes(record, None)] == [("E-1", "unknown-supervisor")]


def test_the_name_of_a_program_is_cut_to_what_the_database_keeps() -> None:
    record = run(agency(), [person(1)], agent="\0" + "b" * 300).record
    record.refresh_from_db()
    assert record.agent == " " + "b" * 254


def test_why_a_file_was_refused_is_a_problem_and_no_note() -> None:
    record = run(agency(), b"EXTERNAL_ID\nE-1\n").record
    assert record.state == "refused"
    assert set(models.ImportProblem.objects.filter(of=record).values_list("row", "note")) == {(0, False)}


def test_a_results_file_is_a_workbook_if_its_rows_fit_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    record = run(agency(), [person(1), person(2)]).record
    with history.open_results_file(record, "results", "xlsx") as file:
        assert file.read(2) == b"PK"
    monkeypatch.setattr(formats, "MOST_IN_A_SHEET", 1)
    with pytest.raises(formats.TooManyRows):
        history.open_results_file(record, "results", "xlsx")
    with history.open_results_file(record, "results", "csv") as file:
        assert b"E-2" in file.read()


def test_a_worker_makes_the_results_of_a_small_file_itself_and_they_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = agency()
    record = run(made, [person(1), person(2, STATUS="?")]).record
    with history.open_results_file(record, "results") as results:
        expected = results.read()
    monkeypatch.setattr(sandbox_process, "__name__", "musterbook.there_is_no_such_module")
    with history.open_results_file(record, "results", in_worker=True) as results:
        assert results.read() == expected
    with pytest.raises(ReadingFailed):
        history.open_results_file(record, "results")
    with pytest.raises(ReadingFailed):
        history.open_results_file(record, "results", "xlsx", in_worker=True)
    monkeypatch.setattr(sandbox, "SMALL", record.file_size)
    with pytest.raises(ReadingFailed):
        history.open_results_file(record, "results", in_worker=True)


def test_results_of_a_workbook_are_always_made_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = "".join(bombs.cells(row) for row in (person(1).keys(), person(1).values()))
    record = run(agency(), bombs.xlsx(cells)).record
    monkeypatch.setattr(sandbox_process, "__name__", "musterbook.there_is_no_such_module")
    with pytest.raises(ReadingFailed):
        history.open_results_file(record, "results", in_worker=True)
