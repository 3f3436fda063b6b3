"""The single sign-on providers in an agency file: their settings, or all errors in them."""

import base64
import os
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from musterbook.config import encryption, outbound

KINDS = ("oidc", "saml")
MATCHES = ("email", "external_id")
_FLAGS = ("trust_email", "second_factor")
_NUMBERS = ("max_age_minutes",)
_COMMON = ("slug", "name", "kind", "match", "claim", "acr", *_NUMBERS, *_FLAGS)
_OF_KIND = {
    "oidc": ("server", "client_id", "client_secret", "client_secret_env", "amr", "hosts"),
    "saml": ("entity_id", "sso_url", "certificate"),
}
_SHOWN = (
    "name", "kind", "server", "client_id", "hosts", "entity_id", "sso_url", "match", "claim", "acr", "amr", *_NUMBERS,
    *_FLAGS,
)  # fmt: skip
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VALUES = re.compile(r"[A-Za-z0-9._~:/?#@!$()*+,=%-]+(?: [A-Za-z0-9._~:/?#@!$()*+,=%-]+)*")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_LONGEST_AGE = 60 * 24 * 365
_SHORTEST_RSA = 2048
_WELL_KNOWN = "/.well-known/"

Provider = dict[str, Any]


def read(told: object, problems: list[str]) -> tuple[Provider, ...]:
    """Return the providers as they are stored, with sealed secrets. Add all errors to `problems`."""
    if not isinstance(told, list) or not all(isinstance(entry, dict) for entry in told):
        problems.append("sign_on is not a list of tables: write [[sign_on]] before each provider.")
        return ()
    found = [_provider(entry, f"[[sign_on]] number {number}", problems) for number, entry in enumerate(told, 1)]
    slugs = [provider["slug"] for provider in found]
    problems.extend(
        f"[[sign_on]]: two providers have the slug {slug}." for slug in sorted({s for s in slugs if slugs.count(s) > 1})
    )
    return tuple(found)


def _provider(told: Mapping[str, Any], place: str, problems: list[str]) -> Provider:
    kind = told.get("kind")
    if kind not in KINDS:
        problems.append(f"{place}: kind is {kind!r}: write “oidc” or “saml”.")
        return {"slug": place}
    known = (*_COMMON, *_OF_KIND[kind])
    texts = {name: told.get(name, "") for name in known if name not in _FLAGS + _NUMBERS}
    numbers = {name: told.get(name, 0) for name in _NUMBERS}
    flags = {name: told.get(name, False) for name in _FLAGS}
    wrong = [f"there is no setting “{name}”. There are: {', '.join(known)}." for name in told if name not in known]
    wrong += [f"{name} is {text!r}, which is not text." for name, text in texts.items() if not isinstance(text, str)]
    wrong += [f"{name} is {flag!r}. Write true or false." for name, flag in flags.items() if not isinstance(flag, bool)]
    wrong += [
        f"{name} is {number!r}. Write a whole number." for name, number in numbers.items() if type(number) is not int
    ]
    whole = {name: number if type(number) is int else 0 for name, number in numbers.items()}
    read, found = provider({name: str(text) for name, text in texts.items()} | flags | whole)
    wrong += [f"{name} {sentence}" for name, sentence in found]
    problems.extend(f"{place}: {problem}" for problem in wrong)
    return read


def provider(told: Mapping[str, Any]) -> tuple[Provider, list[tuple[str, str]]]:
    """Return a provider of texts and flags as it is stored, and its errors.

    Each error is a setting, and the text that follows its name.
    """
    known = (*_COMMON, *_OF_KIND[told["kind"]])
    texts = {name: told.get(name, "").strip() for name in known if name not in _FLAGS + _NUMBERS}
    texts["match"] = texts["match"] or "email"
    also = {name: told.get(name, False) for name in _FLAGS} | {name: told.get(name) or 0 for name in _NUMBERS}
    return _kept(texts) | also, _wrong(texts) + _demands(texts, also)


def _wrong(told: Provider) -> list[tuple[str, str]]:
    """Return the errors in a provider's texts."""
    wrong = []
    if not _SLUG.fullmatch(told["slug"]):
        wrong.append(("slug", f"is “{told['slug']}”: write lower-case letters, digits and single hyphens, like entra."))
    if told["match"] not in MATCHES:
        wrong.append(("match", f"is “{told['match']}”: write “email” or “external_id”."))
    if told["match"] == "external_id" and not told["claim"]:
        wrong.append(("claim", "is missing: name the claim or attribute that contains the external id."))
    needed = {"oidc": ("name", "server", "client_id"), "saml": ("name", "entity_id", "sso_url", "certificate")}
    wrong += [(name, "is missing.") for name in needed[told["kind"]] if not told[name]]
    wrong += [(name, sentence) for name in ("server", "sso_url") if told.get(name) for sentence in _address(name, told)]
    if told.get("certificate"):
        wrong += [("certificate", sentence) for sentence in _certificate(told["certificate"])]
    variable = told.get("client_secret_env")
    if variable and not os.environ.get(variable):
        wrong.append(("client_secret_env", f"names {variable}, but there is no such environment variable."))
    return wrong


def _demands(told: Provider, also: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the errors in what a provider must state about a sign-in, and in its additional hosts."""
    wrong = [
        (name, f"is “{told[name]}”: write the values as the provider does, with blanks between them.")
        for name in ("acr", "amr") if told.get(name) and not _VALUES.fullmatch(told[name])
    ]  # fmt: skip
    wrong += [
        ("hosts", f"has “{host}”: write names of hosts with blanks between them, like api.example.org.")
        for host in told.get("hosts", "").split() if not _HOST.fullmatch(host)
    ]  # fmt: skip
    if not 0 <= also["max_age_minutes"] <= _LONGEST_AGE:
        wrong.append(
            ("max_age_minutes", f"is {also['max_age_minutes']}: write minutes from 1 to {_LONGEST_AGE}, or 0.")
        )
    return wrong


def _address(name: str, told: Provider) -> list[str]:
    """Return the errors in an address.

    It goes into requests, redirects and a header, so only plain addresses are accepted.
    """
    place = outbound.place(told[name])
    if place is None or (
        place.scheme == "http" and not (outbound.may_be_plain() and place.host in outbound.THIS_MACHINE)
    ):
        return [f"is “{told[name]}”, which is no address that begins with https://."]
    if name == "server" and "?" in place.path:
        return [f"is “{told[name]}”. Write the issuer without a question mark and what follows it."]
    if name == "server" and not outbound.is_named(place.host):
        return [f"is on {place.host}, which MUSTER_OUTSIDE_HOSTS does not name."]
    return []


def _certificate(text: str) -> list[str]:
    """Return the errors in a certificate."""
    inner = "".join(line for line in text.splitlines() if not line.startswith("-----"))
    try:
        found = x509.load_der_x509_certificate(base64.b64decode("".join(inner.split()), validate=True))
        key = found.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return [
            "is no X.509 certificate. Paste the provider's signing certificate, with or without its first and last line."
        ]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SHORTEST_RSA:
        return [f"has a key of {key.key_size} bits. Have the provider sign with one of {_SHORTEST_RSA} bits or more."]
    return []


def issuer(provider: Provider) -> str:
    """Return the issuer of an OpenID Connect provider, without a slash at its end."""
    server: str = provider["server"]
    return server.partition(_WELL_KNOWN)[0].rstrip("/")


def authority(provider: Provider) -> str:
    """Return the authority that identifies a provider's users: the issuer, and our client id there.

    The client id is part of it because the provider may identify users by it.
    """
    if provider["kind"] == "saml":
        return f"saml {provider['entity_id']}"
    return f"oidc {issuer(provider)} {provider['client_id']}"


def _kept(told: Provider) -> Provider:
    secret = told.get("client_secret", "") or os.environ.get(told.get("client_secret_env", ""), "")
    kept = {name: text for name, text in told.items() if not name.startswith("client_secret")}
    return kept | {"secret": encryption.seal(secret) if secret else ""}


def shown(provider: Provider) -> str:
    """Return the provider as the trail and users see it, with short marks for its secret and certificate."""
    # Use an order of our own: PostgreSQL keeps none.
    told = [f"{name} {provider[name]}" for name in _SHOWN if provider.get(name)]
    if provider["secret"]:
        told.append(f"secret {encryption.mark(encryption.unseal(provider['secret']))}")
    if provider.get("certificate"):
        told.append(f"certificate {encryption.mark(provider['certificate'])}")
    return ", ".join(told)
