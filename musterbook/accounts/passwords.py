"""Password rules: long enough for the agency, hard to guess, on no list of refused ones, and none of the last ten.

Django calls these validators (`AUTH_PASSWORD_VALIDATORS`) wherever a password is set. zxcvbn estimates how hard a
password is to guess. It knows the 30,000 most common passwords, names, words, keyboard patterns, dates and repetitions.
It also gets the words of the user and of the agency. Source of the rules: NIST SP 800-63B-4, section 3.1.1.2 (length,
no rules of composition, a list of refused passwords, normalization).
"""

import re
import unicodedata
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from zxcvbn_rs_py import zxcvbn

from musterbook.config import refused_passwords

if TYPE_CHECKING:
    from musterbook.accounts.models import Account

SHORTEST, LONGEST = 8, 128
"""The lowest minimum that an agency can set, and the most characters of any password."""
HISTORY_LENGTH = 10
"""The number of passwords that cannot be chosen again, including the present one."""
_ESTIMATE_LENGTH = 64
"""The number of characters that are estimated. The estimate takes longer than linear time, and a password whose
beginning is weak is weak."""
_GOOD, _BARELY, _LITTLE = 8.0, 6.0, 4.0
"""Powers of ten of guesses: a zxcvbn score of 3; the minimum for what remains without symbols, repetitions or own
words; and the minimum for words other than known ones."""
_MADE_OF_USER = gettext_lazy(
    "This password contains your name, address, numbers or agency. Use at least four random words, or a password from a"
    " password manager."
)
_BREACHED = gettext_lazy(
    "This password is known from a data breach, so attackers try it first. Use at least four random words, or a password"
    " from a password manager."
)
_GUESSABLE = gettext_lazy(
    "This password is easy to guess, and digits, symbols or replaced letters do not change that. Use at least four random"
    " words, or a password from a password manager."
)
_COMMON_WORDS = (
    "password", "passwort", "passw0rd", "welcome", "letmein", "login", "signin", "secret", "admin", "administrator", "changeme",
    "change", "default", "temp", "test", "user", "qwerty", "master", "muster", "musterbook", "police", "sheriff", "officer",
    "deputy", "sergeant", "lieutenant", "captain", "chief", "fire", "court", "county", "dispatch", "department", "agency",
    "january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
    "spring", "summer", "autumn", "winter", "thisismy", "mypassword", "thinblueline", "protectandserve", "lawandorder",
    # Substitutes for “password” and “welcome” in other languages, and seasons and months in Spanish.
    "contrasena", "clave", "senha", "passord", "losenord", "adgangskode", "wachtwoord", "haslo", "parola", "sifre", "salasana",
    "пароль", "motdepasse", "kennwort", "willkommen", "bienvenue", "bienvenido", "bienvenidos", "bemvindo", "benvenuto",
    "verano", "invierno", "otono", "primavera", "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto",
    "septiembre", "octubre", "noviembre", "diciembre",
)  # fmt: skip
"""Words that people here build passwords from. A password may contain one, but the rest must be good without it."""
_LOOK_ALIKE = str.maketrans("аеорсхукмтніјѕԁοαρνικτ", "aeopcxykmthijsdoapvikt")
"""Cyrillic and Greek letters that look like Latin ones."""
_SAME_KEYS = str.maketrans("йцукенгшщзхъфывапролджэячсмитьбю", "qwertyuiop[]asdfghjkl;'zxcvbnm,.")
"""The letters of a Russian keyboard, and the characters of the same keys on a US keyboard."""
_RUNS = re.compile(r"[^\W\d_]+|\d+")
_SHIFTED = str.maketrans('!@#$%^&*()_+{}|:"<>?', "1234567890-=[]\\;',./")
"""The symbols of a US keyboard, and the characters of the same keys without Shift: `!QAZ2wsx` is a walk over the
keys."""


def normalize(password: str) -> str:
    """Return the password as it is hashed.

    The same password typed on another keyboard or system has the same result (Unicode NFC).
    """
    return unicodedata.normalize("NFC", password)


def is_right(typed: str, stored: str) -> bool:
    """Return whether it is the stored password.

    Passwords from before normalization are also tried as they were typed.
    """
    normal = normalize(typed)
    return check_password(normal, stored) or (normal != typed and check_password(typed, stored))


def is_old(account: "Account", at: datetime) -> bool:
    """Return whether the account's password is older than the agency allows."""
    days = account.user.agency.password_days
    if not days or not account.has_usable_password():
        return False
    return account.password_at is None or account.password_at + timedelta(days=days) <= at


def _get_min_length(user: "Account | None") -> int:
    """Return the fewest characters that the agency of this user allows."""
    return max(user.user.agency.password_length, SHORTEST) if user else SHORTEST


class MinimumLength:
    """The rule for the length: as many characters as the agency requires, and at most 128."""

    def validate(self, password: str, user: "Account | None" = None) -> None:
        """Raise ValidationError if the password is too short or too long."""
        least = _get_min_length(user)
        if not least <= len(password) <= LONGEST:
            message = _("Use %(least)d to %(most)d characters. This password has %(number)d.")
            numbers = {"least": least, "most": LONGEST, "number": len(password)}
            raise ValidationError(message, code="password_length", params=numbers)

    def get_help_text(self) -> str:
        """Return the hint that the user sees beforehand."""
        return _("All characters are allowed. Several random words are easy to remember and hard to guess.")


class NotGuessable:
    """The rule against passwords that others would guess, even by what they know of the user and the agency."""

    def validate(self, password: str, user: "Account | None" = None) -> None:
        """Raise ValidationError if the password is guessable.

        Only a bounded part of it is read, so that no one can make this slow. `MinimumLength` reports a password that is too
        short.
        """
        if len(password) < _get_min_length(user):
            return
        forms, user_words = _list_forms(password[:_ESTIMATE_LENGTH]), _list_user_words(user) if user else ()
        if any(_is_made_of(form, user_words) for form in forms):
            raise ValidationError(_MADE_OF_USER, code="password_like_user")
        if any(_estimate_log10(form, (*user_words, *_COMMON_WORDS)) < _GOOD or _is_decorated(form) for form in forms):
            raise ValidationError(_GUESSABLE, code="password_guessable")

    def get_help_text(self) -> str:
        """Return the hint that the user sees beforehand."""
        return _("Hard to guess: not a common password, pattern or date, and not your name, numbers or agency.")


def _list_forms(text: str) -> set[str]:
    """Return the text as it is typed, and as an attacker reads it.

    The attacker's forms are: without accents and wide letters; with the Latin letters that others look like; and by the
    keys of another keyboard.
    """
    bare = "".join(mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))
    return {
        text,
        bare[:_ESTIMATE_LENGTH],
        bare[:_ESTIMATE_LENGTH].casefold().translate(_LOOK_ALIKE),
        text.casefold().translate(_SAME_KEYS)[:_ESTIMATE_LENGTH],
    }


def _estimate_log10(text: str, words: tuple[str, ...] = ()) -> float:
    """Return how many guesses it takes, as a power of ten."""
    return zxcvbn(text, list(words)).guesses_log10 if text else 0.0


def _is_made_of(text: str, words: tuple[str, ...]) -> bool:
    forms = (text.casefold(), "".join(_RUNS.findall(text.casefold())))  # as typed, and without dashes and dots
    return any(
        rest != form and _estimate_log10(_simplify(rest)) < _BARELY
        for form in forms
        for rest in [_remove_words(form, words)]
    )


def _is_decorated(text: str) -> bool:
    """Return whether little is left without what adds little.

    That is symbols, repeated parts, known words, and the Shift key.
    """
    if min(_estimate_log10(_simplify(text)), _estimate_log10(text.translate(_SHIFTED).casefold())) < _BARELY:
        return True
    rest = _simplify(_remove_words(text, _COMMON_WORDS))
    return _estimate_log10(rest) < (_LITTLE if any(letter.isalpha() for letter in rest) else _BARELY)


def _remove_words(text: str, words: tuple[str, ...]) -> str:
    rest = text.casefold()
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, " ")
    return rest


def _simplify(text: str) -> str:
    """Return the letters and digits of the text, each run of them once."""
    return "".join(dict.fromkeys(_RUNS.findall(text.casefold())))


def _list_user_words(account: "Account") -> tuple[str, ...]:
    """Return what others know of the user and of the agency: whole, and word by word.

    Nothing in it is shorter than three characters.
    """
    user = account.user
    facts = [
        user.username, user.email, user.badge_number, user.external_id, user.first_name, user.last_name, user.phone,
        user.agency.name, user.agency.slug, user.role.name,
    ]  # fmt: skip
    parts = [
        part for text in facts for part in (text, *re.split(r"[\W_]+", text), *_RUNS.findall(text), _simplify(text))
    ]
    initials = "".join(word[:1] for word in user.agency.name.split())
    digits = re.sub(r"\D", "", user.phone)  # with the country's code, which people leave out
    return tuple({part.casefold() for part in (*parts, initials, digits[-10:], digits[-7:]) if len(part) > 2})


class NotRefused:
    """The rule against passwords on the list that the installation names, such as a list of breached passwords."""

    def validate(self, password: str, user: "Account | None" = None) -> None:  # noqa: ARG002  (Django's signature)
        """Raise ValidationError if the password is on the list."""
        if settings.MUSTER_REFUSED_PASSWORDS and refused_passwords.contains(
            settings.MUSTER_REFUSED_PASSWORDS, password
        ):
            raise ValidationError(_BREACHED, code="password_refused")

    def get_help_text(self) -> str:
        """Return the hint that the user sees beforehand."""
        return _("Not on the list of refused passwords.")


class NotRecentlyUsed:
    """The rule against the last ten passwords."""

    def validate(self, password: str, user: "Account | None" = None) -> None:
        """Raise ValidationError if the password is one of them."""
        if user is None or user.pk is None:
            return
        past = user.past_passwords.order_by("-chosen_at").values_list("password", flat=True)[: HISTORY_LENGTH - 1]
        if any(is_right(password, old) for old in (user.password, *past)):
            message = _("This is one of your last %(number)d passwords. Choose another one.")
            raise ValidationError(message, code="password_again", params={"number": HISTORY_LENGTH})

    def get_help_text(self) -> str:
        """Return the hint that the user sees beforehand."""
        return _("None of your last %(number)d passwords.") % {"number": HISTORY_LENGTH}
