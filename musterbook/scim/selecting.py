"""Lists of users: filters, orders, pages, and the attributes that a client asks for (RFC 7644 §3.4.2, RFC 9865)."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpResponseBase
from scim2_models import (
    Context,
    InvalidCursorException,
    ResponseParameters,
    ScimFilter,
    SearchRequest,
    TooManyException,
)

from musterbook.directory.users import user_query
from musterbook.directory.users.user_query import Found, Place, Wanted
from musterbook.scim import answers, filters, mapping, paging, schemas
from musterbook.scim.answers import ScimError
from musterbook.scim.endpoints import ScimRequest, require_schema

_Parameters = ResponseParameters[schemas.FullUser]
_Search = SearchRequest[schemas.FullUser]
SORTS = {
    "id": "id", "userName": "username", "emails.value": "email", "name.familyName": "name", "meta.created": "created",
}  # fmt: skip
"""Attribute → its order."""
_TOO_MANY = (
    "The filter leaves more users to look at than one answer can. Add a comparison with eq of userName, externalId,"
    " emails.value or employeeNumber, or turn pages with cursor."
)


@dataclass(frozen=True, slots=True)
class Part:
    """The resources of one type in a list of several types, and the number of all of them."""

    bodies: list[dict[str, Any]]
    total: int


@dataclass(frozen=True, slots=True)
class Selection:
    """The attributes that the client asks for."""

    parameters: Any

    def dump(self, resource: Any) -> dict[str, Any]:
        """Return the JSON of a resource, with these attributes."""
        dumped: dict[str, Any] = resource.model_dump(
            scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=self.parameters
        )
        return dumped


def read_selection(parameters: dict[str, Any]) -> Selection:
    """Return the attributes that the parameters of an address ask for. Raise ValidationError."""
    known = {name: parameters[name] for name in ("attributes", "excludedAttributes") if name in parameters}
    check_attributes(known)
    return Selection(_Parameters.model_validate(known))


def check_attributes(known: Mapping[Any, Any]) -> None:
    """Raise ScimError if the parameters name too many attributes: each is looked for in each resource."""
    for name in ("attributes", "excludedAttributes"):
        value = known.get(name)
        number = len(value.split(",")) if isinstance(value, str) else len(value) if isinstance(value, list) else 0
        if number > MOST_ATTRIBUTES:
            detail = f"{name} has more than {MOST_ATTRIBUTES} names."
            raise ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidValue")


MOST_ATTRIBUTES = 100


def find(scim: ScimRequest) -> HttpResponseBase:
    """Return a page of the users who match the filter of the address."""
    return _find(scim, scim.http.GET.dict())


def search(scim: ScimRequest) -> HttpResponseBase:
    """Return a page of the users who match the filter of the body."""
    return _find(scim, read_search(scim))


def read_search(scim: ScimRequest) -> dict[str, Any]:
    """Return the parameters of a search by POST. Raise ScimError."""
    body = scim.read_json()
    require_schema(body, str(_Search.__schema__))
    return body


_KNOWN = {
    name.lower(): name
    for name in (
        "attributes", "excludedAttributes", "filter", "sortBy", "sortOrder", "startIndex", "count", "cursor",
    )
}  # fmt: skip


def parse_search(model: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the search as `model` reads it: a SearchRequest of the resource types. Raise ScimError, ValidationError.

    Parameters that nobody knows are left out.
    """
    known = {_KNOWN[name.lower()]: value for name, value in parameters.items() if name.lower() in _KNOWN}
    check_attributes(known)
    if len(str(known.get("filter") or "")) > filters.MOST_CHARACTERS:
        raise ScimError(HTTPStatus.BAD_REQUEST, "The filter is too long.", "invalidFilter")
    if filters.has_unstorable(str(known.get("filter") or "")):
        detail = "A value of the filter has NUL or half of a character."
        raise ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidFilter")
    if isinstance(known.get("filter"), str):
        known["filter"] = filters.complete_names(known["filter"])
    wanted = model.model_validate(known)
    if wanted.cursor is not None and wanted.start_index is not None:
        raise ScimError(HTTPStatus.BAD_REQUEST, "Send either cursor or startIndex.", "invalidValue")
    return wanted


def get_count(wanted: Any) -> int:
    """Return the most resources of the page."""
    return paging.USUAL if wanted.count is None else min(wanted.count, paging.MOST)


def get_start(wanted: Any) -> int:
    """Return the number of resources before the page."""
    return min(wanted.start_index_0 or 0, _FARTHEST)


_FARTHEST = 10**9


def _find(scim: ScimRequest, parameters: Mapping[str, Any]) -> HttpResponseBase:
    wanted = parse_search(_Search, parameters)
    found = _find_users(scim, wanted.filter, _read_page(wanted))
    start = None if wanted.cursor is not None else wanted.start_index or 1
    after = _write_cursor(wanted, found.after) if found.after else ""
    bodies = _dump(scim, found, Selection(wanted))
    return answers.make_response(paging.build_list(bodies, found.total, start, after))


def list_part(scim: ScimRequest, text: str, selection: Selection, start: int, count: int) -> Part:
    """Return the users of a list of several resource types. `text`: the filter, "" for none."""
    wanted = ScimFilter[schemas.FullUser](text) if text else None
    found = _find_users(scim, wanted, Wanted(count, start=start))
    return Part(_dump(scim, found, selection), found.total or 0)


def _find_users(scim: ScimRequest, wanted: Any, page: Wanted) -> Found:
    condition = filters.build_condition(scim.agency, wanted)
    try:
        test = filters.make_test(wanted, scim.base)
        return user_query.find(scim.agency, condition, test, page, datetime.now(UTC))
    except user_query.TooManyUsers:
        raise TooManyException(detail=_TOO_MANY) from None
    except user_query.InvalidPosition:
        raise InvalidCursorException from None


def _dump(scim: ScimRequest, found: Found, selection: Selection) -> list[dict[str, Any]]:
    return [selection.dump(mapping.build_resource(one, scim.base)) for one in found.users]


def _read_page(wanted: Any) -> Wanted:
    """Return the page that the client asks for."""
    descending = wanted.sort_order == _Search.SortOrder.descending
    after = _read_cursor(wanted) if wanted.cursor else None
    by_cursor = wanted.cursor is not None
    return Wanted(get_count(wanted), _read_sort(wanted), descending, get_start(wanted), after, by_place=by_cursor)


def _read_sort(wanted: Any) -> str:
    if wanted.sort_by is None:
        return next(iter(user_query.SORTS))
    name = wanted.sort_binding(schemas.FullUser).urn.rpartition(":")[2]
    if name not in SORTS:
        detail = f"Users cannot be sorted by {name}. They can be sorted by {', '.join(SORTS)}."
        raise ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidPath")
    return SORTS[name]


def _write_cursor(wanted: Any, place: Place) -> str:
    content = json.dumps([_digest(wanted), place.value, place.number])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _read_cursor(wanted: Any) -> Place:
    """Return the place that the cursor says. Raise InvalidCursorException for one of another filter or order."""
    try:
        padded = wanted.cursor + "=" * (-len(wanted.cursor) % 4)
        digest, value, number = json.loads(base64.b64decode(padded, altchars="-_", validate=True))
        value.encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InvalidCursorException from None
    if digest != _digest(wanted) or "\x00" in value or type(number) is not int or not 0 <= number < 1 << 63:
        raise InvalidCursorException
    return Place(value, number)


def _digest(wanted: Any) -> str:
    """Return a short text for the filter and the order that a cursor belongs to."""
    asked = json.dumps([str(wanted.filter or ""), str(wanted.sort_by or ""), str(wanted.sort_order or "")])
    return hashlib.sha256(asked.encode()).hexdigest()[:16]
