"""The laws of files of groups and members: a plan, applied, equals a simple model; an undo restores; others are untouched."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, undo
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from tests.directory import cast
from tests.examples import examples

pytestmark = pytest.mark.django_db

_law = settings(max_examples=examples(25), suppress_health_check=list(HealthCheck), deadline=None)
_GROUPS, _USERS = ("G-A", "G-B", "G-C", "G-D", "PATROL"), ("E-1", "E-2", "E-3", "E-4")
Member: TypeAlias = tuple[str, str, str, str]
"""A row of a file of members: group, type, member, relation."""


@dataclass(frozen=True)
class World:
    """The groups by external ID: name, whether active, and parent; who is in which, and who monitors which."""

    groups: dict[str, tuple[str, bool, str]] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    monitors: frozenset[tuple[str, str, str]] = frozenset()
    """Group, type and external ID of each monitor."""


def read(made: models.Agency) -> World:
    """The world as the database has it."""
    groups = models.Group.objects.filter(agency=made)
    users = models.User.objects.filter(agency=made)
    monitors = models.Monitor.objects.filter(group__agency=made).values_list("group__external_id", "user__external_id")
    others = models.GroupMonitor.objects.filter(group__agency=made)
    pairs = others.values_list("group__external_id", "monitor__external_id")
    return World(
        {one.external_id: (one.name, one.active, one.parent.external_id if one.parent else "") for one in groups},
        {one.external_id: one.group.external_id if one.group else "" for one in users},
        frozenset({(group, "User", one) for group, one in monitors} | {(group, "Group", one) for group, one in pairs}),
    )


_word = st.sampled_from(["", "Active", "Deleted"])
_group_rows = st.lists(
    st.tuples(st.sampled_from([*_GROUPS, "G-NEW"]), st.sampled_from(["Unit one", "Unit two", "x"]), _word,
              st.sampled_from(["", *_GROUPS, "G-NEW", "G-NONE"])),
    max_size=6, unique_by=lambda row: row[0],
)  # fmt: skip
_member_rows = st.lists(
    st.tuples(
        st.sampled_from([*_GROUPS, "G-NONE"]), st.sampled_from(["User", "Group"]),
        st.sampled_from([*_USERS, *_GROUPS, "NOBODY"]), st.sampled_from(["Member", "Monitor"]),
    ),
    max_size=8, unique=True,
)  # fmt: skip


@pytest.fixture
def agencies(db: None) -> tuple[models.Agency, models.Agency]:
    """Two agencies with four users and four groups, with which every example begins."""
    return make_agency("law-1"), make_agency("law-2")


def make_agency(slug: str) -> models.Agency:
    made = cast.agency(slug, limits=cast.unlimited())
    cast.apply_rows(made, cast.people(1, 2, 3, 4))
    for name in _GROUPS[:-1]:
        models.Group.objects.create(agency=made, external_id=name, name=f"Group {name}")
    return made


@contextmanager
def begin_example() -> Iterator[None]:
    """What the example writes is gone after it."""
    example = transaction.atomic()
    example._from_testcase = True  # type: ignore[attr-defined]  # so that an import may begin its transaction within
    with example:
        yield
        transaction.set_rollback(True)


def build(made: models.Agency, first: list[tuple[str, str, str, str]], members: list[Member]) -> models.Agency:
    """Apply two files to the agency."""
    run(made, "groups", first)
    run(made, "members", members)
    return made


_HEADS = {
    "groups": ("EXTERNAL_ID", "NAME", "STATUS", "PARENT_EXT_ID"),
    "members": ("GROUP_EXT_ID", "MEMBER_TYPE", "MEMBER_EXT_ID", "RELATION"),
}


def run(made: models.Agency, what: str, rows: list[tuple[str, str, str, str]], *, sync: bool = False) -> ImportResult:
    """One import of the rows."""
    text = "".join(",".join(row) + "\n" for row in (_HEADS[what], *rows))
    options = Options(Mode.SYNC if sync else Mode.UPDATE, what=what)
    context = AuditContext(cast.NOW, "", "cli")
    return file_import.run_import(made, Upload(text.encode(), "x.csv"), options, context=context)


def has_circle(groups: dict[str, tuple[str, bool, str]]) -> bool:
    """Whether a group is part of itself."""
    for start in groups:
        seen, here = set(), start
        while here:
            if here in seen:
                return True
            seen.add(here)
            here = groups[here][2]
    return False


def expect_groups(before: World, rows: list[tuple[str, str, str, str]], wrong: set[int]) -> World:
    """The world after a file of groups, by the simplest model: each good row sets its group."""
    good = [row for number, row in enumerate(rows, 2) if number not in wrong]
    return replace(before, groups={**before.groups, **{key: (n, s == "Active", p) for key, n, s, p in good}})


def expect_members(before: World, rows: list[Member], wrong: set[int], *, sync: bool) -> World:
    """The world after a file of members, by the simplest model."""
    numbered = list(enumerate(rows, 2))
    good = [row for number, row in numbered if number not in wrong]
    named = {row[0] for row in rows} & before.groups.keys()
    unsure = {row[0] for number, row in numbered if number in wrong}
    named_wrong = {row[2] for number, row in numbered if number in wrong}
    free = (named if unsure <= before.groups.keys() else set()) - unsure if sync else set()
    listed = {(kind, member) for _, kind, member, relation in good if relation == "Member"}
    users = {
        one: "" if group in free and ("User", one) not in listed and one not in named_wrong else group
        for one, group in before.users.items()
    }
    groups = {
        key: (name, active, "" if up in free and ("Group", key) not in listed and key not in named_wrong else up)
        for key, (name, active, up) in before.groups.items()
    }
    monitors = {one for one in before.monitors if one[0] not in free}
    for group, kind, member, relation in good:
        if relation == "Monitor":
            monitors.add((group, kind, member))
        elif kind == "User":
            users[member] = group
        else:
            groups[member] = (*groups[member][:2], group)
    return World(groups, users, frozenset(monitors))


def list_wrong(done: ImportResult) -> set[int]:
    """The rows with problems."""
    assert done.plan is not None
    return set(done.plan.problems["row"])


@given(first=_group_rows, members=_member_rows, rows=_group_rows)
@_law
def test_a_file_of_groups_does_what_its_good_rows_say_and_is_undone(
    agencies: tuple[models.Agency, models.Agency], first: list[Member], members: list[Member], rows: list[Member]
) -> None:
    with begin_example():
        made = build(agencies[0], first, members)
        before = read(made)
        done = run(made, "groups", rows)
        wrong, after = list_wrong(done), read(made)
        assert after == expect_groups(before, rows, wrong)
        assert not has_circle(after.groups)
        for number, (key, name, status, parent) in enumerate(rows, 2):
            fine = name != "x" or before.groups.get(key, ("",))[0] == "x"
            known = parent in before.groups or parent in after.groups or not parent
            if number not in wrong:
                assert fine
                assert status
                assert known
        undone = undo.run_undo(done.record, context=AuditContext(cast.NOW, "", "cli"), preview=False)
        assert list_wrong(undone) == set()
        assert read(made) == before
        cast.assert_whole(made)


@given(first=_group_rows, members=_member_rows, rows=_member_rows, sync=st.booleans())
@_law
def test_a_file_of_members_does_what_its_good_rows_say_and_is_undone(
    agencies: tuple[models.Agency, models.Agency],
    first: list[Member],
    members: list[Member],
    rows: list[Member],
    sync: bool,
) -> None:
    with begin_example():
        made = build(agencies[0], first, members)
        before = read(made)
        done = run(made, "members", rows, sync=sync)
        after = read(made)
        assert after == expect_members(before, rows, list_wrong(done), sync=sync)
        assert not has_circle(after.groups)
        again = run(made, "members", rows, sync=sync)
        assert again.record.counts["removed"] == again.record.counts["added"] == again.record.counts["updated"] == 0
        assert read(made) == after
        undone = undo.run_undo(done.record, context=AuditContext(cast.NOW, "", "cli"), preview=False)
        assert list_wrong(undone) == set()
        assert read(made) == before
        cast.assert_whole(made)


@given(first=_group_rows, members=_member_rows, rows=_member_rows, chance=st.randoms(use_true_random=False))
@_law
def test_the_order_of_the_rows_decides_nothing(
    agencies: tuple[models.Agency, models.Agency],
    first: list[Member],
    members: list[Member],
    rows: list[Member],
    chance: st.DataObject,
) -> None:
    with begin_example():
        made = build(agencies[0], first, members)
        other = build(agencies[1], first, members)
        shuffled = list(rows)
        chance.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis gives a random.Random
        for agency, listed in ((made, rows), (other, shuffled)):
            run(agency, "members", listed, sync=True)
        assert read(made) == read(other)
