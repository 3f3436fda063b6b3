"""Values that look alike: the character that makes two of them differ (rule C13)."""

import re
import unicodedata

import polars as pl

from musterbook.core.values.keys import make_key
from musterbook.core.values.text import DASH, HIDDEN, is_ascii, name_code_point

_ODD = re.compile(f"{HIDDEN}|{DASH}")


def explain_pairs(values: pl.Series, others: pl.Series) -> pl.Series:
    """Return `explain_likeness` of each pair of values. Only a value with other letters than ASCII can look like another."""
    plain = is_ascii(values).fill_null(True) & is_ascii(others).fill_null(True)
    if plain.all():
        return pl.repeat("", len(values), eager=True)
    texts = [
        "" if same else explain_likeness(value, other)
        for same, value, other in zip(plain, values.fill_null(""), others.fill_null(""), strict=True)
    ]
    return pl.Series(texts, dtype=pl.String)


def explain_likeness(value: str, other: str) -> str:
    """Return a sentence that names the character by which two values differ that look alike.

    It also names the position of the character. Return "" for values that do not look alike.
    """
    if value == other or make_key(value) != make_key(other):
        return ""
    pairs = ((value, other), (other, value))
    return next(filter(None, (_name_odd(text, against) for text, against in pairs)), "")


def _name_odd(value: str, other: str) -> str:
    for position, character in enumerate(value, start=1):
        if _is_odd(character) and value.count(character) > other.count(character):
            return f"Character {position} of “{value}” is {name_code_point(character)}."
    return ""


def _is_odd(character: str) -> bool:
    return bool(_ODD.match(character)) or unicodedata.normalize("NFKC", character) != character
