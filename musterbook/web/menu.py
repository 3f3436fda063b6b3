"""Which pages the menus lead to: those that there are, and that the user may open."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from musterbook.directory import permissions
from musterbook.directory.models import User


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of a menu: what it is called, the name of its address, what it is for, and the permission that it takes."""

    label: str
    view: str
    about: str = ""
    permission: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as one user sees it on one page."""

    label: str
    address: str
    about: str
    current: bool


ADMIN: tuple[Entry, ...] = (
    Entry("Import Users", "import_users", "Add, update or synchronize users from a file.", "users.import"),
)
"""The menu bar; pages join it as they come: Users, Groups, Ranks, Roles, Agency settings, Audit trail, API access."""

MY_ACCOUNT = (
    Entry("Details", "my_account", "What the directory has of you, and your time zone."),
    Entry("Password", "account_change_password", "Choose a new one."),
    Entry("Second factors", "mfa_index", "Passkeys, one-time codes and recovery codes."),
    Entry("Sessions", "usersessions_list", "Where you are signed in, and how to end that."),
)
"""What users keep for themselves."""


def shown(entries: tuple[Entry, ...], request: HttpRequest, user: User) -> list[Shown]:
    """The entries that the user may open, each with its address; the one that the page belongs to is current."""
    addresses = {entry: reverse(entry.view) for entry in entries if _may(user, entry.permission)}
    # One address may begin with another: the longest is meant.
    current = max(filter(request.path.startswith, addresses.values()), key=len, default="")
    return [Shown(entry.label, address, entry.about, address == current) for entry, address in addresses.items()]


def _may(user: User, permission: str) -> bool:
    return not permission or permission in permissions.of(user.role)
