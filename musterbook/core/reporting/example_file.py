"""The example file: the thirteen headings and four rows that an import recognizes and skips (rule F6).

For an agency, it names the agency's own roles, ranks and groups. The workbook lists them on a second sheet and offers them
in its cells. Names are data of users, so no cell of either file is a formula.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from musterbook.core.domain import columns
from musterbook.core.domain.columns import COLUMNS, EXAMPLES, Column
from musterbook.core.domain.vocabulary import Vocabulary

_USERS, _LISTS = "Users", "Lists"
_ROWS_WITH_LISTS = 10_000
"""The rows of the sheet of users whose cells offer the agency's names."""
_MOST_NAMES = 10_000
"""The most names of one list."""
_WIDTH = 24
_PLAIN = re.compile(r"[^\W_][^\r\n\t]*")
"""A name that no spreadsheet takes for a formula in a CSV file."""


def build_example(form: Literal["csv", "xlsx"], words: Vocabulary | None = None) -> bytes:
    """Return the example file as CSV (UTF-8 with a byte order mark) or as a workbook of text cells.

    `words`: the names of an agency; None for an example for any agency.
    """
    rows = [tuple(column.heading for column in COLUMNS), *(_name_examples(words) if words else EXAMPLES)]
    return _render_workbook(rows, words) if form == "xlsx" else _render_csv(rows)


def _name_examples(words: Vocabulary) -> list[tuple[str, ...]]:
    """Return the example rows with names that the agency has."""
    roles = [role.name for role in words.roles if not role.administrator and _is_plain(role.name)]
    ranks = [rank.name for rank in words.ranks if _is_plain(rank.name)]
    groups = [group.external_id for group in words.groups if group.active and _is_plain(group.external_id)]
    places = {column: index for index, column in enumerate(COLUMNS)}
    rows = []
    for number, row in enumerate(EXAMPLES):
        cells = [*row]
        if number and roles:
            cells[places[columns.ROLE]] = roles[min(number - 1, len(roles) - 1)]
        elif number:
            cells[places[columns.ROLE]] = EXAMPLES[0][places[columns.ROLE]]
        cells[places[columns.RANK]] = ranks[min(number, len(ranks) - 1)] if ranks else ""
        cells[places[columns.EVIDENCE_GROUP_EXT_ID]] = groups[min(number, len(groups) - 1)] if groups else ""
        rows.append(tuple(cells))
    return rows


def _is_plain(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None


def _render_csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8-sig")


def _render_workbook(rows: Sequence[Sequence[str]], words: Vocabulary | None) -> bytes:
    import xlsxwriter  # type: ignore[import-untyped]  # it has no types; imported here because it is slow to load

    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True}) as book:
        text = book.add_format({"num_format": "@"})
        bold = book.add_format({"num_format": "@", "bold": True, "bottom": 1})
        sheet = book.add_worksheet(_USERS)
        _write_rows(sheet, rows, text, bold)
        if words is not None:
            _add_lists(sheet, _write_lists(book.add_worksheet(_LISTS), words, text, bold))
    return target.getvalue()


def _write_rows(sheet: Any, rows: Iterable[Sequence[str]], text: object, bold: object) -> None:
    """Write the rows below a bold header that stays in view.

    Every cell is text, whatever it begins with: neither a formula, nor a link, nor a number.
    """
    for index, row in enumerate(rows):
        for place, cell in enumerate(row):
            sheet.write_string(index, place, cell, text if index else bold)
    sheet.set_column(0, len(COLUMNS) - 1, _WIDTH, text)
    sheet.freeze_panes(1, 0)


def _write_lists(sheet: Any, words: Vocabulary, text: object, bold: object) -> dict[Column, tuple[int, int]]:
    """Write what the agency's cells may name. Return the place and the length of the list of each column."""
    active = [group for group in words.groups if group.active]
    lists: list[tuple[str, Column | None, Sequence[str]]] = [
        ("For STATUS", columns.STATUS, ("Active", "Inactive")),
        ("For ROLE", columns.ROLE, [role.name for role in words.roles]),
        ("For RANK", columns.RANK, [rank.name for rank in words.ranks]),
        ("Or for RANK", None, [rank.abbreviation for rank in words.ranks]),
        ("For EVIDENCE_GROUP_EXT_ID", columns.EVIDENCE_GROUP_EXT_ID, [group.external_id for group in active]),
    ]
    found: dict[Column, tuple[int, int]] = {}
    for place, (title, column, names) in enumerate(lists):
        sheet.write_string(0, place, title, bold)
        for index, name in enumerate(names[:_MOST_NAMES], 1):
            sheet.write_string(index, place, name, text)
        if column and names:
            found[column] = (place, min(len(names), _MOST_NAMES))
    sheet.set_column(0, len(lists) - 1, _WIDTH + 6, text)
    sheet.freeze_panes(1, 0)
    return found


def _add_lists(sheet: Any, lists: dict[Column, tuple[int, int]]) -> None:
    """Offer each list in the cells of its column. Another name can be typed, after a warning."""
    for column, (place, length) in lists.items():
        at, letter = COLUMNS.index(column), chr(ord("A") + place)
        sheet.data_validation(
            1, at, _ROWS_WITH_LISTS, at,
            {
                "validate": "list", "source": f"={_LISTS}!${letter}$2:${letter}${length + 1}", "error_type": "warning",
                "error_title": "Not in the list", "error_message": f"See the sheet {_LISTS} for the names of your agency.",
            },
        )  # fmt: skip
