"""`muster export`: everything goes out as it can come back (law 2)."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from musterbook.core.domain.columns import COLUMNS
from musterbook.directory import models
from musterbook.directory.storage import formats
from tests.cli.conftest import Muster, build_directory

NOW = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
HEADINGS = tuple(column.heading for column in COLUMNS)
AWKWARD = (
    "=E-1,ann@springfield.example,0300,'=SUM(1),=1+1,Active,-ann,Admin,,\"Desk, \"\"5\"\"\",Sergeant,PATROL-1,+12025550143",
    "+E-2,bob@springfield.example,1E5,Дмитрий,O’Neil;x,Active,@bob,Officer,ann@springfield.example,'quoted,,,+442079460958",
    "00123,cat@springfield.example,3-1,李,\"=\"\"00123\"\"\",Inactive,TRUE,Officer,bob@springfield.example,,Sgt,,",
    "123,dan@springfield.example,B4,José,Ñandú,Active,dan,Clerk,ann@springfield.example,+1,,,",
)  # fmt: skip


@pytest.fixture
def awkward(muster: Muster) -> Muster:
    """A directory of awkward people, in every state."""
    build_directory(AWKWARD, HEADINGS)
    users = models.User.objects
    users.filter(external_id="=E-1").update(registered_at=NOW, last_sign_in_at=NOW)
    users.filter(external_id="+E-2").update(registered_at=NOW, locked_at=NOW)
    users.filter(external_id="123").update(registered_at=NOW, reset_at=NOW, managed_by="scim", exempt=True)
    return muster


def export(muster: Muster, *options: str) -> dict[str, dict[str, str]]:
    done = muster("export", "--agency", "springfield-pd", *options)
    assert done.status == 0, done.err
    text = done.out.decode("utf-8-sig")
    return {row["EXTERNAL_ID"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}


@pytest.mark.parametrize("name", ["all.csv", "all.xlsx"])
def test_an_export_comes_back_unchanged(awkward: Muster, name: str) -> None:
    path = awkward.folder / name
    assert "4 users were written" in awkward("export", "--agency", "springfield-pd", "--to", path).err
    back = awkward("import", path, "--agency", "springfield-pd", "--mode", "sync", "--output", "json").json
    assert (back["state"], back["counts"]["unchanged"], back["counts"]["rows"]) == ("applied", 4, 4)
    assert (back["notes"], back["deactivated"]) == ([], [])


def test_what_a_spreadsheet_would_run_stands_behind_an_apostrophe_phones_excepted(awkward: Muster) -> None:
    rows = export(awkward)
    assert list(rows) == ["'+E-2", "00123", "123", "'=E-1"]
    assert (rows["'=E-1"]["LAST_NAME"], rows["'=E-1"]["USERNAME"], rows["'=E-1"]["PHONE"]) == (
        "'=1+1",
        "'-ann",
        "+12025550143",
    )


def test_the_columns_of_the_import_come_first_then_ours(awkward: Muster) -> None:
    done = awkward("export", "--agency", "springfield-pd")
    assert done.out.startswith(b"\xef\xbb\xbf" + ",".join(HEADINGS).encode() + b",X_STATE,X_LAST_SIGN_IN,X_INVITED_AT,")
    assert done.out.count(b"\r\n") == done.out.count(b"\n") == 5


def test_states_and_times_are_shown(awkward: Muster) -> None:
    rows = export(awkward)
    assert {key: row["X_STATE"] for key, row in rows.items()} == {
        "'=E-1": "Active", "'+E-2": "Locked", "00123": "Inactive", "123": "Password reset",
    }  # fmt: skip
    assert rows["'=E-1"]["X_LAST_SIGN_IN"] == "2026-05-01T08:30:00Z"
    assert (rows["123"]["X_MANAGED_BY"], rows["123"]["X_EXEMPT"], rows["00123"]["X_LAST_SIGN_IN"]) == (
        "scim",
        "yes",
        "",
    )


def test_the_last_day_of_access_is_exported(awkward: Muster) -> None:
    models.User.objects.filter(external_id="123").update(ends_on="2026-12-31")
    rows = export(awkward)
    assert (rows["123"]["X_ENDS_ON"], rows["00123"]["X_ENDS_ON"]) == ("2026-12-31", "")


def test_json_has_the_values_unchanged(awkward: Muster) -> None:
    rows = awkward("export", "--agency", "springfield-pd", "--format", "json").json
    assert [user["EXTERNAL_ID"] for user in rows] == ["+E-2", "00123", "123", "=E-1"]
    assert all(isinstance(value, str) for user in rows for value in user.values())


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (("--status", "inactive"), ["00123"]),
        (("--status", "Active"), ["'+E-2", "123", "'=E-1"]),
        (("--status", "locked"), ["'+E-2"]),
        (("--role", "OFFICER"), ["'+E-2", "00123"]),
        (("--query", "дмитрий o"), ["'+E-2"]),
        (("--query", "SPRINGFIELD", "--role", "Clerk"), ["123"]),
        (("--query", "1e5"), ["'+E-2"]),
        (("--query", "nobody"), []),
    ],
)  # fmt: skip
def test_only_the_users_asked_for(awkward: Muster, options: tuple[str, ...], ids: list[str]) -> None:
    assert list(export(awkward, *options)) == ids


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--status", "asleep"), "There is no status “asleep”. There are: Active, Invited"),
        (("--role", "Oficer"), "There is no role “Oficer”. Did you mean Officer?"),
        (("--role", "Zzz"), "There is no role “Zzz”. There are: Admin, Officer, Clerk."),
        (("--to", "/no/such/folder/x.csv"), "does not exist. Create it first."),
    ],
)  # fmt: skip
def test_a_wrong_call_says_what_there_is(awkward: Muster, options: tuple[str, ...], sentence: str) -> None:
    done = awkward("export", "--agency", "springfield-pd", *options)
    assert (done.status, done.text) == (2, "")
    assert sentence in done.err


def test_an_agency_without_users_has_headings_alone(springfield: Muster) -> None:
    assert export(springfield) == {}
    assert springfield("export", "--agency", "springfield-pd", "--format", "json").json == []


def test_a_workbook_has_a_last_row(awkward: Muster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_IN_A_SHEET", 3)
    path = awkward.folder / "all.xlsx"
    done = awkward("export", "--agency", "springfield-pd", "--to", path)
    assert (done.status, path.exists()) == (2, False)
    assert "4 users are more than one sheet of a workbook can hold" in done.err


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_the_example_file_is_recognised_and_skipped(springfield: Muster, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"example.{form}"
    assert springfield("example", "--format", form, "--to", path).status == 0
    same = slice(None) if form == "csv" else slice(2)  # a workbook has the time in which it was made
    assert path.read_bytes()[same] == springfield("example", "--format", form).out[same]
    report = springfield("import", path, "--agency", "springfield-pd", "--output", "json").json
    assert (report["counts"]["skipped"], report["counts"]["errored"]) == (4, 0)
