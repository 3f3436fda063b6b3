"""The providers of single sign-on in an agency file: what each needs, or all that is wrong with it."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from musterbook import secrecy

KINDS = ("oidc", "saml")
MATCHES = ("email", "external_id")
_FLAGS = ("trust_email", "second_factor")
_COMMON = ("slug", "name", "kind", "match", "claim", *_FLAGS)
_OF_KIND = {
    "oidc": ("server", "client_id", "client_secret", "client_secret_env"),
    "saml": ("entity_id", "sso_url", "certificate"),
}
_SHOWN = ("name", "kind", "server", "client_id", "entity_id", "sso_url", "match", "claim", *_FLAGS)
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ORIGIN = re.compile(r"https?://([a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f\"'<>\\]")
"""What no address of a provider has."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Provider = dict[str, Any]


def read(told: object, problems: list[str]) -> tuple[Provider, ...]:
    """The providers, as they are kept: secrets sealed. Says in `problems` all that is wrong."""
    if not isinstance(told, list) or not all(isinstance(entry, dict) for entry in told):
        problems.append("sign_on is no list of tables: write [[sign_on]] before each provider.")
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
    texts = {name: told.get(name, "") for name in known if name not in _FLAGS}
    flags = {name: told.get(name, False) for name in _FLAGS}
    wrong = [f"there is no setting “{name}”. There are: {', '.join(known)}." for name in told if name not in known]
    wrong += [f"{name} is {text!r}, which is no text." for name, text in texts.items() if not isinstance(text, str)]
    wrong += [f"{name} is {flag!r}. Write true or false." for name, flag in flags.items() if not isinstance(flag, bool)]
    read, found = provider({name: str(text) for name, text in texts.items()} | flags)
    wrong += [f"{name} {sentence}" for name, sentence in found]
    problems.extend(f"{place}: {problem}" for problem in wrong)
    return read


def provider(told: Mapping[str, Any]) -> tuple[Provider, list[tuple[str, str]]]:
    """A provider as it is kept, of texts and flags; and what is wrong with it: each setting, and what to say after its name."""
    known = (*_COMMON, *_OF_KIND[told["kind"]])
    texts = {name: told.get(name, "").strip() for name in known if name not in _FLAGS}
    texts["match"] = texts["match"] or "email"
    return _kept(texts) | {name: told.get(name, False) for name in _FLAGS}, _wrong(texts)


def _wrong(told: Provider) -> list[tuple[str, str]]:
    """What is wrong with a provider's texts."""
    wrong = []
    if not _SLUG.fullmatch(told["slug"]):
        wrong.append(("slug", f"is “{told['slug']}”: write lower-case letters, digits and single hyphens, like entra."))
    if told["match"] not in MATCHES:
        wrong.append(("match", f"is “{told['match']}”: write “email” or “external_id”."))
    if told["match"] == "external_id" and not told["claim"]:
        wrong.append(("claim", "is missing: name the claim or attribute that holds the external id."))
    needed = {"oidc": ("name", "server", "client_id"), "saml": ("name", "entity_id", "sso_url", "certificate")}
    wrong += [(name, "is missing.") for name in needed[told["kind"]] if not told[name]]
    wrong += [
        (name, f"is “{told[name]}”, which is no address that begins with https://.")
        for name in ("server", "sso_url") if told.get(name) and not _is_secure(told[name])
    ]  # fmt: skip
    variable = told.get("client_secret_env")
    if variable and not os.environ.get(variable):
        wrong.append(("client_secret_env", f"names {variable}, and there is no such environment variable."))
    return wrong


def _is_secure(address: str) -> bool:
    if not origin(address) or _UNFIT.search(address):
        return False
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def origin(address: str) -> str:
    """The scheme, host and port of an address as a header may name them; "" where anything else is in them."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    found = f"{parts.scheme}://{parts.netloc}".lower()
    return found if _ORIGIN.fullmatch(found) else ""


def _kept(told: Provider) -> Provider:
    secret = told.get("client_secret", "") or os.environ.get(told.get("client_secret_env", ""), "")
    kept = {name: text for name, text in told.items() if not name.startswith("client_secret")}
    return kept | {"secret": secrecy.seal(secret) if secret else ""}


def shown(provider: Provider) -> str:
    """The provider as the trail and people see it: all but its secret and the length of its certificate."""
    # In an order of our own: PostgreSQL keeps none.
    told = [f"{name} {provider[name]}" for name in _SHOWN if provider.get(name)]
    if provider["secret"]:
        told.append(f"secret {secrecy.mark(secrecy.unseal(provider['secret']))}")
    if provider.get("certificate"):
        told.append(f"certificate {secrecy.mark(provider['certificate'])}")
    return ", ".join(told)
