"""What a concluded import keeps: problems and notes, of its rows and of its file."""

import pytest

from musterbook.directory import models
from tests.directory.cast import agency, file, person, run

pytestmark = pytest.mark.django_db


def test_problems_and_notes_of_rows_and_of_the_file_are_kept_apart() -> None:
    made = agency()
    rows = [person(1, SUPERVISOR_EMAIL="nobody@case.example"), person(2, STATUS="?")]
    content = file(rows).replace(b"EXTERNAL_ID,", b"SHOE_SIZE,EXTERNAL_ID,").replace(b"E-", b"9,E-")
    record = run(made, content).record
    kept = models.ImportProblem.objects.filter(of=record).values_list("row", "note", "code")
    assert sorted(kept) == [(0, True, "ignored-columns"), (2, True, "unknown-supervisor"), (3, False, "invalid-status")]


def test_why_a_file_was_refused_is_a_problem_and_no_note() -> None:
    record = run(agency(), b"EXTERNAL_ID\nE-1\n").record
    assert record.state == "refused"
    assert set(models.ImportProblem.objects.filter(of=record).values_list("row", "note")) == {(0, False)}
