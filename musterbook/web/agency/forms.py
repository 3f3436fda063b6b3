"""The forms of an agency's settings, one for each section, with the label of each setting and a hint."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.core.domain import labels
from musterbook.core.domain.policy import DEFAULT_LIMITS, Limit, LimitKind
from musterbook.directory import models
from musterbook.directory.agency import limits
from musterbook.directory.agency.agency_file import ACCOUNT_FLAGS, ACCOUNTS, IMPORT_FLAGS, IMPORTS, MAILS
from musterbook.directory.agency.agency_settings import DETAILS, LIMITS, MAIL, NUMBERS, StaleSettings, describe_bounds
from musterbook.web import parsers, readers


class SectionForm(forms.Form):
    """A group of settings, with the values that were shown, to detect what was changed here and what elsewhere."""

    settings: tuple[str, ...] = ()
    shown = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)

    def __init__(self, agency: models.Agency, sent: Any = None) -> None:
        now = {name: getattr(agency, name) for name in self.settings}
        super().__init__(sent, initial=self.make_initial(now) | {"shown": json.dumps(now)})

    def make_initial(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings as the fields show them."""
        return dict(settings)

    def read_values(self) -> dict[str, Any]:
        """Return the settings that were typed or chosen."""
        return {name: self.cleaned_data[name] for name in self.settings}

    def read_original(self) -> dict[str, Any]:
        """Return the settings that were shown, or none if they cannot be read."""
        return parse_object(self.cleaned_data["shown"])

    def add_stale_errors(self, by: StaleSettings) -> None:
        """Add an error for each setting that another user has changed in the meantime.

        If the form is sent again, its values are saved.
        """
        for name, now in by.now.items():
            self.add_error(
                name, f"Somebody has set this to {_format_value(now)} meanwhile. Save again to set it as it is here."
            )
        self.data = {
            **{name: self[name].value() for name in self.fields},
            "shown": json.dumps(self.read_original() | dict(by.now)),
        }


def parse_object(text: str) -> dict[str, Any]:
    """Return a JSON object that a page sent back, or an empty one for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _format_value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"“{', '.join(value) if isinstance(value, list) else value}”"


def _make_number_field(name: str, label: str, hint: str = "") -> forms.Field:
    """Return a field for a number within the bounds of that setting.

    All errors have the same message, which states the bounds.
    """
    least, most = NUMBERS[name]
    kind = forms.FloatField if name == "percent" else forms.IntegerField
    wrong = dict.fromkeys(("required", "invalid", "min_value", "max_value"), describe_bounds(name))
    widget = forms.TextInput({"inputmode": "numeric", "autocomplete": "off"})
    return kind(
        label=label, min_value=least, max_value=most, help_text=hint, error_messages=wrong, widget=widget, localize=False
    )  # fmt: skip


class DetailsForm(SectionForm):
    """The name and the country of the agency, and the language and time zone of its users."""

    settings = DETAILS
    name = forms.CharField(label="Name of the agency", max_length=255)
    default_country = forms.CharField(
        label="Default country", max_length=255, required=False,
        help_text="Two letters, such as US. Phone numbers without a country code are of it.",
    )  # fmt: skip
    language = forms.ChoiceField(
        label=gettext_lazy("Language"), required=False,
        help_text=gettext_lazy(
            "For emails, and for pages if the reader's browser asks for no language that we have. Users can choose their own."
        ),
    )  # fmt: skip
    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"), required=False,
        help_text=gettext_lazy("For times on pages and in emails. Users can choose their own."),
    )  # fmt: skip

    def __init__(self, agency: models.Agency, sent: Any = None) -> None:
        super().__init__(agency, sent)
        readers.fill_choices(
            self, language=_("English, unless the browser asks for another"), time_zone=_("As each user's browser")
        )


_LIMITED = {
    LimitKind.DEACTIVATIONS: "Users who lose access",
    LimitKind.PRIVILEGES: "Users who gain a permission",
    LimitKind.HANDOVERS: "Users who take another user's address or username",
    LimitKind.CLEARED: "Users who lose a value to a column that is blank in every row",
    LimitKind.REKEYS: "Users who get another external id",
    LimitKind.UPDATES: "Users who change",
    LimitKind.ADDITIONS: "Users who are added",
}
"""What each kind of limit counts."""
_NUMBERS = {"users": "Users", "percent": "Or percent of the active users, if that is more", "most": "At most"}


def name_limit(limit: Limit) -> str:
    """Return what the limit of a role or group counts, and in which."""
    return f"{_LIMITED[limit.kind]}: {f'role {limit.role}' if limit.role else f'group {limit.group}'}"


class LimitsForm(SectionForm):
    """The number of users of each kind that an import may concern without confirmation. Blank: the default."""

    settings = (*LIMITS, *IMPORTS, *IMPORT_FLAGS)
    grace_days = _make_number_field(
        "grace_days", "Days for which a user keeps access who is missing in synchronize files",
        "0: none. A missing user is marked as leaving, and becomes Inactive after this many days and imports without a"
        " mention.",
    )  # fmt: skip
    replaced_addresses_days = _make_number_field(
        "replaced_addresses_days", "Days for which a supervisor's former address means the same person",
        "0: not at all. Files often name a supervisor by an old address for weeks.",
    )  # fmt: skip
    preview_days = _make_number_field(
        "preview_days", "Days after which a plan that nobody has applied expires", "For previews and held imports."
    )
    release_badges = forms.BooleanField(
        label="The badge of an inactive user can be given to another user", required=False,
        help_text="The former holder's badge then says until when they had it, such as 1039 (until 2026-11-28).",
    )  # fmt: skip
    second_approver = forms.BooleanField(
        label="Another user must confirm what is held", required=False,
        help_text="The user who requested an import cannot confirm it themselves.",
    )  # fmt: skip

    def __init__(self, agency: models.Agency, sent: Any = None) -> None:
        self._named = [one for one in agency.limits if one["role"] is not None or one["group"] is not None]
        super().__init__(agency, sent)
        for default in DEFAULT_LIMITS:
            for name, label in _NUMBERS.items():
                hint = f"Default: {limits.explain_limit(default)}." if name == "users" else ""
                named = f"{_LIMITED[default.kind]}: {label[0].lower()}{label[1:]}"
                self.fields[f"{default.kind}_{name}"] = _make_limit_field(name, named, hint)
            self.fields[f"{default.kind}_off"] = forms.BooleanField(
                label=f"{_LIMITED[default.kind]}: no limit", required=False
            )

    def make_initial(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the limits of the whole agency as the fields show them."""
        whole = [one for one in settings["limits"] if one["role"] is None and one["group"] is None]
        shown = {f"{one['kind']}_off": one["off"] for one in whole}
        for one in (one for one in whole if not one["off"]):
            shown |= {f"{one['kind']}_{name}": one[name] for name in ("users", "most")}
            shown |= {f"{one['kind']}_percent": f"{one['percent']:g}" if one["percent"] else None}
        return shown | {name: settings[name] for name in ("second_approver", *IMPORTS, *IMPORT_FLAGS)}

    def read_values(self) -> dict[str, Any]:
        """Return the limits as they are stored, those of roles and groups included."""
        whole = [one for one in (self._read_limit(default) for default in DEFAULT_LIMITS) if one]
        others = {name: self.cleaned_data[name] for name in ("second_approver", *IMPORTS, *IMPORT_FLAGS)}
        return {"limits": [*self._named, *whole], **others}

    def _read_limit(self, default: Limit) -> dict[str, Any] | None:
        """Return one limit, or None if its fields are blank."""
        numbers = {name: self.cleaned_data.get(f"{default.kind}_{name}") for name in _NUMBERS}
        off = self.cleaned_data[f"{default.kind}_off"]
        if not off and all(number is None for number in numbers.values()):
            return None
        filled = {"users": numbers["users"] or 0, "percent": numbers["percent"] or 0, "most": numbers["most"]}
        return {"kind": default.kind.value, **filled, "off": off, "role": None, "group": None}

    def add_stale_errors(self, by: StaleSettings) -> None:
        """Add an error if another user has changed the limits meanwhile. If the form is sent again, it is saved."""
        self.add_error(None, "Somebody has changed these settings meanwhile. Save again to set them as they are here.")
        shown = json.dumps(self.read_original() | dict(by.now))
        self.data = {**{name: self[name].value() for name in self.fields}, "shown": shown}


def _make_limit_field(name: str, label: str, hint: str = "") -> forms.Field:
    """Return a field for one number of a limit, which may be blank."""
    field = _make_number_field(name, label, hint)
    field.required = False
    return field


class NamedLimitForm(forms.Form):
    """A limit for the users of one role or group, in addition to the agency's."""

    kind = forms.ChoiceField(label="What it counts", choices=[(kind.value, label) for kind, label in _LIMITED.items()])
    of = forms.ChoiceField(label="Role or group")

    def __init__(self, agency: models.Agency, sent: Any = None) -> None:
        super().__init__(sent)
        self.fields["of"].choices = [("", "Choose one"), *limits.list_names(agency)]  # type: ignore[attr-defined]  # a choice field
        for name, label in _NUMBERS.items():
            self.fields[name] = _make_limit_field(name, label)

    def read_limit(self) -> dict[str, Any]:
        """Return the limit as it is stored."""
        data = self.cleaned_data
        noun, _, number = data["of"].partition("-")
        named = {"role": None, "group": None, noun: int(number)}
        numbers = {"users": data["users"] or 0, "percent": data["percent"] or 0, "most": data["most"]}
        return {"kind": data["kind"], **numbers, "off": False, **named}


class AccountsForm(SectionForm):
    """The rules for invitations, passwords, locks, and sessions."""

    settings = (*ACCOUNTS, *ACCOUNT_FLAGS, "sign_in_notice")
    invitation_days = _make_number_field(
        "invitation_days", "Days that an invitation lives", "Holds for invitations that leave from now on."
    )
    password_length = _make_number_field(
        "password_length", "Fewest characters of a password",
        "12 or more are advised, 8 are the fewest. Holds for passwords that are chosen from now on.",
    )  # fmt: skip
    password_days = _make_number_field(
        "password_days", "Days after which a password must be changed",
        "0: never, as is advised. A user with an older one chooses another when they next sign in.",
    )  # fmt: skip
    lock_failures = _make_number_field(
        "lock_failures", "Failed sign-ins within 15 minutes that lock an account",
        "In the browser where they failed, or at its address if nobody has signed in there before.",
    )  # fmt: skip
    lock_all_places = forms.BooleanField(
        label="Lock the account everywhere", required=False,
        help_text="Only browsers in which the user has signed in before stay open. This is the strictest reading of CJIS AC-7. "
        "Anybody who knows a username can then keep its user from signing in in a new browser.",
    )  # fmt: skip
    lock_minutes = _make_number_field(
        "lock_minutes", "Minutes after which a lock ends by itself",
        "0: when an administrator ends it, or by a new password through mail. An administrator's own lock ends after 15 at most.",
    )  # fmt: skip
    idle_minutes = _make_number_field(
        "idle_minutes", "Minutes without use that end a session", "Holds at once. After 12 hours all sessions end."
    )
    sessions_most = _make_number_field(
        "sessions_most", "Sessions that a user may have at once",
        "Each browser is one. With one more, the session that was not used for the longest time ends.",
    )  # fmt: skip
    unused_days = _make_number_field(
        "unused_days", "Days without a sign-in after which a user is deactivated",
        "0: never. The CJIS Security Policy asks for 90. If it concerns more users than the limit of deactivations, the plan"
        " waits in Import history for an administrator.",
    )  # fmt: skip
    reuse_days = _make_number_field(
        "reuse_days", "Days before another user can get a username or email address that someone had",
        "0: at once. The CJIS Security Policy asks for 365.",
    )  # fmt: skip
    sign_in_notice = forms.CharField(
        label="Notice before sign-in", max_length=8000, required=False, widget=forms.Textarea({"rows": 6}),
        help_text="Everybody reads it before they sign in: who may use the system, that use is recorded, and that they agree.",
    )  # fmt: skip


class MailsForm(SectionForm):
    """The mails that are sent."""

    settings = MAIL
    sends_mail = forms.BooleanField(
        label="Imports and edits send mails", required=False,
        help_text="The user who imports can say otherwise for one import.",
    )  # fmt: skip
    kinds = forms.MultipleChoiceField(
        label="Of these kinds", choices=[(kind, labels.EMAIL_TITLES[kind]) for kind in MAILS], required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="An invitation that somebody sends by hand leaves all the same.",
    )  # fmt: skip

    def make_initial(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with the kinds that are sent ticked."""
        return {
            "sends_mail": settings["sends_mail"],
            "kinds": [kind for kind in MAILS if kind not in settings["mails_off"]],
        }

    def read_values(self) -> dict[str, Any]:
        """Return the settings with the kinds that are not ticked turned off."""
        off = [kind for kind in MAILS if kind not in self.cleaned_data["kinds"]]
        return {"sends_mail": self.cleaned_data["sends_mail"], "mails_off": off}

    def add_error(self, field: str | None, error: Any) -> None:
        """Add an error. The setting `mails_off` has the field `kinds`."""
        super().add_error("kinds" if field == "mails_off" else field, error)


_EVERYONE = "everyone"


class SecondFactorsForm(forms.Form):
    """The roles whose users must have a second factor."""

    shown = forms.CharField(widget=forms.HiddenInput, required=False)
    everyone = forms.BooleanField(
        label="Every user must sign in with a second factor", required=False,
        help_text="Whatever their role. The CJIS Security Policy asks for it.",
    )  # fmt: skip
    roles = forms.MultipleChoiceField(
        label="Users with these roles must sign in with a second factor", required=False,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip

    def __init__(self, agency: models.Agency, roles: Iterable[models.Role], sent: Any = None, *, all_: bool) -> None:
        """Offer the roles. `all_` means that these are all roles, so the user may decide about everyone."""
        self._required_ids = [role.pk for role in roles if role.second_factor]
        marks = [*map(str, self._required_ids), *([_EVERYONE] if agency.second_factor else [])]
        initial = {"roles": self._required_ids, "shown": " ".join(marks), "everyone": agency.second_factor}
        super().__init__(sent, initial=initial)
        self.fields["everyone"].disabled = not all_
        self.fields["roles"].choices = [(role.pk, role.name) for role in roles]  # type: ignore[attr-defined]  # a choice field

    def read_values(self) -> frozenset[int]:
        """Return the roles that were chosen."""
        return frozenset(map(int, self.cleaned_data["roles"]))

    def included_everyone(self) -> bool:
        """Return whether everyone had to have one when the page was shown."""
        return _EVERYONE in self.cleaned_data["shown"].split()

    def read_original(self) -> frozenset[int]:
        """Return the roles that were chosen when the page was shown."""
        numbers = self.cleaned_data["shown"].split()
        return frozenset(number for number in map(parsers.parse_number, numbers) if number is not None)


_MATCHES = [("email", "by their email address"), ("external_id", "by their external id")]


class ProviderForm(forms.Form):
    """The fields that both kinds of identity providers have."""

    kind = ""
    shown = forms.CharField(widget=forms.HiddenInput, required=False)
    slug = forms.CharField(
        label="Short name", max_length=63,
        help_text="The addresses that the provider must know are made of it; it cannot be changed later. Such as entra.",
    )  # fmt: skip
    name = forms.CharField(label="Name", max_length=255, help_text="On the button: “Sign in with …”.")

    match = forms.ChoiceField(label="It knows our users", choices=_MATCHES, widget=forms.RadioSelect, initial="email")
    claim = forms.CharField(
        label="Claim or attribute with the external id", max_length=255, required=False,
        help_text="Only where it knows users by their external id, such as employeeid.",
    )  # fmt: skip
    trust_email = forms.BooleanField(
        label="Its email addresses count without its word that it has verified them", required=False,
        help_text="Only for a provider of your own: a person who can choose an address there could sign in as somebody else.",
    )  # fmt: skip
    second_factor = forms.BooleanField(
        label="Who must have a second factor needs one here too", required=False,
        help_text="Otherwise the provider answers for it.",
    )  # fmt: skip

    acr = forms.CharField(
        label="How users must have signed in there", max_length=1000, required=False,
        help_text="Values of acr or AuthnContext with blanks between them; the provider must send one. Leave blank to take any.",
    )  # fmt: skip
    amr = forms.CharField(
        label="Methods that they must have used there", max_length=1000, required=False,
        help_text="Values of amr with blanks between them; the provider must send all. Such as mfa. Leave blank to take any.",
    )  # fmt: skip
    max_age_minutes = forms.IntegerField(
        label="Minutes since they signed in there, at most", min_value=0, required=False,
        help_text="After that they must sign in there again to come in here. Leave blank to take any.",
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
        label="Issuer", max_length=2000, widget=forms.URLInput, help_text="What stands before /.well-known/openid-configuration."
    )  # fmt: skip
    client_id = forms.CharField(label="Client id", max_length=2000)
    hosts = forms.CharField(
        label="Other hosts of the provider", max_length=1000, required=False,
        help_text="Only if its endpoints are on other hosts than the issuer. Those of Google and Microsoft are known.",
    )  # fmt: skip
    client_secret = forms.CharField(
        label="Client secret",
        max_length=2000,
        required=False,
        widget=forms.PasswordInput({"autocomplete": "off", "data-called": "secret"}),
    )

    def __init__(self, *args: Any, exists: bool, **more: Any) -> None:
        super().__init__(*args, exists=exists, **more)
        secret = "It is kept sealed and never shown."
        self.fields["client_secret"].help_text = (
            f"{secret} Leave it blank to keep the one there is." if exists else secret
        )


class SamlForm(ProviderForm):
    """An identity provider that uses SAML."""

    kind = "saml"
    entity_id = forms.CharField(label="Entity id", max_length=2000)
    sso_url = forms.CharField(label="Address for signing in", max_length=2000, widget=forms.URLInput)
    certificate = forms.CharField(
        label="Signing certificate", max_length=20_000, widget=forms.Textarea({"rows": 6, "spellcheck": "false"}),
        help_text="With or without its first and last line.",
    )  # fmt: skip


PROVIDERS = {"oidc": OidcForm, "saml": SamlForm}
"""The form of each kind."""
