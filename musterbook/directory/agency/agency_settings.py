"""Changes to an agency's settings on pages, section by section.

The settings and bounds are those of an agency file, and no user's change is lost.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from django.db import transaction

from musterbook.core.domain.policy import Operator
from musterbook.directory import models, permissions
from musterbook.directory.agency import agencies, roles, vocabularies
from musterbook.directory.agency.agency_file import (
    ACCOUNT_FLAGS,
    ACCOUNTS,
    MAILS,
    MOST,
    NOTICE,
    read_country,
    read_notice,
)
from musterbook.directory.agency.roles import Told
from musterbook.directory.agency.vocabularies import Unfit
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import locks

DETAILS = ("name", "default_country")
LIMITS = {"limit_users": (0, MOST), "limit_percent": (0, 100), "limit_most": (0, MOST)}
"""The limits of deactivations without confirmation in a synchronize import, each with its minimum and maximum."""
MAIL = ("sends_mail", "mails_off")


class Overtaken(Exception):
    """Another user has changed the same settings meanwhile; `now` holds their current values. Nothing was changed."""

    def __init__(self, now: Mapping[str, object]) -> None:
        super().__init__(*now)
        self.now = now


def change(
    agency: models.Agency, told: Mapping[str, object], shown: Mapping[str, object], context: AuditContext
) -> None:
    """Change the settings that differ from those `shown`; the others keep their current values.

    Raise Unfit and Overtaken.
    """
    fit = {name: _CHECKS[name](name, value) for name, value in told.items()}
    with agencies.changing(agency, context):
        mine = {name: value for name, value in fit.items() if value != shown.get(name)}
        now = {name: getattr(agency, name) for name in mine}
        overtaken = {name: value for name, value in now.items() if value not in (mine[name], shown.get(name))}
        if overtaken:
            raise Overtaken(overtaken)
        for name, value in mine.items():
            setattr(agency, name, value)
        agency.save(update_fields=list(mine))


def _name(name: str, value: object) -> str:
    return vocabularies.cleaned(str(value), name)


def _country(name: str, value: object) -> str:
    country = read_country(str(value))
    if country is None:
        raise Unfit(name, "Write the two letters of an ISO 3166 country, such as US, or leave it blank.")
    return country


def _number(name: str, value: object) -> float:
    least, most = (ACCOUNTS | LIMITS)[name]
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole or (name == "limit_percent" and isinstance(value, float))) or not least <= value <= most:  # type: ignore[operator]  # a number
        raise Unfit(name, bounds(name))
    return value  # type: ignore[return-value]  # the same


def bounds(name: str) -> str:
    """Return the sentence that states the valid numbers of this setting."""
    least, most = (ACCOUNTS | LIMITS)[name]
    return f"Write a {'' if name == 'limit_percent' else 'whole '}number from {least} to {most:,}."


def _notice(name: str, value: object) -> str:
    notice = read_notice(str(value))
    if notice is None:
        raise Unfit(name, NOTICE)
    return notice


def _flag(_: str, value: object) -> bool:
    return bool(value)


def _kinds(name: str, value: object) -> list[str]:
    kinds = set(value) if isinstance(value, list | tuple | set | frozenset) else {value}
    if not kinds <= set(MAILS):
        raise Unfit(name, f"Only these mails can be switched off: {', '.join(MAILS)}.")
    return [kind for kind in MAILS if kind in kinds]


_CHECKS: Mapping[str, Callable[[str, object], object]] = {
    "name": _name,
    "default_country": _country,
    **dict.fromkeys((*LIMITS, *ACCOUNTS), _number),
    "sign_in_notice": _notice,
    **dict.fromkeys(("sends_mail", "second_factor", *ACCOUNT_FLAGS), _flag),
    "mails_off": _kinds,
}


def ask_second_factors(
    agency: models.Agency, told: AbstractSet[int], shown: AbstractSet[int], context: AuditContext, by: Operator
) -> None:
    """Require a second factor of the roles `told`, by their ids.

    A role that is as it was `shown` keeps its current state. Raise NotAllowed, with nothing changed, for a
    role that has more permissions than the operator's.
    """
    with transaction.atomic():
        locks.row(agency)
        for role in models.Role.objects.filter(agency=agency, pk__in=told ^ shown).order_by("pk"):
            wanted = role.pk in told
            if role.second_factor != wanted:
                roles.change(role, Told(role.name, permissions.of(role), wanted), context, by)


def forget_heading(agency: models.Agency, heading: str, context: AuditContext) -> bool:
    """Forget which column the heading was mapped to (F5); return whether it was remembered."""
    with agencies.changing(agency, context):
        if heading not in agency.mapping:
            return False
        agency.mapping = {name: column for name, column in agency.mapping.items() if name != heading}
        agency.save(update_fields=["mapping"])
        return True
