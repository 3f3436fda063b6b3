"""The pages of second factors: those of the library, some of them extended."""

from functools import partial
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.mfa.base.views import authenticate
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.forms import DeactivateTOTPForm
from allauth.mfa.totp.views import ActivateTOTPView
from allauth.mfa.webauthn.views import AddWebAuthnView, RemoveWebAuthnView, login_webauthn
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import include, path
from django.views.decorators.cache import never_cache

from musterbook.accounts import factors, passkeys, recovery
from musterbook.accounts.allauth_internals import record_authentication
from musterbook.config import encryption
from musterbook.http import rate_limits
from musterbook.web.accounts.passkeys import make_error
from musterbook.web.permission import get_account

_NEW_CODES_KEY = "recovery_codes"
"""The session key of new recovery codes, which are kept sealed until the next page shows them."""


def _keep_codes(request: HttpRequest, codes: list[str]) -> None:
    request.session[_NEW_CODES_KEY] = encryption.seal("\n".join(codes))


def _announce_codes(request: HttpRequest) -> None:
    """Announce the codes on the next page, and record them in the audit trail (`adapter.Adapter.add_message`)."""
    get_adapter(request).add_message(request, messages.WARNING, "mfa/messages/recovery_codes_generated.txt")


class _WithCodes:
    """A mixin for the views that add a factor.

    With the first factor, recovery codes are created and shown on the next page. The library does not create its own
    codes then. A user who adds a factor has just used it, so they can continue to add another.
    """

    request: HttpRequest
    did_generate_recovery_codes: bool
    kind: Authenticator.Type

    def form_valid(self, form: Any) -> HttpResponse:
        """Add the factor, and create recovery codes if there are none."""
        user = get_account(self.request)
        first = not recovery.has_codes(user)
        with factors.begin_setup(user, then=partial(_announce_codes, self.request) if first else None):
            codes = recovery.make_codes(user) if first else []
            response: HttpResponse = super().form_valid(form)  # type: ignore[misc]  # of the view after this mixin
        if first:
            _keep_codes(self.request, codes)
        record_authentication(self.request, user, "mfa", type=self.kind.value)
        return redirect("mfa_view_recovery_codes") if first else response


class SetUpCodes(_WithCodes, ActivateTOTPView):
    """The page that sets up one-time codes."""

    kind = Authenticator.Type.TOTP


class AddPasskey(_WithCodes, AddWebAuthnView):
    """The page that adds a passkey."""

    kind = Authenticator.Type.WEBAUTHN

    def form_valid(self, form: Any) -> HttpResponse:
        """Add the passkey, or show the form again if an account has it already."""
        try:
            with passkeys.refuse_taken():
                return super().form_valid(form)
        except passkeys.Taken:
            form.add_error(None, make_error())
            response: HttpResponse = self.form_invalid(form)
            return response


class NewRecoveryCodes(GenerateRecoveryCodesView):
    """The page that replaces the recovery codes with new ones."""

    def form_valid(self, form: Any) -> HttpResponse:  # noqa: ARG002  (the library's signature)
        """Create the codes, and redirect to the page that shows them."""
        user, adapter = get_account(self.request), get_adapter(self.request)
        _keep_codes(self.request, recovery.make_codes(user))
        _announce_codes(self.request)
        adapter.send_notification_mail("mfa/email/recovery_codes_generated", user)
        return redirect("mfa_view_recovery_codes")


class RecoveryCodes(ViewRecoveryCodesView):
    """The page that shows new codes once, and later how many are left."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the context of the page, with the codes that were just created, if any."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        sealed = self.request.session.pop(_NEW_CODES_KEY, None)
        codes = {"unused_codes": encryption.unseal(sealed).split("\n"), "can_view_codes": True} if sealed else {}
        return context | codes


class RemovePasskey(RemoveWebAuthnView):
    """The page that removes a passkey, unless it is the last factor of a user who must have one.

    The library has this check only for one-time codes.
    """

    form_class = DeactivateTOTPForm

    def get_form_kwargs(self) -> dict[str, Any]:
        """Return the arguments of the form.

        The form is bound even before it is sent, so the page shows beforehand why a passkey cannot be removed.
        """
        kwargs: dict[str, Any] = super().get_form_kwargs()
        return {"data": {}} | kwargs | {"authenticator": self.object}


_CHALLENGE_LASTS = 5 * 60
"""The lifetime of a session that has only requested a passkey sign-in, in seconds."""


@rate_limits.limit_by_address("sign-in")
def by_passkey(request: HttpRequest) -> HttpResponseBase:
    """Sign in with a passkey alone. A request that does not sign in leaves only a short session."""
    response: HttpResponseBase = login_webauthn(request)
    if not request.user.is_authenticated and request.session.modified:
        request.session.set_expiry(_CHALLENGE_LASTS)
    return response


urlpatterns = [
    path("authenticate/", rate_limits.limit_by_address("sign-in")(authenticate), name="mfa_authenticate"),
    path("webauthn/login/", by_passkey, name="mfa_login_webauthn"),
    path("webauthn/keys/<int:pk>/remove/", RemovePasskey.as_view(), name="mfa_remove_webauthn"),
    path("webauthn/add/", AddPasskey.as_view(), name="mfa_add_webauthn"),
    path("totp/activate/", never_cache(SetUpCodes.as_view()), name="mfa_activate_totp"),
    path("recovery-codes/", never_cache(RecoveryCodes.as_view()), name="mfa_view_recovery_codes"),
    path("recovery-codes/generate/", NewRecoveryCodes.as_view(), name="mfa_generate_recovery_codes"),
    path("", include("allauth.mfa.urls")),
]
