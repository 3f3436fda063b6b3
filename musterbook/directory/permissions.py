"""The permissions that a role can grant."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from musterbook.directory.models import Role

PERMISSIONS: "dict[str, StrOrPromise]" = {
    "users.view": gettext_lazy("View and search users"),
    "users.edit": gettext_lazy("Add, edit, deactivate and reactivate users"),
    "users.import": gettext_lazy("Import users from a file: add or update"),
    "users.synchronize": gettext_lazy("Import users from a file: synchronize"),
    "users.export": gettext_lazy("Export users"),
    "credentials.manage": gettext_lazy("Invite users, reset passwords, unlock, remove second factors"),
    "roles.manage": gettext_lazy("Add, change and delete roles"),
    "ranks.manage": gettext_lazy("Add, change and delete ranks"),
    "groups.manage": gettext_lazy("Add, change and delete groups"),
    "audit.view": gettext_lazy("View the audit trail"),
    "agency.configure": gettext_lazy("Change agency settings"),
    "api.manage": gettext_lazy("Create and revoke API tokens"),
}
"""Permission → what it allows."""

ALL = frozenset(PERMISSIONS)


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority that an act relies on: that of a user, or what a token has of it.

    `actor`: the user's external ID; "" for the system. `granted`: the permissions of the token, None for all that the
    user's role has. A token is an operator of its own, so rule M10 holds for its permissions.
    """

    actor: str
    granted: frozenset[str] | None = None


class NotPermitted(Exception):
    """The operator's role lacks a permission; the message names it."""


def get_permissions(role: "Role") -> frozenset[str]:
    """Return the permissions that a role grants."""
    return ALL if role.administrator else frozenset(role.permissions)


def describe_role(role: "Role") -> str:
    """Return what a role grants, in the words of the trail."""
    granted = "every permission" if role.administrator else ", ".join(role.permissions) or "no permission"
    return f"{role.name}: {granted}{'; second factor' if role.second_factor else ''}"
