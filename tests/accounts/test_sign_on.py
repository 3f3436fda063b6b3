"""Single sign-on: OpenID Connect with a real provider on loopback, SAML with signed answers, and both attacked."""

import base64
import re
import textwrap
import uuid
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.http import HttpResponse
from django.test import Client
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Saml
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from musterbook import jobs, secrecy
from musterbook.accounts.models import Account
from musterbook.core.report import Rows
from musterbook.directory import agency_file, history, models
from tests.accounts.conftest import Springfield, age
from tests.accounts.test_entrance import HOME, sign_in, text, who
from tests.directory import cast
from tests.directory.cast import person

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what the provider uses
    import oidc_provider_mock

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the provider uses, in a thread of ours
OIDC = "/springfield/sign-in/with/oidc/county/login/"
SAML = "/springfield/sign-in/with/saml/county/"


@pytest.fixture
def client() -> Client:
    """A browser: it names the host that it asks, as SAML wants it."""
    return Client(headers={"Host": "testserver"})


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A provider on loopback that knows some people; its address."""
    people = [
        oidc_provider_mock.User(sub="1", claims={"email": "user1@agency.example", "email_verified": True}),
        oidc_provider_mock.User(
            sub="2", claims={"email": "USER2@agency.example", "email_verified": True, "employee": "E-2"}
        ),
        oidc_provider_mock.User(sub="3", claims={"email": "user3@agency.example", "email_verified": True}),
        oidc_provider_mock.User(sub="unsure", claims={"email": "user2@agency.example", "email_verified": False}),
        oidc_provider_mock.User(
            sub="liar", claims={"email": "user1@agency.example", "email_verified": True, "employee": "E-2"}
        ),
        oidc_provider_mock.User(sub="stranger", claims={"email": "nobody@agency.example", "email_verified": True}),
    ]
    with oidc_provider_mock.run_server_in_thread(user_claims=people) as server:
        yield f"http://localhost:{server.server_port}"


def has(made: Springfield, **settings: Any) -> None:
    """Gives the agency a provider."""
    usual = {
        "slug": "county",
        "name": "County",
        "match": "email",
        "claim": "",
        "trust_email": False,
        "second_factor": False,
    }
    models.Agency.objects.filter(pk=made.agency.pk).update(sign_on=[usual | settings])


def oidc_by(made: Springfield, server: str, **more: Any) -> None:
    """Gives the agency the provider at that address."""
    has(made, **({"kind": "oidc", "server": server, "client_id": "musterbook", "secret": secrecy.seal("hush")} | more))


@pytest.fixture
def oidc(springfield: Springfield, provider: str) -> Springfield:
    """The agency, whose users sign in by the provider."""
    oidc_by(springfield, provider)
    return springfield


def asked(client: Client, start: str = OIDC) -> str:
    """Begins, and gives the address at the provider that the browser is sent to."""
    return str(client.post(start).headers["Location"])


def answered(address: str, sub: str) -> str:
    """What the provider sends the browser back to, when the person says who they are."""
    answer = requests.post(address, data={"sub": sub}, allow_redirects=False, timeout=10)
    return str(answer.headers["Location"])


def local(address: str) -> str:
    """The address without its host."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def come_in(client: Client, sub: str) -> HttpResponse:
    """The whole way round."""
    return client.get(local(answered(asked(client), sub)))  # type: ignore[return-value]


def test_a_user_comes_in_by_the_provider_and_is_registered_by_that(oidc: Springfield, client: Client) -> None:
    assert come_in(client, "2").headers["Location"] == HOME
    assert who(client) == "user.2"
    user = oidc.user(2)
    assert user.registered_at
    assert not user.account.has_usable_password()
    assert oidc.events() == [("user.registered", "E-2", "E-2", ""), ("user.signed-in", "E-2", "E-2", "")]
    assert models.Event.objects.latest("id").changes == '{"factors":["","county"]}'
    client.post("/springfield/sign-out")
    come_in(client, "2")
    assert Account.objects.count() == 1
    assert who(client) == "user.2"


@pytest.mark.parametrize("sub", ["3", "stranger", "unsure"])
def test_who_is_inactive_unknown_or_not_vouched_for_is_told_the_same(
    oidc: Springfield, client: Client, sub: str
) -> None:
    told = come_in(client, sub)
    assert told.status_code == 403
    assert text(told) == text(come_in(Client(), "stranger"))
    assert who(client) == ""
    assert not Account.objects.exists()
    assert oidc.events()[-1][0] == "user.sign-in-failed"


def test_an_address_that_the_configuration_trusts_needs_no_voucher(
    oidc: Springfield, provider: str, client: Client
) -> None:
    oidc_by(oidc, provider, trust_email=True)
    come_in(client, "unsure")
    assert who(client) == "user.2"


def test_where_the_external_id_decides_an_address_decides_nothing(
    oidc: Springfield, provider: str, client: Client
) -> None:
    oidc_by(oidc, provider, match="external_id", claim="employee")
    come_in(client, "liar")
    assert who(client) == "user.2"
    other = Client()
    assert come_in(other, "1").status_code == 403


def test_a_user_with_a_password_keeps_it(oidc: Springfield, client: Client) -> None:
    account = oidc.registered(2)
    come_in(client, "2")
    assert who(client) == "user.2"
    assert Account.objects.get() == account
    assert sign_in(Client(), "user.2").status_code == 302


def test_a_lock_does_not_hold_up_a_provider(oidc: Springfield, client: Client) -> None:
    models.User.objects.update(locked_at=jobs.now())
    come_in(client, "2")
    assert who(client) == "user.2"


def test_the_provider_answers_for_the_second_factor_unless_the_agency_says_otherwise(
    oidc: Springfield, provider: str, client: Client
) -> None:
    models.Role.objects.update(second_factor=True)
    come_in(client, "2")
    assert who(client) == "user.2"
    oidc_by(oidc, provider, second_factor=True)
    assert client.get(HOME).headers["Location"].endswith("/second-factors/")


def test_signing_in_again_is_asked_of_who_has_nothing_but_the_provider(oidc: Springfield, client: Client) -> None:
    come_in(client, "2")
    page = "/springfield/my-account/second-factors/totp/activate/"
    assert client.get(page).status_code == 200
    age(client, 16)
    assert client.get(page).headers["Location"].startswith("/springfield/sign-in")


def test_the_page_offers_the_provider_and_may_lead_there(oidc: Springfield, provider: str, client: Client) -> None:
    page = client.get("/springfield/sign-in")
    assert "Sign in with County" in text(page)
    assert f"form-action 'self' {provider};" in page.headers["Content-Security-Policy"]


def test_it_is_begun_by_a_form_with_proof_of_work_and_state(oidc: Springfield, client: Client) -> None:
    assert client.get(OIDC).status_code == 200
    told = parse_qs(urlsplit(asked(client)).query)
    assert told["code_challenge_method"] == ["S256"]
    assert told["redirect_uri"] == ["http://testserver/springfield/sign-in/with/oidc/county/login/callback/"]
    assert Client(enforce_csrf_checks=True).post(OIDC).status_code == 403


def test_an_answer_is_good_for_the_browser_that_asked_and_once(oidc: Springfield, client: Client) -> None:
    back = local(answered(asked(client), "2"))
    thief = Client()
    thief.get(back)
    assert who(thief) == ""
    client.get(back)
    assert who(client) == "user.2"
    client.post("/springfield/sign-out")
    client.get(back)
    assert who(client) == ""


def test_a_made_up_code_or_a_refusal_lets_nobody_in(oidc: Springfield, client: Client) -> None:
    back = local(answered(asked(client), "2"))
    assert client.get(re.sub(r"code=[^&]*", "code=made-up", back)).headers["Location"] == "/springfield/sign-in/failed"
    state = parse_qs(urlsplit(asked(client)).query)["state"][0]
    callback = "/springfield/sign-in/with/oidc/county/login/callback/"
    client.get(f"{callback}?error=access_denied&state={state}")
    assert who(client) == ""
    assert client.get("/springfield/sign-in/failed").status_code == 403


def test_a_provider_that_is_away_is_no_failure_of_ours(oidc: Springfield, client: Client) -> None:
    oidc_by(oidc, "http://localhost:1")
    assert asked(client) == "/springfield/sign-in/failed"
    assert oidc.events()[-1] == ("user.sign-in-failed", "", "", "failed")


def test_a_provider_of_one_agency_is_none_in_another(
    oidc: Springfield, shelbyville: Springfield, client: Client
) -> None:
    assert client.post(OIDC.replace("springfield", "shelbyville")).status_code == 404
    back = local(answered(asked(client), "2"))
    assert client.get(back.replace("springfield", "shelbyville")).status_code == 404
    has(shelbyville, **oidc_settings(oidc))
    assert client.get(back.replace("springfield", "shelbyville")).headers["Location"] != "/shelbyville/"
    assert not models.User.objects.filter(agency=shelbyville.agency, registered_at__isnull=False).exists()


def oidc_settings(made: Springfield) -> dict[str, Any]:
    """The agency's provider."""
    told: dict[str, Any] = models.Agency.objects.get(pk=made.agency.pk).sign_on[0]
    return told


def test_it_leads_nowhere_else_afterwards(oidc: Springfield, client: Client) -> None:
    start = client.post(f"{OIDC}?next=https://evil.example/").headers["Location"]
    answer = client.get(local(answered(str(start), "2")))
    assert answer.headers["Location"] == HOME


def test_an_import_that_changes_the_address_a_provider_knows_says_so(oidc: Springfield, client: Client) -> None:
    come_in(client, "2")
    done = cast.run(
        models.Agency.objects.get(pk=oidc.agency.pk),
        [person(1, EMAIL="x@y.example"), person(2, EMAIL="new@agency.example")],
    )
    report = history.report_of(done.record, done.plan, Rows.ALL)
    noted = [(row.external_id, note.code) for row in report.rows for note in row.notes]
    assert noted == [("E-2", "sign-on-address")]
    told = next(note for row in report.rows for note in row.notes)
    assert str(told.as_json()["message"]).startswith(
        "The user signs in by a provider that knows them as “user2@agency.example”"
    )


# SAML: the provider is a key and a certificate, made here; its answers are signed as a provider signs them.

METADATA = f"http://testserver{SAML}metadata/"
ACS = f"http://testserver{SAML}acs/"
ENTITY = "https://idp.county.example/"


class Idp:
    """A provider that signs what it is told to."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
        now = jobs.now()
        made = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1)).sign(self.key, hashes.SHA256())
        )  # fmt: skip
        self.certificate = made.public_bytes(serialization.Encoding.PEM).decode()

    def signed(self, assertion: str) -> str:
        """The assertion with the provider's signature."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        told: bytes | str = OneLogin_Saml2_Utils.add_sign(
            assertion, pem.decode(), self.certificate, sign_algorithm=Saml.RSA_SHA256, digest_algorithm=Saml.SHA256
        )
        return told.decode() if isinstance(told, bytes) else told


@pytest.fixture(scope="module")
def idp() -> Idp:
    """The provider."""
    return Idp()


@pytest.fixture
def saml(springfield: Springfield, idp: Idp) -> Springfield:
    """The agency, whose users sign in by the provider."""
    has(
        springfield, kind="saml", entity_id=ENTITY, sso_url="https://idp.county.example/sso",
        certificate=idp.certificate, secret="",
    )  # fmt: skip
    return springfield


def request_of(client: Client) -> str:
    """Begins, and gives the number of the request that goes to the provider."""
    address = str(client.post(f"{SAML}login/").headers["Location"])
    packed = parse_qs(urlsplit(address).query)["SAMLRequest"][0]
    told = OneLogin_Saml2_Utils.decode_base64_and_inflate(packed).decode()
    found = re.search(r'ID="([^"]+)"', told)
    assert found
    return found.group(1)


def assertion(to: str, email: str = "user2@agency.example", audience: str = METADATA, minutes: int = 0) -> str:
    """What a provider says of somebody, unsigned."""
    now = jobs.now() + timedelta(minutes=minutes)
    stamp, later, before = (
        f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (now, now + timedelta(minutes=5), now - timedelta(minutes=5))
    )
    return textwrap.dedent(f"""\
        <saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_{uuid.uuid4().hex}"
         Version="2.0" IssueInstant="{stamp}"><saml:Issuer>{ENTITY}</saml:Issuer>
        <saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">p-2</saml:NameID>
        <saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
        <saml:SubjectConfirmationData InResponseTo="{to}" NotOnOrAfter="{later}" Recipient="{ACS}"/>
        </saml:SubjectConfirmation></saml:Subject>
        <saml:Conditions NotBefore="{before}" NotOnOrAfter="{later}"><saml:AudienceRestriction>
        <saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions>
        <saml:AuthnStatement AuthnInstant="{stamp}" SessionIndex="_1"><saml:AuthnContext>
        <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>
        </saml:AuthnContext></saml:AuthnStatement>
        <saml:AttributeStatement>
        <saml:Attribute Name="http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress">
        <saml:AttributeValue>{email}</saml:AttributeValue></saml:Attribute>
        <saml:Attribute Name="employee"><saml:AttributeValue>E-2</saml:AttributeValue></saml:Attribute>
        </saml:AttributeStatement></saml:Assertion>""")


def response(to: str, *assertions: str) -> str:
    """An answer with these assertions, as a browser brings it."""
    stamp = f"{jobs.now():%Y-%m-%dT%H:%M:%SZ}"
    asked_by = f'InResponseTo="{to}" ' if to else ""
    told = (
        f'<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_{uuid.uuid4().hex}" Version="2.0" '
        f'IssueInstant="{stamp}" {asked_by}Destination="{ACS}">'
        f'<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">{ENTITY}</saml:Issuer>'
        '<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>'
        f"{''.join(assertions)}</samlp:Response>"
    )
    return base64.b64encode(told.encode()).decode()


def brought(client: Client, told: str, relay: str = "") -> HttpResponse:
    """The browser brings the answer, and goes where it is sent."""
    step = client.post(f"{SAML}acs/", {"SAMLResponse": told, "RelayState": relay})
    return client.get(step.headers["Location"])  # type: ignore[return-value]


def test_a_user_comes_in_by_saml(saml: Springfield, idp: Idp, client: Client) -> None:
    number = request_of(client)
    assert brought(client, response(number, idp.signed(assertion(number)))).headers["Location"] == HOME
    assert who(client) == "user.2"


def test_by_saml_an_attribute_may_hold_the_external_id(saml: Springfield, idp: Idp, client: Client) -> None:
    has(saml, **(oidc_settings(saml) | {"match": "external_id", "claim": "employee"}))
    number = request_of(client)
    brought(client, response(number, idp.signed(assertion(number, email="someone@else.example"))))
    assert who(client) == "user.2"


def test_whom_saml_means_but_the_agency_does_not_know_stays_out(saml: Springfield, idp: Idp, client: Client) -> None:
    for email in ("nobody@agency.example", "user3@agency.example"):
        number = request_of(client)
        assert brought(client, response(number, idp.signed(assertion(number, email)))).status_code == 403
    assert who(client) == ""


def _unsigned(_: Idp, number: str) -> str:
    return response(number, assertion(number))


def _by_another_key(_: Idp, number: str) -> str:
    return response(number, Idp().signed(assertion(number)))


def _changed_after_signing(idp: Idp, number: str) -> str:
    signed = idp.signed(assertion(number)).replace("user2@agency.example", "user1@agency.example")
    return response(number, signed)


def _wrapped(idp: Idp, number: str) -> str:
    """The signed assertion stays, and an unsigned one about somebody else is put before it."""
    return response(number, assertion(number, "user1@agency.example"), idp.signed(assertion(number)))


def _wrapped_after(idp: Idp, number: str) -> str:
    return response(number, idp.signed(assertion(number)), assertion(number, "user1@agency.example"))


def _for_another(idp: Idp, number: str) -> str:
    return response(number, idp.signed(assertion(number, audience=METADATA.replace("springfield", "shelbyville"))))


def _expired(idp: Idp, number: str) -> str:
    return response(number, idp.signed(assertion(number, minutes=-60)))


def _unasked(idp: Idp, _: str) -> str:
    return response("", idp.signed(assertion("")))


def _to_another_request(idp: Idp, _: str) -> str:
    return response("ONELOGIN_other", idp.signed(assertion("ONELOGIN_other")))


def _nothing(_: Idp, __: str) -> str:
    return "no base64"


def _entity(idp: Idp, number: str) -> str:
    bomb = b'<!DOCTYPE x [<!ENTITY y "z">]>'
    return base64.b64encode(bomb + base64.b64decode(response(number, idp.signed(assertion(number))))).decode()


@pytest.mark.parametrize(
    "forged",
    [
        _unsigned, _by_another_key, _changed_after_signing, _wrapped, _wrapped_after, _for_another, _expired, _unasked,
        _to_another_request, _nothing, _entity,
    ],
)  # fmt: skip
def test_a_forged_answer_lets_nobody_in(saml: Springfield, idp: Idp, client: Client, forged: Any) -> None:
    number = request_of(client)
    answer = brought(client, forged(idp, number))
    assert answer.status_code == 403 or answer.headers["Location"] == "/springfield/sign-in/failed"
    assert client.get("/springfield/sign-in").status_code == 200
    assert who(client) == ""
    assert not Account.objects.exists()


def test_an_answer_is_used_once(saml: Springfield, idp: Idp, client: Client) -> None:
    number = request_of(client)
    told = response(number, idp.signed(assertion(number)))
    brought(client, told)
    client.post("/springfield/sign-out")
    brought(client, told)
    assert who(client) == ""
    other = Client(headers={"Host": "testserver"})
    brought(other, told)
    assert who(other) == ""


def test_saml_leads_nowhere_else_afterwards(saml: Springfield, idp: Idp, client: Client) -> None:
    number = request_of(client)
    told = response(number, idp.signed(assertion(number)))
    assert brought(client, told, "https://evil.example/").headers["Location"] == HOME


def test_the_metadata_name_this_agencys_addresses(saml: Springfield, client: Client) -> None:
    told = client.get(f"{SAML}metadata/").content.decode()
    assert ACS in told
    assert client.get(SAML.replace("county", "city") + "metadata/").status_code == 404


FILE = """
slug = "springfield"
name = "Springfield"
[[sign_on]]
slug = "county"
name = "County"
kind = "oidc"
server = "https://login.county.example"
client_id = "musterbook"
client_secret_env = "COUNTY_SECRET"
"""


def test_an_agency_file_names_providers_and_keeps_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTY_SECRET", "hush")
    told = agency_file.read(FILE.encode()).sign_on
    assert told
    assert secrecy.unseal(told[0]["secret"]) == "hush"
    assert "hush" not in str(told)
    assert told[0]["match"] == "email"
