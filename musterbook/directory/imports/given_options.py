"""The options of an import as a program gives them: JSON with the names of `Options`, or all errors in it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from musterbook.core.domain.columns import LAYOUTS, REKEYS, USERS
from musterbook.core.domain.policy import Confirmed, Mode
from musterbook.core.planning.holds import NUMBERED, UNNUMBERED
from musterbook.directory.agency import feed_values
from musterbook.directory.agency.feed_errors import Errors, show_value
from musterbook.directory.agency.table_reader import suggest_name
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.imports.options import Options
from musterbook.directory.users import marks

CHANGEABLE = ("mode", "source", *feed_values.READING)
"""The options with which the plan of an import can be made again."""
NAMES = (*CHANGEABLE, "preview", "confirm")
"""The options that a new import can be given."""
_NULLABLE = ("mails", "encoding", "delimiter", "sheet", "header_row", "expect_rows", "release_badges")
"""The options that can be null: not given, or as the agency has them."""
_FIELDS = {"accept": "accepted", "confirm": "confirmed"}
"""The option → its field of `Options`, where that has another name."""


class InvalidOptions(InvalidValue):
    """The options cannot be accepted. `errors` has all of them: each an option and a sentence."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__(*self.errors[0])


def read_options(
    values: Mapping[str, Any], usual: Options | None = None, names: Iterable[str] = NAMES, what: str = ""
) -> Options:
    """Return the options, with those that are not given from `usual`. Raise InvalidOptions.

    `names`: the options that can be given. `what`: the layout of a file of groups, members, roles or ranks; "" for that
    of `usual`.
    """
    before, allowed = usual or Options(), tuple(names)
    what = what or before.what
    errors = Errors()
    for name in values:
        if name not in allowed:
            text = _("There is no option “%(name)s”. %(what)s")
            suggestion = suggest_name(str(name)[:255], allowed)
            errors.at(str(name)[:255]).add(text % {"name": str(name)[:63], "what": suggestion})
    values = {name: "" if value is None and name in _NULLABLE else value for name, value in values.items()}
    mode = _read_mode(values["mode"], errors.at("mode")) if "mode" in values else before.mode
    if what and mode is Mode.REKEY:
        errors.at("mode").add(_("This file has no external IDs to change. Write update or sync."))
    layout = LAYOUTS[what] if what else REKEYS if mode is Mode.REKEY else USERS
    given = feed_values.parse_reading(values, layout, errors)
    if "source" in values:
        given["source"] = _read_source(values["source"], errors.at("source"))
    if "preview" in values:
        given["preview"] = _read_flag(values["preview"], errors.at("preview"))
    if "confirm" in values:
        given["confirm"] = read_confirmed(values["confirm"], errors.at("confirm"))
    if errors.found:
        raise InvalidOptions(errors.found)
    return replace(before, mode=mode, what=what, **{_FIELDS.get(name, name): value for name, value in given.items()})


def _read_mode(value: object, errors: Errors) -> Mode:
    if isinstance(value, str) and value in [*Mode]:
        return Mode(value)
    names = ", ".join(Mode)
    errors.add(
        _("%(value)s is not a mode. Write one of these: %(names)s.") % {"value": show_value(value), "names": names}
    )
    return Mode.UPDATE


def _read_source(value: object, errors: Errors) -> str:
    try:
        return marks.clean_source(errors.read_text(value, 255))
    except marks.InvalidSource as invalid:
        errors.add(str(invalid))
        return ""


def _read_flag(value: object, errors: Errors) -> bool:
    if not isinstance(value, bool):
        errors.add(_("%(value)s is not possible. Write true or false.") % {"value": show_value(value)})
    return value is True


def read_confirmed(value: object, errors: Errors) -> Confirmed:
    """Return what is confirmed: kind → its number, or None for a kind without one, which is given as true."""
    confirmed: dict[str, int | None] = {}
    for kind, number in errors.read_table(value, len(NUMBERED) + len(UNNUMBERED)).items():
        is_number = isinstance(number, int) and not isinstance(number, bool) and number >= 0
        if kind in NUMBERED and is_number:
            confirmed[kind] = number
        elif kind in UNNUMBERED and number is True:
            confirmed[kind] = None
        elif kind in NUMBERED:
            errors.add(
                _("%(kind)s is %(value)s. Write the number that the plan shows.")
                % {"kind": kind, "value": show_value(number)}
            )
        elif kind in UNNUMBERED:
            errors.add(
                _("%(kind)s is %(value)s, but has no number. Write true.") % {"kind": kind, "value": show_value(number)}
            )
        else:
            names = ", ".join((*NUMBERED, *UNNUMBERED))
            unknown = _("“%(kind)s” cannot be confirmed. Write one of these: %(names)s.")
            errors.add(unknown % {"kind": kind[:63], "names": names})
    return confirmed


def show_options(options: Options) -> dict[str, Any]:
    """Return the options as a program gives them, with their defaults."""
    shown: dict[str, Any] = {name: getattr(options, _FIELDS.get(name, name)) for name in NAMES}
    accepted = [f"{code}={choice}" if choice else code for code, choice in options.accepted.items()]
    confirmed = {kind: True if number is None else number for kind, number in options.confirmed.items()}
    return {**shown, "mode": options.mode.value, "accept": accepted, "confirm": confirmed}
