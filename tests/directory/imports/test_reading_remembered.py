"""How a file was read is remembered for the agency (F2, F12), and the line ending of its last row (F11)."""

import csv
import io

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.agency import agency_settings
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import history
from musterbook.directory.imports.file_import import Upload, run_import
from musterbook.directory.imports.options import Options
from tests.directory.cast import NOW, agency, apply_rows, file, people, run

pytestmark = pytest.mark.django_db
CENTRAL = file(people(1, LAST_NAME="Dvořák")).decode().encode("windows-1250")


def last_names(made: models.Agency) -> list[str]:
    return [*models.User.objects.filter(agency=made).order_by("pk").values_list("last_name", flat=True)]


def notes(record: models.Import) -> list[str]:
    return [*models.ImportProblem.objects.filter(of=record, row=0, note=True).values_list("code", flat=True)]


def results(record: models.Import) -> list[dict[str, str]]:
    with history.open_results_file(record, "results") as stream:
        return [*csv.DictReader(io.StringIO(stream.read().decode("utf-8-sig")))]


def test_an_encoding_and_a_header_row_are_remembered_once_an_import_is_applied() -> None:
    made = agency()
    options = Options(encoding="windows-1250", header_row=3)
    run(made, b"Roster\n\n" + CENTRAL, Options(preview=True, encoding="windows-1250", header_row=3))
    made.refresh_from_db()
    assert made.reading == {}
    apply_rows(made, b"Roster\n\n" + CENTRAL, options)
    made.refresh_from_db()
    assert made.reading == {"encoding": "windows-1250", "header_row": 3}
    apply_rows(
        made, CENTRAL.replace(b"E-1", b"E-2").replace(b"1@", b"2@").replace(b"B-1", b"B-2").replace(b"r.1", b"r.2")
    )
    assert last_names(made) == ["Dvořák", "Dvořák"]


def test_what_is_remembered_can_be_forgotten_with_an_event() -> None:
    made = agency()
    apply_rows(made, CENTRAL, Options(encoding="windows-1250"))
    made.refresh_from_db()
    context = AuditContext(NOW, "", "page")
    assert agency_settings.forget_reading(made, "encoding", context)
    assert not agency_settings.forget_reading(made, "encoding", context)
    made.refresh_from_db()
    assert made.reading == {}
    event = models.Event.objects.filter(agency=made).latest("pk")
    assert "file encoding" in event.changes


def test_options_of_reading_are_stored_only_if_they_are_given() -> None:
    options = Options(header_row=4, expect_rows=0)
    assert Options.of_json(options.as_json()) == options
    assert not {"header_row", "expect_rows"} & Options().as_json().keys()


def test_a_missing_last_line_ending_is_noted_if_the_previous_file_of_the_source_had_one() -> None:
    """F11."""
    made = agency()
    ended, open_end = file(people(1, 2)), file(people(1, 2)).rstrip()
    assert "no-final-line-end" not in notes(run(made, open_end).record)
    run(made, ended)
    run(made, ended, Options(preview=True))
    assert "no-final-line-end" in notes(run(made, open_end, Options(preview=True)).record)
    assert "no-final-line-end" in notes(run(made, open_end).record)
    assert "no-final-line-end" not in notes(run(made, open_end).record)
    run(made, ended, Options(source="hr"))
    assert "no-final-line-end" not in notes(run(made, open_end).record)
    assert "no-final-line-end" in notes(run(made, open_end, Options(source="hr")).record)


def test_a_file_that_is_cut_off_or_refused_or_empty_has_no_note_of_its_last_line_ending() -> None:
    """F11."""
    made = agency()
    ended = file(people(1, 2))
    apply_rows(made, ended)
    assert notes(run(made, ended + b"E-3,x").record) == ["cut-off"]
    apply_rows(made, ended)
    assert notes(run(made, ended.replace(b"EMAIL", b"Mail").rstrip()).record) == []
    assert notes(run(made, ended.partition(b"\r\n")[0]).record) == []


def test_another_number_of_rows_than_expected_refuses_the_file() -> None:
    made = agency()
    record = run(made, people(1, 2), Options(expect_rows=3)).record
    assert record.state == "refused"
    assert models.ImportProblem.objects.get(of=record, row=0).code == "row-count"


def test_the_results_file_lines_up_with_a_title_a_trailer_and_repeated_rows() -> None:
    """A2: it is made from the file again, in the way in which the file was read."""
    made = agency()
    rows = file(people(1, 2)).decode().splitlines()
    text = "\n".join(["Roster;x", *(row.replace(",", ";") for row in (*rows, rows[1], rows[0])), "Total: 3", ""])
    record = run(made, text.encode("windows-1250"), Options(encoding="windows-1250")).record
    assert record.counts["skipped"] == 3
    made.refresh_from_db()
    assert [(row["X_ROW"], row["X_RESULT"], row["EXTERNAL_ID"]) for row in results(record)] == [
        ("3", "added", "E-1"), ("4", "added", "E-2"), ("5", "skipped", "E-1"), ("6", "skipped", "EXTERNAL_ID"),
        ("7", "skipped", "Total: 3"),
    ]  # fmt: skip


def test_a_heading_that_serves_two_columns_is_read_again_for_the_results_file() -> None:
    """F5."""
    made = agency()
    content = file(people(1)).replace(b"USERNAME", b"Desk")
    record = run(made, content, Options(mapping={"EMAIL": "EMAIL,USERNAME"})).record
    assert [row["X_RESULT"] for row in results(record)] == ["added"]
    assert models.User.objects.get(agency=made).username == "user1@agency.example"
    made.refresh_from_db()
    assert made.mapping == {"EMAIL": "EMAIL,USERNAME"}
    assert run(made, content).record.counts["unchanged"] == 1


def test_what_is_remembered_of_users_is_not_used_for_new_external_ids() -> None:
    made = agency()
    made.reading, made.mapping = {"header_row": 2}, {"EMAIL": "EMAIL,USERNAME", "PHONE": ""}
    made.save()
    upload = Upload(b"EXTERNAL_ID,NEW_EXTERNAL_ID\nE-1,N-1\n", "ids.csv")
    record = run_import(made, upload, Options(Mode.REKEY), context=AuditContext(NOW, "", "cli")).record
    assert record.counts["rows"] == 1


def test_how_a_file_of_new_external_ids_was_read_is_not_remembered_for_users() -> None:
    made = agency()
    apply_rows(made, people(1))
    content = b"New numbers\nEXTERNAL_ID,NEW_EXTERNAL_ID\nE-1,N-1\n"
    apply_rows(made, content, Options(Mode.REKEY, header_row=2, encoding="windows-1250"))
    made.refresh_from_db()
    assert made.reading == {} and models.User.objects.get(agency=made).external_id == "N-1"


def test_a_lock_file_is_named_as_such() -> None:
    """F2: by its content, or by its name if it has NUL bytes."""
    made = agency()
    for name in ("~$roster.xlsx", "._roster.csv"):
        record = run_import(made, Upload(b"ab\0cd", name), Options(), context=AuditContext(NOW, "", "cli")).record
        assert name[:2] in models.ImportProblem.objects.get(of=record, row=0).detail
