"""`muster groups import`, `roles import` and `ranks import`: the options, the output and the exit status of an import."""

from pathlib import Path

import pytest

from musterbook.directory import models
from tests.cli.conftest import AGENCY, Muster, row

SLUG = "springfield-pd"
GROUPS = "EXTERNAL_ID,NAME,STATUS,PARENT_EXT_ID"
MEMBERS = "GROUP_EXT_ID,MEMBER_TYPE,MEMBER_EXT_ID,RELATION"


@pytest.fixture
def people(springfield: Muster) -> Muster:
    """An agency with a clerk and seven officers, all of them on patrol but the clerk."""
    rows = [row("ann", role="Clerk"), *(row(name) for name in ("bob", "cyd", "dan", "eve", "fay", "gus", "hal"))]
    assert springfield.imported(*rows).status == 0
    group = models.Group.objects.get(external_id="PATROL-1")
    models.User.objects.exclude(external_id="E-ann").update(group=group)
    return springfield


def write(muster: Muster, head: str, *rows: str) -> Path:
    path = muster.folder / "entries.csv"
    path.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    return path


def test_groups_are_imported_shown_and_undone(people: Muster) -> None:
    file = write(people, GROUPS, "HQ,Headquarters,Active,", "PATROL-1,Patrol,Active,HQ", "X,x,Active,")
    done = people("groups", "import", file, "--agency", SLUG, "--rows", "all", "--errors", people.folder / "e.csv")
    assert done.status == 1
    assert "Applied: springfield-pd, groups, update" in done.text
    assert "1 entry added, 1 updated, 1 row with problems." in done.text
    assert "PARENT_EXT_ID: (blank) → HQ" in done.text
    assert "Use 3 to 128 characters." in done.text
    assert (people.folder / "e.csv").read_text(encoding="utf-8-sig").splitlines()[1].endswith(",X,x,Active,")
    number = done.text.split("import ")[1].split()[0]
    again = people("imports", "show", number, "--rows", "changed")
    assert "groups, update" in again.text
    undone = people("undo", number, "--output", "json", "--rows", "all")
    assert (undone.status, undone.json["what"], undone.json["counts"]["updated"]) == (0, "groups", 2)
    assert not models.Group.objects.filter(external_id="HQ").exists()


def test_members_that_leave_hold_the_import_until_their_number_is_confirmed(people: Muster) -> None:
    file = write(people, MEMBERS, "PATROL-1,User,E-bob,Member", "PATROL-1,User,E-ann,Monitor")
    call = ("groups", "import", file, "--agency", SLUG, "--members", "--sync")
    shown = people(*call, "--preview")
    assert shown.status == 0
    assert "6 users would lose a group or a permission. The limit is 5, with 8 active users." in shown.text
    assert "Will be removed: not in the file" in shown.text
    held = people(*call, "--output", "json")
    assert (held.status, held.json["holds"][0]["kind"], held.json["holds"][0]["users"]) == (4, "losses", 6)
    assert [one["external_id"] for one in held.json["removed"]][:2] == ["E-cyd", "E-dan"]
    assert people("apply", held.json["import"]).status == 4
    done = people("apply", held.json["import"], "--confirm", "losses=6")
    assert done.status == 0
    assert "Removed: the file does not list them" in done.text
    assert models.User.objects.filter(group__external_id="PATROL-1").count() == 1
    report = people("imports", "show", held.json["import"], "--output", "json").json
    assert len(report["removed"]) == 6


def test_many_removed_members_are_listed_up_to_a_limit(people: Muster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musterbook.cli.import_output.LISTED", 2)
    file = write(people, MEMBERS, "PATROL-1,User,E-bob,Member")
    shown = people("groups", "import", file, "--agency", SLUG, "--members", "--sync", "--preview")
    assert "… and 4 more; --output json lists all of them." in shown.text


def test_roles_and_ranks_are_imported(people: Muster) -> None:
    roles = write(people, "NAME,PERMISSIONS,SECOND_FACTOR", "Clerk,users.view,Yes", "Trainer,,")
    assert people("roles", "import", roles, "--agency", SLUG).status == 0
    assert models.Role.objects.get(name="Clerk").permissions == ["users.view"]
    ranks = write(people, "NAME,ABBREVIATION,ORDER", "Chief,Ch,1")
    assert people("ranks", "import", ranks, "--agency", SLUG, "--preview").status == 0
    assert people("ranks", "import", "-", "--agency", SLUG, stdin=ranks.read_bytes()).status == 0
    assert list(models.Rank.objects.order_by("position").values_list("name", flat=True)) == ["Chief", "Sergeant"]


def test_a_user_imports_only_what_their_role_allows(people: Muster) -> None:
    file = write(people, GROUPS, "HQ,Headquarters,Active,")
    refused = people("groups", "import", file, "--agency", SLUG, "--as", "E-ann")
    assert (refused.status, "groups.manage" in refused.err) == (2, True)


def test_a_wrong_file_is_refused(people: Muster) -> None:
    wrong = people("roles", "import", write(people, GROUPS, "HQ,Headquarters,Active,"), "--agency", SLUG)
    assert (wrong.status, "are those of another kind of file" in wrong.text) == (3, True)
    assert not models.Role.objects.filter(name="Headquarters").exists()
    refused = people("groups", "import", write(people, "NAME", "Chief"), "--agency", SLUG)
    assert refused.status == 3
    assert "EXTERNAL_ID" in refused.text


def test_one_key_is_one_import(people: Muster) -> None:
    file = write(people, GROUPS, "HQ,Headquarters,Active,")
    call = ("groups", "import", file, "--agency", SLUG, "--idempotency-key", "night-1")
    assert people(*call).status == 0
    again = people(*call)
    assert "has this idempotency key already" in again.err
    assert models.Import.objects.filter(kind="groups").count() == 1


@pytest.mark.parametrize("command", ["groups", "roles", "ranks"])
def test_a_command_without_what_it_does_shows_its_help(people: Muster, command: str) -> None:
    assert "import" in people(command, "--help").text
    assert "Example: muster" in people(command, "import", "--help").text


NESTED = (
    AGENCY
    + """parent = "HQ"
[[groups]]
external_id = "HQ"
name = "Headquarters"
monitor_groups = ["PATROL-1"]
"""
)


def apply_agency(muster: Muster, text: str) -> tuple[int, str]:
    """The status of applying the agency file, and what it says."""
    path = muster.folder / "agency.toml"
    path.write_text(text, encoding="utf-8")
    done = muster("agency", "apply", path)
    return done.status, done.text + done.err


def test_an_agency_file_says_which_group_is_part_of_which(people: Muster) -> None:
    assert apply_agency(people, NESTED)[0] == 0
    patrol = models.Group.objects.get(external_id="PATROL-1")
    assert patrol.parent is not None
    assert models.GroupMonitor.objects.get(group=patrol.parent).monitor == patrol
    assert apply_agency(people, AGENCY)[0] == 0
    without = NESTED.replace('parent = "HQ"', 'parent = ""').replace('["PATROL-1"]', "[]")
    assert apply_agency(people, without)[0] == 0
    assert models.GroupMonitor.objects.count() == 0
    assert models.Group.objects.get(external_id="PATROL-1").parent is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('parent = "HQ"', 'parent = "NOPE"', "there is no group “NOPE”"),
        ('["PATROL-1"]', '["NOPE"]', "there is no group “NOPE”"),
        ('["PATROL-1"]', "7", "monitor_groups is not a list of external IDs"),
        ('parent = "HQ"', 'parent = "PATROL-1"', "the group would be part of itself: PATROL-1 → PATROL-1"),
    ],
)
def test_an_agency_file_with_a_wrong_group_changes_nothing(people: Muster, old: str, new: str, sentence: str) -> None:
    status, said = apply_agency(people, NESTED.replace(old, new))
    assert (status, sentence in said) == (3, True), said
    assert models.Group.objects.count() == 1
