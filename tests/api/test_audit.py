"""The audit trail through the API."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from musterbook.api import audit
from musterbook.directory import models
from musterbook.directory.imports import event_search
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.calls import Program, make_program, read
from tests.api.test_me import problem

pytestmark = pytest.mark.any_database


@pytest.fixture
def program(springfield: Springfield) -> Program:
    """A program with every permission."""
    return make_program(springfield)


def count(kind: str) -> int:
    return models.Event.objects.filter(kind=kind).count()


def test_events_are_found_page_by_page_and_this_is_one_event(springfield: Springfield, program: Program) -> None:
    for number in range(5):
        read(program.send("POST", "groups", {"external_id": f"g-{number}"}), 201)
    found = program.read_all("audit?kind=agency.changed&through=api&by=E-1")
    assert [one["changes"] for one in found] == [
        {f"group g-{number}": {"before": "", "after": f"g-{number} (active)"}} for number in (4, 3, 2, 1, 0)
    ]
    assert found[0]["by"] == {"external_id": "E-1", "name": "First 1 Last 1"}
    assert (found[0]["about"], found[0]["outcome"], found[0]["through"]) == (None, "done", "api")
    assert found[0]["program"] == "Token “Program 0”: curl/8" and found[0]["sentence"]
    (viewed,) = models.Event.objects.filter(kind="audit.viewed")
    assert "by=E-1&kind=agency.changed&through=api" in viewed.changes
    assert (viewed.actor, viewed.through) == ("E-1", "api")


def test_each_filter_finds_what_it_says(springfield: Springfield, program: Program) -> None:
    record = models.Import.objects.first()
    assert record
    added = program.read_all(f"audit?import_number={record.number.lower()}&kind=user.added", limit=50)
    assert {one["about"]["external_id"] for one in added} == {"E-1", "E-2", "E-3"}
    assert {one["import_number"] for one in added} == {record.number}
    (one,) = program.read_all("audit?about=E-2&category=Users")
    assert (one["kind"], one["by"]) == ("user.added", None)
    assert program.read_all("audit?by=system&about=E-2")
    now = datetime.now(UTC)
    later = (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert program.read_all(f"audit?since={later}") == []
    assert program.read_all(f"audit?until={later.removesuffix('Z')}&outcome=done", limit=50)
    assert program.read_all("audit?outcome=refused") == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("by=Nobody", "by"), ("about=Nobody", "about"), ("import_number=1", "import_number"), ("kind=user.eaten", "kind"),
        ("category=Cats", "category"), ("through=phone", "through"), ("outcome=good", "outcome"), ("since=soon", "since"),
    ],
)  # fmt: skip
def test_what_is_unknown_is_refused_and_records_no_search(program: Program, query: str, pointer: str) -> None:
    found = problem(program.send("GET", f"audit?{query}"), 422)
    assert [one["pointer"] for one in found["errors"]] == [pointer]
    assert count("audit.viewed") == 0


def test_a_name_of_many_users_is_refused(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_search, "MOST", 1)
    assert "Many users" in problem(program.send("GET", "audit?about=Last"), 422)["detail"]


def test_no_cursor_leads_to_events_whose_search_was_not_recorded(program: Program) -> None:
    first = program.get("audit?limit=1")
    for path in (
        f"audit?limit=1&kind=user.added&cursor={first['next']}",
        "audit?cursor=20260101T000000.000000-99",
        "audit?cursor=x",
    ):
        assert problem(program.send("GET", path), 422)["code"] == "invalid-cursor"
    assert program.get(f"audit?limit=2&cursor={first['next']}")["items"]
    assert count("audit.viewed") == 1


def test_the_trail_is_exported_as_a_stream(springfield: Springfield, program: Program) -> None:
    answer = program.send("GET", "audit/export?kind=user.added")
    assert answer.streaming and answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="springfield-audit-trail-')
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [row["EXTERNAL_ID"] for row in rows] == ["E-1", "E-2", "E-3"]
    answer = program.send("GET", "audit/export?format=json&kind=audit.exported")
    (event,) = json.loads(answer.getvalue())
    assert event["KIND"] == "audit.exported" and "user.added" in str(event["CHANGES"])
    assert count("audit.exported") == 2
    problem(program.send("GET", "audit/export?format=pdf"), 422)


def test_the_trail_is_checked_in_steps(
    springfield: Springfield, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_AT_ONCE", -1.0)
    found = read(program.send("POST", "audit/verify", {}))
    assert found["done"] is False and found["progress"] and found["error"] == ""
    monkeypatch.undo()
    found = read(program.send("POST", "audit/verify", {"progress": found["progress"]}))
    assert (found["done"], found["error"], found["progress"]) == (True, "", None)
    assert found["events"] == models.Event.objects.count() - 1
    assert count("audit.checked") == 1


def test_progress_is_only_that_of_the_same_trail(
    springfield: Springfield, shelbyville: Springfield, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_AT_ONCE", -1.0)
    theirs = make_program(shelbyville)
    answer = Client().post(
        "/shelbyville/api/v1/audit/verify", {}, content_type="application/json",
        headers={"Authorization": f"Bearer {theirs.secret}"},
    )  # fmt: skip
    for text in (json.loads(answer.content)["progress"], "x", "a:b:c"):
        refused = problem(program.send("POST", "audit/verify", {"progress": text}), 422)
        assert refused["code"] == "invalid-progress"
