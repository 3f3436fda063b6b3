"""Writing: exactly what the plan says, with its events and mails, for one agency alone."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from musterbook.core.domain.policy import Mode
from musterbook.core.domain.snapshot import SCHEMA
from musterbook.core.planning import changes
from musterbook.core.planning.plan import ADDED, UPDATED
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries, writer
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import undo
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportFailed, ImportResult
from musterbook.directory.storage import frames
from musterbook.directory.users import export
from tests.directory.cast import (
    NOW,
    Row,
    agency,
    apply_rows,
    assert_whole,
    mails,
    people,
    person,
    read_everything,
    register,
    run,
    unlimited,
    user,
)
from tests.examples import examples

pytestmark = pytest.mark.django_db

SYNC = Options(mode=Mode.SYNC)
AS_TEXT = ["email", "badge_number", "first_name", "last_name", "username", "location", "phone"]


def render_users(made: models.Agency) -> dict[str, Row]:
    """Everybody as the trail words them, by external ID."""
    stored = snapshot_queries.read_all_users(made)
    bosses = stored.select(supervisor_id="id", supervisor_external_id="external_id")
    users = export._join_supervisors(stored).join(bosses, on="supervisor_id", how="left", maintain_order="left")
    rows = users.select("external_id", *changes.render_shown(snapshot_queries.read_vocabulary(made))).drop(
        "supervisor_external_id"
    )
    return {row["external_id"]: row for row in rows.to_dicts()}


def replay_events(done: ImportResult, before: dict[str, Row]) -> dict[str, Row]:
    """The directory before, with what the import's events tell."""
    after = {external_id: dict(row) for external_id, row in before.items()}
    for event in models.Event.objects.filter(of=done.record):
        row = after.setdefault(event.subject_external_id, {"external_id": event.subject_external_id})
        for heading, (was, became) in json.loads(event.changes).items():
            if heading in (changes.LINK, "EXTERNAL_ID"):
                continue
            assert row.get(heading.lower(), "") == was
            row[heading.lower()] = became
    return after


def assert_written(done: ImportResult, made: models.Agency) -> None:
    """What the plan's frames say stands in the tables."""
    assert done.plan
    stored = snapshot_queries.read_all_users(made)
    for frame, schema in ((done.plan.added, ADDED), (done.plan.updated, UPDATED)):
        if frame.width:
            assert dict(frame.schema) == schema
            both = frame.select("external_id", *AS_TEXT, "active", "role_id", "rank_id", "group_id")
            assert (
                stored.join(both, on="external_id", how="semi")
                .select(both.columns)
                .sort("external_id")
                .equals(both.sort("external_id"))
            )
    gone = stored.join(done.plan.leavers.deactivated, on="external_id", how="semi")
    assert not gone["active"].any()


def test_users_are_read_with_the_columns_of_a_snapshot_and_written_from_those_of_a_plan() -> None:
    made = agency()
    assert dict(snapshot_queries.read_all_users(made).schema) == SCHEMA
    done = run(made, [person(1), person(2)])
    assert_written(done, made)
    assert dict(snapshot_queries.read_all_users(made).schema) == SCHEMA
    names = {*writer._KEYED, *writer._UNKEYED}
    assert {*names, *writer._KEYS} <= ADDED.keys()
    assert {*names, *writer._KEYS, *(f"was_{name}" for name in names)} <= UPDATED.keys()


SOME = settings(
    max_examples=examples(15),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
"""Few, and as they are found: each is several imports."""

NUMBERS = st.integers(1, 5)


@st.composite
def rosters(draw: Any) -> list[Row]:
    """Rows of some of five people, who take each other's addresses, badges and usernames, so that nobody collides."""
    chosen = draw(st.lists(NUMBERS, unique=True, min_size=1))
    taken = [draw(st.permutations(chosen)) for _ in range(3)]
    return [
        person(
            number, EMAIL=f"User{taken[0][at]}@agency.example", BADGE_NUMBER=f"B-{taken[1][at]}", USERNAME=f"user.{taken[2][at]}",
            STATUS=draw(st.sampled_from(["Active", "Inactive"])), LAST_NAME=draw(st.sampled_from(["Ä", '"', "\\", "x"])),
            RANK=draw(st.sampled_from(["", "Captain"])), EVIDENCE_GROUP_EXT_ID=draw(st.sampled_from(["", "PATROL"])),
            SUPERVISOR_EMAIL=draw(st.sampled_from(["", *(f"user{n}@agency.example" for n in chosen)])),
        )
        for at, number in enumerate(chosen)
    ]  # fmt: skip


@SOME
@given(first=rosters(), second=rosters(), mode=st.sampled_from([Mode.UPDATE, Mode.SYNC]))
def test_the_written_rows_equal_the_plan_and_the_events(first: list[Row], second: list[Row], mode: Mode) -> None:
    made = agency(f"springfield-{models.Agency.objects.count()}", limits=unlimited())
    run(made, first)
    before = render_users(made)
    done = run(made, second, Options(mode=mode))
    if done.record.state == "refused":
        assert render_users(made) == before
        return
    assert_written(done, made)
    moved = {row["EMAIL"] for row in second}
    got, expected = render_users(made), replay_events(done, before)
    for row in (*got.values(), *expected.values()):
        if moved:
            # A report's text follows its supervisor's new address, which is no change of the report's.
            row.pop("supervisor_email", None)
    assert {i: {k: v for k, v in r.items() if v} for i, r in got.items()} == {
        i: {k: v for k, v in r.items() if v} for i, r in expected.items()
    }
    again = run(made, second, Options(mode=mode))
    if done.record.counts["errored"] == 0:
        assert again.record.counts["unchanged"] == len(second)
        assert not models.Event.objects.filter(of=again.record).exists()
    assert_whole(made)


@SOME
@given(first=rosters(), second=rosters(), mode=st.sampled_from([Mode.UPDATE, Mode.SYNC]))
def test_an_import_and_its_undo_leave_the_directory_as_it_was(first: list[Row], second: list[Row], mode: Mode) -> None:
    made = agency(f"shelbyville-{models.Agency.objects.count()}", limits=unlimited())
    run(made, first)
    before = {row["id"]: row for row in snapshot_queries.read_all_users(made).to_dicts()}
    done = run(made, second, Options(mode=mode))
    assume(done.record.state == "applied")
    back = undo.run_undo(done.record, context=AuditContext(NOW, "", "cli")).record
    found = models.ImportProblem.objects.filter(of=back, note=False)
    # What an added user has taken they keep, for nobody is deleted: it cannot go back.
    assert {*found.values_list("code", flat=True)} <= {"taken"}
    assume(not found.exists())
    after = {row["id"]: row for row in snapshot_queries.read_all_users(made).to_dicts()}
    assert {number: after[number] for number in before} == before
    assert not any(row["active"] for number, row in after.items() if number not in before)


def test_values_rotate_among_many_users() -> None:
    made = agency(limits=unlimited())
    apply_rows(made, people(*range(50)))
    turned = [
        person(
            n, EMAIL=f"user{(n + 1) % 50}@agency.example", BADGE_NUMBER=f"B-{(n + 7) % 50}", USERNAME=f"user.{49 - n}"
        )
        for n in range(50)
    ]
    assert apply_rows(made, turned).record.counts["updated"] == 50
    assert apply_rows(made, turned).record.counts["unchanged"] == 50


def test_a_supervisor_added_together_with_their_report_is_linked() -> None:
    made = agency()
    apply_rows(made, people(1))
    apply_rows(
        made,
        [
            person(1, SUPERVISOR_EMAIL="user3@agency.example"),
            person(2, SUPERVISOR_EMAIL="user3@agency.example"),
            person(3),
        ],
    )
    assert {user(made, 1).supervisor_id, user(made, 2).supervisor_id} == {user(made, 3).pk}


def test_open_invitations_and_resets_end_with_the_account_and_attributes_stay() -> None:
    made = agency()
    apply_rows(made, people(1, 2, 3, RANK="Captain"))
    models.User.objects.filter(agency=made).update(invitation_expires_at=NOW, reset_at=NOW)
    apply_rows(made, [person(1, STATUS="Inactive"), person(2, LAST_NAME="New")], SYNC)
    kept = [(u.invitation_expires_at, u.reset_at, u.rank_id is not None) for u in (user(made, n) for n in (1, 2, 3))]
    assert kept == [(None, None, True), (NOW, NOW, True), (None, None, True)]


# Mails (rule D8)

ADDRESS = "user1@agency.example"
NEW = "new@agency.example"


@pytest.mark.parametrize(
    ("registered", "was", "becomes", "posted"),
    [
        (False, None, person(1), [("invitation", ADDRESS)]),
        (False, None, person(1, STATUS="Inactive"), []),
        (False, "Inactive", person(1), [("invitation", ADDRESS)]),
        (True, "Inactive", person(1), [("reactivated", ADDRESS)]),
        (False, "Active", person(1, STATUS="Inactive"), []),
        (True, "Active", person(1, STATUS="Inactive"), [("deactivated", ADDRESS)]),
        (False, "Active", person(1, EMAIL=NEW), [("invitation", NEW)]),
        (True, "Active", person(1, EMAIL=NEW), [("email-changed", ADDRESS)]),
        (True, "Inactive", person(1, EMAIL=NEW), [("email-changed", ADDRESS), ("reactivated", NEW)]),
        (False, "Inactive", person(1, EMAIL=NEW), [("invitation", NEW)]),
        (True, "Inactive", person(1, EMAIL=NEW, STATUS="Inactive"), []),
        (True, "Active", person(1, LAST_NAME="New"), []),
        (True, "Active", person(1), []),
    ],
)
def test_who_is_sent_what(registered: bool, was: str | None, becomes: Row, posted: list[tuple[str, str]]) -> None:
    made = agency()
    if was:
        apply_rows(made, people(1, STATUS=was))
        if registered:
            register(made, 1)
    assert mails(apply_rows(made, [becomes])) == posted
    assert mails(apply_rows(made, [becomes])) == []


def test_registered_users_that_the_file_leaves_out_are_notified() -> None:
    made = agency()
    apply_rows(made, people(1, 2, 3))
    register(made, 3)
    assert mails(apply_rows(made, people(1), SYNC)) == [("deactivated", "user3@agency.example")]


@pytest.mark.parametrize(
    ("sends", "asked", "sent"), [(True, None, 1), (False, None, 0), (True, False, 0), (False, True, 1)]
)
def test_the_operator_or_else_the_agency_says_whether_mails_are_sent(
    sends: bool, asked: bool | None, sent: int
) -> None:
    done = apply_rows(agency(sends_mail=sends), people(1), Options(mails=asked))
    assert len(mails(done)) == sent
    assert all(not mail.attempts and mail.sent_at is None for mail in models.Mail.objects.all())


def test_mails_go_with_the_import_that_fails() -> None:
    made = agency()

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        if stage == "committing":
            assert models.Mail.objects.exists()
            raise KeyboardInterrupt

    with pytest.raises(ImportFailed):
        run(made, people(1), progress=progress)
    assert not models.Mail.objects.exists()


# One agency alone


def test_an_import_never_sees_or_touches_another_agency() -> None:
    other = agency("shelbyville")
    apply_rows(other, [*people(1, 2), person(3, ROLE="Admin", SUPERVISOR_EMAIL="user1@agency.example")])
    register(other, 3)
    before = read_everything(other)
    made = agency()
    same = [person(1, LAST_NAME="Mine"), person(9, EMAIL="user2@agency.example", BADGE_NUMBER="B-2", USERNAME="user.3")]
    assert apply_rows(made, same).record.counts["added"] == 2
    apply_rows(made, [person(9), person(1, SUPERVISOR_EMAIL="user9@agency.example")], SYNC)
    assert read_everything(other) == before
    assert set(models.Event.objects.filter(agency=made).values_list("subject__agency", flat=True)) == {made.pk}
    assert_whole(other)


@pytest.mark.parametrize("many", [1, 40])
def test_another_agency_s_users_words_and_operators_are_unknown(many: int) -> None:
    other, made = agency("shelbyville"), agency()
    apply_rows(other, [person("boss", ROLE="Admin"), *people(2)])
    models.Role.objects.create(agency=other, name="Diver", name_key="diver")
    models.Rank.objects.create(agency=other, name="Major", name_key="major", position=9)
    models.Group.objects.create(agency=other, external_id="HARBOR", name="Harbor")
    apply_rows(made, people(*range(100, 100 + many)))
    found = run(made, [
        person(1, ROLE="Diver"), person(2, RANK="Major"), person(3, EVIDENCE_GROUP_EXT_ID="HARBOR"),
        person(4, SUPERVISOR_EMAIL="userboss@agency.example"),
    ])  # fmt: skip
    codes = models.ImportProblem.objects.filter(of=found.record).order_by("row").values_list("code", flat=True)
    assert list(codes) == ["unknown-role", "unknown-rank", "unknown-group", "unknown-supervisor"]
    with pytest.raises(snapshot_queries.UnknownOperator):
        run(made, people(5), by="E-boss")


def test_a_small_file_in_a_large_agency_conflicts_with_users_that_it_does_not_name() -> None:
    made = agency()
    apply_rows(made, people(*range(40)))
    found = run(made, [person(41, EMAIL="USER7@agency.example"), person(42)])
    assert (found.record.counts["errored"], found.record.counts["added"]) == (1, 1)


def test_a_short_file_that_synchronizes_a_large_agency_counts_everyone_it_does_not_name() -> None:
    made = agency()
    apply_rows(made, people(*range(40)))
    assert run(made, people(7), SYNC).record.counts["deactivated"] == 39


def test_the_last_administrator_of_another_agency_does_not_count() -> None:
    other, made = agency("shelbyville"), agency()
    for one in (other, made):
        apply_rows(one, people(1, ROLE="Admin"))
        register(one, 1)
    assert run(made, people(1, ROLE="Officer")).record.counts["errored"] == 1


def test_what_comes_in_many_parts_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    apply_rows(made, people(*range(9)))
    at_once = snapshot_queries.read_all_users(made)
    monkeypatch.setattr(frames, "_PART_BYTES", 100)
    monkeypatch.setattr(frames, "_READ_AT_ONCE", 2)
    assert at_once.height == 9
    assert snapshot_queries.read_all_users(made).equals(at_once)
