"""The options of `muster feed add` and `set`: the settings of a feed, as a table of an agency file has them."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

import typer

from musterbook.cli import file_values
from musterbook.cli.exits import WrongCall
from musterbook.cli.language import gettext as _

From: TypeAlias = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Read the settings from this TOML file, as a table [[feeds]] of an agency file has them. Use - for standard"
        " input.",
    ),
]
Mode: TypeAlias = Annotated[
    Literal["update", "sync"] | None,
    typer.Option("--mode", help="update: add and update users. sync: also deactivate users who are not in the file."),
]
Source: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--source", metavar="NAME", help='The source of its files. By default, the name of the feed. "" for all users.'
    ),
]
Folder: TypeAlias = Annotated[
    str | None,
    typer.Option("--folder", metavar="PATH", help="Its files are in this folder, below the folder of the agency."),
]
Sftp: TypeAlias = Annotated[
    str | None,
    typer.Option("--sftp", metavar="USER@HOST[:PORT][/PATH]", help="Its files are on this SFTP server."),
]
Https: TypeAlias = Annotated[
    str | None, typer.Option("--https", metavar="URL", help="Its file is at this address, which begins with https://.")
]
Sent: TypeAlias = Annotated[bool, typer.Option("--sent", help="Programs send its files over the API.")]
Command: TypeAlias = Annotated[bool, typer.Option("--command", help="Its files are given to `muster feed run`.")]
Pattern: TypeAlias = Annotated[
    str | None, typer.Option("--pattern", metavar="PATTERN", help="The names of its files, such as *.csv.")
]
Header: TypeAlias = Annotated[
    str | None, typer.Option("--header", metavar="NAME", help="The header with the secret, such as Authorization.")
]
Every: TypeAlias = Annotated[
    int | None, typer.Option("--every", metavar="MINUTES", help="The minutes between two checks. By default, 5.")
]
Window: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--window",
        metavar="[DAYS ]FROM-TO",
        help="Check only in this window, such as “mon-fri 01:00-06:00” or “22:00-04:00”. Can be repeated.",
    ),
]
ExpectedBy: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--expected-by",
        metavar="[DAYS ]TIME",
        help="A file is late if none has arrived by this time, such as “mon,thu 06:00”. Can be repeated.",
    ),
]
Notify: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--notify",
        metavar="KIND=WHO",
        help="Notify these users and addresses, joined by commas. KIND is held, failed, late, problems or finished. Can"
        " be repeated.",
    ),
]
Map: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="Heading=COLUMN",
        help="Read this heading as this column, or leave it out (Heading=). Can be repeated.",
    ),
]
Value: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--value", metavar="COLUMN:Theirs=Ours", help="Read this value as one of the agency's. Can be repeated."
    ),
]
Default: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--default", metavar="COLUMN=VALUE", help="The value of new users in a column. Can be repeated."),
]
Set: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SETTING=VALUE",
        help="Set any setting to a value as in an agency file, such as strict=true or least_percent=50. Can be repeated.",
    ),
]

_SFTP = re.compile(r"(?P<user>[^/]+)@(?P<host>\[[^\]/]+\]|[^:/@]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)?", re.DOTALL)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """The settings that a call names, as their options give them. None: the option was not given."""

    mode: str | None = None
    source: str | None = None
    folder: str | None = None
    sftp: str | None = None
    https: str | None = None
    sent: bool = False
    command: bool = False
    pattern: str | None = None
    header: str | None = None
    every: int | None = None
    window: list[str] | None = None
    expected_by: list[str] | None = None
    notify: list[str] | None = None
    mapping: list[str] | None = None
    value: list[str] | None = None
    default: list[str] | None = None
    settings: list[str] = field(default_factory=list)

    def make_values(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings in the form of an agency file. `stored`: those that the feed has now. Raise WrongCall."""
        values: dict[str, Any] = dict(map(_parse_setting, self.settings))
        plain = {"mode": self.mode, "source": self.source, "every_minutes": self.every}
        values |= {name: value for name, value in plain.items() if value is not None}
        if location := self._make_location(stored.get("location", {})):
            values["location"] = location
        if self.window is not None:
            values["windows"] = [_parse_window(text) for text in self.window]
        if self.expected_by is not None:
            values["expected_by"] = [_parse_deadline(text) for text in self.expected_by]
        if self.notify is not None:
            values["notify"] = {**stored.get("notify", {}), **dict(map(_parse_notify, self.notify))}
        if self.mapping is not None:
            from musterbook.cli.imports import parse_mapping
            from musterbook.core.reading import headings

            values["mapping"] = headings.merge_mappings(stored.get("mapping", {}), parse_mapping(self.mapping))
        if self.value is not None:
            given, before = file_values.parse_values(self.value), stored.get("values", {})
            values["values"] = {**before, **{name: {**before.get(name, {}), **pairs} for name, pairs in given.items()}}
        if self.default is not None:
            values["defaults"] = {**stored.get("defaults", {}), **file_values.parse_defaults(self.default)}
        return values

    def _make_location(self, stored: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the location that the options name, or the stored one with another pattern or header."""
        given = {
            "--folder": self.folder is not None, "--sftp": self.sftp is not None, "--https": self.https is not None,
            "--sent": self.sent, "--command": self.command,
        }  # fmt: skip
        named = [option for option, is_given in given.items() if is_given]
        if len(named) > 1:
            raise WrongCall(_("A feed has one location. Name one of %(options)s.") % {"options": ", ".join(named)})
        more = {"pattern": self.pattern, "header": self.header}
        extra = {name: value for name, value in more.items() if value is not None}
        if self.folder is not None:
            return {"kind": "folder", "path": self.folder, **extra}
        if self.sftp is not None:
            return {"kind": "sftp", **_parse_sftp(self.sftp), **extra}
        if self.https is not None:
            return {"kind": "https", "url": self.https, **extra}
        if self.sent or self.command:
            return {"kind": "sent" if self.sent else "command", **extra}
        return {**stored, **extra} if extra else None


def parse_table(text: str, name: str) -> dict[str, Any]:
    """Return the settings of a TOML file: its only table [[feeds]], or the whole file. Raise WrongCall."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongCall(_("%(file)s is not TOML: %(error)s.") % {"file": name, "error": error}) from None
    listed = table.get("feeds")
    if isinstance(listed, list) and len(table) == 1:
        if len(listed) != 1 or not isinstance(listed[0], dict):
            raise WrongCall(
                _("%(file)s has %(number)s feeds. Keep one, or apply the file with `muster agency apply`.")
                % {"file": name, "number": len(listed)}
            )
        return dict(listed[0])
    return table


def _parse_setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise WrongCall(_("--set is “%(text)s”. Write it like --set strict=true.") % {"text": text})
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        # Text needs no quotation marks.
        return name.strip(), value.strip()


def _parse_sftp(text: str) -> dict[str, Any]:
    match = _SFTP.fullmatch(text)
    if match is None:
        raise WrongCall(_("--sftp is “%(text)s”. Write it like --sftp muster@sftp.example.org/out.") % {"text": text})
    port = {"port": int(match["port"])} if match["port"] else {}
    return {"host": match["host"].strip("[]"), "user": match["user"], "path": match["path"] or "", **port}


def _parse_window(text: str) -> dict[str, Any]:
    days, _space, times = text.strip().rpartition(" ")
    start, hyphen, end = times.partition("-")
    if not hyphen:
        raise WrongCall(_('--window is “%(text)s”. Write it like --window "mon-fri 01:00-06:00".') % {"text": text})
    return {**_parse_days(days), "from": start, "to": end}


def _parse_deadline(text: str) -> dict[str, Any]:
    days, _space, moment = text.strip().rpartition(" ")
    return {**_parse_days(days), "at": moment}


def _parse_days(text: str) -> dict[str, Any]:
    """Return the days of a text such as “mon-fri,sun”; none for a text without days."""
    days: list[str] = []
    for part in filter(None, text.replace(" ", ",").split(",")):
        first, hyphen, last = part.lower().partition("-")
        if hyphen and first in _DAYS and last in _DAYS:
            start, end = _DAYS.index(first), _DAYS.index(last)
            days += [*_DAYS[start:], *_DAYS[: end + 1]] if end < start else _DAYS[start : end + 1]
        else:
            days.append(part.lower())
    return {"days": days} if days else {}


def _parse_notify(text: str) -> tuple[str, list[str]]:
    kind, equals, recipients = text.partition("=")
    if not equals:
        raise WrongCall(_("--notify is “%(text)s”. Write it like --notify held=hr@example.org.") % {"text": text})
    return kind.strip(), [one.strip() for one in recipients.split(",") if one.strip()]
