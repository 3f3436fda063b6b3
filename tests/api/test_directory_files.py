"""Files of groups, members, roles and ranks by programs, through real requests."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from musterbook.accounts.models import Token
from musterbook.directory import models
from musterbook.directory.imports.worker import run_next_import
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import shelbyville as shelbyville  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token

pytestmark = pytest.mark.django_db

HERE = "/springfield/api/v1"
GROUPS = b"EXTERNAL_ID,NAME,STATUS,PARENT_EXT_ID\nHQ,Headquarters,Active,\nK9,Canine unit,Active,HQ\n"


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.MUSTER_HOME = tmp_path


def send(secret: str, path: str, content: bytes, **headers: str) -> Any:
    """The answer to a program that sends the file as the body."""
    given = {"Authorization": f"Bearer {secret}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return Client().generic("POST", f"{HERE}/{path}", content, content_type="text/csv", headers=given)


def read(secret: str, address: str) -> Any:
    """The answer to a program that reads an address."""
    return Client().get(address, headers={"Authorization": f"Bearer {secret}"})


def run_all() -> None:
    """Run what waits."""
    while run_next_import("tests", lambda: datetime.now(UTC)):
        pass


def test_a_program_imports_groups_and_their_members(springfield: Springfield) -> None:
    secret = make_token(springfield, "groups.manage", "users.import", "users.edit")[1]
    answer = send(secret, "files/groups?name=units.csv", GROUPS, Idempotency_Key="one")
    assert answer.status_code == 202, answer.content
    assert (
        send(secret, "files/groups?name=units.csv", GROUPS, Idempotency_Key="one").json()["number"]
        == (answer.json()["number"])
    )
    run_all()
    state = read(secret, answer.headers["Location"]).json()
    assert (state["kind"], state["state"], state["counts"]["added"]) == ("groups", "applied", 2)
    user = models.User.objects.filter(agency__slug="springfield").latest("pk")
    rows = f"GROUP_EXT_ID,MEMBER_TYPE,MEMBER_EXT_ID,RELATION\nK9,User,{user.external_id},Monitor\n".encode()
    answer = send(secret, "files/members?mode=sync", rows)
    run_all()
    assert read(secret, answer.headers["Location"]).json()["mode"] == "sync"
    assert models.Monitor.objects.get(group__external_id="K9").user == user
    send(secret, "files/members", b"GROUP_EXT_ID,MEMBER_TYPE,MEMBER_EXT_ID,RELATION\nHQ,Group,K9,Monitor\n")
    run_all()
    Token.objects.update(name="Another")
    reader = make_token(springfield, "users.view", "groups.manage")[1]
    items = {one["external_id"]: one for one in read(reader, f"{HERE}/groups").json()["items"]}
    assert (items["K9"]["parent"], items["K9"]["monitor_groups"]) == ("HQ", [])
    assert (items["HQ"]["parent"], items["HQ"]["monitor_groups"]) == ("", ["K9"])
    address = f"{HERE}/groups/{items['K9']['id']}"
    changed = Client().patch(
        address, {"parent": ""}, content_type="application/json", headers={"Authorization": f"Bearer {reader}"}
    )
    assert (changed.status_code, changed.json()["parent"]) == (200, "")


@pytest.mark.parametrize(
    ("what", "permission", "row"),
    [("roles", "roles.manage", b"NAME,PERMISSIONS\nClerk,\n"), ("ranks", "ranks.manage", b"NAME\nMajor\n")],
)
def test_a_program_imports_roles_and_ranks(springfield: Springfield, what: str, permission: str, row: bytes) -> None:
    secret = make_token(springfield, permission)[1]
    assert send(secret, f"files/{what}", row).status_code == 202
    assert send(secret, f"files/{what}?mode=sync", row).status_code == 422
    run_all()
    assert models.Import.objects.latest("pk").state == "applied"


def test_a_token_without_the_permission_imports_and_reads_nothing(springfield: Springfield) -> None:
    other = make_token(springfield, "users.import", "ranks.manage")[1]
    Token.objects.update(name="Another")
    assert send(other, "files/groups", GROUPS).status_code == 403
    secret = make_token(springfield, "groups.manage", "users.import")[1]
    address = send(secret, "files/groups", GROUPS).headers["Location"]
    assert read(secret, address).status_code == 200
    assert read(other, address).status_code == 403
    assert models.Import.objects.filter(kind="groups").count() == 1


def test_the_permissions_of_the_token_limit_what_a_file_of_roles_grants(springfield: Springfield) -> None:
    secret = make_token(springfield, "roles.manage")[1]
    send(secret, "files/roles", b"NAME,PERMISSIONS\nClerk,users.view\n")
    run_all()
    assert not models.Role.objects.filter(name="Clerk").exists()


def test_users_of_another_agency_are_unknown(springfield: Springfield, shelbyville: Any) -> None:
    secret = make_token(springfield, "groups.manage", "users.edit")[1]
    theirs = models.User.objects.exclude(agency__slug="springfield").filter(active=True).latest("pk")
    models.User.objects.filter(pk=theirs.pk).update(external_id="THEIRS")
    models.Group.objects.create(agency=theirs.agency, external_id="ELSEWHERE", name="Elsewhere")
    rows = b"GROUP_EXT_ID,MEMBER_TYPE,MEMBER_EXT_ID,RELATION\nELSEWHERE,User,THEIRS,Member\n"
    send(secret, "files/members", rows)
    run_all()
    record = models.Import.objects.latest("pk")
    codes = {problem.code for problem in models.ImportProblem.objects.filter(of=record)}
    assert codes == {"no-such-group", "unknown-user"}
