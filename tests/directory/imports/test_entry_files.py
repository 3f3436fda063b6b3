"""Files of groups, members, roles and ranks: imported, undone, held and refused."""

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, undo
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from tests.directory import cast

pytestmark = pytest.mark.django_db

GROUPS = "EXTERNAL_ID,NAME,STATUS,PARENT_EXT_ID\n"
MEMBERS = "GROUP_EXT_ID,MEMBER_TYPE,MEMBER_EXT_ID,RELATION\n"


def run(made: models.Agency, what: str, text: str, *, by: str = "", sync: bool = False, **more: object) -> ImportResult:
    """One import of a file with that layout."""
    options = Options(Mode.SYNC if sync else Mode.UPDATE, what=what, **more)
    context = AuditContext(cast.NOW, by, "cli")
    return file_import.run_import(made, Upload(text.encode(), f"{what}.csv"), options, context=context)


def undo_it(done: ImportResult) -> ImportResult:
    return undo.run_undo(done.record, context=AuditContext(cast.NOW, "", "cli"), preview=False)


def test_first() -> None:
    made = cast.agency(limits=cast.unlimited())
    cast.apply_rows(made, cast.people(1, 2, 3, 4))
    done = run(made, "groups", GROUPS + "A,Alpha,Active,\nB,Beta,Active,A\n")
    assert done.record.state == "applied"
    print(done.record.counts, done.record.entries)
    done2 = run(made, "members", MEMBERS + "A,User,E-1,Member\nB,User,E-2,Member\nA,User,E-3,Monitor\nB,Group,PATROL,Member\nA,Group,B,Monitor\n")
    print(done2.record.counts, done2.record.state, list(models.ImportProblem.objects.values()))
    assert cast.user(made, 1).group.external_id == "A"
    done3 = run(made, "members", MEMBERS + "A,User,E-2,Member\n", sync=True)
    print(done3.record.counts)
    assert cast.user(made, 1).group is None
    cast.assert_whole(made)
    from musterbook.directory.audit import cross_checks
    u = undo_it(done3)
    print(u.record.state, u.record.counts, u.plan.rows, u.plan.entries.shown)
    assert cast.user(made, 1).group.external_id == "A"
    assert cast.user(made, 2).group.external_id == "B"
    assert models.GroupMonitor.objects.count() == 1
    u = undo_it(u)
    print(u.record.state, u.record.counts)
    assert models.GroupMonitor.objects.count() == 0
    u = undo_it(u)
    u = undo_it(done2)
    print(u.record.state, u.record.counts, u.plan.problems)
    u = undo_it(done)
    print(u.record.state, u.record.counts, u.plan.problems)
    assert models.Group.objects.count() == 1
    for e in models.Event.objects.all(): print(e.kind, e.subject_external_id, e.of_id, e.row, e.changes[:300])
    done = run(made, "roles", "NAME,PERMISSIONS,SECOND_FACTOR\nClerk,users.view,Yes\nChief,,\n")
    print(done.record.counts)
    done4 = run(made, "ranks", "NAME,ABBREVIATION,ORDER\nMajor,Maj,1\n")
    print([(r.name, r.position) for r in models.Rank.objects.order_by("position")])
    undo_it(done4)
    undo_it(done)
    print([(r.name, r.position) for r in models.Rank.objects.order_by("position")])
    cast.assert_whole(made)
