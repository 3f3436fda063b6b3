"""Email addresses: the mailboxes that HTML and SMTP accept (rule C4)."""

import re

import polars as pl

from musterbook.core.values.text import is_ascii

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
# A label has no hyphen in its third place. Labels with hyphens in the third and fourth place are punycode, which the
# library reads.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9]?|[A-Za-z0-9-][A-Za-z0-9]|[A-Za-z0-9-][A-Za-z0-9][A-Za-z0-9-]{0,59}[A-Za-z0-9])"
# It begins with a letter or digit. So it is never a guarded cell, and its text is its value (rule C1).
_PLAIN = rf"^[A-Za-z0-9](?:{_ATOM})?(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z]{{2,63}}$"
_LONGEST_LOCAL, _LONGEST = 64, 254


def find_faults(values: pl.Series) -> dict[str, str]:
    """Return value → what is wrong with it, for every value that is not a mailbox."""
    odd = values.filter(~is_plain(values)).unique()
    return {value: fault for value in odd if (fault := find_fault(value))}


def is_plain(values: pl.Series) -> pl.Series:
    """Return whether each value has the common form, which the library always accepts (tested)."""
    longest = values.str.len_bytes().max()
    common = values.str.contains(_PLAIN)
    if isinstance(longest, int) and longest <= _LONGEST_LOCAL:
        return common
    at = values.str.find("@", literal=True).fill_null(_LONGEST)
    return common & (at <= _LONGEST_LOCAL) & (values.str.len_bytes() <= _LONGEST)


def to_mailboxes(values: pl.Series) -> pl.Series:
    """Return the mailbox of each address (`to_mailbox`). Null stays null."""
    odd = values.filter(~is_ascii(values)).unique()
    lower = values.str.to_lowercase()
    if odd.is_empty():
        return lower
    forms = pl.Series([to_mailbox(value) for value in odd], dtype=pl.String)
    return values.replace_strict(odd, forms, default=lower, return_dtype=pl.String)


def to_mailbox(value: str) -> str:
    """Return the form that decides whether two addresses are the same mailbox.

    Two addresses with the same key (M4) may be two mailboxes: `ß` and `ss` have the same key, but they are two domains
    under the rules that registries follow today (IDNA 2008).
    """
    return to_ascii(value).lower()


def to_ascii(value: str) -> str:
    """Return the address as mail servers receive it: its domain in ASCII, by IDNA 2008."""
    if value.isascii():
        return value
    from email_validator import EmailNotValidError, validate_email

    try:
        address = validate_email(value, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False)
    except EmailNotValidError:
        return value  # stored before rule C4
    return str(address.ascii_email)


_COMMON_FAULTS = (
    (r"^[^@]*$", "It has no @."),
    (r"[,;]|@.*@", "It contains a comma, a semicolon or a second @. Write only one address."),
    (r"[<>]|^mailto:", "Write only the address, without a name, angle brackets or mailto:."),
    (r"\s", "It contains a space."),
    (r"@[^.]*$", "Its domain, the part after the @, has no dot."),
)
"""The most common faults of addresses, as text. The library finds the others."""


_SPECIAL_USE = "special-use or reserved name"


def find_fault(value: str) -> str:
    """Return what is wrong with one address, as a sentence; "" for a mailbox.

    Deliverability is not checked.
    """
    # The import is slow, and most files do not need it.
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(value, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False, strict=True)
    except EmailNotValidError as error:
        # An agency's own network may be named .local. Delivery from outside is not checked.
        return _find_common_fault(value) or ("" if _SPECIAL_USE in str(error) else str(error))
    return _find_common_fault(value)


def _find_common_fault(value: str) -> str:
    return next((sentence for pattern, sentence in _COMMON_FAULTS if re.search(pattern, value)), "")
