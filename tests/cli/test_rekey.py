"""`muster rekey`: change external IDs from a file, with the options and the output of an import."""

from pathlib import Path

import pytest

from tests.cli.conftest import Muster, row

SLUG = "springfield-pd"


@pytest.fixture
def people(springfield: Muster) -> Muster:
    """An agency with a clerk and two officers, whose ids are E-1 to E-3."""
    rows = [row("ann", role="Clerk"), row("bob"), row("cyd")]
    numbered = [
        one.replace(f"E-{name}", f"E-{n}")
        for n, (name, one) in enumerate(zip(("ann", "bob", "cyd"), rows, strict=True), 1)
    ]
    assert springfield.imported(*numbered).status == 0
    return springfield


def ids(muster: Muster, *pairs: str, name: str = "ids.csv") -> Path:
    path = muster.folder / name
    path.write_text("\n".join(["EXTERNAL_ID,NEW_EXTERNAL_ID", *pairs, ""]), encoding="utf-8")
    return path


def exported(muster: Muster) -> dict[str, str]:
    return {
        one["EXTERNAL_ID"]: one["FIRST_NAME"] for one in muster("export", "--agency", SLUG, "--format", "json").json
    }


def test_ids_are_changed_and_changed_back(people: Muster) -> None:
    before = exported(people)
    done = people(
        "rekey", ids(people, "E-1,E-2", "E-2,E-1", "E-3,N-3"), "--agency", SLUG, "--output", "json", "--rows", "all"
    )
    assert done.status == 0
    report = done.json
    assert (report["state"], report["mode"], report["counts"]["updated"]) == ("applied", "rekey", 3)
    assert report["file"]["columns"] == ["EXTERNAL_ID", "NEW_EXTERNAL_ID"]
    assert report["rows"][0] == {
        "row": 2, "external_id": "E-1", "outcome": "updated", "changes": {"EXTERNAL_ID": ["E-1", "E-2"]}, "problems": [],
        "notes": [],
    }  # fmt: skip
    assert exported(people) == {"E-2": before["E-1"], "E-1": before["E-2"], "N-3": before["E-3"]}
    assert people("undo", report["import"]).status == 0
    assert exported(people) == before


def test_a_preview_says_what_would_change_and_is_applied_by_its_number(people: Muster) -> None:
    shown = people("rekey", ids(people, "E-3,N-3"), "--agency", SLUG, "--preview", "--rows", "changed")
    assert shown.status == 0
    assert "change external IDs" in shown.text
    assert "EXTERNAL_ID: E-3 → N-3" in shown.text
    number = shown.text.split("muster apply ")[1].split()[0]
    assert "N-3" not in exported(people)
    assert people("apply", number).status == 0
    assert "N-3" in exported(people)


def test_rows_with_problems_are_listed_and_can_be_saved(people: Muster) -> None:
    errors = people.folder / "errors.csv"
    done = people("rekey", ids(people, "E-9,N-9", "E-3,N-3", "E-2,E-1"), "--agency", SLUG, "--errors", errors)
    assert done.status == 1
    assert "There is no user with the external ID “E-9”." in done.text
    assert "belongs to" in done.text
    assert [line.split(",")[-2:] for line in errors.read_text("utf-8-sig").splitlines()] == [
        ["EXTERNAL_ID", "NEW_EXTERNAL_ID"], ["E-9", "N-9"], ["E-2", "E-1"],
    ]  # fmt: skip


def test_headings_are_mapped_for_this_file_only(people: Muster) -> None:
    path = people.folder / "ids.csv"
    path.write_text("Employee;New employee\nE-3;N-3\n", encoding="utf-8")
    mapping = ("--map", "Employee=EXTERNAL_ID", "--map", "New employee=NEW_EXTERNAL_ID")
    assert people("rekey", path, "--agency", SLUG, *mapping, "--no-mail").status == 0
    assert "N-3" in exported(people)
    again = people("rekey", path, "--agency", SLUG)
    assert again.status == 3
    assert "NEW_EXTERNAL_ID" in again.text


def test_it_acts_as_a_user_with_their_permissions(people: Muster) -> None:
    assert people("rekey", ids(people, "E-3,N-3"), "--agency", SLUG, "--as", "E-2").status == 2
    assert people("rekey", ids(people, "E-3,N-3"), "--agency", SLUG, "--as", "E-1").status == 0


def test_ids_that_look_damaged_are_accepted_by_an_option(people: Muster) -> None:
    assert people("rekey", ids(people, "E-3,003"), "--agency", SLUG).status == 0
    assert people("rekey", ids(people, "003,3"), "--agency", SLUG).status == 1
    assert people("rekey", ids(people, "003,3"), "--agency", SLUG, "--accept", "looks-damaged").status == 0
    assert "3" in exported(people)


def test_the_list_of_imports_names_the_mode(people: Muster) -> None:
    people("rekey", ids(people, "E-3,N-3"), "--agency", SLUG)
    assert people("imports", "--agency", SLUG, "--output", "json").json[0]["mode"] == "rekey"
