"""Attacks on sessions and forms: each must come to nothing."""

import re
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from musterbook.accounts import links
from musterbook.directory import models
from tests import worker
from tests.accounts.conftest import GOOD, Springfield, age_session, signed_in
from tests.accounts.test_entrance import HOME, read_username, sign_in, text
from tests.accounts.test_factors import STEP, code, set_up
from tests.directory import cast
from tests.directory.cast import person

COOKIE = settings.SESSION_COOKIE_NAME
SAMPLES = {
    "token": "1-x",
    "number": "01J9ZKQ4M5V7N8P2R3S4T5W6X7",
    "pk": "1",
    "provider_id": "p",
    "organization_slug": "p",
}
"""Something for each part of an address that varies."""
_FROM_OUTSIDE = {"saml_acs"}
"""Pages that a provider's own page sends forms to: what they hold is signed by the provider."""
EVIL = (
    "https://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
    "http:evil.example", "http:///evil.example", "/springfield@evil.example", "//evil.example/springfield/", "\tjavascript:x",
    "http://localhost/", "http://127.0.0.1:1/", "http://testserver.evil.example/", "/shelbyville/", "/%09/evil.example",
    "/springfield", "https:///springfield/", "http://testserver\\@evil.example/",
)  # fmt: skip


@pytest.fixture
def officer(springfield: Springfield, client: Client) -> Client:
    """A browser in which the officer is signed in."""
    springfield.registered(2)
    signed_in(client, "user.2")
    return client


def with_cookie(value: str) -> Client:
    """A browser that has nothing but this session cookie."""
    client = Client()
    client.cookies[COOKIE] = value
    return client


# Session cookies


def test_a_session_that_somebody_else_has_begun_is_not_ones_own_after_signing_in(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(2)
    secret = set_up_codes(springfield)
    attacker = Client()
    sign_in(attacker, "user.2")
    planted = attacker.cookies[COOKIE].value
    victim = with_cookie(planted)
    sign_in(victim, "user.2")
    victim.post(STEP, {"code": code(secret)})
    assert read_username(victim) == "user.2"
    assert victim.cookies[COOKIE].value != planted
    assert read_username(with_cookie(planted)) == ""


def set_up_codes(springfield: Springfield) -> str:
    """The officer has one-time codes from here on."""
    client = Client()
    sign_in(client, "user.2")
    return set_up(client)


def test_the_session_changes_with_each_sign_in(springfield: Springfield, officer: Client) -> None:
    first = officer.cookies[COOKIE].value
    officer.post("/springfield/sign-out")
    assert read_username(with_cookie(first)) == ""
    sign_in(officer, "user.2")
    assert officer.cookies[COOKIE].value != first
    assert read_username(with_cookie(first)) == ""


def test_a_cookie_that_was_tampered_with_opens_nothing(springfield: Springfield, officer: Client) -> None:
    good = officer.cookies[COOKIE].value
    key, _, signature = good.partition(":")
    forged = [
        key, f"{key}:", f":{signature}", f"{key}:{signature[:-1]}", f"{key}:{signature}x", f"{key[1:]}{key[0]}:{signature}",
        f"{key}:{signature[::-1]}", "x" * 5000, f"{key}:{signature}:{signature}", "",
    ]  # fmt: skip
    assert [read_username(with_cookie(value)) for value in forged] == [""] * len(forged)
    assert read_username(with_cookie(good)) == "user.2"


def test_what_stands_in_the_database_opens_nothing(springfield: Springfield, officer: Client) -> None:
    keys = Session.objects.values_list("session_key", flat=True)
    assert keys
    for key in keys:
        assert read_username(with_cookie(key)) == ""
        assert read_username(with_cookie(f"{key}:{key}")) == ""


def test_a_session_cookie_of_one_agency_opens_nothing_in_another(
    springfield: Springfield, shelbyville: Springfield, officer: Client
) -> None:
    value = officer.cookies[COOKIE].value
    for path in ("/shelbyville/", "/shelbyville/my-account/", "/shelbyville/my-account/sessions/"):
        answer = with_cookie(value).get(path)
        assert answer.headers["Location"].startswith("/shelbyville/sign-in")
    assert read_username(officer) == "user.2"


def test_a_session_that_the_database_gives_to_another_agency_ends(
    springfield: Springfield, shelbyville: Springfield, officer: Client
) -> None:
    models.User.objects.filter(pk=springfield.user(2).pk).update(
        agency=shelbyville.agency, external_id="E-9", email_key="9", badge_number_key="9", username_key="9"
    )
    key = officer.cookies[COOKIE].value.partition(":")[0]
    assert read_username(officer) == ""
    assert not Session.objects.filter(session_key=key).exists()


def test_the_cookie_is_kept_from_scripts_and_other_sites(springfield: Springfield, officer: Client) -> None:
    cookie = officer.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", HOME)
    officer.get("/springfield/my-account/")
    assert officer.cookies["csrftoken"]["httponly"]


# Forms that another site sends


def addresses(patterns: list[URLPattern | URLResolver] | None = None, before: str = "") -> Iterator[tuple[str, str]]:
    """Every page of an agency: its name, and an address of it."""
    for pattern in patterns or get_resolver("musterbook.web.urls").url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        else:
            filled = re.sub(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)", lambda m: SAMPLES.get(m[1] or m[2], "p"), route)
            yield pattern.name or "", re.sub(r"[\^$\\]", "", filled)


PAGES = sorted(addresses())
_MINUTES_AT_MOST = 20
"""So long all pages take at most, on a slow machine; there is one event of a kind in a minute."""

pytestmark = pytest.mark.any_database


def test_every_page_is_tried() -> None:
    names = {name for name, _ in PAGES}
    assert {"account_login", "account_logout", "import_users", "usersessions_list", "mfa_activate_totp"} <= names
    assert all("<" not in path and "(" not in path for _, path in PAGES)


@pytest.mark.parametrize("signed_in", [True, False])
def test_no_page_takes_a_form_of_another_site(springfield: Springfield, signed_in: bool) -> None:
    springfield.registered(1)
    client = Client(enforce_csrf_checks=True)
    if signed_in:
        client.cookies = sign_in_as("user.1").cookies
    last, sessions = models.Event.objects.latest("pk").pk, Session.objects.count()
    forms: tuple[dict[str, str], ...] = ({}, {"csrfmiddlewaretoken": "x" * 64})
    tried = [(name, f"/springfield/{path}") for name, path in PAGES if name not in _FROM_OUTSIDE]
    answers = {name: {client.post(path, form).status_code for form in forms} for name, path in tried}
    assert {name: codes for name, codes in answers.items() if codes != {403}} == {}
    events = models.Event.objects.filter(pk__gt=last)
    assert {event.kind for event in events} == {"request.refused"}
    # Another site can have a browser send as many as it likes: they are counted together, signed in or not.
    assert len(events) <= _MINUTES_AT_MOST
    assert Session.objects.count() == sessions


def sign_in_as(name: str) -> Client:
    """A browser in which that user is signed in."""
    client = Client()
    signed_in(client, name)
    return client


def test_our_own_forms_bear_what_they_need(springfield: Springfield) -> None:
    springfield.registered(2)
    client = Client(enforce_csrf_checks=True)
    for form in ({"login": "user.2", "password": GOOD},):
        page = client.get("/springfield/sign-in").content.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token
        client.post("/springfield/sign-in", {**form, "csrfmiddlewaretoken": token.group(1)})
    assert read_username(client) == "user.2"
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(HOME).content.decode())
    assert token
    client.post("/springfield/sign-out", {"csrfmiddlewaretoken": token.group(1)})
    assert read_username(client) == ""


# Where pages lead on to


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("way", ["query", "form"])
def test_no_page_leads_to_another_site(
    springfield: Springfield, shelbyville: Springfield, client: Client, evil: str, way: str
) -> None:
    springfield.registered(2)
    paths = {
        "/springfield/sign-in": {"login": "user.2", "password": GOOD},
        "/springfield/sign-in/again": {"password": GOOD},
        "/springfield/sign-out": {},
    }
    for path, fields in paths.items():
        query = {"next": evil} if way == "query" else {}
        sent = {**fields, **({"next": evil} if way == "form" else {})}
        answer = client.post(path, sent, query_params=query)
        assert answer.status_code == 302, path
        assert answer.headers["Location"] in (HOME, "/springfield/sign-in"), path


def test_who_is_signed_in_already_is_not_led_elsewhere_either(springfield: Springfield, officer: Client) -> None:
    for evil in EVIL:
        answer = officer.get("/springfield/sign-in", {"next": evil})
        assert answer.headers["Location"] == HOME


@pytest.mark.parametrize("good", ["/springfield/my-account/", "/springfield/?a=b"])
def test_pages_lead_on_within_the_agency(springfield: Springfield, client: Client, good: str) -> None:
    springfield.registered(2)
    assert sign_in(client, "user.2", next=good).headers["Location"] == good


# What browsers are told


@pytest.mark.parametrize("path", ["", "sign-in", "my-account/", "my-account/sessions/", "nowhere", "users/import"])
def test_no_page_is_framed_or_kept(springfield: Springfield, officer: Client, path: str) -> None:
    for client in (officer, Client()):
        headers = client.get(f"/springfield/{path}").headers
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "no-store" in headers["Cache-Control"] and "private" in headers["Cache-Control"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


# Signing out, and signing in as another


def test_signing_out_by_a_link_does_nothing(springfield: Springfield, officer: Client) -> None:
    assert "Sign out" in text(officer.get("/springfield/sign-out"))
    officer.get("/springfield/sign-out", {"next": "/springfield/"})
    officer.head("/springfield/sign-out")
    assert read_username(officer) == "user.2"


def test_who_is_signed_in_stays_who_they_are(springfield: Springfield, officer: Client) -> None:
    springfield.registered(1)
    assert sign_in(officer, "user.1").headers["Location"] == HOME
    assert read_username(officer) == "user.2"


@pytest.mark.parametrize("kind", ["register", "reset"])
def test_a_link_of_another_signs_the_first_out_before(springfield: Springfield, officer: Client, kind: str) -> None:
    if kind == "reset":
        springfield.registered(1)
    token = springfield.reset_now(1) if kind == "reset" else springfield.invitation_now(1)
    before = officer.cookies[COOKIE].value
    fields = {"password1": "another good password", "password2": "another good password"}
    officer.post(f"/springfield/{kind}/{token}", fields)
    assert read_username(officer) == "user.1"
    assert read_username(with_cookie(before)) == ""
    events = [(kind, actor) for kind, actor, *_ in springfield.events()]
    assert events[-2:] == [("user.signed-out", "E-2"), ("user.signed-in", "E-1")]
    # What the first one had shown is not the second one's.
    assert models.Event.objects.latest("id").changes == '{"factors":["","password"]}'


def test_a_form_that_another_left_behind_is_not_taken_as_ones_own(springfield: Springfield, officer: Client) -> None:
    set_up(officer)
    springfield.registered(1)
    age_session(officer, 16)
    officer.post("/springfield/my-account/second-factors/totp/deactivate/")
    token = springfield.reset_now(1)
    officer.post(f"/springfield/reset/{token}", {"password1": GOOD + "!", "password2": GOOD + "!"})
    assert read_username(officer) == "user.1"
    page = "/springfield/sign-in/again?next=/springfield/my-account/second-factors/totp/deactivate/"
    officer.post(page, {"password": GOOD + "!"})
    assert "user.second-factor-removed" not in [kind for kind, *_ in springfield.events()]


def test_a_link_in_hand_does_not_survive_the_session_of_its_user(springfield: Springfield, officer: Client) -> None:
    token = springfield.reset_now(2)
    springfield.imported(person(2, STATUS="Inactive"))
    springfield.imported(person(2))
    with pytest.raises(links.InvalidLink):
        links.find_user(springfield.agency, "reset", token, springfield.user(2).created_at)


def test_nobody_gives_anybody_a_role_above_their_own(
    springfield: Springfield, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.at_hand(monkeypatch)
    springfield.imported(person(5, ROLE="Chief"))
    springfield.registered(5)
    sign_in(client, "user.5")
    rows = [person(5, ROLE="Admin"), person(6, ROLE="Admin"), person(1, ROLE="Admin", EMAIL="mine@evil.example")]
    plan = _send_file(client, rows)
    client.post(plan)
    assert client.get(plan).content.decode().count("permissions that yours does not") >= 3
    roles = dict(models.User.objects.filter(agency=springfield.agency).values_list("external_id", "role__name"))
    assert roles == {"E-1": "Admin", "E-2": "Officer", "E-3": "Officer", "E-5": "Chief"}
    assert springfield.user(1).email == "user1@agency.example"


def _send_file(client: Client, rows: list[dict[str, str]]) -> str:
    """Sends a file of these rows; gives the address of its plan."""
    file = SimpleUploadedFile("roster.csv", cast.file(rows))
    answer = client.post("/springfield/users/import", {"mode": "update", "file": file})
    return str(answer.headers["Location"])
