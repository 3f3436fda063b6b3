"""The list of users of an agency, all or some: page by page in any order, and their number.

It is as fast with a million users as with a hundred.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Q
from django.db.models.expressions import RawSQL

from musterbook.core.values import keys
from musterbook.directory import models
from musterbook.directory.apply import search_index
from musterbook.directory.audit import former_ids
from musterbook.directory.users import filters, orders, states
from musterbook.directory.users.candidates import CandidateLookup
from musterbook.directory.users.filters import USERS, UserFilters
from musterbook.directory.users.keyset import Listing

PAGE = 50
_ALL_USERS = UserFilters()


@dataclass(frozen=True, slots=True)
class ListedUser:
    """A user as a list shows them; "" for no rank and no group."""

    id: int
    external_id: str
    first_name: str
    last_name: str
    username: str
    email: str
    badge_number: str
    status: str
    role: str
    rank: str
    group: str
    last_sign_in_at: datetime | None
    phone: str = ""
    location: str = ""
    source: str = ""
    created_at: datetime | None = None
    supervisor: int | None = None
    """The id of the supervisor."""
    supervisor_name: str = ""


@dataclass(frozen=True, slots=True)
class UserPage:
    """A page of users, and the places of the pages before and after it ("" for none).

    `number`: the number of all matching users, if the caller asked for it.
    """

    users: list[ListedUser]
    before: str
    after: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class IdPage:
    """The same page by the ids of its users."""

    ids: list[int]
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Position:
    """Which page of a list: its order (`sort` is one of orders.SORTS), where it begins, and its size.

    `place`: "" for the first page. `size`: the most users on it, 0 for PAGE.
    """

    sort: str = "name"
    descending: bool = False
    place: str = ""
    size: int = 0


def read_page(
    agency: models.Agency,
    criteria: UserFilters = _ALL_USERS,
    *,
    at: datetime,
    sort: str = "name",
    descending: bool = False,
    place: str = "",
    counted: int = 0,
) -> UserPage:
    """Return the page of matching users at the place ("": the first), in the order `sort` (one of orders.SORTS).

    `counted`: count them as well, up to this number; the count is one more if there are more. Raise UnknownSort,
    UnknownStatus and UnknownCursor.
    """
    lookup = CandidateLookup(agency, search_index.split_words(criteria.text))
    page = read_position(lookup, criteria, Position(sort, descending, place), at)
    return replace(page, number=count_found(lookup, criteria, at, counted)) if counted else page


def read_position(lookup: CandidateLookup, criteria: UserFilters, position: Position, at: datetime) -> UserPage:
    """Return the page of matching users at this position. Raise the errors of `read_ids`."""
    page = read_ids(lookup, criteria, position, at)
    return UserPage(_read_users(page.ids, at), page.before, page.after)


def read_ids(lookup: CandidateLookup, criteria: UserFilters, position: Position, at: datetime) -> IdPage:
    """Return the ids of the same page. `lookup` is for the agency, and the words of the criteria.

    A user who is not added or edited meanwhile is on one page, regardless of changes to others. Raise UnknownSort,
    UnknownStatus and UnknownCursor.
    """
    size, place = position.size or PAGE, position.place
    list_key = (position.sort, position.descending)
    backward = bool(place) and place.startswith(_BACK)
    start = orders.decode_cursor(place.removeprefix(_BACK), *list_key) if place else None
    order = orders.build_order(lookup.agency, position.sort, at, criteria, start)
    listing = Listing(
        lookup, tuple(filters.build_conditions(criteria, at)), order, position.descending != backward
    )  # fmt: skip
    cursors = listing.find_next(start, size + 1)
    more, visible = len(cursors) > size, cursors[:size]
    if backward:
        visible.reverse()
    before, after = (more, True) if backward else (start is not None, more)
    return IdPage(
        [place.id for place in visible],
        _BACK + orders.encode_cursor(visible[0], *list_key) if before and visible else "",
        orders.encode_cursor(visible[-1], *list_key) if after and visible else "",
    )


def count_found(lookup: CandidateLookup, criteria: UserFilters, at: datetime, most: int) -> int:
    """Return how many users match; `most` + 1 if there are more. Raise UnknownStatus.

    `lookup` is for the agency, and the words of the criteria; what it has found for a page is used.
    """
    order = orders.build_order(lookup.agency, "name", at, criteria, None)
    return Listing(lookup, tuple(filters.build_conditions(criteria, at)), order, descending=False).count(most)


_BACK = "~"


def _read_users(ids: Sequence[int], at: datetime) -> list[ListedUser]:
    """Return the users of these ids, in the order of the ids."""
    state = RawSQL(*states.build_state_sql(f"{USERS}.", at))  # noqa: S611  (no part of it comes from outside)
    users = models.User.objects.filter(pk__in=ids).values_list(
        "pk", "external_id", "first_name", "last_name", "username", "email", "badge_number", state, "role__name",
        "rank__name", "group__name", "last_sign_in_at", "phone", "location", "source", "created_at", "supervisor",
        "supervisor__first_name", "supervisor__last_name",
    )  # fmt: skip
    by_id = {
        user[0]: ListedUser(*(*user[:9], user[9] or "", user[10] or "", *user[11:17], _join(user[17:])))
        for user in users
    }
    return [by_id[number] for number in ids if number in by_id]


def _join(names: Sequence[str | None]) -> str:
    return " ".join(filter(None, names))


def count_users(agency: models.Agency, criteria: UserFilters = _ALL_USERS, *, at: datetime, most: int = 10_000) -> int:
    """Return how many users match; `most` + 1 if there are more. Raise UnknownStatus."""
    return count_found(CandidateLookup(agency, search_index.split_words(criteria.text)), criteria, at, most)


def has_users(agency: models.Agency, *, except_id: int = 0) -> bool:
    """Return whether the agency has users. `except_id`: the id of a user who does not count."""
    return models.User.objects.filter(agency=agency).exclude(pk=except_id).exists()


class TooManyUsers(Exception):
    """The text may mean more users than the limit."""


def find_by_text(agency: models.Agency, text: str, *, at: datetime, most: int = PAGE) -> list[tuple[int, str]]:
    """Return the id and external ID of each user that the text may mean.

    Match it by external ID, address or username, or else by a former external ID; if no user has that, return all who
    have its words. Raise TooManyUsers.
    """
    key = keys.make_key(text)
    exact = Q(external_id=text) | Q(email_key=key) | Q(username_key=key)
    matches = list(models.User.objects.filter(exact, agency=agency).values_list("pk", "external_id"))
    if not matches:
        had = models.User.objects.filter(agency=agency, pk__in=former_ids.find_users(agency, text))
        matches = list(had.values_list("pk", "external_id"))
    if matches:
        return matches
    result = read_page(agency, UserFilters(text=text), at=at)
    if result.after or len(result.users) > most:
        raise TooManyUsers(text)
    return [(user.id, user.external_id) for user in result.users]


def find_ids(agency: models.Agency, external_id: str) -> list[int]:
    """Return the id of the user with this external ID, or else of those who had it before."""
    users = models.User.objects.filter(agency=agency, external_id=external_id)
    return list(users.values_list("pk", flat=True)) or former_ids.find_users(agency, external_id)
