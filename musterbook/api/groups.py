"""The groups of an agency, with their members and their monitors."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from musterbook.api import access, cursors, etags, problems
from musterbook.api.access import needs
from musterbook.api.cursors import Cursor, Limit
from musterbook.api.problems import ProblemError
from musterbook.api.schemas import Id, Page, Strict, answers
from musterbook.core.domain.columns import EVIDENCE_GROUP_EXT_ID
from musterbook.directory import models
from musterbook.directory.agency import agencies, group_pages, groups, vocabularies
from musterbook.directory.users import editing

router = Router()
SEES, CHANGES = "users.view", "groups.manage"
Text = Annotated[str, Query("", max_length=255, description="A part of the name or of the external ID.")]
_POINTERS = {EVIDENCE_GROUP_EXT_ID.heading: "/group"}


class Group(Schema):
    """A group, with the number of its members. `active`: whether files can add users to it."""

    id: int
    external_id: str
    name: str
    active: bool
    parent: str = Field(description="The external ID of the group that it is part of, blank for none")
    members: int
    monitor_groups: list[str] = Field(description="The external IDs of the groups whose members monitor it")


class NewGroup(Strict):
    """A group to add. It is active."""

    external_id: str = Field(max_length=255, examples=["precinct-4"])
    name: str = Field("", max_length=255, description="By default, the external ID", examples=["Precinct 4"])


class GroupChange(Strict):
    """The members of a group to change. A member that is left out stays as it is."""

    external_id: str = Field("", max_length=255)
    name: str = Field("", max_length=255)
    active: bool = True
    parent: str = Field("", max_length=255, description="The external ID of another group, or blank for none")


class Person(Schema):
    """A user of a group."""

    id: int
    external_id: str
    first_name: str
    last_name: str
    email: str
    active: bool


def _show(group: models.Group, members: int, monitors: Mapping[int, list[str]]) -> Group:
    return Group(
        id=group.pk, external_id=group.external_id, name=group.name, active=group.active,
        parent=group.parent.external_id if group.parent else "", members=members, monitor_groups=monitors.get(group.pk, []),
    )  # fmt: skip


def _show_one(group: models.Group) -> Group:
    members = vocabularies.count_entry_users(group.agency, "group", group.pk)
    return _show(group, members, group_pages.map_monitor_groups([group]))


def _show_people(users: list[models.User], limit: int) -> Page[Person]:
    people = [Person.model_validate(user, from_attributes=True) for user in users[:limit]]
    return Page[Person](items=people, next=cursors.make_cursor(people[-1].id) if len(users) > limit else None)


def _find(request: HttpRequest, number: int) -> models.Group:
    return vocabularies.find_entry(models.Group, access.get_agency(request), number)


def _answer(response: HttpResponse, group: models.Group) -> Group:
    shown = _show_one(group)
    etags.set_etag(response, etags.make_version(shown))
    return shown


@router.get("", auth=needs(SEES), response=answers(Page[Group]), operation_id="listGroups", summary="List the groups")
def list_groups(request: HttpRequest, q: Text = "", limit: Limit = 50, cursor: Cursor = "") -> Page[Group]:
    """Return the groups by external ID, each with the number of its members."""
    after = cursors.read_cursor(cursor, [str]) or [""]
    found = group_pages.read_groups(access.get_agency(request), q.strip(), str(after[0]), limit + 1)
    monitors = group_pages.map_monitor_groups([group for group, _members in found[:limit]])
    items = [_show(*each, monitors) for each in found[:limit]]
    return Page[Group](items=items, next=cursors.make_cursor(items[-1].external_id) if len(found) > limit else None)


@router.post("", auth=needs(CHANGES), response=answers(Group, 201), operation_id="addGroup", summary="Add a group")
def add_group(request: HttpRequest, response: HttpResponse, body: NewGroup) -> Status[Group]:
    """Add an active group. Two groups cannot have the same external ID."""
    group = groups.add(access.get_agency(request), body.external_id, body.name, access.make_context(request))
    response.headers["Location"] = access.make_address(f"groups/{group.pk}")
    return Status(201, _answer(response, group))


@router.get(
    "/{int:number}", auth=needs(SEES), response=answers(Group), operation_id="readGroup", summary="Read a group"
)
def read_group(request: HttpRequest, response: HttpResponse, number: Id) -> Group:
    """Return one group, and its version in the header `ETag`."""
    return _answer(response, _find(request, number))


@router.patch(
    "/{int:number}", auth=needs(CHANGES), response=answers(Group), operation_id="changeGroup", summary="Change a group"
)  # fmt: skip
def change_group(request: HttpRequest, response: HttpResponse, number: Id, body: GroupChange) -> Group:
    """Change the external ID or the name of a group, end it, or make it active again. Its members stay in it.

    `If-Match` makes sure that nobody has changed the group since you read it.
    """
    with agencies.holding(access.get_agency(request)):
        group = _find(request, number)
        etags.check_if_match(request, lambda: etags.make_version(_show_one(group)))
        now: dict[str, Any] = {"external_id": group.external_id, "name": group.name, "active": group.active}
        groups.change(group, **now | body.model_dump(exclude_unset=True), context=access.make_context(request))
    return _answer(response, _find(request, number))


@router.delete(
    "/{int:number}", auth=needs(CHANGES), response=answers(None, 204), operation_id="deleteGroup", summary="Delete a group"
)  # fmt: skip
def delete_group(request: HttpRequest, number: Id) -> Status[None]:
    """Delete a group that has no members."""
    with agencies.holding(access.get_agency(request)):
        group = _find(request, number)
        etags.check_if_match(request, lambda: etags.make_version(_show_one(group)))
        groups.delete(group, access.make_context(request))
    return Status(204, None)


@router.get(
    "/{int:number}/members", auth=needs(SEES), response=answers(Page[Person]), operation_id="listMembers",
    summary="List the members of a group",
)  # fmt: skip
def list_members(request: HttpRequest, number: Id, limit: Limit = 50, cursor: Cursor = "") -> Page[Person]:
    """Return the members of the group, by number."""
    return _show_people(group_pages.read_members(_find(request, number), _read_place(cursor), limit + 1), limit)


@router.put(
    "/{int:number}/members/{int:user}", auth=needs(editing.PERMISSION), response=answers(None, 204), operation_id="addMember",
    summary="Add a member to a group",
)  # fmt: skip
def add_member(request: HttpRequest, number: Id, user: Id) -> Status[None]:
    """Add a user to an active group. A user is in one group at most, so they leave the group that they were in."""
    _move(request, user, _find(request, number).external_id)
    return Status(204, None)


@router.delete(
    "/{int:number}/members/{int:user}", auth=needs(editing.PERMISSION), response=answers(None, 204),
    operation_id="removeMember", summary="Remove a member from a group",
)  # fmt: skip
def remove_member(request: HttpRequest, number: Id, user: Id) -> Status[None]:
    """Remove a user from the group. A user who is not in it stays as they are."""
    group = _find(request, number)
    if editing.find_user(group.agency, user).group_id == group.pk:
        _move(request, user, "", group.external_id)
    return Status(204, None)


def _move(request: HttpRequest, number: int, to: str, shown: str | None = None) -> None:
    """Give the user the group with that external ID. Raise ProblemError. `shown`: the group that they must still be in."""
    user = editing.find_user(access.get_agency(request), number)
    now = editing.build_row(user)[EVIDENCE_GROUP_EXT_ID.heading] if shown is None else shown
    result = editing.edit(
        user, {EVIDENCE_GROUP_EXT_ID.heading: to}, {EVIDENCE_GROUP_EXT_ID.heading: now}, access.make_context(request)
    )
    if result.conflicts:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "The group of this user has changed meanwhile. Repeat the request.",
            "conflict",
        )
    if result.problems:
        found = problems.list_errors(result.problems, _POINTERS)
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, " ".join(found[0].detail.split()), found[0].code, found)


@router.get(
    "/{int:number}/monitors", auth=needs(SEES), response=answers(Page[Person]), operation_id="listMonitors",
    summary="List the monitors of a group",
)  # fmt: skip
def list_monitors(request: HttpRequest, number: Id, limit: Limit = 50, cursor: Cursor = "") -> Page[Person]:
    """Return the users who monitor the group, by number. They see what it does, and need not be members."""
    return _show_people(group_pages.read_monitors(_find(request, number), _read_place(cursor), limit + 1), limit)


@router.put(
    "/{int:number}/monitors/{int:user}", auth=needs(CHANGES), response=answers(None, 204), operation_id="addMonitor",
    summary="Add a monitor to a group",
)  # fmt: skip
def add_monitor(request: HttpRequest, number: Id, user: Id) -> Status[None]:
    """Make a user a monitor of the group. A user who is one already stays one."""
    group = _find(request, number)
    groups.add_monitor(group, editing.find_user(group.agency, user), access.make_context(request))
    return Status(204, None)


@router.delete(
    "/{int:number}/monitors/{int:user}", auth=needs(CHANGES), response=answers(None, 204), operation_id="removeMonitor",
    summary="Remove a monitor of a group",
)  # fmt: skip
def remove_monitor(request: HttpRequest, number: Id, user: Id) -> Status[None]:
    """Remove a user as a monitor of the group. A user who is not one stays as they are."""
    group = _find(request, number)
    groups.remove_monitor(group, editing.find_user(group.agency, user), access.make_context(request))
    return Status(204, None)


def _read_place(cursor: str) -> int:
    place = cursors.read_cursor(cursor, [int]) or [0]
    return int(place[0])
