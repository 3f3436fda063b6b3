"""The single sign-on providers in an agency file: their settings, or all errors in them."""

import base64
import os
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils.translation import gettext as _

from musterbook.config import encryption, outbound_connections, outbound_requests

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


def read_providers(entries: object, problems: list[str]) -> tuple[Provider, ...]:
    """Return the providers as they are stored, with sealed secrets. Add all errors to `problems`."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.append(_("sign_on is not a list of tables: write [[sign_on]] before each provider."))
        return ()
    providers = [
        _read_provider(entry, f"[[sign_on]] number {number}", problems) for number, entry in enumerate(entries, 1)
    ]
    slugs = [provider["slug"] for provider in providers]
    twice = _("[[sign_on]]: two providers have the slug %(slug)s.")
    problems.extend(twice % {"slug": slug} for slug in sorted({s for s in slugs if slugs.count(s) > 1}))
    return tuple(providers)


def _read_provider(entry: Mapping[str, Any], location: str, problems: list[str]) -> Provider:
    kind = entry.get("kind")
    if kind not in KINDS:
        text = _("%(location)s: kind is %(kind)s: write “oidc” or “saml”.")
        problems.append(text % {"location": location, "kind": f"{kind!r}"})
        return {"slug": location}
    known = (*_COMMON, *_OF_KIND[kind])
    texts = {name: entry.get(name, "") for name in known if name not in _FLAGS + _NUMBERS}
    numbers = {name: entry.get(name, 0) for name in _NUMBERS}
    flags = {name: entry.get(name, False) for name in _FLAGS}
    unknown = _("there is no setting “%(name)s”. There are: %(names)s.")
    no_text = _("%(name)s is %(value)s, which is not text.")
    no_flag = _("%(name)s is %(value)s. Write true or false.")
    no_number = _("%(name)s is %(value)s. Write a whole number.")
    messages = [unknown % {"name": name, "names": ", ".join(known)} for name in entry if name not in known]
    messages += [
        text % {"name": name, "value": f"{value!r}"}
        for text, values, kind in ((no_text, texts, str), (no_flag, flags, bool))
        for name, value in values.items()
        if not isinstance(value, kind)
    ]
    messages += [
        no_number % {"name": name, "value": f"{number!r}"}
        for name, number in numbers.items()
        if type(number) is not int
    ]
    whole = {name: number if type(number) is int else 0 for name, number in numbers.items()}
    parsed, errors = parse_provider({name: str(text) for name, text in texts.items()} | flags | whole)
    messages += [f"{name}: {sentence}" for name, sentence in errors]
    problems.extend(f"{location}: {problem}" for problem in messages)
    return parsed


def parse_provider(values: Mapping[str, Any]) -> tuple[Provider, list[tuple[str, str]]]:
    """Return a provider of texts and flags as it is stored, and its errors.

    Each error is a setting, and the sentence that says what is wrong and what to write.
    """
    known = (*_COMMON, *_OF_KIND[values["kind"]])
    texts = {name: values.get(name, "").strip() for name in known if name not in _FLAGS + _NUMBERS}
    texts["match"] = texts["match"] or "email"
    extras = {name: values.get(name, False) for name in _FLAGS} | {name: values.get(name) or 0 for name in _NUMBERS}
    return _seal_secret(texts) | extras, _find_errors(texts) + _check_requirements(texts, extras)


def _find_errors(texts: Provider) -> list[tuple[str, str]]:
    """Return the errors in a provider's texts."""
    errors = []
    if not _SLUG.fullmatch(texts["slug"]):
        errors.append(
            (
                "slug",
                _("“%(text)s” is not a short name. Write lowercase letters, digits and single hyphens, like entra.")
                % {"text": texts["slug"]},
            )
        )
    if texts["match"] not in MATCHES:
        errors.append(
            ("match", _("“%(text)s” cannot be used here. Write “email” or “external_id”.") % {"text": texts["match"]})
        )
    if texts["match"] == "external_id" and not texts["claim"]:
        errors.append(("claim", _("This is missing. Name the claim or attribute that contains the external ID.")))
    needed = {"oidc": ("name", "server", "client_id"), "saml": ("name", "entity_id", "sso_url", "certificate")}
    errors += [(name, _("This is missing.")) for name in needed[texts["kind"]] if not texts[name]]
    errors += [
        (name, sentence)
        for name in ("server", "sso_url")
        if texts.get(name)
        for sentence in _check_address(name, texts)
    ]
    if texts.get("certificate"):
        errors += [("certificate", sentence) for sentence in _check_certificate(texts["certificate"])]
    variable = texts.get("client_secret_env")
    if variable and not os.environ.get(variable):
        errors.append(("client_secret_env", _("There is no environment variable %(name)s.") % {"name": variable}))
    return errors


def _check_requirements(texts: Provider, extras: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the errors in what a provider must state about a sign-in, and in its additional hosts."""
    wrong = _("“%(text)s” cannot be used. Write the values as the provider does, with spaces between them.")
    no_host = _("“%(host)s” is not a host name. Write host names with spaces between them, like api.example.org.")
    errors = [
        (name, wrong % {"text": texts[name]})
        for name in ("acr", "amr")
        if texts.get(name) and not _VALUES.fullmatch(texts[name])
    ]
    errors += [
        ("hosts", no_host % {"host": host}) for host in texts.get("hosts", "").split() if not _HOST.fullmatch(host)
    ]
    if not 0 <= extras["max_age_minutes"] <= _LONGEST_AGE:
        errors.append(
            (
                "max_age_minutes",
                _("%(number)s is not possible. Write minutes from 1 to %(most)s, or 0.")
                % {"number": extras["max_age_minutes"], "most": _LONGEST_AGE},
            )
        )
    return errors


def _check_address(name: str, texts: Provider) -> list[str]:
    """Return the errors in an address.

    It goes into requests, redirects and a header, so only plain addresses are accepted.
    """
    address = outbound_requests.parse_url(texts[name])
    if address is None or (
        address.scheme == "http"
        and not (outbound_requests.allows_http() and address.host in outbound_requests.THIS_MACHINE)
    ):
        return [_("“%(text)s” is not an address that begins with https://.") % {"text": texts[name]}]
    if name == "server" and "?" in address.path:
        return [
            _("“%(text)s” has a question mark. Write the issuer without it and what follows it.")
            % {"text": texts[name]}
        ]
    if name == "server" and not outbound_connections.is_host_allowed(address.host):
        return [_("The address is on %(host)s, which MUSTER_OUTSIDE_HOSTS does not name.") % {"host": address.host}]
    return []


def _check_certificate(text: str) -> list[str]:
    """Return the errors in a certificate."""
    inner = "".join(line for line in text.splitlines() if not line.startswith("-----"))
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode("".join(inner.split()), validate=True))
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return [
            _(
                "This is not an X.509 certificate. Paste the provider's signing certificate, with or without its first and"
                " last line."
            )
        ]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SHORTEST_RSA:
        return [
            _("The certificate has a key of %(bits)s bits. Have the provider sign with one of %(least)s bits or more.")
            % {"bits": key.key_size, "least": _SHORTEST_RSA}
        ]
    return []


def get_issuer(provider: Provider) -> str:
    """Return the issuer of an OpenID Connect provider, without a slash at its end."""
    server: str = provider["server"]
    return server.partition(_WELL_KNOWN)[0].rstrip("/")


def get_authority(provider: Provider) -> str:
    """Return the authority that identifies a provider's users: the issuer, and our client id there.

    The client id is part of it because the provider may identify users by it.
    """
    if provider["kind"] == "saml":
        return f"saml {provider['entity_id']}"
    return f"oidc {get_issuer(provider)} {provider['client_id']}"


def _seal_secret(texts: Provider) -> Provider:
    secret = texts.get("client_secret", "") or os.environ.get(texts.get("client_secret_env", ""), "")
    stored = {name: text for name, text in texts.items() if not name.startswith("client_secret")}
    return stored | {"secret": encryption.seal(secret) if secret else ""}


def describe_provider(provider: Provider) -> str:
    """Return the provider as the trail and users see it, with short marks for its secret and certificate."""
    # Use an order of our own: PostgreSQL keeps none.
    parts = [f"{name} {provider[name]}" for name in _SHOWN if provider.get(name)]
    if provider["secret"]:
        parts.append(f"secret {encryption.make_fingerprint(encryption.unseal(provider['secret']))}")
    if provider.get("certificate"):
        parts.append(f"certificate {encryption.make_fingerprint(provider['certificate'])}")
    return ", ".join(parts)
