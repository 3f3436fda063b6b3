"""Text for searching and sorting.

It ignores case, accents and the different encodings of one character.
"""

import unicodedata
from functools import cache

import polars as pl

from musterbook.core.values.text import is_ascii

_PLAIN = {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
"""Letters that are commonly replaced by plain ones, although Unicode does not treat them as accented."""


def fold_text(value: str) -> str:
    """Return the folded text.

    Each character is folded by itself. So the folded form of any part of a text is a part of the folded text.
    """
    return value.lower() if value.isascii() else "".join(map(_fold_letter, value))


def fold_texts(values: pl.Series) -> pl.Series:
    """Return each value folded."""
    lower = values.str.to_lowercase()
    plain = is_ascii(values)
    if plain.all():
        return lower
    odd = values.filter(~plain).unique()
    mapped = values.replace_strict(
        odd, pl.Series(map(fold_text, odd), dtype=pl.String), default=None, return_dtype=pl.String
    )
    picked = pl.when("plain").then("lower").otherwise("mapped").alias(values.name)
    return pl.DataFrame({"plain": plain, "lower": lower, "mapped": mapped}).select(picked).to_series()


@cache
def _fold_letter(character: str) -> str:
    """Return one folded character. Folding repeats until it changes nothing."""
    before, after = "", character
    while after != before:
        before = after
        parts = unicodedata.normalize("NFKD", before).casefold()
        after = "".join(_PLAIN.get(part, part) for part in parts if not _is_ignored(part))
    return after


def _is_ignored(character: str) -> bool:
    """Return whether a character is an accent or invisible.

    The vowels of scripts that write vowels as marks are neither.
    """
    return bool(unicodedata.combining(character)) or unicodedata.category(character) == "Cf"
