"""An agency's providers of single sign-on, one by one: added, changed and removed, and never shown with their secrets."""

from collections.abc import Mapping
from typing import Any

from musterbook import secrecy
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import agencies, sign_on_file
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.directory.agency.vocabularies import NotAllowed, Unfit
from musterbook.directory.audit.trail import Act
from musterbook.directory.permissions import ALL


class UnknownProvider(Exception):
    """The agency has no provider of that slug."""


class Overtaken(Exception):
    """Somebody else has changed the provider since it was shown. Nothing was changed."""


def find(agency: models.Agency, slug: str) -> Provider:
    """The agency's provider of that slug. Raises UnknownProvider."""
    for provider in agency.sign_on:
        if provider["slug"] == slug:
            return dict(provider)
    raise UnknownProvider(slug)


def mark(provider: Provider) -> str:
    """By which it is known whether a provider is still as it was shown."""
    return secrecy.mark(sign_on_file.shown(provider))


def add(agency: models.Agency, told: Mapping[str, Any], act: Act, by: Operator) -> None:
    """Adds a provider, told as an agency file tells it. Raises Unfit and NotAllowed."""
    _check(by)
    provider = _fit(told)
    with agencies.changing(agency, act):
        if any(one["slug"] == provider["slug"] for one in agency.sign_on):
            raise Unfit("slug", "There is a provider of that short name. Choose another.")
        _write(agency, [*agency.sign_on, provider])


def change(agency: models.Agency, told: Mapping[str, Any], shown: str, act: Act, by: Operator) -> None:
    """Changes the provider of that slug; a secret that is left out stays. `shown`: its mark as it was shown.

    Raises Unfit, NotAllowed, UnknownProvider and Overtaken.
    """
    _check(by)
    provider = _fit(told)
    with agencies.changing(agency, act):
        before = _unchanged(agency, provider["slug"], shown)
        kept = provider | {"secret": provider["secret"] or before["secret"]}
        _write(agency, [kept if one["slug"] == kept["slug"] else one for one in agency.sign_on])


def remove(agency: models.Agency, slug: str, shown: str, act: Act, by: Operator) -> None:
    """Removes the provider. Raises NotAllowed, UnknownProvider and Overtaken."""
    _check(by)
    with agencies.changing(agency, act):
        _unchanged(agency, slug, shown)
        _write(agency, [one for one in agency.sign_on if one["slug"] != slug])


def _check(by: Operator) -> None:
    """A provider says who somebody is: whoever sets one can come in as anybody."""
    if by.permissions < ALL:
        raise NotAllowed("A provider can let anybody in as anybody. Whoever changes one needs every permission.")


def _fit(told: Mapping[str, Any]) -> Provider:
    provider, wrong = sign_on_file.provider(told)
    for name, sentence in wrong:
        raise Unfit(name, f"It {sentence}")
    return provider


def _unchanged(agency: models.Agency, slug: str, shown: str) -> Provider:
    before = find(agency, slug)
    if mark(before) != shown:
        raise Overtaken(slug)
    return before


def _write(agency: models.Agency, providers: list[Provider]) -> None:
    agency.sign_on = providers
    agency.save(update_fields=["sign_on"])
