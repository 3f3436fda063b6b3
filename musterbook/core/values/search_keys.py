"""Text as a search and a sorted list see it: without regard to case, accents, and ways of writing one character."""

import unicodedata
from functools import cache

import polars as pl

from musterbook.core.values.text import is_ascii

_PLAIN = {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
"""Letters that are written with a plain one where there is none of them, though Unicode takes them for no accent."""


def folded(value: str) -> str:
    """The text folded: each character by itself, so that a part of a text, folded, is a part of the folded text."""
    return value.lower() if value.isascii() else "".join(map(_letter, value))


def folded_all(values: pl.Series) -> pl.Series:
    """Each value folded."""
    lower = values.str.to_lowercase()
    plain = is_ascii(values)
    if plain.all():
        return lower
    odd = values.filter(~plain).unique()
    mapped = values.replace_strict(
        odd, pl.Series(map(folded, odd), dtype=pl.String), default=None, return_dtype=pl.String
    )
    picked = pl.when("plain").then("lower").otherwise("mapped").alias(values.name)
    return pl.DataFrame({"plain": plain, "lower": lower, "mapped": mapped}).select(picked).to_series()


@cache
def _letter(character: str) -> str:
    """One character folded, until folding changes nothing."""
    before, after = "", character
    while after != before:
        before = after
        parts = unicodedata.normalize("NFKD", before).casefold()
        after = "".join(_PLAIN.get(part, part) for part in parts if not _ignored(part))
    return after


def _ignored(character: str) -> bool:
    """Whether it is an accent, or is not seen; vowels of scripts that write them as marks are neither."""
    return bool(unicodedata.combining(character)) or unicodedata.category(character) == "Cf"
