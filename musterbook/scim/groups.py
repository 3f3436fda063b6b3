"""The resources of /Groups: read, found, added, replaced, patched and deleted, with their members."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any, NoReturn

from django.http import HttpResponse, HttpResponseBase
from scim2_models import Context, InvalidValueException, Path
from scim2_models.path import FilterNode

from musterbook.core.domain.columns import EXTERNAL_ID
from musterbook.core.domain.problems import Problem
from musterbook.directory import models
from musterbook.directory.agency import agencies, provisioned_groups
from musterbook.directory.agency.provisioned_groups import AlreadyExists, format_id
from musterbook.directory.agency.vocabularies import UnknownEntry
from musterbook.directory.imports import memberships
from musterbook.directory.imports.memberships import GroupChanged, MembersChange
from musterbook.directory.users import provisioning
from musterbook.directory.users.provisioning import is_made
from musterbook.scim import endpoints, etags, filters, group_lists, group_patching, group_resources, held, schemas
from musterbook.scim.answers import ScimError
from musterbook.scim.endpoints import Method, ScimRequest, endpoint
from musterbook.scim.etags import format_tag
from musterbook.scim.group_patching import MemberChanges
from musterbook.scim.group_schemas import FullGroup
from musterbook.scim.selecting import Selection

VIEW, MANAGE, EDIT_USERS = "users.view", "groups.manage", "users.edit"
MOST_BYTES = 8 << 20
"""The most bytes of a request, which may list all members of a large group."""
MOST_MEMBERS_SHOWN = 1_000
"""The most members of a group that the response to a change of it lists. Larger groups are answered without content."""
_FORBIDDEN = frozenset({"above-your-role", "own-account", "last-administrator"})
_NAMED = 5
_MEMBERS = "members"


def parse_number(text: str) -> int:
    """Return the number of the group that the id names. Raise UnknownEntry."""
    number = provisioned_groups.parse_id(text)
    if number is None:
        raise UnknownEntry(text)
    return number


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The version of a group that a request wants to change. It asks again under the lock of the change.

    `was_active`: whether the group was active before the request itself activated it.
    """

    scim: ScimRequest
    number: int
    was_active: bool

    def is_changed(self) -> bool:
        """Return whether the group has another version by now."""
        if "If-Match" not in self.scim.http.headers:
            return False
        group = provisioned_groups.read_group(self.scim.agency, self.number)
        group.active &= self.was_active
        return _is_changed(self.scim, group)

    def check(self) -> None:
        """Raise ScimError (412) if the group has another version by now."""
        if self.is_changed():
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raise ScimError (412) with the version that the group has now."""
        group = provisioned_groups.read_group(self.scim.agency, self.number)
        raise endpoints.make_changed_error(provisioned_groups.make_version(group))


def _is_changed(scim: ScimRequest, group: models.Group) -> bool:
    """Return whether `If-Match` names only other versions than that of the group, with or without its members."""
    wanted, version = scim.http.headers.get("If-Match"), provisioned_groups.make_version(group)
    if wanted is None or etags.is_named(version, wanted):
        return False
    if f"{version}." not in wanted:
        return True
    ids = [*map(str, memberships.list_member_ids(group)), *map(format_id, provisioned_groups.list_part_numbers(group))]
    members = provisioned_groups.digest_members(ids)
    return not etags.is_named(f"{version}.{members}", wanted)


def _read_group(scim: ScimRequest, number: str) -> models.Group:
    """Return the group, if it has the version that the request wants to change."""
    group = provisioned_groups.read_group(scim.agency, parse_number(number))
    _Wanted(scim, group.pk, was_active=True).check()
    return group


def read_one(scim: ScimRequest, number: str) -> HttpResponseBase:
    """Return the group, or 304 if the client has this version."""
    selection = group_resources.read_selection(scim)
    group = provisioned_groups.read_group(scim.agency, parse_number(number))
    response = group_resources.answer(scim, group, selection)
    version = response.headers["ETag"].removeprefix('W/"').removesuffix('"')
    if scim.is_known(version):
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": response.headers["ETag"]})
    return response


def add(scim: ScimRequest) -> HttpResponseBase:
    """Add the group of the body, with its members."""
    scim.require(VIEW)
    selection = group_resources.read_selection(scim)
    body, ids = _split_members(scim.read_json())
    resource = _parse(body, Context.RESOURCE_CREATION_REQUEST)
    members = _sort_ids(scim, ids or [])
    if members.users:
        scim.require(EDIT_USERS)
    try:
        group, change = memberships.add_group(
            scim.agency, resource.external_id or "", resource.display_name, members.users, scim.context
        )
    except AlreadyExists as error:
        raise _refuse_existing(error) from None
    _check_problems(change)
    if change.is_held:
        detail = "More users would join the group than the limit of the agency allows. Create it without members, then add them."
        raise ScimError(HTTPStatus.CONFLICT, detail)
    provisioned_groups.change_parts(group, members.groups, [], scim.context)
    if members.unknown:
        memberships.record_unknown(group, members.unknown, scim.context)
    extension = resource.MusterbookGroup
    if extension is not None and extension.active is False:
        provisioned_groups.change(group, group.external_id, group.name, False, scim.context)
    return group_resources.answer(
        scim, provisioned_groups.read_group(scim.agency, group.pk), selection, HTTPStatus.CREATED
    )


def _split_members(body: dict[str, Any]) -> tuple[dict[str, Any], list[str] | None]:
    """Return the body without its members, and their ids: None if it names no members."""
    others = {name: value for name, value in body.items() if name.lower() != _MEMBERS}
    named = [value for name, value in body.items() if name.lower() == _MEMBERS and value is not None]
    return others, group_patching.read_ids(named[0]) if named else None


def _parse(body: dict[str, Any], context: Context) -> Any:
    return FullGroup.model_validate(body, scim_ctx=context, scim_policy=schemas.POLICY)


@dataclass(frozen=True, slots=True)
class _Members:
    """Ids of members, sorted: users and groups of the agency by their numbers, and the ids that are neither."""

    users: set[int]
    groups: set[int]
    unknown: list[str]


def _sort_ids(scim: ScimRequest, ids: Iterable[str]) -> _Members:
    texts = list(ids)
    numbers = {one: int(one) for one in texts if one.isascii() and one.isdigit() and len(one) <= _MOST_DIGITS}
    parts = {one: number for one in texts if (number := provisioned_groups.parse_id(one)) is not None}
    users = memberships.find_known(scim.agency, numbers.values())
    groups = provisioned_groups.find_known(scim.agency, parts.values())
    known = {one for one, number in numbers.items() if number in users} | {
        one for one, number in parts.items() if number in groups
    }
    return _Members(users, groups, [one for one in texts if one not in known])


_MOST_DIGITS = 18


def _refuse_existing(error: AlreadyExists) -> ScimError:
    detail = f"externalId: another group has the external ID “{error.external_id}”. It has the id {error.id}."
    return ScimError(HTTPStatus.CONFLICT, detail, "uniqueness")


def _check_problems(change: MembersChange) -> None:
    """Raise ScimError if the members were not changed. Its sentences are those of the page."""
    if not change.problems:
        return
    shown = [_describe(external_id, problem) for external_id, problem in change.problems[:_NAMED]]
    detail = " ".join([*shown, *(["…"] if len(change.problems) > _NAMED else [])])
    if any(problem.code in _FORBIDDEN for _, problem in change.problems):
        raise ScimError(HTTPStatus.FORBIDDEN, detail)
    raise InvalidValueException(detail=f"members: {detail}")


def _describe(external_id: str, problem: Problem) -> str:
    message, remedy = problem.for_programs()
    return f"User {external_id}: {message} {remedy}".strip()


def replace(scim: ScimRequest, number: str) -> HttpResponseBase:
    """Write the attributes of the body. Those that it leaves out stay as they are; so do the members."""
    scim.require(VIEW)
    selection = group_resources.read_selection(scim)
    group = _read_group(scim, number)
    body, ids = _split_members(scim.read_json())
    resource = _parse(body, Context.RESOURCE_REPLACEMENT_REQUEST)
    members = MemberChanges()
    if ids is not None:
        members.replace(ids)
    return _write(scim, group, resource, members, selection)


class _Matcher:
    """Find the members of a group that match filters, as long as there is not too much to look at."""

    def __init__(self, scim: ScimRequest, group: models.Group) -> None:
        self._scim, self._group, self._looked_at = scim, group, 0

    @cached_property
    def _resource(self) -> FullGroup:
        members = provisioned_groups.read_members([self._group])[self._group.pk]
        return group_resources.build_resource(self._group, members, self._scim.base)

    def __call__(self, chosen: FilterNode) -> list[str]:
        """Return the ids of the members that match. Raise ScimError."""
        self._looked_at += filters.count_terms(chosen) * max(1, len(self._resource.members or ()))
        if self._looked_at > _MOST_LOOKED_AT:
            detail = "The filters of the paths compare too much in one request. Name the members by value, or split it."
            raise ScimError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        return [one.value for one in Path[FullGroup](f"members[{chosen}]").get(self._resource) or ()]


_MOST_LOOKED_AT = 2 * provisioned_groups.MOST_MEMBERS
"""The most comparisons of members by the filters of one request."""


def change(scim: ScimRequest, number: str) -> HttpResponseBase:
    """Apply the operations of the body, all or none."""
    scim.require(VIEW)
    selection = group_resources.read_selection(scim)
    group = _read_group(scim, number)

    members, others = group_patching.read_request(scim.read_json(), _Matcher(scim, group))
    resource = group_resources.build_resource(group, None, scim.base)
    group_patching.apply_others(resource, others)
    if resource.external_id is None:
        # Files name every group by one: the client sees none until it writes another.
        made = is_made(EXTERNAL_ID.heading, group.external_id)
        resource.external_id = group.external_id if made else provisioning.make_id()
    return _write(scim, group, resource, members, selection)


def _write(
    scim: ScimRequest, group: models.Group, resource: Any, members: MemberChanges, selection: Selection
) -> HttpResponseBase:
    """Change the group and its members, and return it as it is now."""
    extension = resource.MusterbookGroup
    active = group.active if extension is None or extension.active is None else extension.active
    external_id, name = resource.external_id or group.external_id, resource.display_name
    provisioned_groups.check(external_id, name)
    try:
        provisioned_groups.check_free(group, external_id)
        wanted = _Wanted(scim, group.pk, group.active)
        if active and not group.active:  # before anyone can join it
            with agencies.holding(scim.agency):
                wanted.check()
                provisioned_groups.change(group, group.external_id, group.name, True, scim.context)
        waiting = None if members.is_empty else _change_members(scim, group, members, wanted)
        if waiting is not None:
            return waiting
        with agencies.holding(scim.agency):
            before, group = group, provisioned_groups.read_group(scim.agency, group.pk)
            if members.is_empty:
                wanted.check()
            # What the request leaves alone stays as others have changed it meanwhile.
            external_id = group.external_id if external_id == before.external_id else external_id
            name = group.name if name == before.name else name
            active = group.active if active == before.active else active
            provisioned_groups.change(group, external_id, name, active, scim.context)
    except AlreadyExists as error:
        raise _refuse_existing(error) from None
    if (
        group_resources.wants_members(selection.parameters)
        and provisioned_groups.count_members(group) > MOST_MEMBERS_SHOWN
    ):
        version = format_tag(provisioned_groups.make_version(group))
        return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"ETag": version})
    return group_resources.answer(scim, group, selection)


def _change_members(
    scim: ScimRequest, group: models.Group, members: MemberChanges, wanted: _Wanted
) -> HttpResponseBase | None:
    """Let users and groups join and leave the group. Return the response if it is on hold, else None. Raise ScimError."""
    joining, leaving = _sort_ids(scim, members.joining), _sort_ids(scim, members.leaving)
    users, parts = leaving.users, leaving.groups
    if not members.others_stay:
        users = set(memberships.list_member_ids(group)) - joining.users
        parts = set(provisioned_groups.list_part_numbers(group)) - joining.groups
    if provisioned_groups.find_circle(group, joining.groups):
        raise InvalidValueException(
            detail="members: a group cannot be a member of itself, or of a group that is part of it."
        )
    if joining.users or users:
        scim.require(EDIT_USERS)
        try:
            result = memberships.change_members(group, joining.users, users, scim.context, wanted.is_changed)
        except GroupChanged:
            wanted.refuse()
        _check_problems(result)
        if result.is_held and result.record:
            return held.answer(scim, result.record)
    with agencies.holding(scim.agency):
        if not (joining.users or users):  # otherwise the request has changed the version itself
            wanted.check()
        provisioned_groups.change_parts(group, joining.groups, parts, scim.context)
    if joining.unknown:
        memberships.record_unknown(group, joining.unknown, scim.context)
    return None


def delete(scim: ScimRequest, number: str) -> HttpResponseBase:
    """Let the members leave the group, and delete it."""
    group = _read_group(scim, number)
    if provisioned_groups.count_members(group):
        scim.require(EDIT_USERS)
    wanted = _Wanted(scim, group.pk, was_active=True)
    try:
        result = memberships.delete_group(group, scim.context, wanted.is_changed)
    except GroupChanged:
        wanted.refuse()
    _check_problems(result)
    if result.is_held and result.record:
        return held.answer(scim, result.record)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


collection = endpoint(GET=Method(VIEW, group_lists.find), POST=Method(MANAGE, add, MOST_BYTES))
finder = endpoint(POST=Method(VIEW, group_lists.search))
one = endpoint(
    GET=Method(VIEW, read_one), PUT=Method(MANAGE, replace, MOST_BYTES), PATCH=Method(MANAGE, change, MOST_BYTES),
    DELETE=Method(MANAGE, delete),
)  # fmt: skip
