"""The settings of a feed as its page shows them, in sections, and what is still missing before it can run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from musterbook.directory import models
from musterbook.directory.agency import feed_form, limits
from musterbook.feeds import schedule
from musterbook.web.agency.import_forms import name_limit
from musterbook.web.feeds import words

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

Fact = tuple["StrOrPromise", "StrOrPromise"]
"""A setting: its label and its value."""


@dataclass(frozen=True, slots=True)
class ShownSection:
    """A section of the settings: its name in addresses, its title, and its facts."""

    name: str
    title: "StrOrPromise"
    facts: list[Fact]


TITLES: Mapping[str, Any] = {
    "what": gettext_lazy("What it does"),
    "reading": gettext_lazy("How files are read"),
    "location": gettext_lazy("Where files come from"),
    "schedule": gettext_lazy("When"),
    "limits": gettext_lazy("Limits"),
    "notify": gettext_lazy("Who is notified"),
}
"""The sections of the settings, in their order."""
NOTIFIED: Mapping[str, Any] = {
    "held": gettext_lazy("A file waits: held, or the first one"),
    "failed": gettext_lazy("A file failed"),
    "late": gettext_lazy("Late, unreachable or stopped"),
    "problems": gettext_lazy("Finished with problems"),
    "finished": gettext_lazy("Finished without problems"),
}
"""What users and addresses are notified about."""
DAYS: Mapping[str, Any] = {
    "mon": gettext_lazy("Monday"),
    "tue": gettext_lazy("Tuesday"),
    "wed": gettext_lazy("Wednesday"),
    "thu": gettext_lazy("Thursday"),
    "fri": gettext_lazy("Friday"),
    "sat": gettext_lazy("Saturday"),
    "sun": gettext_lazy("Sunday"),
}
LOCATION_LABELS: Mapping[str, Any] = {
    "path": gettext_lazy("Folder"),
    "pattern": gettext_lazy("Names of files"),
    "host": gettext_lazy("Server"),
    "port": gettext_lazy("Port"),
    "user": gettext_lazy("User name"),
    "url": gettext_lazy("Address"),
    "header": gettext_lazy("Header with the secret"),
    "addresses": gettext_lazy("Addresses that may use the token"),
}
SECRETS: Mapping[str, tuple[str, ...]] = {"sftp": ("password", "key"), "https": ("header",)}
"""The kinds of locations that use a secret, with the names of those of which one is needed."""


def list_sections(feed: models.Feed) -> list[ShownSection]:
    """Return the settings of a feed by section."""
    return [ShownSection(name, title, list(_LISTS[name](feed))) for name, title in TITLES.items()]


def _list_what(feed: models.Feed) -> Iterator[Fact]:
    reading = feed.reading
    yield _("Import option"), words.MODES[feed.mode]
    yield _("Source"), feed.source or _("all users")
    if feed.together:
        yield _("Several files"), _("All waiting files are one snapshot")
    if reading.get("strict"):
        yield _("Rows with problems"), _("The whole file is refused")
    if reading.get("mails") is not None:
        yield _("Emails to users"), _("sent") if reading["mails"] else _("not sent")
    if reading.get("release_badges") is not None:
        yield (
            _("Badge numbers of Inactive users"),
            _("can be given to others") if reading["release_badges"] else _("stay"),
        )


def _list_reading(feed: models.Feed) -> Iterator[Fact]:
    reading = feed.reading
    for name, label in READING_LABELS.items():
        if reading.get(name):
            yield label, str(DELIMITERS.get(reading[name], reading[name]) if name == "delimiter" else reading[name])
    for heading, column in sorted(reading.get("mapping", {}).items()):
        yield heading, column or _("ignored")
    for column, meanings in sorted(reading.get("values", {}).items()):
        for value, meaning in sorted(meanings.items()):
            yield _("%(column)s: %(value)s") % {"column": column, "value": value}, str(meaning)
    for column, value in sorted(reading.get("defaults", {}).items()):
        yield _("%(column)s of new users") % {"column": column}, str(value)


READING_LABELS: Mapping[str, Any] = {
    "encoding": gettext_lazy("Encoding"),
    "delimiter": gettext_lazy("Delimiter"),
    "sheet": gettext_lazy("Sheet"),
    "header_row": gettext_lazy("Row with the headings"),
    "expect_rows": gettext_lazy("Expected rows"),
}
DELIMITERS: Mapping[str, Any] = {
    "comma": gettext_lazy("comma"),
    "semicolon": gettext_lazy("semicolon"),
    "tab": gettext_lazy("tab"),
    "pipe": gettext_lazy("pipe"),
}


def _list_location(feed: models.Feed) -> Iterator[Fact]:
    kind = feed.location.get("kind", "")
    yield _("Kind"), words.KINDS.get(kind, kind)
    shown = feed_form.show_location(feed)
    for name, label in LOCATION_LABELS.items():
        if feed.location.get(name) not in (None, ""):
            yield label, str(shown[name])
    if kind in SECRETS:
        names = [str(SECRET_LABELS[name]) for name in SECRETS[kind] if feed.secrets.get(name)]
        yield _("Secret"), ", ".join(names) or _("none")
    if kind == "sent":
        yield _("Token"), _("made") if feed.token else _("none")


SECRET_LABELS: Mapping[str, Any] = {
    "password": gettext_lazy("a password is stored"),
    "key": gettext_lazy("a private key is stored"),
    "header": gettext_lazy("the value of the header is stored"),
}


def _list_schedule(feed: models.Feed) -> Iterator[Fact]:
    plan = feed.schedule
    if feed.location.get("kind") not in ("sent", "command"):
        minutes = plan.get("every_minutes", schedule.USUAL_MINUTES)
        yield (
            _("Checked"),
            ngettext("every %(number)s minute", "every %(number)s minutes", minutes) % {"number": minutes},
        )
        for window in plan.get("windows", []):
            yield (
                _("Only on"),
                _("%(days)s, %(start)s to %(end)s")
                % {"days": name_days(window["days"]), "start": window["from"], "end": window["to"]},
            )
    for deadline in plan.get("expected_by", []):
        yield (
            _("A file is expected"),
            _("%(days)s by %(time)s") % {"days": name_days(deadline["days"]), "time": deadline["at"]},
        )
    if plan.get("blackout"):
        yield _("Not on"), ", ".join(plan["blackout"])
    yield _("Time zone"), str(schedule.get_zone(feed.agency))


def name_days(days: list[str]) -> str:
    """Return the days of a week in words."""
    if set(days) == set(DAYS):
        return _("every day")
    return ", ".join(str(label) for name, label in DAYS.items() if name in days)


def _list_limits(feed: models.Feed) -> Iterator[Fact]:
    for limit in limits.read_stored(feed.agency, feed.limits or ()):
        yield name_limit(limit), limits.explain_limit(limit)
    yield (_("All other limits") if feed.limits else _("Limits")), _("those of the agency")
    yield _("Fewer rows than the last file"), _describe_least(feed.least_percent)


def _describe_least(percent: int) -> str:
    if not percent:
        return _("never hold a file")
    return _("a file with less than %(percent)s%% of the rows is held") % {"percent": percent}


def _list_notify(feed: models.Feed) -> Iterator[Fact]:
    for name, label in NOTIFIED.items():
        yield label, ", ".join(feed.notify.get(name, [])) or _("nobody by email")


_LISTS: Mapping[str, Any] = {
    "what": _list_what,
    "reading": _list_reading,
    "location": _list_location,
    "schedule": _list_schedule,
    "limits": _list_limits,
    "notify": _list_notify,
}


def list_missing(feed: models.Feed) -> list[str]:
    """Return what the location still needs before files can be taken: `secret`, `host-key`, `token`."""
    kind = feed.location.get("kind", "")
    missing = []
    if kind == "sftp" and not any(feed.secrets.get(name) for name in SECRETS["sftp"]):
        missing.append("secret")
    if kind == "https" and feed.location.get("header") and not feed.secrets.get("header"):
        missing.append("secret")
    if kind == "sftp" and not feed.host_key:
        missing.append("host-key")
    if kind == "sent" and not feed.token:
        missing.append("token")
    return missing


def make_command(feed: models.Feed) -> str:
    """Return the command that brings a file to the feed; "" if its files arrive in another way."""
    kind, agency = feed.location.get("kind"), feed.agency.slug
    if kind == "command":
        return f"muster feed run {feed.name} FILE --agency {agency}"
    if kind == "sent":
        address = f"{settings.MUSTER_URL}/{agency}/api/v1/feeds/{feed.name}/file"
        return f'curl --fail --header "Authorization: Bearer $TOKEN" --form file=@users.csv {address}'
    return ""
