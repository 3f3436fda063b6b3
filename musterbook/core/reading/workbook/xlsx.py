"""The .xlsx reader, transitional or strict: it reads the rows of each sheet one after the other."""

import posixpath
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from musterbook.core.reading.budget import FAULT, Budget
from musterbook.core.reading.grid import CellFault, is_blank
from musterbook.core.reading.workbook import number_format
from musterbook.core.reading.workbook.archive import Archive, damaged, normalize_part
from musterbook.core.reading.workbook.sheet import (
    DATE,
    MOST_COLUMNS,
    MOST_ROWS,
    Row,
    SilentHandler,
    has_lost_digits,
    take_head,
    unescape_text,
)

Attributes = dict[str, str]
_LONGEST_FORMAT = 255
"""The maximum length of a number format. A longer one would be written out for every cell."""


class XlsxBook:
    """An .xlsx workbook."""

    def __init__(self, archive: Archive, budget: Budget) -> None:
        self._archive = archive
        self._budget = budget
        part = self._workbook_part()
        outline = _Outline(budget)
        archive.parse(part, outline)
        related = _read_relations(archive, part, budget)
        by_kind = {relation.kind: relation.part for relation in related.values()}
        self._parts, self._hidden = (
            {
                name: related[key].part
                for name, key in sheets
                if key in related and related[key].kind == "worksheet" and archive.has(related[key].part)
            }
            for sheets in (outline.visible, outline.hidden)
        )
        self._strings = self._shared_strings(by_kind.get("sharedStrings", ""))
        self._formats = self._styles(by_kind.get("styles", ""), outline.from_1904)
        self._heads: dict[str, list[Row]] = {}
        self._merged: list[tuple[int, int, int, int]] = []

    @property
    def sheets(self) -> list[str]:
        """Return the names of the visible sheets, in workbook order."""
        return list(self._parts)

    @property
    def hidden(self) -> list[str]:
        """Return the names of the hidden sheets."""
        return list(self._hidden)

    @property
    def merged(self) -> list[tuple[int, int, int, int]]:
        """Return the merged cells of the sheet whose rows were read last."""
        return self._merged

    def head(self, sheet: str) -> list[Row]:
        """Return the rows of a sheet that are not empty, as far as row 30, and at least the first one.

        Each part is searched once, regardless of how many sheets refer to it.
        """
        part = self._find_part(sheet)
        if part not in self._heads:
            self._heads[part] = take_head(self.rows(sheet), self._budget)
        return self._heads[part]

    def rows(self, sheet: str) -> Iterator[Row]:
        """Yield the rows of a sheet that are not empty, in ascending order."""
        reader = _SheetReader(self._strings, self._formats, self._budget)
        self._merged = reader.merged
        for _ in self._archive.parsing(self._find_part(sheet), reader):
            ready, reader.ready = reader.ready, []
            yield from ready

    def _find_part(self, sheet: str) -> str:
        return self._parts.get(sheet) or self._hidden[sheet]

    def _workbook_part(self) -> str:
        for relation in _read_relations(self._archive, "", self._budget).values():
            if relation.kind == "officeDocument":
                return relation.part
        return "xl/workbook.xml"

    def _shared_strings(self, part: str) -> list[str]:
        reader = _Strings(self._budget)
        if self._archive.has(part):
            for _ in self._archive.parsing(part, reader):
                reader.count()
        return reader.strings

    def _styles(self, part: str, from_1904: bool) -> list["_Style"]:
        reader = _Styles(self._budget)
        if self._archive.has(part):
            self._archive.parse(part, reader)
        styles: dict[int, _Style] = {}
        for key in set(reader.cells):
            styles[key] = _build_style(reader.codes.get(key, number_format.BUILT_IN.get(key, "General")), from_1904)
        return [styles[key] for key in reader.cells]


@dataclass(frozen=True, slots=True)
class _Relation:
    kind: str
    part: str


def _read_relations(archive: Archive, part: str, budget: Budget) -> dict[str, _Relation]:
    """Return what a part of the archive (or "": the archive) refers to, by the ids that it uses."""
    folder, name = posixpath.split(part)
    listing = posixpath.join(folder, "_rels", f"{name}.rels")
    reader = _Relations(folder, budget)
    if archive.has(listing):
        archive.parse(listing, reader)
    return reader.found


class _Relations(SilentHandler):
    def __init__(self, folder: str, budget: Budget) -> None:
        self.folder = folder
        self._budget = budget
        self.found: dict[str, _Relation] = {}

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle the start of an element."""
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = normalize_part(attributes["Target"])
            part = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join(self.folder, target))
            self._budget.keep("its references", attributes["Id"], attributes["Type"], part)
            self.found[attributes["Id"]] = _Relation(posixpath.basename(attributes["Type"]), part)


class _Outline(SilentHandler):
    """The sheets that workbook.xml lists."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.visible: list[tuple[str, str]] = []
        self.hidden: list[tuple[str, str]] = []
        self.from_1904 = False

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle the start of an element."""
        if name == "workbookPr":
            self.from_1904 = attributes.get("date1904") in ("1", "true")
        elif name == "sheet":
            keys = [value for key, value in attributes.items() if key.endswith(":id")]
            self._budget.keep("its sheets", attributes["name"], *keys)
            sheets = self.visible if attributes.get("state", "visible") == "visible" else self.hidden
            sheets.append((attributes["name"], keys[0] if keys else ""))


class _Strings(SilentHandler):
    """The shared strings: rich text joined, without the readings of a phonetic guide."""

    def __init__(self, budget: Budget) -> None:
        self.strings: list[str] = []
        self._budget = budget
        self._kept = 0
        self._room = 0
        self._pieces: list[str] = []
        self._reading = False
        self._in_guide = False

    def start(self, name: str, attributes: Attributes) -> None:  # noqa: ARG002  (the signature of a handler)
        """Handle the start of an element."""
        if name == "t":
            self._reading = not self._in_guide
            return
        if name == "si":
            self._pieces, self._room = [], self._budget.cell
        elif name == "rPh":
            self._in_guide = True
        self._reading = False

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        self._reading = False
        if name == "si":
            text = unescape_text("".join(self._pieces))
            self.strings.append(text)
            self._kept += sys.getsizeof(text) + 8
        elif name == "rPh":
            self._in_guide = False

    def count(self) -> None:
        """Count the texts of the piece that was just read. To count each one takes as long as to keep it."""
        self._budget.take(self._kept, "the texts that its cells share")
        self._kept = 0

    def text(self, text: str) -> None:
        """Handle text, as far as a cell has room for it."""
        if self._reading and self._room > 0:
            self._pieces.append(text[: self._room])
            self._room -= len(text)


class _Styles(SilentHandler):
    """The number format of each cell style, and the codes of the formats."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.codes: dict[int, str] = {}
        self.cells: list[int] = []
        self._in_cells = False

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle the start of an element."""
        if name == "numFmt":
            code = attributes["formatCode"]
            self._budget.keep("its number formats", code)
            self.codes[int(attributes["numFmtId"])] = code if len(code) <= _LONGEST_FORMAT else "General"
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            self._budget.take(64, "its styles")
            self.cells.append(int(attributes.get("numFmtId", "0")))

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if name == "cellXfs":
            self._in_cells = False


@dataclass(frozen=True, slots=True)
class _Style:
    text: Callable[[Decimal], str]
    date: bool
    plain: bool


def _build_style(code: str, from_1904: bool) -> _Style:
    text = number_format.build_format(code, from_1904=from_1904)
    return _Style(text, number_format.is_date(code), text is number_format.format_general)


_PLAIN = _build_style("General", from_1904=False)


class _SheetReader(SilentHandler):
    """A handler that assembles the cells of a sheet. `ready` holds the finished rows."""

    def __init__(self, strings: list[str], formats: list[_Style], budget: Budget) -> None:
        self.ready: list[Row] = []
        self.merged: list[tuple[int, int, int, int]] = []
        self._budget = budget
        self._strings = strings
        self._formats = formats
        self._columns: dict[str, int] = {}
        self._done = False
        self._row = Row(0)
        self._column = -1
        self._cell: Attributes = {}
        self._formula = False
        self._in_guide = False
        self._reading = False
        self._room = 0
        self._pieces: list[str] | None = None

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle the start of an element."""
        if self._done:
            self._take_merge(name, attributes)
            return
        if name == "c":
            self._cell, self._formula, self._pieces = attributes, False, None
            self._reading, self._room = False, self._budget.cell
            self._column = self._place(attributes.get("r"))
        elif name == "v" or (name == "t" and not self._in_guide):
            self._reading = True
            if self._pieces is None:
                self._pieces = []
        elif name == "row":
            self._begin_row(attributes.get("r"))
        elif name == "f":
            self._formula = True
        elif name == "rPh":
            self._in_guide = True

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if self._done:
            return
        if name in {"v", "t"}:
            self._reading = False
        elif name == "c":
            self._end_cell()
        elif name == "row" and (self._row.cells or self._row.faults):
            self.ready.append(self._row)
        elif name == "rPh":
            self._in_guide = False
        elif name == "sheetData":
            self._done = True

    def text(self, text: str) -> None:
        """Handle text, as far as a cell has room for it."""
        if self._reading and self._pieces is not None and self._room > 0:
            self._pieces.append(text[: self._room])
            self._room -= len(text)

    def _take_merge(self, name: str, attributes: Attributes) -> None:
        """Note a range of merged cells, such as `I2:I5`. These elements are in the file after the rows."""
        found = _MERGE.fullmatch(attributes.get("ref", "")) if name == "mergeCell" else None
        if found:
            self._budget.take(FAULT, "its merged cells")
            place = (int(found[2]), int(found[4]), _parse_column(found[1]), _parse_column(found[3]))
            self.merged.append(place)

    def _begin_row(self, reference: str | None) -> None:
        number = int(reference) if reference else self._row.number + 1
        if not self._row.number < number <= MOST_ROWS:
            raise damaged(f"row {number} of a sheet is in the wrong place")
        self._row = Row(number)
        self._column = -1

    def _place(self, reference: str | None) -> int:
        """Return the column of a cell, from its reference or else next to the last cell."""
        if not self._row.number:
            raise damaged("a cell of a sheet is in no row")
        letters = reference.rstrip("0123456789") if reference else ""
        if not letters:
            return self._column + 1
        column = self._columns.get(letters)
        if column is None:
            column = self._columns[letters] = _parse_column(letters)
        if column in self._row.cells:
            raise damaged(f"cell {reference} is in a sheet twice")
        return column

    def _end_cell(self) -> None:
        kind, value = self._cell.get("t", "n"), "".join(self._pieces or ())
        # An empty text is a result. A missing element, or an empty one for a number, is not.
        if self._formula and not value and (self._pieces is None or kind != "str"):
            self._fault("no-result")
            return
        if kind == "s":
            value = self._shared(value) if value else ""
        elif kind == "n":
            value = self._number(value) if value else ""
        elif kind == "b":
            value = "TRUE" if value.strip() in ("1", "true") else "FALSE"
        else:
            value = unescape_text(value)
        if not is_blank(value):
            self._row.cells[self._column] = value

    def _shared(self, index: str) -> str:
        at = int(index)
        if not 0 <= at < len(self._strings):
            raise damaged(f"a cell of row {self._row.number} refers to text that does not exist")
        return self._strings[at]

    def _number(self, text: str) -> str:
        style = self._style()
        if style.plain and text.isdecimal() and text.isascii() and len(text) <= 15:
            return text.lstrip("0") or "0"
        value = number_format.parse_number(text)
        if value is None:
            raise damaged(f"a cell of row {self._row.number} contains “{text[:20]}” where a number belongs")
        result = style.text(value)
        if style.date:
            self._fault("spreadsheet-damage", result, DATE)
        elif has_lost_digits(value):
            self._fault("number-too-long", number_format.format_general(value))
        return result

    def _style(self) -> _Style:
        index = int(self._cell.get("s", "0"))
        return self._formats[index] if 0 <= index < len(self._formats) else _PLAIN

    def _fault(self, code: str, value: str = "", cause: str = "") -> None:
        self._budget.take(FAULT, f"the problems of row {self._row.number}")
        self._row.faults.append(CellFault(self._row.number, self._column, code, value, cause))


_LETTERS = re.compile(r"[A-Z]{1,3}")
_MERGE = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7}):\$?([A-Z]{1,3})\$?([0-9]{1,7})")


def _parse_column(letters: str) -> int:
    if not _LETTERS.fullmatch(letters):
        raise damaged(f"a cell is at “{letters[:10]}”")
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - ord("A") + 1
    if column > MOST_COLUMNS:
        raise damaged(f"a cell is at “{letters}”, beyond the last column")
    return column - 1
