"""API access through its pages: tokens made, shown once, tried, revoked."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.accounts.tokens import TokenData
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from tests.accounts.conftest import GOOD, Springfield, age_session, signed_in
from tests.accounts.test_entrance import sign_in
from tests.directory import cast
from tests.directory.cast import person
from tests.web.looks import barriers

pytestmark = pytest.mark.any_database

ADD = "/springfield/api-access/add"
LIST = "/springfield/api-access/"
FORM = {"name": "HR, each night", "permissions": ["users.view"], "days": "90"}


@pytest.fixture
def chief(db: None, client: Client) -> Client:
    """A browser in which somebody is signed in who may see and edit users, and manage tokens."""
    made = Springfield(cast.agency())
    models.Role.objects.filter(agency=made.agency, name="Chief").update(
        permissions=["users.view", "users.edit", "api.manage"]
    )
    made.imported(person(1, ROLE="Admin"), person(5, ROLE="Chief"))
    made.registered(1)
    made.registered(5)
    signed_in(client, "user.5")
    return client


def secret(said: str) -> str:
    """The secret that the page shows."""
    found = re.search(r"muster_[0-9a-f]{64}", said)
    return found[0] if found else ""


def ask_api(token: str) -> Any:
    return Client().get("/springfield/api/v1/me", headers={"Authorization": f"Bearer {token}"})


def kinds(*names: str) -> list[tuple[str, str, str]]:
    events = models.Event.objects.filter(kind__in=names).order_by("id")
    return list(events.values_list("kind", "actor", "outcome"))


def test_a_token_is_shown_once_and_opens_the_api(chief: Client) -> None:
    assert "There are no tokens" in chief.get(LIST).content.decode()
    answer = chief.post(ADD, FORM)
    shown = secret(answer.content.decode())
    assert {"no-store", "private"} <= set(answer.headers["Cache-Control"].split(", "))
    assert json.loads(ask_api(shown).content)["permissions"] == ["users.view"]
    listed = chief.get(LIST).content.decode()
    assert "HR, each night" in listed and "from 127.0.0.1" in listed and not secret(listed)
    assert f"ends in {shown[-4:]}" in listed
    assert kinds("api.token-made") == [("api.token-made", "E-5", "")]


def test_a_form_that_is_sent_twice_makes_one_token(chief: Client) -> None:
    chief.post(ADD, FORM)
    again = chief.post(ADD, FORM)
    assert again.status_code == 422 and "There is already a token named HR" in again.content.decode()
    assert Token.objects.count() == 1


def test_nobody_gives_a_token_what_they_lack(chief: Client) -> None:
    form = chief.get(ADD).content.decode()
    assert 'value="users.edit"' in form and 'value="roles.manage"' not in form
    answer = chief.post(ADD, {**FORM, "permissions": ["users.view", "roles.manage"]})
    assert answer.status_code == 403 and "Add, change and delete roles" in answer.content.decode()
    assert (Token.objects.count(), kinds("act.refused")) == (0, [("act.refused", "E-5", "refused")])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "Enter a value for “Name”."),
        ({"permissions": []}, "Choose at least one permission."),
        ({"permissions": ["everything"]}, "not one of the available choices"),
        ({"days": "3650"}, "not one of the available choices"),
        ({"name": "a\nb"}, "control character"),
    ],
)
def test_errors_are_shown_at_their_fields(chief: Client, wrong: dict[str, Any], said: str) -> None:
    answer = chief.post(ADD, {**FORM, **wrong})
    assert answer.status_code == 422 and said in answer.content.decode()
    assert Token.objects.count() == 0


def test_a_token_is_made_only_by_who_has_just_signed_in(chief: Client) -> None:
    age_session(chief, 20)
    led = chief.post(ADD, FORM)
    assert "/sign-in/again" in led.headers["Location"] and Token.objects.count() == 0
    made = chief.post(led.headers["Location"], {"password": GOOD}, follow=True)
    assert secret(made.content.decode()) and Token.objects.count() == 1


def test_a_role_that_loses_the_permission_meanwhile_makes_no_token(
    chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = snapshot_queries.read_operator
    models.Role.objects.filter(name="Chief").update(permissions=["users.view", "api.manage"])
    less = frozenset({"api.manage"})
    monkeypatch.setattr(snapshot_queries, "read_operator", lambda *who: replace(operator(*who), permissions=less))
    answer = chief.post(ADD, FORM)
    assert answer.status_code == 422 and "Your own role lacks users.view" in answer.content.decode()


def test_a_revoked_token_opens_nothing(chief: Client) -> None:
    shown = secret(chief.post(ADD, FORM).content.decode())
    page = f"{LIST}{Token.objects.get().pk}/revoke"
    assert "It has not been used yet." in chief.get(page).content.decode()
    assert "was revoked" in chief.post(page, follow=True).content.decode()
    assert ask_api(shown).status_code == 401
    assert "Revoked" in chief.get(LIST).content.decode() and "It was revoked" in chief.get(page).content.decode()
    assert "was revoked" not in chief.post(page, follow=True).content.decode()
    assert kinds("api.token-revoked") == [("api.token-revoked", "E-5", "")]
    assert "There are no valid tokens" in chief.get(LIST).content.decode()


def test_the_list_says_which_tokens_do_less_than_they_were_made_for(chief: Client) -> None:
    chief.post(ADD, {**FORM, "permissions": ["users.view", "users.edit"]})
    models.Role.objects.filter(name="Chief").update(permissions=["users.view"])
    sign_in(other := Client(), "user.1")
    assert "Not now, because its creator lacks this permission: Add, edit" in other.get(LIST).content.decode()
    models.User.objects.filter(external_id="E-5").update(active=False)
    assert "The user who made it has lost access since." in other.get(LIST).content.decode()


def test_the_list_asks_the_database_no_more_for_many(chief: Client, django_assert_max_num_queries: Any) -> None:
    agency = models.Agency.objects.get()
    for number in range(20):
        data = TokenData(f"Token {number}", frozenset({"users.view"}), 90)
        context = AuditContext(datetime.now(UTC), "E-5", "page")
        tokens.create_token(
            agency, data, context, snapshot_queries.read_operator(agency, "E-1" if number % 2 else "E-5")
        )
    with django_assert_max_num_queries(12):
        assert chief.get(LIST).content.decode().count("ends in") == 20


def test_a_token_from_making_to_revoking_in_a_browser(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    page.goto("/springfield/sign-in?next=/springfield/api-access/")
    page.fill("[name=login]", "user.1")
    page.fill("[name=password]", GOOD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("link", name="Create token").click()
    page.get_by_role("button", name="Create token").click()
    expect(page).to_have_title(re.compile("^Error: "))
    assert barriers(page) == []
    page.get_by_label("Name").fill("HR, each night")
    page.get_by_label("View and search users").check()
    page.get_by_role("button", name="Create token").click()
    shown = page.get_by_label("Token", exact=True)
    assert shown.evaluate("e => e === document.activeElement")
    assert barriers(page) == []
    answer = page.request.get("/springfield/api/v1/me", headers={"Authorization": f"Bearer {shown.input_value()}"})
    assert answer.json()["token"]["name"] == "HR, each night"
    page.get_by_role("link", name="I have copied it").click()
    assert barriers(page) == []
    page.get_by_role("link", name="Revoke HR, each night").click()
    page.get_by_role("button", name="Revoke token").click()
    page.get_by_text("Revoked and expired").click()
    assert barriers(page) == []


def test_a_token_can_be_limited_to_addresses(chief: Client) -> None:
    wrong = chief.post(ADD, {**FORM, "addresses": "192.0.2.7\nnowhere"})
    assert wrong.status_code == 422 and "“nowhere” is not an address or a network" in wrong.content.decode()
    assert Token.objects.count() == 0
    shown = secret(chief.post(ADD, {**FORM, "addresses": "192.0.2.0/24, 198.51.100.7\n2001:db8::/32"}).content.decode())
    assert Token.objects.get().addresses == ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"]
    assert "only from 192.0.2.0/24, 198.51.100.7, 2001:db8::/32" in chief.get(LIST).content.decode()
    assert ask_api(shown).status_code == 401
    headers = {"Authorization": f"Bearer {shown}"}
    assert Client().get("/springfield/api/v1/me", headers=headers, REMOTE_ADDR="198.51.100.7").status_code == 200
