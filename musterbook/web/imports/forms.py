"""The forms of an import: the file, how to read it, and what is confirmed of a plan that is held."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from musterbook.core.domain.policy import Confirmed, Mode
from musterbook.core.planning.holds import Hold
from musterbook.core.reading.csv import likely_encodings
from musterbook.directory import models
from musterbook.directory.imports import entry_files
from musterbook.directory.imports.options import Options
from musterbook.directory.users import marks
from musterbook.http import request_context
from musterbook.web.imports import uploads
from musterbook.web.imports.entry_forms import make_entry_mode

_MODES = {
    Mode.UPDATE.value: (
        gettext_lazy("Add or update user accounts"),
        gettext_lazy("Users not in the file stay unchanged."),
    ),
    Mode.SYNC.value: (
        gettext_lazy("Synchronize all user accounts"),
        gettext_lazy("Active users not in the file become Inactive and lose access."),
    ),
    Mode.REKEY.value: (
        gettext_lazy("Change external IDs"),
        gettext_lazy("The file has two columns: EXTERNAL_ID and NEW_EXTERNAL_ID."),
    ),
}
"""Each mode with its label and the sentence that says what it does."""


@dataclass(frozen=True, slots=True)
class ModeChoice:
    """A mode on the page: its radio button, label and sentence, and whether the user may choose it."""

    value: str
    radio: Any
    label: Promise
    about: Promise
    allowed: bool


class UploadForm(forms.Form):
    """The mode, the file, and the other options of an import."""

    mode = forms.ChoiceField(
        label=gettext_lazy("Import option"), choices=[(value, label) for value, (label, _) in _MODES.items()],
        widget=forms.RadioSelect, initial=Mode.UPDATE.value,
    )  # fmt: skip
    file = forms.FileField(label=gettext_lazy("Select file"), allow_empty_file=True, max_length=None)
    strict = forms.BooleanField(
        label=gettext_lazy("Strict: if any row has a problem, change nothing at all"), required=False
    )
    quiet = forms.BooleanField(label=gettext_lazy("Do not send invitations or other emails"), required=False)
    source = forms.CharField(
        label=gettext_lazy("Source"), required=False, max_length=1000, widget=forms.TextInput({"autocomplete": "off"}),
        help_text=gettext_lazy("Use this only if several files list your users, such as hr-sworn and hr-civil."
        " Synchronize then deactivates only users of this source. Leave it blank to synchronize all users."),
    )  # fmt: skip

    releases = forms.BooleanField(
        label=gettext_lazy("Let users of this file take badges of inactive users"), required=False,
        help_text=gettext_lazy("The inactive user's badge then shows how long they had it, such as 1039 (until 2026-11-28)."),
    )  # fmt: skip
    expect_rows = forms.IntegerField(
        label=gettext_lazy("Expected number of rows"), required=False, min_value=0, max_value=100_000_000,
        help_text=gettext_lazy("If the file has another number of rows, nothing is imported."),
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value"), gettext_lazy("Enter a whole number, such as 1200.")
        ),
    )  # fmt: skip

    def __init__(self, request: HttpRequest) -> None:
        is_post = request.method == "POST"
        self._usual = request_context.agency(request).release_badges
        super().__init__(request.POST if is_post else None, request.FILES if is_post else None)
        most = settings.MUSTER_MAX_FILE_MB
        self.fields["releases"].initial = self._usual
        file = self.fields["file"]
        file.help_text = gettext("Or drop it here: CSV, .xlsx or .ods, up to %(most)s MB.") % {"most": f"{most:,}"}
        file.widget.attrs["accept"] = ".csv,.txt,.tsv,.xlsx,.ods"
        file.error_messages["required"] = uploads.get_refusal(request) or gettext("Select a file: CSV, .xlsx or .ods.")

    @property
    def field_errors(self) -> list[tuple[forms.BoundField, list[str]]]:
        """Return the fields that have errors, each with its errors, for the error summary."""
        return [(field, [str(error) for error in field.errors]) for field in self if field.errors]

    def list_modes(self, *, may_synchronize: bool) -> list[ModeChoice]:
        """Return the modes as the page shows them."""
        return [
            ModeChoice(value, radio, *_MODES[value], allowed=may_synchronize or value != Mode.SYNC)
            for radio in self["mode"]
            if (value := str(radio.data["value"]))
        ]

    def clean_source(self) -> str:
        """Return the source as it is stored."""
        try:
            return marks.clean_source(self.cleaned_data["source"])
        except marks.InvalidSource as invalid:
            raise forms.ValidationError(str(invalid)) from None

    def options(self, preview: bool) -> Options:
        """Return the options that were chosen."""
        data = self.cleaned_data
        mails = False if data["quiet"] else None
        releases = None if data["releases"] == self._usual else data["releases"]
        return Options(
            Mode(data["mode"]), preview=preview, strict=data["strict"], mails=mails, source=data["source"],
            release_badges=releases,
            expect_rows=data["expect_rows"],
        )  # fmt: skip


class ConfirmForm(forms.Form):
    """The number of each kind that holds a plan, typed by the user who confirms it."""

    def __init__(self, holds: Iterable[Hold], *args: Any) -> None:
        super().__init__(*args)
        self._numbers = {hold.key: hold.number for hold in holds}
        for key, number in self._numbers.items():
            self.fields[key] = _make_confirm_field(key, number)

    def clean(self) -> dict[str, Any]:
        """Return what was confirmed. A number that is not the one in the plan is an error."""
        for key, number in self._numbers.items():
            typed = "".join(str(self.cleaned_data.get(key, "")).replace(",", "").split())
            if key in self.cleaned_data and number is not None and typed != str(number):
                self.add_error(key, _instruct(number))
        return self.cleaned_data

    @property
    def field_errors(self) -> list[tuple[forms.BoundField, list[str]]]:
        """Return the fields that have errors, each with its errors, for the error summary."""
        return [(field, [str(error) for error in field.errors]) for field in self if field.errors]

    @property
    def confirmed(self) -> Confirmed:
        """Return what a valid form confirms, by kind."""
        return dict(self._numbers)


def _instruct(number: int) -> str:
    return gettext("In the preview it is %(number)s. Enter that number if it is correct.") % {"number": f"{number:,}"}


def _make_confirm_field(key: str, number: int | None) -> forms.Field:
    """Return the field for the number of one kind, or a box to tick if it has none."""
    label = _CONFIRMED[key]
    if number is None:
        return forms.BooleanField(label=label, error_messages={"required": gettext("Select this if it is correct.")})
    widget = forms.TextInput({"inputmode": "numeric", "autocomplete": "off"})
    return forms.CharField(label=label, widget=widget, error_messages={"required": _instruct(number)})


_CONFIRMED = {
    "deactivations": gettext_lazy("Number of users who lose access"),
    "privileges": gettext_lazy("Number of users who gain a permission"),
    "handovers": gettext_lazy("Number of users who take another user's address or username"),
    "cleared": gettext_lazy("Number of users who lose a value to a blank column"),
    "losses": gettext_lazy("Number of users who lose a group or a permission"),
    "rekeys": gettext_lazy("Number of users who get another external ID"),
    "updates": gettext_lazy("Number of users who change"),
    "additions": gettext_lazy("Number of users who are added"),
    "unreadable-rows": gettext_lazy("Number of rows that cannot be read"),
    "row-count": gettext_lazy("Number of rows of the file"),
    "shrunk": gettext_lazy("Number of rows of the file"),
    "cut-off": gettext_lazy("The file is complete, although it ends in the middle of a row"),
}
"""The label of the field that confirms each kind of hold."""


class PlanAgainForm(forms.Form):
    """The options that can be changed on the plan: the mode, strict, and whether emails are sent."""

    mode = forms.ChoiceField(
        label=gettext_lazy("Import option"),
        choices=[
            (Mode.UPDATE.value, gettext_lazy("Add or update user accounts")),
            (Mode.SYNC.value, gettext_lazy("Synchronize all user accounts")),
        ],
        help_text=gettext_lazy("Synchronize deactivates Active users who are not in the file."),
    )
    strict = forms.BooleanField(label=gettext_lazy("Strict: if any row has a problem, change nothing"), required=False)
    quiet = forms.BooleanField(label=gettext_lazy("Send no emails"), required=False)

    def __init__(self, record: models.Import, data: Any = None) -> None:
        options = Options.of_json(record.options)
        initial = {"mode": options.mode.value, "strict": options.strict, "quiet": options.mails is False}
        super().__init__(data, prefix="again", initial=initial)
        if options.mode is Mode.REKEY or (options.what and options.what not in entry_files.CAN_SYNCHRONIZE):
            del self.fields["mode"]
        elif options.what:
            self.fields["mode"] = make_entry_mode()
        if options.what:
            del self.fields["quiet"]

    def read_changes(self) -> dict[str, Any]:
        """Return the options that were chosen."""
        chosen = self.cleaned_data
        mode = {"mode": Mode(chosen["mode"])} if "mode" in chosen else {}
        return {**mode, "strict": chosen["strict"], "mails": False if chosen.get("quiet") else None}


_ENCODINGS = [
    ("", gettext_lazy("Detect it from the file")),
    ("utf-8", "UTF-8"),
    ("windows-1252", gettext_lazy("Windows-1252 (Western Europe)")),
    ("iso-8859-15", gettext_lazy("ISO 8859-15 (Western Europe)")),
    ("windows-1250", gettext_lazy("Windows-1250 (Central Europe)")),
    ("windows-1251", gettext_lazy("Windows-1251 (Cyrillic)")),
    ("windows-1253", gettext_lazy("Windows-1253 (Greek)")),
    ("windows-1254", gettext_lazy("Windows-1254 (Turkish)")),
    ("utf-16", "UTF-16"),
    ("mac-roman", "Mac Roman"),
    ("shift-jis", gettext_lazy("Shift JIS (Japanese)")),
    ("gb18030", gettext_lazy("GB 18030 (Chinese)")),
    *(
        (name, label)
        for name, label in likely_encodings.LABELS.items()
        if name not in ("windows-1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gbk", "mac_roman")
    ),
]
_DELIMITERS = [
    ("", gettext_lazy("Detect it from the header row")), ("comma", gettext_lazy("Comma")),
    ("semicolon", gettext_lazy("Semicolon")), ("tab", gettext_lazy("Tab")), ("pipe", gettext_lazy("Pipe")),
]  # fmt: skip


class ReadingForm(forms.Form):
    """The options for reading the file, for when automatic detection was wrong."""

    encoding = forms.ChoiceField(label=gettext_lazy("Encoding"), choices=_ENCODINGS, required=False)
    delimiter = forms.ChoiceField(label=gettext_lazy("Delimiter"), choices=_DELIMITERS, required=False)
    sheet = forms.CharField(label=gettext_lazy("Sheet of the workbook"), max_length=255, required=False)
    header_row = forms.IntegerField(
        label=gettext_lazy("Row that has the headings"), min_value=1, max_value=1_048_576, required=False,
        help_text=gettext_lazy("Use this only if the headings are not found. After you apply the import, the row and the encoding"
        " are remembered."),
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value"), gettext_lazy("Enter the number of a row, such as 3.")
        ),
    )  # fmt: skip

    def read_choices(self) -> dict[str, Any]:
        """Return the choices as options of an import."""
        return {name: value or None for name, value in self.cleaned_data.items()}
