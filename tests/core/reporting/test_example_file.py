"""The example file."""

import io
import re
import zipfile

from musterbook.core.reporting.example_file import build_example


def test_the_thirteen_columns_of_the_example_workbook_have_one_format() -> None:
    with zipfile.ZipFile(io.BytesIO(build_example("xlsx"))) as workbook:
        sheet = workbook.read("xl/worksheets/sheet1.xml").decode()
    assert re.findall('<col min="([0-9]+)" max="([0-9]+)" [^>]*style="1"', sheet) == [("1", "13")]
