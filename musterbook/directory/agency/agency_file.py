"""The agency file (TOML): an agency's name, limits, roles, ranks and groups, or all errors in the file."""

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from musterbook.core.domain.policy import DeactivationLimit
from musterbook.core.domain.vocabulary import Group, Rank, Role
from musterbook.core.values import text as text_rules
from musterbook.core.values.keys import fold
from musterbook.directory.agency import sign_on_file
from musterbook.directory.permissions import ALL, PERMISSIONS

ADMINISTRATOR = "Admin"
"""The one role that always exists, has every permission, and cannot be changed."""

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
SETTINGS = (
    "slug",
    "name",
    "default_country",
    "deactivation_limit",
    "mail",
    "mails_off",
    "accounts",
    "sign_in_notice",
    "sign_on",
    "roles",
    "ranks",
    "groups",
)
"""All settings that a file can have."""
RESERVED = ("health", "static")
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
ACCOUNT_FLAGS = ("lock_all_places",)
"""The settings of accounts that are true or false; each is a column of the agency."""
MAILS = ("invitation", "welcome", "reactivated", "deactivated")
"""The kinds of mails that an agency can switch off. Mails about the security of an account are always sent."""
MOST = 2**31 - 1
_LONGEST_SLUG, _LONGEST = 63, 255
ILLEGAL = re.compile(text_rules.ILLEGAL)
"""The characters that no name may contain."""


class Faulty(Exception):
    """The file cannot be applied; `problems` lists all errors in it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


Meant = TypeVar("Meant")


def unfit_slug(slug: object) -> str:
    """Return why this cannot be an agency's slug, or "" if it can."""
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug) or len(slug) > _LONGEST_SLUG:
        return f"Write 1 to {_LONGEST_SLUG} lower-case letters, digits and single hyphens, like springfield-pd."
    return "Musterbook uses this address itself. Choose another one." if slug in RESERVED else ""


def read_country(text: str) -> str | None:
    """Return the country as it is stored: two capital letters, or "" for none. Return None if it does not exist."""
    import phonenumbers

    country = text.strip().upper()
    return country if not country or country in phonenumbers.SUPPORTED_REGIONS else None


NOTICE_LONGEST = 4000
NOTICE = f"Write plain text of at most {NOTICE_LONGEST:,} characters. Leave it blank for no notice."


def read_notice(text: str) -> str | None:
    """Return a notice of several lines as it is stored.

    Return None if it is too long or contains a character that no text needs.
    """
    lines = [line.rstrip() for line in unicodedata.normalize("NFC", text).strip().splitlines()]
    fit = sum(map(len, lines)) + len(lines) <= NOTICE_LONGEST and not any(ILLEGAL.search(line) for line in lines)
    return "\n".join(lines) if fit else None


@dataclass(frozen=True, slots=True)
class AgencyFile:
    """The content of an agency file.

    Roles, ranks and groups are None if the file does not mention them; their ids are 0.

    The same holds for `limit`, `mail` and `mails_off`.
    """

    slug: str
    name: str
    country: str | None = None
    limit: DeactivationLimit | None = None
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
    roles: tuple[Role, ...] | None = None
    ranks: tuple[Rank, ...] | None = None
    groups: tuple[tuple[Group, str], ...] | None = None
    """Each group with its name."""


def read(content: bytes) -> AgencyFile:
    """Return the content of the file. Raise Faulty with all errors."""
    try:
        told = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Faulty([f"The file is not UTF-8 (byte {error.start + 1}). Save it as UTF-8."]) from None
    except tomllib.TOMLDecodeError as error:
        raise Faulty([f"The file is not TOML: {error}."]) from None
    reading = _Reading()
    meant = reading.agency(told)
    if reading.problems:
        raise Faulty(reading.problems)
    return meant


@dataclass
class _Reading:
    """The state of reading one file, with the problems found so far."""

    problems: list[str] = field(default_factory=list)

    def agency(self, told: Mapping[str, Any]) -> AgencyFile:
        self._keys(told, "the file", SETTINGS)
        return AgencyFile(
            slug=self._slug(told),
            name=self._text(told, "name", "the file"),
            country=self._country(told) if "default_country" in told else None,
            limit=self._limit(told["deactivation_limit"]) if "deactivation_limit" in told else None,
            mail=self._flag(told, "mail", "the file") if "mail" in told else None,
            notice=self._notice(told["sign_in_notice"]) if "sign_in_notice" in told else None,
            mails_off=self._mails_off(told["mails_off"]) if "mails_off" in told else None,
            **self._accounts(told.get("accounts", {})),
            sign_on=sign_on_file.read(told["sign_on"], self.problems) if "sign_on" in told else None,
            roles=self._each(told, "roles", self._role),
            ranks=self._each(told, "ranks", self._rank),
            groups=self._each(told, "groups", self._group),
        )

    def _slug(self, told: Mapping[str, Any]) -> str:
        slug = told.get("slug")
        unfit = unfit_slug(slug)
        if unfit:
            said = f"“{slug}”" if "slug" in told else "missing"
            self.problems.append(f"slug is {said}. {unfit}")
        return str(slug)

    def _accounts(self, told: object) -> dict[str, Any]:
        place = "[accounts]"
        if not isinstance(told, dict):
            self.problems.append(f"accounts is not a table: write {place} before its settings.")
            return {}
        self._keys(told, place, (*ACCOUNTS, *ACCOUNT_FLAGS, "second_factor", "second_factor_roles"))
        flags = {name: self._flag(told, name, place) for name in ACCOUNT_FLAGS if name in told}
        for name, (least, most) in ACCOUNTS.items():
            value = told.get(name, least)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                self.problems.append(f"{place}: {name} is {value!r}: write a whole number from {least} to {most}.")
        roles = told.get("second_factor_roles")
        if roles is not None and not (isinstance(roles, list) and all(isinstance(role, str) for role in roles)):
            self.problems.append(f'{place}: second_factor_roles is no list of roles, such as ["{ADMINISTRATOR}"].')
            roles = None
        return {
            "accounts": {name: told[name] for name in ACCOUNTS if name in told} | flags,
            "second_factor": self._flag(told, "second_factor", place) if "second_factor" in told else None,
            "second_factor_roles": None if roles is None else frozenset(map(fold, roles)),
        }

    def _mails_off(self, told: object) -> tuple[str, ...]:
        if not isinstance(told, list) or not set(map(str, told)) <= set(MAILS):
            self.problems.append(f"mails_off is {told!r}: write a list of any of these: {', '.join(MAILS)}.")
            return ()
        return tuple(kind for kind in MAILS if kind in told)

    def _notice(self, told: object) -> str:
        notice = read_notice(told) if isinstance(told, str) else None
        if notice is None:
            self.problems.append(f"sign_in_notice: {NOTICE}")
        return notice or ""

    def _country(self, told: Mapping[str, Any]) -> str:
        country = read_country(str(told["default_country"]))
        if country is None:
            self.problems.append(
                f"default_country is “{told['default_country']}”: write the two letters of an ISO 3166 country, such as US."
            )
        return country or ""

    def _limit(self, told: object) -> DeactivationLimit:
        place = "deactivation_limit"
        if not isinstance(told, dict):
            self.problems.append(f"{place} is not a table: write {place} = {{ users = 5, percent = 10, most = 500 }}.")
            return DeactivationLimit()
        self._keys(told, place, ("users", "percent", "most"))
        for name, value in told.items():
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (whole or (name == "percent" and isinstance(value, float))) or not 0 <= value <= MOST:
                self.problems.append(f"{place}.{name} is {value!r}: write 0 or a larger number.")
            elif name == "percent" and value > 100:
                self.problems.append(f"{place}.percent is {value}: write a number from 0 to 100.")
        known = {name: value for name, value in told.items() if name in ("users", "percent", "most")}
        return DeactivationLimit(**known)

    def _each(
        self, told: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any], str], tuple[str, Meant]]
    ) -> tuple[Meant, ...] | None:
        """Return the entries of a list of tables; `read` returns the key that must be unique, and the value of each."""
        if name not in told:
            return None
        if not isinstance(told[name], list) or not all(isinstance(entry, dict) for entry in told[name]):
            self.problems.append(f"{name} is not a list of tables: write [[{name}]] before each.")
            return ()
        found: dict[str, Meant] = {}
        for number, entry in enumerate(told[name], 1):
            key, meant = read(entry, f"[[{name}]] number {number}")
            if key and key in found:
                self.problems.append(f"[[{name}]] number {number} is the same as an earlier one: keep one of them.")
            found[key] = meant
        return tuple(found.values())

    def _role(self, told: Mapping[str, Any], place: str) -> tuple[str, Role]:
        self._keys(told, place, ("name", "permissions"))
        name = self._text(told, "name", place)
        permissions = told.get("permissions", [])
        if not isinstance(permissions, list) or not all(isinstance(permission, str) for permission in permissions):
            self.problems.append(f'{place}: permissions is no list of texts, such as ["users.view"].')
            permissions = []
        for permission in permissions:
            if permission not in PERMISSIONS:
                self.problems.append(
                    f"{place}: there is no permission “{permission}”. {_closest(permission, PERMISSIONS)}"
                )
        administrator = fold(name) == fold(ADMINISTRATOR)
        if administrator and "permissions" in told and set(permissions) != ALL:
            self.problems.append(f"{place}: {ADMINISTRATOR} always has every permission. Leave its permissions out.")
        return fold(name), Role(0, name, frozenset(permissions), administrator)

    def _rank(self, told: Mapping[str, Any], place: str) -> tuple[str, Rank]:
        self._keys(told, place, ("name", "abbreviation"))
        name = self._text(told, "name", place)
        return fold(name), Rank(0, name, self._text(told, "abbreviation", place, required=False))

    def _group(self, told: Mapping[str, Any], place: str) -> tuple[str, tuple[Group, str]]:
        self._keys(told, place, ("external_id", "name", "active"))
        external_id = self._text(told, "external_id", place)
        name = self._text(told, "name", place, required=False) or external_id
        return external_id, (Group(0, external_id, self._flag(told, "active", place)), name)

    def _text(self, told: Mapping[str, Any], name: str, place: str, *, required: bool = True) -> str:
        value: object = told.get(name, "")
        if not isinstance(value, str):
            self.problems.append(f"{place}: {name} is {value!r}, which is not text. Write it in quotation marks.")
            return ""
        value = unicodedata.normalize("NFC", value).strip()
        if required and not value:
            self.problems.append(f"{place} has no {name}. Give it one.")
        if len(value) > _LONGEST:
            self.problems.append(f"{place}: {name} has {len(value)} characters. Shorten it to {_LONGEST}.")
        if ILLEGAL.search(value):
            self.problems.append(f"{place}: {name} contains a line break or another control character. Type it again.")
        return value

    def _flag(self, told: Mapping[str, Any], name: str, place: str) -> bool:
        value = told.get(name, True)
        if not isinstance(value, bool):
            self.problems.append(f"{place}: {name} is {value!r}. Write true or false.")
        return bool(value)

    def _keys(self, told: Mapping[str, Any], place: str, known: tuple[str, ...]) -> None:
        for name in told:
            if name not in known:
                self.problems.append(f"{place}: there is no setting “{name}”. {_closest(name, known)}")


def _closest(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}."
