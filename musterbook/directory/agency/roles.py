"""Roles: list, add, change and delete them. No user can grant, or remove, a permission that they lack."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from musterbook.core.domain.policy import Operator
from musterbook.directory import models, permissions
from musterbook.directory.agency import agencies, vocabularies
from musterbook.directory.agency.vocabularies import NotAllowed
from musterbook.directory.audit.trail import AuditContext


@dataclass(frozen=True, slots=True)
class RoleInput:
    """The requested state of a role: its name, its permissions, and whether its users must have a second factor."""

    name: str
    permissions: frozenset[str]
    second_factor: bool


def list_roles(agency: models.Agency) -> list[models.Role]:
    """Return the agency's roles: Admin first, then the others by name."""
    return list(models.Role.objects.filter(agency=agency).order_by("-administrator", "name_key"))


def add(agency: models.Agency, values: RoleInput, context: AuditContext, by: Operator) -> models.Role:
    """Add a new role, and return it. Raise InvalidValue and NotAllowed."""
    with agencies.changing(agency, context):
        return insert(agency, values, by)


def insert(agency: models.Agency, values: RoleInput, by: Operator | None) -> models.Role:
    """Add a new role and return it. The caller records the change (`agencies.changing`). Raise as `add` does.

    `by`: None for the system, which may grant every permission.
    """
    if by is not None:
        _check_permissions(by, values.permissions)
    return _write(models.Role(agency=agency), values)


def change(role: models.Role, values: RoleInput, context: AuditContext, by: Operator) -> None:
    """Change a role to the requested state; of Admin only the second factor changes. Raise InvalidValue and NotAllowed."""
    with agencies.changing(role.agency, context):
        role.refresh_from_db()
        before = permissions.get_permissions(role)
        if role.administrator:
            values = replace(values, name=role.name, permissions=frozenset(role.permissions))
        _check_permissions(by, before | values.permissions)
        lost = sorted(before - values.permissions)
        if lost and not role.administrator and _has_role(by, role):
            raise NotAllowed(
                _("This is your own role, and you would lose: %(permissions)s. Ask someone with another role to do it.")
                % {"permissions": _list_labels(lost)}
            )
        _write(role, values)


def _write(role: models.Role, values: RoleInput) -> models.Role:
    role.name, role.name_key = vocabularies.clean_name(values.name, models.Role, role.agency, role.pk or 0)
    role.permissions, role.second_factor = sorted(values.permissions), values.second_factor
    role.save()
    return role


def delete(role: models.Role, context: AuditContext, by: Operator) -> None:
    """Delete a role that no user has. Raise InUse and NotAllowed."""
    with agencies.changing(role.agency, context):
        if role.administrator:
            raise NotAllowed(_("%(name)s cannot be deleted.") % {"name": role.name})
        _check_permissions(by, permissions.get_permissions(role))
        vocabularies.delete_entry(role, "role")


def _check_permissions(by: Operator, concerned: AbstractSet[str]) -> None:
    lacking = sorted(concerned - by.permissions)
    if lacking:
        raise NotAllowed(
            _("You can only give or remove permissions that your own role has. It does not have: %(permissions)s.")
            % {"permissions": _list_labels(lacking)}
        )


def _list_labels(names: Iterable[str]) -> str:
    return "; ".join(str(permissions.PERMISSIONS.get(name, name)) for name in names)


def _has_role(by: Operator, role: models.Role) -> bool:
    return models.User.objects.filter(pk=by.id, role=role).exists()
