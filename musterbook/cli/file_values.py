"""The options --value and --default of `muster import`: what the words of a file mean, and what new users get."""

from musterbook.cli.exits import WrongCall
from musterbook.cli.language import gettext as _
from musterbook.core.domain.columns import BY_HEADING, Column
from musterbook.core.domain.file_values import DEFAULTED, MAPPED

_VALUE = '--value "STATUS:Terminated=Inactive"'
_DEFAULT = "--default ROLE=Officer"


def parse_values(pairs: list[str]) -> dict[str, dict[str, str]]:
    """Return the mapped values, column → value in the file → the agency's value. Raise WrongCall."""
    from musterbook.core.checking.meanings import normalize_value

    values: dict[str, dict[str, str]] = {}
    seen: dict[tuple[str, str], str] = {}
    for pair in pairs:
        heading, colon, rest = pair.partition(":")
        theirs, equals, ours = (part.strip() for part in rest.rpartition("="))
        if not colon or not equals:
            raise WrongCall(_("--value is “%(pair)s”. Write it like %(VALUE)s.") % {"pair": pair, "VALUE": _VALUE})
        column = _find_column(heading, "--value", MAPPED)
        if not theirs:
            raise WrongCall(
                _("--value is “%(pair)s”, but a blank cell cannot be mapped. Write it like %(VALUE)s.")
                % {"pair": pair, "VALUE": _VALUE}
            )
        if seen.setdefault((column.heading, normalize_value(theirs)), ours) != ours:
            raise WrongCall(
                _("--value maps “%(theirs)s” of %(heading)s more than once. Keep one of them.")
                % {"theirs": theirs, "heading": column.heading}
            )
        values.setdefault(column.heading, {})[theirs] = ours
    return values


def parse_defaults(pairs: list[str]) -> dict[str, str]:
    """Return the defaults, column → value. Raise WrongCall."""
    defaults: dict[str, str] = {}
    for pair in pairs:
        heading, equals, text = (part.strip() for part in pair.partition("="))
        if not equals or not text:
            raise WrongCall(
                _("--default is “%(pair)s”. Write it like %(DEFAULT)s.") % {"pair": pair, "DEFAULT": _DEFAULT}
            )
        column = _find_column(heading, "--default", DEFAULTED)
        if defaults.setdefault(column.heading, text) != text:
            raise WrongCall(
                _("--default names %(heading)s more than once. Keep one of them.") % {"heading": column.heading}
            )
    return defaults


def _find_column(heading: str, option: str, allowed: tuple[Column, ...]) -> Column:
    from musterbook.core.reading.headings import normalize_heading

    column = BY_HEADING.get(normalize_heading(heading))
    if column not in allowed:
        names = ", ".join(one.heading for one in allowed)
        none = _("%(option)s: %(heading)s is not a column. Write one of these columns: %(names)s.")
        other = _("%(option)s: %(heading)s cannot have one. Write one of these columns: %(names)s.")
        values = {"option": option, "heading": heading.strip(), "names": names}
        raise WrongCall((none if column is None else other) % values)
    return column
