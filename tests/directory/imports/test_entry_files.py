"""Files of groups, members, roles and ranks: imported, undone, held and refused."""

import shutil
from typing import Any

import pytest
from django.conf import settings

from musterbook.core.domain.policy import Mode
from musterbook.core.reporting.report import RowFilter
from musterbook.directory import models
from musterbook.directory.agency import groups
from musterbook.directory.audit import verify
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, given_options, history, notice_recipients, plan_pages, undo
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.permissions import NotPermitted
from tests.directory import cast

pytestmark = pytest.mark.django_db

GROUPS = "EXTERNAL_ID,NAME,STATUS,PARENT_EXT_ID\n"
MEMBERS = "GROUP_EXT_ID,MEMBER_TYPE,MEMBER_EXT_ID,RELATION\n"


def run(made: models.Agency, what: str, text: str, *, by: str = "", sync: bool = False, **more: Any) -> ImportResult:
    """One import of a file with that layout."""
    options = Options(Mode.SYNC if sync else Mode.UPDATE, what=what, **more)
    context = AuditContext(cast.NOW, by, "cli")
    return file_import.run_import(made, Upload(text.encode(), f"{what}.csv"), options, context=context)


def undo_it(done: ImportResult) -> ImportResult:
    """The undo of an import."""
    return undo.run_undo(done.record, context=AuditContext(cast.NOW, "", "cli"), preview=False)


def test_members_are_imported_synchronized_and_undone() -> None:
    made = cast.agency(limits=cast.unlimited())
    cast.apply_rows(made, cast.people(1, 2, 3, 4))
    added = run(made, "groups", GROUPS + "A,Alpha,Active,\nB,Beta,Active,A\n")
    rows = "A,User,E-1,Member\nB,User,E-2,Member\nA,User,E-3,Monitor\nB,Group,PATROL,Member\nA,Group,B,Monitor\n"
    joined = run(made, "members", MEMBERS + rows)
    before = read_groups(made)
    synchronized = run(made, "members", MEMBERS + "A,User,E-2,Member\n", sync=True)
    after = read_groups(made)
    assert synchronized.record.counts["removed"] == 4
    assert after == {"A": ("", ["E-2"], [], []), "B": ("", [], [], []), "PATROL": ("B", [], [], [])}
    undone = undo_it(synchronized)
    assert read_groups(made) == before
    redone = undo_it(undone)
    assert read_groups(made) == after
    undo_it(redone)
    undo_it(joined)
    assert undo_it(added).record.counts["errored"] == 0
    assert read_groups(made) == {"PATROL": ("", [], [], [])}
    cast.assert_whole(made)


def test_roles_and_ranks_are_imported_and_undone() -> None:
    made = cast.agency()
    cast.apply_rows(made, cast.people(1))
    before = read_words(made)
    roles = run(made, "roles", "NAME,PERMISSIONS,SECOND_FACTOR\nClerk,users.view,Yes\nchief,,\nAdmin,all,yes\n")
    ranks = run(made, "ranks", "NAME,ABBREVIATION,ORDER\nMajor,Maj,1\nSergeant,,\n")
    assert read_words(made) == {
        "Admin": ([], True), "Clerk": (["users.view"], True), "chief": ([], False), "Officer": ([], False),
        "Major": "Maj 0", "Sergeant": " 1", "Captain": "Cap 2",
    }  # fmt: skip
    undo_it(ranks)
    undo_it(roles)
    assert read_words(made) == before
    cast.assert_whole(made)


def read_groups(made: models.Agency) -> dict[str, tuple[str, list[str], list[str], list[str]]]:
    """Each group: what it is part of, its members, its monitors, and the groups that monitor it."""
    return {
        group.external_id: (
            group.parent.external_id if group.parent else "",
            [user.external_id for user in groups.list_members(group, 100)],
            [user.external_id for user in groups.list_monitors(group)],
            [other.external_id for other in groups.list_monitor_groups(group)],
        )
        for group in groups.list_groups(made)
    }


def read_words(made: models.Agency) -> dict[str, object]:
    """Each role with its permissions and whether it needs a second factor, each rank with abbreviation and position."""
    roles = models.Role.objects.filter(agency=made)
    ranks = models.Rank.objects.filter(agency=made)
    return {role.name: (role.permissions, role.second_factor) for role in roles} | {
        rank.name: f"{rank.abbreviation} {rank.position}" for rank in ranks
    }


def test_only_those_who_may_import_groups_see_the_notice_of_a_held_file() -> None:
    made = cast.agency(limits=[cast.allow(0, kind="losses")])
    cast.apply_rows(made, cast.people(1, 2, EVIDENCE_GROUP_EXT_ID="PATROL"))
    held = run(made, "members", MEMBERS + "PATROL,User,E-1,Member\n", sync=True)
    assert held.record.state == "held"
    assert models.Notice.objects.get(of=held.record).permission == "groups.manage"
    groups_only, chief = models.Role(permissions=["groups.manage"]), models.Role(permissions=cast.IMPORTS)
    assert "groups.manage" in notice_recipients.list_visible(groups_only)
    assert "groups.manage" not in notice_recipients.list_visible(chief)


def test_a_plan_that_has_changed_since_it_was_shown_is_not_applied() -> None:
    made = cast.agency()
    cast.apply_rows(made, cast.people(1, 2))
    shown = run(made, "members", MEMBERS + "PATROL,User,E-1,Member\n", sync=True, preview=True)
    models.User.objects.filter(external_id="E-2").update(group=models.Group.objects.get(agency=made))
    context = AuditContext(cast.NOW, "", "cli")
    done = file_import.apply_previewed(made, shown.record.number, context=context)
    assert done.record.state == "refused"
    problem = models.ImportProblem.objects.get(of=done.record, code="plan-changed")
    assert "removed 0 → 1" in problem.detail
    assert cast.user(made, 1).group is None


def test_what_a_file_has_removed_is_listed_as_long_as_its_plan_is_kept() -> None:
    made = cast.agency(limits=cast.unlimited())
    cast.apply_rows(made, cast.people(1, 2, EVIDENCE_GROUP_EXT_ID="PATROL"))
    done = run(made, "members", MEMBERS + "PATROL,User,E-1,Member\n", sync=True)
    kept = history.make_report(done.record, None, RowFilter.ALL)
    assert [one.external_id for one in kept.removed] == ["E-2"]
    shutil.rmtree(settings.MUSTER_HOME / "plans" / done.record.number)
    assert history.make_report(done.record, None, RowFilter.ALL).removed == []
    assert plan_pages.read_page(done.record, "removed").gone
    assert history.make_report(cast.run(made, cast.people(3)).record, None, RowFilter.ALL).removed == []


def test_the_trail_finds_events_of_a_file_that_was_not_applied() -> None:
    made = cast.agency()
    done = run(made, "groups", GROUPS + "A,Alpha,Active,\n")
    cast.assert_whole(made)
    models.Import.objects.filter(pk=done.record.pk).update(state="previewed")
    assert "was not applied by its record, and has events" in verify.verify_trail(made).error


def test_a_program_cannot_change_external_ids_by_a_file_of_groups() -> None:
    with pytest.raises(given_options.InvalidOptions, match="This file has no external IDs to change"):
        given_options.read_options({"mode": "rekey"}, what="groups")


def test_a_file_of_groups_by_one_who_may_not_is_refused_and_recorded_as_failed() -> None:
    made = cast.agency()
    cast.apply_rows(made, [cast.person(1, ROLE="Chief")])
    with pytest.raises(NotPermitted, match=r"groups\.manage"):
        run(made, "groups", GROUPS + "A,Alpha,Active,\n", by="E-1")
    assert not models.Import.objects.filter(kind="groups").exists()
