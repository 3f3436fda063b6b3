"""The settings of a stored feed: as a table of an agency file has them, in words, and how a change of them is stored."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from musterbook.directory import models
from musterbook.directory.agency import feed_locations, limits
from musterbook.directory.agency.feed_values import READING, SCHEDULE, Settings

USUAL_MINUTES = 5
"""The minutes between two checks of a feed that does not say them, as in `feeds.schedule`."""
_PLAIN = ("mode", "source", "together", "least_percent", "location", "notify")
"""The settings that are columns of a feed, stored as they are."""
_USUAL: Mapping[str, Any] = {
    "strict": False, "mails": None, "encoding": None, "delimiter": None, "sheet": None, "header_row": None,
    "expect_rows": None, "release_badges": None, "accepted": {}, "mapping": {}, "values": {}, "defaults": {},
}  # fmt: skip
"""Option of an import (`imports.options.Options`) → its value if nobody has set it."""
_ALWAYS = ("strict", "mails", "mapping", "encoding", "delimiter", "sheet")
"""The options that are stored in any case."""
_OPTION = {name: name for name in READING} | {"accept": "accepted"}
"""Setting → the option of an import that it is."""


def write(feed: models.Feed, settings: Settings) -> None:
    """Set the settings that `settings` has (`feed_values.parse_feed`). The caller saves the feed. Raise UnknownName."""
    for name in _PLAIN:
        if name in settings:
            setattr(feed, name, settings[name])
    times = (
        {"every_minutes": USUAL_MINUTES}
        | feed.schedule
        | {name: settings[name] for name in SCHEDULE if name in settings}
    )
    feed.schedule = {name: value for name, value in times.items() if value}
    options = read_options(feed) | {_OPTION[name]: settings[name] for name in READING if name in settings}
    stored = {name: value for name, value in options.items() if name in _ALWAYS or value != _USUAL[name]}
    source = {"source": feed.source} if feed.source else {}
    feed.reading = {"mode": feed.mode, "preview": False, "confirmed": {}, **source, **stored}
    if "limits" in settings:
        feed.limits = [limits.store_limit(feed.agency, limit) for limit in settings["limits"]] or None


def read_options(feed: models.Feed) -> dict[str, Any]:
    """Return the options of the feed's imports that settings of the feed are, by the names of options."""
    return {name: feed.reading.get(name, usual) for name, usual in _USUAL.items()}


def read_table(feed: models.Feed) -> dict[str, Any]:
    """Return all settings in the form of a table of an agency file. A setting that the feed does without is ""."""
    options, schedule = read_options(feed), feed.schedule
    accepted = [f"{code}={choice}" if choice else code for code, choice in options["accepted"].items()]
    reading = {name: options[_OPTION[name]] for name in READING} | {"accept": accepted}
    return {
        "name": feed.name,
        "mode": feed.mode,
        "source": feed.source,
        "location": show_location(feed),
        "every_minutes": schedule["every_minutes"],
        **{name: list(schedule.get(name, ())) for name in ("windows", "expected_by", "blackout")},
        **{name: "" if value is None else value for name, value in reading.items()},
        "together": feed.together,
        "least_percent": feed.least_percent,
        "limits": [limits.write_limit(limit) for limit in limits.read_stored(feed.agency, feed.limits or ())],
        "notify": dict(feed.notify),
    }


def show_location(feed: models.Feed) -> dict[str, Any]:
    """Return the settings of the location as they are shown: an address of an older version may have a secret in it."""
    location = dict(feed.location)
    return location | ({"url": feed_locations.mask_url(location["url"])} if "url" in location else {})


def describe(feed: models.Feed) -> dict[str, str]:
    """Return the settings as the trail and the command line show them, each by a name of its own. None is a secret."""
    table = read_table(feed)
    texts = {name: _describe_value(table[name]) for name in ("mode", "source", "every_minutes")}
    texts |= {f"location {name}": str(value) for name, value in table["location"].items()}
    texts["windows"] = "; ".join(f"{_list_days(one)} {one['from']}–{one['to']}" for one in table["windows"])
    texts["expected_by"] = "; ".join(f"{_list_days(one)} {one['at']}" for one in table["expected_by"])
    texts |= {
        name: _describe_value(table[name]) for name in (*READING, "together", "least_percent", "blackout")
        if name not in ("mapping", "values", "defaults")
    }  # fmt: skip
    texts |= {f"heading {heading}": columns or "(not read)" for heading, columns in table["mapping"].items()}
    for column, pairs in table["values"].items():
        texts |= {f"value {column} {theirs}": ours or "(blank)" for theirs, ours in pairs.items()}
    texts |= {f"default {column}": text for column, text in table["defaults"].items()}
    for limit in limits.read_stored(feed.agency, feed.limits or ()):
        texts[limits.name_limit(limit)] = limits.describe_limit(limit)
    texts |= {f"notify {kind}": ", ".join(recipients) for kind, recipients in table["notify"].items()}
    return {name: text for name, text in texts.items() if text}


def _describe_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _list_days(entry: Mapping[str, Any]) -> str:
    return ", ".join(entry["days"])


def digest(feed: models.Feed) -> str:
    """Return a digest of everything that decides what a file of the feed does (rule N3)."""
    options = {name: value for name, value in feed.reading.items() if value not in (None, False, "", [], {})}
    decisive = [feed.mode, feed.source, options, feed.location, feed.together]
    # The keys are sorted because PostgreSQL keeps no order.
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
