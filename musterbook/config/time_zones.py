"""The time zones that can be chosen, and the zone in which a reader sees times."""

from datetime import UTC, tzinfo
from functools import cache
from importlib import resources
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

_TABLE = "zone.tab"
"""The file of the time zone database that lists its zones without former and other names of them."""
UNIVERSAL = "UTC"


@cache
def list_zones() -> tuple[str, ...]:
    """Return the names of the zones that can be chosen, without aliases, and UTC first.

    On a machine without the table of zones, return every zone of a region.
    """
    known = available_timezones()
    listed = {line.split("\t")[2].strip() for line in _read_table().splitlines() if line.count("\t") >= 2}
    places = {name for name in listed if not name.startswith("#")} & known
    return (UNIVERSAL, *sorted(places or {name for name in known if name.startswith(_REGIONS)}))


_REGIONS = tuple(
    f"{region}/" for region in ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
)  # fmt: skip


def _read_table() -> str:
    """Return the table from where Python looks for zones: a folder of the machine, or the package tzdata."""
    for folder in TZPATH:
        try:
            return Path(folder, _TABLE).read_text(encoding="utf-8")
        except OSError:
            continue
    try:
        return resources.files("tzdata").joinpath("zoneinfo", _TABLE).read_text(encoding="utf-8")
    except (ImportError, OSError):
        return ""


@cache
def _list_known() -> frozenset[str]:
    return frozenset(available_timezones())


def is_zone(name: str) -> bool:
    """Return whether this machine knows the zone, under its own name or an alias."""
    return name in _list_known()


def find_zone(*names: str) -> tzinfo:
    """Return the first of these zones that this machine knows, or UTC.

    A name may come from outside: no file is opened for a name that is not in the time zone database.
    """
    name = next(filter(is_zone, names), UNIVERSAL)
    return UTC if name == UNIVERSAL else ZoneInfo(name)
