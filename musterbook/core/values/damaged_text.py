"""Values that a spreadsheet or a program has damaged, as their stored value shows, or by themselves (rule C12)."""

import html
import re
import unicodedata

import polars as pl

from musterbook.core.values.text import TRIMMED

NO_VALUE = ("NULL", "null", "<NULL>", "<null>", "(null)", "nan", "NaN", "None", "N/A", "n/a", r"\N", "#N/A")
"""The words that programs write where there is no value, exactly as they write them."""
NO_VALUE_LENGTH = max(map(len, NO_VALUE))

_MONTHS = (
    "jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec|january|february|march|april|june|july|august|september|october"
    "|november|december"
    # German, French, Spanish, Portuguese, Italian, Dutch and Polish, as spreadsheets shorten them.
    "|jän|mär|mrz|mai|okt|dez|märz|janv|févr|fevr|mars|avr|avril|juin|juil|août|aout|déc|ene|abr|ago|dic|fev|set|out|gen"
    "|mag|giu|lug|ott|mrt|mei|sty|lut|kwi|maj|cze|lip|sie|wrz|paź|lis|gru"
)
_MONTH = rf"(?:{_MONTHS})\.?"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? )?"
_TIME = r"(?:[T ]+[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?[ap]\.?m\.?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
_DATES = (
    rf"{_WEEKDAY}[0-9]{{1,2}}\.?[-./ ]{{1,2}}{_MONTH}(?:[-./, ]+[0-9]{{2}}(?:[0-9]{{2}})?)?",
    rf"{_WEEKDAY}{_MONTH}[-./ ]{{1,2}}[0-9]{{1,4}}(?:,? [0-9]{{4}})?",
    r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}(?:[0-9]{2})?",
    r"[0-9]{1,2}[.-] ?[0-9]{1,2}[.-] ?[0-9]{4}",
    r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{2}",
    r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}",
)
DATE = f"(?i)^(?:{'|'.join(_DATES)}){_TIME}$"
"""A date as spreadsheets and programs write it (a pattern of Polars)."""

_GROUP = "[,.'’\u00a0\u202f]"
NUMBER = rf"^[0-9]+[.,]0*$|^[0-9]{{1,3}}(?:{_GROUP}[0-9]{{3}})+(?:[.,]0*)?$|^[0-9]{{1,2}}(?:,[0-9]{{2}})*,[0-9]{{3}}(?:\.0*)?$"
"""An integer with decimals or with separators, such as `1004.0` and `1,004` (a pattern of Polars)."""
DECIMALS = r"[.,]0{0,2}$|\.0+$"

_CODECS = ("cp1252", "latin-1", "mac-roman", "cp437", "cp850")
"""The encodings that UTF-8 is mistaken for."""


def _list_characters(codec: str, codes: range) -> str:
    """Return every character that the bytes of these codes are in the encoding, for a set of a pattern."""
    found = (bytes([code]).decode(codec, "ignore") for code in codes)
    return "".join(re.escape(character) for character in found)


_BEGINS, _CONTINUES = range(0xC2, 0xF5), range(0x80, 0xC0)
DECODED = "|".join(f"[{_list_characters(codec, _BEGINS)}][{_list_characters(codec, _CONTINUES)}]" for codec in _CODECS)
"""Part of a value that may have been decoded once too often (a pattern of Polars)."""
DECODED_IN_PART = f"[{''.join(_list_characters(codec, range(0xC2, 0xC6)) for codec in _CODECS)}]|{DECODED}"
"""The same where some of its characters may be lost since."""
_LIKELY = re.compile("[\u00a0-\u017f\u0218-\u021b\u1e00-\u1eff\u2010-\u203a\u20ac\u2122]")
"""What one character is in a text that was decoded once too often: Latin letters, and punctuation of any script."""
_ROUNDS = 3

_DOUBLE, _SINGLE = "“”„‟«»″", "‘’‚‛‹›′"
_MARKS = re.compile(f"[{_DOUBLE}]|(?<![^\\W\\d_])[{_SINGLE}]|[{_SINGLE}](?![^\\W\\d_])")
"""Curly quotation marks, but no apostrophe between two letters: `O’Neil` is written like that."""
CURLY = f"[{_DOUBLE}{_SINGLE}]"
ENTITY = "&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});"
QUESTION = "[?¿]"


def find_fault(value: str, was: str) -> str:
    """Return in which way a value is a damaged form of the stored one, as the end of a sentence, or "".

    These are the ways that need the characters of both values. `was`: the stored value, "" for none.
    """
    intended = undo_decoding(value, was)
    if intended:
        return f"it was decoded once too often, and should be “{intended}”"
    if not was:
        return ""
    if is_questioned(value, was):
        return "letters became question marks"
    plain = unescape(value)
    if plain != value and any(is_similar(text, was) for text in (plain, remove_marks(plain), plain.strip("\"'"))):
        return f"it has codes of web pages in place of characters, and should be “{was}”"
    if plain == value and remove_marks(value) != value and is_similar(remove_marks(value), was):
        return "quotation marks were put around or into it"
    return ""


def undo_decoding(value: str, was: str) -> str:
    """Return the value as it is meant, if it was decoded once too often, or "".

    A stored value shows whether it was. Without one, only the characters can tell.
    """
    meant = _decode_again(value)
    if was and (meant == was or value in _damage_decoding(was)):
        return was
    return meant if meant and not _decode_again(was) else ""


def _damage_decoding(text: str) -> set[str]:
    """Return the forms that a text has when it was decoded once too often, even with characters lost."""
    if text.isascii():
        return set()
    content = text.encode("utf-8", "ignore")
    return {_clean(content.decode(codec, errors)) for codec in _CODECS for errors in ("ignore", "replace")}


def _decode_again(value: str) -> str:
    """Return the text that the value has if it was decoded too often, for sure; "" if it was not."""
    for codec in _CODECS:
        text = value
        for _ in range(_ROUNDS):
            again = _decode_once(text, codec)
            if not again:
                break
            text = again
        if text != value and _is_likely(text):
            return text
    return ""


def _decode_once(value: str, codec: str) -> str:
    try:
        text = value.encode(codec).decode("utf-8")
    except UnicodeError:
        return ""
    return text if text != value else ""


def _is_likely(text: str) -> bool:
    """Return whether people write such a text, so that it was no accident that the bytes are UTF-8."""
    found = [character for character in text if not character.isascii()]
    return all(_LIKELY.fullmatch(character) for character in found) or _is_one_script(found)


_JAPANESE = ("HIRAGANA", "KATAKANA")
"""Scripts that are written together with Chinese characters."""


def _is_one_script(characters: list[str]) -> bool:
    """Return whether there are some letters, of one script: an accident makes no word of another script."""
    letters = [character for character in characters if not _LIKELY.fullmatch(character)]
    names = (unicodedata.name(letter, "").partition(" ")[0].partition("-")[0] for letter in letters)
    scripts = {"CJK" if name in _JAPANESE else name for name in names}
    return len(letters) > 1 and len(scripts) == 1 and all(letter.isalpha() for letter in letters)


def is_questioned(value: str, was: str) -> bool:
    """Return whether question marks in the value stand for letters of the stored one, one or more for each."""
    if not re.search(QUESTION, value) or re.search(QUESTION, was):
        return False
    pattern = "".join(
        f"(.{{{-(-len(part) // 4)},{len(part)}}})" if part[0] in "?¿" else re.escape(part)
        for part in re.findall(f"{QUESTION}+|[^?¿]+", value)
    )
    for form in (was, unicodedata.normalize("NFD", was)):
        found = re.fullmatch(pattern, form, re.IGNORECASE | re.DOTALL)
        if found and any(not letter.isascii() or letter.isalpha() for part in found.groups() for letter in part):
            return True
    return False


def unescape(value: str) -> str:
    """Return the value with the characters that its entities stand for, even where these were escaped twice."""
    text = value
    for _ in range(_ROUNDS):
        text = html.unescape(text) if re.search(ENTITY, text) else text
    return _clean(text)


def remove_marks(value: str) -> str:
    """Return the value without curly quotation marks."""
    return _clean(_MARKS.sub("", value))


def is_similar(one: str, other: str) -> bool:
    """Return whether two values differ at most in case and white space."""
    return "".join(one.split()).casefold() == "".join(other.split()).casefold()


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip(TRIMMED))


def is_no_value(values: pl.Expr) -> pl.Expr:
    """Return whether each value is a word that programs write where there is no value."""
    return (values.str.len_bytes() <= NO_VALUE_LENGTH) & values.is_in(NO_VALUE)


def loses_zeros(value: pl.Expr, was: pl.Expr) -> pl.Expr:
    """Return whether a value is the number that is stored, with fewer leading zeros."""
    number = was.str.starts_with("0") & was.str.contains("^[0-9]+$") & value.str.contains("^[0-9]+$")
    fewer = value.str.len_bytes() < was.str.len_bytes()
    return number & fewer & (value.str.strip_chars_start("0") == was.str.strip_chars_start("0"))


def gains_decimals(value: pl.Expr, was: pl.Expr) -> pl.Expr:
    """Return whether a value is the number that is stored, with decimals or separators of thousands."""
    digits = value.str.replace(DECIMALS, "").str.replace_all("[^0-9]", "").str.strip_chars_start("0")
    return value.str.contains(NUMBER) & was.str.contains("^[0-9]+$") & (digits == was.str.strip_chars_start("0"))


def becomes_date(value: pl.Expr, was: pl.Expr) -> pl.Expr:
    """Return whether a value is a date, in place of one with digits that is none."""
    return value.str.contains(DATE) & was.str.contains("[0-9]") & ~was.str.contains(DATE)
