"""Imports by programs, through real requests: a file is sent, planned, read and applied."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.imports import pending_uploads
from musterbook.directory.imports.worker import run_next_import
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token, problem
from tests.directory.cast import file, people, person

pytestmark = pytest.mark.any_database

HERE = "/springfield/api/v1/imports"
ROSTER = file(people(2, 7))
MAY = ("users.view", "users.import", "users.synchronize")


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def secret(springfield: Springfield) -> str:
    """The secret of a token that may import."""
    return make_token(springfield, *MAY)[1]


def call(secret: str, method: str, path: str = "", data: Any = None, **headers: str) -> Any:
    """The answer to a request of a program, with a body of JSON."""
    given = {"Authorization": f"Bearer {secret}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    body = b"" if data is None else json.dumps(data).encode()
    return Client().generic(method, f"{HERE}{path}", body, content_type="application/json", headers=given)


def send(secret: str, content: bytes = ROSTER, path: str = "", kind: str = "text/csv", **headers: str) -> Any:
    """The answer to a program that sends the file as the body."""
    given = {"Authorization": f"Bearer {secret}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return Client().generic("POST", f"{HERE}{path}", content, content_type=kind, headers=given)


def send_form(secret: str, content: bytes = ROSTER, path: str = "", **fields: Any) -> Any:
    """The answer to a program that sends a form, as `curl -F` does."""
    body = {**fields, "file": SimpleUploadedFile("roster.csv", content)}
    return Client().post(f"{HERE}{path}", body, headers={"Authorization": f"Bearer {secret}"})


def read(answer: Any, status: int = 200) -> dict[str, Any]:
    """What the answer says."""
    content: dict[str, Any] = json.loads(answer.content)
    assert answer.status_code == status, content
    return content


def work() -> None:
    """Runs all imports that wait, as a worker does."""
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass


def done(secret: str, answer: Any) -> dict[str, Any]:
    """The import that the request made, when a worker has run it."""
    number = read(answer, 202)["number"]
    work()
    return read(call(secret, "GET", f"/{number}"))


def test_a_file_is_imported(springfield: Springfield, secret: str) -> None:
    answer = send(secret, path="?name=roster.csv")
    said = read(answer, 202)
    record = models.Import.objects.get(number=said["number"])
    assert (said["state"], said["through"], said["by"]["external_id"]) == ("waiting", "api", "E-1")
    assert answer.headers["Location"] == said["links"]["self"]
    assert said["links"]["self"].endswith(f"/springfield/api/v1/imports/{record.number}")
    assert "cancel" in said["links"]
    assert (record.actor, record.through, record.file_name) == ("E-1", "api", "roster.csv")
    work()
    said = read(call(secret, "GET", f"/{said['number']}"))
    assert (said["state"], said["counts"]["added"], said["counts"]["unchanged"]) == ("applied", 1, 1)
    assert said["mails"] == {"invitation": 1}
    assert said["progress"] is None
    assert models.User.objects.filter(agency=springfield.agency, external_id="E-7").exists()
    assert not list(pending_uploads._folder(springfield.user(1)).iterdir())


def test_a_form_gives_the_options_as_fields(springfield: Springfield, secret: str) -> None:
    content = file([person(7, STATUS="Working")]).replace(b"BADGE_NUMBER", b"Badge")
    said = done(
        secret,
        send_form(
            secret,
            content,
            preview="true",
            mapping='{"Badge": "BADGE_NUMBER"}',
            values='{"STATUS": {"Working": "Active"}}',
            source="HR Sworn",
            mails="false",
        ),
    )
    assert (said["state"], said["counts"]["added"], said["name"]) == ("previewed", 1, "roster.csv")
    options = said["options"]
    assert (options["mapping"], options["source"], options["mails"]) == ({"Badge": "BADGE_NUMBER"}, "hr sworn", False)
    assert said["mails"] == {}
    assert {"apply", "discard", "corrections", "rows"} <= said["links"].keys()


def test_an_unknown_option_is_refused_before_the_file_is_read(springfield: Springfield, secret: str) -> None:
    said = problem(send(secret, path="?dry_run=true"), 422)
    assert said["errors"][0]["pointer"] == "/dry_run"
    assert not models.Import.objects.filter(through="api").exists()
