"""The language of texts. The texts in the code are English; an interface says in which language its reader gets them.

Only what a person reads is translated, and only when it is shown. JSON, results files, and whatever is stored are English.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from gettext import NullTranslations
from typing import Protocol


class Language(Protocol):
    """A language: it returns an English text in this language, or unchanged if it does not have the text."""

    def gettext(self, message: str, /) -> str:
        """Return the text in this language."""

    def ngettext(self, singular: str, plural: str, number: int, /) -> str:
        """Return the form of the text for this number in this language."""


ENGLISH: Language = NullTranslations()
_current: ContextVar[Language] = ContextVar("language", default=ENGLISH)


@contextmanager
def reading(language: Language) -> Iterator[None]:
    """Show texts in this language, in this thread, until the block ends."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def get_language() -> Language:
    """Return the language in which texts are shown now: English, unless an interface has set another."""
    return _current.get()


def translate(text: str) -> str:
    """Return the text in the language of the reader."""
    return get_language().gettext(text) if text else ""


Forms = tuple[str, str]
"""The form of a text for one, and for several. `{number}` is the number."""


def count(forms: Forms, number: int, **params: str) -> str:
    """Return the form of the text for a number in the language of the reader, with its parameters filled in."""
    return get_language().ngettext(*forms, number).format(number=f"{number:,}", **params)


class Labels(dict[str, str]):
    """Code → its text, in the language of the reader. The English texts are the `sources`."""

    @property
    def sources(self) -> list[str]:
        """Return the English texts."""
        return list(super().values())

    def __getitem__(self, code: str) -> str:
        """Return the text of the code."""
        return translate(super().__getitem__(code))

    def get(self, code: str, default: str = "") -> str:  # type: ignore[override]  # a text of ours, or the default
        """Return the text of the code, or the default."""
        return translate(super().get(code, default))

    def values(self) -> list[str]:  # type: ignore[override]  # a list of texts is enough
        """Return the texts."""
        return [translate(text) for text in super().values()]

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]  # the same
        """Return the codes with their texts."""
        return [(code, translate(text)) for code, text in super().items()]
