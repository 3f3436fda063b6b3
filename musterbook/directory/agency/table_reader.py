"""The values of a settings file, table by table: each as its setting needs it, or what is wrong with it."""

import difflib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.utils.translation import gettext as _

from musterbook.core.domain.policy import Limit, LimitKind
from musterbook.core.values.keys import fold
from musterbook.directory.agency.setting_values import ILLEGAL

MOST = 2**31 - 1
NUMBERS = ("users", "percent", "most")
"""The numbers of a limit."""
_LONGEST = 255

Meant = TypeVar("Meant")


@dataclass
class TableReader:
    """The state of reading one file, with the problems found so far.

    `location`: where a value is, as a problem names it.
    """

    problems: list[str] = field(default_factory=list)

    def parse_numbers(
        self, table: Mapping[str, Any], bounds: Mapping[str, tuple[int, int]], location: str
    ) -> dict[str, int]:
        """Return the numeric settings that the table has."""
        numbers = {name: table[name] for name in bounds if name in table}
        for name, value in numbers.items():
            least, most = bounds[name]
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                self.problems.append(
                    _("%(location)s: %(name)s is %(what)s: write a whole number from %(least)s to %(most)s.")
                    % {"location": location, "name": name, "what": f"{value!r}", "least": least, "most": most}
                )
        return numbers

    def parse_limit_numbers(self, table: Mapping[str, Any], location: str) -> dict[str, Any]:
        """Return the numbers of a limit that the table has."""
        numbers = {name: table[name] for name in NUMBERS if name in table}
        for name, value in numbers.items():
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (whole or (name == "percent" and isinstance(value, float))) or not 0 <= value <= MOST:
                self.problems.append(
                    _("%(location)s%(name)s is %(what)s: write 0 or a larger number.")
                    % {"location": location, "name": name, "what": f"{value!r}"}
                )
            elif name == "percent" and value > 100:
                self.problems.append(
                    _("%(location)spercent is %(what)s: write a number from 0 to 100.")
                    % {"location": location, "what": f"{value!r}"}
                )
        return numbers

    def parse_own_limit(self, entry: Mapping[str, Any], location: str) -> tuple[str, Limit]:
        """Return a limit of a list of limits, and the key that must be unique in the list."""
        self.check_keys(entry, location, ("kind", *NUMBERS, "off", "role", "group"))
        kind = self.parse_text(entry, "kind", location)
        role, group = (self.parse_text(entry, name, location, required=False) for name in ("role", "group"))
        off = self.parse_flag(entry, "off", location) if "off" in entry else False
        if kind and kind not in list(LimitKind):
            self.problems.append(
                _("%(location)s: there is no limit of %(kind)s. %(what)s")
                % {"location": location, "kind": kind, "what": suggest_name(kind, list(LimitKind))}
            )
            kind = ""
        if role and group:
            self.problems.append(_("%(location)s has a role and a group: keep one of them.") % {"location": location})
        numbers = self.parse_limit_numbers(entry, f"{location}: ")
        if not off and not {"users", "percent"} & numbers.keys():
            self.problems.append(
                _("%(location)s has no number: write users, percent or both, or off = true.") % {"location": location}
            )
        limit = Limit(LimitKind(kind or LimitKind.UPDATES), **numbers, off=off, role=role, group=group)
        return " ".join(filter(None, (kind, fold(role), group))), limit

    def parse_each(
        self, document: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any], str], tuple[str, Meant]]
    ) -> tuple[Meant, ...] | None:
        """Return the entries of a list of tables; `read` returns the key that must be unique, and the value of each."""
        if name not in document:
            return None
        if not isinstance(document[name], list) or not all(isinstance(entry, dict) for entry in document[name]):
            self.problems.append(
                _("%(name)s is not a list of tables: write [[%(name)s]] before each.") % {"name": name}
            )
            return ()
        entries: dict[str, Meant] = {}
        for number, entry in enumerate(document[name], 1):
            key, value = read(entry, f"[[{name}]] number {number}")
            if key and key in entries:
                self.problems.append(
                    _("[[%(name)s]] number %(number)s is the same as an earlier one: keep one of them.")
                    % {"name": name, "number": number}
                )
            entries[key] = value
        return tuple(entries.values())

    def parse_text(self, table: Mapping[str, Any], name: str, location: str, *, required: bool = True) -> str:
        """Return a text of the table as it is stored, "" if the table does not have it."""
        value: object = table.get(name, "")
        if not isinstance(value, str):
            self.problems.append(
                _("%(location)s: %(name)s is %(what)s, which is not text. Write it in quotation marks.")
                % {"location": location, "name": name, "what": f"{value!r}"}
            )
            return ""
        value = unicodedata.normalize("NFC", value).strip()
        if required and not value:
            self.problems.append(_("%(location)s has no %(name)s. Give it one.") % {"location": location, "name": name})
        if len(value) > _LONGEST:
            self.problems.append(
                _("%(location)s: %(name)s has %(what)s characters. Shorten it to %(LONGEST)s.")
                % {"location": location, "name": name, "what": len(value), "LONGEST": _LONGEST}
            )
        if ILLEGAL.search(value):
            self.problems.append(
                _("%(location)s: %(name)s contains a line break or another control character. Type it again.")
                % {"location": location, "name": name}
            )
        return value

    def parse_flag(self, table: Mapping[str, Any], name: str, location: str) -> bool:
        """Return whether a setting is true. It is if the table does not have it."""
        value = table.get(name, True)
        if not isinstance(value, bool):
            self.problems.append(
                _("%(location)s: %(name)s is %(what)s. Write true or false.")
                % {"location": location, "name": name, "what": f"{value!r}"}
            )
        return bool(value)

    def check_keys(self, table: Mapping[str, Any], location: str, known: tuple[str, ...]) -> None:
        """Add a problem for each name in the table that is not known."""
        for name in table:
            if name not in known:
                self.problems.append(
                    _("%(location)s: there is no setting “%(name)s”. %(what)s")
                    % {"location": location, "name": name, "what": suggest_name(name, known)}
                )


def suggest_name(word: str, known: Iterable[str]) -> str:
    """Return the sentence that names the known name like this one, or all known names."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return _("Did you mean %(name)s?") % {"name": close[0]}
    return _("There are: %(names)s.") % {"names": ", ".join(names)}
