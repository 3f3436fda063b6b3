"""The forms of an import: the file, how to read it, and what is confirmed of a plan that is held."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest

from musterbook.core.domain.policy import Confirmed, Mode
from musterbook.core.planning.holds import Hold
from musterbook.core.reading.csv import likely_encodings
from musterbook.directory.imports.options import Options
from musterbook.directory.users import marks
from musterbook.http import request_context
from musterbook.web.imports import uploads

_MODES = [
    (Mode.UPDATE.value, "Add or update user accounts. Users that the file does not mention stay as they are."),
    (Mode.SYNC.value, "Synchronize all user accounts. Active users that the file does not mention become Inactive."),
    (
        Mode.REKEY.value,
        "Change external ids. The file has the columns EXTERNAL_ID and NEW_EXTERNAL_ID, and nothing else changes.",
    ),
]


class UploadForm(forms.Form):
    """The mode, the file, and the other options of an import."""

    mode = forms.ChoiceField(label="Import option", choices=_MODES, widget=forms.RadioSelect, initial=Mode.UPDATE.value)
    file = forms.FileField(label="Select file", allow_empty_file=True, max_length=None)
    strict = forms.BooleanField(label="Strict: if any row has a problem, change nothing at all", required=False)
    quiet = forms.BooleanField(label="Send no invitations and no notices", required=False)
    source = forms.CharField(
        label="Source", required=False, max_length=1000, widget=forms.TextInput({"autocomplete": "off"}),
        help_text="Only if several files list the users, such as hr-sworn and hr-civil. The users of this file are marked with"
        " it, and Synchronize looks for missing users among its users only. Leave it blank to look among all users.",
    )  # fmt: skip

    releases = forms.BooleanField(
        label="Badges of inactive users can be given to users of this file", required=False,
        help_text="The former holder's badge then says until when they had it, such as 1039 (until 2026-11-28).",
    )  # fmt: skip
    expect_rows = forms.IntegerField(
        label="Expected number of rows", required=False, min_value=0, max_value=100_000_000,
        help_text="If you know how many users the file lists. A file with another number of rows is refused.",
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), "Write a whole number, such as 1200."),
    )  # fmt: skip

    def __init__(self, request: HttpRequest) -> None:
        is_post = request.method == "POST"
        self._usual = request_context.agency(request).release_badges
        super().__init__(request.POST if is_post else None, request.FILES if is_post else None)
        most = settings.MUSTER_MAX_FILE_MB
        self.fields["releases"].initial = self._usual
        file = self.fields["file"]
        file.help_text = f"CSV, .xlsx or .ods, up to {most:,} MB. You can also drop it here."
        file.widget.attrs["accept"] = ".csv,.txt,.tsv,.xlsx,.ods"
        file.error_messages["required"] = uploads.get_refusal(request) or "Select a file: CSV, .xlsx or .ods."

    @property
    def field_errors(self) -> list[tuple[forms.BoundField, list[str]]]:
        """Return the fields that have errors, each with its errors, for the error summary."""
        return [(field, [str(error) for error in field.errors]) for field in self if field.errors]

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
    def confirmed(self) -> Confirmed:
        """Return what a valid form confirms, by kind."""
        return dict(self._numbers)


def _instruct(number: int) -> str:
    return f"In the plan it is {number:,}. Type that number if it is right."


def _make_confirm_field(key: str, number: int | None) -> forms.Field:
    """Return the field for the number of one kind, or a box to tick if it has none."""
    label = _CONFIRMED[key]
    if number is None:
        return forms.BooleanField(label=label, error_messages={"required": "Tick this if it is right."})
    widget = forms.TextInput({"inputmode": "numeric", "autocomplete": "off"})
    return forms.CharField(label=label, widget=widget, error_messages={"required": _instruct(number)})


_CONFIRMED = {
    "deactivations": "Number of users who lose access",
    "privileges": "Number of users who gain a permission",
    "handovers": "Number of users who take another user's address or username",
    "cleared": "Number of users who lose a value to a blank column",
    "rekeys": "Number of users who get another external id",
    "updates": "Number of users who change",
    "additions": "Number of users who are added",
    "unreadable-rows": "Number of rows that cannot be read",
    "row-count": "Number of rows of the file",
    "shrunk": "Number of rows of the file",
    "cut-off": "The file is complete, although it ends in the middle of a row",
}
"""The label of the field that confirms each kind of hold."""


_ENCODINGS = [
    ("", "Tell it from the file"), ("utf-8", "UTF-8"), ("windows-1252", "Windows-1252 (Western Europe)"),
    ("iso-8859-15", "ISO 8859-15 (Western Europe)"), ("windows-1250", "Windows-1250 (Central Europe)"),
    ("windows-1251", "Windows-1251 (Cyrillic)"), ("windows-1253", "Windows-1253 (Greek)"),
    ("windows-1254", "Windows-1254 (Turkish)"), ("utf-16", "UTF-16"), ("mac-roman", "Mac Roman"),
    ("shift-jis", "Shift JIS (Japanese)"), ("gb18030", "GB 18030 (Chinese)"),
    *((name, label) for name, label in likely_encodings.LABELS.items()
      if name not in ("windows-1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gbk", "mac_roman")),
]  # fmt: skip
_DELIMITERS = [
    ("", "Tell it from the header row"), ("comma", "Comma"), ("semicolon", "Semicolon"), ("tab", "Tab"), ("pipe", "Pipe"),
]  # fmt: skip


class ReadingForm(forms.Form):
    """The options for reading the file, for when automatic detection was wrong."""

    encoding = forms.ChoiceField(label="Encoding", choices=_ENCODINGS, required=False)
    delimiter = forms.ChoiceField(label="Delimiter", choices=_DELIMITERS, required=False)
    sheet = forms.CharField(label="Sheet of the workbook", max_length=255, required=False)
    header_row = forms.IntegerField(
        label="Row that has the headings", min_value=1, max_value=1_048_576, required=False,
        help_text="Only if they are not found. Once the import is applied, it is remembered, and so is the encoding.",
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), "Write the number of a row, such as 3."),
    )  # fmt: skip

    def read_choices(self) -> dict[str, Any]:
        """Return the choices as options of an import."""
        return {name: value or None for name, value in self.cleaned_data.items()}
