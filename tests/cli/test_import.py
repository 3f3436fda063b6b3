"""`muster import` and what looks at imports afterwards, held to the contract."""

import csv
import io
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from musterbook.cli import output
from musterbook.directory import models
from musterbook.directory.apply import writer
from musterbook.directory.imports import plan_files
from musterbook.directory.storage import formats
from tests.cli.conftest import HEADINGS, Muster, row

ANN, BOB, CAT = row("ann", role="Admin"), row("bob"), row("cat", boss="bob@springfield.example")


def test_the_answer_has_the_shape_of_the_contract(springfield: Muster) -> None:
    report = springfield.imported(ANN, row("bob", rank="Sargent"), row("cat", boss="nobody@springfield.example")).json
    assert list(report) == [
        "import", "agency", "mode", "state", "counts", "mails", "file", "problems", "notes", "held", "holds", "groups",
        "rows", "deactivated", "protected",
    ]  # fmt: skip
    assert report["counts"] == {
        "rows": 3, "added": 2, "updated": 0, "reactivated": 0, "unchanged": 0, "errored": 1, "skipped": 0,
        "deactivated": 0, "protected": 0, "marked": 0, "losing_access": 0, "privileges": 1, "handovers": 0, "cleared": 0,
        "released": 0,
    }  # fmt: skip
    assert report["file"] == {
        "format": "csv", "encoding": "utf-8", "delimiter": ",", "columns": report["file"]["columns"], "ignored": [],
    }  # fmt: skip
    assert sorted(report["file"]["columns"]) == sorted(HEADINGS)
    (errored,) = report["rows"]
    assert (errored["row"], errored["external_id"], errored["outcome"]) == (3, "E-bob", "errored")
    assert [(problem["code"], problem["column"], problem["value"]) for problem in errored["problems"]] == [
        ("unknown-rank", "RANK", "Sargent")
    ]


def test_rows_that_changed_are_listed_with_before_and_after(springfield: Muster) -> None:
    springfield.begin_with(ANN, BOB)
    report = springfield.imported(ANN, row("bob", rank="sgt"), CAT, also=("--rows", "changed")).json
    assert [(entry["external_id"], entry["outcome"]) for entry in report["rows"]] == [
        ("E-bob", "updated"),
        ("E-cat", "added"),
    ]
    assert report["rows"][0]["changes"] == {"RANK": ["", "Sergeant"]}
    assert report["rows"][1]["changes"]["SUPERVISOR_EMAIL"] == ["", "bob@springfield.example (E-bob)"]


def test_rows_with_problems_are_listed_with_those_that_changed(springfield: Muster) -> None:
    """The contract: `--rows changed` lists errored rows too, also of an import that is shown later."""
    springfield.begin_with(ANN, BOB)
    done = springfield.imported(ANN, row("bob", rank="?"), CAT, also=("--rows", "changed")).json
    listed = [("E-bob", "errored"), ("E-cat", "added")]
    shown = springfield("imports", "show", done["import"], "--output", "json", "--rows", "changed").json
    for report in (done, shown):
        assert [(entry["external_id"], entry["outcome"]) for entry in report["rows"]] == listed


def test_all_rows_are_listed_where_all_are_wanted(springfield: Muster) -> None:
    springfield.begin_with(ANN)
    report = springfield.imported(ANN, row("bob", status="?"), CAT, also=("--rows", "all")).json
    assert [entry["outcome"] for entry in report["rows"]] == ["unchanged", "errored", "added"]


@pytest.mark.parametrize(
    ("rows", "mode", "also", "status", "state"),
    [
        ((ANN,), "update", (), 0, "applied"),
        ((ANN, row("bob", status="?")), "update", (), 1, "applied"),
        ((ANN, row("bob", status="?")), "update", ("--preview",), 1, "previewed"),
        ((ANN, row("bob", status="?")), "update", ("--strict",), 3, "refused"),
        ((), "sync", (), 3, "refused"),
        ((ANN,), "update", ("--map", "Badge=BADGE_NUMBER"), 3, "refused"),
        ((ANN,), "update", ("--encoding", "latin-99"), 3, "refused"),
    ],
)  # fmt: skip
def test_the_status_says_how_it_ended(
    springfield: Muster, rows: tuple[str, ...], mode: str, also: tuple[str, ...], status: int, state: str
) -> None:
    done = springfield.imported(*rows, mode=mode, also=also)
    assert (done.status, done.json["state"]) == (status, state)
    assert models.User.objects.exists() == (state == "applied")


def test_too_many_deactivations_are_held_until_their_number_is_confirmed(springfield: Muster) -> None:
    springfield.begin_with(ANN, BOB, CAT)
    held = springfield.imported(ANN, mode="sync")
    assert (held.status, held.json["state"]) == (4, "held")
    assert held.json["held"] == {"code": "deactivation-limit", "deactivations": 2, "active": 3, "limit": 1}
    assert held.json["deactivated"] == ["E-bob", "E-cat"]
    assert springfield.imported(ANN, mode="sync", also=("--confirm-deactivations", "1")).status == 4
    assert springfield.imported(ANN, mode="sync", also=("--confirm-deactivations", "2")).status == 0
    assert models.User.objects.filter(active=True).count() == 1


def test_a_preview_that_would_be_held_is_a_preview_that_says_so(springfield: Muster) -> None:
    springfield.begin_with(ANN, BOB, CAT)
    done = springfield.imported(ANN, mode="sync", also=("--preview",))
    assert (done.status, done.json["state"], done.json["held"]["deactivations"]) == (0, "previewed", 2)


def test_the_output_names_the_next_command(springfield: Muster) -> None:
    springfield.begin_with(ANN, BOB, CAT)
    held = springfield("import", springfield.file(ANN), "--agency", "springfield-pd", "--mode", "sync")
    assert held.text.startswith("On hold, nothing has changed: springfield-pd, synchronize")
    assert "2 users would lose access. The limit is 1, with 3 active users." in held.text
    assert "E-cat        Cat Smith" in held.text
    assert held.text.rstrip().endswith("--confirm deactivations=2")


def test_errors_and_notes_are_printed_by_row(springfield: Muster) -> None:
    file = springfield.file(ANN, row("bob", rank="Sargent"), row("cat", boss="nobody@x.example"))
    done = springfield("import", file, "--agency", "springfield-pd")
    assert done.status == 1
    assert "There is no rank “Sargent”. Use one of the agency's ranks. Did you mean Sergeant" in done.text
    assert "No user has the email address “nobody@x.example”." in done.text
    assert "Fix the errored rows" in done.text
    assert "\x1b[" not in done.text


def test_what_a_terminal_would_obey_is_shown_instead(springfield: Muster) -> None:
    file = springfield.file(f"{ANN},", headings=(*HEADINGS, "\x1b[2Jgone"))
    done = springfield("import", file, "--agency", "springfield-pd")
    assert "\x1b" not in done.text
    assert "\\x1b[2Jgone" in done.text


def test_of_thousands_of_errors_the_first_fifty_are_shown(springfield: Muster) -> None:
    file = springfield.file(*(row(f"p{number}", status="?") for number in range(60)))
    done = springfield("import", file, "--agency", "springfield-pd")
    assert done.text.count("is not a status") == 50 + 1  # once more by kind (A7)
    assert "… and 10 more rows; --errors PATH writes all of them to a file." in done.text


def test_results_and_errors_are_written_as_they_came(springfield: Muster) -> None:
    results, errors = springfield.folder / "results.csv", springfield.folder / "errors.csv"
    springfield.imported(ANN, row("bob", status="Actve"), also=("--results", str(results), "--errors", str(errors)))
    rows = list(csv.DictReader(io.StringIO(results.read_text(encoding="utf-8-sig"))))
    assert [(entry["X_ROW"], entry["X_RESULT"], entry["EXTERNAL_ID"]) for entry in rows] == [
        ("2", "added", "E-ann"), ("3", "errored", "E-bob"),
    ]  # fmt: skip
    errors.write_text(errors.read_text(encoding="utf-8-sig").replace("Actve,", "Active,"), encoding="utf-8")
    again = springfield("import", errors, "--agency", "springfield-pd")
    assert (again.status, models.User.objects.count()) == (0, 2)


def test_results_and_errors_are_workbooks_if_their_names_say_so(springfield: Muster) -> None:
    """Rule A2: also of an import that another command has run."""
    paths = {name: springfield.folder / f"{name}.XLSX" for name in ("results", "errors")}
    also = ("--idempotency-key", "k", *(part for name, path in paths.items() for part in (f"--{name}", str(path))))
    for _ in range(2):
        springfield.imported(ANN, row("bob", status="Actve"), also=also)
        again = springfield("import", paths["errors"], "--agency", "springfield-pd", "--output", "json").json
        assert [(entry["external_id"], entry["outcome"]) for entry in again["rows"]] == [("E-bob", "errored")]
        again = springfield("import", paths["results"], "--agency", "springfield-pd", "--output", "json").json
        assert (again["counts"]["unchanged"], again["counts"]["errored"]) == (1, 1)
        for path in paths.values():
            path.unlink()


def test_rows_that_fit_into_no_workbook_are_not_written(springfield: Muster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_IN_A_SHEET", 1)
    path = springfield.folder / "results.xlsx"
    also = ("--idempotency-key", "k", "--results", str(path))
    for _ in range(2):
        done = springfield.imported(ANN, BOB, also=also)
        assert (done.status, path.exists()) == (0, False)
        assert "2 rows are more than a workbook can hold" in done.err


@pytest.mark.parametrize("option", ["--results", "--errors"])
@pytest.mark.parametrize("kind", ["the same path", "another spelling", "a symbolic link", "a hard link"])
def test_no_output_overwrites_the_file_that_is_read(springfield: Muster, option: str, kind: str) -> None:
    """Rule A2."""
    roster = springfield.file(ANN)
    path = {"the same path": roster, "another spelling": roster.parent / "." / "x" / ".." / roster.name}.get(kind)
    (roster.parent / "x").mkdir()
    if path is None:
        path = roster.parent / "link.csv"
        path.symlink_to(roster) if kind == "a symbolic link" else path.hardlink_to(roster)
    done = springfield("import", roster, "--agency", "springfield-pd", option, path)
    assert (done.status, models.Import.objects.count()) == (2, 0)
    assert "which is the file to read" in done.err


@pytest.mark.parametrize("kind", ["one path", "a link to it", "a link to a folder"])
def test_two_outputs_are_never_one_file(springfield: Muster, kind: str) -> None:
    """Rule A2: whether or not the file exists already."""
    path, other = springfield.folder / "out.csv", springfield.folder / "out.csv"
    if kind == "a link to it":
        other = springfield.folder / "link.csv"
        other.symlink_to(path)
    elif kind == "a link to a folder":
        (springfield.folder / "there").symlink_to(springfield.folder)
        other = springfield.folder / "there" / "out.csv"
    done = springfield(
        "import", springfield.file(ANN), "--agency", "springfield-pd", "--results", path, "--errors", other
    )
    assert (done.status, models.Import.objects.count()) == (2, 0)
    assert "Name two files" in done.err


def test_names_that_differ_in_case_are_one_file_where_the_file_system_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "out.csv", tmp_path / "OUT.csv"
    assert not output.is_same_file(one, other)
    assert not output.is_same_file(one, tmp_path / "gone" / "out.csv")
    monkeypatch.setattr(output, "_ignores_case", lambda _: True)
    assert output.is_same_file(one, other)
    assert not output.is_same_file(one, tmp_path / "other.csv")


def test_a_plan_says_who_gets_which_email(springfield: Muster) -> None:
    """Rule D8."""
    springfield.begin_with(ANN, BOB, also=("--no-mail",))
    models.User.objects.filter(external_id="E-bob").update(registered_at=datetime(2026, 3, 2, tzinfo=UTC))
    rows = (ANN, row("bob", status="Inactive"), CAT)
    seen = springfield.imported(*rows, also=("--preview", "--rows", "changed")).json
    assert seen["mails"] == {"deactivated": 1, "invitation": 1}
    assert seen["recipients"] == [
        {"external_id": "E-cat", "kind": "invitation", "to": "cat@springfield.example"},
        {"external_id": "E-bob", "kind": "deactivated", "to": "bob@springfield.example"},
    ]
    shown = springfield("imports", "show", seen["import"]).text
    assert "Will be sent: 1 invitation, 1 notice of a deactivation" in shown
    assert "E-cat        Invitation           cat@springfield.example" in shown
    done = springfield("apply", seen["import"], "--output", "json", "--rows", "all").json
    assert (done["mails"], done["recipients"]) == (seen["mails"], seen["recipients"])
    assert [(mail.kind, mail.to) for mail in models.Mail.objects.order_by("pk")] == [
        (one["kind"], one["to"]) for one in seen["recipients"]
    ]
    assert "Emails: 1 invitation, 1 notice of a deactivation" in springfield("imports", "show", done["import"]).text


def test_emails_are_switched_off_when_a_plan_is_applied_or_undone(springfield: Muster) -> None:
    """Rule D8."""
    seen = springfield.imported(ANN, BOB, also=("--preview",)).json
    done = springfield("apply", seen["import"], "--no-mail", "--output", "json").json
    assert (seen["mails"], done["state"], done["mails"]) == ({"invitation": 2}, "applied", {})
    number = springfield.imported(ANN, row("bob", status="Inactive")).json["import"]
    assert springfield("undo", number, "--preview", "--output", "json").json["mails"] == {"invitation": 1}
    assert springfield("undo", number, "--no-mail", "--output", "json").json["mails"] == {}
    assert not models.Mail.objects.exists()


def test_of_many_emails_the_first_fifty_are_shown(springfield: Muster) -> None:
    file = springfield.file(*(row(f"p{number}") for number in range(60)))
    done = springfield("import", file, "--agency", "springfield-pd", "--preview")
    assert "Will be sent: 60 invitations" in done.text
    assert "… and 10 more; --output json --rows all lists all of them." in done.text


def test_a_file_comes_through_standard_input(springfield: Muster) -> None:
    done = springfield("import", "-", "--agency", "springfield-pd", stdin=springfield.file(ANN).read_bytes())
    assert done.status == 0
    assert models.Import.objects.get().file_name == "standard input"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--agency", "nowhere"), "There is no agency “nowhere”."),
        (("--agency", "springfield-pd", "--as", "E-nobody"), "There is no active user with the external ID “E-nobody”"),
        (("--agency", "springfield-pd", "--map", "Badge No"), "Write it like --map \"Badge No=BADGE_NUMBER\"."),
        (("--agency", "springfield-pd", "--results", "/no/such/folder/r.csv"), "/no/such/folder of r.csv does not exist."),
        (("--agency", "springfield-pd", "--mode", "replace"), "'replace' is not one of 'update', 'sync'"),
        (("--agency", "springfield-pd", "--rows", "some"), "'some' is not one of"),
        (("--agency", "springfield-pd", "--confirm-deactivations", "-1"), "-1 is not in the range"),
        ((), "Missing option '--agency'"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_one_clear_line_and_status_two(
    springfield: Muster, arguments: tuple[str, ...], sentence: str
) -> None:
    done = springfield("import", springfield.file(ANN), *arguments)
    assert (done.status, done.text) == (2, "")
    assert sentence in done.err
    assert not models.User.objects.exists()


def test_a_file_that_is_not_there_is_a_wrong_call(springfield: Muster) -> None:
    done = springfield("import", "nowhere.csv", "--agency", "springfield-pd")
    assert (done.status, done.err) == (2, "nowhere.csv cannot be read: No such file or directory.\n")


def test_an_operator_is_bound_by_their_role(springfield: Muster) -> None:
    springfield.begin_with(ANN, row("cleo", role="Clerk"))
    refused = springfield.imported(ANN, mode="sync", also=("--as", "E-cleo"))
    assert (refused.status, refused.text) == (2, "")
    assert "users.synchronize" in refused.err
    errored = springfield.imported(row("dan", role="Admin"), also=("--as", "E-cleo"))
    assert [problem["code"] for problem in errored.json["rows"][0]["problems"]] == ["above-your-role"]


def test_one_key_is_one_import(springfield: Muster) -> None:
    first = springfield.imported(ANN, row("bob", status="?"), also=("--idempotency-key", "night-1"))
    again = springfield.imported(ANN, row("bob", status="?"), also=("--idempotency-key", "night-1"))
    assert again.json == first.json
    assert (again.status, models.Import.objects.count()) == (1, 1)
    other = springfield.imported(ANN, also=("--idempotency-key", "night-1"))
    assert (other.status, other.text) == (2, "")
    assert "belongs to import" in other.err


def test_a_repeated_key_writes_the_files_of_the_import_that_has_run(springfield: Muster, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.csv" for name in ("results", "errors")}
    also = (
        "--idempotency-key",
        "night-1",
        *(part for name, path in files.items() for part in (f"--{name}", str(path))),
    )
    springfield.imported(ANN, row("bob", status="?"), also=also)
    written = {name: path.read_bytes() for name, path in files.items()}
    for path in files.values():
        path.unlink()
    again = springfield.imported(ANN, row("bob", status="?"), also=also)
    assert "was not run again" in again.err and "was not written" not in again.err
    assert {name: path.read_bytes() for name, path in files.items()} == written
    shutil.rmtree(plan_files.find_path(models.Import.objects.get().number, "rows").parent)
    files["errors"].unlink()
    gone = springfield.imported(ANN, row("bob", status="?"), also=also)
    assert (
        f"errors.csv was not written because the rows of import {again.json['import']} are no longer kept" in gone.err
    )


def test_a_failure_changes_nothing_and_says_what_to_do(springfield: Muster, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(writer, "apply_plan", broken)
    done = springfield.imported(ANN)
    assert (done.status, done.json["state"], done.json["counts"]["added"]) == (5, "failed", 0)
    assert done.json["message"] == done.err.strip()
    assert "There was not enough memory." in done.err
    assert not models.User.objects.exists()


def test_ctrl_c_changes_nothing(springfield: Muster, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "apply_plan", interrupted)
    done = springfield.imported(ANN)
    assert (done.status, done.json["state"]) == (5, "failed")
    assert "canceled" in done.err


def test_what_was_previewed_is_applied_as_it_was_seen(springfield: Muster) -> None:
    seen = springfield.imported(ANN, BOB, also=("--preview",)).json
    done = springfield("apply", seen["import"], "--output", "json", "--rows", "changed")
    assert (done.status, done.json["state"], done.json["counts"]["added"]) == (0, "applied", 2)


def test_a_preview_is_not_applied_when_the_directory_has_moved(springfield: Muster) -> None:
    seen = springfield.imported(ANN, BOB, also=("--preview",)).json
    springfield.imported(BOB)
    done = springfield("apply", seen["import"], "--output", "json")
    assert (done.status, done.json["state"]) == (3, "refused")
    assert [problem["code"] for problem in done.json["problems"]] == ["plan-changed"]
    assert models.User.objects.count() == 1


def test_a_held_plan_is_applied_with_its_number_alone(springfield: Muster) -> None:
    springfield.begin_with(ANN, BOB, CAT)
    seen = springfield.imported(ANN, mode="sync", also=("--preview",)).json
    unconfirmed = springfield("apply", seen["import"])
    assert (unconfirmed.status, "--confirm deactivations=2" in unconfirmed.err) == (4, True)
    assert springfield("apply", seen["import"], "--confirm-deactivations", "2").status == 0
    assert models.User.objects.filter(active=True).count() == 1


def test_what_was_applied_is_not_applied_again(springfield: Muster) -> None:
    number = springfield.imported(ANN).json["import"]
    assert springfield("apply", number).status == 2
    assert springfield("apply", "01NOSUCHIMPORT").status == 2


def test_a_plan_ends_when_it_is_applied_or_discarded(springfield: Muster) -> None:
    """Rule A4."""
    seen = springfield.imported(ANN, also=("--preview",)).json["import"]
    done = springfield("apply", seen, "--output", "json").json["import"]
    again = springfield("apply", seen)
    assert (again.status, f"Import {seen} was applied as import {done}." in again.err) == (2, True)
    shown = springfield("imports", "show", seen).text
    assert f"was applied as import {done}" in shown and "To apply it" not in shown
    assert shown.startswith("Preview: ")
    other = springfield.imported(ANN, BOB, also=("--preview",)).json["import"]
    discarded = springfield("discard", other)
    assert (discarded.status, discarded.text, "is discarded" in discarded.err) == (0, "", True)
    assert springfield("apply", other).status == springfield("discard", other).status == 2
    assert springfield("discard", done).status == 2
    listed = springfield("imports", "--agency", "springfield-pd").text
    assert "previewed, discarded" in listed and "previewed, applied" in listed


def test_an_undo_is_previewed_then_done(springfield: Muster) -> None:
    springfield.begin_with(ANN, BOB)
    number = springfield.imported(row("bob", rank="Sergeant"), CAT).json["import"]
    seen = springfield("undo", number, "--preview", "--output", "json", "--rows", "changed").json
    assert seen["state"] == "previewed"
    assert {entry["external_id"]: entry["changes"] for entry in seen["rows"]} == {
        "E-bob": {"RANK": ["Sergeant", ""]}, "E-cat": {"STATUS": ["Active", "Inactive"]},
    }  # fmt: skip
    assert springfield("apply", seen["import"]).status == 0
    assert models.User.objects.get(external_id="E-bob").rank is None
    assert springfield("undo", seen["import"]).status == 2


def test_imports_are_listed_the_latest_first(springfield: Muster) -> None:
    assert "There are no imports yet." in springfield("imports", "--agency", "springfield-pd").text
    first = springfield.imported(ANN).json["import"]
    second = springfield.imported(ANN, BOB, also=("--preview",)).json["import"]
    listed = springfield("imports", "--agency", "springfield-pd", "--output", "json").json
    assert [(entry["import"], entry["state"], entry["counts"]["added"]) for entry in listed] == [
        (second, "previewed", 1), (first, "applied", 1),
    ]  # fmt: skip
    assert first in springfield("imports", "--agency", "springfield-pd").text
    assert springfield("imports").status == 2


def test_an_import_is_shown_with_its_recorded_result(springfield: Muster) -> None:
    springfield.begin_with(ANN)
    done = springfield.imported(
        row("bob", rank="?"), CAT, row("ann", role="Admin", rank="Sergeant"), also=("--rows", "changed")
    )
    shown = springfield("imports", "show", done.json["import"].lower(), "--output", "json", "--rows", "changed")
    assert (shown.status, shown.json) == (1, done.json)
    assert "There is no rank “?”" in springfield("imports", "show", done.json["import"]).text


def test_the_rows_asked_for_are_shown_with_what_changed(springfield: Muster) -> None:
    springfield.begin_with(ANN)
    done = springfield(
        "import", springfield.file(row("ann", role="Admin", rank="Sgt")), "--agency", "springfield-pd", "--rows", "all"
    )
    assert "RANK: (blank) → Sergeant" in done.text


def test_who_is_protected_is_shown_with_the_reason(springfield: Muster) -> None:
    springfield.begin_with(ANN, BOB)
    models.User.objects.filter(external_id="E-bob").update(exempt=True)
    done = springfield("import", springfield.file(ANN), "--agency", "springfield-pd", "--mode", "sync")
    assert (done.status, "E-bob        Bob Smith  exempt from synchronize" in done.text) == (0, True)


def test_a_source_is_shown_with_what_it_marks(springfield: Muster) -> None:
    """S9 and S10."""
    springfield.begin_with(ANN, BOB)
    models.Agency.objects.update(grace_days=3)
    source = ("--agency", "springfield-pd", "--source", "HR-Sworn")
    shown = springfield("import", springfield.file(ANN, BOB), *source, "--preview").text
    assert "source hr-sworn" in shown and "To apply it" in shown and "2    marked with the source of the file" in shown
    assert springfield("import", springfield.file(ANN, BOB), *source).status == 0
    done = springfield("import", springfield.file(ANN), *source, "--mode", "sync")
    assert (done.status, "leaving: becomes Inactive on" in done.text) == (0, True)
    made = springfield("import", springfield.file(ANN), *source, "--mode", "sync", "--output", "json").json
    assert made["source"] == "hr-sworn" and made["protected"][0]["code"] == "leaving"
    wrong = springfield("import", springfield.file(ANN), "--agency", "springfield-pd", "--source", "x" * 64)
    assert (wrong.status, "cannot be the name of a source" in wrong.err) == (2, True)


def test_a_preview_that_changes_nothing_offers_nothing_to_apply(springfield: Muster) -> None:
    springfield.begin_with(ANN)
    shown = springfield("import", springfield.file(ANN), "--agency", "springfield-pd", "--preview").text
    assert "Nothing will change." in shown and "To apply it" not in shown
    shown = springfield("import", springfield.file(row("bob")), "--agency", "springfield-pd", "--preview").text
    assert "To apply it: muster apply" in shown


def test_only_the_imports_that_are_listed_are_read(springfield: Muster) -> None:
    numbers = [springfield.imported(ANN).json["import"] for _ in range(3)]
    with CaptureQueriesContext(connection) as queries:
        listed = springfield("imports", "--agency", "springfield-pd", "--limit", "2", "--output", "json").json
    assert [one["number"] for one in listed] == numbers[:0:-1]
    assert any(query["sql"].endswith("LIMIT 2") for query in queries)


def test_an_error_that_nobody_expected_is_one_line_without_a_trace(
    springfield: Muster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("musterbook.directory.imports.history.list_entries", broken)
    done = springfield("imports", "--agency", "springfield-pd")
    assert (done.status, done.text) == (5, "")
    assert done.err.startswith("The command failed: ZeroDivisionError: by nought\n")
    assert "Traceback" not in done.err


def test_headings_in_other_words_are_named_with_how_to_map_them(springfield: Muster) -> None:
    """F4."""
    words = {"EMAIL": "Work Email", "BADGE_NUMBER": "Badge #"}
    headings = [words.get(name, name) for name in HEADINGS]
    path = springfield.folder / "words.csv"
    path.write_text(f"Staff list\n{','.join(headings)}\n", encoding="utf-8")
    refused = springfield("import", path, "--agency", "springfield-pd")
    assert refused.status == 3
    assert "--header-row 2 --map 'Work Email=EMAIL' --map 'Badge #=BADGE_NUMBER'" in refused.err
    path.write_text("A,B\n1,2\n", encoding="utf-8")
    assert "--map Heading=COLUMN" in springfield("import", path, "--agency", "springfield-pd").err
