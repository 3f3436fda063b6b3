"""Phone numbers: possible numbers with a leading country code, stored as E.164 (rule C8)."""

import re

import polars as pl

from musterbook.core.values import phone_plans

_SEPARATORS = r"[ .()\-\x{a0}\x{2010}-\x{2015}\x{202f}/]"
_WRITTEN = re.compile(
    r"\(?\+?[\d\s.()\-\u2010-\u2015/]+(?:(?:\s*[,;]?\s*(?:ext(?:ension)?\.?|x|#)|;ext=)\s*[:.=]?\s*\d{1,7})?",
    re.IGNORECASE,
)


def numbers(values: pl.Series, country: str = "") -> pl.Series:
    """Return each value as E.164 (`;ext=` kept), "" for blank, null for an impossible number.

    `country`: the ISO code of the country of numbers without a country code, "" for none.
    """
    quickly = quick(values, country)
    left = values.filter(quickly.is_null()).unique()
    if left.is_empty():
        return quickly
    read = pl.Series([number(value, country) for value in left], dtype=pl.String)
    return quickly.fill_null(values.replace_strict(left, read, default=None))


def quick(values: pl.Series, country: str = "") -> pl.Series:
    """Return the values that can be read as whole columns.

    The result is what `number` returns (tested), "" for blank. It is null where `number` must decide.
    """
    digits, marked = _digits(values)
    settled = phone_plans.settled(digits.set(~marked, None), in_use=False)
    read = pl.select(pl.when(values == "").then(pl.lit("")).when(settled).then("+" + digits)).to_series()
    bare = read.is_null() & ~marked & digits.is_not_null()
    return read.fill_null(_bare(values, digits.set(~bare, None), country)) if bare.any() else read


def _digits(values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the digits of each value, and whether `+` or `00` marked them.

    The digits are null for a value that holds anything other than digits and separators.
    """
    marked = values.str.contains(r"^(?:\+|00)")
    begun = values.set(~marked & ~values.str.contains("^[(1-9]"), None)
    bare = begun.str.replace_all(_SEPARATORS, "") if values.str.contains("[^+0-9]").any() else begun
    # `number` decides about a mark behind a bracket.
    misplaced = ~marked & bare.str.contains("^[+0]")
    return bare.set(misplaced, None).str.extract(r"^(?:\+|00)?([1-9][0-9]+)$"), marked


def _bare(values: pl.Series, digits: pl.Series, country: str) -> pl.Series:
    """Return the E.164 form of digits without `+` or `00` that are in use.

    They are numbers of the country, or else of another one.
    """
    abroad = digits.set(values.str.starts_with("("), None)
    if not country:
        return _in_use(abroad)
    code = phone_plans.calling_code(country)
    own = digits.str.starts_with(code)
    dialled = digits.str.contains(phone_plans.dialling_out(country))
    prefixed = digits.str.contains(phone_plans.national_prefix(country))
    here = _in_use(code + digits.set(dialled | own | prefixed, None))
    # A number with another length than the country's own numbers cannot be one of them.
    national = dialled | prefixed | digits.str.len_bytes().is_in(phone_plans.lengths(country))
    return here.fill_null(_in_use(abroad.set(national & ~own, None)))


def _in_use(full: pl.Series) -> pl.Series:
    return ("+" + full).set(~phone_plans.settled(full, in_use=True), None)


def number(value: str, country: str = "") -> str | None:
    """Return one phone number as E.164 (`+12025550143;ext=12`).

    Return None if it has no country code or is impossible.

    A number without `+` or `00` must be in use, so that a national number is not read as a foreign one. A country code
    without `+` or `00` cannot be alone in brackets. If `country` is given, the order is: numbers with its own calling
    code, its national numbers in use, foreign numbers in use, its possible national numbers.
    """
    written = value.removeprefix("tel:")
    if not _WRITTEN.fullmatch(written):
        return None
    international = re.sub(r"^\(?(?:00|\+)", "+", written)
    if international.startswith("+"):
        return _read(international)
    abroad = None if written.startswith("(") else _read(f"+{written}", in_use=True)
    if not country or (abroad and abroad.startswith(f"+{phone_plans.calling_code(country)}")):
        return abroad
    return _read(written, country, in_use=True) or abroad or _read(written, country)


def reason(value: str) -> str:
    """Return why one value is not a phone number, as a sentence; "" if the reason is not known."""
    written = value.removeprefix("tel:")
    if not _WRITTEN.fullmatch(written):
        return "It contains letters or signs that are not part of a phone number."
    if re.match(r"\(?(?:00|\+)", written):
        return "The country code does not exist, or its numbers have fewer or more digits."
    return ""


def _read(value: str, country: str | None = None, *, in_use: bool = False) -> str | None:
    # The import is slow, and files without phone numbers do not need it.
    import phonenumbers

    try:
        parsed = phonenumbers.parse(value, country)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not possible or (in_use and not phonenumbers.is_valid_number(parsed)):
        return None
    text = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return f"{text};ext={parsed.extension}" if parsed.extension else text
