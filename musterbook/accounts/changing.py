"""The form with which users change their own password."""

from allauth.account.adapter import get_adapter
from allauth.account.forms import ChangePasswordForm


class NewPassword(ChangePasswordForm):
    """A form with the present password, and with the new password twice."""

    def clean_oldpassword(self) -> str:
        """Return the present password if it is correct.

        A wrong one counts as a failed sign-in. Otherwise a session could be used to guess the password.
        """
        password: str = self.cleaned_data["oldpassword"]
        if not get_adapter().reauthenticate(self.user, password):
            raise get_adapter().validation_error("enter_current_password")
        return password
