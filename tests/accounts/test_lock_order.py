"""The order of locks: the agency before its users, so that two acts on one user never wait for each other."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from musterbook.accounts import credentials, factors, recovery
from musterbook.accounts.models import Account
from musterbook.directory import models
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.storage import frames, locks
from tests.accounts.conftest import Springfield, context
from tests.directory.cast import NOW


def _set_up(user: models.User) -> None:
    with factors.begin_setup(user.account):
        recovery.make_codes(user.account)
        trail.record_event(user.agency, context(), EventKind.USER_SECOND_FACTOR_ADDED, user)


ACTS: dict[str, Callable[[models.User], Any]] = {
    "unlock": lambda user: credentials.unlock(user, context(), None),
    "remove factors": lambda user: credentials.remove_factors(user, context(), None),
    "release": lambda user: credentials.release_sign_on(user, context(), None),
    "end sessions": lambda user: credentials.end_sessions(user, "", context(), None),
    "set up a factor": _set_up,
}
"""What an administrator does with one user, or users with themselves."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", ACTS)
def test_an_act_on_a_user_waits_for_the_agency_before_it_locks_the_user(springfield: Springfield, act: str) -> None:
    """An edit holds the agency, and then writes the user. The act, which began meanwhile, must not hold the user."""
    if not frames.on_postgres():
        pytest.skip("SQLite has one writer")
    Account.objects.create(user=springfield.user(3))
    user, failed = springfield.user(3), list[Exception]()
    models.User.objects.filter(pk=user.pk).update(locked_at=NOW)

    def run() -> None:
        try:
            ACTS[act](user)
        except Exception as error:  # noqa: BLE001  (the test compares it)
            failed.append(error)
        finally:
            connection.close()

    other = threading.Thread(target=run)
    with transaction.atomic():
        locks.lock_row(springfield.agency)
        other.start()
        other.join(1)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
        models.User.objects.filter(pk=user.pk).update(last_name="Edited")
        Account.objects.filter(user=user).update(factor_due=True)
    other.join(60)
    assert (other.is_alive(), failed, springfield.user(3).last_name) == (False, [], "Edited")
