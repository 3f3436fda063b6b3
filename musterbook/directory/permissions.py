"""The permissions that a role can grant."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from musterbook.directory.models import Role

PERMISSIONS: dict[str, str] = {
    "users.view": "See the users, and search them.",
    "users.edit": "Add, edit, deactivate and reactivate users.",
    "users.import": "Import users from a file: add or update.",
    "users.synchronize": "Import users from a file: synchronize all.",
    "users.export": "Export users.",
    "credentials.manage": "Invite, reset, unlock, and remove second factors.",
    "roles.manage": "Add, change and delete roles.",
    "ranks.manage": "Add, change and delete ranks.",
    "groups.manage": "Add, change and delete groups.",
    "audit.view": "See the audit trail.",
    "agency.configure": "Change the agency's settings.",
    "api.manage": "Make and revoke API tokens.",
}
"""Permission → what it allows."""

ALL = frozenset(PERMISSIONS)


class NotPermitted(Exception):
    """The operator's role lacks a permission; the message names it."""


def get_permissions(role: "Role") -> frozenset[str]:
    """Return the permissions that a role grants."""
    return ALL if role.administrator else frozenset(role.permissions)


def describe_role(role: "Role") -> str:
    """Return what a role grants, in the words of the trail."""
    granted = "every permission" if role.administrator else ", ".join(role.permissions) or "no permission"
    return f"{role.name}: {granted}{'; second factor' if role.second_factor else ''}"
