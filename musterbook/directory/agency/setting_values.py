"""The values of an agency's settings that are text: how each is stored, and what to write instead of a wrong one."""

import re
import unicodedata

from django.utils.translation import gettext

from musterbook.config import languages, time_zones
from musterbook.core.values import text as text_rules

ILLEGAL = re.compile(text_rules.ILLEGAL)
"""The characters that no name may contain."""


def read_country(text: str) -> str | None:
    """Return the country as it is stored: two capital letters, or "" for none. Return None if it does not exist."""
    import phonenumbers

    country = text.strip().upper()
    return country if not country or country in phonenumbers.SUPPORTED_REGIONS else None


def read_language(text: str) -> str | None:
    """Return the code of the language as it is stored: one of ours, or "" for none. Return None for any other text."""
    code = text.strip().lower()
    return code if not code or code in languages.NAMES else None


def read_zone(text: str) -> str | None:
    """Return the time zone as it is stored, or "" for none. Return None if this machine does not know it."""
    name = text.strip()
    return name if not name or time_zones.is_zone(name) else None


def explain_language() -> str:
    """Return what to write as a language."""
    return gettext("Write one of these codes: %(codes)s.") % {"codes": ", ".join(languages.NAMES)}


def explain_zone() -> str:
    """Return what to write as a time zone."""
    return gettext("Write the name of a time zone, such as America/Chicago.")


NOTICE_LONGEST = 4000


def explain_notice() -> str:
    """Return what to write as a notice."""
    text = gettext("Write plain text of at most %(most)s characters. Leave it blank for no notice.")
    return text % {"most": f"{NOTICE_LONGEST:,}"}


def read_notice(text: str) -> str | None:
    """Return a notice of several lines as it is stored.

    Return None if it is too long or contains a character that no text needs.
    """
    lines = [line.rstrip() for line in unicodedata.normalize("NFC", text).strip().splitlines()]
    fit = sum(map(len, lines)) + len(lines) <= NOTICE_LONGEST and not any(ILLEGAL.search(line) for line in lines)
    return "\n".join(lines) if fit else None
