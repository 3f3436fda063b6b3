"""SAML 2.0: requests to a provider, and the verification of its responses.

python3-saml checks signatures and most of the rest. We check more strictly than the library: the audience and the
recipient must be named and exact, and the assertion itself, which is signed, must name the request that it answers.
"""

from html import escape, unescape
from typing import Any
from urllib.parse import urlsplit

from lxml.etree import LxmlError
from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Names
from onelogin.saml2.errors import OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils
from xmlsec import Error as XmlsecError

from musterbook.accounts import claims
from musterbook.accounts.claims import PersonClaims, Untrusted
from musterbook.directory.agency.sign_on_file import Provider

LARGEST = 200_000
"""The most characters of a response, as a browser presents it."""
_EMAIL = ("urn:oid:0.9.2342.19200300.100.1.3", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress")
_SUBJECT = "urn:oasis:names:tc:SAML:attribute:subject-id"
_LIBRARY = (
    OneLogin_Saml2_Error,
    OneLogin_Saml2_ValidationError,
    LxmlError,
    XmlsecError,
    ValueError,
    KeyError,
    TypeError,
)
"""The library's errors for a response that is invalid or forged."""


class _AuthRequest(OneLogin_Saml2_Auth):
    """A request to the provider, with the provider's address escaped.

    The library puts the address into XML as it is. So it gets the address escaped, and this class returns it as it was.
    """

    def get_sso_url(self) -> str:
        """Return the address that the browser goes to."""
        return unescape(super().get_sso_url())


def begin(provider: Provider, start: str, *, again: bool) -> tuple[str, str]:
    """Return the URL at the provider that the browser goes to, and the number of the request. Raise Untrusted."""
    try:
        auth = _AuthRequest(_build_request(start), _build_settings(provider, start))
        address: str = auth.login(return_to="", force_authn=again)
    except _LIBRARY as error:
        raise Untrusted(claims.METADATA, error) from error
    number: str = auth.get_last_request_id()
    return address, number


def build_metadata(provider: Provider, start: str) -> bytes:
    """Return what the provider must know of us, as XML."""
    settings = OneLogin_Saml2_Settings(_build_settings(provider, start), sp_validation_only=True)
    xml: bytes | str = settings.get_sp_metadata()
    return xml.encode() if isinstance(xml, str) else xml


def finish(provider: Provider, encoded: str, start: str) -> tuple[str, PersonClaims]:
    """Return the number of the request that a response answers, and the person.

    Raise Untrusted for a response that is not genuine.
    """
    try:
        response = _Response(OneLogin_Saml2_Settings(_build_settings(provider, start)), encoded)
        response.is_valid(_build_request(f"{start}/acs/"), raise_exceptions=True)
        number = _read_request_id(response, start)
        return number, _read_claims(provider, response)
    except _LIBRARY as error:
        raise Untrusted(claims.RESPONSE, f"{type(error).__name__}: {error}") from error


class _Response(OneLogin_Saml2_Response):
    """A response of which we read more than the library does."""

    def signed(self, path: str) -> Any:
        """Return the elements of the signed assertion at that path."""
        return self._query_assertion(path)


def _read_request_id(response: Any, start: str) -> str:
    """Return the number of the request that the signed assertion answers.

    Raise ValueError unless the assertion is for us, at this address, and not expired.
    """
    number = response.get_in_response_to()
    if f"{start}/metadata/" not in response.get_audiences():
        raise ValueError("the assertion does not name us as its audience")
    if response.document.get("Destination", f"{start}/acs/") != f"{start}/acs/":
        raise ValueError("the response is for another address")
    confirmed = [
        node
        for node in response.signed("/saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData")
        if node.getparent().get("Method") == Names.CM_BEARER
        and node.get("Recipient") == f"{start}/acs/"
        and node.get("InResponseTo") == number
        and node.get("NotOnOrAfter")
        and OneLogin_Saml2_Utils.parse_SAML_to_time(node.get("NotOnOrAfter")) > OneLogin_Saml2_Utils.now()
    ]
    if not number or not confirmed:
        raise ValueError("the assertion does not name our request, this address and an expiry time")
    return str(number)


def _read_claims(provider: Provider, response: Any) -> PersonClaims:
    """Return the statements of the assertion about the person."""
    attributes = {
        name: [value for value in values if isinstance(value, str)]
        for name, values in response.get_attributes().items()
    }
    statement = response.signed("/saml:AuthnStatement")[0]
    accepted = provider.get("acr", "").split()
    email = _get_first(attributes, *_EMAIL) or _read_name_id(response, Names.NAMEID_EMAIL_ADDRESS)
    return PersonClaims(
        subject=_read_subject(attributes, response),
        addresses=claims.read_addresses({"email": email or None}, "email", "email_verified"),
        external_id=claims.read_external_id(attributes, provider["claim"]),
        at=OneLogin_Saml2_Utils.parse_SAML_to_time(statement.get("AuthnInstant")),
        contexts=tuple(context for context in response.get_authn_contexts() if context in accepted),
    )


def _get_first(attributes: dict[str, list[str]], *names: str) -> str:
    return next((attributes[name][0] for name in names if attributes.get(name)), "")


def _read_subject(attributes: dict[str, list[str]], response: Any) -> str:
    """Return the provider's permanent identifier of the person: an attribute, or a NameID that is not transient.

    Return "" if there is neither.
    """
    subject = _get_first(attributes, _SUBJECT) or (
        "" if _read_name_id(response, Names.NAMEID_TRANSIENT) else response.get_nameid()
    )
    return claims.read_subject({"subject": subject}, "subject") if subject else ""


def _read_name_id(response: Any, form: str) -> str:
    """Return the NameID if it has that format, or ""."""
    return (response.get_nameid() or "") if response.get_nameid_format() == form else ""


def _build_request(address: str) -> dict[str, Any]:
    """Return the request for the library: always our public address, regardless of the request's host."""
    to = urlsplit(address)
    return {
        "https": "on" if to.scheme == "https" else "off", "http_host": to.netloc, "script_name": to.path,
        "get_data": {}, "post_data": {},
    }  # fmt: skip


def _build_settings(provider: Provider, start: str) -> dict[str, Any]:
    # Host names of one label are common within an agency's own network.
    return {
        "strict": True,
        "security": {
            "wantAssertionsSigned": True, "rejectDeprecatedAlgorithm": True, "allowSingleLabelDomains": True,
            "wantNameId": False, "wantAttributeStatement": True, "allowRepeatAttributeName": True,
            "requestedAuthnContext": provider.get("acr", "").split() or False,
            "signatureAlgorithm": Names.RSA_SHA256, "digestAlgorithm": Names.SHA256,
        },
        "sp": {
            "entityId": f"{start}/metadata/",
            "assertionConsumerService": {"url": f"{start}/acs/", "binding": Names.BINDING_HTTP_POST},
        },
        "idp": {
            "entityId": provider["entity_id"], "x509cert": provider["certificate"],
            "singleSignOnService": {"url": escape(provider["sso_url"])},
        },
    }  # fmt: skip
