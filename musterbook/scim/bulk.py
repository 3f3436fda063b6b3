"""/Bulk (RFC 7644 §3.7): many operations on users as one import, with plan, limits, holds and undo.

Each operation is read first. What cannot be part of one import is refused in its operation, before anything is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpResponseBase
from scim2_models import BulkRequest, BulkResponse

from musterbook.directory.imports import provisioned_import
from musterbook.directory.imports.provisioned_import import Change, Outcome
from musterbook.directory.users import provisioning
from musterbook.scim import answers, bulk_operations, held, users
from musterbook.scim.answers import ScimError
from musterbook.scim.bulk_operations import Operation
from musterbook.scim.endpoints import Method, ScimRequest, endpoint, require_schema
from musterbook.scim.etags import format_tag

MOST_OPERATIONS, MOST_BYTES = 1_000, 4 << 20
"""The most operations, and bytes, of one request."""
IMPORT = "users.import"
"""The permission that a Bulk needs: it is an import."""
_EXPECTED_SCHEMA = str(BulkRequest.__schema__)
_STATUSES = {"POST": HTTPStatus.CREATED, "DELETE": HTTPStatus.NO_CONTENT}
Planned = Callable[[Sequence[Change]], list[Outcome]]


@dataclass(frozen=True, slots=True)
class _Limits:
    """What the request says of errors: the number of errors after which nothing more is done, None for any number."""

    fail_on_errors: int | None


def run(scim: ScimRequest) -> HttpResponseBase:
    """Do the operations of the body. Each has a status of its own."""
    scim.require(users.VIEW)
    body = {name.lower(): value for name, value in scim.read_json().items()}
    operations, limits = _read_request(body)
    read = bulk_operations.read_all(scim, operations)
    read = _stop_at_errors(scim, read, limits.fail_on_errors)
    wanted = [one for one in read if one.error is None]
    if wanted:
        result = provisioned_import.run(scim.agency, [_get_change(one) for one in wanted], scim.context)
        if result.is_held and result.record:
            return held.answer(scim, result.record)
        _take_over(wanted, result.outcomes)
    response = {"schemas": [str(BulkResponse.__schema__)], "Operations": _describe_all(scim, read)}
    return answers.make_response(response)


def _read_request(body: dict[str, Any]) -> tuple[list[Any], _Limits]:
    require_schema(body, _EXPECTED_SCHEMA)
    operations, most = body.get("operations"), body.get("failonerrors")
    if not isinstance(operations, list) or not operations:
        raise ScimError(HTTPStatus.BAD_REQUEST, "Operations must be a list of at least one operation.", "invalidSyntax")
    if len(operations) > MOST_OPERATIONS:
        detail = f"The request has {len(operations):,} operations. At most {MOST_OPERATIONS:,} can be sent at once. Split it."
        raise ScimError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, "tooMany")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise ScimError(HTTPStatus.BAD_REQUEST, "failOnErrors must be a whole number, 1 or more.", "invalidValue")
    return operations, _Limits(most)


def _get_change(operation: Operation) -> Change:
    if operation.change is None:  # pragma: no cover  (an operation has a change or an error)
        raise AssertionError
    return operation.change


def _stop_at_errors(scim: ScimRequest, read: list[Operation], most: int | None) -> list[Operation]:
    """Return the operations up to the error after which nothing more is done, with the errors that can be foreseen.

    What comes after it must not be done, and has no part in what comes before: so the rest is planned again until no
    more operation is left out.
    """
    names_supervisors = any(one.names_supervisor for one in read)
    if most is None and not names_supervisors:
        return read
    while True:
        wanted = [one for one in read if one.error is None]
        outcomes = provisioned_import.preview(scim.agency, [_get_change(one) for one in wanted], scim.context)
        _take_over(wanted, outcomes, only_errors=True)
        kept = _cut(read, most)
        if len(kept) == len(read) and all(one.error is None for one in wanted):
            return read
        read = kept


def _cut(read: list[Operation], most: int | None) -> list[Operation]:
    errors = [place for place, one in enumerate(read) if one.error is not None]
    return read[: errors[most - 1] + 1] if most is not None and len(errors) >= most else read


def _take_over(operations: Sequence[Operation], outcomes: Sequence[Outcome], *, only_errors: bool = False) -> None:
    """Let the operations have the errors of their outcomes; and if they were done, the id of their user."""
    for operation, outcome in zip(operations, outcomes, strict=True):
        operation.error = _explain(outcome)
        if not only_errors and outcome.number is not None:
            operation.number = outcome.number


def _explain(outcome: Outcome) -> ScimError | None:
    if outcome.is_done:
        return None
    if outcome.outcome == provisioned_import.MISSING:
        return ScimError(HTTPStatus.NOT_FOUND, "There is no user with this id.")
    if outcome.outcome == provisioned_import.EXISTS:
        return users.make_existing_error()
    if outcome.outcome == provisioned_import.CHANGED:
        return bulk_operations.make_changed_error()
    if outcome.outcome == provisioned_import.REKEYED:
        detail = "externalId: An import cannot change it, and a Bulk is an import. Send this operation by itself."
        return ScimError(HTTPStatus.NOT_IMPLEMENTED, detail)
    return users.make_error(outcome.problems)


def _describe_all(scim: ScimRequest, read: Sequence[Operation]) -> list[dict[str, Any]]:
    numbers = {one.number for one in read if one.error is None and one.number is not None}
    found = provisioning.read_users(scim.agency, numbers, datetime.now(UTC))
    versions = {one.user.pk: format_tag(one.version) for one in found}
    return [_describe(scim, one, versions) for one in read]


def _describe(scim: ScimRequest, operation: Operation, versions: dict[int, str]) -> dict[str, Any]:
    """Return the result of an operation, as RFC 7644 §3.7.3 has it."""
    status = operation.error.status if operation.error else _STATUSES.get(operation.method, HTTPStatus.OK)
    location = f"{scim.base}/Users/{operation.number}" if operation.number is not None else None
    parts = {
        "method": operation.method,
        "bulkId": operation.bulk_id or None,
        "location": location or (f"{scim.base}{operation.path}" if operation.method != "POST" else None),
        "version": versions.get(operation.number or 0) if operation.error is None else None,
        "status": str(status.value),
    }
    described = {name: value for name, value in parts.items() if value is not None}
    error = operation.error
    return described | ({"response": answers.build_error(error.status, str(error), error.scim_type)} if error else {})


bulk = endpoint(POST=Method(IMPORT, run, MOST_BYTES))
