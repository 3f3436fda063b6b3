"""The claims of a provider about a person. One function reads each claim as one type, and anything else is refused.

A page and the audit trail show only the reasons below for a refusal. The log has the details, which the provider or an
outsider wrote.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T", str, bool, int, list[str])

NO_ANSWER = "the provider did not answer"
METADATA = "the provider's metadata cannot be used"
NOT_ASKED = "nobody asked for this answer, or it came too late"
CANCELLED = "the provider refused, or the user canceled"
CODE = "the provider did not accept the code"
TOKEN = "the ID token cannot be trusted"
USERINFO = "the user information belongs to somebody else, or cannot be read"
RESPONSE = "the SAML response cannot be trusted"
CLAIM = "a claim has the wrong type"

LONGEST = 1000
"""The most characters of a text."""
_LONGEST_SUBJECT = 255
_MOST = 50
"""The most entries of a list."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HIGHEST = 253_402_300_799
"""The end of the year 9999, as seconds since 1970."""


class Untrusted(Exception):
    """The error for an answer of a provider that is not used.

    `reason` is one of the sentences above; the message is for the log.
    """

    def __init__(self, reason: str, detail: object = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Address:
    """An email address from a provider, and whether the provider has verified it."""

    email: str
    verified: bool


@dataclass(frozen=True, slots=True)
class PersonClaims:
    """The statements of a provider about a person, once its answer was found genuine.

    `subject`: the provider's permanent identifier of this person, or "" if it has none. `at`: when the person last
    signed in there, as seconds since 1970. `contexts` and `methods`: how the person signed in (`acr` or AuthnContext,
    and `amr`).
    """

    subject: str
    addresses: tuple[Address, ...] = ()
    external_id: str = ""
    at: float | None = None
    contexts: tuple[str, ...] = ()
    methods: tuple[str, ...] = field(default=())


def read_claim(claims: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """Return the claim as a value of that type, or None if there is none.

    Raise Untrusted for a claim of another type. A flag that is neither a boolean nor the text “true” or “false” is
    false: nothing else states that something is verified.
    """
    value = claims.get(name)
    return None if value is None else _READERS[kind](name, value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST or _CONTROL.search(value):
        raise Untrusted(CLAIM, f"{name} is not a text of at most {LONGEST} characters")
    return value


def _flag(_: str, value: object) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def _number(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _HIGHEST:
        raise Untrusted(CLAIM, f"{name} is not a number")
    return int(value)


def _texts(name: str, value: object) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    if len(entries) > _MOST:
        raise Untrusted(CLAIM, f"{name} has more than {_MOST} entries")
    return [_text(name, entry) for entry in entries]


_READERS: dict[Any, Callable[[str, object], Any]] = {str: _text, bool: _flag, int: _number, list[str]: _texts}


def read_subject(claims: Mapping[str, Any], name: str) -> str:
    """Return the provider's permanent identifier of the person. Raise Untrusted if it is missing or too long."""
    value = read_claim(claims, name, str)
    if not value or len(value) > _LONGEST_SUBJECT:
        raise Untrusted(CLAIM, f"{name} is missing or too long")
    return value


def read_addresses(claims: Mapping[str, Any], email: str, verified: str) -> tuple[Address, ...]:
    """Return the address in these claims, and whether the same claims state that it is verified.

    Return an empty tuple if they have none.
    """
    text = (read_claim(claims, email, str) or "").strip()
    return (Address(text, bool(read_claim(claims, verified, bool))),) if text else ()


def read_external_id(claims: Mapping[str, Any], name: str) -> str:
    """Return the claim as an external ID: a text, a whole number, or a list with one of these.

    Return "" for anything that is ambiguous.
    """
    value = claims.get(name) if name else None
    entries = value if isinstance(value, list) else [value]
    values = {
        _text(name, str(entry)) for entry in entries if isinstance(entry, str | int) and not isinstance(entry, bool)
    }
    return values.pop() if len(values) == 1 and len(entries) <= _MOST else ""
