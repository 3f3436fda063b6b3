"""What a program has asked for by SCIM and is on hold, confirmed by a person on its page."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from musterbook.directory import models
from musterbook.directory.agency import groups
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.permissions import ALL
from tests.accounts.conftest import Springfield
from tests.api.test_me import make_token
from tests.directory.cast import NOW
from tests.web.conftest import enter
from tests.web.looks import barriers

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def ask(secret: str, method: str, path: str, body: Any) -> Any:
    """The JSON of the response, which is on hold."""
    answer = getattr(Client(), method)(
        f"/springfield/scim/v2/{path}",
        json.dumps(body),
        content_type="application/scim+json",
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 202, answer.content
    return json.loads(answer.content)


@pytest.fixture
def secret(springfield: Springfield) -> str:
    """The token of a program that may do everything, in an agency that lets nobody be changed without confirmation."""
    kinds = ("updates", "deactivations")
    usual = {"users": 0, "percent": 0, "most": None, "off": False, "role": None, "group": None}
    models.Agency.objects.update(limits=[{"kind": kind, **usual} for kind in kinds])
    springfield.registered(1)
    return make_token(springfield, *ALL)[1]


def test_the_members_of_a_group_join_when_a_person_has_confirmed_it(
    page: Page, springfield: Springfield, secret: str
) -> None:
    group = groups.add(springfield.agency, "N", "Precinct North", AuditContext(NOW, "E-1", "page"))
    members = [{"value": "2"}, {"value": "3"}]
    body = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": members}]}
    held = ask(secret, "patch", f"Groups/g{group.pk}", body)
    enter(page, "user.1", f"users/bulk/{held['import']}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("main")).to_contain_text("2 users will join or leave the group N.")
    expect(page.locator("main")).to_contain_text("Change members: N · 2 users, through SCIM")
    assert barriers(page) == []
    page.locator("input[type=text], input[type=number]").first.fill("2")
    page.get_by_role("button", name=re.compile("Change 2 members")).click()
    expect(page.locator("main")).to_contain_text("2 users joined or left the group N.")
    assert models.User.objects.filter(group=group).count() == 2


def test_a_bulk_is_done_when_a_person_has_confirmed_it(page: Page, springfield: Springfield, secret: str) -> None:
    patch = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}
    operation = {"method": "PATCH", "path": "Users/2", "data": patch}
    held = ask(secret, "post", "Bulk", {"schemas": [BULK], "Operations": [operation]})
    enter(page, "user.1", f"imports/{held['import']}")
    expect(page.locator("main")).to_contain_text("scim-bulk.csv")
    assert barriers(page) == []
    for label in ("Number of users who lose access", "Number of users who change"):
        page.get_by_label(label).fill("1")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Applied")
    assert not models.User.objects.get(pk=2).active
    page.goto("/springfield/api-access/")
    expect(page.get_by_label("Address for identity providers")).to_contain_text("/springfield/scim/v2")
