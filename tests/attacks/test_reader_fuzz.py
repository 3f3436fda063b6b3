"""Files as chance makes them: whatever they are, reading gives a table or a problem, in little time and memory.

A run takes 20 seconds. For longer, by hand: `MUSTER_FUZZ_SECONDS=3600 python -m pytest tests/attacks/test_reader_fuzz.py`; a file
that fails is written beside the test's other files, and its name is in the message.
"""

import io
import os
import random
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from musterbook.core.domain.columns import COLUMNS
from musterbook.core.domain.problems import CATALOG
from musterbook.core.reading import intake
from musterbook.core.reading.budget import AT_LEAST, TIMES
from tests.attacks import bombs

SECONDS = float(os.environ.get("MUSTER_FUZZ_SECONDS", "20"))
_FILES = Path(__file__).parent.parent / "files"
_HEADINGS = [column.heading for column in COLUMNS]
_ROW = ["E-1", "a@agency.example", "7", "Ann", "Lee", "Active", "alee", "Officer", "", "", "", "", ""]
_ODD = (
    b"\0", b'"', b",", b";", b"\t", b"\r", b"\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80", b"\xed\xa0\x80", b"<", b">", b"&", b"'",
    b"=", b"]]>", b"<!DOCTYPE a>", b"<![CDATA[", b"&#0;", b"&a;", b"r='A1'", b"99999999999", b"-1", b"t='s'", b" c='9'", b"1e400",
    b"nan", b"number-rows-repeated='1000000'", b"number-columns-repeated='16384'", "\U0001f600".encode(), b"_x0000_", b"_xD800_",
)  # fmt: skip


def seeds() -> list[bytes]:
    """Sound and awkward files to begin with."""
    row = bombs.cells(_ROW) + "<row r='9'><c r='A9' t='s' s='1'><v>0</v></c><c><f>A1</f><v>7</v></c></row>"
    return [
        *(path.read_bytes() for path in sorted(_FILES.iterdir()) if path.suffix in {".csv", ".xlsx", ".xls"}),
        "\n".join([",".join(_HEADINGS), ",".join(_ROW)]).encode(),
        "\r\n".join([";".join(_HEADINGS), *[";".join(f'"{cell}"' for cell in _ROW)] * 40]).encode("utf-16"),
        bombs.xlsx(
            bombs.cells(_HEADINGS) + row, strings="<si><t>x</t></si>", styles="<numFmt numFmtId='200' formatCode='00'/>"
        ),
        bombs.ods(bombs.ods_row(_HEADINGS) + bombs.ods_row(_ROW, "table:number-rows-repeated='3'")),
    ]


def mutate(content: bytes, chance: random.Random) -> bytes:
    """The file with a few changes; of a workbook, often within its parts, so that the archive stays whole."""
    if content.startswith(b"PK") and chance.random() < 0.8:
        return _within(content, chance)
    return _changed(content, chance)


def _within(content: bytes, chance: random.Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError, NotImplementedError, KeyError, EOFError, zlib.error):
        return _changed(content, chance)
    if not found:
        return content
    name = chance.choice(sorted(found))
    parts: bombs.Parts = {**found, name: _changed(found[name], chance)}
    return bombs.zipped(parts)


def _changed(content: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        content = chance.choice(_CHANGES)(content, chance)
    return content[: 1 << 20]


def _inserted(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + chance.choice(_ODD) * chance.choice((1, 1, 1, 3, 1000)) + content[at:]


def _cut(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + content[at + chance.choice((1, 10, 1000)) :]


def _repeated(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    piece = content[at : at + chance.choice((1, 20, 300))]
    return content[:at] + piece * chance.choice((2, 50, 500)) + content[at:]


def _flipped(content: bytes, chance: random.Random) -> bytes:
    if not content:
        return content
    at = chance.randrange(len(content))
    return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]


_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (_inserted, _cut, _repeated, _flipped)


def test_reading_any_file_gives_a_table_or_a_problem(tmp_path: Path) -> None:
    chance, pool = random.Random(), seeds()
    until, tried = time.monotonic() + SECONDS, 0
    tracemalloc.start()
    try:
        while time.monotonic() < until:
            content = mutate(chance.choice(pool), chance)
            _read(content, tmp_path)
            tried += 1
            if chance.random() < 0.05:
                pool.append(content)
    finally:
        tracemalloc.stop()
    assert tried > 0


def _read(content: bytes, folder: Path) -> None:
    path = folder / "failed"
    path.write_bytes(content)
    tracemalloc.reset_peak()
    before, began = tracemalloc.get_traced_memory()[0], time.process_time()
    table = intake.read(content)
    used = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1] - before
    assert all(problem.code in CATALOG and problem.message for problem in (*table.problems, *table.notes)), path
    # What Python itself takes; it is traced, and so takes several times as long as it would.
    assert peak <= 3 * (AT_LEAST + TIMES * len(content)), f"{path} takes {peak:,} bytes"
    assert used < 60, f"{path} takes {used:.0f} s"


@pytest.mark.parametrize("piece", [b"x", b"x ", b",", b"\x81", b'x"'])
def test_a_long_line_in_no_encoding_takes_time_by_its_size(tmp_path: Path, piece: bytes) -> None:
    """The likely encodings are looked for in cells with letters beyond ASCII: a search from each byte took minutes."""
    tracemalloc.start()
    try:
        _read(piece * 300_000 + b"\x81\x8d", tmp_path)
    finally:
        tracemalloc.stop()
