"""The rows of an import for programs: by outcome and problem, page by page, and as files."""

import csv
import io
from typing import Any
from unittest.mock import patch

import pytest

from musterbook.directory import models
from musterbook.directory.imports import history, plan_files, plan_slices, sandbox
from musterbook.directory.imports.history import ResultsInProgress
from musterbook.directory.storage import formats, import_files
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.import_calls import call, done, preview, read, send
from tests.api.import_calls import own_folder as own_folder  # noqa: PLC0414
from tests.api.import_calls import secret as secret  # noqa: PLC0414
from tests.api.test_me import problem
from tests.directory.cast import file, people, person

pytestmark = pytest.mark.any_database

MIXED = file(
    [
        person(7, ROLE="Oficer"), person(2, FIRST_NAME="Ann"), person(8), person(9, EMAIL="bad", ROLE="Oficer"),
        person(10, ROLE="Chef"), *people(11, 12),
    ]
)  # fmt: skip
"""Rows 2, 5 and 6 have problems, row 3 updates a user, rows 4, 7 and 8 add one."""


def rows(secret: str, number: str, query: str = "") -> list[dict[str, Any]]:
    """All rows that the address lists, over all of its pages."""
    found, cursor = [], ""
    while True:
        page = read(call(secret, "GET", f"/{number}/rows?limit=2&{query}{cursor}"))
        found += page["items"]
        if not page["next"]:
            return found
        assert len(page["items"]) == 2
        cursor = f"&cursor={page['next']}"


def test_all_rows_are_listed_in_the_order_of_the_file(springfield: Springfield, secret: str) -> None:
    shown = preview(secret, MIXED)
    listed = rows(secret, shown["number"])
    assert [(row["row"], row["outcome"]) for row in listed] == [
        (2, "errored"), (3, "updated"), (4, "added"), (5, "errored"), (6, "errored"), (7, "added"), (8, "added"),
    ]  # fmt: skip
    wrong, updated, added = listed[3], listed[1], listed[2]
    assert {one["code"] for one in wrong["problems"]} == {"invalid-email", "unknown-role"}
    assert (wrong["cells"]["EMAIL"], wrong["external_id"]) == ("bad", "E-9")
    assert updated["changes"] == {"FIRST_NAME": ["First 2", "Ann"]}
    assert (added["name"], added["changes"]["EMAIL"]) == ("First 8 Last 8", ["", "user8@agency.example"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("outcome=added", [4, 7, 8]), ("outcome=errored", [2, 5, 6]), ("outcome=updated", [3]), ("outcome=skipped", []),
        ("outcome=unchanged", []), ("code=unknown-role&column=ROLE", [2, 5, 6]), ("q=chef", [6]),
        ("code=unknown-role&column=ROLE&value=Oficer", [2, 5]), ("outcome=errored&q=bad", [5]), ("outcome=noted", []),
    ],
)  # fmt: skip
def test_rows_are_listed_by_outcome_problem_and_text(
    springfield: Springfield, secret: str, query: str, expected: list[int]
) -> None:
    shown = preview(secret, MIXED)
    assert [row["row"] for row in rows(secret, shown["number"], query)] == expected


def test_users_outside_the_file_and_emails_are_listed(springfield: Springfield, secret: str) -> None:
    models.Agency.objects.update(limits=[])
    springfield.imported(person(4), person(5))
    shown = preview(secret, file(people(2, 7)), "?preview=true&mode=sync")
    leaving = rows(secret, shown["number"], "outcome=deactivated")
    assert [(row["row"], row["external_id"], row["outcome"]) for row in leaving] == [
        (None, "E-4", "deactivated"), (None, "E-5", "deactivated"),
    ]  # fmt: skip
    kept = rows(secret, shown["number"], "outcome=protected")
    assert [(row["external_id"], row["protection"]["code"]) for row in kept] == [("E-1", "own-account")]
    mailed = rows(secret, shown["number"], "outcome=mailed")
    assert {"kind": "invitation", "to": "user7@agency.example"} in [row["email"] for row in mailed]
    assert [row["external_id"] for row in rows(secret, shown["number"], "outcome=deactivations")] == ["E-4", "E-5"]


def test_rows_of_an_applied_import_are_listed_after_its_plan_is_gone(springfield: Springfield, secret: str) -> None:
    applied = done(secret, send(secret, MIXED))
    number = applied["number"]
    kept = {name: rows(secret, number, f"outcome={name}") for name in ("added", "updated", "errored", "mailed")}
    with patch.object(plan_files, "find_path", side_effect=plan_files.PlanGone(number)):
        for name, before in kept.items():
            now = rows(secret, number, f"outcome={name}")
            assert [row["external_id"] for row in now] == [row["external_id"] for row in before]
        assert [row["row"] for row in rows(secret, number, "code=unknown-role&column=ROLE&value=Chef")] == [6]
        for query in ("", "?outcome=all"):
            assert problem(call(secret, "GET", f"/{number}/rows{query}"), 410)["code"] == "plan-gone"
        assert rows(secret, number, "outcome=unchanged") == [], "it had none"
        assert read(call(secret, "GET", f"/{number}/problems"))["items"][0]["rows"] == 2


def test_problems_are_listed_by_kind_most_rows_first(springfield: Springfield, secret: str) -> None:
    shown = preview(secret, MIXED)
    page = read(call(secret, "GET", f"/{shown['number']}/problems"))
    assert [(one["code"], one["value"], one["rows"], one["suggestion"], one["can_map"]) for one in page["items"]] == [
        ("unknown-role", "Oficer", 2, "Officer", True), ("invalid-email", "bad", 1, "", False),
        ("unknown-role", "Chef", 1, "Chief", True),
    ]  # fmt: skip
    assert page["next"] is None


@pytest.mark.parametrize("part", ["rows", "problems", "results", "errors"])
def test_an_import_that_has_not_ended_has_no_rows(springfield: Springfield, secret: str, part: str) -> None:
    number = read(send(secret, MIXED), 202)["number"]
    answer = call(secret, "GET", f"/{number}/{part}")
    assert problem(answer, 409)["code"] == "not-ended"
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    "query",
    [
        "outcome=all&cursor=x",
        "limit=0",
        "limit=1001",
        "outcome=lost",
        "outcome=added&code=unknown-role",
        "cursor=WyJhIl0",
    ],
)
def test_a_list_of_rows_refuses_what_it_cannot_read(springfield: Springfield, secret: str, query: str) -> None:
    number = preview(secret, MIXED)["number"]
    assert problem(call(secret, "GET", f"/{number}/rows?{query}"), 422)


def content(answer: Any) -> bytes:
    """The file that the answer has."""
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content) if answer.streaming else bytes(answer.content)


def test_results_and_errors_are_downloaded_as_csv_and_as_a_workbook(springfield: Springfield, secret: str) -> None:
    number = done(secret, send(secret, MIXED, "?name=roster.csv"))["number"]
    answer = call(secret, "GET", f"/{number}/results")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="roster-results.csv"'
    listed = list(csv.DictReader(io.StringIO(content(answer).decode("utf-8-sig"))))
    assert [row["X_RESULT"] for row in listed] == [
        "errored", "updated", "added", "errored", "errored", "added", "added",
    ]  # fmt: skip
    errors = list(csv.DictReader(io.StringIO(content(call(secret, "GET", f"/{number}/errors")).decode("utf-8-sig"))))
    assert [row["EXTERNAL_ID"] for row in errors] == ["E-7", "E-9", "E-10"]
    for part in ("results", "errors"):
        book = call(secret, "GET", f"/{number}/{part}?form=xlsx")
        assert content(book).startswith(b"PK")
    assert problem(call(secret, "GET", f"/{number}/errors?form=pdf"), 422)


def test_large_results_are_sent_in_parts(springfield: Springfield, secret: str) -> None:
    number = preview(secret, file(person(number, LOCATION="x" * 200) for number in range(10, 500)))["number"]
    answer = call(secret, "GET", f"/{number}/results")
    assert answer.streaming
    assert content(answer).count(b"x" * 200) == 490


def test_results_that_cannot_be_made_are_said(springfield: Springfield, secret: str) -> None:
    applied = done(secret, send(secret, MIXED))
    path = f"/{applied['number']}/results"
    for error, status, code in (
        (ResultsInProgress(), 503, "busy"), (sandbox.ReadingStopped("memory"), 503, "too-much-work"),
        (formats.TooManyRows("2"), 422, "too-many-rows"), (plan_files.PlanGone(""), 410, "plan-gone"),
    ):  # fmt: skip
        with patch.object(history, "open_results_file", side_effect=error):
            assert problem(call(secret, "GET", path), status)["code"] == code
    import_files.delete_file(applied["number"])
    assert problem(call(secret, "GET", path), 410)["code"] == "file-gone"
    undo = done(secret, call(secret, "POST", f"/{applied['number']}/undo", {}))
    assert problem(call(secret, "GET", f"/{undo['number']}/results"), 409)["code"] == "no-file"
    assert [row["outcome"] for row in rows(secret, undo["number"])] == ["updated"] * 4


def test_every_filter_of_the_rows_is_known_to_the_directory() -> None:
    from typing import get_args

    from musterbook.api.import_rows import Outcome

    assert set(get_args(Outcome)) == set(plan_slices.FILTERS)
