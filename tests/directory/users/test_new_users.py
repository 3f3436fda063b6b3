"""What a new user has if nobody says otherwise: the agency's defaults that the operator may give, and a username."""

import pytest

from musterbook.directory.users import new_users
from tests.directory import cast

pytestmark = pytest.mark.django_db


def test_a_default_role_is_given_only_by_who_has_its_permissions() -> None:
    agency = cast.agency(defaults={"ROLE": "Chief", "LOCATION": "North"})
    assert new_users.list_defaults(agency, cast.IMPORTS) == {"ROLE": "Chief", "LOCATION": "North"}
    assert new_users.list_defaults(agency, ["users.view"]) == {"LOCATION": "North"}


@pytest.mark.parametrize(
    ("row", "username"),
    [
        ({"EMAIL": "ann.lee@x.example"}, "ann.lee"),
        ({"EMAIL": "ann.lee@x.example", "USERNAME": " "}, "ann.lee"),
        ({"EMAIL": "ann.lee@x.example", "USERNAME": "al"}, "al"),
        ({"EMAIL": "ann"}, ""),
        ({}, ""),
    ],
)
def test_a_username_is_the_beginning_of_the_email_address(row: dict[str, str], username: str) -> None:
    assert new_users.derive_username(row) == username


def test_a_row_is_completed_and_what_is_given_stays() -> None:
    agency = cast.agency(defaults={"ROLE": "Officer", "LOCATION": "North"})
    row = new_users.complete_row(agency, {"EMAIL": "ann@x.example", "LOCATION": "", "X_EXEMPT": "yes"}, [])
    assert {heading: value for heading, value in row.items() if value} == {
        "EMAIL": "ann@x.example", "USERNAME": "ann", "STATUS": "Active", "ROLE": "Officer", "X_EXEMPT": "yes",
    }  # fmt: skip
    assert [*cast.HEADINGS, "X_EXEMPT"] == list(row)
