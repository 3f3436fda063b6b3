"""All Users: search, filters, sorting, pagination, and export."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.storage import formats
from musterbook.directory.users import export, orders, user_list
from musterbook.directory.users.orders import UnknownCursor
from musterbook.http import request_context
from musterbook.web.permission import may, needs
from musterbook.web.users import bulk, chosen_users
from musterbook.web.users.search import FIELDS, SearchForm

COLUMNS = (
    (("name", "Name"), ("external_id", "External id")),
    (("email", "Email"), ("username", "Username")),
    (("badge_number", "Badge"),),
    (("status", "Status"),),
    (("role", "Role"),),
    (("rank", "Rank"),),
    (("group", "Group"),),
    (("last_sign_in", "Last sign-in"),),
)
"""The columns of a row. A column may show two values, and can be sorted by either."""
_MOST, _MOST_OF_SEVERAL = 10_000, 1_000
"""The most users that are counted, and the most with more than one condition.

With more than one condition, each user must be examined, so that limit is lower.
"""
_FORMS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


@require_GET
@needs("users.view")
def listed(request: HttpRequest) -> HttpResponseBase:
    """Show the page of users that the address asks for."""
    agency, now = request_context.agency(request), datetime.now(UTC)
    query = request.GET.copy()
    ticked, is_all = chosen_users.read_fitting(request.GET)
    query["chosen"] = chosen_users.join_ids(ticked)
    form = SearchForm(agency, query)
    filters = form.read_filters()
    sort, descending = _read_order(query)
    conditions = [value for value in asdict(filters).values() if value not in ("", None, False)]
    most = _MOST if len(conditions) <= 1 else _MOST_OF_SEVERAL
    cursor = query.get("place", "")
    try:
        page = user_list.read_page(
            agency, filters, at=now, sort=sort, descending=descending, place=cursor, counted=most
        )
    except UnknownCursor:
        return redirect(f"{reverse('all_users')}?{_copy_query(query).urlencode()}")
    context = {
        "form": form,
        "page": page,
        "number": min(page.number, most),
        "is_more": page.number > most,
        "columns": [[_make_heading(query, *pair, sort, descending) for pair in column] for column in COLUMNS],
        "sort": sort,
        "descending": descending,
        "before": _make_address(query, place=page.before) if page.before else "",
        "after": _make_address(query, place=page.after) if page.after else "",
        "chips": [(label, value, _make_address(query, **{name: ""})) for name, label, value in form.chips()],
        "is_search": any(query.get(name) for name in FIELDS),
        "search": _copy_search(query).urlencode(),
        "may_export": may(request, "users.export"),
        "is_empty": not page.users and not user_list.has_users(agency),
        "wrong": "" if is_all else bulk.TOO_MANY,
    } | _describe_selection(request, query, ticked, [user.id for user in page.users])
    if not request_context.is_part(request):
        return render(request, "all_users.html", context)
    answer = render(request, "all_users_found.html", context)
    # The address without blank fields. The form alone would put all fields into it.
    answer.headers["HX-Push-Url"] = f"{reverse('all_users')}?{_copy_query(query, 'place').urlencode()}"
    return answer


def _describe_selection(
    request: HttpRequest, query: QueryDict, ticked: frozenset[int], shown_ids: list[int]
) -> dict[str, Any]:
    """Return the context for choosing users and acting on them. It depends on the permissions of the signed-in user."""
    acts = bulk.list_actions(request)
    return {
        "may_act": bool(acts),
        "acts": acts,
        "bulk": f"{reverse('bulk')}?{_copy_query(query, 'place').urlencode()}",
        "chosen": query["chosen"],
        "ticked": ticked,
        "elsewhere": len(ticked.difference(shown_ids)),
        "shown": chosen_users.join_ids(shown_ids),
        "unticked": _make_address(query, chosen=""),
    }


def _read_order(query: QueryDict) -> tuple[str, bool]:
    sort = query.get("sort", "name")
    return (sort if sort in orders.SORTS else "name"), query.get("desc") == "1"


def _copy_search(query: QueryDict) -> QueryDict:
    """Return the search, as it is in an address."""
    searched = QueryDict(mutable=True)
    searched.update({name: str(query[name]) for name in FIELDS if query.get(name)})
    return searched


def _copy_query(query: QueryDict, *more: str) -> QueryDict:
    """Return the search, the order, and the ticked users, and the other parameters that are named."""
    result = _copy_search(query)
    result.update({name: str(query[name]) for name in ("sort", "desc", "chosen", *more) if query.get(name)})
    return result


def _make_address(query: QueryDict, **changes: str) -> str:
    """Return the address of the same search with these changes.

    An empty value removes a parameter. The address leads to the first page unless a place is given.
    """
    result = _copy_query(query)
    for name, value in changes.items():
        result.pop(name, None)
        if value:
            result[name] = value
    return f"?{result.urlencode()}"


def _make_heading(query: QueryDict, name: str, label: str, sort: str, descending: bool) -> dict[str, Any]:
    """Return one heading with a link that sorts by it.

    If the list is already sorted by it, the link reverses the order.
    """
    is_on = name == sort
    turned = "1" if is_on and not descending else ""
    return {
        "label": label,
        "name": name,
        "address": _make_address(query, sort=name, desc=turned),
        "way": ("descending" if descending else "ascending") if is_on else "",
    }


@require_GET
@needs("users.export")
def exported(request: HttpRequest, form: str) -> HttpResponseBase:
    """Export all users that the address asks for, as a file that can be imported again."""
    if form not in _FORMS:
        raise Http404
    agency, context = request_context.agency(request), request_context.audit_context(request)
    filters = SearchForm(agency, request.GET).read_filters()
    try:
        result = export.export_search(agency, filters, form, at=context.at)
        parts = iter([next(result.parts)]), result.parts
    except formats.TooManyRows as rows:
        return render(
            request,
            "export_too_long.html",
            {"rows": str(rows), "search": _copy_search(request.GET).urlencode()},
            status=422,
        )
    searched = {name: ("", value) for name, value in _copy_search(request.GET).items()}
    changes = {"format": ("", form), "users": ("", f"{result.users}"), **searched}
    trail.record_event(agency, context, EventKind.USERS_EXPORTED, None, changes)  # type: ignore[arg-type]  # each has one value
    answer = StreamingHttpResponse((part for some in parts for part in some), content_type=_FORMS[form])
    name = f"{agency.slug}-users-{context.at:%Y-%m-%d}.{form}"
    answer.headers["Content-Disposition"] = content_disposition_header(True, name) or ""
    return answer
