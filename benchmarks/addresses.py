"""The requested pages: All Users in each order, by each filter and by searches, one user, the trail, the rows of a plan."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from benchmarks import listing
from musterbook.directory import models
from musterbook.directory.users import orders, states, user_list

_Query = Mapping[str, object]


def list_user_pages(agency: models.Agency, at: datetime) -> Iterator[tuple[str, str]]:
    """Yield the pages of All Users: a description and an address of each."""
    for name, query in (*_list_cursors(agency, at), *_list_filters(agency, at), *_list_searches(agency)):
        yield name, f"/{agency.slug}/users/?{urlencode(query)}"


def list_other_pages(agency: models.Agency) -> Iterator[tuple[str, str]]:
    """Yield the page of one user, the trail, and the rows of a plan that was previewed."""
    one = models.User.objects.filter(agency=agency, supervisor__isnull=False).order_by("pk")[0]
    yield "one user", f"/{agency.slug}/users/{one.pk}/"
    yield "audit trail", f"/{agency.slug}/audit/"
    yield "import history", f"/{agency.slug}/imports/"
    plan = models.Import.objects.filter(agency=agency, state="previewed").latest("pk")
    rows = f"/{agency.slug}/imports/{plan.number}"
    yield "plan", rows
    for shown in ("errored", "added", "updated", "unchanged"):
        yield f"plan, {shown}", f"{rows}?show={shown}"
        yield f"plan, {shown}, last page", f"{rows}?show={shown}&page=99999999"
    yield "plan, updated, search", f"{rows}?show=updated&q=bondarenko"


def _list_cursors(agency: models.Agency, at: datetime) -> Iterator[tuple[str, _Query]]:
    first = user_list.read_page(agency, at=at)
    yield "first", {}
    yield "next", {"place": first.after}
    if first.after:
        yield "back to the first", {"place": user_list.read_page(agency, at=at, place=first.after).before}
    yield "last", {"place": _find_last(agency)}
    for sort in orders.SORTS:
        yield f"by {sort}", {"sort": sort}
        yield f"by {sort}, descending", {"sort": sort, "desc": "1"}
        yield f"by {sort}, deep", {"sort": sort, "place": listing.find_deep_cursor(agency, sort, at)}


def _find_last(agency: models.Agency) -> str:
    """Return the cursor of the user before the last page."""
    found = models.User.objects.filter(agency=agency).order_by("-name_key", "-pk").values_list("name_key", "pk")
    before = found[user_list.PAGE : user_list.PAGE + 1]
    return orders.encode_cursor(orders.Cursor(None, *before[0]), "name", False) if before else ""


def _list_filters(agency: models.Agency, at: datetime) -> Iterator[tuple[str, _Query]]:
    """Yield each filter, with values that many, some, and few or no users have, and combinations of filters."""
    role, rank, group = (
        dict(model.objects.filter(agency=agency).values_list("name", "pk"))
        for model in (models.Role, models.Rank, models.Group)
    )
    boss = models.User.objects.filter(agency=agency, supervisor__isnull=False).values_list("supervisor", flat=True)[0]
    applied = models.Import.objects.filter(agency=agency, state="applied").order_by("pk")
    unit, captain, officer = ({"group": group["UNIT-07"]}, {"rank": rank["Captain"]}, {"role": role["Officer"]})
    yesterday, month = ({"signed_in_from": (at - timedelta(days=days)).date()} for days in (1, 30))
    for status in states.STATES:
        yield status, {"status": status}
        yield f"{status}, by last_sign_in, descending", {"status": status, "sort": "last_sign_in", "desc": "1"}
    last = {"import": applied.reverse()[0].number}
    queries: dict[str, _Query] = {
        "role, 80 %": officer,
        "role, 80 %, deep": {**officer, "place": listing.find_deep_cursor(agency, "name", at)},
        "role, 3 %": {"role": role["Auditor"]},
        "role, one user": {"role": role["Admin"]},
        "rank, 55 %": {"rank": rank["Police Officer"]},
        "rank, 2 %": captain,
        "group, 1.7 %": unit,
        "group, 1.7 %, by last_sign_in": {**unit, "sort": "last_sign_in"},
        "supervisor": {"supervisor": boss},
        "never signed in": {"never": "on"},
        "signed in since yesterday": yesterday,
        "signed in within a month": month,
        "signed in within a month, by name, descending": {**month, "desc": "1"},
        "signed in last half a year ago": {"signed_in_before": (at - timedelta(days=180)).date()},
        "import, everybody": {"import": applied[0].number},
        "import, 1 %": last,
        "group and rank, 0.03 %": {**unit, **captain},
        "rank and role, 1.6 %": {**captain, **officer},
        "group, rank and role": {**unit, **captain, **officer},
        "group and Invited": {**unit, "status": states.INVITED},
        "rank and Inactive": {**captain, "status": "Inactive"},
        "role and Locked": {**officer, "status": "Locked"},
        "role and Active, by email": {**officer, "status": "Active", "sort": "email"},
        "supervisor and Active": {"supervisor": boss, "status": "Active"},
        "import and rank": {**last, **captain},
        "Active, who has never signed in": {"status": "Active", "never": "on"},
    }
    yield from queries.items()


def _list_searches(agency: models.Agency) -> Iterator[tuple[str, _Query]]:
    one = models.User.objects.filter(agency=agency).order_by("pk")[0]
    captain = models.Rank.objects.get(agency=agency, name="Captain").pk
    group = models.Group.objects.get(agency=agency, name="UNIT-07").pk
    texts = {
        **listing.TEXTS,
        "one user": one.email,
        "their badge": one.badge_number,
        "their external id": one.external_id,
    }
    for name, text in texts.items():
        yield f"search, {name}", {"q": text}
    yield "search while one types", {"q": "harbo", "typed": "1"}
    yield "search, common, by last_sign_in", {"q": "harbor", "sort": "last_sign_in", "desc": "1"}
    yield "search, medium, by email", {"q": "bondarenko", "sort": "email"}
    yield "search and rank", {"q": "harbor", "rank": captain}
    yield "search and group", {"q": "bondarenko", "group": group}
    yield "search and Locked", {"q": "a", "status": "Locked"}
    yield "search for nobody and Active", {"q": "zzqyx", "status": "Active"}
