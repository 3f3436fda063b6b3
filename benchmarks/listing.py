"""The queries of All Users, timed: each runs many times, and its runs alternate with those of the others."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from musterbook.directory import models
from musterbook.directory.users import orders, user_list
from musterbook.directory.users.filters import UserFilters

DEEP = 500_000
"""The position of the deep page, or half the number of users if there are fewer."""

TEXTS = {
    "one letter": "a", "two letters": "qu", "two letters, nobody": "qx", "common": "harbor", "medium": "bondarenko",
    "with an accent": "Dvořák", "without its accent": "dvorak", "nobody": "zzqyx", "two words": "gudrun bondarenko",
    "Cyrillic": "дмитрий", "Cyrillic, one letter": "д",
}  # fmt: skip
"""The searches: description → text."""


def measure_queries(agency: models.Agency, runs: int) -> dict[str, list[float]]:
    """Return the seconds of each run, by the name of the query."""
    at = datetime.now(UTC)
    queries = dict(_list_queries(agency, at))
    seconds: dict[str, list[float]] = {name: [] for name in queries}
    for query in queries.values():
        query()
    for _ in range(runs):
        for name, query in queries.items():
            since = time.perf_counter()
            query()
            seconds[name].append(time.perf_counter() - since)
    return seconds


def _list_queries(agency: models.Agency, at: datetime) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield every query with its name."""
    for sort in orders.SORTS:
        first = user_list.read_page(agency, at=at, sort=sort)
        for descending in (False, True):
            way = f"{sort}, descending" if descending else sort
            yield f"first page by {way}", _make_page(agency, UserFilters(), at, sort, descending=descending)
        yield f"second page by {sort}", _make_page(agency, UserFilters(), at, sort, place=first.after)
        yield (
            f"deep page by {sort}",
            _make_page(agency, UserFilters(), at, sort, place=find_deep_cursor(agency, sort, at)),
        )
    for name, criteria in (*_list_filters(agency, at), *_list_searches(agency)):
        for sort in ("name", "external_id"):
            yield f"{name}, by {sort}", _make_page(agency, criteria, at, sort)
        yield f"{name}, counted", _make_count(agency, criteria, at)


def _make_page(
    agency: models.Agency, criteria: UserFilters, at: datetime, sort: str, *, descending: bool = False, place: str = ""
) -> Callable[[], object]:
    return lambda: user_list.read_page(agency, criteria, at=at, sort=sort, descending=descending, place=place)


def _make_count(agency: models.Agency, criteria: UserFilters, at: datetime) -> Callable[[], object]:
    return lambda: user_list.count_users(agency, criteria, at=at)


def find_deep_cursor(agency: models.Agency, sort: str, at: datetime) -> str:
    """Return the cursor of a user deep in the order."""
    order = orders.build_order(agency, sort, at, UserFilters(), None)
    middle = order.sections[len(order.sections) // 2]
    everybody = models.User.objects.filter(agency=agency)
    if sort in ("role", "rank", "group"):
        everybody = everybody.filter(**{sort: middle.mark})
    if sort == "last_sign_in":
        middle = order.sections[0]
        everybody = everybody.filter(last_sign_in_at=None)
    if sort == "status":
        middle = order.sections[1]
        everybody = everybody.filter(active=True, registered_at=None)
    far = min(DEEP, everybody.count() // 2)
    found = everybody.order_by(middle.column, "id").values_list(middle.column, "id")[far : far + 1]
    return orders.encode_cursor(orders.Cursor(middle.mark, *found[0]), sort, False) if found else ""


def _list_filters(agency: models.Agency, at: datetime) -> Iterator[tuple[str, UserFilters]]:
    """Yield filters with values that many, some, and few or no users have."""
    role, rank, group = (
        {getattr(one, "name"): one.pk for one in model.objects.filter(agency=agency)}  # noqa: B009  (models differ)
        for model in (models.Role, models.Rank, models.Group)
    )
    boss = models.User.objects.filter(agency=agency, supervisor__isnull=False).values_list("supervisor", flat=True)[0]
    last = models.Import.objects.filter(agency=agency, state="applied").order_by("pk").values_list("pk", flat=True)[0]
    unit = UserFilters(group=group["UNIT-07"])
    yield "role, 80 %", UserFilters(role=role["Officer"])
    yield "role, 3 %", UserFilters(role=role["Auditor"])
    yield "role, nobody", UserFilters(role=role["Admin"])
    yield "rank, 55 %", UserFilters(rank=rank["Police Officer"])
    yield "rank, 2 %", UserFilters(rank=rank["Captain"])
    yield "group, 1.7 %", unit
    yield "group and rank, 0.03 %", replace(unit, rank=rank["Captain"])
    yield "supervisor", UserFilters(supervisor=boss)
    yield "import", UserFilters(touched_by=last)
    yield "never signed in", UserFilters(never_signed_in=True)
    yield "signed in since yesterday", UserFilters(signed_in_from=at - timedelta(days=1))
    for status in ("Active", "Invited", "Invitation expired", "Locked", "Password reset", "Inactive"):
        yield status, UserFilters(status=status)


def _list_searches(agency: models.Agency) -> Iterator[tuple[str, UserFilters]]:
    one = models.User.objects.filter(agency=agency).order_by("pk")[0]
    for name, text in {**TEXTS, "one user": one.email, "their badge": one.badge_number}.items():
        yield f"search, {name}", UserFilters(text=text)
