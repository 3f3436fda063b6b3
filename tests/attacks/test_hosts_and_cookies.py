"""Attacks by the host, the scheme, cookies, sessions of nobody, and GETs that act."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings as configured
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from musterbook.accounts import tokens
from musterbook.accounts.tokens import TokenData
from musterbook.config import environment
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from tests.accounts.conftest import GOOD, Springfield, age_session, context
from tests.accounts.test_attacks import PAGES as ADDRESSES
from tests.accounts.test_entrance import HOME, sign_in, text
from tests.directory.cast import person
from tests.web.every_page import pages

HTTPS = "https://muster.example.org"
OTHERS = (
    "evil.example", "evil.example:8000", "localhost.evil.example", "muster.example.org.evil.example", "muster.example.org:8443",
    "MUSTER.example.org:81", "muster.example.org@evil.example", "", "a b", "127.0.0.2", "[::2]", "0.0.0.0", "2130706433",
)  # fmt: skip
ASKED = (
    "/", "/springfield", "/springfield/", "/springfield/sign-in", "/springfield/forgotten-password", "/springfield/users/",
    "/springfield/api/v1/me", "/nowhere", "/springfield/sign-in/with/saml/county/metadata/", "/static/muster.css",
    "/Readyz", "/readyz/", "/nowhere/api", "/springfield/api", "/springfield/api/", "/springfield/%61pi/me", "/api",
    "/springfield/apis", "/springfield/users/api/v1/me",
)  # fmt: skip
PROGRAMS = {path for path in ASKED if path.startswith(("/springfield/api/", "/springfield/%61pi/"))} | {
    "/nowhere/api", "/springfield/api",
}  # fmt: skip
"""Those for programs: a redirect would hide that they send their token without encryption."""


@pytest.fixture
def https(settings: Settings) -> None:
    """An installation that is found by https, behind one proxy."""
    settings.MUSTER_URL = HTTPS
    settings.ALLOWED_HOSTS = ["muster.example.org", "localhost", "127.0.0.1", "[::1]"]
    settings.CSRF_TRUSTED_ORIGINS = [HTTPS]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True


# Hosts


@pytest.mark.any_database
@pytest.mark.parametrize("host", OTHERS)
def test_no_address_answers_to_another_host(springfield: Springfield, https: None, host: str) -> None:
    client = Client(headers={"Host": host, "X-Forwarded-Proto": "https"})
    got = {path: (client.get(path).status_code, client.post(path).status_code) for path in ASKED}
    assert {path: codes for path, codes in got.items() if codes != (400, 400)} == {}


@pytest.mark.any_database
@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host", "X-Forwarded-Server"])
def test_no_other_header_names_the_host(springfield: Springfield, https: None, header: str) -> None:
    client = Client(headers={"Host": "muster.example.org", "X-Forwarded-Proto": "https", header: "evil.example"})
    answer = client.get("/springfield/sign-in")
    assert answer.status_code == 200
    assert b"evil.example" not in answer.content


@pytest.mark.any_database
@pytest.mark.parametrize("host", ["10.0.0.7:8000", "evil.example", "", "muster.example.org"])
def test_a_probe_gets_its_answer_under_any_host_and_without_encryption(db: None, https: None, host: str) -> None:
    answer = Client(headers={"Host": host}).get("/readyz")
    assert (answer.status_code, answer.content) == (200, b"ok")


@pytest.mark.any_database
@pytest.mark.parametrize("host", ["muster.example.org", "muster.example.org:443", "localhost:8000", "127.0.0.1"])
def test_absolute_addresses_begin_with_the_public_one(springfield: Springfield, https: None, host: str) -> None:
    provider = {
        "kind": "saml", "slug": "county", "name": "County", "entity_id": "x", "sso_url": "https://idp.example/in",
        "certificate": "x",
        "match": "email", "claim": "", "trust_email": False, "second_factor": False, "secret": "",
    }  # fmt: skip
    models.Agency.objects.filter(pk=springfield.agency.pk).update(sign_on=[provider])
    client = Client(headers={"Host": host, "X-Forwarded-Proto": "https"}, raise_request_exception=False)
    metadata = client.get("/springfield/sign-in/with/saml/county/metadata/").content.decode()
    named = set(re.findall(r"https?://[^/\"]+/springfield", metadata))
    assert named == {f"{HTTPS}/springfield"}


# Encryption


@pytest.mark.any_database
@pytest.mark.parametrize("said", ["http", "", "https, http", "http, https", "HTTPS", "https,"])
def test_nothing_is_answered_without_encryption(springfield: Springfield, https: None, said: str) -> None:
    client = Client(headers={"Host": "muster.example.org", "X-Forwarded-Proto": said})
    for path in ASKED:
        got = client.get(f"{path}?a=b")
        led = got.status_code == 301 and got.headers["Location"] == f"{HTTPS}{path}?a=b"
        assert led if said == "http" and path not in PROGRAMS else got.status_code == 403, path
        assert client.post(path).status_code == 403
        assert not got.cookies
    answer = client.post("/springfield/sign-in", {"login": "user.1", "password": GOOD})
    assert "served by https alone" in text(answer)


@pytest.mark.any_database
def test_what_a_request_says_of_its_encryption_is_not_believed_without_a_proxy(
    springfield: Springfield, https: None, settings: Settings
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = None
    client = Client(headers={"Host": "muster.example.org", "X-Forwarded-Proto": "https"})
    assert client.get("/springfield/sign-in").status_code == 403
    assert client.get("/springfield/sign-in", secure=True).status_code == 200


@pytest.mark.any_database
def test_an_installation_may_be_found_by_an_ipv6_address(springfield: Springfield, settings: Settings) -> None:
    settings.MUSTER_URL = "http://[2001:db8::7]:8080"
    settings.ALLOWED_HOSTS = [environment.host(settings.MUSTER_URL)]
    for host, status in (("[2001:db8::7]:8080", 200), ("[2001:db8::7]:80", 400), ("[2001:db8::8]:8080", 400)):
        client = Client(headers={"Host": host}, raise_request_exception=False)
        assert client.get("/springfield/sign-in").status_code == status, host


@pytest.mark.any_database
def test_signing_in_works_by_https(springfield: Springfield, https: None) -> None:
    springfield.registered(2)
    headers = {"Host": "muster.example.org", "X-Forwarded-Proto": "https", "Origin": HTTPS}
    client = Client(headers=headers, enforce_csrf_checks=True)
    page = client.get("/springfield/sign-in").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    sent = {"login": "user.2", "password": GOOD, "csrfmiddlewaretoken": token[1]}
    assert client.post("/springfield/sign-in", sent).headers["Location"] == HOME
    other = client.post("/springfield/sign-in", sent, headers={"Origin": "https://evil.example"})
    assert other.status_code == 403


# Cookies and what a browser keeps


def test_cookies_and_headers_of_an_installation_with_https() -> None:
    told = (
        "from musterbook.config import settings as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE,"
        " s.CSRF_COOKIE_SECURE, s.SECURE_HSTS_SECONDS, s.SECURE_HSTS_INCLUDE_SUBDOMAINS)"
    )
    found = {}
    for url in (HTTPS, "http://muster.lan"):
        env = {**os.environ, "MUSTER_URL": url}
        found[url] = subprocess.run(
            [sys.executable, "-c", told], env=env, capture_output=True, text=True, check=True
        ).stdout.split()
    assert found[HTTPS] == ["__Secure-muster_session", "__Secure-csrftoken", "True", "True", "31536000", "True"]
    assert found["http://muster.lan"] == ["muster_session", "csrftoken", "False", "False", "0", "False"]


def test_no_cookie_has_anything_personal(springfield: Springfield, client: Client) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    client.post("/springfield/groups/add", {"external_id": "SECRET", "name": "Secret group", "active": "on"})
    client.post(f"/springfield/groups/{models.Group.objects.latest('pk').pk}/monitor", {"who": "nobody@agency.example"})
    ours = {configured.SESSION_COOKIE_NAME, configured.CSRF_COOKIE_NAME, "muster_browser", "muster_agency"}
    assert set(client.cookies) <= ours
    assert client.cookies["muster_agency"].value.partition(":")[0] == "springfield"
    assert "user.1" not in client.cookies["muster_browser"].value
    assert "nobody@agency.example" in text(client.get("/springfield/groups/"))


def test_signing_out_has_the_browser_forget_the_pages(springfield: Springfield, client: Client) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    assert "Clear-Site-Data" not in client.get("/springfield/sign-out").headers
    answer = client.post("/springfield/sign-out")
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert "Clear-Site-Data" not in client.post("/springfield/sign-out").headers


@pytest.mark.django_db
def test_a_session_that_ends_by_itself_has_the_browser_forget_the_pages(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    assert "Clear-Site-Data" not in client.get("/springfield/").headers
    age_session(client, 31)
    assert client.get("/springfield/").headers["Clear-Site-Data"] == '"cache", "storage"'
    assert "Clear-Site-Data" not in client.get("/springfield/sign-in").headers


@pytest.mark.django_db
def test_a_database_that_is_away_is_no_error_of_the_page(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError from psycopg.OperationalError("connection refused")

    monkeypatch.setattr(models.Agency.objects, "get", away)
    answer = Client(raise_request_exception=False).get("/springfield/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "Nothing has changed" in text(answer)


BODIES: tuple[Any, ...] = (
    {}, {"next": "/springfield/", "SAMLResponse": "x" * 5000, "login": "user.9", "password": "x", "credential": "{}"},
)  # fmt: skip
NEED_A_SESSION = {
    "GET mfa_login_webauthn": "the challenge that a passkey answers",
    "GET saml_acs": "what a provider sends; tests of single sign-on attack it",
}
"""What keeps something for a client that is not signed in, and why. It is small, limited by address, and kept for minutes."""


def test_who_is_not_signed_in_writes_no_session(springfield: Springfield) -> None:
    wrote = set()
    for name, path in ADDRESSES:
        for method, body in (("GET", {}), *(("POST", one) for one in BODIES if name != "saml_acs")):
            client = Client(raise_request_exception=False)
            getattr(client, method.lower())(f"/springfield/{path}", body)
            if Session.objects.exists():
                wrote.add(f"{method} {name}")
                lasts = Session.objects.latest("expire_date").expire_date - datetime.now(UTC)
                if lasts > timedelta(minutes=30) and name != "saml_acs":
                    wrote.add(f"{method} {name} for hours")
                Session.objects.all().delete()
    assert wrote - set(NEED_A_SESSION) == set()


# GETs


TOLD = {"audit", "export_users"}
"""Pages whose opening is an event of its own (who looked at the audit trail, who exported)."""


def database() -> Iterator[tuple[str, list[Any]]]:
    """All that the database holds, but when somebody was last seen, and sessions."""
    for model in apps.get_models():
        if model._meta.label not in {
            "sessions.Session",
            "usersessions.UserSession",
            "accounts.Attempts",  # counts of limits
            "contenttypes.ContentType",
            "auth.Permission",
        }:
            yield model._meta.label, list(model._default_manager.order_by("pk").values())


def test_no_get_changes_anything(springfield: Springfield, client: Client) -> None:
    springfield.imported(person(2, EVIDENCE_GROUP_EXT_ID="PATROL"))
    springfield.registered(1)
    springfield.registered(2)
    tokens.create_token(
        springfield.agency,
        TokenData("HR", frozenset({"users.view"}), 90),
        context(),
        snapshot_queries.read_operator(springfield.agency, "E-1"),
    )
    sign_in(client, "user.1")
    paths = {one.name: f"/springfield/{one.path(springfield.agency)}" for one in pages()}
    paths |= {f"{name} of the library": f"/springfield/{path}" for name, path in ADDRESSES if name not in paths}
    changed = {}
    before = dict(database())
    for name, path in paths.items():
        client.get(path)
        client.head(path)
        now = dict(database())
        if now != before:
            kinds = [one["kind"] for one in now["directory.Event"][len(before["directory.Event"]) :]]
            changed[name] = sorted({label for label in now if now[label] != before[label]}), sorted(set(kinds))
            before = now
    trail = {"directory.Event", "directory.Passage", "directory.TrailEnd", "directory.TrailLink"}
    assert {name: tables for name, (tables, _) in changed.items() if not set(tables) <= trail} == {}
    assert {name: kinds for name, (_, kinds) in changed.items() if name not in TOLD} == {}


@pytest.mark.any_database
@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT"])
def test_what_is_sent_is_not_said_back(springfield: Springfield, client: Client, method: str) -> None:
    for path in ("/", "/readyz", "/springfield/sign-in", "/springfield/forgotten-password"):
        assert client.generic(method, path, "secret").status_code == 405
