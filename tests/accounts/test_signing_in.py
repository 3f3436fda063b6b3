"""Signing in with a password: who may, what is counted, and what nobody can tell from outside."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth import hashers

from musterbook.accounts import lockout, passwords, registration, signing_in, unauthenticated_events
from musterbook.accounts.models import Failure
from musterbook.directory import models
from musterbook.directory.audit import verify
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.users import states
from tests.accounts.conftest import GOOD, Springfield, context
from tests.directory.cast import person


def may(springfield: Springfield, name: str, password: str = GOOD, minutes: float = 1) -> bool:
    return signing_in.authenticate(springfield.agency, name, password, context(minutes)) is not None


def fail(springfield: Springfield, name: str, times: int, minutes: float = 1) -> None:
    for _ in range(times):
        assert not may(springfield, name, "wrong", minutes)


@pytest.mark.parametrize("name", ["user.2", "USER.2", " user2@agency.example", "User2@Agency.Example"])
def test_a_user_signs_in_with_username_or_address(springfield: Springfield, name: str) -> None:
    springfield.registered(2)
    assert may(springfield, name)


def test_nobody_else_does_and_the_trail_says_who_was_meant(springfield: Springfield) -> None:
    springfield.registered(2)
    assert not may(springfield, "user.2", "wrong")
    assert not may(springfield, "user.1", "")
    assert not may(springfield, "nobody")
    failed = [("user.sign-in-failed", "", about, "failed") for about in ("E-2", "E-1", "")]
    assert springfield.events()[2:] == failed
    event = models.Event.objects.latest("id")
    assert (event.address, event.agent, event.changes) == ("192.0.2.7", "Browser/1.0", "{}")


def test_each_failed_sign_in_leaves_a_line_in_the_log_without_what_was_typed(
    springfield: Springfield, caplog: pytest.LogCaptureFixture
) -> None:
    user = springfield.registered(2)
    assert not may(springfield, "user.2", "wrong")
    assert not may(springfield, "s3cret-typed-as-name", "wrong")
    forged = replace(context(1), address="192.0.2.7, as 'E-1'\n" + "x" * 100)
    lockout.count_wrong_code(user.user, context(1))
    unauthenticated_events.log_failed_sign_in(springfield.agency, forged, user.user)  # no event holds such an address
    assert [(one.name, one.getMessage()) for one in caplog.records] == [
        ("musterbook.security", "Failed sign-in to springfield as 'E-2' from 192.0.2.7"),
        ("musterbook.security", "Failed sign-in to springfield as nobody known from 192.0.2.7"),
        ("musterbook.security", "Failed sign-in to springfield as 'E-2' from 192.0.2.7"),
        (
            "musterbook.security",
            "Failed sign-in to springfield as 'E-2' from \"192.0.2.7, as 'E-1'\\n" + "x" * 25 + '"',
        ),
    ]


def test_users_of_one_agency_cannot_sign_in_to_another(springfield: Springfield, shelbyville: Springfield) -> None:
    springfield.registered(2)
    assert not may(shelbyville, "user.2")


def test_an_inactive_user_cannot_sign_in(springfield: Springfield) -> None:
    springfield.registered(2)
    springfield.imported(person(2, STATUS="Inactive"))
    assert not may(springfield, "user.2")
    springfield.imported(person(2))
    assert may(springfield, "user.2")


def test_five_failures_in_a_quarter_of_an_hour_lock(springfield: Springfield) -> None:
    springfield.registered(2)
    fail(springfield, "user.2", 4)
    assert may(springfield, "user.2")
    fail(springfield, "user2@agency.example", 5)
    assert not may(springfield, "user.2", minutes=600)
    assert springfield.user(2).locked_at == context(1).at
    assert springfield.mails() == ["welcome", "locked"]
    assert [kind for kind, *_ in springfield.events()].count("user.locked") == 1


def test_failures_long_ago_do_not_count(springfield: Springfield) -> None:
    springfield.registered(2)
    fail(springfield, "user.2", 4)
    fail(springfield, "user.2", 4, minutes=17)
    assert may(springfield, "user.2", minutes=18)


def test_a_sign_in_forgets_the_failures_before_it(springfield: Springfield) -> None:
    account = springfield.registered(2)
    fail(springfield, "user.2", 4)
    signing_in.record_sign_in(account, context(2), "password")
    fail(springfield, "user.2", 4, minutes=3)
    assert may(springfield, "user.2", minutes=4)
    assert springfield.user(2).last_sign_in_at == context(2).at


def test_a_lock_ends_by_time_if_the_agency_says_so(springfield: Springfield) -> None:
    springfield.registered(2)
    models.Agency.objects.update(lock_minutes=30)
    fail(springfield, "user.2", 5)
    assert not may(springfield, "user.2", minutes=30)
    assert may(springfield, "user.2", minutes=31)
    assert springfield.user(2).locked_at is None


@pytest.mark.parametrize("minutes", [0, 600, 5])
def test_nobody_keeps_an_administrator_out_for_longer_than_a_quarter_of_an_hour(
    springfield: Springfield, minutes: int
) -> None:
    springfield.registered(1)
    models.Agency.objects.update(lock_minutes=minutes)
    fail(springfield, "user.1", 5)
    assert not may(springfield, "user.1", minutes=5)
    assert may(springfield, "user.1", minutes=16.5)


def test_failures_while_locked_do_not_prolong_the_lock(springfield: Springfield) -> None:
    springfield.registered(1)
    fail(springfield, "user.1", 5)
    fail(springfield, "user.1", 20, minutes=15)
    assert may(springfield, "user.1", minutes=16.5)


def test_an_administrator_unlocks(springfield: Springfield) -> None:
    springfield.registered(2)
    fail(springfield, "user.2", 5)
    assert lockout.unlock(springfield.user(2), AuditContext(context(2).at, "E-1", "page"))
    assert not lockout.unlock(springfield.user(2), context(2))
    assert may(springfield, "user.2", minutes=2)
    assert springfield.events()[-1] == ("user.unlocked", "E-1", "E-2", "")


def test_locks_whose_time_is_over_are_ended_for_the_list_as_well(springfield: Springfield) -> None:
    for number in (1, 2):
        springfield.registered(number)
        fail(springfield, f"user.{number}", 5)
    assert lockout.unlock_due(context(10).at) == 0
    assert lockout.unlock_due(context(20).at) == 1
    assert (springfield.user(1).locked_at, springfield.user(2).locked_at) == (None, context(1).at)
    assert not Failure.objects.exists()
    assert states.STATES[3] == "Locked"


def test_unknown_names_cost_the_same_work_as_known_ones(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: object
) -> None:
    springfield.registered(2)
    signing_in._make_dummy_hash()
    work: list[str] = []
    usual = hashers.check_password

    def watched(password: str, encoded: str) -> bool:
        work.append(encoded.partition("$")[0])
        return usual(password, encoded)

    monkeypatch.setattr(passwords, "check_password", watched)
    for name in ("user.2", "user.1", "user.3", "nobody"):
        assert not may(springfield, name, "wrong")
    assert work == ["md5"] * 4
    assert Failure.objects.count() == 4


def test_the_trail_of_all_this_verifies(springfield: Springfield) -> None:
    springfield.registered(2)
    fail(springfield, "user.2", 5)
    registration.request_reset(springfield.agency, "user.2", context())
    found = verify.verify_trail(springfield.agency)
    assert (found.error, found.events) == ("", 3 + 2 + 5 + 1 + 1)


@pytest.mark.usefixtures("as_owner")
@pytest.mark.parametrize("column", ["agent", "outcome"])
def test_a_changed_program_or_outcome_is_found(springfield: Springfield, column: str) -> None:
    springfield.registered(2)
    fail(springfield, "user.2", 1)
    models.Event.objects.filter(kind="user.sign-in-failed").update(**{column: ""})
    assert "not those that were sealed" in verify.verify_trail(springfield.agency).error


def test_a_program_that_calls_itself_by_control_characters_cannot_forge_an_event(springfield: Springfield) -> None:
    forged = AuditContext(context().at, "", "page", "192.0.2.7", "x\x1frefused\ny" + "z" * 300)
    signing_in.authenticate(springfield.agency, "nobody", "wrong", forged)
    assert models.Event.objects.latest("id").agent == ("x refused y" + "z" * 300)[:255]
    assert verify.verify_trail(springfield.agency).error == ""


def test_old_failures_are_forgotten_in_time(springfield: Springfield) -> None:
    fail(springfield, "nobody", 2)
    lockout.unlock_due(context(1).at + timedelta(minutes=16))
    assert not Failure.objects.exists()
