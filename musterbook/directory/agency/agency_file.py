"""The agency file (TOML): an agency's name, limits, feeds, roles, ranks and groups, or all errors in the file."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from musterbook.core.domain.policy import DEFAULT_LIMITS, Limit
from musterbook.core.domain.vocabulary import Rank, Role
from musterbook.core.values.keys import fold
from musterbook.directory.agency import feed_values, sign_on_file, values_in_file
from musterbook.directory.agency.group_settings import GroupSettings
from musterbook.directory.agency.setting_values import (
    explain_language,
    explain_notice,
    explain_zone,
    read_country,
    read_language,
    read_notice,
    read_zone,
)
from musterbook.directory.agency.table_reader import NUMBERS, TableReader, suggest_name
from musterbook.directory.permissions import ALL, PERMISSIONS

ADMINISTRATOR = "Admin"
"""The one role that always exists, has every permission, and cannot be changed."""

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
SETTINGS = (
    "slug",
    "name",
    "default_country",
    "language",
    "time_zone",
    "deactivation_limit",
    "grace_days",
    "limits",
    "second_approver",
    "replaced_addresses_days",
    "release_badges",
    "scim_refuses_held",
    "mail",
    "mails_off",
    "preview_days",
    "accounts",
    "sign_in_notice",
    "sign_on",
    "values",
    "defaults",
    "feeds",
    "roles",
    "ranks",
    "groups",
)
"""All settings that a file can have."""
RESERVED = ("health", "healthz", "metrics", "readyz", "static")
"""Addresses that no agency can have."""
ACCOUNTS = {
    "invitation_days": (1, 365),
    "password_length": (8, 64),
    "password_days": (0, 3650),
    "lock_failures": (2, 5),
    "lock_minutes": (0, 525_600),
    "idle_minutes": (1, 720),
    "sessions_most": (1, 100),
    "unused_days": (0, 3650),
    "reuse_days": (0, 3650),
}
"""The numeric settings of accounts, each with its minimum and maximum; each is a column of the agency."""
IMPORTS = {"grace_days": (0, 365), "replaced_addresses_days": (0, 3650), "preview_days": (1, 3650)}
"""The numeric settings of imports, each with its minimum and maximum; each is a column of the agency."""
IMPORT_FLAGS = ("release_badges", "scim_refuses_held")
"""The settings of imports that are true or false; each is a column of the agency."""
ACCOUNT_FLAGS = ("lock_all_places",)
"""The settings of accounts that are true or false; each is a column of the agency."""
MAILS = ("invitation", "welcome", "reactivated", "deactivated")
"""The kinds of emails that an agency can switch off. Emails about the security of an account are always sent."""
_LONGEST_SLUG = 63


class InvalidAgencyFile(Exception):
    """The file cannot be applied; `problems` lists all errors in it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def check_slug(slug: object) -> str:
    """Return why this cannot be an agency's slug, or "" if it can."""
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug) or len(slug) > _LONGEST_SLUG:
        return _("Write 1 to %(most)s lowercase letters, digits and single hyphens, like springfield-pd.") % {
            "most": _LONGEST_SLUG
        }
    return _("Musterbook uses this address itself. Choose another one.") if slug in RESERVED else ""


@dataclass(frozen=True, slots=True)
class AgencyFile:
    """The content of an agency file.

    Roles, ranks and groups are None if the file does not mention them; their ids are 0.

    The same holds for the other settings.
    """

    slug: str
    name: str
    country: str | None = None
    language: str | None = None
    time_zone: str | None = None
    limit: Limit | None = None
    """The limit of deactivations. In `limits`, it has no maximum unless it names one."""
    limits: tuple[Limit, ...] | None = None
    second_approver: bool | None = None
    imports: Mapping[str, int] = field(default_factory=dict)
    """The settings in IMPORTS and IMPORT_FLAGS that the file names."""
    mail: bool | None = None
    notice: str | None = None
    """The notice that every user reads before they sign in."""
    mails_off: tuple[str, ...] | None = None
    """The kinds in MAILS that are not sent."""
    accounts: Mapping[str, int] = field(default_factory=dict)
    """The settings in ACCOUNTS and ACCOUNT_FLAGS that the file names."""
    second_factor: bool | None = None
    """Whether every user must sign in with a second factor."""
    second_factor_roles: frozenset[str] | None = None
    """The folded names of the roles that must sign in with a second factor."""
    sign_on: tuple[sign_on_file.Provider, ...] | None = None
    """The identity providers with which users sign in."""
    values: Mapping[str, Mapping[str, str]] | None = None
    """Column → value in a file → the agency's value."""
    defaults: Mapping[str, str] | None = None
    """Column → the value of new users, if a file does not have the column."""
    feeds: tuple[feed_values.Settings, ...] | None = None
    """The settings of each feed (`feed_values.parse_feed`)."""
    roles: tuple[Role, ...] | None = None
    ranks: tuple[Rank, ...] | None = None
    groups: tuple[GroupSettings, ...] | None = None


def read_agency_file(content: bytes) -> AgencyFile:
    """Return the content of the file. Raise InvalidAgencyFile with all errors."""
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidAgencyFile(
            [_("The file is not UTF-8 (byte %(byte)s). Save it as UTF-8.") % {"byte": error.start + 1}]
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidAgencyFile([_("The file is not TOML: %(error)s.") % {"error": error}]) from None
    reader = _FileReader()
    parsed = reader.agency(document)
    if reader.problems:
        raise InvalidAgencyFile(reader.problems)
    return parsed


class _FileReader(TableReader):
    """The state of reading one file, with the problems found so far."""

    def agency(self, document: Mapping[str, Any]) -> AgencyFile:
        self.check_keys(document, _("the file"), SETTINGS)
        return AgencyFile(
            slug=self._parse_slug(document),
            name=self.parse_text(document, "name", _("the file")),
            country=self._parse_country(document) if "default_country" in document else None,
            language=self._parse_choice(document, "language", read_language, explain_language),
            time_zone=self._parse_choice(document, "time_zone", read_zone, explain_zone),
            limit=self._parse_limit(document["deactivation_limit"]) if "deactivation_limit" in document else None,
            imports=self.parse_numbers(document, IMPORTS, _("the file"))
            | {name: self.parse_flag(document, name, _("the file")) for name in IMPORT_FLAGS if name in document},
            limits=self._parse_limits(document),
            second_approver=(
                self.parse_flag(document, "second_approver", _("the file")) if "second_approver" in document else None
            ),
            mail=self.parse_flag(document, "mail", _("the file")) if "mail" in document else None,
            notice=self._parse_notice(document["sign_in_notice"]) if "sign_in_notice" in document else None,
            mails_off=self._parse_mails_off(document["mails_off"]) if "mails_off" in document else None,
            **self._parse_accounts(document.get("accounts", {})),
            sign_on=sign_on_file.read_providers(document["sign_on"], self.problems) if "sign_on" in document else None,
            values=values_in_file.read_values(document["values"], self.problems) if "values" in document else None,
            defaults=values_in_file.read_defaults(document["defaults"], self.problems)
            if "defaults" in document
            else None,
            feeds=feed_values.read_feeds(document["feeds"], self.problems) if "feeds" in document else None,
            roles=self.parse_each(document, "roles", self._parse_role),
            ranks=self.parse_each(document, "ranks", self._parse_rank),
            groups=self.parse_each(document, "groups", self._parse_group),
        )

    def _parse_slug(self, document: Mapping[str, Any]) -> str:
        slug = document.get("slug")
        error = check_slug(slug)
        if error:
            text = _("slug is “%(slug)s”. %(error)s") if "slug" in document else _("slug is missing. %(error)s")
            self.problems.append(text % {"slug": slug, "error": error})
        return str(slug)

    def _parse_accounts(self, table: object) -> dict[str, Any]:
        location = "[accounts]"
        if not isinstance(table, dict):
            self.problems.append(
                _("accounts is not a table: write %(location)s before its settings.") % {"location": location}
            )
            return {}
        self.check_keys(table, location, (*ACCOUNTS, *ACCOUNT_FLAGS, "second_factor", "second_factor_roles"))
        flags = {name: self.parse_flag(table, name, location) for name in ACCOUNT_FLAGS if name in table}
        numbers = self.parse_numbers(table, ACCOUNTS, location)
        roles = table.get("second_factor_roles")
        if roles is not None and not (isinstance(roles, list) and all(isinstance(role, str) for role in roles)):
            self.problems.append(
                _('%(location)s: second_factor_roles is not a list of roles, such as ["%(ADMINISTRATOR)s"].')
                % {"location": location, "ADMINISTRATOR": ADMINISTRATOR}
            )
            roles = None
        return {
            "accounts": {**numbers, **flags},
            "second_factor": self.parse_flag(table, "second_factor", location) if "second_factor" in table else None,
            "second_factor_roles": None if roles is None else frozenset(map(fold, roles)),
        }

    def _parse_mails_off(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not set(map(str, value)) <= set(MAILS):
            self.problems.append(
                _("mails_off is %(what)s: write a list of any of these: %(what2)s.")
                % {"what": f"{value!r}", "what2": ", ".join(MAILS)}
            )
            return ()
        return tuple(kind for kind in MAILS if kind in value)

    def _parse_notice(self, value: object) -> str:
        notice = read_notice(value) if isinstance(value, str) else None
        if notice is None:
            self.problems.append(f"sign_in_notice: {explain_notice()}")
        return notice or ""

    def _parse_country(self, document: Mapping[str, Any]) -> str:
        country = read_country(str(document["default_country"]))
        if country is None:
            self.problems.append(
                _("default_country is “%(what)s”: write the two letters of an ISO 3166 country, such as US.")
                % {"what": document["default_country"]}
            )
        return country or ""

    def _parse_choice(
        self, document: Mapping[str, Any], name: str, read: Callable[[str], str | None], remedy: Callable[[], str]
    ) -> str | None:
        """Return a setting that `read` knows, or None if the file does not have it."""
        if name not in document:
            return None
        value = read(str(document[name]))
        if value is None:
            self.problems.append(
                _("%(name)s is “%(text)s”. %(remedy)s") % {"name": name, "text": document[name], "remedy": remedy()}
            )
        return value

    def _parse_limit(self, table: object) -> Limit:
        location = "deactivation_limit"
        default = DEFAULT_LIMITS[0]
        if not isinstance(table, dict):
            self.problems.append(
                _("%(location)s is not a table: write %(location)s = { users = 5, percent = 10, most = 500 }.")
                % {"location": location}
            )
            return default
        self.check_keys(table, location, NUMBERS)
        return replace(default, cautious=False, **self.parse_limit_numbers(table, f"{location}."))

    def _parse_limits(self, document: Mapping[str, Any]) -> tuple[Limit, ...] | None:
        """Return the limits that the file lists. A number that an entry leaves out is not part of the limit."""
        found = self.parse_each(document, "limits", self.parse_own_limit)
        if (
            found
            and "deactivation_limit" in document
            and any(one.kind == "deactivations" and one.whole for one in found)
        ):
            self.problems.append(
                _("The limit of deactivations is in deactivation_limit and in [[limits]]: keep one of them.")
            )
        return found

    def _parse_role(self, entry: Mapping[str, Any], location: str) -> tuple[str, Role]:
        self.check_keys(entry, location, ("name", "permissions"))
        name = self.parse_text(entry, "name", location)
        permissions = entry.get("permissions", [])
        if not isinstance(permissions, list) or not all(isinstance(permission, str) for permission in permissions):
            self.problems.append(
                _('%(location)s: permissions is not a list of texts, such as ["users.view"].') % {"location": location}
            )
            permissions = []
        for permission in permissions:
            if permission not in PERMISSIONS:
                self.problems.append(
                    _("%(location)s: there is no permission “%(permission)s”. %(what)s")
                    % {"location": location, "permission": permission, "what": suggest_name(permission, PERMISSIONS)}
                )
        administrator = fold(name) == fold(ADMINISTRATOR)
        if administrator and "permissions" in entry and set(permissions) != ALL:
            self.problems.append(
                _("%(location)s: %(ADMINISTRATOR)s always has every permission. Leave its permissions out.")
                % {"location": location, "ADMINISTRATOR": ADMINISTRATOR}
            )
        return fold(name), Role(0, name, frozenset(permissions), administrator)

    def _parse_rank(self, entry: Mapping[str, Any], location: str) -> tuple[str, Rank]:
        self.check_keys(entry, location, ("name", "abbreviation"))
        name = self.parse_text(entry, "name", location)
        return fold(name), Rank(0, name, self.parse_text(entry, "abbreviation", location, required=False))

    def _parse_group(self, entry: Mapping[str, Any], location: str) -> tuple[str, GroupSettings]:
        self.check_keys(entry, location, ("external_id", "name", "active", "parent", "monitor_groups"))
        external_id = self.parse_text(entry, "external_id", location)
        name = self.parse_text(entry, "name", location, required=False) or external_id
        parent = self.parse_text(entry, "parent", location, required=False) if "parent" in entry else None
        monitors = entry.get("monitor_groups")
        if monitors is not None and not (isinstance(monitors, list) and all(isinstance(one, str) for one in monitors)):
            self.problems.append(
                _('%(location)s: monitor_groups is not a list of external IDs, such as ["AUDIT"].')
                % {"location": location}
            )
            monitors = None
        active = self.parse_flag(entry, "active", location)
        return external_id, GroupSettings(
            external_id, name, active, parent, None if monitors is None else tuple(monitors)
        )
