"""Attacks by way of SAML: assertions that are not for us, answers that are wrapped, stolen, or sent again."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from musterbook.accounts import saml
from musterbook.accounts.limits import RATES
from musterbook.accounts.models import Account, Attempts, Identity
from musterbook.config import secret_keys
from musterbook.directory import models
from tests.accounts.conftest import Springfield
from tests.accounts.test_entrance import read_username
from tests.accounts.test_saml import ACS, ENTITY, METADATA, SAML, Idp, assertion, begin_request, bring, response
from tests.accounts.test_sign_on import add_provider, oidc_settings
from tests.attacks.test_single_sign_on import FAILED, USER

pytestmark = pytest.mark.any_database


@pytest.fixture(scope="module")
def idp() -> Idp:
    return Idp()


@pytest.fixture
def county(springfield: Springfield, idp: Idp) -> Springfield:
    """The agency, whose users sign in by SAML."""
    add_provider(
        springfield, kind="saml", entity_id=ENTITY, sso_url="https://idp.county.example/sso", certificate=idp.certificate,
        secret="",
    )  # fmt: skip
    return springfield


def _without(found: str, instead: str = "") -> Callable[[str], str]:
    def change(xml: str) -> str:
        assert found in xml
        return xml.replace(found, instead)

    return change


@pytest.mark.parametrize(
    "lie",
    [
        _without(f"<saml:AudienceRestriction>\n<saml:Audience>{METADATA}</saml:Audience></saml:AudienceRestriction>"),
        _without(f' Recipient="{ACS}"'), _without(f'Recipient="{ACS}"', f'Recipient="https://evil.example/?{ACS}"'),
        _without(f'Recipient="{ACS}"', f'Recipient="{ACS}x"'), _without("cm:bearer", "cm:holder-of-key"),
        _without('InResponseTo="NUMBER" '), _without('InResponseTo="NUMBER"', 'InResponseTo="ONELOGIN_other"'),
        _without(ENTITY, "https://evil.example/"),
    ],
)  # fmt: skip
def test_a_signed_assertion_that_is_not_for_us_here_now_lets_nobody_in(
    county: Springfield, idp: Idp, client: Client, lie: Callable[[str], str]
) -> None:
    number = begin_request(client)
    xml = lie(assertion("NUMBER")).replace("NUMBER", number)
    assert bring(client, response(number, idp.signed(xml))).status_code in (302, 403)
    assert read_username(client) == "" and not Account.objects.exists()


def test_an_assertion_nobody_asked_for_is_not_made_an_answer_by_what_is_not_signed(
    county: Springfield, idp: Idp, client: Client
) -> None:
    """The signed part answers nothing; the attacker writes the number of their own question around it."""
    number = begin_request(client)
    xml = assertion("NUMBER").replace('InResponseTo="NUMBER" ', "")
    bring(client, response(number, idp.signed(xml)))
    assert read_username(client) == ""


def test_a_comment_within_an_address_does_not_cut_it_off(county: Springfield, idp: Idp, client: Client) -> None:
    number = begin_request(client)
    xml = assertion(number, email="user2@agency.example<!-- -->.evil.example")
    assert bring(client, response(number, idp.signed(xml))).status_code in (302, 403)
    assert read_username(client) == ""


@pytest.mark.parametrize("slug", ["county", "other", "x" * 300, "..", "%00"])
@pytest.mark.parametrize("kind", [{}, {"kind": "oidc", "server": "https://a.example", "client_id": "x", "secret": ""}])
def test_where_there_is_no_such_provider_nothing_is_stored(
    springfield: Springfield, client: Client, slug: str, kind: dict[str, str]
) -> None:
    if kind:
        add_provider(springfield, **kind)
    for address in ("acs/", "acs/finish/", "login/", "metadata/"):
        answer = client.post(f"/springfield/sign-in/with/saml/{slug}/{address}", {"SAMLResponse": "x" * 100_000})
        assert answer.status_code == 404
    assert not Session.objects.exists() and not Attempts.objects.exists() and not client.cookies


def test_what_is_posted_is_not_stored_and_limited_in_size_and_number(county: Springfield, client: Client) -> None:
    for sent in ("x", "x" * 100_000, "x" * (saml.LARGEST + 1), "x" * 2_000_000, ""):
        answer = client.post(f"{SAML}acs/", {"SAMLResponse": sent})
        assert answer.headers.get("Location") == FAILED or (len(sent) > saml.LARGEST and answer.status_code == 413)
    for _ in range(RATES["failed sign-on"].most):
        answer = client.post(f"{SAML}acs/", {"SAMLResponse": "x" * 1000})
    assert answer.status_code == 429
    assert not Session.objects.exists() and not client.cookies
    assert client.get(f"{SAML}acs/").headers["Location"].startswith("/springfield/sign-in")


def test_a_checked_answer_is_brought_on_by_a_short_cookie_and_not_by_a_session(
    county: Springfield, idp: Idp, client: Client
) -> None:
    number = begin_request(client)
    step = client.post(f"{SAML}acs/", {"SAMLResponse": response(number, idp.signed(assertion(number)))})
    cookie = step.cookies["muster_sign_on_answer"]
    assert cookie["httponly"] and cookie["max-age"] == 120 and len(cookie.value) < 4000
    assert USER not in cookie.value and not Session.objects.exists()
    other = Client()
    other.cookies["muster_sign_on_answer"] = cookie.value
    assert other.get(step.headers["Location"]).headers["Location"] == FAILED
    assert read_username(other) == ""


def test_an_answer_by_saml_is_used_once_even_if_the_browser_keeps_its_cookies(
    county: Springfield, idp: Idp, client: Client
) -> None:
    number = begin_request(client)
    step = client.post(f"{SAML}acs/", {"SAMLResponse": response(number, idp.signed(assertion(number)))})
    kept = {name: morsel.value for name, morsel in client.cookies.items()}
    client.get(step.headers["Location"])
    assert read_username(client) == "user.2"
    again = Client()
    for name, value in kept.items():
        again.cookies[name] = value
    again.get(step.headers["Location"])
    assert read_username(again) == ""


def test_a_sealed_cookie_of_one_purpose_or_agency_is_nothing_in_another(
    county: Springfield, shelbyville: Springfield, idp: Idp, client: Client
) -> None:
    models.Agency.objects.filter(pk=shelbyville.agency.pk).update(sign_on=[oidc_settings(county)])
    number = begin_request(client)
    step = client.post(f"{SAML}acs/", {"SAMLResponse": response(number, idp.signed(assertion(number)))})
    asked, answer = client.cookies["muster_sign_on"].value, step.cookies["muster_sign_on_answer"].value
    for agency, first, second in (
        ("shelbyville", asked, answer),
        ("springfield", answer, asked),
        ("springfield", "x", "y"),
    ):
        other = Client()
        other.cookies["muster_sign_on"], other.cookies["muster_sign_on_answer"] = first, second
        path = step.headers["Location"].replace("springfield", agency)
        assert other.get(path).headers["Location"].endswith("/sign-in/failed")


def test_an_old_key_does_not_forge_answers_of_providers(
    county: Springfield, idp: Idp, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = begin_request(client)
    step = client.post(f"{SAML}acs/", {"SAMLResponse": response(number, idp.signed(assertion(number)))})
    current, *_ = secret_keys.ring()
    newer = secret_keys.Key("another key, of which nobody knows anything yet", "a test")
    monkeypatch.setattr(secret_keys, "ring", lambda: (newer, current))
    assert client.get(step.headers["Location"]).headers["Location"] == FAILED
    assert read_username(client) == ""


def test_by_saml_a_user_is_bound_to_the_lasting_name_and_not_to_a_transient_one(
    county: Springfield, idp: Idp, client: Client
) -> None:
    def comes(name: str, form: str) -> str:
        browser = Client()
        number = begin_request(browser)
        xml = (
            assertion(number).replace(">p-2<", f">{name}<").replace("nameid-format:persistent", f"nameid-format:{form}")
        )
        bring(browser, response(number, idp.signed(xml)))
        return read_username(browser)

    assert comes("t-1", "transient") == comes("t-2", "transient") == "user.2"
    Identity.objects.all().delete()
    assert comes("p-2", "persistent") == "user.2"
    assert comes("p-3", "persistent") == ""


@pytest.mark.parametrize(
    ("asked", "minutes", "enters"),
    [({"acr": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"}, 0, True), ({"acr": "urn:x:mfa"}, 0, False),
     ({"max_age_minutes": 10}, 0, True), ({"max_age_minutes": 10}, 30, False)],
)  # fmt: skip
def test_by_saml_too_who_signed_in_too_weakly_or_too_long_ago_stays_out(
    county: Springfield, idp: Idp, client: Client, asked: Any, minutes: int, enters: bool
) -> None:
    add_provider(county, **(oidc_settings(county) | asked))
    number = begin_request(client)
    xml = assertion(number)
    instant = xml.partition('AuthnInstant="')[2].partition('"')[0]
    earlier = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - minutes * 60))
    xml = xml.replace(f'AuthnInstant="{instant}"', f'AuthnInstant="{earlier}"')
    bring(client, response(number, idp.signed(xml)))
    assert (read_username(client) == "user.2") is enters


def test_our_entity_id_does_not_follow_the_host_that_a_request_names(county: Springfield) -> None:
    metadata = Client(headers={"Host": "127.0.0.1"}).get(f"{SAML}metadata/").content.decode()
    assert METADATA in metadata and "127.0.0.1" not in metadata
