"""A token is an operator of its own (M10): whatever its creator may do, it gives nobody more than it has itself."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import approval, queue
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.permissions import ALL, Authority
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token
from tests.directory.cast import file, person

pytestmark = pytest.mark.any_database
MAY = ("users.view", "users.edit", "users.import", "users.synchronize", "credentials.manage")


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


@pytest.fixture
def secret(springfield: Springfield) -> str:
    """The secret of a token that manages users, made by an administrator."""
    return make_token(springfield, *MAY)[1]


def ask(secret: str, method: str, path: str, content: bytes, kind: str = "application/json") -> Any:
    """The answer to a program."""
    headers = {"Authorization": f"Bearer {secret}"}
    return Client().generic(method, f"/springfield/{path}", content, content_type=kind, headers=headers)


def run_all() -> None:
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass


def list_administrators(springfield: Springfield) -> list[str]:
    role = models.Role.objects.get(agency=springfield.agency, administrator=True)
    return sorted(models.User.objects.filter(role=role).values_list("external_id", flat=True))


def test_a_token_makes_nobody_an_administrator(springfield: Springfield, secret: str) -> None:
    before = list_administrators(springfield)
    row = {key.lower(): value for key, value in person(7, ROLE="Admin").items()}
    wanted = {"external_id", "status", "email", "badge_number", "first_name", "last_name", "username", "role"}
    new = {name: value for name, value in row.items() if name in wanted}
    user = springfield.user(2)
    for answer in (
        ask(secret, "POST", "api/v1/users", json.dumps(new).encode()),
        ask(secret, "PATCH", f"api/v1/users/{user.pk}", b'{"role": "Admin"}'),
        ask(secret, "PATCH", f"api/v1/users/{springfield.user(1).pk}", b'{"email": "mine@agency.example"}'),
    ):
        assert answer.status_code == 422, answer.content
        assert "above-your-role" in {one["code"] for one in json.loads(answer.content)["errors"]}
    assert list_administrators(springfield) == before


def test_no_file_of_a_token_makes_one_whenever_a_worker_imports_it(springfield: Springfield, secret: str) -> None:
    before = list_administrators(springfield)
    content = file([person(2, ROLE="Admin"), person(8, ROLE="Admin"), person(9)])
    answer = ask(secret, "POST", "api/v1/imports", content, "text/csv")
    assert answer.status_code in (201, 202), answer.content
    run_all()
    record = models.Import.objects.get(through="api")
    assert (record.state, record.counts["errored"], record.counts["added"]) == ("applied", 2, 1)
    assert record.granted == {"actor": sorted(MAY), "requester": sorted(MAY)}
    codes = models.ImportProblem.objects.filter(of=record, note=False).values_list("code", flat=True)
    assert set(codes) == {"above-your-role"}
    assert list_administrators(springfield) == before


def test_what_a_token_has_requested_stays_within_it_when_another_user_confirms_it(
    springfield: Springfield,
) -> None:
    """The approver confirms the plan that they see, and that is the plan of the token (S8)."""
    context = AuditContext(datetime.now(UTC), "E-1", "api", granted=frozenset(MAY))
    upload = Upload(file([person(2, ROLE="Admin"), person(9)]), "roster.csv")
    shown = queue.submit(springfield.agency, upload, Options(preview=True), context=context)
    run_all()
    shown.refresh_from_db()
    assert approval.find_authority(shown) == Authority("E-1", frozenset(MAY))
    shown.options["approves"] = True
    applying = models.Import(requester=shown.requester, actor="E-2", granted=dict(shown.granted), options=shown.options)
    applying.granted.pop("actor")
    assert approval.find_authority(applying) == Authority("E-1", frozenset(MAY))
    assert approval.read_authority(applying, "actor") == Authority("E-2")


def test_a_token_with_every_permission_may_do_what_its_creator_may(springfield: Springfield) -> None:
    _, secret = make_token(springfield, *ALL)
    answer = ask(secret, "PATCH", f"api/v1/users/{springfield.user(2).pk}", b'{"role": "Admin"}')
    assert answer.status_code == 200, answer.content
    assert "E-2" in list_administrators(springfield)
