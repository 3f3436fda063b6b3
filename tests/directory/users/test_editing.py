"""One user added or edited by hand: the same checks, trail and mails as a row of a file, and nothing lost by two who edit."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from django.db import connection

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.options import Options
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.users import editing, marks
from musterbook.directory.users.editing import EditResult
from musterbook.directory.users.marks import ENDS_ON, EXEMPT, NO_FILES, SOURCE
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import NOW, person

pytestmark = pytest.mark.django_db


def context(actor: str = "", minutes: float = 5) -> AuditContext:
    """An act on a page, some minutes after the import."""
    return AuditContext(NOW + timedelta(minutes=minutes), actor, "page", "192.0.2.7", "Browser/1.0")


@built_once
def _build_agency() -> models.Agency:
    """An administrator (1, registered), a chief who may edit (2), officers (3, 4), an Inactive officer (5)."""
    made = cast.agency()
    rows = [person(1, ROLE="Admin"), person(2, ROLE="Chief"), *cast.people(3, 4), person(5, STATUS="Inactive")]
    cast.apply_rows(made, rows)
    cast.register(made, 1, 2)
    permissions = ["users.view", "users.edit"]
    models.Role.objects.filter(agency=made, name="Chief").update(permissions=permissions)
    return made


@pytest.fixture
def agency() -> models.Agency:
    """An administrator (1, registered), a chief who may edit (2), officers (3, 4), an Inactive officer (5)."""
    return _build_agency()


def row(agency: models.Agency, number: int) -> dict[str, str]:
    """The user as a row, as a page shows them now."""
    return editing.build_row(editing.find_user(agency, cast.user(agency, number).pk))


def edit(agency: models.Agency, number: int, by: str = "", shown: Any = None, **typed: str) -> EditResult:
    """Edits the user of that number, as they were shown or as they are."""
    base = dict(shown or row(agency, number))
    return editing.edit(cast.user(agency, number), {**base, **typed}, base, context(by))


def new(number: int, **cells: str) -> dict[str, str]:
    """A whole row of somebody new."""
    return dict.fromkeys(cast.HEADINGS, "") | person(number, **cells)


def events(agency: models.Agency) -> list[models.Event]:
    """What was done by hand."""
    return list(models.Event.objects.filter(agency=agency, of=None).order_by("pk"))


def codes(result: EditResult) -> list[tuple[str, str]]:
    """Of each problem: its code and column."""
    return [(problem.code, problem.column) for problem in result.problems]


def test_an_edit_writes_what_was_typed_and_one_event(agency: models.Agency) -> None:
    result = edit(
        agency,
        3,
        "E-2",
        LAST_NAME="Newton",
        RANK="Captain",
        SUPERVISOR_EMAIL="user2@agency.example",
        PHONE="+1 202 555 0143",
    )
    assert result.done
    assert result.changes == {
        "LAST_NAME": ["Last 3", "Newton"], "RANK": ["", "Captain"], "PHONE": ["", "+12025550143"],
        "SUPERVISOR_EMAIL": ["", "user2@agency.example (E-2)"],
    }  # fmt: skip
    user = cast.user(agency, 3)
    assert (user.last_name, user.rank_id is not None, user.supervisor_id) == ("Newton", True, cast.user(agency, 2).pk)
    (event,) = events(agency)
    assert (event.kind, event.actor, event.through, event.address) == ("user.updated", "E-2", "page", "192.0.2.7")
    assert (event.subject_id, event.outcome) == (user.pk, "")
    assert models.Import.objects.count() == 1
    cast.assert_whole(agency)


def test_nothing_typed_changes_nothing_and_is_no_event(agency: models.Agency) -> None:
    result = edit(agency, 3)
    assert result.done
    assert not result.changes
    assert events(agency) == []


def test_a_row_of_a_user_goes_back_as_it_came(agency: models.Agency) -> None:
    cells = {
        "RANK": "Captain",
        "EVIDENCE_GROUP_EXT_ID": "PATROL",
        "LOCATION": "=North'",
        "SUPERVISOR_EMAIL": "user2@agency.example",
    }
    edit(agency, 3, **cells)
    shown = row(agency, 3)
    assert {name: shown[name] for name in cells} == cells
    assert not edit(agency, 3).changes


@pytest.mark.parametrize("typed", ["'=North", '="007"', "''", "@home", "-1"])
def test_what_is_typed_is_the_value_even_where_a_spreadsheet_would_guard_it(agency: models.Agency, typed: str) -> None:
    assert edit(agency, 3, LOCATION=f" {typed}").done
    assert cast.user(agency, 3).location == typed
    assert codes(edit(agency, 3, PHONE="'+1 202 555 0143")) == [("invalid-phone", "PHONE")]


def test_an_external_id_is_changed_with_an_event_of_its_own(agency: models.Agency) -> None:
    """M14: by anyone who may edit users, together with other values."""
    number = cast.user(agency, 3).pk
    result = edit(agency, 3, by="E-2", EXTERNAL_ID=" N-3 ", LOCATION="North")
    assert result.done
    assert result.changes == {"EXTERNAL_ID": ["E-3", "N-3"], "LOCATION": ["", "North"]}
    assert result.user is not None
    assert (result.user.pk, result.user.external_id, result.user.location) == (number, "N-3", "North")
    told = (
        models.Event.objects.filter(subject=number)
        .order_by("-pk")
        .values_list("kind", "subject_external_id", "changes")
    )
    assert list(told[:2]) == [
        ("user.rekeyed", "E-3", '{"EXTERNAL_ID":["E-3","N-3"]}'), ("user.updated", "E-3", '{"LOCATION":["","North"]}'),
    ]  # fmt: skip
    cast.assert_whole(agency)


def test_an_external_id_is_checked_as_a_file_checks_it(agency: models.Agency) -> None:
    for typed, code in (("E-4", "taken"), ("Ｅ-4", "taken"), ("", "required"), ("a\x07", "illegal-character")):
        assert codes(edit(agency, 3, EXTERNAL_ID=typed, LOCATION="North")) == [(code, "EXTERNAL_ID")]
    assert edit(agency, 4, EXTERNAL_ID="①").done
    assert codes(edit(agency, 3, EXTERNAL_ID="1")) == [("taken", "EXTERNAL_ID")]
    assert (cast.user(agency, 3).external_id, cast.user(agency, 3).location) == ("E-3", "")


def test_the_external_id_of_a_user_above_the_operator_stays(agency: models.Agency) -> None:
    assert codes(edit(agency, 1, by="E-2", EXTERNAL_ID="N-1")) == [("above-your-role", "EXTERNAL_ID")]
    assert models.Event.objects.order_by("-pk")[0].kind == "act.refused"


def test_an_external_id_that_was_changed_meanwhile_is_a_conflict(agency: models.Agency) -> None:
    shown = row(agency, 3)
    user = cast.user(agency, 3)
    edit(agency, 3, EXTERNAL_ID="N-3")
    result = editing.edit(user, {**shown, "EXTERNAL_ID": "M-3"}, shown, context())
    assert [(conflict.heading, conflict.now) for conflict in result.conflicts] == [("EXTERNAL_ID", "N-3")]


def test_ones_own_external_id_may_be_changed(agency: models.Agency) -> None:
    assert edit(agency, 2, by="E-2", EXTERNAL_ID="N-2").done


def test_problems_are_those_of_a_file_and_nothing_is_written(agency: models.Agency) -> None:
    result = edit(agency, 3, EMAIL="user4@agency.example", FIRST_NAME="", ROLE="Cook", PHONE="1", LAST_NAME="Good")
    assert not result.done
    assert sorted(codes(result)) == [
        ("invalid-phone", "PHONE"), ("required", "FIRST_NAME"), ("taken", "EMAIL"), ("unknown-role", "ROLE"),
    ]  # fmt: skip
    assert codes(edit(agency, 3, EMAIL="user4@agency.example")) == [("taken", "EMAIL")]
    assert events(agency) == []
    assert cast.user(agency, 3).last_name == "Last 3"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("nobody@agency.example", "unknown-supervisor"),
        ("user3@agency.example", "own-supervisor"),
        ("user4@agency.example", "supervisor-circle"),
    ],
)
def test_a_supervisor_who_cannot_be_is_a_problem_by_hand(agency: models.Agency, typed: str, code: str) -> None:
    edit(agency, 4, SUPERVISOR_EMAIL="user3@agency.example")
    result = edit(agency, 3, SUPERVISOR_EMAIL=typed)
    assert codes(result) == [(code, "SUPERVISOR_EMAIL")]


def test_notes_are_shown_with_the_result(agency: models.Agency) -> None:
    result = edit(agency, 3, SUPERVISOR_EMAIL="user5@agency.example")
    assert result.done
    assert [note.code for note in result.notes] == ["inactive-supervisor"]


def test_changes_of_two_people_to_different_fields_are_both_kept(agency: models.Agency) -> None:
    shown = row(agency, 3)
    edit(agency, 3, LOCATION="North")
    result = edit(agency, 3, shown=shown, RANK="Captain")
    assert result.done
    assert result.changes == {"RANK": ["", "Captain"]}
    assert row(agency, 3)["LOCATION"] == "North"


def test_changes_of_two_people_to_one_field_are_a_conflict_that_shows_both(agency: models.Agency) -> None:
    shown = row(agency, 3)
    edit(agency, 3, LOCATION="North")
    result = edit(agency, 3, shown=shown, LOCATION="South", RANK="Captain")
    assert not result.done
    assert result.conflicts == [editing.Conflict("LOCATION", "", "North")]
    assert row(agency, 3)["RANK"] == ""
    assert edit(agency, 3, shown=row(agency, 3), LOCATION="South").changes == {"LOCATION": ["North", "South"]}


def test_two_who_write_the_same_have_no_conflict(agency: models.Agency) -> None:
    shown = row(agency, 3)
    edit(agency, 3, LOCATION="North")
    result = edit(agency, 3, shown=shown, LOCATION="North")
    assert result.done
    assert not result.changes


def test_nobody_edits_without_the_permission(agency: models.Agency) -> None:
    with pytest.raises(NotPermitted, match=r"users\.edit"):
        edit(agency, 4, "E-3", LOCATION="North")
    with pytest.raises(snapshot_queries.UnknownOperator):
        edit(agency, 4, "E-5", LOCATION="North")
    with pytest.raises(NotPermitted):
        editing.add(agency, new(9), context("E-3"))
    with pytest.raises(NotPermitted):
        editing.deactivate(cast.user(agency, 4), context("E-3"))


@pytest.mark.parametrize(
    ("number", "typed"), [(1, {"LOCATION": "North"}), (3, {"ROLE": "Admin"}), (2, {"ROLE": "Admin"})]
)
def test_no_user_acts_above_their_own_role_and_each_attempt_is_recorded(
    agency: models.Agency, number: int, typed: dict[str, str]
) -> None:
    result = edit(agency, number, "E-2", **typed)
    assert codes(result) == [("above-your-role", "ROLE")]
    (event,) = events(agency)
    assert (event.kind, event.actor, event.outcome, event.subject_id) == (
        "act.refused", "E-2", "refused", cast.user(agency, number).pk,
    )  # fmt: skip


def test_nobody_deactivates_or_demotes_their_own_account(agency: models.Agency) -> None:
    cast.apply_rows(agency, [person(6, ROLE="Admin")])
    cast.register(agency, 6)
    assert codes(editing.deactivate(cast.user(agency, 1), context("E-1"))) == [("own-account", "STATUS")]
    assert codes(edit(agency, 1, "E-1", ROLE="Officer")) == [("own-account", "ROLE")]
    assert [event.kind for event in events(agency)] == ["act.refused"] * 2


def test_the_last_administrator_stays(agency: models.Agency) -> None:
    assert codes(editing.deactivate(cast.user(agency, 1), context())) == [("last-administrator", "STATUS")]
    assert codes(edit(agency, 1, ROLE="Officer")) == [("last-administrator", "STATUS")]


def test_deactivation_ends_access_at_once_and_reactivation_invites_again(agency: models.Agency) -> None:
    result = editing.deactivate(cast.user(agency, 3), context("E-2"))
    assert result.changes == {"STATUS": ["Active", "Inactive"]}
    user = cast.user(agency, 3)
    assert (user.active, user.access_ended_at) == (False, context().at)
    assert not editing.deactivate(user, context("E-2")).changes
    assert editing.reactivate(user, context("E-2")).changes == {"STATUS": ["Inactive", "Active"]}
    assert list(models.Mail.objects.filter(of=None).values_list("kind", "to")) == [
        ("invitation", "user3@agency.example")
    ]
    assert [event.kind for event in events(agency)] == ["user.updated"] * 2


def test_registered_users_are_notified_of_both_and_an_agency_without_emails_sends_none(agency: models.Agency) -> None:
    editing.deactivate(cast.user(agency, 2), context())
    editing.reactivate(cast.user(agency, 2), context())
    assert list(models.Mail.objects.filter(of=None).values_list("kind", flat=True)) == ["deactivated", "reactivated"]
    models.Agency.objects.update(sends_mail=False)
    silent = models.Agency.objects.get()
    editing.deactivate(editing.find_user(silent, cast.user(silent, 2).pk), context())
    assert models.Mail.objects.filter(of=None).count() == 2


def test_an_added_user_is_invited_and_recorded(agency: models.Agency) -> None:
    result = editing.add(agency, new(9, EXTERNAL_ID=" E-9 "), context("E-2"))
    assert result.done
    assert result.user == cast.user(agency, 9)
    assert cast.user(agency, 9).created_at == context().at
    assert list(models.Mail.objects.filter(of=None).values_list("kind", "to")) == [
        ("invitation", "user9@agency.example")
    ]
    (event,) = events(agency)
    assert (event.kind, event.actor, event.subject_external_id) == ("user.added", "E-2", "E-9")


def test_an_external_id_that_somebody_has_updates_nobody(agency: models.Agency) -> None:
    result = editing.add(agency, new(3, LAST_NAME="Other"), context("E-2"))
    assert (result.done, result.already_exists, result.user) == (False, True, cast.user(agency, 3))
    assert cast.user(agency, 3).last_name == "Last 3"
    assert editing.add(agency, new(3), context("E-2")).already_exists
    assert events(agency) == []


def test_a_form_sent_twice_adds_once(agency: models.Agency) -> None:
    first = editing.add(agency, new(9), context("E-2"))
    again = editing.add(agency, new(9), context("E-2"))
    assert again.done
    assert again.user == first.user
    assert len(events(agency)) == models.Mail.objects.filter(of=None).count() == 1
    assert editing.add(agency, new(9, LAST_NAME="Other"), context("E-2")).already_exists


def test_a_form_sent_twice_with_another_mark_is_not_the_same(agency: models.Agency) -> None:
    first = editing.add(agency, {**new(9), EXEMPT: "yes"}, context())
    assert editing.add(agency, {**new(9), EXEMPT: "yes", SOURCE: " "}, context()).done
    assert editing.add(agency, new(9), context()).already_exists
    assert first.user and cast.user(agency, 9).exempt


def test_given_values_change_and_blank_ones_clear(agency: models.Agency) -> None:
    result = editing.change(cast.user(agency, 3), {"LOCATION": "North", SOURCE: " HR  Sworn"}, context("E-1"))
    assert result.changes == {"LOCATION": ["", "North"], SOURCE: ("", "hr sworn")}
    result = editing.change(cast.user(agency, 3), {"LOCATION": "", SOURCE: ""}, context("E-1"))
    assert result.changes == {"LOCATION": ["North", ""], SOURCE: ("hr sworn", "")}
    assert editing.change(cast.user(agency, 3), {}, context("E-1")).done
    assert codes(editing.change(cast.user(agency, 3), {"EMAIL": ""}, context("E-1"))) == [("required", "EMAIL")]


def test_a_user_who_is_made_active_loses_a_last_day_that_is_over(agency: models.Agency) -> None:
    user = cast.user(agency, 5)
    models.User.objects.filter(pk=user.pk).update(ends_on=NOW.date() - timedelta(days=1))
    assert editing.change(user, {"STATUS": "Inactive"}, context()).changes == {}
    given = {"STATUS": " active ", ENDS_ON: (NOW.date() + timedelta(days=9)).isoformat()}
    changed = editing.change(user, given, context()).changes
    assert changed and changed[ENDS_ON] == ("2026-03-01", "2026-03-11")
    models.User.objects.filter(pk=user.pk).update(ends_on=NOW.date() - timedelta(days=1), active=False)
    assert editing.change(user, {"STATUS": "Active"}, context()).done
    assert (cast.user(agency, 5).active, cast.user(agency, 5).ends_on) == (True, None)


def test_a_check_within_the_lock_prevents_a_change(agency: models.Agency) -> None:
    class Refused(Exception):
        pass

    def refuse(current: models.User) -> None:
        raise Refused(current.external_id)

    with pytest.raises(Refused, match="E-3"):
        editing.change(cast.user(agency, 3), {"LOCATION": "North"}, context(), refuse)
    for change in (editing.deactivate, editing.reactivate):
        with pytest.raises(Refused, match="E-3"):
            change(cast.user(agency, 3), context(), refuse)
    assert events(agency) == []


def test_what_is_wrong_with_a_new_user_is_said_whole(agency: models.Agency) -> None:
    result = editing.add(agency, new(9, EXTERNAL_ID="", EMAIL="x", ROLE="Admin"), context("E-2"))
    assert sorted(codes(result)) == [
        ("above-your-role", "ROLE"),
        ("invalid-email", "EMAIL"),
        ("required", "EXTERNAL_ID"),
    ]
    assert codes(editing.add(agency, new(9, ROLE="Admin"), context("E-2"))) == [("above-your-role", "ROLE")]
    assert [(event.kind, event.subject_id) for event in events(agency)] == [("act.refused", None)] * 2


def test_who_may_synchronize_says_who_is_exempt(agency: models.Agency) -> None:
    with pytest.raises(NotPermitted, match=r"users\.synchronize"):
        edit(agency, 3, "E-2", **{EXEMPT: "yes"})
    models.Role.objects.filter(name="Chief").update(permissions=["users.edit", "users.synchronize"])
    result = edit(agency, 3, "E-2", LOCATION="North", **{EXEMPT: "yes"})
    assert result.changes == {"LOCATION": ["", "North"], EXEMPT: ("", "yes")}
    assert cast.user(agency, 3).exempt
    assert [event.changes for event in events(agency)] == ['{"LOCATION":["","North"]}', '{"X_EXEMPT":["","yes"]}']
    assert edit(agency, 3, "E-2", **{EXEMPT: ""}).changes == {EXEMPT: ("yes", "")}
    assert codes(edit(agency, 1, "E-2", **{EXEMPT: "yes"})) == [("above-your-role", "ROLE")]
    assert codes(edit(agency, 3, "E-2", RANK="x", **{EXEMPT: "yes"})) == [("unknown-rank", "RANK")]
    assert not cast.user(agency, 1).exempt
    cast.assert_whole(agency)


def test_a_user_can_have_a_last_day_of_access(agency: models.Agency) -> None:
    result = edit(agency, 3, "E-2", **{ENDS_ON: "2026-03-05"})
    assert result.changes == {ENDS_ON: ("", "2026-03-05")}
    assert cast.user(agency, 3).ends_on == date(2026, 3, 5)
    assert [event.changes for event in events(agency)] == ['{"X_ENDS_ON":["","2026-03-05"]}']
    assert edit(agency, 3, "E-2", **{ENDS_ON: ""}).changes == {ENDS_ON: ("2026-03-05", "")}
    added = editing.add(agency, new(9) | {ENDS_ON: "2026-03-04"}, context("E-2")).user
    assert added and added.ends_on == date(2026, 3, 4)
    assert codes(edit(agency, 1, "E-2", **{ENDS_ON: "2026-03-05"})) == [("above-your-role", "ROLE")]
    assert codes(edit(agency, 2, "E-2", **{ENDS_ON: "2026-03-05"})) == [("own-account", ENDS_ON)]
    cast.assert_whole(agency)


@pytest.mark.parametrize("wrong", ["2026-03-01", "tomorrow", "2026-13-40", "0000-00-00"])
def test_a_last_day_that_is_no_day_or_is_over_is_a_problem_and_changes_nothing(
    agency: models.Agency, wrong: str
) -> None:
    assert codes(edit(agency, 3, "E-2", LOCATION="North", **{ENDS_ON: wrong})) == [("invalid-last-day", ENDS_ON)]
    assert codes(editing.add(agency, new(9) | {ENDS_ON: wrong}, context("E-2"))) == [("invalid-last-day", ENDS_ON)]
    assert cast.user(agency, 3).location == "" and not models.User.objects.filter(external_id="E-9").exists()


def test_who_is_reactivated_after_their_last_day_has_none_any_more(agency: models.Agency) -> None:
    models.User.objects.filter(pk=cast.user(agency, 5).pk).update(ends_on=date(2026, 3, 1))
    editing.reactivate(cast.user(agency, 5), context("E-2"))
    back = cast.user(agency, 5)
    assert back.active and back.ends_on is None


def test_users_of_other_agencies_are_not_there(agency: models.Agency) -> None:
    other = cast.agency("shelbyville")
    with pytest.raises(editing.UnknownUser):
        editing.find_user(other, cast.user(agency, 3).pk)


def test_one_edit_reads_no_more_than_it_needs(agency: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.apply_rows(agency, cast.people(*range(10, 60)))
    seen: list[int] = []
    real = snapshot_queries.read_snapshot

    def watched(*given: object, **more: object) -> object:
        found = real(*given, **more)  # type: ignore[arg-type]
        assert found.headcount is None
        seen.append(found.users.height)
        return found

    monkeypatch.setattr(snapshot_queries, "read_snapshot", watched)
    edit(agency, 3, SUPERVISOR_EMAIL="user20@agency.example")
    assert seen == [3]


def test_who_may_synchronize_sets_what_files_do_to_a_user(agency: models.Agency) -> None:
    """S9 and S11: the marks of imports need the permission to synchronize, also for a user who is added."""
    for mark in (NO_FILES, SOURCE):
        with pytest.raises(NotPermitted, match=r"users\.synchronize"):
            edit(agency, 3, "E-2", **{mark: "yes"})
    with pytest.raises(NotPermitted, match=r"users\.synchronize"):
        editing.add(agency, new(9) | {NO_FILES: "yes"}, context("E-2"))
    added = editing.add(agency, new(9) | {NO_FILES: "yes", EXEMPT: "yes"}, context())
    assert added.user and (added.user.no_files, added.user.exempt, added.user.source) == (True, True, "")
    assert edit(agency, 3, **{SOURCE: " HR  Sworn"}).changes == {SOURCE: ("", "hr sworn")}
    assert edit(agency, 3, **{SOURCE: "hr SWORN"}).changes == {}
    assert row(agency, 3)[SOURCE] == "hr sworn"
    assert codes(edit(agency, 3, **{SOURCE: "a\x07b"})) == [("invalid-source", SOURCE)]
    assert events(agency)[-1].changes == '{"X_SOURCE":["","hr sworn"]}'
    cast.assert_whole(agency)


@pytest.mark.parametrize("mark", [EXEMPT, NO_FILES, SOURCE])
def test_a_user_whose_marks_change_is_no_longer_leaving(agency: models.Agency, mark: str) -> None:
    """S10."""
    models.User.objects.filter(external_id="E-3").update(missing_since=NOW.date(), missing_imports=2)
    edit(agency, 3, **{ENDS_ON: "2099-01-01"})
    assert marks.find_leaving_day(cast.user(agency, 3)) == NOW.date()
    edit(agency, 3, **{mark: "yes"})
    assert (cast.user(agency, 3).missing_since, cast.user(agency, 3).missing_imports) == (None, 0)


def test_a_synchronize_import_like_the_last_is_a_risk_for_a_new_user(agency: models.Agency) -> None:
    """S11."""
    assert marks.find_risk(cast.user(agency, 3)) is None
    rows = [person(1, ROLE="Admin"), person(2, ROLE="Chief"), *cast.people(3, 4)]
    cast.run(agency, rows, Options(mode=Mode.SYNC, source="hr"))
    editing.add(agency, new(9), context())
    assert marks.find_risk(cast.user(agency, 9)) is None and marks.find_risk(cast.user(agency, 3))
    cast.run(agency, [*rows, person(9)], Options(mode=Mode.SYNC))
    assert marks.find_risk(cast.user(agency, 9)) == marks.Risk(NOW.date(), 0)
    models.Agency.objects.update(grace_days=3)
    assert marks.find_risk(cast.user(agency, 9)) == marks.Risk(NOW.date(), 3)
    for kept in ({"exempt": True}, {"no_files": True}, {"managed_by": "scim"}, {"active": False}):
        models.User.objects.filter(external_id="E-9").update(**kept)
        assert marks.find_risk(cast.user(agency, 9)) is None
        models.User.objects.filter(external_id="E-9").update(exempt=False, no_files=False, managed_by="", active=True)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by one entry with each operation of Polars, and with each query."""
    counted = list[str]()
    collect = pl.LazyFrame.__dict__["_collect_eager"]

    def count(*given: Any, **options: Any) -> pl.DataFrame:
        counted.append("frame")
        found: pl.DataFrame = collect(*given, **options)
        return found

    monkeypatch.setattr(pl.LazyFrame, "_collect_eager", count)
    return counted


def test_an_edit_and_an_addition_take_few_steps(agency: models.Agency, steps: list[str]) -> None:
    """Each step costs more than its one row: the number of steps decides how long a request about one user takes."""

    def count(execute: Any, *given: Any) -> Any:
        steps.append("query")
        return execute(*given)

    def tally() -> tuple[bool, bool]:
        few = (steps.count("frame") < 400, steps.count("query") < 30)
        steps.clear()
        return few

    shown = row(agency, 3)
    user = cast.user(agency, 3)
    with connection.execute_wrapper(count):
        steps.clear()
        assert editing.edit(user, {**shown, "LAST_NAME": "Renamed"}, shown, context("E-1")).done
        assert tally() == (True, True)
        assert editing.add(agency, new(9), context("E-1")).done
        assert tally() == (True, True)
