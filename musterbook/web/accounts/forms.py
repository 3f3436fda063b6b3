"""The account forms of the library, with our own labels and hints."""

from typing import Any

from allauth.account import forms
from allauth.account.adapter import get_adapter
from django.utils.translation import gettext as _

from musterbook.accounts.passwords import SHORTEST
from musterbook.directory.models import Agency


class SignInForm(forms.LoginForm):
    """A name and a password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("Username or email address")
        self.fields["login"].widget.attrs["autocomplete"] = "username"
        self.fields["password"].help_text = ""


class ReauthenticateForm(forms.ReauthenticateForm):
    """The password of the signed-in user."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = ""


class ChangePasswordForm(forms.ChangePasswordForm):
    """The current password, and a new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        present, new, again = (self.fields[name] for name in ("oldpassword", "password1", "password2"))
        present.label, present.help_text = _("Current password"), ""
        new.label, new.help_text = _("New password"), describe_rules(self.user.user.agency)
        again.label = _("New password again")

    def clean_oldpassword(self) -> str:
        """Return the current password if it is correct.

        A wrong one counts as a failed sign-in. Otherwise a session could be used to guess the password.
        """
        password: str = self.cleaned_data["oldpassword"]
        if not get_adapter().reauthenticate(self.user, password):
            raise get_adapter().validation_error("enter_current_password")
        return password


def describe_rules(agency: Agency) -> str:
    """Return what the agency requires of a password, for the user to read before they type one."""
    least = max(agency.password_length, SHORTEST)
    return _("Use at least %(number)d characters. Several random words are easy to remember and hard to guess.") % {
        "number": least
    }
