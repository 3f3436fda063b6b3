"""Lists of all resource types at once: `/` and `/.search` (RFC 7644 §3.4.2.1), page by page by index."""

from collections.abc import Callable, Mapping
from functools import reduce
from http import HTTPStatus
from operator import or_
from typing import Any

from django.http import HttpResponseBase
from scim2_models import SearchRequest

from musterbook.scim import answers, group_lists, paging, selecting
from musterbook.scim.answers import ScimError
from musterbook.scim.discovery import RESOURCE_MODELS
from musterbook.scim.endpoints import Method, ScimRequest, endpoint
from musterbook.scim.selecting import Part, Selection

Lister = Callable[[ScimRequest, str, Selection, int, int], Part]
"""Takes the request, the filter, the attributes, the number of resources to skip, and the most to return."""
LISTERS: list[Lister] = [selecting.list_part, group_lists.list_part]
"""The listers of the resource types, in the order of the list."""
_Search: Any = SearchRequest[reduce(or_, RESOURCE_MODELS.values())]  # type: ignore[misc]  # the library reads the union


def _find(scim: ScimRequest) -> HttpResponseBase:
    """Return a page of the resources that match the filter of the address."""
    return _list(scim, scim.http.GET.dict())


def _search(scim: ScimRequest) -> HttpResponseBase:
    """Return a page of the resources that match the filter of the body."""
    return _list(scim, selecting.read_search(scim))


def _list(scim: ScimRequest, parameters: Mapping[str, Any]) -> HttpResponseBase:
    wanted = selecting.parse_search(_Search, parameters)
    if wanted.cursor is not None or wanted.sort_by is not None:
        detail = "A list of all resource types has no cursor and no order. Search /Users or /Groups."
        raise ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidCursor" if wanted.cursor is not None else "invalidPath")
    start, count, total = selecting.get_start(wanted), selecting.get_count(wanted), 0
    bodies: list[dict[str, Any]] = []
    for lister in LISTERS:
        part = lister(scim, str(wanted.filter or ""), Selection(wanted), max(0, start - total), count - len(bodies))
        bodies += part.bodies
        total += part.total
    return answers.make_response(paging.build_list(bodies, total, wanted.start_index or 1))


root = endpoint(GET=Method("users.view", _find))
search = endpoint(POST=Method("users.view", _search))
