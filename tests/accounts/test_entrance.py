"""The pages through which users come in, as a browser asks for them, and as an attacker does."""

import re

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import get_script_prefix

from musterbook.directory import models
from tests.accounts.conftest import GOOD, Springfield
from tests.directory.cast import person

pytestmark = pytest.mark.any_database


HOME = "/springfield/"


def sign_in(client: Client, name: str, password: str = GOOD, agency: str = "springfield", **more: str) -> HttpResponse:
    """Sends the sign-in form."""
    return client.post(f"/{agency}/sign-in", {"login": name, "password": password, **more})  # type: ignore[return-value]


def text(response: object) -> str:
    """What the page says, without what differs by chance, or by what was typed."""
    said = response.content.decode()  # type: ignore[attr-defined]
    return re.sub(r'value="[^"]*"', "", said)


def read_username(client: Client) -> str:
    """The username on the home page; "" for nobody."""
    found = re.search(r"as <strong>([^<]+)</strong>|as ([a-z.0-9]+)\.", client.get(HOME).content.decode())
    return next(filter(None, found.groups())) if found else ""


def test_an_invited_user_registers_and_is_signed_in(springfield: Springfield, client: Client) -> None:
    page = f"/springfield/register/{springfield.invitation_now(2)}"
    assert "First 2 Last 2" in text(client.get(page, follow=True))
    answer = client.post(page, {"password1": GOOD, "password2": GOOD})
    assert (answer.status_code, answer.headers["Location"]) == (302, HOME)
    assert read_username(client) == "user.2"
    assert [kind for kind, *_ in springfield.events()] == ["user.invited", "user.registered", "user.signed-in"]
    assert client.get(page).status_code == 404


def test_errors_of_a_password_are_shown_at_its_field(springfield: Springfield, client: Client) -> None:
    page = f"/springfield/register/{springfield.invitation_now(2)}"
    assert "This password has 5" in text(client.post(page, {"password1": "short", "password2": "short"}))
    assert "do not match" in text(client.post(page, {"password1": GOOD, "password2": "another"}))
    assert "required" in text(client.post(page, {}))
    assert read_username(client) == ""


def test_a_user_signs_in_and_out(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    assert sign_in(client, "user2@agency.example").headers["Location"] == HOME
    assert read_username(client) == "user.2"
    client.post("/springfield/sign-out")
    assert read_username(client) == ""


@pytest.mark.parametrize("name", ["user.2", "user.1", "user.3", "nobody", "nobody@agency.example"])
def test_every_failed_sign_in_gets_the_same_answer(springfield: Springfield, client: Client, name: str) -> None:
    springfield.registered(2)
    models.User.objects.filter(external_id="E-2").update(
        locked_at=models.User.objects.get(external_id="E-2").created_at
    )
    answer = sign_in(client, name, GOOD)
    assert answer.status_code == 200
    assert text(answer) == text(sign_in(Client(), "someone else", "wrong"))


@pytest.mark.parametrize("name", ["user.2", "user.1", "user.3", "nobody"])
def test_every_request_for_a_new_password_gets_the_same_answer(
    springfield: Springfield, client: Client, name: str
) -> None:
    springfield.registered(2)
    answer = client.post("/springfield/forgotten-password", {"name": name})
    assert text(answer) == text(Client().post("/springfield/forgotten-password", {"name": "someone else"}))


def test_a_reset_leads_to_a_new_password_and_in(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    page = f"/springfield/reset/{springfield.reset_now(2)}"
    client.post(page, {"password1": "another good password", "password2": "another good password"})
    assert read_username(client) == "user.2"
    assert "send me a new link" in text(client.get(page)).lower()
    assert sign_in(Client(), "user.2", GOOD).status_code == 200


def test_a_link_of_one_agency_is_nothing_in_another(
    springfield: Springfield, shelbyville: Springfield, client: Client
) -> None:
    token = springfield.invitation_now(2)
    answer = client.get(f"/shelbyville/register/{token}")
    assert answer.status_code == 404
    assert text(answer) == text(client.get("/shelbyville/register/whatever"))


def test_a_session_of_one_agency_is_none_in_another(
    springfield: Springfield, shelbyville: Springfield, client: Client
) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    assert client.cookies[settings.SESSION_COOKIE_NAME]["path"] == HOME
    # A browser would not send the cookie; somebody else might.
    assert client.get("/shelbyville/").status_code == 302
    assert read_username(client) == "user.2"


def test_a_user_that_an_import_deactivates_is_signed_out_at_the_next_click(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    springfield.imported(person(2, STATUS="Inactive"))
    assert read_username(client) == ""
    springfield.imported(person(2))
    assert read_username(client) == ""
    assert sign_in(client, "user.2").status_code == 302


def test_a_new_password_ends_all_other_sessions(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    other = Client()
    for browser in (client, other):
        sign_in(browser, "user.2")
    page = f"/springfield/reset/{springfield.reset_now(2)}"
    Client().post(page, {"password1": "another good password", "password2": "another good password"})
    assert (read_username(client), read_username(other)) == ("", "")


def test_one_address_cannot_try_for_ever(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    for number in range(30):
        sign_in(client, f"nobody{number}", "wrong")
    events = len(springfield.events())
    assert "too many" in text(sign_in(client, "user.2")).lower()
    assert "too many" in text(sign_in(client, "user.2")).lower()
    assert springfield.events()[events:] == [("request.refused", "", "", "refused")]
    elsewhere = Client(REMOTE_ADDR="198.51.100.4")
    assert sign_in(elsewhere, "user.2").status_code == 302


def test_an_address_that_a_client_claims_is_not_believed(springfield: Springfield) -> None:
    for number in range(31):
        last = sign_in(Client(headers={"X-Forwarded-For": f"203.0.113.{number}"}), "nobody", "wrong")
    assert "too many" in text(last).lower()


@pytest.mark.parametrize("zone", ["eth0", "z" * 80])
def test_an_address_is_kept_without_its_zone(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    """PostgreSQL takes no zone in the address of a session, and the trail has no room for a long one."""
    monkeypatch.setattr(settings, "ALLAUTH_TRUSTED_PROXY_COUNT", 1)
    springfield.registered(2)
    client = Client(headers={"X-Forwarded-For": f"fe80::1%{zone}"})
    assert sign_in(client, "user.2", "wrong").status_code == 200
    assert models.Event.objects.latest("pk").address == "fe80::1"
    assert sign_in(client, "user.2").status_code == 302
    assert models.Event.objects.latest("pk").address == "fe80::1"


@pytest.mark.parametrize("path", ["/nowhere/", "/nowhere", "/nowhere/sign-in", "/springfield/nowhere", "/Springfield/"])
def test_what_is_not_there_is_not_found(springfield: Springfield, client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_addresses_lead_where_they_should(springfield: Springfield, client: Client) -> None:
    assert client.get("/springfield").headers["Location"] == HOME
    assert client.get(HOME).headers["Location"] == "/springfield/sign-in?next=/springfield/"
    assert client.get("/").headers["Location"] == HOME
    assert client.get("/springfield/sign-in/not-possible").headers["Location"] == "/springfield/sign-in"
    assert get_script_prefix() == "/"


def test_a_host_that_is_not_ours_is_refused(springfield: Springfield) -> None:
    assert Client(headers={"Host": "evil.example"}).get("/springfield/sign-in").status_code == 400


def test_no_one_registers_without_an_invitation(springfield: Springfield, client: Client) -> None:
    assert client.get("/springfield/sign-up").status_code == 404
    assert "sign up" not in text(client.get("/springfield/sign-in")).lower()
