"""What was measured is kept as it comes, told in tables, and drawn."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import plot, report
from benchmarks.measurements import Results, replace_row
from benchmarks.plans import Row

_MADE: dict[str, object] = {"commit": "abc1234", "load": 0.4, "cores": 2, "made": "2026-01-01"}


def _row(case: str = "new", database: str = "sqlite", users: int = 1000, **seconds: list[float]) -> Row:
    return Row(case, database, users, {"run": [2.0], **seconds}, peak_bytes=[200_000_000], made=_MADE)


def test_a_row_takes_the_place_of_the_one_of_the_same_case_database_and_size() -> None:
    kept = [_row(), _row(database="postgresql"), _row(users=5), _row("changed")]
    after = replace_row(kept, _row(run=[9.0]))
    assert [row.key for row in after] == [
        ("new", "sqlite", 5), ("new", "sqlite", 1000), ("changed", "sqlite", 1000), ("new", "postgresql", 1000),
    ]  # fmt: skip
    assert [row.seconds["run"] for row in after] == [[2.0], [9.0], [2.0], [2.0]]


def test_rows_are_on_the_disk_as_soon_as_they_are_put(tmp_path: Path) -> None:
    first = _row(read=[1.0])
    Results(tmp_path / "out").put(first)
    second = Results(tmp_path / "out")
    assert second.rows == [first]
    second.put(_row("start", "any", 0))
    assert [row.case for row in Results(tmp_path / "out").rows] == ["start", "new"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["last.json"]


def test_a_row_that_goes_on_after_it_was_put_is_put_again(tmp_path: Path) -> None:
    kept, row = Results(tmp_path), _row()
    kept.put(row)
    row.add("run", 4.0, 6.0)
    kept.put(row)
    assert Results(tmp_path).rows[0].seconds["run"] == [2.0, 4.0, 6.0]


def test_the_table_has_medians_spread_limit_ratio_target_memory_commit_and_load() -> None:
    row = _row(read=[0.5], write=[0.5])
    row.add("run", 1.0, 3.5)
    text = report.make_report([row])
    assert text.startswith("cores 2\n")
    (line,) = (line for line in text.splitlines() if line.startswith("| 1,000 | new"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[3] == "2.00 (1.00–3.50)"
    assert cells[6:9] == ["1.00", "2.00", "1.25"]
    assert cells[11:] == ["200", "151", "abc1234", "0.4"]
    assert "| everybody is new " in text and "**not met**" in text


def test_a_table_that_has_no_rows_is_left_out_and_remarks_stand_last() -> None:
    row = Row("kolibri", "sqlite", 10, remarks=["Kolibri: not run: no network"], made=_MADE)
    assert report.make_report([row]) == "cores 2\n\nKolibri: not run: no network\n"


def test_every_line_of_a_table_is_as_wide_as_its_heading() -> None:
    rows = [
        _row(),
        _row("unchanged", read=[1.0], select=[1.0]),
        _row("peer-new", peer=[3.0]),
        _row("edit", small=[1.0]),
    ]
    tables = [table.splitlines() for table in report.make_report(rows).split("\n\n") if table.startswith("|")]
    assert len(tables) == 3
    assert all(len({len(line) for line in table}) == 1 for table in tables)


def test_the_picture_has_a_line_for_each_of_us_the_limit_and_the_peers() -> None:
    rows = [
        *(_row("new", users=users, read=[1.0], write=[users / 1000]) for users in (1000, 1_000_000)),
        _row("peer-new", peer=[30.0]),
        _row("kolibri", peer=[70.0]),
        _row("unchanged", "postgresql"),
    ]
    assert {(line.panel, line.program, line.database, len(line.points)) for line in plot.list_lines(rows)} == {
        ("new", "Musterbook", "sqlite", 2), ("new", "bare limit", "sqlite", 2), ("new", "django-import-export", "sqlite", 1),
        ("new", "Kolibri’s bulkimportusers", "sqlite", 1), ("unchanged", "Musterbook", "postgresql", 1),
    }  # fmt: skip
    picture = ET.fromstring(plot.draw_plot(rows))
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    words = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Musterbook", "1 k", "1 M", "1 s", "everybody new", "1 % changed"} <= set(words)


def test_a_tenth_of_the_seconds_is_a_power_of_ten_lower() -> None:
    picture = ET.fromstring(
        plot.draw_plot([_row(users=users, run=[users / 10_000]) for users in (10_000, 100_000, 1_000_000)])
    )
    heights = [float(mark.attrib["cy"]) for mark in picture.iter("{http://www.w3.org/2000/svg}circle") if len(mark)]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    assert heights == sorted(heights, reverse=True)


def test_nothing_measured_cannot_be_drawn() -> None:
    with pytest.raises(plot.NothingToDraw, match="Nothing that can be drawn"):
        plot.draw_plot([_row("start", "any", 0)])
