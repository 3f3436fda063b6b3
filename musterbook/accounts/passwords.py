"""What makes a password good: long enough for the agency, on no list, unlike the user's own data, and none of the last ten.

Django asks these validators (`AUTH_PASSWORD_VALIDATORS`); its own list of common and breached passwords stands beside them.
Source of the rules: NIST SP 800-63B-4, section 3.1.1.2 (length, no rules of composition, a list of refused ones).
"""

from typing import TYPE_CHECKING

from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import UserAttributeSimilarityValidator
from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from musterbook.accounts.models import Account

SHORTEST, LONGEST = 8, 128
"""The lowest that an agency can ask for, and the most characters that anybody may choose."""
KEPT = 10
"""So many passwords, the present one among them, are not chosen again."""


class Length:
    """Asks for as many characters as the agency does, and for 128 at most."""

    def validate(self, password: str, user: "Account | None" = None) -> None:
        """Raises ValidationError if it is too short or too long."""
        least = max(user.user.agency.password_length, SHORTEST) if user else SHORTEST
        if not least <= len(password) <= LONGEST:
            message = f"Choose a password of {least} to {LONGEST} characters; this one has {len(password)}."
            raise ValidationError(message, code="password_length")

    def get_help_text(self) -> str:
        """What to say of it beforehand."""
        return "Any characters will do; a few words that nobody would guess are easy to remember."


class Unlike:
    """Refuses a password that is like the user's own names, addresses and numbers."""

    _OWN = ("username", "first_name", "last_name", "email", "badge_number", "external_id")

    def validate(self, password: str, user: "Account | None" = None) -> None:
        """Raises ValidationError if it is too like what others know of the user."""
        if user:
            # It asks for attributes, not for an account.
            UserAttributeSimilarityValidator(self._OWN).validate(password, user.user)  # type: ignore[arg-type]

    def get_help_text(self) -> str:
        """What to say of it beforehand."""
        return "Not like your name, address or badge number."


class Another:
    """Refuses the last ten passwords."""

    def validate(self, password: str, user: "Account | None" = None) -> None:
        """Raises ValidationError if it is one of them."""
        if user is None or user.pk is None:
            return
        past = user.past_passwords.order_by("-chosen_at").values_list("password", flat=True)[: KEPT - 1]
        if any(check_password(password, old) for old in (user.password, *past)):
            message = f"You have had this password among your last {KEPT}. Choose another."
            raise ValidationError(message, code="password_again")

    def get_help_text(self) -> str:
        """What to say of it beforehand."""
        return f"None of your last {KEPT} passwords."
