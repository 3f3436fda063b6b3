"""The list of users of an agency, all or some: page by page in any order, and their number.

It is as fast with a million users as with a hundred.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.db.models.expressions import RawSQL

from musterbook.core.values import keys
from musterbook.directory import models
from musterbook.directory.apply import search_index
from musterbook.directory.users import filters, orders, states
from musterbook.directory.users.candidates import Narrowing
from musterbook.directory.users.filters import USERS, Wanted
from musterbook.directory.users.keyset import Listing

PAGE = 50
_EVERYBODY = Wanted()


@dataclass(frozen=True, slots=True)
class Listed:
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


@dataclass(frozen=True, slots=True)
class Page:
    """A page of users, and the places of the pages before and after it ("" for none).

    `number`: the number of all matching users, if the caller asked for it.
    """

    users: list[Listed]
    before: str
    after: str
    number: int = 0


def page(
    agency: models.Agency,
    wanted: Wanted = _EVERYBODY,
    *,
    at: datetime,
    sort: str = "name",
    descending: bool = False,
    place: str = "",
    counted: int = 0,
) -> Page:
    """Return the page of matching users at the place ("": the first), in the order `sort` (one of orders.SORTS).

    `counted`: count them as well, up to this number; the count is one more if there are more.

    A user who is not added or edited meanwhile is on one page, regardless of changes to others. Raise UnknownSort,
    UnknownStatus and UnknownPlace.
    """
    about = (sort, descending)
    backward = bool(place) and place.startswith(_BACK)
    start = orders.read(place.removeprefix(_BACK), *about) if place else None
    order = orders.order(agency, sort, at, wanted, start)
    narrowing = Narrowing(agency, search_index.words(wanted.text))
    listing = Listing(narrowing, tuple(filters.conditions(wanted, at)), order, descending != backward)
    places = listing.following(start, PAGE + 1)
    more, shown = len(places) > PAGE, places[:PAGE]
    if backward:
        shown.reverse()
    before, after = (more, True) if backward else (start is not None, more)
    return Page(
        _told([place.id for place in shown], at),
        _BACK + orders.written(shown[0], *about) if before and shown else "",
        orders.written(shown[-1], *about) if after and shown else "",
        listing.count(counted) if counted else 0,
    )


_BACK = "~"


def _told(ids: Sequence[int], at: datetime) -> list[Listed]:
    """Return the users of these ids, in the order of the ids."""
    state = RawSQL(*states.state(f"{USERS}.", at))  # noqa: S611  (no part of it comes from outside)
    users = models.User.objects.filter(pk__in=ids).values_list(
        "pk", "external_id", "first_name", "last_name", "username", "email", "badge_number", state, "role__name",
        "rank__name", "group__name", "last_sign_in_at",
    )  # fmt: skip
    told = {user[0]: Listed(*(*user[:9], user[9] or "", user[10] or "", user[11])) for user in users}
    return [told[number] for number in ids if number in told]


def count(agency: models.Agency, wanted: Wanted = _EVERYBODY, *, at: datetime, most: int = 10_000) -> int:
    """Return how many users match; `most` + 1 if there are more. Raise UnknownStatus."""
    order = orders.order(agency, "name", at, wanted, None)
    narrowing = Narrowing(agency, search_index.words(wanted.text))
    return Listing(narrowing, tuple(filters.conditions(wanted, at)), order, descending=False).count(most)


def has_users(agency: models.Agency, *, but: int = 0) -> bool:
    """Return whether the agency has users. `but`: the id of a user who does not count."""
    return models.User.objects.filter(agency=agency).exclude(pk=but).exists()


class TooMany(Exception):
    """The text may mean more users than the limit."""


def meant(agency: models.Agency, text: str, *, at: datetime, most: int = PAGE) -> list[tuple[int, str]]:
    """Return the id and external id of each user that the text may mean.

    Match it by external id, address or username; if no user has that, return all who have its words. Raise TooMany.
    """
    key = keys.key(text)
    exact = Q(external_id=text) | Q(email_key=key) | Q(username_key=key)
    found = list(models.User.objects.filter(exact, agency=agency).values_list("pk", "external_id"))
    if found:
        return found
    listed = page(agency, Wanted(text=text), at=at)
    if listed.after or len(listed.users) > most:
        raise TooMany(text)
    return [(user.id, user.external_id) for user in listed.users]


def of(agency: models.Agency, external_id: str) -> list[int]:
    """Return the id of the user with this external id, or nothing."""
    return list(models.User.objects.filter(agency=agency, external_id=external_id).values_list("pk", flat=True))
