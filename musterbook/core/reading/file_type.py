"""The file type of some bytes, detected from their content and never from a name."""

import io
import re
import zipfile

from musterbook.core.domain.problems import Problem
from musterbook.core.reading.grid import Refusal
from musterbook.core.reading.workbook.archive import normalize_part, refuse_many_parts

_BEGINNINGS = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"RIFF", "an image or a sound"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"\x7fELF", "a program"),
    (b"{\\rtf", "an RTF document"),
)
_IN_ZIP = (
    ("xl/workbook.bin", "an Excel binary workbook (.xlsb)"),
    ("word/", "a Word document"),
    ("ppt/", "a PowerPoint presentation"),
    ("Index/", "a Numbers, Pages or Keynote document"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ODS = "application/vnd.oasis.opendocument.spreadsheet"


def detect_type(content: bytes) -> str:
    """Return `csv`, `xlsx` or `ods`. Raise Refusal for any other type.

    The refusal names the type, such as “a PDF” (rule F1).
    """
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _detect_zip_type(content)
    if content.startswith(_OLE):
        raise Refusal(_describe_ole(content))
    _refuse_lock(content)
    for beginning, name in _BEGINNINGS:
        if content.startswith(beginning):
            raise _not_a_table(name)
    if b"%PDF-" in content[:1024]:
        raise _not_a_table("a PDF")
    _refuse_markup(content)
    return "csv"


_APPLE_DOUBLE = b"\x00\x05\x16\x07"
_LARGEST_LOCK = 1024


def _refuse_lock(content: bytes) -> None:
    """Raise Refusal for a lock file, which an Office application keeps while a workbook is open, and for `._…`.

    A lock file of Excel has the name of its user twice: as bytes, and from byte 54 or 55 on as UTF-16.
    """
    if content.startswith(_APPLE_DOUBLE):
        raise Refusal(_COMPANIONS["._"])
    if len(content) > _LARGEST_LOCK or not content:
        return
    name = content[1 : 1 + content[0]]
    copies = (content[at : at + 2 + 2 * len(name)] for at in (54, 55))
    if name and any(copy == bytes((len(name), 0)) + name.decode("latin-1").encode("utf-16-le") for copy in copies):
        raise Refusal(_COMPANIONS["~$"])


def refuse_companion(name: str) -> Problem | None:
    """Return the problem of a file that accompanies another one, by its name; None for any other name."""
    return next((problem for start, problem in _COMPANIONS.items() if name.startswith(start)), None)


_COMPANIONS = {
    "._": Problem.of(
        "not-a-table",
        type="a file that macOS keeps next to another one (._…)",
        advice="Upload the file that has this name without “._”.",
    ),
    "~$": Problem.of(
        "not-a-table", type="the lock file of an open workbook (~$…)", advice="Upload the workbook itself."
    ),
}
"""The beginning of the name of such a file → its problem."""


def _not_a_table(name: str, advice: str = "") -> Refusal:
    return Refusal(Problem.of("not-a-table", type=name, advice=advice))


def _detect_zip_type(content: bytes) -> str:
    refuse_many_parts(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [normalize_part(name) for name in archive.namelist()]
            mimetype = _read_mimetype(archive)
    except Exception as error:  # zipfile raises a dozen types on damaged input, and all mean the same here
        if b"xl/" in content or b"xl\\" in content or b"opendocument.spreadsheet" in content[:200]:
            raise Refusal(Problem.of("damaged-workbook", cause="its archive is cut off or broken")) from error
        raise _not_a_table("a damaged zip archive") from error
    if mimetype.strip().startswith(_ODS):
        return "ods"
    for part, name in _IN_ZIP:
        if any(member.startswith(part) for member in members):
            raise _not_a_table(name)
    if any(member.startswith("xl/") for member in members):
        return "xlsx"
    raise _not_a_table(
        "an OpenDocument file" if "opendocument" in mimetype else "a zip archive", "Extract the file first."
    )


def _read_mimetype(archive: zipfile.ZipFile) -> str:
    """Return the type that an OpenDocument file declares.

    No more than that is unpacked, regardless of the size that the archive declares.
    """
    if "mimetype" not in archive.namelist():
        return ""
    with archive.open("mimetype") as part:
        return part.read(200).decode("latin-1")


def _describe_ole(content: bytes) -> Problem:
    if "EncryptedPackage".encode("utf-16-le") in content:
        return Problem.of("encrypted-workbook")
    if any(name.encode("utf-16-le") in content for name in ("Workbook", "Book")):
        return Problem.of("not-a-table", type="an old Excel workbook (.xls)", advice="")
    return Problem.of("not-a-table", type="an old Office document", advice="")


def _refuse_markup(content: bytes) -> None:
    head = content[:4096]
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    text = head.decode(encoding, "ignore").lstrip("\ufeff \t\r\n")
    if text.startswith("<?xml") and "html" not in text[:300].lower():
        raise _not_a_table("an XML file")
    if re.match(r"<[a-zA-Z!?]", text):
        raise _not_a_table(
            "an HTML page" if re.search(r"(?i)<(!doctype html|html|table|meta|body|div)", text) else "an XML file"
        )
    if re.match(r"\[\s*[\[{\]]|\{\s*[\"}]", text):
        raise _not_a_table("a JSON file")
