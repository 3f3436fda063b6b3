"""Clocks of several machines that differ."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from musterbook.directory.storage import clocks

_DAY = timedelta(days=1)


@pytest.mark.django_db
def test_a_machine_that_is_far_behind_takes_the_time_of_the_database_server() -> None:
    now = datetime.now(UTC)
    confirmed = clocks.confirm(now - _DAY)
    if connection.vendor == "postgresql":
        assert now - 2 * clocks.SKEW < confirmed <= datetime.now(UTC)
    else:
        assert confirmed == now - _DAY  # the database is on this machine


@pytest.mark.django_db
def test_a_machine_that_is_ahead_keeps_its_time() -> None:
    ahead = datetime.now(UTC) + _DAY
    assert clocks.confirm(ahead) == ahead
