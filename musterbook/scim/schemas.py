"""The resource types of the service: their models, and the schemas as an agency publishes them.

The models have exactly the attributes that the directory keeps. What a client sends besides them is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator
from scim2_models import (
    URN,
    AnyExtension,
    CaseExact,
    ComplexAttribute,
    Context,
    ExtensibleStringEnum,
    Extension,
    GroupMembership,
    Mutability,
    Reference,
    Required,
    Resource,
    Returned,
    ScimPolicy,
    Uniqueness,
)

from musterbook.core.values.keys import make_key
from musterbook.directory.models import Agency
from musterbook.directory.users import provisioning
from musterbook.scim.group_schemas import Group, MusterbookGroup


class Name(ComplexAttribute):
    """The name of a user. Both parts are required."""

    formatted: Annotated[
        str | None,
        Mutability.read_only,
        Returned.request,
        Field(description="The first name and the last name. Returned if it is asked for."),
    ] = None
    family_name: Annotated[str | None, Required.true, Field(description="The last name (LAST_NAME).")] = None
    given_name: Annotated[str | None, Required.true, Field(description="The first name (FIRST_NAME).")] = None


class Email(ComplexAttribute):
    """The email address of a user: exactly one is kept."""

    class Type(ExtensibleStringEnum):
        """The usual types of addresses."""

        work = "work"
        home = "home"
        other = "other"

    value: Annotated[
        str | None,
        Required.true,
        Uniqueness.server,
        Field(description="The address (EMAIL). Of several, the primary one is kept, else the one of the type work."),
    ] = None
    type: Annotated[Type | None, Field(description="The type, as the client sent it; work if it sent none.")] = None
    primary: Annotated[bool | None, Field(description="As the client sent it; true if it sent none.")] = None


class PhoneNumber(ComplexAttribute):
    """The phone number of a user: one is kept."""

    class Type(ExtensibleStringEnum):
        """The usual types of numbers."""

        work = "work"
        mobile = "mobile"
        home = "home"
        other = "other"

    value: Annotated[
        str | None,
        Field(description="The number with its country code (PHONE), returned as it was sent. Of several, the primary one is"
              " kept, else the one of the type work, else the mobile one."),
    ] = None  # fmt: skip
    type: Annotated[Type | None, Field(description="The type, as the client sent it; work if it sent none.")] = None
    primary: Annotated[bool | None, Field(description="As the client sent it; true if it sent none.")] = None


class User(Resource[AnyExtension]):
    """A user of the agency. `externalId` is the external ID of files (EXTERNAL_ID)."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[
        str | None, Uniqueness.server, Required.true, Field(description="The name to sign in with (USERNAME).")
    ] = None
    name: Annotated[Name | None, Required.true, Field(description="The name of the user.")] = None
    display_name: Annotated[
        str | None, Field(description="The name that the client displays. Musterbook displays the first and last name.")
    ] = None
    active: Annotated[
        bool | None, Field(description="Whether the user has access (STATUS). True for a new user if it is left out.")
    ] = None
    emails: Annotated[list[Email] | None, Required.true, Field(description="The email address of the user.")] = None
    phone_numbers: Annotated[list[PhoneNumber] | None, Field(description="The phone number of the user.")] = None
    groups: Annotated[
        list[GroupMembership] | None,
        Mutability.read_only,
        Field(description="The evidence group of the user, if any. It is changed in the group, or in evidenceGroup."),
    ] = None


class Manager(ComplexAttribute):
    """The supervisor of a user."""

    value: Annotated[str | None, CaseExact.true, Field(description="The id of the supervisor.")] = None
    ref: Annotated[
        Reference["User"] | None,  # type: ignore[type-arg]  # the library names resource types by text
        Field(None, serialization_alias="$ref", validation_alias="$ref", description="The address of the supervisor."),
    ] = None
    display_name: Annotated[
        str | None,
        Mutability.read_only,
        Returned.request,
        Field(description="The name of the supervisor. Returned if it is asked for."),
    ] = None


class EnterpriseUser(Extension):
    """What the enterprise extension of RFC 7643 says of a user."""

    __schema__ = URN("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")

    employee_number: Annotated[
        str | None,
        Uniqueness.server,
        Field(
            description="The badge number (BADGE_NUMBER). A user without one gets a number that begins with no-badge."
        ),
    ] = None
    manager: Annotated[Manager | None, Field(description="The supervisor of the user.")] = None

    @field_validator("manager", mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        """Accept the id of the supervisor alone, as some clients send it; "" for none."""
        return ({"value": value} if value else None) if isinstance(value, str) else value


class MusterbookUser(Extension):
    """What else Musterbook knows of a user: role, rank, evidence group, location and state."""

    # Entra ID accepts custom attributes only below this prefix, and only plain ones.
    __schema__ = URN("urn:ietf:params:scim:schemas:extension:musterbook:2.0:User")

    role: Annotated[str | None, Field(description="The name of the role (ROLE).")] = None
    rank: Annotated[str | None, Field(description="The name of the rank (RANK).")] = None
    evidence_group: Annotated[
        str | None, CaseExact.true, Field(description="The external ID of the evidence group (EVIDENCE_GROUP_EXT_ID).")
    ] = None
    location: Annotated[str | None, Field(description="The location (LOCATION).")] = None
    state: Annotated[
        str | None,
        Mutability.read_only,
        Returned.request,
        Field(
            description="Active, Invited, Invitation expired, Locked, Password reset or Inactive."
            " Returned if it is asked for."
        ),
    ] = None


FullUser: Any = User[EnterpriseUser | MusterbookUser]
"""A user with both extensions: the resource of /Users."""


def make_comparison_key(binding: Any, value: str) -> str:
    """Return the text by which the values of an attribute are compared: as the directory compares them (rule M4)."""
    return value if binding.case_exact else make_key(value)


POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
    comparison_key=make_comparison_key,
)
"""What is accepted besides the letter of the RFCs, because Entra ID and Okta send it."""

_ALWAYS_THERE = {"User": ("active",), "MusterbookUser": ("role",), "MusterbookGroup": ("active",)}
"""The attributes that every user or group has, so that they cannot be removed; a client may still leave them out."""


PUBLISHED: tuple[Any, ...] = (User, EnterpriseUser, MusterbookUser, Group, MusterbookGroup)
"""The models of all schemas, in the order in which they are listed."""


def build_schemas(agency: Agency, permissions: frozenset[str]) -> list[dict[str, Any]]:
    """Return the schemas as the agency publishes them: with its roles, ranks and groups as values.

    `permissions`: those of the token. Roles with more are left out, because it cannot assign them.
    """
    values = provisioning.list_values(agency, permissions)
    return [_build_schema(model, values) for model in PUBLISHED]


def _build_schema(model: Any, values: Mapping[str, Sequence[str] | None]) -> dict[str, Any]:
    schema: dict[str, Any] = model.to_schema().model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    for attribute in schema["attributes"]:
        name = attribute["name"]
        if name in _ALWAYS_THERE.get(model.__name__, ()):
            attribute["required"] = True
        known = values.get(name) if model is MusterbookUser else None
        # Where there is nothing to choose from, no value can be written.
        attribute.update({} if known is None else {"canonicalValues": known} if known else {"mutability": "readOnly"})
    return schema
