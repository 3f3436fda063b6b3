"""What a page of a user shows: their imports."""

import pytest

from musterbook.directory.users import profile
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.django_db


def test_the_imports_of_a_user_are_those_that_changed_them() -> None:
    agency = cast.agency()
    cast.agency("shelbyville")
    first = cast.apply_rows(agency, [person(1, ROLE="Admin"), person(2)])
    cast.apply_rows(agency, [person(1, ROLE="Admin", LOCATION="North")])
    second = cast.apply_rows(agency, [person(2, LOCATION="Pier 9")])
    found = profile.list_imports(cast.user(agency, 2))
    assert {one.number for one in found} == {second.record.number, first.record.number}
