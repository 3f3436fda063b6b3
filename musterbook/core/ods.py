"""Opens an .ods workbook and reads the rows of its sheets in order: a cell's text is the text that it shows."""

import re
from collections.abc import Iterator

from musterbook.core import numberformat
from musterbook.core.archive import Archive, damaged
from musterbook.core.grid import CellFault, Refusal, blank
from musterbook.core.problems import Problem
from musterbook.core.sheet import DATE, MOST_COLUMNS, MOST_ROWS, Row, Silent, too_long

Attributes = dict[str, str]
_CONTENT = "content.xml"
_MOST_REPEATED = 5_000_000
"""So many cells may a sheet hold by repeating others: a few bytes could ask for billions."""


class OdsBook:
    """An .ods workbook."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        manifest = _Manifest()
        if archive.has("META-INF/manifest.xml"):
            archive.parse("META-INF/manifest.xml", manifest)
        if manifest.encrypted:
            raise Refusal(Problem("encrypted-workbook"))
        outline = _Outline()
        archive.parse(_CONTENT, outline)
        self._places = {
            name: place for place, (name, style) in enumerate(outline.tables) if style not in outline.hidden
        }

    @property
    def sheets(self) -> list[str]:
        """The names of its visible sheets, in their order."""
        return list(self._places)

    def rows(self, sheet: str) -> Iterator[Row]:
        """The rows of a sheet that hold anything, rising."""
        reader = _SheetReader(self._places[sheet])
        for _ in self._archive.parsing(_CONTENT, reader):
            ready, reader.ready = reader.ready, []
            yield from ready
            if reader.done:
                return


def _of(attributes: Attributes, name: str, default: str = "") -> str:
    """An attribute by its name without prefix."""
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == name), default)


class _Manifest(Silent):
    def __init__(self) -> None:
        self.encrypted = False

    def start(self, name: str, attributes: Attributes) -> None:  # noqa: ARG002  (the handler's form)
        """An element begins."""
        self.encrypted = self.encrypted or name == "encryption-data"


class _Outline(Silent):
    """The sheets, each with its style, and the styles that hide a sheet."""

    def __init__(self) -> None:
        self.tables: list[tuple[str, str]] = []
        self.hidden: set[str] = set()
        self._style = ""
        self._depth = 0

    def start(self, name: str, attributes: Attributes) -> None:
        """An element begins."""
        if name == "style":
            self._style = _of(attributes, "name")
        elif name == "table-properties" and _of(attributes, "display") == "false":
            self.hidden.add(self._style)
        elif name == "table":
            if not self._depth:
                self.tables.append((_of(attributes, "name"), _of(attributes, "style-name")))
            self._depth += 1

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "table":
            self._depth -= 1


_ASIDE = frozenset(("annotation", "ruby-text", "shapes", "frame", "custom-shape"))
"""What hangs upon a cell and is no part of its text."""
_SCIENTIFIC = re.compile(r"[-+]?\d+([.,]\d+)?[eE][-+]?\d+")


class _SheetReader(Silent):
    """Puts the cells of the sheet in place `wanted` together; `ready` are the rows that are done."""

    def __init__(self, wanted: int) -> None:
        self.ready: list[Row] = []
        self.done = False
        self._tables_to_come = wanted
        self._depth = 0
        self._aside = 0
        self._number = 0
        self._row = Row(0)
        self._row_times = 1
        self._column = 0
        self._cell: Attributes = {}
        self._lines: list[list[str]] = []
        self._in_text = 0
        self._repeated = 0

    def start(self, name: str, attributes: Attributes) -> None:
        """An element begins."""
        if name == "table":
            self._depth += 1
        elif self._tables_to_come or self.done or self._depth != 1:
            return
        elif name in _ASIDE:
            self._aside += 1
        elif name == "table-row":
            self._begin_row(attributes)
        elif name in ("table-cell", "covered-table-cell"):
            self._cell, self._lines = attributes, []
        elif not self._aside:
            self._begin_text(name, attributes)

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "table":
            self._depth -= 1
            if not self._depth:
                self.done = self.done or self._tables_to_come == 0
                self._tables_to_come -= 1
        elif self._tables_to_come or self.done or self._depth != 1:
            return
        elif name in _ASIDE:
            self._aside -= 1
        elif name == "table-row":
            self._end_row()
        elif name in ("table-cell", "covered-table-cell"):
            self._end_cell()
        elif name == "p" and not self._aside:
            self._in_text -= 1

    def text(self, text: str) -> None:
        """Some text."""
        if self._in_text and not self._aside and self._lines:
            self._lines[-1].append(text)

    def _begin_text(self, name: str, attributes: Attributes) -> None:
        if name == "p":
            self._in_text += 1
            self._lines.append([])
        elif self._lines and name in ("s", "tab", "line-break"):
            times = min(int(_of(attributes, "c", "1")), 10_000) if name == "s" else 1
            self._lines[-1].append({"s": " ", "tab": "\t", "line-break": "\n"}[name] * times)

    def _begin_row(self, attributes: Attributes) -> None:
        self._row_times = max(int(_of(attributes, "number-rows-repeated", "1")), 1)
        self._row = Row(self._number + 1)
        self._column = 0

    def _end_row(self) -> None:
        first = self._number + 1
        self._number += self._row_times
        if not (self._row.cells or self._row.faults):
            return
        self._count(len(self._row.cells) * (self._row_times - 1))
        if self._number > MOST_ROWS:
            raise damaged("a sheet has more rows than any may have")
        for number in range(first, self._number + 1):
            faults = [CellFault(number, f.index, f.code, f.value, f.detail) for f in self._row.faults]
            self.ready.append(Row(number, self._row.cells, faults))

    def _end_cell(self) -> None:
        times = max(int(_of(self._cell, "number-columns-repeated", "1")), 1)
        value = self._value("\n".join("".join(line) for line in self._lines))
        if not blank(value):
            self._count(times - 1)
            if self._column + times > MOST_COLUMNS:
                raise damaged("a sheet has more columns than any may have")
            self._row.cells.update(dict.fromkeys(range(self._column, self._column + times), value))
        self._column += times

    def _count(self, repeated: int) -> None:
        self._repeated += repeated
        if self._repeated > _MOST_REPEATED:
            raise damaged("it repeats its cells over and over")

    def _value(self, shown: str) -> str:
        """The text of the cell that ends, and its faults."""
        kind = _of(self._cell, "value-type")
        if not kind and not shown and _of(self._cell, "formula"):
            self._fault("no-result")
        if kind == "date":
            day = _of(self._cell, "date-value").removesuffix("T00:00:00").replace("T", " ")
            self._fault("spreadsheet-damage", day, DATE)
            return day
        value = numberformat.number(_of(self._cell, "value")) if kind == "float" else None
        if value is not None and too_long(value):
            self._fault("number-too-long", numberformat.general(value))
        return numberformat.general(value) if value is not None and _SCIENTIFIC.fullmatch(shown) else shown

    def _fault(self, code: str, value: str = "", detail: str = "") -> None:
        self._row.faults.append(CellFault(self._row.number, self._column, code, value, detail))
