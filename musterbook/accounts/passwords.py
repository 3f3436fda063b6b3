"""What makes a password good: long enough for the agency, on no list, unlike the user's own data, and none of the last ten.

Django asks these validators (`AUTH_PASSWORD_VALIDATORS`); its own list of common and breached passwords stands beside them.
Source of the rules: NIST SP 800-63B-4, section 3.1.1.2 (length, no rules of composition, a list of refused ones).
"""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import UserAttributeSimilarityValidator
from django.core.exceptions import ValidationError
from django.db.models.options import Options

if TYPE_CHECKING:
    from musterbook.accounts.models import Account

SHORTEST, LONGEST = 8, 128
"""The lowest that an agency can ask for, and the most characters that anybody may choose."""
KEPT = 10
"""So many passwords, the present one among them, are not chosen again."""


def is_old(account: "Account", at: datetime) -> bool:
    """Whether the account's password was chosen longer ago than the agency allows."""
    days = account.user.agency.password_days
    if not days or not account.has_usable_password():
        return False
    return account.password_at is None or account.password_at + timedelta(days=days) <= at


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
    """Refuses a password that is like what others know of the user: names, addresses, numbers, the agency."""

    def validate(self, password: str, user: "Account | None" = None) -> None:
        """Raises ValidationError if it is."""
        if user is None:
            return
        known = _known(user)
        try:
            UserAttributeSimilarityValidator(list(vars(known))).validate(password, known)  # type: ignore[arg-type]  # it asks for attributes
        except ValidationError:
            message = "This password is too like your name, address, badge number or agency. Choose another."
            raise ValidationError(message, code="password_like_user") from None

    def get_help_text(self) -> str:
        """What to say of it beforehand."""
        return "Not like your name, address, badge number or agency."


class _Known(SimpleNamespace):
    """Texts by name; Django looks for the names of fields there, and finds none."""

    _meta: Any = Options(None)


def _known(account: "Account") -> _Known:
    user = account.user
    return _Known(
        username=user.username, email=user.email, badge=user.badge_number, external_id=user.external_id,
        first=user.first_name, last=user.last_name, name=f"{user.first_name} {user.last_name}",
        backwards=f"{user.last_name} {user.first_name}", agency=user.agency.name, slug=user.agency.slug,
    )  # fmt: skip


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
