"""The settings of an agency as one table, as its file has them: read, and changed together.

Each section is changed by the use case of its page.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from musterbook.core.domain.policy import Operator
from musterbook.core.values.keys import fold
from musterbook.directory import models, permissions
from musterbook.directory.agency import agency_settings, file_values, limits
from musterbook.directory.agency.agency_file import ACCOUNT_FLAGS, ACCOUNTS, IMPORT_FLAGS, IMPORTS
from musterbook.directory.agency.table_reader import TableReader
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.audit.trail import AuditContext

_PLAIN = (
    "name", "default_country", "language", "time_zone", "second_approver", *IMPORTS, *IMPORT_FLAGS, "mails_off",
    "sign_in_notice",
)  # fmt: skip
"""The settings that are columns of the agency, by the same name."""


def read_settings(agency: models.Agency) -> dict[str, Any]:
    """Return the settings, without secrets. Limits are as an agency file has them."""
    roles = models.Role.objects.filter(agency=agency, second_factor=True).order_by("name_key")
    return {
        "slug": agency.slug,
        **{name: getattr(agency, name) for name in _PLAIN},
        "mail": agency.sends_mail,
        "limits": [limits.write_limit(limit) for limit in limits.read_own_limits(agency)],
        "defaults": dict(agency.defaults),
        "values": {column: dict(pairs) for column, pairs in agency.values.items()},
        "headings": dict(agency.mapping),
        "accounts": {
            **{name: getattr(agency, name) for name in (*ACCOUNTS, *ACCOUNT_FLAGS)},
            "second_factor": agency.second_factor,
            "second_factor_roles": list(roles.values_list("name", flat=True)),
        },
        "sign_on": [{name: provider[name] for name in ("slug", "name", "kind")} for provider in agency.sign_on],
    }


def change(agency: models.Agency, values: Mapping[str, Any], context: AuditContext, by: Operator) -> None:
    """Change the settings that `values` has, in the form of `read_settings`. The caller holds the agency's lock.

    The record has the settings as they are then. Raise InvalidValue and NotAllowed.
    """
    accounts = dict(values.get("accounts", {}))
    required_roles = accounts.pop("second_factor_roles", None)
    section = {name: values[name] for name in _PLAIN if name in values} | accounts
    if "mail" in values:
        section["sends_mail"] = values["mail"]
    if "limits" in values:
        section["limits"] = _store_limits(agency, values["limits"])
    _check_everyone(agency, accounts, by)
    agency_settings.change(agency, section, {name: getattr(agency, name) for name in section}, context)
    if required_roles is not None:
        _require_factors(agency, required_roles, context, by)
    if "defaults" in values:
        now = {heading: agency.defaults.get(heading, "") for heading in values["defaults"]}
        file_values.change_defaults(agency, values["defaults"], now, context, by)
    agency.refresh_from_db()


def _check_everyone(agency: models.Agency, accounts: Mapping[str, Any], by: Operator) -> None:
    """Raise NotAllowed if the operator, who lacks a permission, decides about second factors of everyone."""
    if (
        accounts.get("second_factor", agency.second_factor) != agency.second_factor
        and not by.permissions >= permissions.ALL
    ):
        raise NotAllowed(_("Only a user with every permission can decide this for every user."))


def _require_factors(agency: models.Agency, names: list[str], context: AuditContext, by: Operator) -> None:
    known = {role.name_key: role for role in models.Role.objects.filter(agency=agency)}
    for name in names:
        if fold(name) not in known:
            raise InvalidValue("accounts/second_factor_roles", _("There is no role “%(name)s”.") % {"name": name})
    wanted = {known[fold(name)].pk for name in names}
    shown = {role.pk for role in known.values() if role.second_factor}
    agency_settings.set_second_factors(agency, wanted, shown, context, by)


def _store_limits(agency: models.Agency, given: list[Mapping[str, Any]]) -> list[limits.Stored]:
    """Return limits in the form of an agency file as they are stored. Raise InvalidValue."""
    reader = TableReader()
    parsed = reader.parse_each({"limits": given}, "limits", reader.parse_own_limit) or ()
    if reader.problems:
        raise InvalidValue("limits", " ".join(reader.problems))
    try:
        return [limits.store_limit(agency, limit) for limit in parsed]
    except limits.UnknownName as unknown:
        raise InvalidValue("limits", _("There is no role or group “%(name)s”.") % {"name": unknown}) from None
