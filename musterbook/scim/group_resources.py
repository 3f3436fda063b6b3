"""How a group is a resource of SCIM: its attributes, its members if the client wants to see them, and its version."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from scim2_models import Meta, Reference, ResponseParameters, TooManyException

from musterbook.core.domain.columns import EXTERNAL_ID
from musterbook.directory import models
from musterbook.directory.agency import provisioned_groups
from musterbook.directory.agency.provisioned_groups import TooManyMembers, format_id
from musterbook.directory.users.provisioning import is_made
from musterbook.scim import answers
from musterbook.scim.endpoints import ScimRequest
from musterbook.scim.etags import format_tag
from musterbook.scim.group_schemas import FullGroup, Member, MusterbookGroup
from musterbook.scim.selecting import Selection, check_attributes

_Parameters = ResponseParameters[FullGroup]
_MEMBERS = "members"


def read_selection(scim: ScimRequest) -> Selection:
    """Return the attributes that the address asks for. Raise ScimError, ValidationError."""
    known = {name: value for name, value in scim.http.GET.items() if name in ("attributes", "excludedAttributes")}
    check_attributes(known)
    return Selection(_Parameters.model_validate(known))


def wants_members(parameters: Any) -> bool:
    """Return whether the client wants to see the members: they are read only then."""
    named, left_out = _list_names(parameters.attributes), _list_names(parameters.excluded_attributes)
    return any(one.partition(".")[0] == _MEMBERS for one in named) if named else _MEMBERS not in left_out


def _wants_whole_members(parameters: Any) -> bool:
    """Return whether the client wants every part of the members."""
    names = [*_list_names(parameters.attributes), *_list_names(parameters.excluded_attributes)]
    return not any(one.startswith(f"{_MEMBERS}.") for one in names)


def _list_names(paths: Any) -> list[str]:
    return [str(path).lower().removeprefix(f"{FullGroup.__schema__}:".lower()) for path in paths or ()]


def build_resource(group: models.Group, members: Sequence[provisioned_groups.Member] | None, base: str) -> Any:
    """Return the group as a resource. `members`: None if they were not read. `base`: the address of the service."""
    return FullGroup(
        id=format_id(group.pk),
        external_id=None if is_made(EXTERNAL_ID.heading, group.external_id) else group.external_id,
        display_name=group.name,
        members=None if members is None else [
            Member.model_validate({**_describe_member(one, base), "display": one.name}) for one in members
        ],
        MusterbookGroup=MusterbookGroup(active=group.active),
        meta=Meta(
            resource_type="Group",
            created=group.created_at,
            last_modified=group.changed_at,
            location=Reference(f"{base}/Groups/{format_id(group.pk)}"),
            version=format_tag(make_version(group, members)),
        ),
    )  # fmt: skip


def _describe_member(one: provisioned_groups.Member, base: str) -> dict[str, str]:
    """Return what is shown of a member unless the client asks for more: not the name."""
    kind = "Group" if one.is_group else "User"
    return {"value": one.id, "$ref": f"{base}/{kind}s/{one.id}", "type": kind}


def make_version(group: models.Group, members: Sequence[provisioned_groups.Member] | None) -> str:
    """Return the version of a group. The version of a response without members says nothing of them."""
    version = provisioned_groups.make_version(group)
    if members is None:
        return version
    return f"{version}.{provisioned_groups.digest_members(one.id for one in members)}"


def dump(scim: ScimRequest, found: Sequence[models.Group], selection: Selection) -> list[dict[str, Any]]:
    """Return the JSON of these groups, with the attributes that the client asks for. Raise TooManyException."""
    members = None
    if wants_members(selection.parameters):
        try:
            members = provisioned_groups.read_members(found)
        except TooManyMembers as error:
            detail = (
                f"These groups have {error.members:,} members together. Ask for fewer groups at once, or leave the members"
                " out (excludedAttributes=members) and find them as users by the attribute evidenceGroup."
            )
            raise TooManyException(detail=detail) from None
    return [_dump_one(scim, one, members[one.pk] if members is not None else None, selection) for one in found]


def _dump_one(
    scim: ScimRequest, group: models.Group, members: Sequence[provisioned_groups.Member] | None, selection: Selection
) -> dict[str, Any]:
    if not members or not _wants_whole_members(selection.parameters):
        return selection.dump(build_resource(group, members, scim.base))
    # The library takes seconds for tens of thousands of members, of which nothing is left out here.
    base = scim.base
    resource = build_resource(group, None, base)
    resource.meta.version = format_tag(make_version(group, members))
    return {**selection.dump(resource), _MEMBERS: [_describe_member(one, base) for one in members]}


def answer(
    scim: ScimRequest, group: models.Group, selection: Selection, status: HTTPStatus = HTTPStatus.OK
) -> HttpResponse:
    """Return the response with a group."""
    [body] = dump(scim, [group], selection)
    version = body.get("meta", {}).get("version") or format_tag(provisioned_groups.make_version(group))
    location = f"{scim.base}/Groups/{format_id(group.pk)}"
    created = {"Location": location} if status == HTTPStatus.CREATED else {}
    return answers.make_response(body, status, {"ETag": version, "Content-Location": location, **created})
