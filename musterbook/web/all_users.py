"""All Users: found by words and filters, sorted, page by page, and exported."""

from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from musterbook.accounts import requests
from musterbook.directory import export, models, orders, trail, users, written
from musterbook.directory.orders import UnknownPlace
from musterbook.web.fragments import is_part
from musterbook.web.permission import may, needs
from musterbook.web.user_search import FIELDS, Search

COLUMNS = (
    (("name", "Name"), ("external_id", "External id")),
    (("email", "E-mail"), ("username", "Username")),
    (("badge_number", "Badge"),),
    (("status", "Status"),),
    (("role", "Role"),),
    (("rank", "Rank"),),
    (("group", "Group"),),
    (("last_sign_in", "Last sign-in"),),
)
"""What a row shows; one column may show two things, and be sorted by either."""
_MOST = 10_000
_FORMS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


@require_GET
@needs("users.view")
def listed(request: HttpRequest) -> HttpResponseBase:
    """The page of users whom the address asks for."""
    agency, now = requests.agency(request), datetime.now(UTC)
    form = Search(agency, request.GET)
    wanted = form.wanted()
    sort, descending = _order(request)
    try:
        page = users.page(agency, wanted, at=now, sort=sort, descending=descending, place=request.GET.get("place", ""))
    except UnknownPlace:
        return redirect(f"{reverse('all_users')}?{_query(request).urlencode()}")
    number = users.count(agency, wanted, at=now, most=_MOST)
    about = {
        "form": form,
        "page": page,
        "number": min(number, _MOST),
        "is_more": number > _MOST,
        "columns": [[_head(request, *one, sort, descending) for one in column] for column in COLUMNS],
        "sort": sort,
        "descending": descending,
        "before": _address(request, place=page.before) if page.before else "",
        "after": _address(request, place=page.after) if page.after else "",
        "chips": [(label, value, _address(request, **{name: ""})) for name, label, value in form.chips()],
        "is_search": any(request.GET.get(name) for name in FIELDS),
        "search": _searched(request).urlencode(),
        "may_export": may(request, "users.export"),
        "may_act": may(request, "users.edit") or may(request, "credentials.manage"),
        "is_empty": not page.users and not models.User.objects.filter(agency=agency).exists(),
    }
    if not is_part(request):
        return render(request, "all_users.html", about)
    answer = render(request, "all_users_found.html", about)
    # The address without what was left blank; the form would put all of it there.
    answer.headers["HX-Push-Url"] = f"{reverse('all_users')}?{_query(request, 'place').urlencode()}"
    return answer


def _order(request: HttpRequest) -> tuple[str, bool]:
    sort = request.GET.get("sort", "name")
    return (sort if sort in orders.SORTS else "name"), request.GET.get("desc") == "1"


def _searched(request: HttpRequest) -> QueryDict:
    """What is searched for, as an address bears it."""
    query = QueryDict(mutable=True)
    query.update({name: request.GET[name] for name in FIELDS if request.GET.get(name)})
    return query


def _query(request: HttpRequest, *more: str) -> QueryDict:
    """The search and the order, and what else is named."""
    query = _searched(request)
    query.update({name: request.GET[name] for name in ("sort", "desc", *more) if request.GET.get(name)})
    return query


def _address(request: HttpRequest, **changes: str) -> str:
    """The same search with these things changed ("" takes one out), from its first page on unless a place is given."""
    query = _query(request)
    for name, value in changes.items():
        query.pop(name, None)
        if value:
            query[name] = value
    return f"?{query.urlencode()}"


def _head(request: HttpRequest, name: str, label: str, sort: str, descending: bool) -> dict[str, Any]:
    """One heading: a link that sorts by it, the other way round if it does already."""
    is_on = name == sort
    turned = "1" if is_on and not descending else ""
    return {
        "label": label,
        "name": name,
        "address": _address(request, sort=name, desc=turned),
        "way": ("descending" if descending else "ascending") if is_on else "",
    }


@require_GET
@needs("users.export")
def exported(request: HttpRequest, form: str) -> HttpResponseBase:
    """All users whom the address asks for, as a file that can be imported again."""
    if form not in _FORMS:
        raise Http404
    agency, act = requests.agency(request), requests.act(request)
    wanted = Search(agency, request.GET).wanted()
    try:
        made = export.export_found(agency, wanted, form, at=act.at)
        parts = iter([next(made.parts)]), made.parts
    except written.TooLong as rows:
        return render(
            request, "export_too_long.html", {"rows": str(rows), "search": _searched(request).urlencode()}, status=422
        )
    searched = {name: ("", value) for name, value in _searched(request).items()}
    trail.tell(agency, act, export.KIND, None, {"format": ("", form), "users": ("", f"{made.users}"), **searched})  # type: ignore[dict-item]  # one value each
    answer = StreamingHttpResponse((part for some in parts for part in some), content_type=_FORMS[form])
    name = f"{agency.slug}-users-{act.at:%Y-%m-%d}.{form}"
    answer.headers["Content-Disposition"] = content_disposition_header(True, name) or ""
    return answer
