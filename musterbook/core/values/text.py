"""The text of cells: trimmed, normalized, without a spreadsheet's guards; and illegal characters (rule C1)."""

import unicodedata

import polars as pl

_WHITE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_ZERO_WIDTH = "\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
TRIMMED = _WHITE + _ZERO_WIDTH
"""White space, no-break and zero-width characters. They are trimmed from a cell, and a blank cell may contain them."""

_SIGN = r"[=+\-@]"
FORMULA = f"^[{TRIMMED}]*{_SIGN}"
"""The beginning of a cell that a spreadsheet may run as a formula."""
_GUARDED = f"^'+{_SIGN}"
_TO_GUARD = f"^'*{_SIGN}"
# A single quoted text: `="a"&"b"` is a formula, and stays as it is.
_AS_FORMULA = r'^="((?:[^"]|"")*)"$'

ILLEGAL = "[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
"""The characters that no text may contain: controls, line separators, and marks that turn the direction of text."""

# Unicode's Default_Ignorable_Code_Point.
HIDDEN = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""The characters that nobody sees."""

DASH = (
    "[\u02d7\u058a\u05be\u1400\u1806\u2010-\u2015\u2043\u2053\u2212\u2796\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d"
    "\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d\U00010d6e\U00010ead]"
)
"""The characters that look like `-`: Unicode's dashes, minus signs and hyphens (without `-` itself)."""

_IS_ASCII = pl.col("text").str.len_bytes() == pl.col("text").str.len_chars()


def clean(values: pl.Series, *, guarded: bool = True) -> pl.Series:
    """Return the values as text: trimmed, in NFC, and without a spreadsheet's guards, if they may be `guarded`.

    Trimming includes zero-width white space. `="00123"` becomes `00123`. If apostrophes precede `=`, `+`, `-` or `@`,
    the first one is removed: the inverse of `guard`.
    """
    trimmed = _trim(values)
    if not (guarded and trimmed.str.contains("^['=]").any()):
        return trimmed
    bare = (
        pl.when(pl.col("text").str.contains(_GUARDED))
        .then(pl.col("text").str.slice(1))
        .otherwise(
            pl.coalesce(pl.col("text").str.extract(_AS_FORMULA).str.replace_all('""', '"', literal=True), "text")
        )
    )
    return _trim(pl.DataFrame({"text": trimmed}).select(bare.alias(values.name)).to_series())


def _trim(values: pl.Series) -> pl.Series:
    trimmed = values.str.strip_chars(TRIMMED)
    return trimmed if is_ascii(trimmed).all() else trimmed.str.normalize("NFC")


def is_ascii(values: pl.Series) -> pl.Series:
    """Return whether each value is entirely ASCII."""
    return values.to_frame("text").select(_IS_ASCII).to_series()


def guard(values: pl.Series) -> pl.Series:
    """Return the values as cells that no spreadsheet runs as formulas.

    One apostrophe is added before `=`, `+`, `-`, `@`, and before apostrophes in front of these. `clean` removes it.
    """
    runs = values.str.contains(_TO_GUARD)
    if not runs.any():
        return values
    cells = pl.DataFrame({"text": values, "runs": runs})
    return cells.select(_add_guard("runs", pl.col("text"), "text").alias(values.name)).to_series()


def guard_cell(cell: pl.Expr) -> pl.Expr:
    """Return a cell of a file as one that no spreadsheet runs as a formula, and that `clean` reads as before.

    An apostrophe in it is a guard already. `="00123"` is text for a spreadsheet, as for `clean`.
    """
    text = cell.str.strip_chars_start(TRIMMED)
    runs = text.str.contains(FORMULA) & ~text.str.strip_chars_end(TRIMMED).str.contains(_AS_FORMULA)
    return _add_guard(runs, text, cell)


def _add_guard(runs: pl.Expr | str, text: pl.Expr, otherwise: pl.Expr | str) -> pl.Expr:
    return pl.when(runs).then("'" + text).otherwise(otherwise)


def name_illegal(value: str) -> str:
    """Return the first illegal character of the value, as text: "a line break, after “Ann”"."""
    return _name_match(value, ILLEGAL)


def name_character(value: str) -> str:
    """Return the same where hidden characters are not allowed either."""
    return _name_match(value, f"{ILLEGAL}|{HIDDEN}")


def _name_match(value: str, pattern: str) -> str:
    character = pl.Series([value]).str.extract(f"({pattern})")[0]
    before = value.partition(character)[0][-12:]
    context = f", after “{before}”" if before else ""
    return f"{_CHARACTER_NAMES.get(character) or name_code_point(character)}{context}"


_CHARACTER_NAMES = {
    "\n": "a line break",
    "\r": "a line break",
    "\x85": "a line break",
    "\u2028": "a line break",
    "\t": "a tab",
}


def name_code_point(character: str) -> str:
    """Return the number and the name of a character: "U+00AD, soft hyphen"."""
    name = unicodedata.name(character, "a control character").lower()
    return f"U+{ord(character):04X}, {name}"
