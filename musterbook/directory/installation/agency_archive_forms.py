"""The forms of the JSON columns of an archive: what the code that reads them relies on, so that no row stops the work of others.

A form says the least: which values are texts, numbers, lists and objects, and which keys an object always has. What a reader
of its own checks at each use, such as the location of a feed, is an object here.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from musterbook.core.domain.policy import LimitKind
from musterbook.core.planning.entry_changes import EntryChange
from musterbook.core.planning.holds import Hold
from musterbook.directory.agency import sign_on_file
from musterbook.directory.imports import bulk
from musterbook.directory.imports.options import Options
from musterbook.directory.models import ImportKind

Form: TypeAlias = Callable[[Any], bool]
_LARGEST = 1 << 53
_LONGEST_NAME = 40
"""The most characters of the name of a stage or of a count, which become a part of a key."""


def is_text(value: Any) -> bool:
    """Return whether it is a text."""
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    """Return whether it is a number that every database and program holds."""
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= _LARGEST


def is_object(value: Any) -> bool:
    """Return whether it is an object, with any content."""
    return isinstance(value, dict)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return value is None or is_text(value) or is_number(value) or _is_flag(value)


def _one_of(known: Collection[str]) -> Form:
    return lambda value: is_text(value) and value in known


def _or_none(form: Form) -> Form:
    return lambda value: value is None or form(value)


def _list_of(form: Form) -> Form:
    return lambda value: isinstance(value, list) and all(map(form, value))


def _map_to(form: Form, longest: int | None = None) -> Form:
    return lambda value: (
        isinstance(value, dict)
        and all(map(form, value.values()))
        and (longest is None or all(len(name) <= longest for name in value))
    )


def _having(fields: Mapping[str, Form], other: Form = lambda _: True) -> Form:
    """Return the form of an object that has all of these fields. `other`: the form of each other value."""
    return lambda value: (
        isinstance(value, dict)
        and all(name in value for name in fields)
        and all(fields.get(name, other)(one) for name, one in value.items())
    )


def _readable(read: Callable[[Any], object]) -> Form:
    """Return the form of what the reader of the column can read."""

    def fits(value: Any) -> bool:
        try:
            read(value)
        except (AttributeError, LookupError, TypeError, ValueError):
            return False
        return True

    return fits


def _is_protected(value: Any) -> bool:
    return _having({"external_id": is_text, "code": is_text})(value)


_NUMBERS = _map_to(is_number, _LONGEST_NAME)
_TEXTS = _list_of(is_text)
_LIMITS = _list_of(
    _having(
        {
            "kind": _one_of([kind.value for kind in LimitKind]), "users": is_number, "percent": is_number,
            "most": _or_none(is_number), "off": _is_flag, "role": _or_none(is_number), "group": _or_none(is_number),
        }
    )
)  # fmt: skip
_PROVIDERS = _list_of(
    _having(
        {
            "slug": is_text, "name": is_text, "kind": _one_of(sign_on_file.KINDS), "match": _one_of(sign_on_file.MATCHES),
        },
        _is_scalar,
    )
)  # fmt: skip
FORMS: Mapping[str, Form] = {
    "accounts.Token.addresses": _TEXTS,
    "accounts.Token.permissions": _TEXTS,
    "directory.Agency.defaults": _map_to(is_text),
    "directory.Agency.limits": _LIMITS,
    "directory.Agency.mails_off": _TEXTS,
    "directory.Agency.mapping": _map_to(is_text),
    "directory.Agency.reading": _map_to(_is_scalar),
    "directory.Agency.sign_on": _PROVIDERS,
    "directory.Agency.values": _map_to(_map_to(is_text)),
    "directory.Feed.limits": _or_none(_LIMITS),
    "directory.Feed.location": is_object,
    "directory.Feed.notify": _map_to(_TEXTS),
    "directory.Feed.reading": is_object,
    "directory.Feed.schedule": is_object,
    "directory.Feed.secrets": _map_to(is_text),
    "directory.Feed.seen": is_object,
    "directory.FeedFile.leaving": _list_of(_TEXTS),
    "directory.FeedFile.parts": _TEXTS,
    "directory.Import.counts": _NUMBERS,
    "directory.Import.entries": _list_of(_readable(EntryChange.of_json)),
    "directory.Import.file_facts": is_object,
    "directory.Import.granted": _map_to(_TEXTS),
    "directory.Import.held": _or_none(is_object),
    "directory.Import.holds": _list_of(_readable(Hold.of_json)),
    "directory.Import.leavers": lambda value: (
        is_object(value)
        and _TEXTS(value.get("deactivated", []))
        and _list_of(_is_protected)(value.get("protected", []))
    ),
    "directory.Import.mails": _NUMBERS,
    "directory.Import.options": _having({"mode": is_text, "preview": _is_flag}),
    "directory.Import.stages": _NUMBERS,
    "directory.ListView.columns": _TEXTS,
    "directory.MovedTrail.keys": _list_of(_having({"name": is_text, "secret": is_text})),
    "directory.Notice.facts": is_object,
    "directory.NoticeSettings.emails": _or_none(_TEXTS),
    "directory.ProvisionedUser.kept": is_object,
    "directory.Role.permissions": _TEXTS,
    "directory.WebhookEndpoint.kinds": _TEXTS,
    "directory.WebhookEndpoint.secrets": _list_of(_having({"secret": is_text, "until": _or_none(is_text)})),
    "directory.WebhookMessage.log": _list_of(_having(dict.fromkeys(("at", "status", "ms", "problem"), _is_scalar))),
    "mfa.Authenticator.data": is_object,
}
"""Table and JSON column → the form of its values."""


def fits(column: str, text: str) -> bool:
    """Return whether the text is JSON of the form that the column (table and name) has."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return FORMS[column](value)


def _refuse_constant(name: str) -> object:
    raise ValueError(name)  # NaN and Infinity are no JSON, though Python reads them


def can_run(kind: str, options: str) -> bool:
    """Return whether a worker can read the options of an import of this kind, which waits for it."""
    value = json.loads(options)
    if kind == ImportKind.BULK:
        return _having({bulk.OPTION: _having({"act": _one_of(bulk.ACTIONS), "value": is_text})})(value)
    return _readable(Options.of_json)(value)
