"""Attacks on locks: many tries at once, strangers who lock an agency out, and locks of people who cannot be guessed."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.test import Client

from musterbook.accounts import limits, lockout, passwords, signing_in
from musterbook.accounts.models import Account, Failure, Lock
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import frames
from tests.accounts.conftest import GOOD, Springfield
from tests.accounts.test_entrance import read_username, sign_in
from tests.attacks.test_limits import at_once
from tests.directory.cast import person

SIGN_IN = "/springfield/sign-in"
STRANGER = "203.0.113.66"


def guess(name: str, times: int, address: str = STRANGER) -> None:
    """A stranger types wrong passwords, each time with a new browser."""
    for _ in range(times):
        assert sign_in(Client(REMOTE_ADDR=address), name, "wrong").status_code in (200, 429)


def can_sign_in(browser: Client, name: str = "user.2", password: str = GOOD) -> bool:
    sign_in(browser, name, password)
    return bool(read_username(browser) == name)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(3))
def test_of_ten_tries_at_once_no_more_than_five_count(springfield: Springfield, turn: int) -> None:
    springfield.registered(2)
    context = AuditContext(datetime.now(UTC), "", "page", STRANGER)
    typed = [f"wrong {number}" for number in range(9)] + [GOOD]
    found = at_once(10, lambda which: signing_in.authenticate(springfield.agency, "user.2", typed[which], context))
    came_in = len([account for account in found if account])
    # Whoever comes in gives their own try back.
    assert Failure.objects.filter(user__isnull=False).count() <= 5
    assert came_in <= 1


@pytest.mark.django_db(transaction=True)
def test_of_ten_tries_at_once_five_are_let_to_the_check(springfield: Springfield) -> None:
    user, at = springfield.registered(2).user, datetime.now(UTC)
    assert sum(at_once(10, lambda _: lockout.reserve(user, "somewhere", at)[1])) == 5


@pytest.mark.django_db(transaction=True)
def test_the_right_password_after_five_wrong_ones_at_once_does_not_come_in(springfield: Springfield) -> None:
    springfield.registered(2)
    context = AuditContext(datetime.now(UTC), "", "page", STRANGER)
    at_once(9, lambda which: signing_in.authenticate(springfield.agency, "user.2", f"wrong {which}", context))
    assert signing_in.authenticate(springfield.agency, "user.2", GOOD, context) is None
    assert springfield.user(2).locked_at is not None


@pytest.mark.django_db
def test_a_lock_that_comes_about_while_the_password_is_checked_holds(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    watched = passwords.is_right

    def slowly(typed: str, stored: str) -> bool:
        patch.setattr(passwords, "is_right", watched)
        Lock.objects.create(user=springfield.user(2), place=lockout.make_place("127.0.0.1"), at=datetime.now(UTC))
        models.User.objects.filter(external_id="E-2").update(locked_at=datetime.now(UTC))
        return bool(watched(typed, stored))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "is_right", slowly)
        assert not can_sign_in(client)


@pytest.mark.django_db
def test_a_password_that_changes_while_it_is_checked_does_not_come_in(springfield: Springfield, client: Client) -> None:
    account = springfield.registered(2)
    watched = passwords.is_right

    def slowly(typed: str, stored: str) -> bool:
        account.set_password("another quiet heron")
        account.save()
        return bool(watched(typed, stored))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "is_right", slowly)
        assert not can_sign_in(client)


@pytest.mark.django_db
@pytest.mark.parametrize("everywhere", [False, True])
def test_strangers_cannot_lock_known_browsers_of_an_agency(springfield: Springfield, everywhere: bool) -> None:
    models.Agency.objects.update(lock_all_places=everywhere)
    browsers = {}
    for number in (1, 2):
        springfield.registered(number)
        browsers[number] = Client()
        assert can_sign_in(browsers[number], f"user.{number}")
        browsers[number].post("/springfield/sign-out")
    for number in (1, 2):
        guess(f"user.{number}", 6)
        assert springfield.user(number).locked_at is not None
        assert can_sign_in(browsers[number], f"user.{number}")
        assert not can_sign_in(Client(REMOTE_ADDR=STRANGER), f"user.{number}")
        assert can_sign_in(Client(REMOTE_ADDR="198.51.100.9"), f"user.{number}") is not everywhere


@pytest.mark.django_db
def test_a_known_browser_is_locked_by_its_own_failures_alone(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    assert can_sign_in(client)
    client.post("/springfield/sign-out")
    for _ in range(5):
        sign_in(client, "user.2", "wrong")
    assert not can_sign_in(client)
    assert can_sign_in(Client())


@pytest.mark.django_db
def test_a_cookie_of_another_user_agency_or_time_makes_no_browser_known(
    springfield: Springfield, shelbyville: Springfield
) -> None:
    models.Agency.objects.update(lock_all_places=True)
    springfield.registered(2)
    springfield.imported(person(4))
    springfield.registered(4)
    shelbyville.registered(2)
    other, elsewhere, old = Client(), Client(), Client()
    assert can_sign_in(other, "user.4") and can_sign_in(old)
    sign_in(elsewhere, "user.2", GOOD, "shelbyville")
    cookie = elsewhere.cookies[settings.BROWSER_COOKIE_NAME]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/shelbyville/", True, "Lax")
    taken = Client()
    taken.cookies[settings.BROWSER_COOKIE_NAME] = cookie.value
    forged = Client()
    forged.cookies[settings.BROWSER_COOKIE_NAME] = old.cookies[settings.BROWSER_COOKIE_NAME].value.replace(".", "x", 1)
    springfield.user(2).account.set_password(GOOD)
    Account.objects.filter(user__external_id="E-2").update(password=_other_hash())
    for browser in (other, old):
        browser.post("/springfield/sign-out")
    guess("user.2", 6)
    assert [can_sign_in(browser) for browser in (other, taken, forged, old)] == [False] * 4


def _other_hash() -> str:
    account = Account()
    account.set_password(GOOD)
    return account.password


@pytest.mark.django_db
def test_a_shift_shares_a_browser(springfield: Springfield, client: Client) -> None:
    for number in (1, 2):
        springfield.registered(number)
        assert can_sign_in(client, f"user.{number}")
        client.post("/springfield/sign-out")
    guess("user.1", 5, "127.0.0.1")
    guess("user.2", 5, "127.0.0.1")
    assert can_sign_in(client, "user.1")


@pytest.mark.django_db
def test_nobody_is_locked_who_has_not_registered_or_has_no_password(springfield: Springfield) -> None:
    guess("user.2", 7)
    springfield.registered(1)
    Account.objects.update(password="!nothing")
    guess("user.1", 7)
    assert [springfield.user(number).locked_at for number in (1, 2)] == [None, None]
    assert not Lock.objects.exists()


@pytest.mark.django_db
def test_very_many_places_together_lock_the_others_for_a_quarter_of_an_hour(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(2)
    assert can_sign_in(client)
    client.post("/springfield/sign-out")
    for number in range(17):
        guess("user.2", 3, f"2001:db8:0:{number:x}::1")
    assert not can_sign_in(Client(REMOTE_ADDR="198.51.100.9"))
    assert can_sign_in(client)
    lock = Lock.objects.get(place=lockout.UNKNOWN)
    assert lockout.unlock_due(lock.at + lockout.SPAN) == 1


@pytest.mark.django_db
def test_a_lock_of_one_place_ends_before_that_of_another(springfield: Springfield) -> None:
    springfield.registered(1)
    at = datetime.now(UTC)
    guess("user.1", 5)
    Lock.objects.update(at=at - timedelta(minutes=10))
    guess("user.1", 5, "198.51.100.9")
    assert lockout.unlock_due(at + timedelta(minutes=6)) == 0
    assert Lock.objects.count() == 1
    assert can_sign_in(Client(REMOTE_ADDR=STRANGER), "user.1")
    assert not can_sign_in(Client(REMOTE_ADDR="198.51.100.9"), "user.1")
    end = lockout.find_end(springfield.user(1))
    assert end is not None and end > at + timedelta(minutes=14)
    assert lockout.unlock_due(at + timedelta(minutes=17)) == 1


@pytest.mark.django_db
def test_a_user_is_not_buried_in_mails_of_locks(springfield: Springfield) -> None:
    springfield.registered(1)
    for number in range(6):
        guess("user.1", 5, f"198.51.100.{number}")
    assert Lock.objects.count() == 6
    assert springfield.mails().count("locked") == 1
    models.Mail.objects.update(created_at=datetime.now(UTC) + timedelta(days=400))
    guess("user.1", 5, "198.51.100.9")
    assert springfield.mails().count("locked") == 2, "the one before is of a clock that was ahead"


@pytest.mark.django_db
def test_a_lock_and_failures_of_a_clock_that_was_ahead_count_from_the_time_at_which_it_was_set_back(
    springfield: Springfield,
) -> None:
    springfield.registered(1)
    at = datetime.now(UTC)
    guess("user.1", 5)
    guess("user.1", 4, "198.51.100.9")
    for table in (Lock, Failure):
        table.objects.update(at=at + timedelta(days=400))
    assert lockout.unlock_due(at) == 0
    assert not Failure.objects.filter(at__gt=at).exists()
    assert not can_sign_in(Client(REMOTE_ADDR=STRANGER), "user.1")
    assert lockout.find_end(springfield.user(1)) == at + lockout.SPAN
    assert lockout.unlock_due(at + lockout.SPAN) == 1
    assert not Lock.objects.exists()


@pytest.mark.django_db
def test_a_machine_whose_clock_is_behind_ends_no_lock_and_forgets_no_failure_of_the_others(
    springfield: Springfield,
) -> None:
    if not frames.on_postgres():
        pytest.skip("the database is on the same machine")
    springfield.registered(1)
    guess("user.1", 5)
    guess("user.1", 4, "198.51.100.9")
    before = [list(table.objects.order_by("pk").values("pk", "at")) for table in (Lock, Failure)]
    lockout.unlock_due(datetime.now(UTC) - timedelta(days=1))
    assert [list(table.objects.order_by("pk").values("pk", "at")) for table in (Lock, Failure)] == before
    lockout.unlock_due(datetime.now(UTC))
    assert not can_sign_in(Client(REMOTE_ADDR=STRANGER), "user.1")


@pytest.mark.django_db
def test_wrong_codes_lock_known_browsers_too(springfield: Springfield) -> None:
    springfield.registered(2)
    context = AuditContext(datetime.now(UTC), "", "page", STRANGER)
    for _ in range(5):
        lockout.count_wrong_code(springfield.user(2), context)
    assert lockout.is_locked_at(springfield.user(2), lockout.make_place("", "abc"), context.at)


@pytest.mark.django_db
def test_a_user_who_was_locked_before_places_were_known_stays_locked(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    models.User.objects.filter(external_id="E-2").update(locked_at=datetime.now(UTC) - timedelta(days=3))
    assert not can_sign_in(client)
    assert lockout.is_locked(springfield.user(2), datetime.now(UTC))
    assert not lockout.is_locked_at(springfield.user(2), lockout.make_place("", "abc"), datetime.now(UTC))


@pytest.mark.django_db
def test_strangers_behind_the_same_address_do_not_use_up_the_sign_ins_of_a_known_browser(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(2)
    assert can_sign_in(client)
    client.post("/springfield/sign-out")
    stranger = Client()
    for _ in range(limits.RATES["sign-in"].most):
        limits.take("sign-in", limits.normalize_address("127.0.0.1"), datetime.now(UTC))
    forged = client.cookies["muster_browser"].value.replace(":", "0:", 1)
    stranger.cookies["muster_browser"] = forged
    assert stranger.post("/springfield/sign-in", {"login": "", "password": ""}).status_code == 429
    assert can_sign_in(client)
    for _ in range(limits.RATES["sign-in"].most):
        answer = client.post("/springfield/sign-in", {"login": "", "password": ""})
    assert answer.status_code == 429, "a known browser has a limit of its own"


def test_a_known_browser_has_no_more_wrong_guesses_or_requests_for_mail_than_its_address(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(2)
    assert can_sign_in(client)
    client.post("/springfield/sign-out")
    for _ in range(limits.RATES["reset"].most):
        limits.take("reset", limits.normalize_address("127.0.0.1"), datetime.now(UTC))
    assert client.post("/springfield/forgotten-password", {"name": "user.2"}).status_code == 429


def test_strangers_behind_the_same_address_do_not_stop_a_known_browser(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(2)
    assert can_sign_in(client)
    client.post("/springfield/sign-out")
    guess("nobody", limits.RATES["failed sign-in"].most + 2, "127.0.0.1")
    assert not can_sign_in(Client())
    assert can_sign_in(client)
