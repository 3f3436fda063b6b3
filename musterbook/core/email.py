"""E-mail addresses: which are mailboxes that HTML and SMTP accept (rule C4)."""

import polars as pl

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
# No hyphen in a label's third and fourth place: those are punycode, which the library reads.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9]?|[A-Za-z0-9-][A-Za-z0-9]|[A-Za-z0-9-][A-Za-z0-9][A-Za-z0-9-]{0,59}[A-Za-z0-9])"
_PLAIN = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z]{{2,63}}$"
_LONGEST_LOCAL, _LONGEST_DOMAIN, _LONGEST = 64, 253, 254


def faults(values: pl.Series) -> dict[str, str]:
    """Value → what is wrong with it, for every value that is not a mailbox; blank ones are passed over."""
    odd = values.filter((values != "") & ~_plain(values)).unique()
    return {value: fault for value in odd if (fault := fault_of(value))}


def _plain(values: pl.Series) -> pl.Series:
    """Whether each value is of the common form, which the library accepts without exception (tested)."""
    at = values.str.find("@", literal=True)
    bytes_long = values.str.len_bytes().cast(pl.Int64)
    local = at.cast(pl.Int64).fill_null(_LONGEST)
    short = (local <= _LONGEST_LOCAL) & (bytes_long - local - 1 <= _LONGEST_DOMAIN) & (bytes_long <= _LONGEST)
    return values.str.contains(_PLAIN) & short


def fault_of(value: str) -> str:
    """What is wrong with one address, as a sentence; "" for a mailbox. Whether it can be delivered to is not asked."""
    # Heavy, and most files never need it.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    try:
        validate_email(value, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False, strict=True)
    except EmailNotValidError as error:
        return str(error)
    domain = value.rpartition("@")[2]
    return "" if "." in domain else "The domain has no dot."
