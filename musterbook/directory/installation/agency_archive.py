"""The archive of an agency: one encrypted file with all that an installation has of it, and what is checked of such a file.

Encryption and packing are those of backups (`backup_encryption`, `backup_seal`). Inside is a tar file: `manifest.json`,
`trail-keys.json`, `rows/TABLE.NUMBER` with the rows of each table as lines of JSON, `files/NAME` with the files of imports, and
the SHA-256 of all of it. Nothing is compressed, so a small file can never become a large one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from musterbook.directory import models

MANIFEST, TRAIL_KEYS, ROWS, FILES = "manifest.json", "trail-keys.json", "rows", "files"
FORMAT = "musterbook agency 1"
_LONGEST_MANIFEST = 1 << 20
_LARGEST_ID = 1 << 53
"""The largest id in an archive: programs read ids as numbers, and numbers of JSON are exact up to here."""


class CannotExport(Exception):
    """The agency cannot be exported. The message says why and what to do."""


class CannotImport(Exception):
    """The archive cannot be imported, or it is not known whether it was. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Range:
    """The rows of one table: their number, and the lowest and highest id (0 without rows)."""

    rows: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive is of: the version that wrote it, when, with which changes to the database, and how many rows."""

    version: str
    at: str
    changes: list[str]
    slug: str
    paused: bool
    """Whether the agency was paused, so that the new installation is the only one that continues it."""
    tables: Mapping[str, Range]
    format: str = FORMAT

    def as_json(self) -> bytes:
        """Return the manifest as it is stored."""
        return json.dumps(asdict(self), indent=2).encode()


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of an unpacked archive. Every field is checked: anyone may have written it. Raise ValueError."""
    fields = read_json(folder / MANIFEST)
    if fields.get("format") != FORMAT:
        raise ValueError(_("it is not an archive of an agency, or a newer Musterbook wrote it"))
    texts = [fields.get(name) for name in ("version", "at", "slug")]
    changes, tables = fields.get("changes"), fields.get("tables")
    if not all(isinstance(text, str) for text in texts) or type(fields.get("paused")) is not bool:
        raise ValueError(_("its manifest is not valid"))
    if (
        not isinstance(changes, list)
        or not all(isinstance(one, str) for one in changes)
        or not isinstance(tables, dict)
    ):
        raise ValueError(_("its manifest is not valid"))
    return Manifest(
        fields["version"], fields["at"], changes, fields["slug"], fields["paused"],
        {str(label): _read_range(one) for label, one in tables.items()},
    )  # fmt: skip


def _read_range(fields: Any) -> Range:
    numbers = [fields.get(name) for name in ("rows", "first", "last")] if isinstance(fields, dict) else [None]
    if not all(type(number) is int and 0 <= number <= _LARGEST_ID for number in numbers):
        raise ValueError(_("its manifest is not valid"))
    found = Range(*numbers)
    if found.rows and not (found.first >= 1 and found.last - found.first + 1 >= found.rows):
        raise ValueError(_("its manifest is not valid"))
    return found


def read_trail_keys(folder: Path) -> dict[str, str]:
    """Return the keys that verify the trail of an unpacked archive, in hexadecimal, by name. Raise ValueError."""
    keys = read_json(folder / TRAIL_KEYS)
    for key in keys.values():
        bytes.fromhex(key)
    return keys


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a small file. Raise ValueError."""
    if path.stat().st_size > _LONGEST_MANIFEST:
        raise ValueError(_("its manifest is too long"))
    fields = json.loads(path.read_bytes())
    if not isinstance(fields, dict):
        raise ValueError(_("its manifest is not valid"))
    return fields


def is_whole_installation(work: Path) -> bool:
    """Return whether what was unpacked is a file of `muster backup`: its manifest names the kind of the database."""
    try:
        return "database" in read_json(work / MANIFEST)
    except (OSError, ValueError, RecursionError):
        return False


def refuse_twin(agency: models.Agency) -> None:
    """Refuse an agency that is here already, by the first link of its trail: no two agencies have the same."""
    link = models.TrailLink.objects.filter(agency=agency).order_by("number").first()
    twins = models.TrailLink.objects.exclude(agency=agency).select_related("agency")
    twin = link and twins.filter(number=link.number, digest=link.digest).first()
    if twin:
        raise CannotImport(
            _(
                "The agency is in this installation already, as “%(slug)s”, and can be in it only once. If you have imported "
                "it before, nothing is left to do: see `muster agency list`."
            )
            % {"slug": twin.agency.slug}
        )
