"""The example file: headings, four rows, and in a workbook the agency's names, none of which is ever a formula."""

import csv
import io
import re
import zipfile

import pytest

from musterbook.core.domain.columns import COLUMNS, EXAMPLES
from musterbook.core.domain.vocabulary import Group, Rank, Role, Vocabulary
from musterbook.core.reading import intake
from musterbook.core.reporting.example_file import build_example

ATTACKS = ("=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "=cmd|' /C calc'!A0", "\tx", "http://evil.example/")

WORDS = Vocabulary(
    (Role(1, "Admin", administrator=True), Role(2, "Officer"), *(Role(10 + n, name) for n, name in enumerate(ATTACKS))),
    (*(Rank(n, name) for n, name in enumerate(ATTACKS, 10)), Rank(1, "Sergeant", "Sgt"), Rank(2, "Captain")),
    (Group(1, "CLOSED", active=False), *(Group(n, name) for n, name in enumerate(ATTACKS, 10)), Group(2, "K9")),
)


def open_workbook(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as workbook:
        return {name: workbook.read(name).decode() for name in workbook.namelist() if name.endswith(".xml")}


def test_the_thirteen_columns_of_the_example_workbook_have_one_format() -> None:
    sheet = open_workbook(build_example("xlsx"))["xl/worksheets/sheet1.xml"]
    assert re.findall('<col min="([0-9]+)" max="([0-9]+)" [^>]*style="1"', sheet) == [("1", "13")]
    assert '<pane ySplit="1"' in sheet and 'state="frozen"' in sheet


def test_the_workbook_of_an_agency_lists_its_names_and_offers_them_in_the_cells() -> None:
    parts = open_workbook(build_example("xlsx", WORDS))
    users, lists = parts["xl/worksheets/sheet1.xml"], parts["xl/worksheets/sheet2.xml"]
    assert re.findall('<col min="([0-9]+)" max="([0-9]+)"', lists) == [("1", "5")]
    assert re.findall(r'name="(Users|Lists)"', parts["xl/workbook.xml"]) == ["Users", "Lists"]
    assert '<pane ySplit="1"' in users and '<pane ySplit="1"' in lists
    offered = dict(
        re.findall(r'<dataValidation type="list"[^>]*sqref="(\w+:\w+)"[^>]*><formula1>([^<]*)</formula1>', users)
    )
    assert offered == {
        "F2:F10001": "Lists!$A$2:$A$3",
        "H2:H10001": "Lists!$B$2:$B$10",
        "K2:K10001": "Lists!$C$2:$C$10",
        "L2:L10001": "Lists!$E$2:$E$9",
    }
    texts = re.findall(r"<t[^>]*>([^<]*)</t>", parts["xl/sharedStrings.xml"])
    assert {"For ROLE", "Officer", "Sergeant", "Sgt", "K9"} <= set(texts) and "CLOSED" not in texts


def test_no_name_is_a_formula_or_a_link_in_the_workbook() -> None:
    """An attack: a file of the agency's own names, opened by an administrator."""
    content = build_example("xlsx", WORDS)
    for name, part in open_workbook(content).items():
        assert not re.search(r"<f[ >]|<hyperlink|ddeLink|externalLink", part), name
        if "worksheets" in name:
            assert set(re.findall(r'<c [^>]*?t="(\w+)"', part)) == {"s"}


def test_no_cell_of_the_csv_begins_like_a_formula() -> None:
    content = build_example("csv", WORDS).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(content, newline="")))
    suspicious = {cell for row in rows for cell in row if cell and not cell[0].isalnum()}
    assert suspicious == {"+12025550101", "+12025550102"}
    hostile = Vocabulary((Role(1, "=1"),), (Rank(1, "=1"),), (Group(1, "=1"),))
    assert b"=1" not in build_example("csv", hostile)


def test_the_examples_use_names_of_the_agency() -> None:
    rows = list(csv.DictReader(io.StringIO(build_example("csv", WORDS).decode("utf-8-sig"), newline="")))
    assert [row["ROLE"] for row in rows] == ["Admin", "Officer", *rows[2]["ROLE"].splitlines(), rows[3]["ROLE"]]
    assert [row["EVIDENCE_GROUP_EXT_ID"] for row in rows] == ["http://evil.example/", "K9", "K9", "K9"]
    assert [row["RANK"] for row in rows] == ["http://evil.example/", "Sergeant", "Captain", "Captain"]
    empty = list(csv.DictReader(io.StringIO(build_example("csv", Vocabulary()).decode("utf-8-sig"), newline="")))
    assert [(row["ROLE"], row["RANK"]) for row in empty] == [("Admin", "")] * 4


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_the_example_of_an_agency_is_read_as_examples(form: str) -> None:
    table = intake.read(build_example("xlsx" if form == "xlsx" else "csv", WORDS))
    assert not table.problems
    assert table.present == COLUMNS
    assert table.skipped.height == len(EXAMPLES) and table.cells.height == 0
