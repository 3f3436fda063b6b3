"""What SCIM asks of the directory, on each database."""

from datetime import timedelta

import pytest

from musterbook.directory.users import user_query
from musterbook.directory.users.user_query import Operator, Wanted
from tests.directory import cast

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("operator", "seconds", "found"),
    [
        (Operator.EQ, 0, 2), (Operator.NE, 0, 0), (Operator.GT, 0, 0), (Operator.GT, -1, 2), (Operator.LE, 0, 2),
        (Operator.LT, 1, 2),
    ],
)  # fmt: skip
def test_the_time_when_a_user_was_added_is_compared(operator: Operator, seconds: int, found: int) -> None:
    made = cast.agency()
    cast.apply_rows(made, cast.people(1, 2))
    condition = user_query.match_created(operator, cast.NOW + timedelta(seconds=seconds))
    assert len(user_query.find(made, condition, lambda _: True, Wanted(10), cast.NOW).users) == found
