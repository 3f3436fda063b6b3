"""Makes the awkward files beside it: `python -m tests.files.make`. Each is refused, for the reason that its name gives."""

import gzip
import io
import zipfile
from pathlib import Path

import xlsxwriter  # type: ignore[import-untyped]  # it has no stubs

from scripts import program

HERE = Path(__file__).parent
HEADINGS = "EXTERNAL_ID,EMAIL,BADGE_NUMBER,FIRST_NAME,LAST_NAME,STATUS,USERNAME,ROLE"
ROWS = [
    f"A-{n},user{n}@riverton.example,{9000 + n},First{n},Last{n},Active,user{n},Officer" for n in range(1, 6)
]  # fmt: skip
GOOD = "\r\n".join([HEADINGS, *ROWS, ""])


def workbook(*sheets: tuple[str, int]) -> bytes:
    """A workbook of sheets that bear the good rows, from the row given."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        for name, first in sheets:
            sheet = book.add_worksheet(name)
            for number, line in enumerate(GOOD.split("\r\n")[:-1]):
                sheet.write_row(first + number, 0, line.split(","))
    return made.getvalue()


def files() -> dict[str, bytes]:
    """Name → content of every file."""
    book = workbook(("Users", 0))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("roster.csv", GOOD)
    good = GOOD.encode()
    return {
        "empty.csv": b"",
        "only-blank-lines.csv": b"\r\n\r\n \r\n",
        "no-header.csv": "\r\n".join(ROWS).encode(),
        "three-columns-missing.csv": good.replace(b"BADGE_NUMBER", b"BADGE_NO")
        .replace(b"STATUS", b"STATE")
        .replace(b"ROLE", b"JOB"),
        "email-twice.csv": good.replace(b"FIRST_NAME", b"Email"),
        "optional-column-misspelt.csv": good.replace(b"ROLE", b"ROLE,RANKS", 1),
        "nameless-column-with-data.csv": good.replace(b"LAST_NAME,", b"LAST_NAME,,", 1),
        "quote-never-closed.csv": good.replace(b"First3", b'"First3'),
        "text-after-a-quote.csv": good.replace(b"First3", b'"First3" x'),
        "nul-bytes.csv": good.replace(b"Last2", b"La\x00st2"),
        "broken-utf-8.csv": GOOD.replace("First2", "Renée").encode() + b"A-9,b\xc3",
        "half-a-utf-16-character.csv": b"\xff\xfe" + GOOD.encode("utf-16-le")[:-1],
        "japanese-in-shift-jis.csv": GOOD.replace("First2", "表示").replace("Last2", "能登").encode("cp932"),
        "spaces-between.csv": good.replace(b",", b" "),
        "a-picture.csv": b"\x89PNG\r\n\x1a\n" + bytes(range(40)),
        "a-pdf.csv": b"%PDF-1.7\n1 0 obj << >> endobj\n%%EOF\n",
        "a-web-page.xls": f"<html><body><table><tr><td>{HEADINGS}</td></tr></table></body></html>".encode(),
        "json.csv": b'[{"EXTERNAL_ID": "A-1", "EMAIL": "user1@riverton.example"}]',
        "gzipped.csv": gzip.compress(good, mtime=0),
        "zipped.xlsx": archive.getvalue(),
        "old-excel.xls": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504),
        "cut-off-in-the-middle.xlsx": book[: len(book) // 2],
        "two-sheets-that-could-be-meant.xlsx": workbook(("Patrol", 0), ("Detectives", 0)),
        "headings-in-the-fortieth-row.xlsx": workbook(("Users", 39)),
    }


if __name__ == "__main__":
    with program.run(__doc__):
        for name, content in files().items():
            (HERE / name).write_bytes(content)
