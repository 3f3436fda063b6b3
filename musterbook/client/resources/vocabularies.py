"""Roles, ranks and groups: read and change them. `if_match`: the `etag` of what you read, as for users."""

from typing import Literal, Unpack

from musterbook.client.answering import Page
from musterbook.client.calls import Call, Steps, make_call
from musterbook.client.described import bodies, routes
from musterbook.client.described.answers import Group, Person, Rank, Role
from musterbook.client.operations import Listing, Operation, Resource, S


class Roles(Resource[S]):
    """The roles. `role`: the `id` of a role."""

    @Operation
    def list_all(self) -> Steps[list[Role]]:
        """Return all roles: Admin first, then by name."""
        return (yield from self._ask(routes.LIST_ROLES)).items

    @Operation
    def add(self, **values: Unpack[bodies.NewRole]) -> Steps[Role]:
        """Add a role."""
        return self._ask(routes.ADD_ROLE, body=values)

    @Operation
    def read(self, role: int) -> Steps[Role]:
        """Return a role."""
        return self._ask(routes.READ_ROLE, {"number": role})

    @Operation
    def change(self, role: int, *, if_match: str = "", **values: Unpack[bodies.RoleChange]) -> Steps[Role]:
        """Change the values that are given."""
        return self._ask(routes.CHANGE_ROLE, {"number": role}, body=values, if_match=if_match)

    @Operation
    def delete(self, role: int, *, if_match: str = "") -> Steps[None]:
        """Delete a role that no user has."""
        return self._ask(routes.DELETE_ROLE, {"number": role}, if_match=if_match)


class Ranks(Resource[S]):
    """The ranks. `rank`: the `id` of a rank."""

    @Operation
    def list_all(self) -> Steps[list[Rank]]:
        """Return all ranks, the highest first."""
        return (yield from self._ask(routes.LIST_RANKS)).items

    @Operation
    def add(self, **values: Unpack[bodies.NewRank]) -> Steps[Rank]:
        """Add a rank below all others."""
        return self._ask(routes.ADD_RANK, body=values)

    @Operation
    def read(self, rank: int) -> Steps[Rank]:
        """Return a rank."""
        return self._ask(routes.READ_RANK, {"number": rank})

    @Operation
    def change(self, rank: int, *, if_match: str = "", **values: Unpack[bodies.RankChange]) -> Steps[Rank]:
        """Change the values that are given."""
        return self._ask(routes.CHANGE_RANK, {"number": rank}, body=values, if_match=if_match)

    @Operation
    def move(self, rank: int, direction: Literal["up", "down"], *, if_match: str = "") -> Steps[Rank]:
        """Move a rank up or down by one place."""
        return self._ask(routes.MOVE_RANK, {"number": rank}, body={"direction": direction}, if_match=if_match)

    @Operation
    def delete(self, rank: int, *, if_match: str = "") -> Steps[None]:
        """Delete a rank that no user has."""
        return self._ask(routes.DELETE_RANK, {"number": rank}, if_match=if_match)


class Groups(Resource[S]):
    """The groups, with their members and monitors. `group` and `user`: the `id` of a group and of a user."""

    @Listing
    def search(self, **options: Unpack[bodies.ListGroupsOptions]) -> Call[Page[Group]]:
        """Iterate over the groups by external ID."""
        return make_call(routes.LIST_GROUPS, query=options)

    @Operation
    def add(self, **values: Unpack[bodies.NewGroup]) -> Steps[Group]:
        """Add an active group."""
        return self._ask(routes.ADD_GROUP, body=values)

    @Operation
    def read(self, group: int) -> Steps[Group]:
        """Return a group."""
        return self._ask(routes.READ_GROUP, {"number": group})

    @Operation
    def change(self, group: int, *, if_match: str = "", **values: Unpack[bodies.GroupChange]) -> Steps[Group]:
        """Change the values that are given."""
        return self._ask(routes.CHANGE_GROUP, {"number": group}, body=values, if_match=if_match)

    @Operation
    def delete(self, group: int, *, if_match: str = "") -> Steps[None]:
        """Delete a group that has no members."""
        return self._ask(routes.DELETE_GROUP, {"number": group}, if_match=if_match)

    @Listing
    def members(self, group: int) -> Call[Page[Person]]:
        """Iterate over the members."""
        return make_call(routes.LIST_MEMBERS, {"number": group})

    @Operation
    def add_member(self, group: int, user: int) -> Steps[None]:
        """Add a user. They leave the group that they were in."""
        return self._ask(routes.ADD_MEMBER, {"number": group, "user": user})

    @Operation
    def remove_member(self, group: int, user: int) -> Steps[None]:
        """Remove a user. A user who is not in the group stays as they are."""
        return self._ask(routes.REMOVE_MEMBER, {"number": group, "user": user}, is_repeatable=True)

    @Listing
    def monitors(self, group: int) -> Call[Page[Person]]:
        """Iterate over the users who monitor the group."""
        return make_call(routes.LIST_MONITORS, {"number": group})

    @Operation
    def add_monitor(self, group: int, user: int) -> Steps[None]:
        """Make a user a monitor."""
        return self._ask(routes.ADD_MONITOR, {"number": group, "user": user})

    @Operation
    def remove_monitor(self, group: int, user: int) -> Steps[None]:
        """Remove a user as a monitor. A user who is none stays as they are."""
        return self._ask(routes.REMOVE_MONITOR, {"number": group, "user": user}, is_repeatable=True)
