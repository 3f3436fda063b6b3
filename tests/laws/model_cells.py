"""The oracle's cells: what a cell means, what is wrong with it, and the keys that values are compared by (C1–C12, M4)."""

import functools
import html
import re
import unicodedata
from collections.abc import Iterable

from musterbook.core.domain.vocabulary import Role
from tests.laws.world import WORDS

REQUIRED = ("EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "STATUS", "USERNAME", "ROLE")
_IDS = ("EXTERNAL_ID", "BADGE_NUMBER", "USERNAME")
_ACTIVE = ("active", "invited", "locked", "password reset")
_ROLES = {role.name.casefold(): role for role in WORDS.roles}
_RANKS = {name.casefold(): rank.name for rank in WORDS.ranks for name in (rank.name, rank.abbreviation)}
GROUPS = {group.external_id: group for group in WORDS.groups}

_UNSEEN = " \t\u00a0\u200b"
_MINUS = "\u2212"

# Keys


@functools.cache
def key(value: str) -> str:
    """M4: the value as it looks, without regard to case, and with its domain in one form."""
    folded = id_key(id_key(value).casefold()).casefold()
    local, at, domain = folded.rpartition("@")
    return local + at + ".".join(map(_decode_label, domain.split("."))) if at else folded


def _decode_label(label: str) -> str:
    return label[4:].encode().decode("punycode") if label.startswith("xn--") else label


@functools.cache
def id_key(external_id: str) -> str:
    """M4: an external ID as it looks. Case counts."""
    seen = "".join(letter for letter in external_id if unicodedata.category(letter) != "Cf")
    plain = unicodedata.normalize("NFKC", seen)
    return "".join("-" if unicodedata.category(c) == "Pd" or c == _MINUS else c for c in plain)


def letters(name: str) -> str:
    """The letters and digits of a name, without case and accents (M12)."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return "".join(letter for letter in plain if letter.isalnum()) or plain


def role(name: str) -> Role:
    """The role of that name."""
    return _ROLES[name.casefold()]


# Cells


def meant(cell: str) -> str:
    """C1: the text that a cell means."""
    text = unicodedata.normalize("NFC", cell.strip(_UNSEEN))
    if text.startswith('="') and text.endswith('"') and len(text) > 2:
        return text[2:-1].strip(_UNSEEN)
    bare = text.lstrip("'")
    return text[1:] if text.startswith("'") and bare[:1] in ("=", "+", "-", "@") and bare else text


def find_fault(heading: str, text: str) -> str:
    """The code of what is wrong with a cell; "" for nothing. The files have only some wrong cells."""
    if "\t" in text:
        return "illegal-character"
    if text.startswith("#") or "\ufffd" in text or (heading in _IDS and re.fullmatch("'[0-9]+", text)):
        return "spreadsheet-damage"
    if not text:
        return "required" if heading in REQUIRED else ""
    wrong: dict[str, tuple[bool, str]] = {
        "EMAIL": ("@" not in text or text.startswith('="') or not text.partition("@")[0].isascii(), "invalid-email"),
        "STATUS": (text.casefold() not in (*_ACTIVE, "inactive"), "invalid-status"),
        "ROLE": (text.casefold() not in _ROLES, "unknown-role"),
        "RANK": (text.casefold() not in _RANKS, "unknown-rank"),
        "EVIDENCE_GROUP_EXT_ID": (text not in GROUPS, "unknown-group"),
        "PHONE": (len(_digits(text)) < 11 or text.startswith("'"), "invalid-phone"),
    }
    fault, code = wrong.get(heading, (False, ""))
    return code if fault else ""


def _digits(text: Iterable[str]) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def read(heading: str, text: str) -> str:
    """The text as it is stored."""
    if heading == "STATUS":
        return "Active" if text.casefold() in _ACTIVE else "Inactive"
    if not text:
        return ""
    if heading == "ROLE":
        return role(text).name
    if heading == "RANK":
        return _RANKS[text.casefold()]
    return "+" + _digits(text).removeprefix("00") if heading == "PHONE" else text


# Damage

_WORDS = ("NULL", "null", "nan", "NaN", "None", "N/A", "n/a", r"\N", "#N/A", "<null>")
_MARKS = "\u201c\u201d\u2018\u2019"


def is_number(text: str) -> bool:
    """Whether the text has only digits, as they are typed."""
    return text.isascii() and text.isdigit()


def is_no_value(text: str) -> bool:
    """C12: whether programs write this where there is no value."""
    return text in _WORDS


def is_damaged(text: str, was: str) -> bool:
    """C12: whether a value is a damaged form of the stored one; "" for none. Text decoded once too often always is."""
    if not was:
        return is_no_value(text) or bool(_undo_decoding(text))
    if text.casefold() == was.casefold():
        return False
    number = was.isdigit() and (text == f"{was}.0" or ("," in text and text.replace(",", "") == was))
    zeros = was.startswith("0") and is_number(was) and is_number(text) and was.lstrip("0") == text.lstrip("0")
    return (
        is_no_value(text)
        or number
        or (zeros and len(text) < len(was))
        or (bool(_undo_decoding(text)) and not _undo_decoding(was))
        or _is_questioned(text, was)
        or text.strip(_MARKS) == was
        or (html.unescape(text) != text and meant(html.unescape(text)) == was)
    )


def _undo_decoding(text: str) -> str:
    """The text that was decoded once too often, "" if it was not."""
    try:
        again = text.encode("cp1252").decode()
    except UnicodeError:
        return ""
    return again if again != text else ""


def _is_questioned(text: str, was: str) -> bool:
    pattern = "".join(re.escape(c) if c.isascii() else rf"(?:{re.escape(c)}|\?+)" for c in was)
    return "?" in text and "?" not in was and re.fullmatch(pattern, text) is not None
