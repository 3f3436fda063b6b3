"""Requests of a program about imports, and what the answers say."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from musterbook.directory.imports.worker import run_next_import
from tests.accounts.conftest import Springfield
from tests.api.test_me import make_token
from tests.directory.cast import file, people

HERE = "/springfield/api/v1/imports"
ROSTER = file(people(2, 7))
"""A user who stays as they are, and a new one."""
MAY = ("users.view", "users.import", "users.synchronize")


@pytest.fixture(autouse=True)
def own_folder(settings: Settings, tmp_path: Path) -> None:
    """A folder for the files of the test."""
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
    return show(secret, number)


def show(secret: str, number: str) -> dict[str, Any]:
    """The import of that number."""
    return read(call(secret, "GET", f"/{number}"))


def preview(secret: str, content: bytes = ROSTER, path: str = "?preview=true") -> dict[str, Any]:
    """A preview of the file."""
    made = done(secret, send(secret, content, path))
    assert made["state"] in {"previewed", "refused"}, made
    return made
