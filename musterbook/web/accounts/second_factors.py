"""The pages of second factors: the library's own, some of them with what it leaves open."""

from typing import Any

from allauth.mfa.recovery_codes.views import view_recovery_codes
from allauth.mfa.totp.forms import DeactivateTOTPForm
from allauth.mfa.totp.views import activate_totp
from allauth.mfa.webauthn.views import RemoveWebAuthnView
from django.urls import include, path
from django.views.decorators.cache import never_cache


class RemovePasskey(RemoveWebAuthnView):
    """Removes a passkey, unless it is the last factor of who must have one; the library asks that of codes alone."""

    form_class = DeactivateTOTPForm

    def get_form_kwargs(self) -> dict[str, Any]:
        """What the form looks at; also before it is sent, so that the page says beforehand what cannot be."""
        kwargs: dict[str, Any] = super().get_form_kwargs()
        return {"data": {}} | kwargs | {"authenticator": self.object}


urlpatterns = [
    path("webauthn/keys/<int:pk>/remove/", RemovePasskey.as_view(), name="mfa_remove_webauthn"),
    path("totp/activate/", never_cache(activate_totp), name="mfa_activate_totp"),
    path("recovery-codes/", never_cache(view_recovery_codes), name="mfa_view_recovery_codes"),
    path("", include("allauth.mfa.urls")),
]
