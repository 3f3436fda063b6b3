"""The kind of a file is told by its content, and what is no table is refused by its name."""

import io
import zipfile

import pytest

from musterbook.core.reading.file_type import detect_type
from musterbook.core.reading.intake import read

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def zip_of(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "x")  # without the time of now
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7\n...", "a PDF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "a PNG image"),
        (b"\xff\xd8\xff\xe0" + bytes(30), "a JPEG image"),
        (b"GIF89a" + bytes(30), "a GIF image"),
        (b"\x1f\x8b\x08" + bytes(30), "a gzip archive"),
        (b"SQLite format 3\x00" + bytes(30), "an SQLite database"),
        (b"{\\rtf1\\ansi", "an RTF document"),
        (b"<!DOCTYPE html><p>", "an HTML page"),
        (b"\xef\xbb\xbf\r\n <html>", "an HTML page"),
        ("\ufeff<table><tr>".encode("utf-16"), "an HTML page"),
        (b'<?xml version="1.0"?><rows/>', "an XML file"),
        (b'[{"EXTERNAL_ID": "1"}]', "a JSON file"),
        (b'{ "users": [] }', "a JSON file"),
        (OLE + "Workbook".encode("utf-16-le"), "an old Excel workbook (.xls)"),
        (OLE, "an old Office document"),
        (zip_of("word/document.xml"), "a Word document"),
        (zip_of("xl/workbook.bin"), "an Excel binary workbook (.xlsb)"),
        (zip_of("users.csv"), "a zip archive"),
        (zip_of("users.csv")[:40], "a damaged zip archive"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_its_name(content: bytes, name: str) -> None:
    (problem,) = read(content).problems
    assert problem.code == "not-a-table"
    assert problem.message == f"This is {name}, not a CSV file or an .xlsx or .ods workbook."


def test_an_encrypted_workbook_is_refused_as_such() -> None:
    content = OLE + "EncryptedPackage".encode("utf-16-le")
    assert [problem.code for problem in read(content).problems] == ["encrypted-workbook"]
    archive = bytearray(zip_of("xl/workbook.xml"))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    assert [problem.code for problem in read(bytes(archive)).problems] == ["encrypted-workbook"]


@pytest.mark.parametrize("gap", [0, 1])
def test_lock_files_are_named_as_such(gap: int) -> None:
    """F2."""
    lock = b"\x05Admin" + b" " * (48 + gap) + b"\x05\x00" + "Admin".encode("utf-16-le") + b" \x00" * 40
    assert "the lock file of an open workbook" in read(lock).problems[0].message
    assert detect_type(lock + b" " * 1024) == "csv"
    assert "macOS" in read(b"\x00\x05\x16\x07" + bytes(80)).problems[0].message
    assert read(b"\x05Admin" + bytes(60)).problems[0].code == "nul-byte"
    assert detect_type(b"") == "csv"
