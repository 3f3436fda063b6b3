"""All Users: search, filters, sorting, pagination, and export."""

from datetime import UTC, datetime
from typing import Any

from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from django.views.decorators.http import require_GET

from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.storage import formats
from musterbook.directory.users import counts, export, list_views, orders, user_list
from musterbook.directory.users.counts import CountedPage
from musterbook.directory.users.list_views import ListView
from musterbook.directory.users.orders import UnknownCursor
from musterbook.directory.users.user_list import Position, UserPage
from musterbook.http import request_context
from musterbook.web.permission import get_account, may, needs
from musterbook.web.users import bulk, chosen_users, list_address, list_table
from musterbook.web.users.search import FIELDS, STATE_LABELS, SearchForm, label_state

_FORMS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
_NOBODY = CountedPage(UserPage([], "", ""), 0, False, None)
"""What a search finds that cannot be read."""


@require_GET
@needs("users.view")
def listed(request: HttpRequest) -> HttpResponseBase:
    """Show the page of users that the address asks for."""
    return _render_list(request)


def _render_list(request: HttpRequest, status: int = 200) -> HttpResponse:
    agency = request_context.agency(request)
    query = request.GET.copy()
    ticked, is_all_ticked = chosen_users.read_fitting(request.GET)
    query["chosen"] = chosen_users.join_ids(ticked)
    form = SearchForm(agency, query, with_imports=may(request, "users.import"))
    filters = form.read_filters()
    view = list_views.read_view(get_account(request).user)
    sort, descending = _read_order(query)
    found = _NOBODY
    if filters is not None:
        try:
            position = Position(sort, descending, query.get("place", ""), view.size)
            found = counts.read_page(agency, filters, position, datetime.now(UTC))
        except UnknownCursor:
            return redirect(f"{reverse('all_users')}?{list_address.copy_query(query).urlencode()}")
    is_search = any(query.get(name) for name in FIELDS)
    context = {
        "form": form,
        "rows": list_table.make_rows(found.page.users, view),
        "is_wrong": filters is None,
        "is_search": is_search,
        "is_empty": not is_search and not found.page.users and not user_list.has_users(agency),
        "tabs": _make_tabs(query, found.by_state),
        "chips": [
            (label, value, list_address.make_address(query, **{name: ""})) for name, label, value in form.chips()
        ],
        "has_imports": form.offer_imports(),
        "search": list_address.copy_search(query).urlencode(),
        "carried": [(name, query[name]) for name in ("status", "chosen") if query.get(name)],
        "may_export": may(request, "users.export"),
        "may_edit": may(request, "users.edit"),
        "may_import": may(request, "users.import"),
        "saved": list_views.list_filters(get_account(request).user),
        "wrong": "" if is_all_ticked else bulk.TOO_MANY,
    }
    context |= _describe_order(query, view, sort, descending) | _describe_pages(query, found, view)
    context |= _describe_selection(request, query, ticked, found)
    if not request_context.is_part(request):
        return render(request, "all_users.html", context, status=status)
    answer = render(request, "all_users_found.html", context, status=status)
    # The address without blank fields. The form alone would put all fields into it.
    pushed = list_address.copy_query(query, *list_address.PLACE, "all").urlencode()
    answer.headers["HX-Push-Url"] = f"{reverse('all_users')}?{pushed}"
    return answer


def _read_order(query: QueryDict) -> tuple[str, bool]:
    sort = query.get("sort", "name")
    return (sort if sort in orders.SORTS else "name"), query.get("desc") == "1"


def _make_tabs(query: QueryDict, by_state: dict[str, int] | None) -> list[dict[str, Any]]:
    """Return the tabs of the states, with the numbers of users, if they are known."""
    numbers: dict[str, int | None] = {name: by_state[name] if by_state else None for name in STATE_LABELS}
    tabs = {"": (pgettext("users", "All"), sum(by_state.values()) if by_state else None)}
    tabs |= {name: (label_state(name, number), number) for name, number in numbers.items()}
    return [
        {
            "label": label,
            "number": number,
            "address": list_address.make_address(query, status=name),
            "is_on": query.get("status", "") == name,
        }
        for name, (label, number) in tabs.items()
    ]


def _describe_order(query: QueryDict, view: ListView, sort: str, descending: bool) -> dict[str, Any]:
    """Return the context for the columns, their headings, and the order."""
    return {
        "columns": [
            {
                "name": name,
                "label": str(list_table.COLUMN_LABELS[name]),
                "heads": [_make_heading(query, one, sort, descending) for one in list_table.list_sorts(name)],
                "way": _name_direction(descending) if sort in list_table.list_sorts(name) else "",
            }
            for name in view.columns
        ],
        "sorts": [(name, label, name == sort) for name, label in list_table.SORT_LABELS.items()],
        "descending": descending,
        "view": view,
        "choices": [
            (name, label, name in view.columns) for name, label in list_table.COLUMN_LABELS.items() if name != "name"
        ],
        "sizes": [(size, size == (view.size or user_list.PAGE)) for size in list_views.SIZES],
        "here": list_address.copy_query(query).urlencode(),
    }


def _name_direction(descending: bool) -> str:
    return "descending" if descending else "ascending"


def _make_heading(query: QueryDict, name: str, sort: str, descending: bool) -> dict[str, Any]:
    """Return one heading with a link that sorts by it.

    If the list is already sorted by it, the link reverses the order.
    """
    is_on = name == sort
    turned = "1" if is_on and not descending else ""
    return {
        "label": list_table.SORT_LABELS[name],
        "name": name,
        "address": list_address.make_address(query, "all", sort=name, desc=turned),
        "way": _name_direction(descending) if is_on else "",
    }


def _describe_pages(query: QueryDict, found: CountedPage, view: ListView) -> dict[str, Any]:
    """Return the context for the pages: where this one is, and the addresses of the others.

    The address says which number the first user has. It is corrected at both ends of the list, because users may have
    been added or deactivated since.
    """
    page, size = found.page, view.size or user_list.PAGE
    shown = len(page.users)
    first = list_address.read_number(query) if page.before else 1
    if not page.after and not found.is_more:
        first = found.number - shown + 1
    first = max(1, first if found.is_more else min(first, found.number - shown + 1))
    before = str(max(1, first - size))
    return {
        "about": _describe_place(found, first, shown),
        "start": list_address.make_address(query, "all") if page.before else "",
        "before": list_address.make_address(query, "all", **{"place": page.before, "from": before})
        if page.before
        else "",
        "after": list_address.make_address(query, "all", **{"place": page.after, "from": str(first + shown)})
        if page.after
        else "",
    }


def _describe_place(found: CountedPage, first: int, shown: int) -> str:
    """Return where the page is in the list: “1–50 of 252 users”, or “12 users” if there are no others."""
    numbers = {"first": intcomma(first), "last": intcomma(first + shown - 1), "number": intcomma(found.number)}
    if found.is_more:
        return _("%(first)s–%(last)s of more than %(number)s users") % numbers
    if shown == found.number or not shown:
        return ngettext("%(number)s user", "%(number)s users", found.number) % numbers
    return ngettext("%(first)s–%(last)s of %(number)s user", "%(first)s–%(last)s of %(number)s users", found.number) % (
        numbers
    )


def _describe_selection(
    request: HttpRequest, query: QueryDict, ticked: frozenset[int], found: CountedPage
) -> dict[str, Any]:
    """Return the context for choosing users and acting on them. It depends on the permissions of the signed-in user."""
    acts = bulk.list_actions(request)
    shown = [user.id for user in found.page.users]
    elsewhere = len(ticked.difference(shown))
    is_all = query.get("all") == "1" and bool(shown)
    numbers = {"number": intcomma(found.number)}
    if found.is_more:
        match_all = _("Select all users that match (more than %(number)s)") % numbers
        all_selected = _("All users that match are selected (more than %(number)s)") % numbers
    else:
        match_all = ngettext("Select the %(number)s user", "Select all %(number)s users", found.number) % numbers
        all_selected = ngettext(
            "%(number)s user is selected", "All %(number)s users are selected", found.number
        ) % (numbers)  # fmt: skip
    return {
        "may_act": bool(acts),
        "acts": acts,
        "bulk": f"{reverse('bulk')}?{list_address.copy_query(query, *list_address.PLACE).urlencode()}",
        "chosen": query["chosen"],
        "ticked": ticked,
        "elsewhere": elsewhere,
        "selected": len(ticked),
        "is_all": is_all,
        "match_all": match_all,
        "all_selected": all_selected,
        "all_address": list_address.make_address(query, *list_address.PLACE, all="1", chosen="")
        if found.is_more or found.number > len(shown)
        else "",
        "shown": chosen_users.join_ids(shown),
        "page_address": list_address.make_address(
            query, *list_address.PLACE, chosen=chosen_users.join_ids(ticked.union(shown))
        ),
        "unticked": list_address.make_address(query, *list_address.PLACE, chosen=""),
    }


@require_GET
@needs("users.export")
def exported(request: HttpRequest, form: str) -> HttpResponseBase:
    """Export all users that the address asks for, as a file that can be imported again."""
    if form not in _FORMS:
        raise Http404
    agency, context = request_context.agency(request), request_context.audit_context(request)
    filters = SearchForm(agency, request.GET).read_filters()
    search = list_address.copy_search(request.GET)
    if filters is None:
        return render(
            request, "export_unclear.html", {"search": search.urlencode()}, status=422
        )  # fmt: skip
    try:
        result = export.export_search(agency, filters, form, at=context.at)
        parts = iter([next(result.parts)]), result.parts
    except formats.TooManyRows as rows:
        return render(request, "export_too_long.html", {"rows": str(rows), "search": search.urlencode()}, status=422)
    searched = {name: ("", value) for name, value in search.items()}
    changes = {"format": ("", form), "users": ("", f"{result.users}"), **searched}
    trail.record_event(agency, context, EventKind.USERS_EXPORTED, None, changes)  # type: ignore[arg-type]  # each has one value
    answer = StreamingHttpResponse((part for some in parts for part in some), content_type=_FORMS[form])
    name = f"{agency.slug}-users-{context.at:%Y-%m-%d}.{form}"
    answer.headers["Content-Disposition"] = content_disposition_header(True, name) or ""
    return answer
