"""The operations of a Bulk, each read as the change of one user, with references to new users by their bulkIds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from scim2_models import Context

from musterbook.core.domain.columns import STATUS, SUPERVISOR_EMAIL
from musterbook.directory.imports.provisioned_import import Change
from musterbook.directory.users import provisioning
from musterbook.directory.users.editing import UnknownUser
from musterbook.directory.users.provisioning import Provisioned
from musterbook.scim import answers, etags, mapping, users
from musterbook.scim.answers import ScimError
from musterbook.scim.endpoints import ScimRequest

_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_PREFIX = "bulkId:"
_LONGEST_ID = 255


@dataclass(slots=True)
class Operation:
    """An operation: what it asks for, then the change that it means, or why it cannot be done.

    `number`: the id of its user, if there is one. `refers_to`: the bulkIds that it names.
    """

    method: str = ""
    bulk_id: str = ""
    path: str = ""
    version: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    number: int | None = None
    change: Change | None = None
    error: ScimError | None = None
    refers_to: list[str] = field(default_factory=list)

    @property
    def names_supervisor(self) -> bool:
        """Return whether it sets a supervisor."""
        return self.change is not None and bool(self.change.row.get(SUPERVISOR_EMAIL.heading))


def make_changed_error() -> ScimError:
    """Return the error for an operation on another version of a user than the one that they have."""
    detail = "The user has changed since you read it. Read it again, and repeat the change if it is still right."
    return ScimError(HTTPStatus.PRECONDITION_FAILED, detail)


def read_all(scim: ScimRequest, sent: Sequence[Any]) -> list[Operation]:
    """Return the operations with their changes. One that cannot be done has an error."""
    operations = [_read(one) for one in sent]
    _refuse_repeated(operations)
    numbers = [one.number for one in operations if one.number is not None and one.error is None]
    known = {one.user.pk: one for one in provisioning.read_users(scim.agency, numbers, datetime.now(UTC))}
    reader = _Reader(scim, known, _map_new(operations))
    for one in operations:
        _attempt(one, reader.read_change)
    _refuse_circles(operations)
    _refuse_failed_references(operations)
    return operations


def _attempt(operation: Operation, work: Callable[[Operation], None]) -> None:
    """Do this with the operation, unless it has an error; and let it have the error that this raises."""
    if operation.error is not None:
        return
    try:
        work(operation)
    except Exception as error:
        operation.error = answers.find_error(error)
        if operation.error is None:
            raise


def _read(sent: Any) -> Operation:
    operation = Operation()
    content = {name.lower(): value for name, value in sent.items()} if isinstance(sent, dict) else {}
    texts = {name: value for name, value in content.items() if isinstance(value, str)}
    operation.method, operation.bulk_id = texts.get("method", "").upper(), texts.get("bulkid", "")
    operation.path, operation.version = texts.get("path", ""), texts.get("version", "")
    data = content.get("data")
    operation.data = data if isinstance(data, dict) else {}
    _attempt(operation, lambda one: _check(one, has_data=isinstance(data, dict)))
    return operation


def _check(operation: Operation, *, has_data: bool) -> None:
    """Raise ScimError for an operation that is not one on a user."""
    if operation.method not in _METHODS:
        raise _invalid("method must be POST, PUT, PATCH or DELETE.")
    if len(operation.bulk_id) > _LONGEST_ID or (operation.method == "POST" and not operation.bulk_id):
        raise _invalid(f"A POST needs a bulkId of at most {_LONGEST_ID} characters.")
    kind, _, name = operation.path.lstrip("/").partition("/")
    if kind == "Groups":
        detail = "Groups cannot be part of a Bulk. Send this request by itself: it takes any number of members."
        raise ScimError(HTTPStatus.NOT_IMPLEMENTED, detail)
    if kind != "Users" or bool(name) is (operation.method == "POST"):
        detail = "path must be /Users for POST, and /Users/{id} for PUT, PATCH and DELETE."
        raise ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidPath")
    operation.path = f"/{kind}/{name}" if name else f"/{kind}"
    if name.startswith(_PREFIX):
        raise _invalid(
            "A user who is created in a Bulk can have only that operation in it. Put all attributes into it."
        )
    if operation.method != "DELETE" and not has_data:
        raise _invalid("data must be the object that the request would have by itself.")
    if name:
        operation.number = users.parse_number(name)


def _invalid(detail: str) -> ScimError:
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidValue")


def _refuse_repeated(operations: Sequence[Operation]) -> None:
    """Refuse operations with the same bulkId, and the second and each later one on the same user."""
    bulk_ids, numbers = set[str](), set[int]()
    for one in operations:
        if one.bulk_id and one.bulk_id in bulk_ids:
            one.error = one.error or _invalid(f"bulkId “{one.bulk_id}” is used twice in this request.")
        if one.number is not None and one.number in numbers:
            one.error = one.error or _invalid(
                "A Bulk has one operation at most for each user. Put them into one PATCH."
            )
        bulk_ids.add(one.bulk_id)
        numbers.update([one.number] if one.number is not None and one.error is None else [])


def _map_new(operations: Sequence[Operation]) -> dict[str, Operation]:
    return {one.bulk_id: one for one in operations if one.method == "POST" and one.error is None}


class _Reader:
    """Read operations as changes. `known`: the users that they name, by their ids. `new`: the new users by their bulkIds."""

    def __init__(self, scim: ScimRequest, known: dict[int, Provisioned], new: dict[str, Operation]) -> None:
        self._scim, self._known, self._new = scim, known, new
        self._find_known = users.make_finder(scim)
        self._resources: dict[str, Any] = {}
        for one in new.values():
            _attempt(one, self._parse_new)

    def _parse_new(self, operation: Operation) -> None:
        self._resources[operation.bulk_id] = users.parse(operation.data, Context.RESOURCE_CREATION_REQUEST)

    def read_change(self, operation: Operation) -> None:
        """Give the operation its change. Raise ScimError, SCIMException, ValidationError, UnknownUser."""

        def find(name: str) -> str:
            return self._find_supervisor(operation, name)

        if operation.method == "POST":
            resource = self._resources[operation.bulk_id]
            row, kept = mapping.read_row(resource, find), mapping.read_kept(resource, {})
            operation.change = Change(None, row, kept)
            return
        found = self._known.get(operation.number or 0)
        if found is None:
            raise UnknownUser(operation.path)
        if operation.version and not etags.is_named(found.version, operation.version):
            raise make_changed_error()
        version = found.version if operation.version.strip() not in ("", "*") else ""
        if operation.method == "DELETE":
            row = {STATUS.heading: "Inactive"}
            operation.change = Change(operation.number, row, found.kept, deletes=True, version=version)
            return
        if operation.method == "PUT":
            resource = users.parse(operation.data, Context.RESOURCE_REPLACEMENT_REQUEST)
            change = Change(operation.number, mapping.read_row(resource, find), mapping.read_kept(resource, found.kept))
        else:
            change = Change(operation.number, *users.plan_patch(found, operation.data, self._scim, find))
        operation.change = replace(change, version=version)

    def _find_supervisor(self, operation: Operation, name: str) -> str:
        """Return the email address of a supervisor, who may be a new user of the same Bulk. Raise ScimError."""
        if not name.startswith(_PREFIX):
            return self._find_known(name)
        bulk_id = name.removeprefix(_PREFIX)
        if bulk_id not in self._resources:
            raise _invalid(f"manager: no operation that creates a user has the bulkId “{bulk_id[:100]}”.")
        operation.refers_to.append(bulk_id)
        entry = mapping.pick(self._resources[bulk_id].emails)
        return str(entry.value) if entry else ""


def _refuse_circles(operations: Sequence[Operation]) -> None:
    """Refuse new users who are each other's supervisors, directly or through others."""
    named = {one.bulk_id: one.refers_to for one in operations if one.method == "POST" and one.error is None}
    for one in operations:
        if one.bulk_id in named and one.error is None and one.bulk_id in _follow(named, one.bulk_id):
            detail = "manager: the supervisors form a circle of bulkIds. Create the users first, then set one of them."
            one.error = ScimError(HTTPStatus.CONFLICT, detail)


def _follow(named: dict[str, list[str]], start: str) -> Iterator[str]:
    """Yield the bulkIds that an operation refers to, directly or through others."""
    seen, waiting = set[str](), list(named[start])
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            yield one
            waiting.extend(named.get(one, ()))


def _refuse_failed_references(operations: Sequence[Operation]) -> None:
    """Refuse the operations that refer to one that cannot be done, and those that refer to them."""
    failed = {one.bulk_id for one in operations if one.error is not None}
    while True:
        refused = [one for one in operations if one.error is None and failed.intersection(one.refers_to)]
        if not refused:
            return
        for one in refused:
            one.error = _invalid("manager: the operation that creates this user cannot be done.")
            failed.add(one.bulk_id)
