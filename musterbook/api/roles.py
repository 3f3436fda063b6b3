"""The roles of an agency: list, add, change and delete them. No token gives or removes a permission that it lacks."""

from typing import TYPE_CHECKING, Literal, TypeAlias

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field

from musterbook.api import access, etags
from musterbook.api.access import needs
from musterbook.api.schemas import Id, Strict, answers
from musterbook.directory import models
from musterbook.directory.agency import agencies, roles, vocabularies
from musterbook.directory.agency.roles import RoleInput
from musterbook.directory.permissions import PERMISSIONS, get_permissions

router = Router()
PERMISSION = "roles.manage"
if TYPE_CHECKING:
    Permission: TypeAlias = str
else:  # the names are known at run time
    Permission = Literal[tuple(PERMISSIONS)]
_ABOUT = "The permissions that it grants"


class Role(Schema):
    """A role, with the number of its users. `administrator`: the role that always has every permission."""

    id: int
    name: str
    administrator: bool
    permissions: list[str]
    second_factor: bool = Field(description="Whether its users must sign in with a second factor")
    users: int


class Roles(Schema):
    """All roles of the agency: Admin first, then the others by name."""

    items: list[Role]


class NewRole(Strict):
    """A role to add."""

    name: str = Field(max_length=255, examples=["Dispatcher"])
    permissions: list[Permission] = Field([], description=_ABOUT, examples=[["users.view"]])
    second_factor: bool = Field(False, description="Whether its users must sign in with a second factor")


class RoleChange(Strict):
    """The members of a role to change. A member that is left out stays as it is."""

    name: str = Field("", max_length=255)
    permissions: list[Permission] = Field([], description=_ABOUT)
    second_factor: bool = Field(False, description="Whether its users must sign in with a second factor")


def _show(role: models.Role, users: int) -> Role:
    return Role(
        id=role.pk,
        name=role.name,
        administrator=role.administrator,
        permissions=sorted(get_permissions(role)),
        second_factor=role.second_factor,
        users=users,
    )


def _find(request: HttpRequest, number: int) -> models.Role:
    return vocabularies.find_entry(models.Role, access.get_agency(request), number)


def _show_one(role: models.Role) -> Role:
    return _show(role, vocabularies.count_entry_users(role.agency, "role", role.pk))


def _answer(response: HttpResponse, role: models.Role) -> Role:
    shown = _show_one(role)
    etags.set_etag(response, etags.make_version(shown))
    return shown


@router.get("", auth=needs(PERMISSION), response=answers(Roles), operation_id="listRoles", summary="List the roles")
def list_roles(request: HttpRequest) -> Roles:
    """Return all roles of the agency with their permissions and the numbers of their users: Admin first, then by name."""
    agency = access.get_agency(request)
    listed = roles.list_roles(agency)
    users = vocabularies.count_users(agency, "role", [role.pk for role in listed])
    return Roles(items=[_show(role, users.get(role.pk, 0)) for role in listed])


@router.post("", auth=needs(PERMISSION), response=answers(Role, 201), operation_id="addRole", summary="Add a role")
def add_role(request: HttpRequest, response: HttpResponse, body: NewRole) -> Status[Role]:
    """Add a role. It can only grant permissions that the token has."""
    values = RoleInput(body.name, frozenset(body.permissions), body.second_factor)
    agency, by = access.get_agency(request), access.get_operator(request)
    role = roles.add(agency, values, access.make_context(request), by)
    response.headers["Location"] = access.make_address(f"roles/{role.pk}")
    return Status(201, _answer(response, role))


@router.get(
    "/{int:number}", auth=needs(PERMISSION), response=answers(Role), operation_id="readRole", summary="Read a role"
)
def read_role(request: HttpRequest, response: HttpResponse, number: Id) -> Role:
    """Return one role, and its version in the header `ETag`."""
    return _answer(response, _find(request, number))


@router.patch(
    "/{int:number}", auth=needs(PERMISSION), response=answers(Role), operation_id="changeRole", summary="Change a role"
)  # fmt: skip
def change_role(request: HttpRequest, response: HttpResponse, number: Id, body: RoleChange) -> Role:
    """Change a role. It can only gain or lose permissions that the token has. Of Admin only `second_factor` changes.

    `If-Match` makes sure that nobody has changed the role since you read it.
    """
    with agencies.holding(access.get_agency(request)):
        role = _find(request, number)
        etags.check_if_match(request, lambda: etags.make_version(_show_one(role)))
        sent = body.model_fields_set
        values = RoleInput(
            body.name if "name" in sent else role.name,
            frozenset(body.permissions) if "permissions" in sent else get_permissions(role),
            body.second_factor if "second_factor" in sent else role.second_factor,
        )
        roles.change(role, values, access.make_context(request), access.get_operator(request))
    return _answer(response, role)


@router.delete(
    "/{int:number}", auth=needs(PERMISSION), response=answers(None, 204), operation_id="deleteRole", summary="Delete a role"
)  # fmt: skip
def delete_role(request: HttpRequest, number: Id) -> Status[None]:
    """Delete a role that no user has. Admin cannot be deleted."""
    with agencies.holding(access.get_agency(request)):
        role = _find(request, number)
        etags.check_if_match(request, lambda: etags.make_version(_show_one(role)))
        roles.delete(role, access.make_context(request), access.get_operator(request))
    return Status(204, None)
