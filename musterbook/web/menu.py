"""The menus: the pages that exist and that the user may open. Every template has them in its context."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy

from musterbook.accounts import factors
from musterbook.config import log_lines
from musterbook.directory import permissions
from musterbook.directory.imports import notice_recipients, notices
from musterbook.directory.models import User
from musterbook.web import help_pages

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of a menu: its label, the name of its address, its description, and the required permission."""

    label: "StrOrPromise"
    view: str
    about: "StrOrPromise" = ""
    permission: str = ""


@dataclass(frozen=True, slots=True)
class VisibleEntry:
    """An entry as one user sees it on one page."""

    label: str
    address: str
    about: str
    current: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A group of related pages in a menu."""

    label: "StrOrPromise"
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class VisibleSection:
    """A section as one user sees it on one page."""

    label: str
    entries: list[VisibleEntry]

    @property
    def current(self) -> bool:
        """Return whether the page belongs to one of the entries."""
        return any(entry.current for entry in self.entries)


ADMIN: tuple[Section, ...] = (
    Section(
        gettext_lazy("Users"),
        (
            Entry(
                gettext_lazy("All Users"), "all_users", gettext_lazy("Search, change and export users."), "users.view"
            ),
            Entry(gettext_lazy("Add User"), "add_user", gettext_lazy("Add one user with a form."), "users.edit"),
            Entry(
                gettext_lazy("Import Users"),
                "import_users",
                gettext_lazy("Add, update or synchronize users from a file."),
                "users.import",
            ),
            Entry(
                gettext_lazy("Import history"),
                "imports",
                gettext_lazy("Every import: who, when, and its result."),
                "users.import",
            ),
            Entry(
                gettext_lazy("Feeds"),
                "feeds",
                gettext_lazy("Files that arrive and are imported by themselves."),
                "users.import",
            ),
        ),
    ),
    Section(
        gettext_lazy("Agency"),
        (
            Entry(
                gettext_lazy("Groups"), "groups", gettext_lazy("Groups with their members and monitors."), "users.view"
            ),
            Entry(gettext_lazy("Ranks"), "ranks", gettext_lazy("The names of ranks and their order."), "ranks.manage"),
            Entry(gettext_lazy("Roles"), "roles", gettext_lazy("What users can do."), "roles.manage"),
            Entry(
                gettext_lazy("Agency settings"),
                "agency_settings",
                gettext_lazy("Limits, passwords, emails and single sign-on."),
                "agency.configure",
            ),
        ),
    ),
    Section(
        gettext_lazy("Records"),
        (
            Entry(
                gettext_lazy("Audit trail"),
                "audit",
                gettext_lazy("Who did what, when and from where. Check and export it."),
                "audit.view",
            ),
            Entry(
                gettext_lazy("API access"), "api_access", gettext_lazy("API tokens for other software."), "api.manage"
            ),
            Entry(
                gettext_lazy("Webhooks"),
                "webhooks",
                gettext_lazy("Messages to other software when users, imports or feeds change."),
                "api.manage",
            ),
        ),
    ),
)
"""The menu bar."""

SETTINGS = (
    Entry(gettext_lazy("Details"), "agency_settings"),
    Entry(gettext_lazy("Import limits"), "agency_limits"),
    Entry(gettext_lazy("Imports"), "agency_imports"),
    Entry(gettext_lazy("Values in files"), "agency_values"),
    Entry(gettext_lazy("Sign-in and passwords"), "agency_accounts"),
    Entry(gettext_lazy("Second factors"), "agency_second_factors"),
    Entry(gettext_lazy("Email"), "agency_mails"),
    Entry(gettext_lazy("Single sign-on"), "agency_sign_on"),
)
"""The sections of an agency's settings."""

MY_ACCOUNT = (
    Entry(gettext_lazy("Details"), "my_account", gettext_lazy("Your details, language and time zone.")),
    Entry(gettext_lazy("Password"), "account_change_password", gettext_lazy("Change your password.")),
    Entry(gettext_lazy("Second factors"), "mfa_index", gettext_lazy("Passkeys, one-time codes and recovery codes.")),
    Entry(
        gettext_lazy("Notices by email"), "notice_emails", gettext_lazy("Which notices about imports you get by email.")
    ),
    Entry(gettext_lazy("Sessions"), "usersessions_list", gettext_lazy("Where you are signed in.")),
)
"""The pages that users manage for themselves."""


def build_context(request: HttpRequest) -> dict[str, Any]:
    """Return the agency, the number of the request, and the context of the signed-in user.

    The agency is None on pages of the installation itself. The context of the user has the user, whether they lack a
    second factor, and the menus.
    """
    number = log_lines.get_number()
    account = getattr(request, "user", None)
    agency = getattr(request, "agency", None)
    if agency is None or account is None or not account.is_authenticated:
        return {"agency": agency, "request_number": number, "me": None}
    me = account.user
    return {
        "agency": agency,
        "request_number": number,
        "me": me,
        "menu": list_sections(ADMIN, request, me),
        "my_account": list_entries(MY_ACCOUNT, request, me),
        "may_get_notices": bool(notice_recipients.list_visible(me.role)),
        "unread_notices": partial(notices.count_unread, me),
        "help_address": help_pages.get_address(request),
        "lacks_second_factor": partial(factors.lacks_factor, account),
    }


def list_sections(sections: tuple[Section, ...], request: HttpRequest, user: User) -> list[VisibleSection]:
    """Return the sections that have an entry for the user. At most one entry is current on a page."""
    every = tuple(entry for section in sections for entry in section.entries)
    visible = {item.label: item for item in list_entries(every, request, user)}
    groups = [
        VisibleSection(str(s.label), [visible[str(entry.label)] for entry in s.entries if str(entry.label) in visible])
        for s in sections
    ]
    return [part for part in groups if part.entries]


def list_entries(entries: tuple[Entry, ...], request: HttpRequest, user: User) -> list[VisibleEntry]:
    """Return the entries that the user may open, each with its address. The entry of the page is current."""
    addresses = {entry: reverse(entry.view) for entry in entries if _may_open(user, entry.permission)}
    # One address can be a prefix of another: the longest match is current.
    current = max(filter(request.path.startswith, addresses.values()), key=len, default="")
    return [
        VisibleEntry(str(entry.label), address, str(entry.about), address == current)
        for entry, address in addresses.items()
    ]


def _may_open(user: User, permission: str) -> bool:
    return not permission or permission in permissions.get_permissions(user.role)
