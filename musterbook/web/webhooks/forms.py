"""The forms of webhooks."""

from typing import Any

from django import forms
from django.utils.functional import lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import webhooks
from musterbook.directory.agency.webhook_values import InvalidWebhook
from musterbook.directory.audit.webhook_kinds import CHOICES, WebhookKind
from musterbook.web.webhooks.words import SUBJECTS


class WebhookForm(forms.Form):
    """The address of a webhook, and the kinds of messages that it gets."""

    address = forms.CharField(
        label=gettext_lazy("Address"), max_length=2000,
        help_text=gettext_lazy("Where the receiver takes messages, such as https://hr.example.org/musterbook."),
        widget=forms.URLInput({"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"required": gettext_lazy("Enter the address of the receiver.")},
    )  # fmt: skip
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Messages"), widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("You can choose only messages about what your role allows you to see."),
        error_messages={"required": gettext_lazy("Choose at least one kind of message.")},
    )  # fmt: skip

    def __init__(self, sent: Any = None, *, by: Operator, endpoint: models.WebhookEndpoint | None = None) -> None:
        """Build the fields, with the settings of the webhook. None: it is to be added."""
        initial = {"address": endpoint.address, "kinds": endpoint.kinds} if endpoint else None
        super().__init__(sent, initial=initial)
        allowed = [kind for kind in CHOICES if not webhooks.list_lacking([kind.value], by)]
        groups = [
            (title, [(kind.value, _label_kind(kind)) for kind in allowed if kind.startswith(f"{subject}.")])
            for subject, title in SUBJECTS.items()
        ]
        self.fields["kinds"].choices = [  # type: ignore[attr-defined]  # a choice field
            choice for _title, choices in groups for choice in choices
        ]

    def read_values(self) -> dict[str, Any]:
        """Return the settings that were typed or chosen."""
        return dict(self.cleaned_data)

    def place_errors(self, unfit: InvalidWebhook) -> None:
        """Add the errors of the use case, each to its field."""
        for name, sentence in unfit.errors:
            self.add_error(name if name in self.fields else None, sentence)


def _label_kind(kind: WebhookKind) -> str:
    return f"{kind.value}: {kind.label}"


class NewWebhookForm(WebhookForm):
    """The same for a new webhook, with its name."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=63,
        help_text=gettext_lazy("Lowercase letters, digits and hyphens, such as payroll. It never changes."),
        widget=forms.TextInput({"autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Enter a name, such as payroll.")},
    )  # fmt: skip
    field_order = ("name", "address", "kinds")


def _label_hours(hours: int) -> str:
    if not hours:
        return _("Not at all: the secret may have been seen by others")
    days = hours // 24
    if days > 1:
        return ngettext("For %(number)d day", "For %(number)d days", days) % {"number": days}
    return ngettext("For %(number)d hour", "For %(number)d hours", hours) % {"number": hours}


class RotateForm(forms.Form):
    """For how long the former secret signs messages too."""

    hours = forms.TypedChoiceField(
        label=gettext_lazy("The former secret stays valid"), coerce=int, initial=webhooks.USUAL_OVERLAP,
        choices=[(hours, lazy(_label_hours, str)(hours)) for hours in webhooks.OVERLAPS], widget=forms.RadioSelect,
        help_text=gettext_lazy("Until then, each message has both signatures, so you can change the receiver in between."),
    )  # fmt: skip
