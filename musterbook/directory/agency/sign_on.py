"""An agency's single sign-on providers: add, change and remove them one by one, and never show a secret."""

from collections.abc import Mapping
from typing import Any

from musterbook.config import encryption
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import agencies, sign_on_file
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.directory.agency.vocabularies import NotAllowed, Unfit
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.permissions import ALL


class UnknownProvider(Exception):
    """The agency has no provider with this slug."""


class Overtaken(Exception):
    """Another user has changed the provider since it was shown. Nothing was changed."""


def find(agency: models.Agency, slug: str) -> Provider:
    """Return the agency's provider with this slug. Raise UnknownProvider."""
    for provider in agency.sign_on:
        if provider["slug"] == slug:
            return dict(provider)
    raise UnknownProvider(slug)


def mark(provider: Provider) -> str:
    """Return a mark that shows whether a provider is still as it was shown."""
    return encryption.mark(sign_on_file.shown(provider))


def add(agency: models.Agency, told: Mapping[str, Any], context: AuditContext, by: Operator) -> None:
    """Add a provider, in the form of an agency file. Raise Unfit and NotAllowed."""
    _check(by)
    provider = _fit(told)
    with agencies.changing(agency, context):
        if any(one["slug"] == provider["slug"] for one in agency.sign_on):
            raise Unfit("slug", "There is a provider of that short name. Choose another.")
        _write(agency, [*agency.sign_on, provider])


def change(agency: models.Agency, told: Mapping[str, Any], shown: str, context: AuditContext, by: Operator) -> None:
    """Change the provider with this slug; a secret that is left out stays. `shown`: its mark when it was shown.

    Raise Unfit, NotAllowed, UnknownProvider and Overtaken.
    """
    _check(by)
    provider = _fit(told)
    with agencies.changing(agency, context):
        before = _unchanged(agency, provider["slug"], shown)
        kept = provider | {"secret": provider["secret"] or before["secret"]}
        _write(agency, [kept if one["slug"] == kept["slug"] else one for one in agency.sign_on])


def remove(agency: models.Agency, slug: str, shown: str, context: AuditContext, by: Operator) -> None:
    """Remove the provider. Raise NotAllowed, UnknownProvider and Overtaken."""
    _check(by)
    with agencies.changing(agency, context):
        _unchanged(agency, slug, shown)
        _write(agency, [one for one in agency.sign_on if one["slug"] != slug])


def _check(by: Operator) -> None:
    """Raise NotAllowed unless the operator has every permission.

    A provider asserts the identity of users, so an operator who sets one can sign in as any user.
    """
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
