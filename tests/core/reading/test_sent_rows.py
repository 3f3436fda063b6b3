"""The law of rows that a program sends: the import of their file reads every value exactly as a form would."""

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from musterbook.core.domain.columns import COLUMNS, EXAMPLES, FIRST_NAME, LAST_NAME, REQUIRED, Column
from musterbook.core.reading import intake, sent_rows
from musterbook.core.reading.intake import ReadOptions
from musterbook.core.reading.sent_rows import UnsendableText
from musterbook.core.values import text
from tests.examples import examples

ODD = (
    "", " ", "=1+1", '="00123"', "'=1", "''+2", "+1 202 555 0143", "-1", "@x", "'", '"', '""', 'a "b" c', "a,b", "a;b\tc",
    "00123", "1E5", "2026-01-02", "NULL", "line\nbreak", "a\r\nb", "a\rb", "\x1a", "\x85", "\u2028", "\ufeffa", "\u200b=1",
    "Ã©", "é", "e\u0301", "😀", "sep=;", "EXTERNAL_ID", "Total: 3 rows", "x" * 300, "\x00"[:0], "\x1b[0m", "#N/A", "\\",
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    st.text("='\"+-@, \n\r\t;a0", max_size=8),
)
COLUMN_SETS = st.sampled_from([COLUMNS, REQUIRED, (*REQUIRED, COLUMNS[-1])])


def read(present: tuple[Column, ...], rows: list[list[str]]) -> pl.DataFrame:
    """What an import reads of the rows, as it compares it."""
    sent = [dict(zip((column.heading for column in present), row, strict=True)) for row in rows]
    options = ReadOptions(
        encoding=sent_rows.ENCODING, delimiter=sent_rows.DELIMITER, header_row=sent_rows.HEADER_ROW, exact=True,
        mapping={column.heading: column.heading for column in present},
    )  # fmt: skip
    table = intake.read(sent_rows.write_file(present, sent), options)
    assert not (table.problems or table.notes or table.trailer or table.cut_off or table.surplus)
    assert table.skipped.is_empty() and table.faults.is_empty() and table.present == present
    return table.cells.select("row", *(text.clean(table.cells[column.field]).alias(column.field) for column in present))


@st.composite
def batches(draw: st.DrawFn) -> tuple[tuple[Column, ...], list[list[str]]]:
    present = draw(COLUMN_SETS)
    row = st.lists(TEXTS, min_size=len(present), max_size=len(present))
    return present, draw(st.lists(row, min_size=1, max_size=6))


@settings(max_examples=examples(500))
@given(batches())
@example((COLUMNS, [list(row) for row in EXAMPLES]))
@example((REQUIRED, [[""] * len(REQUIRED)] * 3))
@example((REQUIRED, [[column.heading for column in REQUIRED], ["Total: 1 row", *[""] * 7]]))
@example((REQUIRED, [[odd] * len(REQUIRED) for odd in ODD]))
def test_every_value_arrives_exactly(batch: tuple[tuple[Column, ...], list[list[str]]]) -> None:
    present, rows = batch
    wanted = {
        column.field: text.clean(pl.Series([row[index] for row in rows], dtype=pl.String), guarded=False).to_list()
        for index, column in enumerate(present)
    }
    arrived = read(present, rows)
    assert arrived["row"].to_list() == list(range(sent_rows.FIRST_ROW, sent_rows.FIRST_ROW + len(rows)))
    assert arrived.drop("row").to_dict(as_series=False) == wanted


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "x\udfff", "é\0"])
def test_what_no_file_can_hold_is_refused_with_its_place(bad: str) -> None:
    good = {column.heading: "x" for column in REQUIRED}
    with pytest.raises(UnsendableText) as refused:
        sent_rows.write_file(REQUIRED, [good, {**good, LAST_NAME.heading: bad}])
    assert (refused.value.index, refused.value.column) == (1, LAST_NAME)


def test_a_value_that_is_too_long_is_a_problem_of_its_row() -> None:
    rows = [{column.heading: "x" for column in REQUIRED}, {column.heading: "x" for column in REQUIRED}]
    rows[1][FIRST_NAME.heading] = "y" * 5_000
    usual = ReadOptions(exact=True)
    limits = replace(usual.limits, characters_in_cell=4_000)
    table = intake.read(sent_rows.write_file(REQUIRED, rows), replace(usual, limits=limits))
    assert table.faults.select("row", "code", "column").rows() == [(3, "cell-too-long", "FIRST_NAME")]
