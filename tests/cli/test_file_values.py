"""`muster import --value` and `--default`, and the problems by kind."""

from pathlib import Path

import pytest

from musterbook.directory import models
from tests.cli.conftest import HEADINGS, Muster, row

ANN, BOB = row("ann"), row("bob")


def test_a_mapped_value_is_remembered_once_an_import_with_it_was_applied(springfield: Muster) -> None:
    """F13: the next night needs no option. A preview remembers nothing."""
    gone = row("bob", status="Terminated")
    springfield.imported(ANN, BOB)
    also = ("--value", "status: TERMINATED = inactive")
    assert springfield.imported(ANN, gone, also=(*also, "--preview")).json["counts"]["updated"] == 1
    assert springfield.imported(ANN, gone).status == 1
    done = springfield.imported(ANN, gone, also=also)
    assert (done.status, done.json["counts"]["updated"]) == (0, 1)
    assert models.Agency.objects.get().values == {"STATUS": {"TERMINATED": "inactive"}}
    assert models.User.objects.filter(active=False).get().external_id == "E-bob"
    night = springfield.imported(row("ann", status="terminated "), gone).json
    assert (night["counts"]["updated"], night["counts"]["unchanged"]) == (1, 1)
    assert [note["code"] for note in night["notes"]] == ["mapped-values"]
    other = springfield.imported(row("ann", status="terminated"), also=("--value", "STATUS:Terminated=Active")).json
    assert other["counts"]["reactivated"] == 1
    assert models.Agency.objects.get().values == {"STATUS": {"Terminated": "Active"}}


def test_a_value_can_be_in_a_column_with_a_mapped_heading(springfield: Muster) -> None:
    """F5 and F13 together."""
    headings = tuple("Employment" if heading == "STATUS" else heading for heading in HEADINGS)
    file = springfield.file(row("ann", status="T"), headings=headings)
    also = ("--map", "Employment=STATUS", "--value", "STATUS:T=Inactive", "--value", "RANK:Sarge=Sgt")
    done = springfield("import", file, "--agency", "springfield-pd", *also)
    assert done.status == 0, done.text
    assert not models.User.objects.get().active
    assert springfield("import", file, "--agency", "springfield-pd").status == 0


@pytest.mark.parametrize(
    ("option", "text", "sentence"),
    [
        ("--value", "STATUS=Inactive", "Write it like"), ("--value", "STATUS:T", "Write it like"),
        ("--value", "LOCATION:HQ=Main", "LOCATION cannot have one"), ("--value", "Rnk:S=Sgt", "Rnk is not a column"),
        ("--value", "STATUS: =Active", "a blank cell cannot be mapped"),
        ("--default", "ROLE", "Write it like"), ("--default", "ROLE=", "Write it like"),
        ("--default", "EMAIL=x@y.example", "EMAIL cannot have one"), ("--default", "Roll=Officer", "Roll is not a column"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_meant_is_a_wrong_call(
    springfield: Muster, option: str, text: str, sentence: str
) -> None:
    done = springfield("import", springfield.file(ANN), "--agency", "springfield-pd", option, text)
    assert (done.status, sentence in done.err) == (2, True), done.err
    assert not models.Import.objects.exists()


def test_an_option_that_contradicts_itself_is_a_wrong_call(springfield: Muster) -> None:
    twice = ("--value", "STATUS:T=Inactive", "--value", "STATUS:t=Active")
    assert "more than once" in springfield.imported(ANN, also=twice).err
    twice = ("--default", "ROLE=Officer", "--default", "ROLE=Admin")
    assert "more than once" in springfield.imported(ANN, also=twice).err
    same = (
        "--default",
        "ROLE=Officer",
        "--default",
        "role=Officer",
        "--value",
        "STATUS:T=Inactive",
        "--value",
        "STATUS:T=Inactive",
    )
    assert springfield.imported(ANN, also=same).status == 0


def test_a_value_for_something_that_the_agency_lacks_refuses_the_file(springfield: Muster) -> None:
    done = springfield.imported(ANN, also=("--value", "RANK:Sarge=Sergent"))
    assert (done.status, done.json["state"]) == (3, "refused")
    assert [problem["code"] for problem in done.json["problems"]] == ["unknown-meaning"]
    assert models.Agency.objects.get().values == {}


def test_a_file_without_a_required_column_is_accepted_with_a_default(springfield: Muster) -> None:
    """F14. A default that is given for one file is not remembered."""
    headings = tuple(heading for heading in HEADINGS if heading != "ROLE")

    def file(*people: str) -> Path:
        return springfield.file(*(one.replace(",Officer,", ",") for one in people), headings=headings)

    springfield.imported(row("ann", role="Clerk"))
    assert springfield("import", file(ANN, BOB), "--agency", "springfield-pd").status == 3
    results, errors = springfield.folder / "results.csv", springfield.folder / "errors.csv"
    also = ("--default", "ROLE=Officer", "--results", results, "--errors", errors)
    wrong = row("cat", status="?")
    done = springfield("import", file(ANN, BOB, wrong), "--agency", "springfield-pd", *also, "--output", "json")
    assert (done.status, done.json["counts"]["added"], done.json["counts"]["unchanged"]) == (1, 1, 1)
    roles = dict(models.User.objects.values_list("external_id", "role__name"))
    assert roles == {"E-ann": "Clerk", "E-bob": "Officer"}
    assert [note["code"] for note in done.json["notes"]] == ["default-used"]
    assert "ROLE" not in errors.read_text(encoding="utf-8-sig").splitlines()[0]
    assert models.Agency.objects.get().defaults == {}
    assert springfield("import", file(ANN), "--agency", "springfield-pd").status == 3


def test_the_defaults_of_the_agency_apply_to_each_file(springfield: Muster) -> None:
    models.Agency.objects.update(defaults={"ROLE": "Officer", "SUPERVISOR_EMAIL": "ann@springfield.example"})
    springfield.imported(ANN, *(row(f"p{number}") for number in range(40)))
    headings = tuple(heading for heading in HEADINGS if heading not in ("ROLE", "SUPERVISOR_EMAIL"))
    file = springfield.file(row("bob").replace(",Officer,,", ","), headings=headings)
    done = springfield("import", file, "--agency", "springfield-pd", "--output", "json")
    assert done.status == 0, done.text
    (bob,) = models.User.objects.filter(external_id="E-bob").values_list("role__name", "supervisor__external_id")
    assert bob == ("Officer", "E-ann")


def test_the_problems_are_listed_by_kind(springfield: Muster) -> None:
    """A7: in JSON and in text, of an import that runs now and of one from the history."""
    wrong = [row(f"p{number}", rank="Sargent") for number in range(3)]
    more = [row(f"q{number}", status="Lost") for number in range(2)]
    expected = [
        {"code": "unknown-rank", "column": "RANK", "value": "Sargent", "rows": 3, "suggestion": "Sergeant"},
        {"code": "invalid-status", "column": "STATUS", "value": "Lost", "rows": 2, "suggestion": ""},
        {"code": "required", "column": "ROLE", "value": "", "rows": 1, "suggestion": ""},
    ]
    done = springfield.imported(*wrong, *more, row("r", role=""))
    assert done.json["groups"] == expected
    number = done.json["import"]
    assert springfield("imports", "show", number, "--output", "json").json["groups"] == expected
    text = springfield("imports", "show", number).text
    assert "3 × RANK “Sargent”: did you mean Sergeant?\n2 × STATUS “Lost”: “Lost” is not a status.\n" in text
    assert "--value RANK:Sargent=Sergeant" in text
    assert "1 × " not in text


def test_of_many_kinds_the_first_ten_are_printed(springfield: Muster) -> None:
    wrong = [row(f"p{number}", status=f"S{number // 2}") for number in range(24)]
    text = springfield("import", springfield.file(*wrong), "--agency", "springfield-pd").text
    assert text.count("2 × STATUS") == 10
    assert "… and 2 more; --output json lists all of them." in text


def test_a_problem_without_a_column_is_listed_too(springfield: Muster) -> None:
    text = springfield("import", springfield.file("E-1,x", "E-2,x"), "--agency", "springfield-pd").text
    assert "2 × rows: Cells in the row: 2." in text
    blank = springfield.file(row("a", role=""), row("b", role=""))
    assert "2 × ROLE blank: ROLE is blank." in springfield("import", blank, "--agency", "springfield-pd").text


def test_the_agency_file_says_what_values_mean_and_what_new_users_get(springfield: Muster) -> None:
    """F13, F14: the tables replace what was remembered; without them it stays."""
    path = springfield.folder / "agency.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        f'{text}\n[values]\nSTATUS = {{ Terminated = "Inactive" }}\n[defaults]\nROLE = "officer"\n', encoding="utf-8"
    )
    done = springfield("agency", "apply", path, "--output", "json")
    assert done.json["changes"] == {"value STATUS Terminated": ["", "Inactive"], "default ROLE": ["", "officer"]}
    assert springfield("agency", "apply", path, "--output", "json").json["changes"] == {}
    path.write_text(text, encoding="utf-8")
    assert springfield("agency", "apply", path, "--output", "json").json["changes"] == {}
    path.write_text(f"{text}\n[values]\n[defaults]\n", encoding="utf-8")
    assert springfield("agency", "apply", path).status == 0
    agency = models.Agency.objects.get()
    assert (agency.values, agency.defaults) == ({}, {})


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ("values = 1", "values is not a table"), ("defaults = 1", "defaults is not a table"),
        ('[values]\nLOCATION = { HQ = "Main" }', "LOCATION cannot be used there"),
        ('[values]\nSTATUS = "Inactive"', "STATUS is not a table of texts"),
        ("[values]\nSTATUS = { T = 1 }", "STATUS is not a table of texts"),
        ('[values]\nSTATUS = { " " = "Active" }', "a blank cell cannot be mapped"),
        ('[values]\nSTATUS = { T = "Active", t = "Inactive" }', "more than once"),
        ('[values]\nRANK = { Sarge = "Sergent" }', "there is no rank “Sergent”"),
        ('[defaults]\nEMAIL = "x@y.example"', "EMAIL cannot be used there"),
        ("[defaults]\nROLE = 1", "ROLE is 1, which is not text"),
        ('[defaults]\nROLE = "Pope"', "There is no role “Pope”"), ('[defaults]\nROLE = ""', "It is blank"),
    ],
)  # fmt: skip
def test_a_wrong_table_in_the_agency_file_is_refused(springfield: Muster, tables: str, sentence: str) -> None:
    path = springfield.folder / "agency.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n{tables}\n" if tables.startswith("[") else f"{tables}\n{text}", encoding="utf-8")
    done = springfield("agency", "apply", path)
    assert (done.status, sentence in done.err) == (3, True), done.err
    agency = models.Agency.objects.get()
    assert (agency.values, agency.defaults) == ({}, {})
