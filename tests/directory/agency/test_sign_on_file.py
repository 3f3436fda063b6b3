"""The providers in an agency file: read, kept without their secrets, and everything wrong with them named."""

import pytest
from pytest_django import Settings

from musterbook.config import encryption
from musterbook.directory import models
from musterbook.directory.agency import agencies, agency_file, sign_on_file
from musterbook.directory.audit.trail import AuditContext
from tests.certificates import CERTIFICATE
from tests.directory.cast import NOW

HEAD = 'slug = "springfield"\nname = "Springfield"\n'
OIDC = """
[[sign_on]]
slug = "county"
name = "County"
kind = "oidc"
server = "https://login.county.example"
client_id = "musterbook"
client_secret = "hush"
"""
SAML = f"""
[[sign_on]]
slug = "state"
name = "State"
kind = "saml"
entity_id = "https://idp.state.example/"
sso_url = "https://idp.state.example/sso"
certificate = '''{CERTIFICATE}'''
match = "external_id"
claim = "employee"
"""
CONTEXT = AuditContext(NOW, "", "cli")


def bring_file(text: str) -> dict[str, tuple[str, str]]:
    return dict(agencies.apply_file(agency_file.read_agency_file((HEAD + text).encode()), CONTEXT).changes)


def list_errors(text: str) -> list[str]:
    with pytest.raises(agency_file.InvalidAgencyFile) as caught:
        agency_file.read_agency_file((HEAD + text).encode())
    return caught.value.problems


@pytest.mark.django_db
def test_providers_are_kept_and_shown_without_their_secrets() -> None:
    provider_list = bring_file(OIDC + SAML)
    made = models.Agency.objects.get()
    assert [provider["slug"] for provider in made.sign_on] == ["county", "state"]
    assert encryption.unseal(made.sign_on[0]["secret"]) == "hush"
    assert "hush" not in str(made.sign_on) + str(provider_list)
    assert "secret " in provider_list["sign_on county"][1]
    assert "match external_id, claim employee" in provider_list["sign_on state"][1]
    assert "BEGIN" not in provider_list["sign_on state"][1]
    assert "hush" not in models.Event.objects.get().changes


@pytest.mark.django_db
def test_the_same_providers_again_change_nothing_and_another_secret_does() -> None:
    bring_file(OIDC)
    assert bring_file(OIDC) == {}
    assert list(bring_file(OIDC.replace("hush", "quiet"))) == ["sign_on county"]
    assert bring_file("") == {}
    assert list(bring_file(SAML)) == ["sign_on county", "sign_on state"]


def test_a_secret_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTY", "from elsewhere")
    parsed = agency_file.read_agency_file(
        (HEAD + OIDC.replace('client_secret = "hush"', 'client_secret_env = "COUNTY"')).encode()
    )
    assert parsed.sign_on
    assert encryption.unseal(parsed.sign_on[0]["secret"]) == "from elsewhere"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "oidc"', 'kind = "ldap"', "kind is 'ldap': write “oidc” or “saml”"),
        ('slug = "county"', 'slug = "The County"', "slug: “The County” is not a short name"),
        ('name = "County"', "", "name: This is missing"),
        ('name = "County"', "name = 5", "name is 5, which is not text"),
        ("https://login", "http://login", "server: “http://login.county.example” is not an address"),
        ("https://login.county.example", "https://[", "server: “https://[” is not an address"),
        ('client_id = "musterbook"', "", "client_id: This is missing"),
        ('client_secret = "hush"', 'client_secret_env = "NOT_THERE"', "There is no environment variable NOT_THERE"),
        ('client_secret = "hush"', "trust_email = 1", "trust_email is 1. Write true or false"),
        ('client_secret = "hush"', 'match = "name"', "match: “name” cannot be used here"),
        ('client_secret = "hush"', 'match = "external_id"', "claim: This is missing"),
        ('client_secret = "hush"', 'colour = "red"', "there is no setting “colour”"),
    ],
)
def test_what_is_wrong_with_a_provider_is_named(old: str, new: str, said: str) -> None:
    problems = list_errors(OIDC.replace(old, new))
    assert any(said in problem and "[[sign_on]] number 1" in problem for problem in problems), problems


def test_two_providers_of_one_name_and_no_list_of_them_are_named() -> None:
    assert "two providers have the slug county" in list_errors(OIDC + OIDC)[0]
    assert "sign_on is not a list of tables" in list_errors("sign_on = 5")[0]


def test_on_this_machine_alone_an_address_need_not_be_secure() -> None:
    assert agency_file.read_agency_file(
        (HEAD + OIDC.replace("https://login.county.example", "http://localhost:9")).encode()
    ).sign_on


def test_a_mark_says_nothing_of_a_secret_to_another_installation(settings: Settings) -> None:
    provider_list = agency_file.read_agency_file((HEAD + OIDC).encode()).sign_on
    assert provider_list
    here = sign_on_file.describe_provider(provider_list[0])
    assert encryption.make_fingerprint("hush") in here
    settings.SECRET_KEY = "another"
    assert encryption.make_fingerprint("hush") not in here
