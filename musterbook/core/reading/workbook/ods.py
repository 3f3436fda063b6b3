"""The .ods reader: the rows of each sheet in order, with the text that each cell shows."""

import re
from collections.abc import Iterator

from musterbook.core.domain.problems import Problem
from musterbook.core.reading.budget import FAULT, Budget
from musterbook.core.reading.grid import CellFault, Refusal, is_blank
from musterbook.core.reading.workbook import number_format
from musterbook.core.reading.workbook.archive import Archive, damaged
from musterbook.core.reading.workbook.sheet import (
    DATE,
    HEAD,
    MOST_COLUMNS,
    MOST_ROWS,
    Row,
    SilentHandler,
    has_lost_digits,
    take_head,
)

Attributes = dict[str, str]
_CONTENT = "content.xml"
_MOST_REPEATED = 5_000_000
"""The number of cells that a sheet may hold by repeating others. A few bytes could ask for billions."""


class OdsBook:
    """An .ods workbook."""

    def __init__(self, archive: Archive, budget: Budget) -> None:
        self._archive = archive
        self._budget = budget
        manifest = _Manifest()
        if archive.has("META-INF/manifest.xml"):
            archive.parse("META-INF/manifest.xml", manifest)
        if manifest.encrypted:
            raise Refusal(Problem.of("encrypted-workbook"))
        outline = _Outline(budget)
        archive.parse(_CONTENT, outline)
        self._places, self._hidden = (
            {
                name: position
                for position, (name, style) in enumerate(outline.tables)
                if (style in outline.hidden) is hidden
            }
            for hidden in (False, True)
        )
        self._heads = outline.heads
        self._merged: list[tuple[int, int, int, int]] = []

    @property
    def sheets(self) -> list[str]:
        """Return the names of the visible sheets, in workbook order."""
        return list(self._places)

    @property
    def hidden(self) -> list[str]:
        """Return the names of the hidden sheets."""
        return list(self._hidden)

    @property
    def merged(self) -> list[tuple[int, int, int, int]]:
        """Return the merged cells of the sheet whose rows were read last."""
        return self._merged

    def head(self, sheet: str) -> list[Row]:
        """Return the rows of a sheet that are not empty, as far as row 30, and at least the first one."""
        return self._heads.get(self._places.get(sheet, self._hidden.get(sheet, 0)), [])

    def rows(self, sheet: str) -> Iterator[Row]:
        """Yield the rows of a sheet that are not empty, in ascending order."""
        reader = _SheetReader(self._places[sheet], self._budget)
        self._merged = reader.merged
        for _ in self._archive.parsing(_CONTENT, reader):
            ready, reader.ready = reader.ready, []
            for row, times in ready:
                yield from _repeat_row(row, times)
            if reader.done:
                return


def _repeat_row(row: Row, times: int) -> Iterator[Row]:
    """Yield the row and its repetitions one by one. A few bytes may ask for a million."""
    yield row
    for number in range(row.number + 1, row.number + times):
        faults = [CellFault(number, f.index, f.code, f.value, f.cause) for f in row.faults]
        yield Row(number, row.cells, faults)


def _get_attribute(attributes: Attributes, name: str, default: str = "") -> str:
    """Return an attribute by its name without prefix."""
    for key, value in attributes.items():
        if key[key.rfind(":") + 1 :] == name:
            return value
    return default


class _Manifest(SilentHandler):
    def __init__(self) -> None:
        self.encrypted = False

    def start(self, name: str, attributes: Attributes) -> None:  # noqa: ARG002  (the signature of a handler)
        """Handle the start of an element."""
        self.encrypted = self.encrypted or name == "encryption-data"


class _Outline(SilentHandler):
    """The sheets, each with its style and its first row, and the styles that hide a sheet."""

    def __init__(self, budget: Budget) -> None:
        self.tables: list[tuple[str, str]] = []
        self.hidden: set[str] = set()
        self.heads: dict[int, list[Row]] = {}
        self._budget = budget
        self._reader: _SheetReader | None = None
        self._style = ""
        self._depth = 0

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle the start of an element."""
        if name == "table":
            self._depth += 1
            if self._depth == 1:
                self._add(_get_attribute(attributes, "name"), _get_attribute(attributes, "style-name"))
        elif name == "style":
            self._style = _get_attribute(attributes, "name")
        elif name == "table-properties" and _get_attribute(attributes, "display") == "false":
            self._budget.keep("its styles", self._style)
            self.hidden.add(self._style)
        if self._reader:
            self._reader.start(name, attributes)

    def _add(self, name: str, style: str) -> None:
        self._budget.keep("its sheets", name, style)
        self.tables.append((name, style))
        self._reader = _SheetReader(0, self._budget)

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        self._depth -= name == "table"
        if self._reader:
            self._reader.end(name)
            if (self._reader.ready and self._take_head(self._reader)) or self._reader.done:
                self._reader = None

    def _take_head(self, reader: "_SheetReader") -> bool:
        """Keep the row that is ready, with its repetitions, if it is one of the first. Return whether they are enough."""
        head = self.heads.setdefault(len(self.tables) - 1, [])
        row, times = reader.ready.pop()
        if not head or row.number <= HEAD:
            head += take_head(_repeat_row(row, times), self._budget)
        return row.number + times > HEAD

    def text(self, text: str) -> None:
        """Handle text."""
        if self._reader:
            self._reader.text(text)


_ATTACHMENTS = frozenset(("annotation", "ruby-text", "shapes", "frame", "custom-shape"))
"""Elements that are attached to a cell and are not part of its text."""
_SCIENTIFIC = re.compile(r"[-+]?\d+([.,]\d+)?[eE][-+]?\d+")


class _SheetReader(SilentHandler):
    """A handler that assembles the cells of the sheet at `position`.

    `ready` holds the finished rows, each with its number of repetitions.
    """

    def __init__(self, position: int, budget: Budget) -> None:
        self.ready: list[tuple[Row, int]] = []
        self.merged: list[tuple[int, int, int, int]] = []
        self.done = False
        self._budget = budget
        self._tables_left = position
        self._depth = 0
        self._aside = 0
        self._number = 0
        self._row = Row(0)
        self._row_times = 1
        self._column = 0
        self._cell: Attributes = {}
        self._lines: list[list[str]] = []
        self._room = 0
        self._in_text = 0
        self._repeated = 0

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle the start of an element."""
        if name == "table":
            self._depth += 1
        elif self._tables_left or self.done or self._depth != 1:
            return
        elif name in _ATTACHMENTS:
            self._aside += 1
        elif name == "table-row":
            self._begin_row(attributes)
        elif name in ("table-cell", "covered-table-cell"):
            self._cell, self._lines, self._room = attributes, [], self._budget.cell
        elif not self._aside:
            self._begin_text(name, attributes)

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if name == "table":
            self._depth -= 1
            if not self._depth:
                self.done = self.done or self._tables_left == 0
                self._tables_left -= 1
        elif self._tables_left or self.done or self._depth != 1:
            return
        elif name in _ATTACHMENTS:
            self._aside -= 1
        elif name == "table-row":
            self._end_row()
        elif name in ("table-cell", "covered-table-cell"):
            self._end_cell()
        elif name == "p" and not self._aside:
            self._in_text -= 1

    def text(self, text: str) -> None:
        """Handle text."""
        if self._in_text and not self._aside and self._lines:
            self._write(text)

    def _begin_text(self, name: str, attributes: Attributes) -> None:
        if name == "p":
            self._in_text += 1
            if self._room > 0:
                self._room -= bool(self._lines)  # the line break between two paragraphs
                self._lines.append([])
        elif self._lines and name in ("s", "tab", "line-break"):
            times = int(_get_attribute(attributes, "c", "1")) if name == "s" else 1
            if self._room > 0:
                self._write({"s": " ", "tab": "\t", "line-break": "\n"}[name] * min(times, self._room))

    def _write(self, text: str) -> None:
        """Add text to the cell, as far as it has room. Longer text is a problem in any case."""
        if self._room > 0:
            self._lines[-1].append(text[: self._room])
            self._room -= len(text)

    def _begin_row(self, attributes: Attributes) -> None:
        self._row_times = max(int(_get_attribute(attributes, "number-rows-repeated", "1")), 1)
        self._row = Row(self._number + 1)
        self._column = 0

    def _end_row(self) -> None:
        self._number += self._row_times
        if not (self._row.cells or self._row.faults):
            return
        self._count(len(self._row.cells) * (self._row_times - 1))
        if self._number > MOST_ROWS:
            raise damaged("a sheet has too many rows")
        self.ready.append((self._row, self._row_times))

    def _end_cell(self) -> None:
        times = max(int(_get_attribute(self._cell, "number-columns-repeated", "1")), 1)
        self._take_merge()
        value = self._value("\n".join("".join(line) for line in self._lines))
        if not is_blank(value):
            self._count(times - 1)
            if self._column + times > MOST_COLUMNS:
                raise damaged("a sheet has too many columns")
            self._row.cells.update(dict.fromkeys(range(self._column, self._column + times), value))
        self._column += times

    def _take_merge(self) -> None:
        """Note a cell that is merged with the cells right of it and below it."""
        down, right = (int(_get_attribute(self._cell, f"number-{name}-spanned", "1")) for name in ("rows", "columns"))
        if down > 1 or right > 1:
            self._budget.take(FAULT, "its merged cells")
            row = self._row.number
            self.merged.append((row, row + down - 1, self._column, self._column + right - 1))

    def _count(self, repeated: int) -> None:
        self._repeated += repeated
        if self._repeated > _MOST_REPEATED:
            raise damaged("it repeats its cells too many times")

    def _value(self, text: str) -> str:
        """Return the text of the cell that ends, and record its faults."""
        kind = _get_attribute(self._cell, "value-type")
        if not kind and not text and _get_attribute(self._cell, "formula"):
            self._fault("no-result")
        if kind == "date":
            day = _get_attribute(self._cell, "date-value").removesuffix("T00:00:00").replace("T", " ")
            self._fault("spreadsheet-damage", day, DATE)
            return day
        value = number_format.parse_number(_get_attribute(self._cell, "value")) if kind == "float" else None
        if value is not None and has_lost_digits(value):
            self._fault("number-too-long", number_format.format_general(value))
        return number_format.format_general(value) if value is not None and _SCIENTIFIC.fullmatch(text) else text

    def _fault(self, code: str, value: str = "", cause: str = "") -> None:
        self._budget.take(FAULT * self._row_times, f"the problems of row {self._row.number}")
        self._row.faults.append(CellFault(self._row.number, self._column, code, value, cause))
