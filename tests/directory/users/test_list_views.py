"""How a user sees All Users, and the filters that they save: theirs alone, and not without limit."""

import pytest

from musterbook.directory import models
from musterbook.directory.users import list_views
from musterbook.directory.users.list_views import DEFAULT_COLUMNS, ListView, NotSaved, UnknownFilter
from tests.directory.cast import agency, apply_rows, people

pytestmark = pytest.mark.any_database


@pytest.fixture
def users(db: None) -> tuple[models.User, models.User]:
    """Two users of an agency."""
    made = agency()
    apply_rows(made, people(1, 2))
    first, second = models.User.objects.filter(agency=made).order_by("external_id")
    return first, second


def test_a_view_is_that_of_one_user_and_has_only_columns_and_sizes_that_exist(
    users: tuple[models.User, models.User],
) -> None:
    one, other = users
    list_views.save_view(one, ["phone", "password", "email"], compact=True, size=7)
    assert list_views.read_view(one) == ListView(("name", "email", "phone"), compact=True, size=0)
    list_views.save_view(one, [], compact=False, size=100)
    assert list_views.read_view(one) == ListView(("name",), compact=False, size=100)
    assert list_views.read_view(other) == ListView(DEFAULT_COLUMNS)
    list_views.reset_view(one)
    assert list_views.read_view(one) == ListView()


def test_a_filter_is_saved_listed_and_deleted_by_its_user_alone(users: tuple[models.User, models.User]) -> None:
    one, other = users
    saved = list_views.save_filter(one, "  Night   shift ", "q=night")
    assert (saved.name, saved.query) == ("Night shift", "q=night")
    assert list_views.list_filters(one) == [saved] and list_views.list_filters(other) == []
    for act in (list_views.find_filter, list_views.delete_filter):
        with pytest.raises(UnknownFilter):
            act(other, saved.id)
    assert list_views.delete_filter(one, saved.id) == saved
    assert list_views.list_filters(one) == []


@pytest.mark.parametrize(
    ("name", "query", "reason"),
    [
        (" ", "q=x", "Enter a name"), ("x" * 61, "q=x", "at most 60 characters"), ("a\0b", "q=x", "at most 60"),
        ("a", "", "Choose at least one filter"), ("a", "q=" + "x" * 1999, "too long"), ("NIGHT shift", "q=y", "already saved"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_saved_says_why(
    users: tuple[models.User, models.User], name: str, query: str, reason: str
) -> None:
    list_views.save_filter(users[0], "Night shift", "q=night")
    with pytest.raises(NotSaved, match=reason):
        list_views.save_filter(users[0], name, query)
    assert len(list_views.list_filters(users[0])) == 1


def test_a_user_saves_no_more_filters_than_the_limit(users: tuple[models.User, models.User]) -> None:
    for number in range(list_views.MOST_FILTERS):
        list_views.save_filter(users[0], f"Filter {number}", "q=x")
    with pytest.raises(NotSaved, match="You can save 20 filters"):
        list_views.save_filter(users[0], "One more", "q=x")
    assert list_views.save_filter(users[1], "One more", "q=x").name == "One more"
