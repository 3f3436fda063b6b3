"""Pieces of text in emails: names that no mail program makes a link of, and times in the recipient's zone."""

import re
import unicodedata
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import pgettext

from musterbook.directory.models import Agency

_IN_NAMES = frozenset(" .'’,&()-")
"""The characters that a name in an email may have besides letters and digits; a dot only at the end of a word."""
_IN_USERNAMES = frozenset("._'-")
_DOMAIN = re.compile(r"\.[^.]*[^\W\d]|^[\d.]+$")
"""Text that mail programs may take for a domain, under any top-level domain, or for an IP address."""


def find_plain_name(agency: Agency) -> str:
    """Return the name of the agency, or its slug if a mail program could make a link of the name."""
    return agency.name if is_plain_name(agency.name) else agency.slug


def is_plain_name(name: str) -> bool:
    """Return whether no mail program can make a link of a name that an outsider has written."""
    return _has_only(name, _IN_NAMES) and all("." not in word.rstrip(".,)") for word in name.split())


def is_plain_username(username: str) -> bool:
    """Return the same for a username: `jane.doe` could be a domain, if not today then tomorrow."""
    return _has_only(username, _IN_USERNAMES) and not _DOMAIN.search(username)


def _has_only(text: str, more: frozenset[str]) -> bool:
    return all(character in more or unicodedata.category(character)[0] in "LMN" for character in text)


def format_time(at: datetime | None) -> str:
    """Return a time in the zone of the recipient, with the name of the zone; "" for none."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    # Translators: a date with a time, in the letters that Django's documentation of `date` lists.
    form = pgettext("date", "j F Y, H:i")
    return f"{date_format(local, form)} ({local.tzname()})"
