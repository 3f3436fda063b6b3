"""The forms of an agency's settings, one for each section, with the label of each setting, its unit and a hint."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.core.domain import labels
from musterbook.directory import models
from musterbook.directory.agency.agency_file import ACCOUNT_FLAGS, ACCOUNTS, MAILS
from musterbook.directory.agency.agency_settings import DETAILS, MAIL, NUMBERS, StaleSettings, describe_bounds
from musterbook.web import parsers, readers

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


def _describe_problem(label: "StrOrPromise", name: str) -> str:
    """Return what to enter, after the label, so that it makes sense in the summary of errors too."""
    return _("%(field)s: %(problem)s") % {"field": label, "problem": describe_bounds(name)}


_describe_problem_lazily = lazy(_describe_problem, str)


class SectionForm(forms.Form):
    """A group of settings, with the values that were shown, to detect what was changed here and what elsewhere."""

    settings: tuple[str, ...] = ()
    groups: "tuple[tuple[StrOrPromise, tuple[str, ...]], ...]" = ()
    """The groups of fields, each with its title. None: the fields are one list."""
    shown = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)

    def __init__(self, agency: models.Agency, sent: Any = None) -> None:
        now = {name: getattr(agency, name) for name in self.settings}
        super().__init__(sent, initial=self.make_initial(now) | {"shown": json.dumps(now)})

    def get_context(self) -> dict[str, Any]:
        """Return the context of the template: the library's, and the groups of fields."""
        return {
            **super().get_context(),
            "groups": [(title, [self[name] for name in some]) for title, some in self.groups],
        }

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
            text = _("Someone else set this to %(value)s while you were editing. Save again to keep your value.")
            self.add_error(name, text % {"value": _format_value(now)})
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
        return _("yes") if value else _("no")
    return f"“{', '.join(value) if isinstance(value, list) else value}”"


class MeasureInput(forms.TextInput):
    """A short field for a number, with its unit after it."""

    def __init__(self, unit: "StrOrPromise" = "") -> None:
        super().__init__({"inputmode": "numeric", "autocomplete": "off"})
        self.unit = unit

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Return the markup of the field and its unit. The unit is part of the label for those who do not see it."""
        control = super().render(name, value, attrs, renderer)
        unit = format_html('<span class="m-measure__unit" aria-hidden="true">{}</span>', self.unit) if self.unit else ""
        return format_html('<span class="m-measure">{}{}</span>', control, unit)


def make_number_field(
    name: str, label: "StrOrPromise", unit: "StrOrPromise" = "", hint: "StrOrPromise" = ""
) -> forms.Field:
    """Return a field for a number within the bounds of that setting.

    All errors have the same message, which names the field and states the bounds.
    """
    least, most = NUMBERS[name]
    kind = forms.FloatField if name == "percent" else forms.IntegerField
    wrong = dict.fromkeys(("required", "invalid", "min_value", "max_value"), _describe_problem_lazily(label, name))
    return kind(
        label=_add_unit_lazily(label, unit) if unit else label,
        min_value=least,
        max_value=most,
        help_text=hint,
        error_messages=wrong,
        widget=MeasureInput(unit),
        localize=False,
    )


def _add_unit(label: "StrOrPromise", unit: "StrOrPromise") -> SafeString:
    return format_html('{} <span class="usa-sr-only">({})</span>', label, unit)


_add_unit_lazily = lazy(_add_unit, SafeString)

_DAYS, _MINUTES = gettext_lazy("days"), gettext_lazy("minutes")


class DetailsForm(SectionForm):
    """The name and the country of the agency, and the language and time zone of its users."""

    settings = DETAILS
    name = forms.CharField(label=gettext_lazy("Name of the agency"), max_length=255)
    default_country = forms.CharField(
        label=gettext_lazy("Default country"), max_length=255, required=False,
        help_text=gettext_lazy("Two letters, such as US. For phone numbers without a country code."),
        widget=MeasureInput(),
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


class AccountsForm(SectionForm):
    """The rules for invitations, passwords, locks, and sessions."""

    settings = (*ACCOUNTS, *ACCOUNT_FLAGS, "sign_in_notice")
    template_name = "grouped_form.html"
    groups = (
        (gettext_lazy("Passwords"), ("password_length", "password_days")),
        (gettext_lazy("Locks"), ("lock_failures", "lock_minutes", "lock_all_places")),
        (gettext_lazy("Sessions"), ("idle_minutes", "sessions_most")),
        (gettext_lazy("Accounts"), ("invitation_days", "unused_days", "reuse_days")),
        (gettext_lazy("Sign-in page"), ("sign_in_notice",)),
    )
    invitation_days = make_number_field(
        "invitation_days", gettext_lazy("Invitation expires after"), _DAYS, gettext_lazy("For new invitations.")
    )
    password_length = make_number_field(
        "password_length",
        gettext_lazy("Minimum password length"),
        gettext_lazy("characters"),
        gettext_lazy("We recommend 12 or more. The minimum is 8. For new passwords."),
    )
    password_days = make_number_field(
        "password_days",
        gettext_lazy("Password must be changed after"),
        _DAYS,
        gettext_lazy("0 = never, which we recommend."),
    )
    lock_failures = make_number_field(
        "lock_failures",
        gettext_lazy("Lock the account after"),
        gettext_lazy("failed sign-ins"),
        gettext_lazy("Within 15 minutes, in the same browser or from the same network address."),
    )
    lock_all_places = forms.BooleanField(
        label=gettext_lazy("Lock the account everywhere"),
        required=False,
        help_text=gettext_lazy(
            "Except in browsers where the user has signed in before. This is the strictest reading of CJIS AC-7. Anyone who"
            " knows a username can then keep its user from signing in in a new browser."
        ),
    )
    lock_minutes = make_number_field(
        "lock_minutes",
        gettext_lazy("Unlock automatically after"),
        _MINUTES,
        gettext_lazy(
            "0 = stays locked until an administrator unlocks it or the user resets the password by email. Administrators are"
            " unlocked after 15 minutes."
        ),
    )
    idle_minutes = make_number_field(
        "idle_minutes",
        gettext_lazy("Sign out after inactivity of"),
        _MINUTES,
        gettext_lazy("Takes effect immediately. All sessions end after 12 hours."),
    )
    sessions_most = make_number_field(
        "sessions_most",
        gettext_lazy("Sessions per user"),
        gettext_lazy("at most"),
        gettext_lazy("One per browser. With one more, the one that was used least recently ends."),
    )
    unused_days = make_number_field(
        "unused_days",
        gettext_lazy("Deactivate users who have not signed in for"),
        _DAYS,
        gettext_lazy(
            "0 = never. The CJIS Security Policy asks for 90. If there are more of them than the limit, the change is on hold"
            " in Import history."
        ),
    )
    reuse_days = make_number_field(
        "reuse_days",
        gettext_lazy("A username or email address can be reused after"),
        _DAYS,
        gettext_lazy("0 = immediately. The CJIS Security Policy asks for 365."),
    )
    sign_in_notice = forms.CharField(
        label=gettext_lazy("Notice before sign-in"),
        max_length=8000,
        required=False,
        widget=forms.Textarea({"rows": 5}),
        help_text=gettext_lazy(
            "For example, who may use the system, that use is recorded, and that users agree to this."
        ),
    )


class MailsForm(SectionForm):
    """The emails that are sent."""

    settings = MAIL
    sends_mail = forms.BooleanField(
        label=gettext_lazy("Send email after imports and edits"),
        required=False,
        help_text=gettext_lazy("You can turn it off for a single import."),
    )
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Kinds of email"),
        choices=[(kind, labels.EMAIL_TITLES[kind]) for kind in MAILS],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("An invitation that someone sends by hand is always sent."),
    )

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
        label=gettext_lazy("Every user must sign in with a second factor"), required=False,
        help_text=gettext_lazy("Regardless of their role. The CJIS Security Policy asks for this."),
    )  # fmt: skip
    roles = forms.MultipleChoiceField(
        label=gettext_lazy("Users with these roles must sign in with a second factor"), required=False,
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
