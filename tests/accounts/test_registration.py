"""Invitation, registration, forgotten passwords: who comes in by which link, and who does not."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from musterbook.accounts import credentials, links, registration
from musterbook.accounts.models import Account, PastPassword
from musterbook.directory import models
from musterbook.directory.audit import verify
from tests.accounts.conftest import GOOD, Springfield, context
from tests.directory.cast import NOW, person


def test_an_invited_user_registers_and_is_welcomed(springfield: Springfield) -> None:
    account = springfield.registered(2)
    user = springfield.user(2)
    assert account.check_password(GOOD)
    assert (user.registered_at, user.invitation_expires_at) == (NOW, None)
    assert springfield.events() == [("user.invited", "", "E-2", ""), ("user.registered", "E-2", "E-2", "")]
    assert springfield.mails() == ["welcome"]
    assert verify.verify_trail(springfield.agency).error == ""


def test_an_invitation_is_used_once(springfield: Springfield) -> None:
    token = springfield.invitation(2)
    registration.register(springfield.agency, token, GOOD, context())
    with pytest.raises(links.InvalidLink):
        registration.register(springfield.agency, token, "another good password", context())
    assert springfield.user(2).account.check_password(GOOD)


def test_of_two_who_use_a_link_at_once_one_registers(springfield: Springfield, monkeypatch: pytest.MonkeyPatch) -> None:
    token = springfield.invitation(2)
    usual = registration._set_password

    def overtaken(account: Account, password: str, at: object) -> None:
        monkeypatch.setattr(registration, "_set_password", usual)
        registration.register(springfield.agency, token, "whoever was quicker", context())
        usual(account, password, context().at)

    monkeypatch.setattr(registration, "_set_password", overtaken)
    with pytest.raises(links.InvalidLink):
        registration.register(springfield.agency, token, GOOD, context())
    assert springfield.user(2).account.check_password("whoever was quicker")


def test_a_new_invitation_voids_the_one_before(springfield: Springfield) -> None:
    old = springfield.invitation(2)
    new = springfield.invitation(2, minutes=1)
    with pytest.raises(links.InvalidLink):
        links.find_user(springfield.agency, "invitation", old, context(2).at)
    assert links.find_user(springfield.agency, "invitation", new, context(2).at) == springfield.user(2)


def test_an_invitation_lasts_as_many_days_as_the_agency_says(springfield: Springfield) -> None:
    models.Agency.objects.update(invitation_days=3)
    token = springfield.invitation(2)
    links.find_user(springfield.agency, "invitation", token, NOW + timedelta(days=3, seconds=-1))
    with pytest.raises(links.InvalidLink):
        links.find_user(springfield.agency, "invitation", token, NOW + timedelta(days=3))


@pytest.mark.parametrize("changed", [{"STATUS": "Inactive"}, {"EMAIL": "else@agency.example"}])
def test_an_import_that_deactivates_or_moves_a_user_voids_the_invitation(
    springfield: Springfield, changed: dict[str, str]
) -> None:
    token = springfield.invitation(2)
    springfield.imported(person(2, **changed))
    with pytest.raises(links.InvalidLink):
        registration.register(springfield.agency, token, GOOD, context())


def test_an_old_invitation_stays_invalid_when_its_user_is_reactivated(springfield: Springfield) -> None:
    token = springfield.invitation(2)
    springfield.imported(person(2, STATUS="Inactive"))
    springfield.imported(person(2))
    springfield.invitation(2, minutes=5)
    with pytest.raises(links.InvalidLink):
        registration.register(springfield.agency, token, GOOD, context())


def test_an_invitation_for_one_agency_is_none_in_another(springfield: Springfield, shelbyville: Springfield) -> None:
    token = springfield.invitation(2)
    with pytest.raises(links.InvalidLink):
        registration.register(shelbyville.agency, token, GOOD, context())
    own = f"{links.make_token(shelbyville.user(2), 'invitation').partition('-')[0]}-{token.partition('-')[2]}"
    with pytest.raises(links.InvalidLink):
        registration.register(shelbyville.agency, own, GOOD, context())


@pytest.mark.parametrize("token", ["", "-", "x", "zzzzzzzzzzzzzzzz-", "1-0", "1", "é-1", "9" * 300])
def test_a_link_that_was_never_sent_is_invalid(springfield: Springfield, token: str) -> None:
    for kind in ("invitation", "reset"):
        with pytest.raises(links.InvalidLink):
            links.find_user(springfield.agency, kind, token, NOW)


def test_an_invitation_cannot_be_used_as_a_reset_nor_the_other_way(springfield: Springfield) -> None:
    token = springfield.invitation(2)
    with pytest.raises(links.InvalidLink):
        registration.reset_password(springfield.agency, token, GOOD, context())
    springfield.registered(1)
    with pytest.raises(links.InvalidLink):
        registration.register(springfield.agency, springfield.reset(1, NOW), GOOD, context())


def test_nobody_is_invited_who_is_inactive_or_has_registered(springfield: Springfield) -> None:
    with pytest.raises(registration.CannotInvite, match="E-3 is Inactive"):
        registration.invite(springfield.user(3), context())
    springfield.registered(2)
    with pytest.raises(registration.CannotInvite, match="E-2 has already registered"):
        springfield.invitation(2)


def test_an_invitation_asked_for_waits_in_the_outbox(springfield: Springfield) -> None:
    registration.invite(springfield.user(2), context())
    assert springfield.mails() == ["invitation"]


def test_a_bad_password_leaves_the_invitation_as_it_was(springfield: Springfield) -> None:
    token = springfield.invitation(2)
    with pytest.raises(ValidationError):
        registration.register(springfield.agency, token, "too short", context())
    assert registration.register(springfield.agency, token, GOOD, context()).check_password(GOOD)


def test_a_forgotten_password_is_replaced_and_the_lock_is_gone(springfield: Springfield) -> None:
    springfield.registered(2)
    models.User.objects.update(locked_at=NOW)
    token = springfield.reset(2, NOW)
    account = registration.reset_password(springfield.agency, token, "another good password", context(1))
    assert account.check_password("another good password")
    assert (springfield.user(2).locked_at, springfield.user(2).reset_at) == (None, None)
    assert [kind for kind, *_ in springfield.events()[2:]] == ["user.password-changed", "user.unlocked"]
    with pytest.raises(links.InvalidLink):
        registration.reset_password(springfield.agency, token, "yet another password", context(1))


def test_a_reset_lasts_four_hours(springfield: Springfield) -> None:
    springfield.registered(2)
    token = springfield.reset(2, NOW)
    links.find_user(springfield.agency, "reset", token, NOW + timedelta(hours=4, seconds=-1))
    with pytest.raises(links.InvalidLink):
        links.find_user(springfield.agency, "reset", token, NOW + timedelta(hours=4))


def test_a_reset_is_invalid_after_any_new_password(springfield: Springfield) -> None:
    account = springfield.registered(2)
    token = springfield.reset(2, NOW)
    registration.change_password(account, "another good password", context())
    with pytest.raises(links.InvalidLink):
        registration.reset_password(springfield.agency, token, "yet another password", context())


def test_an_inactive_user_cannot_reset(springfield: Springfield) -> None:
    springfield.registered(2)
    token = springfield.reset(2, NOW)
    springfield.imported(person(2, STATUS="Inactive"))
    with pytest.raises(links.InvalidLink):
        registration.reset_password(springfield.agency, token, GOOD, context())


def test_who_asks_for_a_reset_gets_one_mail_and_the_unregistered_a_new_invitation(springfield: Springfield) -> None:
    springfield.registered(2)
    registration.request_reset(springfield.agency, "USER.2", context())
    registration.request_reset(springfield.agency, "user2@agency.example ", context(1))
    registration.request_reset(springfield.agency, "user.1", context(10))
    assert springfield.mails() == ["welcome", "reset", "invitation"]
    registration.request_reset(springfield.agency, "user.2", context(6))
    assert springfield.mails()[-1] == "reset"


def test_an_email_that_a_clock_dated_in_the_future_keeps_no_other_back(springfield: Springfield) -> None:
    springfield.registered(2)
    user, agency, ahead = springfield.user, springfield.agency, 24 * 60
    for minutes in (ahead, 0):
        registration.request_reset(agency, "user.2", context(minutes))
        credentials.invite(user(1), context(minutes), None)
    assert springfield.mails() == ["welcome", "reset", "invitation", "reset", "invitation"]
    credentials.reset(user(2), context(2), None)
    credentials.reset(user(2), context(2.5), None)
    assert springfield.mails()[5:] == ["reset"]
    registration.request_reset(agency, "user.2", context(4))
    assert springfield.mails()[6:] == [], "it has just been sent by the clock that is right"


def test_a_link_that_a_clock_dated_in_the_future_is_not_handed_over_again(springfield: Springfield) -> None:
    springfield.registered(2)
    by = credentials.find_operator(springfield.agency, "E-1")
    act = replace(context(), actor="E-1")
    first = credentials.create_reset_link(springfield.user(2), replace(act, at=act.at + timedelta(days=1)), by)
    second = credentials.create_reset_link(springfield.user(2), act, by)
    assert first != second
    assert credentials.create_reset_link(springfield.user(2), act, by) == second


@pytest.mark.parametrize("name", ["user.3", "nobody", "", "\x00"])
def test_nobody_else_who_asks_for_a_reset_gets_any_and_the_trail_says_so(springfield: Springfield, name: str) -> None:
    registration.request_reset(springfield.agency, name, context())
    assert springfield.mails() == []
    about = "E-3" if name == "user.3" else ""
    assert springfield.events() == [("user.reset-asked", "", about, "failed")]


def test_an_address_goes_before_the_same_text_as_a_username(springfield: Springfield) -> None:
    springfield.imported(person(4))
    # No import makes such a username now; an older version did.
    same = "user2@agency.example"
    models.User.objects.filter(external_id="E-4").update(username=same, username_key=same)
    assert registration.find_by_name(springfield.agency, same) == springfield.user(2)


def test_m4_a_name_is_found_however_its_dashes_and_its_domain_are_written(springfield: Springfield) -> None:
    springfield.imported(person(4, EMAIL="ida@xn--mller-kva.example", USERNAME="i-k"))
    for typed in ("IDA@müller.example", "ida@XN--MLLER-KVA.example", "I\u2013K"):
        assert registration.find_by_name(springfield.agency, typed) == springfield.user(4)


def test_the_last_ten_passwords_are_not_chosen_again(springfield: Springfield) -> None:
    account = springfield.registered(2)
    for number in range(10):
        registration.change_password(account, f"password of summer {number}x", context(number + 1))
    with pytest.raises(ValidationError, match="one of your last 10"):
        registration.change_password(account, "password of summer 0x", context(20))
    registration.change_password(account, GOOD, context(21))
    assert PastPassword.objects.count() == 9
