"""OpenID Connect: requests to a provider, and the verification of its answers (PyJWT checks signatures).

This is the authorization code flow with proof key (PKCE), state and nonce. Only `outbound_requests.fetch` gets the provider's
metadata, keys, token and user information. Each process keeps metadata and keys for ten minutes, so no visitor can
cause repeated requests to the provider.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.fernet import InvalidToken

from musterbook.accounts import claims
from musterbook.accounts.claims import PersonClaims, Untrusted, read_claim
from musterbook.accounts.sign_on_attempts import SignOnAttempt
from musterbook.config import encryption, outbound_connections, outbound_requests
from musterbook.directory.agency.sign_on_file import Provider, get_issuer

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""The signature algorithms of an ID token: by a key of which we have only the public half. Never `none`, never with a
shared secret."""
_KEY_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
LEEWAY = 60
"""Seconds by which the provider's clock may differ from ours."""
_SHORTEST_RSA = 2048
_WELL_KNOWN = "/.well-known/openid-configuration"
_OTHER_HOSTS = {
    "accounts.google.com": ("oauth2.googleapis.com", "openidconnect.googleapis.com", "www.googleapis.com"),
    "login.microsoftonline.com": ("graph.microsoft.com",),
    "login.microsoftonline.us": ("graph.microsoft.us",),
    "login.partner.microsoftonline.cn": ("microsoftgraph.chinacloudapi.cn",),
}
"""Hosts of well-known providers that have their endpoints elsewhere, as their documents state."""
_KEPT_FOR, _FAILURE_KEPT_FOR, _KEYS_KEPT_FOR_SURE = 600.0, 15.0, 60.0
_MOST_KEPT = 200
_LONGEST_TOKEN = 65_536


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints of a provider, from its metadata."""

    issuer: str
    authorization: str
    token: str
    userinfo: str
    keys: str
    basic: bool
    names_itself: bool


def begin(provider: Provider, attempt: SignOnAttempt, redirect: str) -> str:
    """Return the URL at the provider that the browser goes to. Raise Untrusted."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
    parameters = {
        "response_type": "code", "client_id": provider["client_id"], "redirect_uri": redirect,
        "scope": "openid profile email", "state": attempt.state, "nonce": attempt.nonce,
        "code_challenge": challenge, "code_challenge_method": "S256", **_list_parameters(provider, attempt),
    }  # fmt: skip
    address = fetch_metadata(provider).authorization
    return f"{address}{'&' if '?' in address else '?'}{urlencode(parameters)}"


def _list_parameters(provider: Provider, attempt: SignOnAttempt) -> dict[str, str]:
    """Return the parameters for how the user must sign in at the provider."""
    parameters = {"acr_values": provider["acr"]} if provider.get("acr") else {}
    if attempt.again:
        return parameters | {"prompt": "login", "max_age": "0"}
    minutes = provider.get("max_age_minutes")
    return parameters | ({"max_age": str(minutes * 60)} if minutes else {})


def finish(
    provider: Provider, attempt: SignOnAttempt, parameters: Mapping[str, list[str]], redirect: str
) -> PersonClaims:
    """Return the person that the provider names for the code that the browser presents. Raise Untrusted.

    `parameters`: the parameters of the callback, each with all its values.
    """
    endpoints = fetch_metadata(provider)
    code = _read_code(endpoints, parameters)
    tokens = _exchange_code(
        provider, endpoints, {"code": code, "redirect_uri": redirect, "code_verifier": attempt.verifier}
    )
    signed = _verify_token(provider, endpoints, attempt, _read_token(tokens, "id_token"))
    person = _fetch_userinfo(endpoints, _read_token(tokens, "access_token"), claims.read_subject(signed, "sub"))
    external_ids = [
        external_id
        for source in (signed, person)
        if (external_id := claims.read_external_id(source, provider["claim"]))
    ]
    context = read_claim(signed, "acr", str)
    return PersonClaims(
        subject=claims.read_subject(signed, "sub"),
        addresses=tuple(
            address
            for source in (signed, person)
            for address in claims.read_addresses(source, "email", "email_verified")
        ),
        external_id=external_ids[0] if external_ids else "",
        at=read_claim(signed, "auth_time", int),
        contexts=(context,) if context else (),
        methods=tuple(read_claim(signed, "amr", list[str]) or ()),
    )


def _read_code(endpoints: Metadata, parameters: Mapping[str, list[str]]) -> str:
    """Return the code that the provider sends.

    Raise Untrusted for a refusal, and for another provider's answer (RFC 9207).
    """
    single = {name: values[0] for name, values in parameters.items() if len(values) == 1}
    if (endpoints.names_itself or "iss" in parameters) and single.get("iss") != endpoints.issuer:
        raise Untrusted(claims.TOKEN, "iss of the callback names another provider")
    if "error" in parameters or not single.get("code"):
        raise Untrusted(claims.CANCELLED, parameters.get("error", ["no code"])[-1][:200])
    return single["code"]


# Metadata and keys


def fetch_metadata(provider: Provider) -> Metadata:
    """Return the provider's metadata. Raise Untrusted.

    Also raise it for metadata of another issuer, or with hosts that are not the provider's.
    """
    expected = get_issuer(provider)
    document = _fetch_document(f"{expected}{_WELL_KNOWN}")
    actual = read_claim(document, "issuer", str) or ""
    if actual.removesuffix("/") != expected:
        raise Untrusted(claims.METADATA, f"the issuer is “{actual}” instead of “{expected}”")
    methods = document.get("token_endpoint_auth_methods_supported") or []
    return Metadata(
        issuer=actual,
        authorization=_read_endpoint(provider, document, "authorization_endpoint"),
        token=_read_endpoint(provider, document, "token_endpoint"),
        userinfo=_read_endpoint(provider, document, "userinfo_endpoint") if document.get("userinfo_endpoint") else "",
        keys=_read_endpoint(provider, document, "jwks_uri"),
        basic="client_secret_post" not in methods and "client_secret_basic" in methods,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _read_endpoint(provider: Provider, document: Mapping[str, Any], name: str) -> str:
    address = read_claim(document, name, str) or ""
    base, endpoint = outbound_requests.parse_url(get_issuer(provider)), outbound_requests.parse_url(address)
    if base is None or endpoint is None or endpoint.scheme != base.scheme:
        raise Untrusted(claims.METADATA, f"{name} is not a usable address: “{address[:200]}”")
    hosts = {*_OTHER_HOSTS.get(base.host, ()), *provider.get("hosts", "").split()}
    if endpoint.origin != base.origin and not (endpoint.host in hosts and endpoint.port == _get_default_port(endpoint)):
        raise Untrusted(claims.METADATA, f"{name} is on {endpoint.host}, which is not among the provider's hosts")
    return address


def _get_default_port(to: outbound_requests.Target) -> int:
    return 443 if to.scheme == "https" else 80


_documents: dict[str, tuple[float, dict[str, Any] | Untrusted]] = {}
"""Address → the time of the request, and the document there or the error."""
_locks: dict[str, Lock] = {}
_cache_lock = Lock()


def _fetch_document(address: str, kept_for: float = _KEPT_FOR) -> dict[str, Any]:
    """Return the document at the address. Raise Untrusted.

    One thread requests it, at most once in `kept_for` seconds.
    """
    with _cache_lock:
        while len(_locks) > _MOST_KEPT:
            first = next(iter(_locks))
            _locks.pop(first)
            _documents.pop(first, None)
        turn = _locks.setdefault(address, Lock())
    with turn:
        at, entry = _documents.get(address, (0.0, None))
        lifetime = _FAILURE_KEPT_FOR if isinstance(entry, Untrusted) else kept_for
        if entry is None or time.monotonic() - at > lifetime:
            entry = _request_document(address)
            _documents[address] = (time.monotonic(), entry)
    if isinstance(entry, Untrusted):
        raise Untrusted(entry.reason, entry)
    return entry


def _request_document(address: str) -> dict[str, Any] | Untrusted:
    try:
        return _parse_answer(outbound_requests.fetch(address), claims.METADATA)
    except outbound_connections.OutsideError as error:
        return Untrusted(claims.NO_ANSWER, error)
    except Untrusted as error:
        return error


def _parse_answer(answer: outbound_requests.Response, reason: str) -> dict[str, Any]:
    """Return the object in a server's answer. Raise Untrusted for any other answer."""
    if answer.status not in (200, 201):
        raise Untrusted(reason, f"answered with {answer.status}")
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Untrusted(reason, error) from None
    if not isinstance(document, dict):
        raise Untrusted(reason, "not an object")
    return document


# Tokens


def _exchange_code(provider: Provider, endpoints: Metadata, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return what the provider returns for the code."""
    form = {"grant_type": "authorization_code", "client_id": provider["client_id"], **fields}
    headers = {}
    secret = _unseal_secret(provider)
    if endpoints.basic and secret:
        both = base64.b64encode(f"{form.pop('client_id')}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {both}"}
    elif secret:
        form["client_secret"] = secret
    return _parse_answer(_fetch(endpoints.token, form=form, headers=headers), claims.CODE)


def _unseal_secret(provider: Provider) -> str:
    try:
        return encryption.unseal(provider["secret"]) if provider["secret"] else ""
    except InvalidToken as error:
        raise Untrusted(
            claims.CODE, "the key that sealed the client secret is missing: enter the secret again"
        ) from error


def _fetch(address: str, **more: Any) -> outbound_requests.Response:
    try:
        return outbound_requests.fetch(address, **more)
    except outbound_connections.OutsideError as error:
        raise Untrusted(claims.NO_ANSWER, error) from error


def _read_token(tokens: Mapping[str, Any], name: str) -> str:
    token = tokens.get(name)
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or len(token) > _LONGEST_TOKEN:
        raise Untrusted(claims.TOKEN, f"there is no {name}")
    return token


def _verify_token(provider: Provider, endpoints: Metadata, attempt: SignOnAttempt, token: str) -> dict[str, Any]:
    """Return the claims of an ID token. Raise Untrusted.

    This provider must have signed the token, for us, in answer to this request.
    """
    try:
        header = jwt.get_unverified_header(token)
        key = _find_key(endpoints.keys, header)
        payload: dict[str, Any] = jwt.decode(
            token, key=key.key, algorithms=[key.algorithm_name], audience=provider["client_id"], issuer=endpoints.issuer,
            leeway=LEEWAY, options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise Untrusted(claims.TOKEN, f"{type(error).__name__}: {error}") from error
    _check_claims(provider, attempt, payload)
    return payload


def _check_claims(provider: Provider, attempt: SignOnAttempt, payload: Mapping[str, Any]) -> None:
    """Check what PyJWT does not check."""
    if not hmac.compare_digest((read_claim(payload, "nonce", str) or "").encode(), attempt.nonce.encode()):
        raise Untrusted(claims.TOKEN, "the nonce does not match")
    party, audience = read_claim(payload, "azp", str), payload["aud"]
    if (isinstance(audience, list) and len(audience) > 1 and party is None) or party not in (
        None,
        provider["client_id"],
    ):
        raise Untrusted(claims.TOKEN, "it was issued to another party (azp)")
    if (read_claim(payload, "iat", int) or 0) < attempt.at - LEEWAY * 5:
        raise Untrusted(claims.TOKEN, "it is older than the request")


def _find_key(address: str, header: Mapping[str, Any]) -> jwt.PyJWK:
    """Return the provider's key that signed the token, according to the token. Raise Untrusted."""
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise Untrusted(claims.TOKEN, f"it is signed with the algorithm “{str(algorithm)[:20]}”, which is not accepted")
    for kept_for in (_KEPT_FOR, _KEYS_KEPT_FOR_SURE):
        fitting = [key for key in _list_keys(address, kept_for) if _fits(key, algorithm, header.get("kid"))]
        if len(fitting) == 1:
            return _check_key_size(jwt.PyJWK(fitting[0], algorithm=algorithm))
    raise Untrusted(claims.TOKEN, "the provider does not publish the key that signed it, or the key is ambiguous")


def _list_keys(address: str, kept_for: float) -> list[dict[str, Any]]:
    entries = _fetch_document(address, kept_for).get("keys")
    return [key for key in entries if isinstance(key, dict)] if isinstance(entries, list) else []


def _fits(key: Mapping[str, Any], algorithm: str, name: object) -> bool:
    return (
        key.get("kty") == _KEY_KINDS[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (name is None or key.get("kid") == name)
    )


def _check_key_size(key: jwt.PyJWK) -> jwt.PyJWK:
    if getattr(key.key, "key_size", _SHORTEST_RSA) < _SHORTEST_RSA and key.algorithm_name[:2] in ("RS", "PS"):
        raise Untrusted(claims.TOKEN, f"the key is shorter than {_SHORTEST_RSA} bits")
    return key


def _fetch_userinfo(endpoints: Metadata, access: str, subject: str) -> dict[str, Any]:
    """Return what the provider states about the same person beyond the ID token. Raise Untrusted.

    Return an empty dict if the provider has no such page.
    """
    if not endpoints.userinfo:
        return {}
    document = _parse_answer(_fetch(endpoints.userinfo, headers={"Authorization": f"Bearer {access}"}), claims.USERINFO)
    if claims.read_subject(document, "sub") != subject:
        raise Untrusted(claims.USERINFO, "sub does not match")
    return document
