"""Programs that change one user at the same time: who has read an older version loses, and nobody loses unseen."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from musterbook.directory import models
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token
from tests.api.test_users import MAY, call, new

pytestmark = pytest.mark.django_db(transaction=True)
PROGRAMS = 6
ROUNDS = 5

Request = Callable[[int], Any]


@pytest.fixture
def secret(springfield: Springfield) -> str:
    """The secret of a token that may do all that there is to do with users."""
    return make_token(springfield, *MAY)[1]


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that each have a connection of their own."""
    with ThreadPoolExecutor(PROGRAMS) as threads:
        yield threads


def at_once(pool: ThreadPoolExecutor, request: Request) -> list[Any]:
    """The answers to the requests of all programs, which send them at the same time."""
    barrier = Barrier(PROGRAMS)

    def send(number: int) -> Any:
        barrier.wait()
        try:
            return request(number)
        finally:
            connection.close()

    return list(pool.map(send, range(PROGRAMS)))


def test_one_of_those_who_change_the_same_version_succeeds(
    springfield: Springfield, secret: str, pool: ThreadPoolExecutor
) -> None:
    path = f"/{springfield.user(2).pk}"
    for _ in range(ROUNDS):
        tag = call(secret, "GET", path).headers["ETag"]

        def rename(number: int, tag: str = tag) -> Any:
            return call(secret, "PATCH", path, {"first_name": f"P {number} {tag[1:5]}"}, If_Match=tag)

        answers = at_once(pool, rename)
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200, *[412] * (PROGRAMS - 1)]
        won = next(answer for answer in answers if answer.status_code == 200)
        assert springfield.user(2).first_name == json.loads(won.content)["first_name"]
        present = call(secret, "GET", path).headers["ETag"]
        assert {answer.headers["ETag"] for answer in answers} == {present}
    assert models.Event.objects.filter(kind="user.updated", through="api").count() == ROUNDS


def test_one_of_different_acts_on_the_same_version_succeeds(
    springfield: Springfield, secret: str, pool: ThreadPoolExecutor
) -> None:
    user = springfield.user(2)
    acts: list[tuple[str, str, Any]] = [
        ("PATCH", "", {"location": "North"}), ("POST", ":deactivate", None), ("POST", ":unlock", None),
        ("POST", ":invite", {"as_link": True}), ("PATCH", "", {"ends_on": "2099-01-01"}), ("PATCH", "", {"exempt": True}),
    ]  # fmt: skip
    for number in range(ROUNDS):
        if number:  # an invitation that was made a moment ago is given again, and changes nothing
            acts[3] = ("PATCH", "", {"no_files": True})
        models.User.objects.filter(pk=user.pk).update(
            active=True,
            location="",
            ends_on=None,
            exempt=False,
            no_files=False,
            locked_at=f"2026-03-0{number + 1}T00:00:00Z",
            invited_at=None,
        )
        tag = call(secret, "GET", f"/{user.pk}").headers["ETag"]

        def act(number: int, tag: str = tag) -> Any:
            method, path, body = acts[number]
            return call(secret, method, f"/{user.pk}{path}", body, If_Match=tag)

        assert sorted(answer.status_code for answer in at_once(pool, act)) == [200, *[412] * (PROGRAMS - 1)]


def test_the_same_new_user_sent_at_the_same_time_is_one_user(
    springfield: Springfield, secret: str, pool: ThreadPoolExecutor
) -> None:
    answers = at_once(pool, lambda _: call(secret, "POST", data=new(7)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert models.User.objects.filter(external_id="E-7").count() == 1
    assert models.Mail.objects.filter(kind="invitation", of=None).count() == 1


def test_of_different_new_users_with_one_address_one_is_added(
    springfield: Springfield, secret: str, pool: ThreadPoolExecutor
) -> None:
    answers = at_once(pool, lambda number: call(secret, "POST", data=new(10 + number, email="same@agency.example")))
    assert sorted(answer.status_code for answer in answers) == [201, *[422] * (PROGRAMS - 1)]
    assert models.User.objects.filter(email="same@agency.example").count() == 1
