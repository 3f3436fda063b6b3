"""The form of a new feed, and those of its location: each kind is asked only for what it needs."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy

from musterbook.directory.models import FeedMode
from musterbook.web.agency.forms import MeasureInput
from musterbook.web.feeds import words
from musterbook.web.feeds.forms import SectionForm, Table, ask_days, ask_time, choose

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri")


class LocationForm(SectionForm):
    """Where the files come from. Each kind has the fields that it needs."""

    kind = ""

    def make_initial(self, table: Table) -> dict[str, Any]:
        """Return the values of the fields."""
        location = table.get("location") or {}
        usual = {name: field.initial for name, field in self.base_fields.items()}
        return usual | (
            {name: location.get(name) for name in self.base_fields} if location.get("kind") == self.kind else {}
        )

    def read_values(self) -> dict[str, Any]:
        """Return the settings."""
        given = {name: value for name, value in super().read_values().items() if value not in ("", None)}
        return {"location": {"kind": self.kind} | given}


def _ask_pattern() -> forms.CharField:
    return forms.CharField(
        label=gettext_lazy("Names of the files"), max_length=255, initial="*.csv",
        help_text=gettext_lazy("A name, or a pattern in which * stands for any letters, such as hr-*.csv."),
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip


def _ask_text(label: Any, hint: Any = "", *, required: bool = True, most: int = 255) -> forms.CharField:
    widget = forms.TextInput({"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"})
    return forms.CharField(label=label, max_length=most, required=required, help_text=hint, widget=widget)


class FolderForm(LocationForm):
    """A folder of the computer on which Musterbook runs."""

    kind = "folder"
    path = _ask_text(
        gettext_lazy("Folder"),
        gettext_lazy(
            "Below the folder that the installation allows for your agency. Leave it blank for that folder itself."
        ),
        required=False,
    )
    pattern = _ask_pattern()


class SftpForm(LocationForm):
    """An SFTP server. Its secret and its host key are asked for later."""

    kind = "sftp"
    host = _ask_text(gettext_lazy("Server"), gettext_lazy("Such as sftp.example.org."))
    port = forms.IntegerField(
        label=gettext_lazy("Port"), min_value=1, max_value=65_535, initial=22, widget=MeasureInput()
    )
    user = _ask_text(gettext_lazy("User name"))
    path = _ask_text(
        gettext_lazy("Folder"),
        gettext_lazy("Such as /export/hr. Leave it blank for the folder in which the sign-in ends."),
        required=False,
    )
    pattern = _ask_pattern()


class HttpsForm(LocationForm):
    """A file at a web address. The value of its header is asked for later."""

    kind = "https"
    url = _ask_text(gettext_lazy("Address of the file"), gettext_lazy("It begins with https://."), most=2000)
    header = _ask_text(
        gettext_lazy("Header with a secret"),
        gettext_lazy("Such as Authorization. Its value is asked for later, and stored encrypted."),
        required=False,
    )


class SentForm(LocationForm):
    """A program sends the files, with a token."""

    kind = "sent"
    addresses = forms.CharField(
        label=gettext_lazy("Addresses that may use the token"), required=False, max_length=2000,
        help_text=gettext_lazy(
            "Such as 192.0.2.7 or 192.0.2.0/24, separated by commas. Leave it blank if the program’s address may change."
        ),
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip


class CommandForm(LocationForm):
    """A command brings the files."""

    kind = "command"


LOCATIONS: Mapping[str, type[LocationForm]] = {
    form.kind: form for form in (FolderForm, SftpForm, HttpsForm, SentForm, CommandForm)
}
"""The form of each kind of location."""


class NewFeedForm(SectionForm):
    """What every new feed is asked for. The location's fields come between."""

    aliases: ClassVar = {"expected_by": "expected_at", "notify": "email_me"}

    name = _ask_text(
        gettext_lazy("Name"),
        gettext_lazy("Lowercase letters, digits and hyphens, such as hr-sworn. You cannot change it later."),
        most=63,
    )
    mode = choose(
        gettext_lazy("Import option"),
        words.MODES.items(),
        gettext_lazy("Synchronize also deactivates the users who are missing in a file."),
    )
    whose = choose(
        gettext_lazy("Users that the files list"),
        (
            ("own", gettext_lazy("Only some: those from this feed")),
            ("all", gettext_lazy("All users of the agency")),
        ),
        gettext_lazy(
            "Synchronize deactivates missing users only among these. A user becomes one from this feed when a file"
            " lists them."
        ),
    )
    expected_days = ask_days(gettext_lazy("A file is expected on"))
    expected_at = ask_time(
        gettext_lazy("By this time (such as 06:00)"),
        gettext_lazy("In the time zone of the agency. If you leave it blank, nobody is notified that a file is late."),
    )
    email_me = forms.BooleanField(
        label=gettext_lazy("Email me when a file waits, fails or is late"), required=False, initial=True
    )

    def __init__(self, kind: str, sent: Any = None, *, me: str = "") -> None:
        super().__init__(None, sent)
        self.kind, self._me = kind, me
        self.initial = {"mode": FeedMode.UPDATE, "whose": "own", "expected_days": _WEEKDAYS, "email_me": True}
        location = LOCATIONS[kind](None)
        self._location = [name for name in location.fields if name != "shown"]
        self.fields |= {name: location.fields[name] for name in self._location}
        self.initial |= {name: location.initial.get(name) for name in self._location}
        last = ("expected_days", "expected_at", "email_me")
        self.order_fields([*(name for name in self.fields if name not in last), *last])

    def read_values(self) -> dict[str, Any]:
        """Return the table of the new feed."""
        data = self.cleaned_data
        given = {name: data[name] for name in self._location if data[name] not in ("", None)}
        table: dict[str, Any] = {"name": data["name"], "mode": data["mode"], "location": {"kind": self.kind} | given}
        if data["whose"] == "all":
            table["source"] = ""
        if data["expected_at"]:
            table["expected_by"] = [{"days": data["expected_days"], "at": data["expected_at"]}]
        if data["email_me"] and self._me:
            table["notify"] = {name: [self._me] for name in ("held", "failed", "late")}
        return table
