"""The language of commands: that of the terminal. Messages are translated without Django, which a wrong call never loads.

JSON and whatever is stored are English.
"""

import gettext as catalogs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musterbook.core.domain import texts

_LOCALE = Path(__file__).parents[1] / "locale"


def gettext(text: str) -> str:
    """Return the text in the language of the reader."""
    return texts.get_language().gettext(text)


def ngettext(singular: str, plural: str, number: int) -> str:
    """Return the form of the text for this number in the language of the reader."""
    return texts.get_language().ngettext(singular, plural, number)


def gettext_noop(text: str) -> str:
    """Return the text as it is. The catalogs have it, so that it can be translated where it is shown."""
    return text


@contextmanager
def speak() -> Iterator[None]:
    """Show texts in the language of the terminal until the block ends."""
    from musterbook.config import languages

    code = languages.find_terminal_language()
    if code == languages.ENGLISH:
        yield
        return
    with texts.reading(catalogs.translation("django", _LOCALE, [code], fallback=True)):
        yield
