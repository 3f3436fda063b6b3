"""The limit of requests of a token: never more than the limit, and hardly a write."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from musterbook.accounts import limits, token_limits
from musterbook.accounts.models import Attempts, Token
from musterbook.directory import models
from musterbook.directory.storage import database_errors
from tests.accounts.conftest import Springfield
from tests.accounts.test_tokens import make_token
from tests.api.calls import make_program
from tests.api.test_me import problem
from tests.directory.cast import NOW

MOST = limits.RATES["token"].most
pytestmark = pytest.mark.any_database


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_limits, "_blocks", {})


@pytest.fixture
def token(springfield: Springfield) -> Token:
    """A token of the administrator."""
    return make_token(springfield)[0]


def test_the_limit_is_a_multiple_of_a_block() -> None:
    assert MOST % token_limits.BLOCK == 0


def test_a_token_gets_exactly_its_limit_and_then_waits(token: Token) -> None:
    standings = [token_limits.take(token, NOW + timedelta(seconds=30 * number / MOST)) for number in range(MOST)]
    assert all(one.allowed for one in standings)
    assert [one.remaining for one in standings] == list(range(MOST - 1, -1, -1))
    assert (standings[0].seconds, standings[-1].seconds) == (60, 31)
    refused = token_limits.take(token, NOW + timedelta(seconds=50))
    assert (refused.allowed, refused.remaining, refused.seconds) == (False, 0, 10)
    again = token_limits.take(token, NOW + timedelta(seconds=60))
    assert (again.allowed, again.remaining, again.seconds) == (True, MOST - 1, 60)


def test_a_token_that_has_used_up_its_limit_by_a_clock_that_was_ahead_need_not_wait_for_it(token: Token) -> None:
    now = datetime.now(UTC)  # by the clock of PostgreSQL, it must be ahead, too
    ahead = now + timedelta(days=1)
    assert sum(token_limits.take(token, ahead).allowed for _ in range(MOST + 1)) == MOST
    standing = token_limits.take(token, now)
    assert (standing.allowed, standing.seconds) == (True, 60)


def test_most_requests_write_and_read_nothing(token: Token, django_assert_num_queries: Any) -> None:
    token_limits.take(token, NOW)
    with django_assert_num_queries(0):
        for _ in range(token_limits.BLOCK - 1):
            assert token_limits.take(token, NOW).allowed


def test_refusals_cost_the_database_nothing(token: Token, django_assert_num_queries: Any) -> None:
    for _ in range(MOST + 1):
        last = token_limits.take(token, NOW)
    assert not last.allowed
    with django_assert_num_queries(0):
        assert not token_limits.take(token, NOW).allowed


def test_several_processes_together_never_give_more(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[dict[str, Any]] = [{}, {}, {}]
    given = 0
    for number in range(3 * MOST):
        monkeypatch.setattr(token_limits, "_blocks", processes[number % 3])
        given += token_limits.take(token, NOW).allowed
    assert given == MOST
    monkeypatch.setattr(token_limits, "_blocks", {})
    late = token_limits.take(token, NOW + timedelta(seconds=20))
    assert (late.allowed, late.seconds) == (False, 40)


def test_another_token_has_its_own_limit(springfield: Springfield, token: Token) -> None:
    for _ in range(MOST + 1):
        token_limits.take(token, NOW)
    other = Token.objects.get(pk=token.pk)
    other.pk, other.digest = other.pk + 1, "0" * 64
    assert token_limits.take(other, NOW).allowed


def test_an_import_that_is_written_lets_requests_pass(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(limits, "take_many", busy)
    with pytest.raises(OperationalError):
        token_limits.take(token, NOW)
    monkeypatch.setattr(database_errors, "is_busy", lambda _: True)
    assert token_limits.take(token, NOW).allowed


def test_tokens_that_nobody_uses_any_more_are_forgotten(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_limits, "_MOST_TOKENS", 0)
    token_limits.take(token, NOW)
    other = Token.objects.get(pk=token.pk)
    other.digest = "0" * 64
    token_limits.take(other, NOW + timedelta(minutes=2))
    assert list(token_limits._blocks) == ["0" * 64]


@pytest.mark.django_db(transaction=True)
def test_many_threads_lose_no_request(springfield: Springfield) -> None:
    token, allowed = make_token(springfield)[0], list[bool]()

    def work() -> None:
        allowed.extend(token_limits.take(token, NOW).allowed for _ in range(MOST // 4))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == MOST
    assert Attempts.objects.get(rate="token").count == MOST


def test_a_program_is_told_what_is_left_and_how_long_to_wait(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_limits, "BLOCK", 2)
    few = limits.Rate(4, timedelta(minutes=1), "token", "")
    monkeypatch.setattr(limits, "RATES", {**limits.RATES, "token": few})
    program = make_program(springfield)
    left = []
    for _ in range(4):
        answer = program.send("GET", "groups")
        assert answer.headers["RateLimit-Policy"] == '"token";q=4;w=60'
        left.append(answer.headers["RateLimit"].partition(";t=")[0])
    assert left == [f'"token";r={number}' for number in (3, 2, 1, 0)]
    for path in ("/springfield/api/v1/groups", "/springfield/scim/v2/Users"):
        answer = Client().get(path, headers={"Authorization": f"Bearer {program.secret}"})
        assert answer.status_code == 429 and 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["RateLimit"].startswith('"token";r=0;t=')
    assert "too many requests" in problem(program.send("GET", "me"), 429)["detail"]
    event = models.Event.objects.get(kind="request.refused")
    assert "too many attempts" in event.changes
    assert "RateLimit" not in Client().get("/springfield/api/v1/me").headers
