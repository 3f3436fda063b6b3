"""The settings of a feed as a table of an agency file, a page and a command give them: as they are stored, or all errors.

A setting that the table does not have is not in the result, so that it stays as it is. An error is the name of a setting
and the sentence that says what is wrong with it and what to write.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from django.utils.translation import gettext as _

from musterbook.core.domain import decisions
from musterbook.core.domain.columns import USERS, Layout
from musterbook.core.reading import headings
from musterbook.core.reading.csv import encoding
from musterbook.core.reading.csv.reader import DELIMITERS
from musterbook.core.values import emails
from musterbook.core.values.keys import fold
from musterbook.directory.agency import feed_locations, feed_times, values_in_file
from musterbook.directory.agency.feed_errors import Errors, InvalidFeed, show_value
from musterbook.directory.agency.table_reader import MOST, TableReader, suggest_name
from musterbook.directory.models import FeedMode

Settings: TypeAlias = dict[str, Any]
"""Name of a setting → its value as it is stored."""

NOTICES = ("held", "failed", "late", "problems", "finished")
"""The kinds of notices of a feed."""
READING = (
    "strict", "mails", "encoding", "delimiter", "sheet", "header_row", "expect_rows", "release_badges", "accept",
    "mapping", "values", "defaults",
)  # fmt: skip
"""The settings that are options of its imports."""
SCHEDULE = ("every_minutes", "windows", "expected_by", "blackout")
"""The settings that are its schedule."""
OTHERS = ("mode", "source", "together", "least_percent", "location", "limits", "notify")
"""All other settings but the name."""
SETTINGS = ("name", "mode", "source", "location", *SCHEDULE, *READING, "together", "least_percent", "limits", "notify")
"""All settings, in the order in which they are shown."""
NAME_LONGEST = 63
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST, _SOURCE_LONGEST = 255, 63
_LAST_ROW = 1_048_576
_MOST_HEADINGS, _MOST_VALUES, _MOST_RECIPIENTS, _MOST_LIMITS = 200, 1000, 20, 100


def parse_feed(values: Mapping[str, Any]) -> tuple[Settings, list[tuple[str, str]]]:
    """Return the settings that the table has, and all errors in it.

    The settings of SCHEDULE and READING are flat, `source` may be "" for all users, `limits` are Limit values, and a
    setting that a feed can do without is None.
    """
    errors = Errors()
    settings: Settings = {}
    for name, value in values.items():
        if name in _PARSERS:
            settings[name] = _PARSERS[name](value, errors.at(name))
        else:
            unknown = _("There is no setting “%(name)s” of a feed. %(what)s")
            errors.at(str(name)[:_LONGEST]).add(
                unknown % {"name": str(name)[:NAME_LONGEST], "what": suggest_name(str(name)[:_LONGEST], SETTINGS)}
            )
    return settings, list(errors.found)


def parse_reading(values: Mapping[str, Any], layout: Layout, errors: Errors) -> Settings:
    """Return those of the values that are settings of READING, as options of an import of this kind of file."""
    parsers: dict[str, Callable[[object, Errors], Any]] = {
        **_PARSERS,
        "mapping": partial(_parse_mapping, layout=layout),
    }
    return {name: parsers[name](values[name], errors.at(name)) for name in READING if name in values}


def read_feed(values: Mapping[str, Any]) -> Settings:
    """Return the settings that the table has. Raise InvalidFeed with all errors in it."""
    settings, errors = parse_feed(values)
    if errors:
        raise InvalidFeed(errors)
    return settings


def read_feeds(entries: object, problems: list[str]) -> tuple[Settings, ...]:
    """Return the settings of each feed that an agency file lists. Add all errors to `problems`."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.append(_("feeds is not a list of tables: write [[feeds]] before each feed."))
        return ()
    feeds: dict[str, Settings] = {}
    for number, entry in enumerate(entries, 1):
        location = f"[[feeds]] number {number}"
        settings, errors = parse_feed(entry)
        problems.extend(f"{location}: {name}: {sentence}" for name, sentence in errors)
        if "name" not in entry:
            problems.append(_("%(location)s has no %(name)s. Give it one.") % {"location": location, "name": "name"})
        name = settings.get("name", "")
        if name and name in feeds:
            twice = _("%(location)s: there is a feed named %(name)s before it. Choose another name.")
            problems.append(twice % {"location": location, "name": name})
        feeds[name] = settings
    return tuple(feeds.values())


def is_name(text: str) -> bool:
    """Return whether a feed can have this name."""
    return len(text) <= NAME_LONGEST and _NAME.fullmatch(text) is not None


def _parse_name(value: object, errors: Errors) -> str:
    if isinstance(value, str) and is_name(value):
        return value
    text = _(
        "%(value)s is not a name. Write 1 to %(most)s lowercase letters, digits and single hyphens, like hr-sworn."
    )
    errors.add(text % {"value": show_value(value), "most": NAME_LONGEST})
    return ""


def _parse_mode(value: object, errors: Errors) -> str:
    if value not in FeedMode.values:
        errors.add(_("%(value)s is not a mode. Write “update” or “sync”.") % {"value": show_value(value)})
    return str(value)


def _parse_source(value: object, errors: Errors) -> str:
    """Return the name of a source as it is stored (`users.marks.clean_source`), "" for all users."""
    return errors.read_text(fold(errors.read_text(value, _LONGEST)), _SOURCE_LONGEST)


def _parse_text(value: object, errors: Errors) -> str:
    return errors.read_text(value, _LONGEST)


def _parse_flag(value: object, errors: Errors) -> bool:
    if not isinstance(value, bool):
        errors.add(_("%(value)s is not possible. Write true or false.") % {"value": show_value(value)})
    return value is True


def _parse_choice(value: object, errors: Errors) -> bool | None:
    """Return whether it is true, or None for the agency's setting."""
    if isinstance(value, bool) or value == "":
        return value if isinstance(value, bool) else None
    errors.add(
        _("%(value)s is not possible. Write true or false, or “” for the agency's setting.")
        % {"value": show_value(value)}
    )
    return None


def _parse_number(least: int, most: int) -> Callable[[object, Errors], int]:
    return lambda value, errors: errors.read_number(value, least, most)


def _parse_optional(least: int, most: int) -> Callable[[object, Errors], int | None]:
    return lambda value, errors: None if value == "" else errors.read_number(value, least, most)


def _parse_encoding(value: object, errors: Errors) -> str | None:
    text = _parse_text(value, errors)
    if text and not encoding.is_known(text):
        unknown = _("%(value)s is not an encoding. Write its name, such as windows-1252, or “” to detect it.")
        errors.add(unknown % {"value": show_value(value)})
    return text or None


def _parse_delimiter(value: object, errors: Errors) -> str | None:
    text = _parse_text(value, errors)
    if text and text not in DELIMITERS:
        unknown = _("%(value)s is not a delimiter. Write one of these, or “” to detect it: %(names)s.")
        errors.add(unknown % {"value": show_value(value), "names": ", ".join(DELIMITERS)})
    return text or None


def _parse_sheet(value: object, errors: Errors) -> str | None:
    return _parse_text(value, errors) or None


def _parse_accepted(value: object, errors: Errors) -> dict[str, str]:
    try:
        return decisions.parse_accepted(errors.read_texts(value, _MOST_RECIPIENTS, _LONGEST))
    except decisions.UnknownDecision as error:
        errors.add(str(error))
        return {}


def _parse_mapping(value: object, errors: Errors, layout: Layout = USERS) -> dict[str, str]:
    """Return the mapping, heading → columns joined by commas ("" for a heading to be left out)."""
    mapping: dict[str, str] = {}
    for heading, joined in errors.read_table(value, _MOST_HEADINGS).items():
        columns = headings.split_columns(errors.read_text(joined, _LONGEST))
        unknown = [column for column in columns if column not in layout.by_heading]
        if not errors.read_text(heading, _LONGEST):
            errors.add(_("A heading is blank. Write the heading as it is in the file."))
        if unknown:
            text = _("“%(heading)s” cannot mean %(column)s, which is not a column. %(what)s")
            what = suggest_name(unknown[0], layout.by_heading)
            errors.add(text % {"heading": heading[:NAME_LONGEST], "column": show_value(unknown[0]), "what": what})
        mapping[heading.strip()] = ",".join(columns)
    return mapping


def _parse_values(value: object, errors: Errors) -> dict[str, dict[str, str]]:
    problems: list[str] = []
    values = values_in_file.read_values(value, problems)
    errors.add_all(problem.removeprefix("[values]: ") for problem in problems)
    number = sum(map(len, values.values()))
    if number > _MOST_VALUES:
        errors.add(_("There are %(number)s values. Keep %(most)s.") % {"number": number, "most": _MOST_VALUES})
    for pairs in values.values():
        for theirs, ours in pairs.items():
            errors.read_text(theirs, _LONGEST)
            errors.read_text(ours, _LONGEST)
    return values


def _parse_defaults(value: object, errors: Errors) -> dict[str, str]:
    problems: list[str] = []
    defaults = values_in_file.read_defaults(value, problems)
    errors.add_all(problem.removeprefix("[defaults]: ") for problem in problems)
    return {heading: text for heading, default in defaults.items() if (text := errors.read_text(default, _LONGEST))}


def _parse_limits(value: object, errors: Errors) -> list[Any]:
    reader = TableReader()
    limits = reader.parse_each({"limits": value}, "limits", reader.parse_own_limit) or ()
    errors.add_all(reader.problems)
    if len(limits) > _MOST_LIMITS:
        errors.add(_("There are %(number)s limits. Keep %(most)s.") % {"number": len(limits), "most": _MOST_LIMITS})
    return list(limits)


def _parse_notify(value: object, errors: Errors) -> dict[str, list[str]]:
    """Return kind of notice → recipients: addresses as mail servers receive them, and external IDs of users."""
    notify: dict[str, list[str]] = {}
    for kind, texts in errors.read_table(value, len(NOTICES)).items():
        if kind not in NOTICES:
            unknown = _("There is no kind of notice “%(kind)s”. %(what)s")
            errors.add(unknown % {"kind": kind[:NAME_LONGEST], "what": suggest_name(kind[:_LONGEST], NOTICES)})
            continue
        recipients = errors.read_texts(texts, _MOST_RECIPIENTS, _LONGEST)
        for recipient in recipients:
            if "@" in recipient and (fault := emails.find_fault(recipient)):
                wrong = _("%(value)s is not an email address. %(fault)s")
                errors.add(wrong % {"value": show_value(recipient), "fault": fault})
        notify[kind] = list(dict.fromkeys(recipients))
    return {kind: notify[kind] for kind in NOTICES if notify.get(kind)}


_PARSERS: dict[str, Callable[[object, Errors], Any]] = {
    "name": _parse_name,
    "mode": _parse_mode,
    "source": _parse_source,
    "location": feed_locations.parse_location,
    "every_minutes": feed_times.parse_minutes,
    "windows": feed_times.parse_windows,
    "expected_by": feed_times.parse_deadlines,
    "blackout": feed_times.parse_blackout,
    "strict": _parse_flag,
    "mails": _parse_choice,
    "encoding": _parse_encoding,
    "delimiter": _parse_delimiter,
    "sheet": _parse_sheet,
    "header_row": _parse_optional(1, _LAST_ROW),
    "expect_rows": _parse_optional(0, MOST),
    "release_badges": _parse_choice,
    "accept": _parse_accepted,
    "mapping": _parse_mapping,
    "values": _parse_values,
    "defaults": _parse_defaults,
    "together": _parse_flag,
    "least_percent": _parse_number(0, 100),
    "limits": _parse_limits,
    "notify": _parse_notify,
}
