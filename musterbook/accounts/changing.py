"""Changing one's own password."""

from allauth.account.adapter import get_adapter
from allauth.account.forms import ChangePasswordForm


class NewPassword(ChangePasswordForm):
    """The present password, and a new one twice."""

    def clean_oldpassword(self) -> str:
        """The present password; a wrong one counts as a failed sign-in, for else a session could be used to guess it."""
        password: str = self.cleaned_data["oldpassword"]
        if not get_adapter().reauthenticate(self.user, password):
            raise get_adapter().validation_error("enter_current_password")
        return password
