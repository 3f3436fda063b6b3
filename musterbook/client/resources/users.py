"""Users: search, read, add, change and act on them, one or many."""

from typing import Any, Unpack

from musterbook.client.answering import Page, Route
from musterbook.client.calls import Call, Steps, make_call
from musterbook.client.described import bodies, routes
from musterbook.client.described.answers import BatchState, Delivery, ImportState, ProblemField, ProblemText, Row, User
from musterbook.client.operations import Listing, Operation, S
from musterbook.client.resources.imports import ImportSteps, make_key

_FIRST_ROW = 2
"""The row of the import that the first row of a batch is: a file begins with its headings."""


class Users(ImportSteps[S]):
    """Users, one or many. `user`: the `id` of a user.

    `if_match`: the `etag` of the user when you read it. Then Changed is raised, and nothing is changed, if anyone has
    changed the user since.
    """

    @Listing
    def search(self, **options: Unpack[bodies.ListUsersOptions]) -> Call[Page[User]]:
        """Iterate over the users who match all that is given: without anything, over all users."""
        return make_call(routes.LIST_USERS, query=options)

    @Operation
    def find(self, external_id: str) -> Steps[User | None]:
        """Return the user with this external ID, or None."""
        page = yield from self._ask(routes.LIST_USERS, query={"external_id": external_id})
        return page.items[0] if page.items else None

    @Operation
    def read(self, user: int) -> Steps[User]:
        """Return a user."""
        return self._ask(routes.READ_USER, {"number": user})

    @Operation
    def create(self, **values: Unpack[bodies.NewUser]) -> Steps[User]:
        """Add a user. An Active user is invited."""
        return self._ask(routes.CREATE_USER, body=values, is_repeatable=True)

    @Operation
    def change(self, user: int, *, if_match: str = "", **values: Unpack[bodies.UserChange]) -> Steps[User]:
        """Change the values that are given. All others stay, and None clears one."""
        return self._ask(routes.CHANGE_USER, {"number": user}, body=values, if_match=if_match)

    @Operation
    def deactivate(self, user: int, *, if_match: str = "") -> Steps[User]:
        """Make the user Inactive. They are signed out everywhere."""
        return self._act(routes.DEACTIVATE_USER, user, if_match)

    @Operation
    def reactivate(self, user: int, *, if_match: str = "") -> Steps[User]:
        """Make the user Active again."""
        return self._act(routes.REACTIVATE_USER, user, if_match)

    @Operation
    def invite(self, user: int, *, as_link: bool = False, if_match: str = "") -> Steps[Delivery]:
        """Send another invitation, or with `as_link=True` return its link."""
        return self._act(routes.INVITE_USER, user, if_match, {"as_link": as_link})

    @Operation
    def reset(self, user: int, *, as_link: bool = False, if_match: str = "") -> Steps[Delivery]:
        """Send a link to choose a new password, or with `as_link=True` return it."""
        return self._act(routes.RESET_USER, user, if_match, {"as_link": as_link})

    @Operation
    def unlock(self, user: int, *, if_match: str = "") -> Steps[User]:
        """End the lock of the user after failed sign-ins."""
        return self._act(routes.UNLOCK_USER, user, if_match)

    @Operation
    def end_sessions(self, user: int, *, if_match: str = "") -> Steps[User]:
        """Sign the user out everywhere."""
        return self._act(routes.END_SESSIONS, user, if_match)

    @Operation
    def remove_second_factors(self, user: int, reason: str, *, if_match: str = "") -> Steps[User]:
        """Remove all second factors of a user who has lost them. `reason`: how you checked who is asking."""
        return self._act(routes.REMOVE_SECOND_FACTORS, user, if_match, {"reason": reason})

    @Operation
    def release_sign_on(self, user: int, *, if_match: str = "") -> Steps[User]:
        """Unlink the user from a person at an identity provider."""
        return self._act(routes.RELEASE_SIGN_ON, user, if_match)

    def _act(self, route: Route[Any], user: int, if_match: str, body: dict[str, object] | None = None) -> Steps[Any]:
        return self._ask(route, {"number": user}, body=body, if_match=if_match)

    @Operation
    def send(
        self, *, dry_run: bool = False, wait: float = 0, key: str = "", **batch: Unpack[bodies.Batch]
    ) -> Steps[BatchState]:
        """Add or update up to 10,000 users as one import: `rows=[…]`, which all have the same members, and options.

        `dry_run`: only make the plan. `wait` and `key`: as in `imports`. When the import has ended, `errors` of the
        result lists the rows with problems, which changed nothing.
        """
        state = yield from self._start(
            routes.SEND_USERS, wait=wait, query={"dry_run": dry_run}, body=batch, key=make_key(key)
        )
        if isinstance(state, BatchState):
            return state
        errors = (yield from self._read_errors(state)) if state.finished_at else []
        return BatchState(**vars(state), errors=errors)

    @Operation
    def read_errors(self, state: BatchState | ImportState) -> Steps[list[ProblemField]]:
        """Return the problems of the rows of a batch whose import has ended: of the first 1,000 rows with problems."""
        return self._read_errors(state)

    def _read_errors(self, state: BatchState | ImportState) -> Steps[list[ProblemField]]:
        query = {"outcome": "errored", "limit": routes.LIST_IMPORT_ROWS.most}
        page = yield from self._ask(routes.LIST_IMPORT_ROWS, {"number": state.number}, query=query)
        return [_describe(row, problem) for row in page.items for problem in row.problems]


def _describe(row: Row, problem: ProblemText) -> ProblemField:
    """Return a problem of a row with the place that its value had in the body."""
    index = (row.row or _FIRST_ROW) - _FIRST_ROW
    pointer = f"/rows/{index}/{problem.column.lower()}".rstrip("/")
    return ProblemField(pointer=pointer, code=problem.code, detail=problem.message, remedy=problem.remedy)
