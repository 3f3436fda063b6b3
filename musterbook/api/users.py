"""Users: search, read, add and change them. Their acts are in `user_acts`, many of them at once in `batch`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import BeforeValidator, Field

from musterbook.accounts import tokens
from musterbook.api import access, etags, user_schemas
from musterbook.api.access import needs
from musterbook.api.problems import FieldError, ProblemError
from musterbook.api.schemas import Page, answers
from musterbook.api.user_schemas import NewUser, User, UserChange
from musterbook.directory import models
from musterbook.directory.apply import search_index
from musterbook.directory.users import editing, marks, named_filters, new_users, user_list, versions
from musterbook.directory.users.candidates import CandidateLookup
from musterbook.directory.users.editing import Check, EditResult
from musterbook.directory.users.named_filters import NamedFilters, UnknownName
from musterbook.directory.users.orders import UnknownCursor
from musterbook.directory.users.user_list import Position

router = Router()
VIEW, EDIT = "users.view", editing.PERMISSION
_SORTS = Literal[
    "name", "username", "email", "badge_number", "external_id", "status", "role", "rank", "group", "last_sign_in"
]


def _refuse_number(value: object) -> object:
    """Refuse a time that is written as a number of seconds, which the library also reads."""
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9._]*\s*", value):
        raise ValueError("Write a time as 2026-03-02T07:00:00Z")
    return value


_Moment = Annotated[datetime, BeforeValidator(_refuse_number)]


class Search(Schema):
    """The parameters of a search. A user is found if they match all that are given."""

    q: str = Field(
        "", max_length=255, description="Words that all occur in the name, email, username, badge or external ID"
    )
    external_id: str = Field("", max_length=255, description="Exactly this external ID. It goes with no other filter.")
    state: str = Field("", description="Active, Invited, Invitation expired, Locked, Password reset or Inactive")
    role: str = Field("", max_length=255, description="The name of a role")
    rank: str = Field("", max_length=255, description="The name or abbreviation of a rank")
    group: str = Field("", max_length=255, description="The external ID of a group")
    supervisor: str = Field("", max_length=255, description="The email address or external ID of the supervisor")
    signed_in_from: _Moment | None = Field(None, description="Last signed in at this time or later")
    signed_in_before: _Moment | None = Field(None, description="Last signed in before this time")
    never_signed_in: bool = False
    changed_by: str = Field("", max_length=26, description="The number of an import that has added or changed the user")
    sort: _SORTS = "name"
    descending: bool = False
    cursor: str = Field("", max_length=2_000, description="The member `next` of the page before")
    limit: int = Field(50, ge=1, le=200, description="The most users of the page")


@router.get("", auth=needs(VIEW), response=answers(Page[User]), operation_id="listUsers", summary="Search the users")
def list_users(request: HttpRequest, search: Query[Search]) -> HttpResponse:
    """Return the users who match, page by page. Without a filter, these are all users of the agency.

    A user who is not changed meanwhile is on exactly one page, whatever changes about others.
    """
    agency, at = access.get_agency(request), datetime.now(UTC)
    if search.external_id:
        return _find_exactly(agency, search, at)
    try:
        criteria = named_filters.resolve_filters(agency, _name_filters(search))
        lookup = CandidateLookup(agency, search_index.split_words(criteria.text))
        position = Position(search.sort, search.descending, search.cursor, search.limit)
        page = user_list.read_ids(lookup, criteria, position, at)
    except UnknownName as unknown:
        parameter = {"touched_by": "changed_by"}.get(unknown.name, unknown.name)
        raise _refuse_parameter(
            parameter, f"The agency has no {parameter} “{unknown.value}”.", "unknown-value"
        ) from None
    except UnknownCursor:
        detail = (
            "This is not a cursor of this list. Begin again without a cursor, and use the member `next` of the page."
        )
        raise _refuse_parameter("cursor", detail, "invalid-cursor") from None
    return _answer_page(versions.read_users(agency, page.ids, at), page.after or None)


def _answer_page(users: list[versions.VersionedUser], next_page: str | None) -> HttpResponse:
    """Return the page as JSON. It has the declared form, so the library need not check each of its values."""
    page = Page[User].model_construct(items=[user_schemas.show(user) for user in users], next=next_page)
    return HttpResponse(page.model_dump_json(), content_type="application/json; charset=utf-8")


def _find_exactly(agency: models.Agency, search: Search, at: datetime) -> HttpResponse:
    if search.model_fields_set - {"external_id", "limit"}:
        detail = "The parameter external_id finds one user. Leave out the other parameters."
        raise _refuse_parameter("external_id", detail, "not-together")
    return _answer_page(versions.find_users(agency, search.external_id, at), None)


def _name_filters(search: Search) -> NamedFilters:
    return NamedFilters(
        text=search.q,
        state=search.state,
        role=search.role,
        rank=search.rank,
        group=search.group,
        supervisor=search.supervisor,
        signed_in_from=_read_time("signed_in_from", search.signed_in_from),
        signed_in_before=_read_time("signed_in_before", search.signed_in_before),
        never_signed_in=search.never_signed_in,
        touched_by=search.changed_by,
    )


def _read_time(name: str, at: datetime | None) -> datetime | None:
    """Return the time in UTC. One without an offset is in UTC already. Raise ProblemError."""
    if at is None or at.tzinfo is None:
        return at and at.replace(tzinfo=UTC)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise _refuse_parameter(name, "There is no such time in UTC.", "invalid-time") from None


def _refuse_parameter(name: str, detail: str, code: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, code, [FieldError(name, code, detail)])


@router.get(
    "/{int:number}", auth=needs(VIEW), response=answers(User, s304=None), operation_id="readUser", summary="Read a user"
)
def read_user(request: HttpRequest, response: HttpResponse, number: int) -> User | Status[None]:
    """Return the user with this number, and their version as ETag. With If-None-Match, 304 if that is the version."""
    found = versions.read_user(access.get_agency(request), number, datetime.now(UTC))
    etags.set_etag(response, found.version)
    if etags.is_known(request, found.version):
        return Status(HTTPStatus.NOT_MODIFIED, None)
    return user_schemas.show(found)


@router.post("", auth=needs(EDIT), response=answers(User, 201), operation_id="createUser", summary="Add a user")
def create_user(request: HttpRequest, response: HttpResponse, given: NewUser) -> Status[User]:
    """Add a user, as the page does: an Active user is invited.

    The same request, sent again within a minute, answers with the same user. 409 means that another user has the
    external ID.
    """
    agency, row = access.get_agency(request), user_schemas.read_row(given)
    _require_marks(request, row, {})
    permissions = tokens.get_permissions(access.get_token(request))
    row = new_users.complete_row(agency, row, permissions)
    result = editing.add(agency, row, access.make_context(request))
    if result.already_exists and result.user:
        detail = "A user has this external ID already. No one was added or changed. Change that user instead."
        found = [FieldError("/external_id", "already-exists", detail)]
        address = {"Location": make_address(result.user)}
        raise ProblemError(HTTPStatus.CONFLICT, detail, "already-exists", found, address)
    user = get_changed(result)
    response.headers["Location"] = make_address(user)
    return Status(HTTPStatus.CREATED, answer(request, response, user))


@router.patch(
    "/{int:number}", auth=needs(EDIT), response=answers(User), operation_id="changeUser", summary="Change a user",
)  # fmt: skip
def change_user(request: HttpRequest, response: HttpResponse, number: int, given: UserChange) -> User:
    """Change the members that the body has (JSON Merge Patch): all others stay, and null clears one.

    With If-Match, 412 if the user has another version by then. All problems of the change are answered together.
    """
    user, row = editing.find_alone(access.get_agency(request), number), user_schemas.read_row(given)
    _require_marks(request, row, marks.read_texts(user))
    result = editing.change(user, row, access.make_context(request), make_check(request))
    return answer(request, response, get_changed(result))


def _require_marks(request: HttpRequest, row: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise AccessRefused if the token may not change the marks that decide what imports do to a user."""
    if any(row.get(mark, now.get(mark, "")) != now.get(mark, "") for mark in marks.OF_IMPORTS):
        access.require(request, marks.PERMISSION)


def make_check(request: HttpRequest) -> Check:
    """Return the check that the user has the version that the request wants to change, for the lock of the change."""

    def check(user: models.User) -> None:
        etags.check_if_match(request, lambda: versions.read_user(user.agency, user.pk, datetime.now(UTC)).version)

    return check


def get_changed(result: EditResult) -> models.User:
    """Return the user of a change. Raise ProblemError with all its problems."""
    if result.problems or result.user is None:
        errors = user_schemas.list_row_errors(result.problems)
        codes = {one.code for one in errors}
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Nothing was changed, because the user would not be valid. `errors` lists what to correct.",
            codes.pop() if len(codes) == 1 else "invalid-user",
            errors,
        )
    return result.user


def answer(request: HttpRequest, response: HttpResponse, user: models.User) -> User:
    """Return the user as they are now, with their version as ETag."""
    found = versions.read_user(access.get_agency(request), user.pk, datetime.now(UTC))
    etags.set_etag(response, found.version)
    return user_schemas.show(found)


def make_address(user: models.User) -> str:
    """Return the address of the user in the API."""
    return access.make_address(f"users/{user.pk}")
