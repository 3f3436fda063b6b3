"""The matching events as a file, and whether there are too many of them for one."""

import csv
import io
import json
from datetime import timedelta

import pytest

from musterbook.directory.audit import export
from musterbook.directory.audit.filters import EventFilters
from tests.directory.cast import NOW, agency, apply_rows, people, person, user

pytestmark = pytest.mark.django_db


def test_events_are_more_than_a_number_only_if_there_is_one_beyond_it() -> None:
    made = agency()
    apply_rows(made, people(1, 2, 3, 4))
    apply_rows(made, [person(2, LAST_NAME="New")], at=NOW + timedelta(hours=1))
    count = len(json.loads(b"".join(export.export_events(made, EventFilters(), "json"))))
    of_two = EventFilters(subjects=(user(made, 2).pk,))
    assert [export.has_more_than(made, EventFilters(), most) for most in (count - 1, count, count + 1)] == [
        True, False, False,
    ]  # fmt: skip
    assert [export.has_more_than(made, of_two, most) for most in (1, 2)] == [True, False]
    assert not export.has_more_than(agency("shelbyville"), EventFilters(), 0)


def test_only_the_csv_guards_cells_that_a_spreadsheet_would_calculate() -> None:
    made = agency()
    apply_rows(made, [person(1)], agent="=cmd()")
    of_one = EventFilters(subjects=(user(made, 1).pk,))
    exported = {
        form: b"".join(export.export_events(made, of_one, form)).decode("utf-8-sig") for form in ("json", "csv")
    }
    (read,), (row,) = json.loads(exported["json"]), csv.DictReader(io.StringIO(exported["csv"]))
    assert read["PROGRAM"] == "=cmd()" and row["PROGRAM"] == "'=cmd()"
