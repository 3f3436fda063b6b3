"""Files of groups, members, roles and ranks: imported, undone, held and refused."""

from typing import Any

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.agency import groups
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, undo
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
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
