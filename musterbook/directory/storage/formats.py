"""Frames of text as files: CSV, JSON and workbooks, written in parts, so that no file is held in memory whole."""

import tempfile
from collections.abc import Iterable, Iterator

import polars as pl

from musterbook.core.reporting import workbook
from musterbook.core.values import text

_MARK = "\ufeff".encode()
_PART = 50_000
MOST_IN_A_SHEET = workbook.MOST_ROWS
"""The most rows that a sheet of a workbook holds below its headings."""


class TooManyRows(Exception):
    """The frame has more rows than a sheet of a workbook holds."""


def guard_cells(frame: pl.DataFrame, exclude: tuple[str, ...] = ()) -> pl.DataFrame:
    """Return the frame with an apostrophe before each cell that a spreadsheet would run, except in `exclude`."""
    return frame.with_columns(text.guard(frame[name]) for name in frame.columns if name not in exclude)


def format_csv(frames: Iterable[pl.DataFrame]) -> Iterator[bytes]:
    """Yield the frames as CSV: UTF-8 with a byte order mark, CRLF. Blank cells are empty, without quotation marks."""
    yield _MARK
    for number, frame in enumerate(frames):
        blank = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
        for index, part in enumerate(blank.iter_slices(_PART) if blank.height else [blank]):
            yield part.write_csv(include_header=number == index == 0, line_terminator="\r\n").encode()


def format_json(frames: Iterable[pl.DataFrame]) -> Iterator[bytes]:
    """Yield the frames as JSON: one list of objects, one object on each line."""
    before = "[\n"
    for frame in frames:
        for part in frame.iter_slices(_PART):
            yield (before + part.write_ndjson().rstrip("\n").replace("\n", ",\n")).encode()
            before = ",\n"
    yield b"\n]\n" if before == ",\n" else b"[]\n"


def format_workbook(frame: pl.DataFrame, name: str) -> Iterator[bytes]:
    """Yield an Excel workbook of one sheet whose cells are all text. Raise TooManyRows."""
    if frame.height > MOST_IN_A_SHEET:
        raise TooManyRows(f"{frame.height:,}")
    with tempfile.TemporaryFile() as file:
        workbook.write_workbook(file, name, frame.columns, frame.iter_rows())
        file.seek(0)
        yield from iter(lambda: file.read(1 << 20), b"")


def format_frame(frame: pl.DataFrame, form: str, name: str, unguarded: tuple[str, ...]) -> Iterator[bytes]:
    """Return the frame as csv, xlsx or json, in parts.

    Formats that a spreadsheet opens (csv and xlsx) are guarded, except in the columns `unguarded`.
    """
    if form == "json":
        return format_json([frame])
    safe = guard_cells(frame, unguarded)
    return format_workbook(safe, name) if form == "xlsx" else format_csv([safe])
