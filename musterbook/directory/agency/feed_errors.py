"""The errors in the settings of a feed, collected while they are read, with the checks that several settings share."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from musterbook.directory.agency.setting_values import ILLEGAL
from musterbook.directory.agency.vocabularies import InvalidValue

_SHOWN = 60


class InvalidFeed(InvalidValue):
    """The settings of a feed cannot be accepted. `errors` has all of them: each a setting and a sentence."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__(*errors[0])
        self.errors = tuple(errors)


def show_value(value: object) -> str:
    """Return a value as a sentence shows it: in quotation marks if it is text, without controls, and not too long."""
    text = repr(value)[1:-1] if isinstance(value, str) else repr(value)
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return f"“{text}”" if isinstance(value, str) else text


@dataclass(frozen=True, slots=True)
class Errors:
    """The errors found so far, each a setting and a sentence. `setting`: the one that is read."""

    setting: str = ""
    found: list[tuple[str, str]] = field(default_factory=list)

    def at(self, setting: str) -> "Errors":
        """Return the same errors, to add those of another setting."""
        return Errors(setting, self.found)

    def add(self, sentence: str) -> None:
        """Add an error of the setting that is read, unless it is there already."""
        if (self.setting, sentence) not in self.found:
            self.found.append((self.setting, sentence))

    def add_all(self, sentences: Iterable[str]) -> None:
        """Add several errors of the setting that is read."""
        for sentence in sentences:
            self.add(sentence)

    def read_text(self, value: object, longest: int) -> str:
        """Return the text as it is stored: without blanks around it, and in one form of Unicode."""
        if not isinstance(value, str):
            self.add(_("%(value)s is not text. Write it in quotation marks.") % {"value": show_value(value)})
            return ""
        text = unicodedata.normalize("NFC", value).strip()
        if len(text) > longest:
            self.add(
                _("%(value)s has %(number)s characters. Shorten it to %(most)s.")
                % {"value": show_value(text), "number": len(text), "most": longest}
            )
        if ILLEGAL.search(text) or any("\ud800" <= character <= "\udfff" for character in text):
            self.add(
                _("%(value)s contains a line break or another control character. Type it again.")
                % {"value": show_value(text)}
            )
        return text

    def read_number(self, value: object, least: int, most: int) -> int:
        """Return the whole number between the two."""
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.add(
            _("%(value)s is not possible. Write a whole number from %(least)s to %(most)s.")
            % {"value": show_value(value), "least": least, "most": most}
        )
        return least

    def read_list(self, value: object, most: int) -> list[Any]:
        """Return the list, which has not more than `most` entries."""
        if not isinstance(value, list | tuple):
            self.add(_("%(value)s is not a list. Write its entries in square brackets.") % {"value": show_value(value)})
            return []
        if len(value) > most:
            self.add(_("There are %(number)s entries. Keep %(most)s.") % {"number": len(value), "most": most})
        return list(value[:most])

    def read_texts(self, value: object, most: int, longest: int) -> list[str]:
        """Return a list of texts, without blank ones."""
        return [text for entry in self.read_list(value, most) if (text := self.read_text(entry, longest))]

    def read_table(self, value: object, most: int) -> Mapping[str, Any]:
        """Return the table, which has not more than `most` entries."""
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            self.add(_("%(value)s is not a table. Write its entries with their names.") % {"value": show_value(value)})
            return {}
        if len(value) > most:
            self.add(_("There are %(number)s entries. Keep %(most)s.") % {"number": len(value), "most": most})
        return {name: value[name] for name in list(value)[:most]}

    def raise_found(self) -> None:
        """Raise InvalidFeed if there are errors."""
        if self.found:
            raise InvalidFeed(self.found)
