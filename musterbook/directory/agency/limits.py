"""The limits that an agency sets for its imports (rule S4): as they are stored, and as a plan needs them.

A stored limit names its role and its group by their ids, so that it follows a role that is renamed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from django.utils.translation import gettext, ngettext

from musterbook.core.domain.policy import DEFAULT_LIMITS, Limit, LimitKind
from musterbook.core.values.keys import fold
from musterbook.directory import models

Stored: TypeAlias = Mapping[str, Any]
"""A limit as it is stored: `kind`, `users`, `percent`, `most`, `off`, and the ids `role` and `group` (None: none)."""


class UnknownName(Exception):
    """A limit names a role or a group that the agency does not have; the message is its name."""


def read_limits(agency: models.Agency, feed: models.Feed | None = None) -> tuple[Limit, ...]:
    """Return the limits of an agency: those that it sets, and the default of each other kind.

    `feed`: the feed of the import. Each limit that it sets itself replaces the agency's for the same kind and the same
    users; all others of the agency hold as well.
    """
    own = read_stored(agency, feed.limits or ()) if feed else ()
    replaced = {_identify(limit) for limit in own}
    chosen = (*(limit for limit in read_own_limits(agency) if _identify(limit) not in replaced), *own)
    kinds = {limit.kind for limit in chosen if limit.whole}
    return (*(limit for limit in DEFAULT_LIMITS if limit.kind not in kinds), *chosen)


def _identify(limit: Limit) -> tuple[str, str, str]:
    return limit.kind.value, limit.role, limit.group


def read_own_limits(agency: models.Agency) -> tuple[Limit, ...]:
    """Return the limits that the agency sets itself. Those of a role or group that no longer exists are left out."""
    return read_stored(agency, agency.limits)


def read_stored(agency: models.Agency, stored: Sequence[Stored]) -> tuple[Limit, ...]:
    """Return stored limits of the agency, or of one of its feeds, without those of a role or group that is gone."""
    roles = _map_names(models.Role, "name", agency, [one.get("role") for one in stored])
    groups = _map_names(models.Group, "external_id", agency, [one.get("group") for one in stored])
    return tuple(
        _make_limit(one, roles.get(one.get("role"), ""), groups.get(one.get("group"), ""))
        for one in stored
        if one.get("role") in (None, *roles) and one.get("group") in (None, *groups)
    )


def _map_names(model: type[Any], name: str, agency: models.Agency, ids: Iterable[int | None]) -> dict[int | None, str]:
    named = {pk for pk in ids if pk is not None}
    return dict(model.objects.filter(agency=agency, pk__in=named).values_list("pk", name)) if named else {}


def _make_limit(stored: Stored, role: str, group: str) -> Limit:
    return Limit(
        LimitKind(stored["kind"]), stored["users"], stored["percent"], stored["most"], stored["off"], role, group
    )


def replace_limits(agency: models.Agency, whole: Sequence[Limit], named: Sequence[Limit] | None) -> list[Stored]:
    """Return the limits to store, in which these replace the stored ones.

    `whole`: limits of the whole agency, of which each replaces that of its kind. `named`: the limits of roles and
    groups, None: those stay. Raise UnknownName.
    """
    kinds = {limit.kind.value for limit in whole}
    kept = [one for one in agency.limits if (_is_named(one) and named is None) or _is_other(one, kinds)]
    return [*kept, *(store_limit(agency, limit) for limit in (*whole, *(named or ())))]


def _is_named(stored: Stored) -> bool:
    return stored["role"] is not None or stored["group"] is not None


def _is_other(stored: Stored, kinds: set[str]) -> bool:
    return not _is_named(stored) and stored["kind"] not in kinds


def store_limit(agency: models.Agency, limit: Limit) -> Stored:
    """Return a limit as it is stored. Raise UnknownName."""
    return {
        "kind": limit.kind.value, "users": limit.users, "percent": limit.percent, "most": limit.most, "off": limit.off,
        "role": _find_id(models.Role, agency, limit.role, name_key=fold(limit.role)),
        "group": _find_id(models.Group, agency, limit.group, external_id=limit.group),
    }  # fmt: skip


def _find_id(model: type[Any], agency: models.Agency, name: str, **key: str) -> int | None:
    if not name:
        return None
    found: int | None = model.objects.filter(agency=agency, **key).values_list("pk", flat=True).first()
    if found is None:
        raise UnknownName(name)
    return found


def write_limit(limit: Limit) -> dict[str, Any]:
    """Return a limit as an agency file has it."""
    numbers = {} if limit.off else {"users": limit.users, "percent": limit.percent, "most": limit.most}
    names = {"role": limit.role, "group": limit.group}
    given = {name: value for name, value in (numbers | names).items() if value not in (None, "")}
    return {"kind": limit.kind.value} | given | ({"off": True} if limit.off else {})


def describe_limits(agency: models.Agency) -> dict[str, str]:
    """Return the limits that an agency sets, each by a name of its own, and always that of deactivations."""
    own = {name_limit(limit): describe_limit(limit) for limit in read_own_limits(agency)}
    return {name_limit(DEFAULT_LIMITS[0]): describe_limit(DEFAULT_LIMITS[0])} | own


def list_names(agency: models.Agency) -> list[tuple[str, str]]:
    """Return the roles and groups that a limit may name, each as `role-ID` or `group-ID` with its label."""
    roles = models.Role.objects.filter(agency=agency).order_by("name_key").values_list("pk", "name")
    groups = models.Group.objects.filter(agency=agency).order_by("name", "pk").values_list("pk", "name", "external_id")
    return [
        *((f"role-{pk}", gettext("Role %(name)s") % {"name": name}) for pk, name in roles),
        *(
            (f"group-{pk}", gettext("Group %(name)s (%(id)s)") % {"name": name, "id": external_id})
            for pk, name, external_id in groups
        ),
    ]


def name_limit(limit: Limit) -> str:
    """Return the name of a limit in the audit trail."""
    if limit.whole:
        return "deactivation_limit" if limit.kind is LimitKind.DEACTIVATIONS else f"limit {limit.kind}"
    return f"limit {limit.kind} of {f'role {limit.role}' if limit.role else f'group {limit.group}'}"


def describe_limit(limit: Limit) -> str:
    """Return a limit as text, such as “users 5, percent 10, most 500”."""
    if limit.off:
        return "off"
    most = "" if limit.most is None else f", most {limit.most}"
    return f"users {limit.users}, percent {limit.percent:g}{most}{' (default)' if limit.cautious else ''}"


def explain_limit(limit: Limit) -> str:
    """Return a limit in words for a page, such as “the larger of 5 users and 10% of the active users, at most 500”."""
    if limit.off:
        return gettext("no limit")
    users = ngettext("%(number)s user", "%(number)s users", limit.users) % {"number": f"{limit.users:,}"}
    percent = gettext("%(number)s%% of the active users") % {"number": f"{limit.percent:g}"}
    if limit.users and limit.percent:
        both = gettext("the larger of %(users)s and %(percent)s") % {"users": users, "percent": percent}
    else:
        both = percent if limit.percent else users
    if limit.most is None:
        return both
    return gettext("%(limit)s, at most %(most)s") % {"limit": both, "most": f"{limit.most:,}"}
