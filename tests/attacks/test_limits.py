"""Attacks on limits: many attempts at once, addresses by the million, and floods of the audit trail."""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from allauth.account import app_settings as account_settings
from allauth.mfa import app_settings as mfa_settings
from allauth.mfa.totp.internal import auth as totp
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings
from django.core.cache import caches
from django.db import connection, transaction
from django.db.models import F
from django.test import Client

import musterbook
from musterbook.accounts import limits, one_time_use, unauthenticated_events
from musterbook.accounts.limits import RATES
from musterbook.accounts.models import Attempts, Repeated, UsedCode
from musterbook.directory import models
from musterbook.directory.audit import verify
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import frames, locks
from musterbook.web import busy
from tests.accounts.conftest import GOOD, Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.accounts.test_entrance import read_username
from tests.accounts.test_factors import STEP, code, set_up
from tests.directory import cast

T = TypeVar("T")
PRODUCT = Path(musterbook.__file__).parent
START = datetime(2026, 11, 28, 6, 0, 10, tzinfo=UTC)


def at_once(number: int, what: Callable[[int], T]) -> list[T]:
    """What so many threads get that do it at the same time."""
    barrier, got = threading.Barrier(number), list[T]()

    def run(which: int) -> None:
        try:
            barrier.wait()
            got.append(what(which))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(which,)) for which in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


@pytest.mark.django_db(transaction=True)
def test_no_count_is_lost_when_many_arrive_at_once() -> None:
    most = RATES["failed sign-in"].most
    limits.take("failed sign-in", "192.0.2.1", START)
    got = at_once(24, lambda _: [limits.take("failed sign-in", "192.0.2.1", START) for _ in range(2)])
    assert sum(sum(pair) for pair in got) == most - 1
    assert Attempts.objects.get().count == most


@pytest.mark.django_db
def test_a_limit_is_independent_of_other_counts_and_ends_after_its_span() -> None:
    def fails(seconds: float = 0) -> bool:
        return limits.take("failed sign-in", "192.0.2.1", START + timedelta(seconds=seconds))

    assert [fails() for _ in range(31)] == [True] * 30 + [False]
    for number in range(1_000):  # more than the cache held that forgot
        limits.take("sign-in", f"198.51.100.{number}", START)
        limits.take("failed sign-in", f"198.51.100.{number}", START)
    limits.forget_old(START + timedelta(seconds=299))
    assert not fails(299)
    assert fails(301)


@pytest.mark.django_db
def test_refused_attempts_do_not_prolong_the_wait_and_successes_are_given_back() -> None:
    for second in range(0, 300, 10):
        assert limits.take("set-up", "a", START + timedelta(seconds=second)) == (second < 100)
    assert limits.take("set-up", "a", START + timedelta(seconds=300))
    for _ in range(50):
        assert limits.take("set-up", "b", START)
        limits.give_back("set-up", "b")
    limits.give_back("set-up", "nobody")


@pytest.mark.django_db
@pytest.mark.parametrize("rate", ["failed sign-in", "token"])
def test_a_count_of_a_clock_that_was_ahead_ends_when_the_clock_is_set_back(rate: str) -> None:
    most, now = RATES[rate].most, datetime.now(UTC)
    for _ in range(most + 1):
        limits.take(rate, "a", now + timedelta(days=400))
    assert [limits.take(rate, "a", now) for _ in range(most + 1)] == [True] * most + [False]
    assert limits.take(rate, "a", now + RATES[rate].span)


@pytest.mark.django_db
@pytest.mark.parametrize("rate", ["failed sign-in", "code"])
def test_a_machine_whose_clock_is_behind_ends_no_count_of_the_others(rate: str) -> None:
    if not frames.on_postgres():
        pytest.skip("the database is on the same machine")
    now, behind = datetime.now(UTC), timedelta(minutes=7)
    allowed = sum(limits.take(rate, "a", now - behind * (number % 2)) for number in range(200))
    assert allowed == RATES[rate].most


@pytest.mark.django_db
def test_what_may_happen_only_once_does_so_whatever_the_clock_said() -> None:
    """Otherwise an answer could be used again."""
    assert limits.take("sign-on answer", "a", START + timedelta(hours=3))
    assert limits.take_once("cache", "a", START + timedelta(hours=3), 60)
    assert not limits.take("sign-on answer", "a", START)
    assert not limits.take_once("cache", "a", START, 60)


def test_an_ipv6_subscriber_is_one_place_and_so_is_every_way_to_write_an_address() -> None:
    assert (
        limits.normalize_address("2001:db8:1:2:3:4:5:6")
        == limits.normalize_address("2001:DB8:1:2::1")
        == "2001:db8:1:2::/64"
    )
    assert limits.normalize_address("2001:db8:1:3::1") != limits.normalize_address("2001:db8:1:2::1")
    assert limits.normalize_address("::ffff:192.0.2.1") == limits.normalize_address("192.0.2.1") == "192.0.2.1"
    assert limits.normalize_address("unix:") == "unix:"


@pytest.mark.django_db
def test_no_address_can_be_read_from_the_counts_and_they_are_forgotten() -> None:
    limits.take("sign-in", limits.normalize_address("192.0.2.1"), START)
    kept = Attempts.objects.get()
    assert re.fullmatch("[0-9a-f]{64}", kept.key), "a digest"
    limits.forget_old(START + timedelta(seconds=60))
    assert not Attempts.objects.exists()


def make_stranger(seconds: float = 0, address: str = "192.0.2.7", actor: str = "") -> AuditContext:
    """An act of somebody who is not signed in."""
    return AuditContext(START + timedelta(seconds=seconds), actor, "page", address, "Browser/1.0")


@pytest.mark.django_db
def test_five_hundred_unauthenticated_requests_are_two_events_and_the_second_has_the_number() -> None:
    agency = cast.agency()
    for _ in range(500):
        unauthenticated_events.record_event(
            agency, make_stranger(), EventKind.USER_SIGN_IN_FAILED, None, {"factors": ("", "mock")}
        )
    assert models.Event.objects.count() == 1
    assert unauthenticated_events.record_repetitions(START + timedelta(seconds=50)) == 0
    assert unauthenticated_events.record_repetitions(START + timedelta(seconds=120)) == 1
    assert unauthenticated_events.record_repetitions(START + timedelta(seconds=120)) == 0
    first, second = models.Event.objects.order_by("id")
    assert (second.kind, second.outcome, second.address, second.actor) == (first.kind, "failed", "192.0.2.7", "")
    assert second.changes == '{"more of the same":["","499"],"in the minute":["","2026-11-28T06:00+00:00"]}'
    assert not verify.verify_trail(agency).error
    assert not Repeated.objects.exists()


@pytest.mark.django_db
def test_addresses_users_reasons_and_minutes_stay_apart() -> None:
    agency = cast.agency()
    cast.apply_rows(agency, cast.people(1, 2))
    before = models.Event.objects.count()
    one, two = models.User.objects.order_by("external_id")
    for user, address, seconds in [
        (one, "192.0.2.7", 0),
        (two, "192.0.2.7", 0),
        (one, "192.0.2.8", 0),
        (one, "192.0.2.7", 60),
    ]:
        for _ in range(3):
            unauthenticated_events.record_event(
                agency, make_stranger(seconds, address), EventKind.USER_SIGN_IN_FAILED, user
            )
    for why in ("too many attempts", "no token"):
        unauthenticated_events.record_event(
            agency, make_stranger(), EventKind.REQUEST_REFUSED, None, {"why": ("", why)}, outcome=REFUSED
        )
    assert models.Event.objects.count() - before == 6


@pytest.mark.django_db
def test_many_addresses_together_cannot_flood_the_trail_either() -> None:
    agency, other = cast.agency(), cast.agency("shelbyville")
    for number in range(500):
        unauthenticated_events.record_event(
            agency, make_stranger(0, f"2001:db8:0:{number:x}::1"), EventKind.USER_SIGN_IN_FAILED, None
        )
    most = RATES["event"].most
    assert models.Event.objects.filter(agency=agency).count() == most + 1
    unauthenticated_events.record_event(other, make_stranger(), EventKind.USER_SIGN_IN_FAILED, None)
    assert models.Event.objects.filter(agency=other).count() == 1
    unauthenticated_events.record_repetitions(START + timedelta(seconds=120))
    event = models.Event.objects.filter(agency=agency).latest("id")
    assert (event.address, '"more of the same":["","379"]' in event.changes) == (unauthenticated_events.MANY, True)


@pytest.mark.django_db
def test_nothing_that_a_signed_in_user_does_is_counted_together() -> None:
    agency = cast.agency()
    for _ in range(5):
        unauthenticated_events.record_event(
            agency, make_stranger(actor="E-1"), EventKind.ACT_REFUSED, None, outcome=REFUSED
        )
    assert models.Event.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_one_event_is_first_when_many_arrive_at_once() -> None:
    agency = cast.agency()
    at_once(
        12, lambda _: unauthenticated_events.record_event(agency, make_stranger(), EventKind.USER_SIGN_IN_FAILED, None)
    )
    assert models.Event.objects.count() == 1
    assert Repeated.objects.get().count == 12


def test_no_cache_forgets_or_unpickles_anything() -> None:
    found = [
        str(path) for path in PRODUCT.rglob("*.py") if re.search(r"\b(pickle|marshal|shelve|dill)\b", path.read_text())
    ]
    assert not found
    assert {cache["BACKEND"] for cache in settings.CACHES.values()} == {"musterbook.accounts.one_time_use.Cache"}
    assert not list(limits_of_the_library())
    for ask in (caches["default"].get, caches["default"].delete):
        with pytest.raises(NotImplementedError):
            ask("key")
    with pytest.raises(NotImplementedError):
        caches["default"].set("key", "value")


def limits_of_the_library() -> Iterator[str]:
    """The limits that the library of accounts would count in the cache."""
    for app in (account_settings, mfa_settings):
        yield from app.RATE_LIMITS


@pytest.mark.django_db
def test_what_a_library_remembers_to_refuse_stays_refused() -> None:
    answer = {"iss": "https://idp.example", "jti": "7", "exp": datetime.now(UTC).timestamp() + 60}
    jwtkit.verify_jti(answer)
    for number in range(600):
        caches["default"].add(f"jwt:{number}", value=True, timeout=60)
    with pytest.raises(OAuth2Error):
        jwtkit.verify_jti(answer)
    assert caches["default"].add("for how long is not said", value=True)
    assert not caches["default"].add("for how long is not said", value=True)


@pytest.mark.django_db
def test_the_table_of_pickles_is_gone() -> None:
    assert "accounts_cache" not in connection.introspection.table_names()


@pytest.mark.django_db
def test_a_one_time_code_works_only_once(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    client.post("/springfield/sign-in", {"login": "user.2", "password": GOOD})
    secret = set_up(client)
    now = code(secret)
    browsers = [Client(), Client()]
    for browser in browsers:
        browser.post("/springfield/sign-in", {"login": "user.2", "password": GOOD})
    browsers[0].post(STEP, {"code": now})
    for number in range(300):
        Client(REMOTE_ADDR=f"2001:db8:0:{number:x}::1").post(
            "/springfield/sign-in", {"login": "nobody", "password": "x"}
        )
    browsers[1].post(STEP, {"code": now})
    assert [read_username(browser) for browser in browsers] == ["user.2", ""]


@pytest.mark.django_db
def test_the_code_that_sets_a_device_up_does_not_sign_in_and_an_older_one_does_neither(
    springfield: Springfield,
) -> None:
    account = springfield.registered(2)
    device = totp.TOTP.activate(account, "A" * 32).instance
    one_time_use.use_current_codes(device.user)
    assert not one_time_use.use_code(device, code("A" * 32))
    assert not one_time_use.use_code(device, "000000x")
    UsedCode.objects.update(step=F("step") - 1)
    assert [one_time_use.use_code(device, code("A" * 32)) for _ in range(2)] == [True, False]


@pytest.mark.django_db(transaction=True)
def test_of_a_code_sent_ten_times_at_once_one_is_taken(springfield: Springfield) -> None:
    device = totp.TOTP.activate(springfield.registered(2), "A" * 32).instance
    now = code("A" * 32)
    assert sorted(at_once(10, lambda _: one_time_use.use_code(device, now))) == [False] * 9 + [True]


def test_the_documentation_has_every_limit() -> None:
    page = (PRODUCT.parent / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
    rows = [
        f"| {name} | {rate.most} | {int(rate.span.total_seconds()) // 60} min | {rate.per} | {rate.about} |"
        for name, rate in limits.RATES.items()
    ]
    assert [row for row in rows if row not in page] == []


@pytest.mark.django_db(transaction=True)
def test_a_stranger_does_not_wait_for_an_import_that_is_written(
    springfield: Springfield, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy, "_PATIENCE", 200)
    written, done = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            locks.lock_row(springfield.agency)
            written.set()
            done.wait(60)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    written.wait(60)
    try:
        answer = client.post("/springfield/sign-in", {"login": "nobody", "password": "wrong"})
    finally:
        done.set()
        thread.join()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "An import is being written" in answer.content.decode()
    assert client.post("/springfield/sign-in", {"login": "nobody", "password": "wrong"}).status_code == 200
