"""An agency's single sign-on providers: add, change and remove them one by one, and never show a secret."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from musterbook.config import encryption
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import agencies, sign_on_file
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.permissions import ALL


class UnknownProvider(Exception):
    """The agency has no provider with this slug."""


class StaleProvider(Exception):
    """Another user has changed the provider since it was shown. Nothing was changed."""


def find_provider(agency: models.Agency, slug: str) -> Provider:
    """Return the agency's provider with this slug. Raise UnknownProvider."""
    for provider in agency.sign_on:
        if provider["slug"] == slug:
            return dict(provider)
    raise UnknownProvider(slug)


def mark(provider: Provider) -> str:
    """Return a mark that shows whether a provider is still as it was shown."""
    return encryption.make_fingerprint(sign_on_file.describe_provider(provider))


def add(agency: models.Agency, values: Mapping[str, Any], context: AuditContext, by: Operator) -> None:
    """Add a provider, in the form of an agency file. Raise InvalidValue and NotAllowed."""
    _check_permissions(by)
    provider = _check_provider(values)
    with agencies.changing(agency, context):
        if any(one["slug"] == provider["slug"] for one in agency.sign_on):
            raise InvalidValue("slug", _("There is already a provider with that short name. Choose another."))
        _write(agency, [*agency.sign_on, provider])


def change(
    agency: models.Agency, values: Mapping[str, Any], shown_mark: str, context: AuditContext, by: Operator
) -> None:
    """Change the provider with this slug; a secret that is left out stays. `shown_mark`: its mark when it was shown.

    Raise InvalidValue, NotAllowed, UnknownProvider and StaleProvider.
    """
    _check_permissions(by)
    provider = _check_provider(values)
    with agencies.changing(agency, context):
        before = _check_unchanged(agency, provider["slug"], shown_mark)
        after = provider | {"secret": provider["secret"] or before["secret"]}
        _write(agency, [after if one["slug"] == after["slug"] else one for one in agency.sign_on])


def remove(agency: models.Agency, slug: str, shown_mark: str, context: AuditContext, by: Operator) -> None:
    """Remove the provider. Raise NotAllowed, UnknownProvider and StaleProvider."""
    _check_permissions(by)
    with agencies.changing(agency, context):
        _check_unchanged(agency, slug, shown_mark)
        _write(agency, [one for one in agency.sign_on if one["slug"] != slug])


def _check_permissions(by: Operator) -> None:
    """Raise NotAllowed unless the operator has every permission.

    A provider asserts the identity of users, so an operator who sets one can sign in as any user.
    """
    if by.permissions < ALL:
        raise NotAllowed(
            _("A provider can let anybody in as anybody. The user who changes one needs every permission.")
        )


def _check_provider(values: Mapping[str, Any]) -> Provider:
    provider, errors = sign_on_file.parse_provider(values)
    for name, sentence in errors:
        raise InvalidValue(name, sentence)
    return provider


def _check_unchanged(agency: models.Agency, slug: str, shown_mark: str) -> Provider:
    before = find_provider(agency, slug)
    if mark(before) != shown_mark:
        raise StaleProvider(slug)
    return before


def _write(agency: models.Agency, providers: list[Provider]) -> None:
    agency.sign_on = providers
    agency.save(update_fields=["sign_on"])
