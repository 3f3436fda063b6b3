"""Many users by one request of a program: one import, in which every value arrives as it was sent."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from musterbook.api import batch, user_schemas
from musterbook.core.domain.columns import COLUMNS
from musterbook.core.reading import intake
from musterbook.core.values import text
from musterbook.directory import models
from musterbook.directory.imports import file_import, sent_rows
from musterbook.directory.imports.options import Options
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.import_calls import call, work
from tests.api.test_me import make_token
from tests.api.test_users import new, problem
from tests.api.test_users import read as read_answer
from tests.examples import examples

HERE = "/springfield/api/v1/users:batch"


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def secret(springfield: Springfield) -> str:
    """The secret of a token that may import."""
    return make_token(springfield, "users.import", "users.view")[1]


def send(secret: str, data: Any, query: str = "", **headers: str) -> Any:
    """The answer to a batch: rows, or the whole body."""
    given = {"Authorization": f"Bearer {secret}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    body = data if isinstance(data, bytes) else json.dumps({"rows": data} if isinstance(data, list) else data).encode()
    return Client().generic("POST", f"{HERE}{query}", body, content_type="application/json", headers=given)


def done(secret: str, data: Any, query: str = "") -> dict[str, Any]:
    """The import of the batch, when a worker has run it: the same request with the same key has its errors."""
    read_answer(send(secret, data, query, Idempotency_Key="one"), 202)
    work()
    return read_answer(send(secret, data, query, Idempotency_Key="one"))


def test_rows_become_one_import(springfield: Springfield, secret: str) -> None:
    answer = send(secret, {"rows": [new(2, location="North"), new(7, location=None)], "name": "night.json"})
    said = read_answer(answer, 202)
    assert answer.headers["Location"] == said["links"]["self"]
    assert (said["state"], said["name"], said["mode"], said["errors"]) == ("waiting", "night.json", "update", [])
    work()
    record = models.Import.objects.get(number=said["number"])
    assert (record.state, record.actor, record.through) == ("applied", "E-1", "api")
    assert (record.counts["added"], record.counts["updated"]) == (1, 1)
    assert (springfield.user(2).location, springfield.user(7).location) == ("North", "")
    assert springfield.user(3).active is False


def test_the_same_batch_sent_twice_with_a_key_is_one_import(springfield: Springfield, secret: str) -> None:
    first = read_answer(send(secret, [new(7)], Idempotency_Key="night-1"), 202)
    again = read_answer(send(secret, [new(7)], Idempotency_Key="night-1"), 202)
    work()
    late = read_answer(send(secret, [new(7)], Idempotency_Key="night-1"))
    assert first["number"] == again["number"] == late["number"]
    assert late["state"] == "applied"
    assert problem(send(secret, [new(8)], Idempotency_Key="night-1"))["code"] == "key-taken"
    assert problem(send(secret, [new(7)], "?dry_run=true", Idempotency_Key="night-1"))["code"] == "key-taken"
    assert models.Import.objects.filter(through="api").count() == 1


@pytest.mark.any_database
@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_a_key_that_is_none_is_refused(secret: str, key: str) -> None:
    assert problem(send(secret, [new(7)], Idempotency_Key=key), 400)["code"] == "invalid-key"


def test_a_dry_run_changes_nothing_and_can_be_applied(springfield: Springfield, secret: str) -> None:
    said = done(secret, [new(7)], "?dry_run=true")
    assert (said["state"], said["counts"]["added"], said["is_open"]) == ("previewed", 1, True)
    assert "apply" in said["links"]
    assert not models.User.objects.filter(external_id="E-7").exists()


def test_each_problem_of_a_row_has_its_place_in_the_body(springfield: Springfield, secret: str) -> None:
    said = done(secret, [new(7), new(8, email="x", role="Nobody"), new(9), new(9), new(10, first_name="a\nb")])
    assert said["state"] == "applied"
    found = [(one["pointer"], one["code"]) for one in said["errors"]]
    assert found[:2] == [("/rows/1/email", "invalid-email"), ("/rows/1/role", "unknown-role")]
    assert ("/rows/4/first_name", "illegal-character") in found
    assert all(one["detail"] and one["remedy"] for one in said["errors"])
    assert models.User.objects.filter(external_id="E-7").exists()
    assert not models.User.objects.filter(external_id__in=["E-8", "E-10"]).exists()


def test_a_batch_beyond_a_limit_is_held_until_its_number_is_confirmed(springfield: Springfield, secret: str) -> None:
    models.Agency.objects.update(
        limits=[
            {"kind": "deactivations", "users": 0, "percent": 0, "most": 0, "off": False, "role": None, "group": None}
        ]
    )
    rows = [new(2, status="Inactive")]
    number = read_answer(send(secret, rows), 202)["number"]
    work()
    said = read_answer(call(secret, "GET", f"/{number}"))
    assert (said["state"], springfield.user(2).active) == ("held", True)
    assert [(hold["kind"], hold["number"]) for hold in said["holds"]] == [("deactivations", 1)]
    assert "confirm" in said["links"]
    read_answer(send(secret, {"rows": rows, "confirm": {"deactivations": 1}}), 202)
    work()
    assert not springfield.user(2).active


def test_the_options_of_a_batch_are_those_of_an_import(springfield: Springfield, secret: str) -> None:
    row = new(7)
    del row["role"]
    given = {"rows": [row], "defaults": {"ROLE": "Officer"}, "source": "HR Sworn", "mails": False, "strict": True,
             "release_badges": None, "accept": ["looks-damaged"]}  # fmt: skip
    said = done(secret, given)
    assert (said["state"], said["mails"], said["source"]) == ("applied", {}, "hr sworn")
    assert {name: said["options"][name] for name in ("mode", "strict", "accept")} == {
        "mode": "update", "strict": True, "accept": ["looks-damaged"],
    }  # fmt: skip
    assert (springfield.user(7).role.name, springfield.user(7).source) == ("Officer", "hr sworn")
    bad = {"rows": [row], "confirm": {"everything": 1}, "source": "x" * 70, "defaults": {"ROLL": "x"}}
    found = {one["pointer"] for one in problem(send(secret, bad))["errors"]}
    assert found == {"/confirm", "/source", "/defaults"}


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/rows"), ({"rows": []}, "/rows"), ({"rows": {}}, "/rows"), ({"rows": [new(1)], "mode": "sync"}, "/mode"),
        ({"rows": [new(1)], "preview": True}, "/preview"), ({"rows": [new(1, id=7)]}, "/rows/0/id"),
        ({"rows": [new(1), new(2, exempt=True)]}, "/rows/1/exempt"), ({"rows": [new(1), 7]}, "/rows/1"),
        ({"rows": [new(1, badge_number=7)]}, "/rows/0/badge_number"),
        ({"rows": [new(1), new(2, location="x")]}, "/rows/1"), ({"rows": [new(1)], "name": ""}, "/name"),
        ({"rows": [new(1), new(2, first_name="\0")]}, "/rows/1/first_name"),
        ({"rows": [new(1), new(2, first_name="\ud800")]}, "/rows/1/first_name"),
        ({"rows": [{}] * 10_001}, "/rows"), ({"rows": [{"a/b~": "x"}]}, "/rows/0/a~1b~0"),
    ],
)  # fmt: skip
def test_a_body_of_another_form_is_refused_with_the_place(secret: str, body: Any, pointer: str) -> None:
    assert [one["pointer"] for one in problem(send(secret, body))["errors"]] == [pointer]
    assert not models.Import.objects.filter(through="api").exists()


@pytest.mark.any_database
def test_a_body_that_is_too_large_is_refused_before_it_is_read(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [new(number, location="x" * 255) for number in range(10_000)]
    body = json.dumps({"rows": rows}).encode()
    assert 3_000_000 < len(body) < batch.MOST_BYTES
    read_answer(send(secret, body), 202)
    answer = send(secret, body + b" " * (batch.MOST_BYTES - len(body) + 1))
    assert "8 MB" in problem(answer, 413)["detail"]
    assert len(problem(send(secret, {"rows": [{"x": 1}] * 9_000}))["errors"]) == 100
    headers = {"Authorization": "Bearer wrong"}
    assert Client().generic("POST", HERE, body, content_type="application/json", headers=headers).status_code == 401


@pytest.mark.any_database
def test_a_batch_needs_the_permission_to_import(springfield: Springfield) -> None:
    viewer = make_token(springfield, "users.view", "users.edit")[1]
    answer = send(viewer, [new(7)])
    assert answer.status_code == 403 and "users.import" in json.loads(answer.content)["detail"]


TEXTS = st.one_of(
    st.none(),
    st.sampled_from(
        ["=1+1", '="00123"', "'=1", "+1", "00123", "1E5", "a\nb", "a\r\n", '"', " x ", "NULL", "é", "😀", "\x85"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
)


@settings(max_examples=examples(200))
@given(st.lists(st.lists(TEXTS, min_size=13, max_size=13), min_size=1, max_size=5))
def test_every_value_of_the_body_is_in_the_plan_exactly_as_it_was_sent(cells: list[list[str | None]]) -> None:
    rows = [dict(zip((column.field for column in COLUMNS), row, strict=True)) for row in cells]
    body = batch.Batch.model_validate(json.loads(json.dumps({"rows": rows})))
    sent = [user_schemas.read_row(row) for row in body.rows]
    how = file_import.make_read_options(sent_rows.make_options(sent, Options()), {})
    table = intake.read(sent_rows.make_upload(sent).content, how)
    assert not table.problems and table.skipped.is_empty() and table.faults.is_empty()
    for column in COLUMNS:
        values = [(row[column.field] or "") for row in rows]
        assert text.clean(table.cells[column.field]).to_list() == _clean(values)


def _clean(values: list[str]) -> list[str]:
    """The values as a form has them: trimmed and in one form of their characters, and nothing else."""
    return text.clean(pl.Series(values, dtype=pl.String), guarded=False).to_list()
