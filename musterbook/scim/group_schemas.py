"""The resource type of groups: its model, with exactly the attributes that the directory keeps."""

from typing import Annotated, Any, Union

from pydantic import Field
from scim2_models import (
    URN,
    AnyExtension,
    CaseExact,
    ComplexAttribute,
    Extension,
    Mutability,
    Reference,
    Required,
    Resource,
    Returned,
)


class Member(ComplexAttribute):
    """A member of a group: a user, or another group. Each is in one group at most: who joins one leaves the one before."""

    value: Annotated[
        str | None, Mutability.immutable, CaseExact.true, Field(description="The id of the user or of the group.")
    ] = None
    ref: Annotated[
        Reference[Union["User", "Group"]] | None,  # type: ignore[name-defined,type-arg]  # noqa: F821  # the library names resource types by text
        Mutability.immutable,
        Field(None, serialization_alias="$ref", validation_alias="$ref", description="The address of the member."),
    ] = None
    type: Annotated[
        str | None, Mutability.immutable, Field(description="User or Group.", examples=["User", "Group"])
    ] = None
    display: Annotated[
        str | None,
        Mutability.read_only,
        Returned.request,
        Field(description="The name of the member. Returned if it is asked for."),
    ] = None


class Group(Resource[AnyExtension]):
    """A group of the agency. `externalId` is the external ID of files (EVIDENCE_GROUP_EXT_ID)."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true, Field(description="The name of the group.")] = None
    members: Annotated[list[Member] | None, Field(description="The users and the groups that are in the group.")] = None


class MusterbookGroup(Extension):
    """What else Musterbook knows of a group: whether it is active."""

    __schema__ = URN("urn:ietf:params:scim:schemas:extension:musterbook:2.0:Group")

    active: Annotated[
        bool | None,
        Field(description="Whether users can join the group. The members of a group that has ended stay in it."),
    ] = None


FullGroup: Any = Group[MusterbookGroup]
"""A group with our extension: the resource of /Groups."""
