"""Changes to an agency's settings on pages, section by section.

The settings and bounds are those of an agency file, and no user's change is lost.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from django.db import transaction
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.core.domain.policy import Operator
from musterbook.directory import models, permissions
from musterbook.directory.agency import agencies, limits, roles, vocabularies
from musterbook.directory.agency.agency_file import (
    ACCOUNT_FLAGS,
    ACCOUNTS,
    IMPORT_FLAGS,
    IMPORTS,
    MAILS,
)
from musterbook.directory.agency.roles import RoleInput
from musterbook.directory.agency.setting_values import (
    explain_language,
    explain_notice,
    explain_zone,
    read_country,
    read_language,
    read_notice,
    read_zone,
)
from musterbook.directory.agency.table_reader import MOST
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import locks

DETAILS = ("name", "default_country", "language", "time_zone")
LIMITS = ("limits", "second_approver")
LIMIT_NUMBERS = {"users": (0, MOST), "percent": (0, 100), "most": (0, MOST)}
"""The numbers of a limit, each with its minimum and maximum."""
NUMBERS = {**ACCOUNTS, **LIMIT_NUMBERS, **IMPORTS}
"""The numeric settings, and the numbers of a limit, each with its minimum and maximum."""
MAIL = ("sends_mail", "mails_off")


class StaleSettings(Exception):
    """Another user has changed the same settings meanwhile; `now` holds their current values. Nothing was changed."""

    def __init__(self, now: Mapping[str, object]) -> None:
        super().__init__(*now)
        self.now = now


def change(
    agency: models.Agency, values: Mapping[str, object], original: Mapping[str, object], context: AuditContext
) -> None:
    """Change the settings that differ from those `original`; the others keep their current values.

    Raise InvalidValue and StaleSettings.
    """
    fit = {name: _CHECKS[name](name, value) for name, value in values.items()}
    with agencies.changing(agency, context):
        changes = {name: value for name, value in fit.items() if value != original.get(name)}
        now = {name: getattr(agency, name) for name in changes}
        conflicts = {name: value for name, value in now.items() if value not in (changes[name], original.get(name))}
        if conflicts:
            raise StaleSettings(conflicts)
        for name, value in changes.items():
            setattr(agency, name, value)
        agency.save(update_fields=list(changes))


def _check_name(name: str, value: object) -> str:
    return vocabularies.clean_text(str(value), name)


def _check_country(name: str, value: object) -> str:
    country = read_country(str(value))
    if country is None:
        raise InvalidValue(name, _("Enter the two letters of an ISO 3166 country, such as US, or leave it blank."))
    return country


def _check_language(name: str, value: object) -> str:
    language = read_language(str(value))
    if language is None:
        raise InvalidValue(name, explain_language())
    return language


def _check_zone(name: str, value: object) -> str:
    zone = read_zone(str(value))
    if zone is None:
        raise InvalidValue(name, explain_zone())
    return zone


def _check_number(name: str, value: object) -> float:
    if not _is_number(name, value):
        raise InvalidValue(name, describe_bounds(name))
    return value  # type: ignore[return-value]  # a number


def _is_number(name: str, value: object) -> bool:
    least, most = NUMBERS[name]
    whole = isinstance(value, int) and not isinstance(value, bool)
    return (whole or (name == "percent" and isinstance(value, float))) and least <= value <= most  # type: ignore[operator]  # a number


def _check_limits(_name: str, value: object) -> list[limits.Stored]:
    """Return the limits as they are stored. A wrong number names its field: `privileges_users`."""
    checked: list[limits.Stored] = list(value)  # type: ignore[call-overload]  # what a form or this module builds
    for one in checked:
        for name in LIMIT_NUMBERS:
            if not (name == "most" and one[name] is None) and not _is_number(name, one[name]):
                raise InvalidValue(f"{one['kind']}_{name}", describe_bounds(name))
    return checked


def describe_bounds(name: str) -> str:
    """Return the sentence that states the valid numbers of this setting."""
    least, most = NUMBERS[name]
    if most == MOST:
        return _("Enter a whole number, %(least)s or more.") % {"least": least}
    text = _("Enter a number from %(least)s to %(most)s.") if name == "percent" else _WHOLE
    return str(text) % {"least": least, "most": formats.number_format(most, force_grouping=True)}


_WHOLE = gettext_lazy("Enter a whole number from %(least)s to %(most)s.")


def _check_notice(name: str, value: object) -> str:
    notice = read_notice(str(value))
    if notice is None:
        raise InvalidValue(name, explain_notice())
    return notice


def _check_flag(_name: str, value: object) -> bool:
    return bool(value)


def _check_kinds(name: str, value: object) -> list[str]:
    kinds = set(value) if isinstance(value, list | tuple | set | frozenset) else {value}
    if not kinds <= set(MAILS):
        raise InvalidValue(name, _("Only these emails can be turned off: %(kinds)s.") % {"kinds": ", ".join(MAILS)})
    return [kind for kind in MAILS if kind in kinds]


_CHECKS: Mapping[str, Callable[[str, object], object]] = {
    "name": _check_name,
    "default_country": _check_country,
    "language": _check_language,
    "time_zone": _check_zone,
    **dict.fromkeys((*ACCOUNTS, *IMPORTS), _check_number),
    "limits": _check_limits,
    "sign_in_notice": _check_notice,
    **dict.fromkeys(("sends_mail", "second_factor", "second_approver", *ACCOUNT_FLAGS, *IMPORT_FLAGS), _check_flag),
    "mails_off": _check_kinds,
}


def set_second_factors(
    agency: models.Agency, role_ids: AbstractSet[int], shown_ids: AbstractSet[int], context: AuditContext, by: Operator
) -> None:
    """Require a second factor of the roles `role_ids`, by their ids.

    A role that is as it was `shown_ids` keeps its current state. Raise NotAllowed, with nothing changed, for a
    role that has more permissions than the operator's.
    """
    with transaction.atomic():
        locks.lock_row(agency)
        for role in models.Role.objects.filter(agency=agency, pk__in=role_ids ^ shown_ids).order_by("pk"):
            required = role.pk in role_ids
            if role.second_factor != required:
                roles.change(role, RoleInput(role.name, permissions.get_permissions(role), required), context, by)


def add_limit(agency: models.Agency, limit: limits.Stored, context: AuditContext) -> None:
    """Add the limit of a role or group, or replace that of its kind (rule S4). Raise InvalidValue."""
    [checked] = _check_limits("limits", [limit])
    with agencies.changing(agency, context):
        agency.limits = [*(one for one in agency.limits if not _is_same_limit(one, checked)), checked]
        agency.save(update_fields=["limits"])


def remove_limit(agency: models.Agency, name: str, context: AuditContext) -> bool:
    """Remove the limit of a role or group, by its name (`limits.name_limit`). Return whether there was one."""
    with agencies.changing(agency, context):
        kept = [limit for limit in limits.read_own_limits(agency) if limit.whole or limits.name_limit(limit) != name]
        removed = len(kept) < len(limits.read_own_limits(agency))
        whole, named = [one for one in kept if one.whole], [one for one in kept if not one.whole]
        agency.limits = limits.replace_limits(agency, whole, named)
        agency.save(update_fields=["limits"])
        return removed


def _is_same_limit(one: limits.Stored, other: limits.Stored) -> bool:
    return all(one[name] == other[name] for name in ("kind", "role", "group"))


def forget_reading(agency: models.Agency, name: str, context: AuditContext) -> bool:
    """Forget the remembered encoding (F2) or header row (F12); return whether it was remembered."""
    with agencies.changing(agency, context):
        if name not in agency.reading:
            return False
        agency.reading = {other: value for other, value in agency.reading.items() if other != name}
        agency.save(update_fields=["reading"])
        return True


def forget_heading(agency: models.Agency, heading: str, context: AuditContext) -> bool:
    """Forget which column the heading was mapped to (F5); return whether it was remembered."""
    with agencies.changing(agency, context):
        if heading not in agency.mapping:
            return False
        agency.mapping = {name: column for name, column in agency.mapping.items() if name != heading}
        agency.save(update_fields=["mapping"])
        return True
