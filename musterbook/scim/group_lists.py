"""Lists of groups: filters, orders, and pages by index and by cursor (RFC 7644 §3.4.2, RFC 9865)."""

import base64
import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpResponseBase
from scim2_models import InvalidCursorException, ScimFilter, SearchRequest

from musterbook.directory import models
from musterbook.directory.agency import provisioned_groups
from musterbook.directory.agency.provisioned_groups import ORDERS, Wanted
from musterbook.scim import answers, group_filters, group_resources, paging, selecting
from musterbook.scim.answers import ScimError
from musterbook.scim.endpoints import ScimRequest
from musterbook.scim.group_schemas import FullGroup
from musterbook.scim.selecting import Part, Selection

_Search = SearchRequest[FullGroup]


def find(scim: ScimRequest) -> HttpResponseBase:
    """Return a page of the groups that match the filter of the address."""
    return _find(scim, scim.http.GET.dict())


def search(scim: ScimRequest) -> HttpResponseBase:
    """Return a page of the groups that match the filter of the body."""
    return _find(scim, selecting.read_search(scim))


def _find(scim: ScimRequest, parameters: Mapping[str, Any]) -> HttpResponseBase:
    wanted = selecting.parse_search(_Search, parameters)
    condition = group_filters.compile_filter(scim.agency, wanted.filter)
    page = provisioned_groups.list_page(scim.agency, condition, _read_page(wanted))
    bodies = group_resources.dump(scim, page.groups, Selection(wanted))
    after = _write_cursor(wanted, page.groups[-1]) if page.has_more and page.groups else ""
    start = None if wanted.cursor is not None else wanted.start_index or 1
    return answers.make_response(paging.build_list(bodies, page.total, start, after))


def list_part(scim: ScimRequest, text: str, selection: Selection, start: int, count: int) -> Part:
    """Return the groups of a list of several resource types. `text`: the filter, "" for none."""
    wanted = ScimFilter[FullGroup](text) if text else None
    condition = group_filters.compile_filter(scim.agency, wanted, of_all_types=True)
    page = provisioned_groups.list_page(scim.agency, condition, Wanted(most=count, order=ORDERS["id"], skip=start))
    return Part(group_resources.dump(scim, page.groups, selection), page.total or 0)


def _read_page(wanted: Any) -> Wanted:
    return Wanted(
        most=selecting.get_count(wanted),
        order=_read_order(wanted),
        descending=wanted.sort_order == _Search.SortOrder.descending,
        skip=selecting.get_start(wanted),
        after=_read_cursor(wanted) if wanted.cursor else None,
    )


def _read_order(wanted: Any) -> str:
    if wanted.sort_by is None:
        return ORDERS["id"]
    name = wanted.sort_binding(FullGroup).urn.rpartition(":")[2]
    if name not in ORDERS:
        detail = f"Groups cannot be sorted by {name}. They can be sorted by {', '.join(ORDERS)}."
        raise ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidPath")
    return ORDERS[name]


def _write_cursor(wanted: Any, last: models.Group) -> str:
    content = json.dumps([_digest(wanted), getattr(last, _read_order(wanted)), last.pk])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _read_cursor(wanted: Any) -> tuple[Any, int]:
    """Return the place that the cursor says. Raise InvalidCursorException for one of another filter or order."""
    try:
        padded = wanted.cursor + "=" * (-len(wanted.cursor) % 4)
        digest, value, number = json.loads(base64.b64decode(padded, altchars="-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise InvalidCursorException from None
    kind = int if _read_order(wanted) == ORDERS["id"] else str
    is_whole = all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 1 << 63 for one in [number])
    if digest != _digest(wanted) or type(value) is not kind or not is_whole or _is_unstorable(value):
        raise InvalidCursorException
    return value, number


def _is_unstorable(value: int | str) -> bool:
    if isinstance(value, int):
        return not 0 <= value < 1 << 63
    return "\x00" in value or any(0xD800 <= ord(one) < 0xE000 for one in value)


def _digest(wanted: Any) -> str:
    """Return a short text for the filter and the order that a cursor belongs to."""
    asked = json.dumps([str(wanted.filter or ""), str(wanted.sort_by or ""), str(wanted.sort_order or "")])
    return hashlib.sha256(asked.encode()).hexdigest()[:16]
