"""The languages of pages, emails and commands, and how one of them is chosen."""

import os

from django.utils.translation.trans_real import parse_accept_lang_header

ENGLISH = "en"
"""The language of the texts in the code. It is used if no other is asked for."""
NAMES = {ENGLISH: "English", "es": "Español"}
"""The code of each language → its name, in the language itself."""


def match_language(tag: str) -> str:
    """Return the code of the language that a tag such as `es-MX` or `es_US.UTF-8` names, or "" if there is none."""
    code = tag.replace("_", "-").split("-")[0].split(".")[0].strip().lower()
    return code if code in NAMES else ""


def match_header(header: str) -> str:
    """Return the first language of an Accept-Language header that we have, or "" if there is none.

    The header comes from outside: Django bounds the length of what it reads.
    """
    return choose_language(*(tag for tag, weight in parse_accept_lang_header(header) if weight), default="")


def find_terminal_language() -> str:
    """Return the language of the terminal, as programs of a Unix find it: LC_ALL, LC_MESSAGES, then LANG."""
    name = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return match_language(name) or ENGLISH


def choose_language(*tags: str, default: str = ENGLISH) -> str:
    """Return the first language that we have of these tags, or the default."""
    return next(filter(None, map(match_language, tags)), default)
