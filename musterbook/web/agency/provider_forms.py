"""The forms of identity providers, one for each kind."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_MATCHES = [("email", gettext_lazy("by email address")), ("external_id", gettext_lazy("by external ID"))]


class ProviderForm(forms.Form):
    """The fields that both kinds of identity providers have."""

    kind = ""
    shown = forms.CharField(widget=forms.HiddenInput, required=False)
    slug = forms.CharField(
        label=gettext_lazy("Short name"), max_length=63,
        help_text=gettext_lazy("Part of the addresses for the provider, such as entra. You cannot change it later."),
    )  # fmt: skip
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=255, help_text=gettext_lazy("On the button: “Sign in with …”.")
    )

    match = forms.ChoiceField(
        label=gettext_lazy("Match users"), choices=_MATCHES, widget=forms.RadioSelect, initial="email"
    )
    claim = forms.CharField(
        label=gettext_lazy("Claim or attribute with the external ID"), max_length=255, required=False,
        help_text=gettext_lazy("Only if users are matched by external ID, such as employeeid."),
    )  # fmt: skip
    trust_email = forms.BooleanField(
        label=gettext_lazy("Trust unverified email addresses"), required=False,
        help_text=gettext_lazy("Only for your own provider. People who can choose an address there could sign in as others."),
    )  # fmt: skip
    second_factor = forms.BooleanField(
        label=gettext_lazy("Users who must have a second factor need one here too"), required=False,
        help_text=gettext_lazy("Otherwise the provider is trusted to ask for it."),
    )  # fmt: skip

    acr = forms.CharField(
        label=gettext_lazy("Required authentication context"), max_length=1000, required=False,
        help_text=gettext_lazy("Values of acr or AuthnContext, separated by spaces. The provider must send one. Blank = any."),
    )  # fmt: skip
    amr = forms.CharField(
        label=gettext_lazy("Required authentication methods"), max_length=1000, required=False,
        help_text=gettext_lazy("Values of amr, such as mfa, separated by spaces. The provider must send all. Blank = any."),
    )  # fmt: skip
    max_age_minutes = forms.IntegerField(
        label=gettext_lazy("Longest time since sign-in at the provider (minutes)"), min_value=0, required=False,
        help_text=gettext_lazy("After that, users must sign in there again. Blank = no limit."),
    )  # fmt: skip

    def __init__(self, *args: Any, exists: bool, **more: Any) -> None:
        """Build the fields. `exists` means that the provider already exists."""
        super().__init__(*args, **more)
        if exists:
            del self.fields["slug"]
        if self.kind == "saml":
            del self.fields["amr"]
        last_fields = ("match", "claim", "trust_email", "second_factor", "acr", "amr", "max_age_minutes")
        self.order_fields([name for name in self.fields if name not in last_fields])

    def read_values(self, slug: str = "") -> dict[str, Any]:
        """Return the provider as an agency file has it. A blank client secret means that none was entered."""
        values = {name: value for name, value in self.cleaned_data.items() if name != "shown"}
        return values | {"kind": self.kind, "slug": slug or values["slug"]}


class OidcForm(ProviderForm):
    """An identity provider that uses OpenID Connect."""

    kind = "oidc"
    server = forms.CharField(
        label=gettext_lazy("Issuer"), max_length=2000, widget=forms.URLInput,
        help_text=gettext_lazy("The part of the address before /.well-known/openid-configuration."),
    )  # fmt: skip
    client_id = forms.CharField(label=gettext_lazy("Client ID"), max_length=2000)
    hosts = forms.CharField(
        label=gettext_lazy("Other hosts of the provider"), max_length=1000, required=False,
        help_text=gettext_lazy("Only if its endpoints are not on the issuer’s host. Those of Google and Microsoft are known."),
    )  # fmt: skip
    client_secret = forms.CharField(
        label=gettext_lazy("Client secret"),
        max_length=2000,
        required=False,
        widget=forms.PasswordInput(
            {"autocomplete": "off", "data-show": gettext_lazy("Show secret"), "data-hide": gettext_lazy("Hide secret")}
        ),
    )

    def __init__(self, *args: Any, exists: bool, **more: Any) -> None:
        super().__init__(*args, exists=exists, **more)
        self.fields["client_secret"].help_text = (
            _("Stored encrypted, and never shown. Leave it blank to keep the current one.")
            if exists
            else _("Stored encrypted, and never shown.")
        )


class SamlForm(ProviderForm):
    """An identity provider that uses SAML."""

    kind = "saml"
    entity_id = forms.CharField(label=gettext_lazy("Entity ID"), max_length=2000)
    sso_url = forms.CharField(label=gettext_lazy("Sign-in URL"), max_length=2000, widget=forms.URLInput)
    certificate = forms.CharField(
        label=gettext_lazy("Signing certificate"), max_length=20_000, widget=forms.Textarea({"rows": 6, "spellcheck": "false"}),
        help_text=gettext_lazy("With or without its first and last line."),
    )  # fmt: skip


PROVIDERS = {"oidc": OidcForm, "saml": SamlForm}
"""The form of each kind."""
