"""The settings of an agency through the API."""

from typing import Any

import pytest

from musterbook.config import encryption
from musterbook.core.domain.columns import ROLE
from musterbook.directory import models
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.calls import Program, make_program, read
from tests.api.test_me import problem

pytestmark = pytest.mark.any_database


@pytest.fixture
def program(springfield: Springfield) -> Program:
    """A program with every permission."""
    return make_program(springfield)


def test_what_is_read_can_be_sent_back_and_changes_nothing(springfield: Springfield, program: Program) -> None:
    secret = encryption.seal("hush")
    provider = {
        "slug": "county", "kind": "oidc", "name": "County", "server": "https://county.example", "client_id": "x",
        "match": "email", "claim": "", "trust_email": False, "second_factor": False, "secret": secret,
    }  # fmt: skip
    models.Agency.objects.update(sign_on=[provider])
    shown = program.get("agency")
    assert shown["sign_on"] == [{"slug": "county", "name": "County", "kind": "oidc"}]
    assert secret not in str(shown)
    fixed = {"slug", "sign_on", "values", "headings"}
    events = models.Event.objects.count()
    sent = {name: value for name, value in shown.items() if name not in fixed}
    assert read(program.send("PATCH", "agency", sent)) == shown
    assert models.Event.objects.count() == events


def test_settings_of_every_section_are_changed_together(springfield: Springfield, program: Program) -> None:
    change = {
        "name": "Springfield PD",
        "time_zone": "America/Chicago",
        "mail": False,
        "mails_off": ["welcome"],
        "grace_days": 14,
        "release_badges": True,
        "second_approver": True,
        "sign_in_notice": "Be careful.",
        "limits": [{"kind": "deactivations", "users": 7}, {"kind": "updates", "percent": 12.5, "role": "Officer"}],
        "defaults": {ROLE.heading: "Officer"},
        "accounts": {"password_length": 14, "second_factor": True, "second_factor_roles": ["officer"]},
    }
    answer = program.send("PATCH", "agency", change)
    shown = read(answer)
    assert {name: shown[name] for name in change if name not in {"accounts", "limits"}} == {
        name: value for name, value in change.items() if name not in {"accounts", "limits"}
    }
    assert [(one["kind"], one["users"], one["percent"], one["role"]) for one in shown["limits"]] == [
        ("deactivations", 7, 0, ""), ("updates", 0, 12.5, "Officer"),
    ]  # fmt: skip
    assert (shown["accounts"]["password_length"], shown["accounts"]["second_factor"]) == (14, True)
    assert shown["accounts"]["second_factor_roles"] == ["Officer"]
    events = models.Event.objects.filter(kind="agency.changed")
    assert set(events.values_list("actor", "through")) == {("E-1", "api")}
    assert program.get("agency") == shown
    removed = read(program.send("PATCH", "agency", {"limits": [], "defaults": {ROLE.heading: ""}}))
    assert (removed["limits"], removed["defaults"]) == ([], {})


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": " "}, "/name"),
        ({"default_country": "Texas"}, "/default_country"),
        ({"language": "xx"}, "/language"),
        ({"time_zone": "Mars"}, "/time_zone"),
        ({"mails_off": ["lock"]}, "/mails_off"),
        ({"limits": [{"kind": "updates"}]}, "/limits"),
        ({"limits": [{"kind": "updates", "users": 1}, {"kind": "updates", "users": 2}]}, "/limits"),
        ({"limits": [{"kind": "updates", "users": 1, "role": "Nobody"}]}, "/limits"),
        ({"limits": [{"kind": "updates", "users": 1, "role": "Officer", "group": "PATROL"}]}, "/limits"),
        ({"grace_days": 366}, "/grace_days"),
        ({"accounts": {"password_length": 7}}, "/accounts/password_length"),
        ({"accounts": {"second_factor_roles": ["Nobody"]}}, "/accounts/second_factor_roles"),
        ({"defaults": {ROLE.heading: "Nobody"}}, f"/{ROLE.heading}"),
    ],
)
def test_a_wrong_value_changes_nothing(program: Program, change: dict[str, Any], pointer: str) -> None:
    before = program.get("agency")
    found = problem(program.send("PATCH", "agency", {"name": "Other", "mail": False} | change), 422)
    assert [one["pointer"] for one in found["errors"]] == [pointer]
    assert program.get("agency") == before


def test_another_version_is_refused(program: Program) -> None:
    first = program.send("GET", "agency")
    assert read(program.send("PATCH", "agency", {"name": "One"}, If_Match=first.headers["ETag"]))["name"] == "One"
    refused = program.send("PATCH", "agency", {"name": "Two"}, If_Match=first.headers["ETag"])
    assert problem(refused, 412)["code"] == "changed-meanwhile"
    assert program.get("agency")["name"] == "One"


def test_a_token_with_less_decides_only_what_its_permissions_allow(springfield: Springfield) -> None:
    less = make_program(springfield, "agency.configure")
    assert read(less.send("PATCH", "agency", {"name": "One"}))["name"] == "One"
    for change in (
        {"accounts": {"second_factor": True}}, {"accounts": {"second_factor_roles": ["Admin"]}},
    ):  # fmt: skip
        assert problem(less.send("PATCH", "agency", change), 403)["code"] == "not-allowed"
    found = problem(less.send("PATCH", "agency", {"defaults": {ROLE.heading: "Admin"}}), 422)
    assert "permissions" in found["detail"]
