"""OpenID Connect: requests to a provider, and the verification of its answers (PyJWT checks signatures).

This is the authorization code flow with proof key (PKCE), state and nonce. Only `outbound.fetch` gets the provider's
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
from musterbook.accounts.asked import Asked
from musterbook.accounts.claims import Told, Untrusted, read
from musterbook.config import encryption, outbound
from musterbook.directory.agency.sign_on_file import Provider, issuer

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
_BESIDE = {
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


def begin(provider: Provider, asked: Asked, redirect: str) -> str:
    """Return the URL at the provider that the browser goes to. Raise Untrusted."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(asked.verifier.encode()).digest()).rstrip(b"=").decode()
    told = {
        "response_type": "code", "client_id": provider["client_id"], "redirect_uri": redirect,
        "scope": "openid profile email", "state": asked.state, "nonce": asked.nonce,
        "code_challenge": challenge, "code_challenge_method": "S256", **_how(provider, asked),
    }  # fmt: skip
    address = metadata(provider).authorization
    return f"{address}{'&' if '?' in address else '?'}{urlencode(told)}"


def _how(provider: Provider, asked: Asked) -> dict[str, str]:
    """Return the parameters for how the user must sign in at the provider."""
    how = {"acr_values": provider["acr"]} if provider.get("acr") else {}
    if asked.again:
        return how | {"prompt": "login", "max_age": "0"}
    minutes = provider.get("max_age_minutes")
    return how | ({"max_age": str(minutes * 60)} if minutes else {})


def finish(provider: Provider, asked: Asked, sent: Mapping[str, list[str]], redirect: str) -> Told:
    """Return the person that the provider names for the code that the browser presents. Raise Untrusted.

    `sent`: the parameters of the callback, each with all its values.
    """
    about = metadata(provider)
    code = _code(about, sent)
    tokens = _exchange(provider, about, {"code": code, "redirect_uri": redirect, "code_verifier": asked.verifier})
    signed = _verified(provider, about, asked, _token(tokens, "id_token"))
    person = _userinfo(about, _token(tokens, "access_token"), claims.subject(signed, "sub"))
    named = [found for told in (signed, person) if (found := claims.identifier(told, provider["claim"]))]
    context = read(signed, "acr", str)
    return Told(
        subject=claims.subject(signed, "sub"),
        addresses=tuple(one for told in (signed, person) for one in claims.address(told, "email", "email_verified")),
        external_id=named[0] if named else "",
        at=read(signed, "auth_time", int),
        contexts=(context,) if context else (),
        methods=tuple(read(signed, "amr", list[str]) or ()),
    )


def _code(about: Metadata, sent: Mapping[str, list[str]]) -> str:
    """Return the code that the provider sends.

    Raise Untrusted for a refusal, and for another provider's answer (RFC 9207).
    """
    once = {name: values[0] for name, values in sent.items() if len(values) == 1}
    if (about.names_itself or "iss" in sent) and once.get("iss") != about.issuer:
        raise Untrusted(claims.TOKEN, "iss of the callback names another provider")
    if "error" in sent or not once.get("code"):
        raise Untrusted(claims.CANCELLED, sent.get("error", ["no code"])[-1][:200])
    return once["code"]


# Metadata and keys


def metadata(provider: Provider) -> Metadata:
    """Return the provider's metadata. Raise Untrusted.

    Also raise it for metadata of another issuer, or with hosts that are not the provider's.
    """
    wanted = issuer(provider)
    told = _document(f"{wanted}{_WELL_KNOWN}")
    named = read(told, "issuer", str) or ""
    if named.removesuffix("/") != wanted:
        raise Untrusted(claims.METADATA, f"the issuer is “{named}” instead of “{wanted}”")
    ways = told.get("token_endpoint_auth_methods_supported") or []
    return Metadata(
        issuer=named,
        authorization=_endpoint(provider, told, "authorization_endpoint"),
        token=_endpoint(provider, told, "token_endpoint"),
        userinfo=_endpoint(provider, told, "userinfo_endpoint") if told.get("userinfo_endpoint") else "",
        keys=_endpoint(provider, told, "jwks_uri"),
        basic="client_secret_post" not in ways and "client_secret_basic" in ways,
        names_itself=told.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(provider: Provider, told: Mapping[str, Any], name: str) -> str:
    address = read(told, name, str) or ""
    own, there = outbound.place(issuer(provider)), outbound.place(address)
    if own is None or there is None or there.scheme != own.scheme:
        raise Untrusted(claims.METADATA, f"{name} is not a usable address: “{address[:200]}”")
    hosts = {*_BESIDE.get(own.host, ()), *provider.get("hosts", "").split()}
    if there.origin != own.origin and not (there.host in hosts and there.port == _usual(there)):
        raise Untrusted(claims.METADATA, f"{name} is on {there.host}, which is not among the provider's hosts")
    return address


def _usual(to: outbound.Place) -> int:
    return 443 if to.scheme == "https" else 80


_kept: dict[str, tuple[float, dict[str, Any] | Untrusted]] = {}
"""Address → the time of the request, and the document there or the error."""
_turns: dict[str, Lock] = {}
_changing = Lock()


def forget() -> None:
    """Delete all documents that are kept."""
    with _changing:
        _kept.clear()
        _turns.clear()


def _document(address: str, kept_for: float = _KEPT_FOR) -> dict[str, Any]:
    """Return the document at the address. Raise Untrusted.

    One thread requests it, at most once in `kept_for` seconds.
    """
    with _changing:
        while len(_turns) > _MOST_KEPT:
            first = next(iter(_turns))
            _turns.pop(first)
            _kept.pop(first, None)
        turn = _turns.setdefault(address, Lock())
    with turn:
        at, found = _kept.get(address, (0.0, None))
        lasts = _FAILURE_KEPT_FOR if isinstance(found, Untrusted) else kept_for
        if found is None or time.monotonic() - at > lasts:
            found = _asked(address)
            _kept[address] = (time.monotonic(), found)
    if isinstance(found, Untrusted):
        raise Untrusted(found.reason, found)
    return found


def _asked(address: str) -> dict[str, Any] | Untrusted:
    try:
        return _json(outbound.fetch(address), claims.METADATA)
    except outbound.OutsideError as error:
        return Untrusted(claims.AWAY, error)
    except Untrusted as error:
        return error


def _json(answer: outbound.Answer, reason: str) -> dict[str, Any]:
    """Return the object in a server's answer. Raise Untrusted for any other answer."""
    if answer.status not in (200, 201):
        raise Untrusted(reason, f"answered with {answer.status}")
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Untrusted(reason, error) from None
    if not isinstance(told, dict):
        raise Untrusted(reason, "not an object")
    return told


# Tokens


def _exchange(provider: Provider, about: Metadata, told: Mapping[str, str]) -> dict[str, Any]:
    """Return what the provider returns for the code."""
    form = {"grant_type": "authorization_code", "client_id": provider["client_id"], **told}
    headers = {}
    secret = _secret(provider)
    if about.basic and secret:
        both = base64.b64encode(f"{form.pop('client_id')}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {both}"}
    elif secret:
        form["client_secret"] = secret
    return _json(_fetch(about.token, form=form, headers=headers), claims.CODE)


def _secret(provider: Provider) -> str:
    try:
        return encryption.unseal(provider["secret"]) if provider["secret"] else ""
    except InvalidToken as error:
        raise Untrusted(
            claims.CODE, "the key that sealed the client secret is missing: enter the secret again"
        ) from error


def _fetch(address: str, **more: Any) -> outbound.Answer:
    try:
        return outbound.fetch(address, **more)
    except outbound.OutsideError as error:
        raise Untrusted(claims.AWAY, error) from error


def _token(tokens: Mapping[str, Any], name: str) -> str:
    token = tokens.get(name)
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or len(token) > _LONGEST_TOKEN:
        raise Untrusted(claims.TOKEN, f"there is no {name}")
    return token


def _verified(provider: Provider, about: Metadata, asked: Asked, token: str) -> dict[str, Any]:
    """Return the claims of an ID token. Raise Untrusted.

    This provider must have signed the token, for us, in answer to this request.
    """
    try:
        header = jwt.get_unverified_header(token)
        key = _key(about.keys, header)
        told: dict[str, Any] = jwt.decode(
            token, key=key.key, algorithms=[key.algorithm_name], audience=provider["client_id"], issuer=about.issuer,
            leeway=LEEWAY, options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise Untrusted(claims.TOKEN, f"{type(error).__name__}: {error}") from error
    _check(provider, asked, told)
    return told


def _check(provider: Provider, asked: Asked, told: Mapping[str, Any]) -> None:
    """Check what PyJWT does not check."""
    if not hmac.compare_digest((read(told, "nonce", str) or "").encode(), asked.nonce.encode()):
        raise Untrusted(claims.TOKEN, "the nonce does not match")
    party, audience = read(told, "azp", str), told["aud"]
    if (isinstance(audience, list) and len(audience) > 1 and party is None) or party not in (
        None,
        provider["client_id"],
    ):
        raise Untrusted(claims.TOKEN, "it was issued to another party (azp)")
    if (read(told, "iat", int) or 0) < asked.at - LEEWAY * 5:
        raise Untrusted(claims.TOKEN, "it is older than the request")


def _key(address: str, header: Mapping[str, Any]) -> jwt.PyJWK:
    """Return the provider's key that signed the token, according to the token. Raise Untrusted."""
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise Untrusted(claims.TOKEN, f"it is signed with the algorithm “{str(algorithm)[:20]}”, which is not accepted")
    for kept_for in (_KEPT_FOR, _KEYS_KEPT_FOR_SURE):
        fitting = [key for key in _keys(address, kept_for) if _fits(key, algorithm, header.get("kid"))]
        if len(fitting) == 1:
            return _usable(jwt.PyJWK(fitting[0], algorithm=algorithm))
    raise Untrusted(claims.TOKEN, "the provider does not publish the key that signed it, or the key is ambiguous")


def _keys(address: str, kept_for: float) -> list[dict[str, Any]]:
    found = _document(address, kept_for).get("keys")
    return [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []


def _fits(key: Mapping[str, Any], algorithm: str, name: object) -> bool:
    return (
        key.get("kty") == _KEY_KINDS[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (name is None or key.get("kid") == name)
    )


def _usable(key: jwt.PyJWK) -> jwt.PyJWK:
    if getattr(key.key, "key_size", _SHORTEST_RSA) < _SHORTEST_RSA and key.algorithm_name[:2] in ("RS", "PS"):
        raise Untrusted(claims.TOKEN, f"the key is shorter than {_SHORTEST_RSA} bits")
    return key


def _userinfo(about: Metadata, access: str, subject: str) -> dict[str, Any]:
    """Return what the provider states about the same person beyond the ID token. Raise Untrusted.

    Return an empty dict if the provider has no such page.
    """
    if not about.userinfo:
        return {}
    told = _json(_fetch(about.userinfo, headers={"Authorization": f"Bearer {access}"}), claims.USERINFO)
    if claims.subject(told, "sub") != subject:
        raise Untrusted(claims.USERINFO, "sub does not match")
    return told
