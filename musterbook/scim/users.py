"""The resources of /Users: read, found, added, replaced, patched and deactivated, one at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from scim2_models import Context

from musterbook.core.domain.columns import ROLE
from musterbook.core.domain.problems import Problem
from musterbook.directory.users import provisioning
from musterbook.directory.users.editing import EditResult, UnknownUser
from musterbook.directory.users.provisioning import Kept, Provisioned
from musterbook.scim import answers, mapping, patching, schemas, selecting
from musterbook.scim.answers import ScimError
from musterbook.scim.endpoints import Method, ScimRequest, endpoint
from musterbook.scim.etags import format_tag
from musterbook.scim.selecting import Selection

VIEW, EDIT = "users.view", "users.edit"
_CONFLICTS = frozenset({"taken", "duplicate-in-file"})
_FORBIDDEN = frozenset({"above-your-role", "registered-address", "registered-id", "own-account", "last-administrator"})
Row = dict[str, str]


def parse_number(text: str) -> int:
    """Return the number that an id is. Raise UnknownUser."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise UnknownUser(text)
    return int(text)


def read_one(scim: ScimRequest, number: str) -> HttpResponseBase:
    """Return the user, or 304 if the client has this version."""
    selection = selecting.read_selection(scim.http.GET.dict())
    found = provisioning.read_user(scim.agency, parse_number(number), datetime.now(UTC))
    if scim.is_known(found.version):
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": format_tag(found.version)})
    return _answer(scim, found, selection)


def _answer(
    scim: ScimRequest, found: Provisioned, selection: Selection, status: HTTPStatus = HTTPStatus.OK
) -> HttpResponse:
    resource = mapping.build_resource(found, scim.base)
    headers = {"ETag": format_tag(found.version), "Content-Location": resource.meta.location}
    if status == HTTPStatus.CREATED:
        headers["Location"] = resource.meta.location
    return answers.make_response(selection.dump(resource), status, headers)


def add(scim: ScimRequest) -> HttpResponseBase:
    """Add the user of the body, or reactivate the one that was deleted."""
    scim.require(VIEW)
    selection = selecting.read_selection(scim.http.GET.dict())
    resource = parse(scim.read_json(), Context.RESOURCE_CREATION_REQUEST)
    row = mapping.read_row(resource, make_finder(scim))
    kept = mapping.read_kept(resource, {})
    return _finish(scim, provisioning.add(scim.agency, row, kept, scim.context), selection, HTTPStatus.CREATED)


def replace(scim: ScimRequest, number: str) -> HttpResponseBase:
    """Write the attributes of the body. Those that it leaves out stay as they are."""
    scim.require(VIEW)
    selection = selecting.read_selection(scim.http.GET.dict())
    resource = parse(scim.read_json(), Context.RESOURCE_REPLACEMENT_REQUEST)

    def plan(found: Provisioned) -> tuple[Row, Kept]:
        scim.check_version(found.version)
        return mapping.read_row(resource, make_finder(scim)), mapping.read_kept(resource, found.kept)

    return _finish(scim, provisioning.change(scim.agency, parse_number(number), plan, scim.context), selection)


def change(scim: ScimRequest, number: str) -> HttpResponseBase:
    """Apply the operations of the body, all or none."""
    scim.require(VIEW)
    selection = selecting.read_selection(scim.http.GET.dict())
    body = scim.read_json()

    def plan(found: Provisioned) -> tuple[Row, Kept]:
        scim.check_version(found.version)
        return plan_patch(found, body, scim, make_finder(scim))

    return _finish(scim, provisioning.change(scim.agency, parse_number(number), plan, scim.context), selection)


def plan_patch(
    found: Provisioned, body: dict[str, Any], scim: ScimRequest, find: mapping.FindSupervisor
) -> tuple[Row, Kept]:
    """Return the headings that the operations change, and what is kept from then on."""
    resource = mapping.build_writable(found, scim.base)
    before, was_kept = mapping.read_row(resource, find), mapping.read_kept(resource, {})
    patching.apply(resource, body)
    after, kept = mapping.read_row(resource, find), mapping.read_kept(resource, {})
    # What the operations leave alone is not written again: it was valid when it was written.
    texts = {heading: after.get(heading, "") for heading in {*before, *after}}
    unchanged = {name for name in {*kept, *was_kept} if kept.get(name) == was_kept.get(name)}
    merged = {name: value for name, value in kept.items() if name not in unchanged}
    merged |= {name: value for name, value in found.kept.items() if name in unchanged}
    return {heading: text for heading, text in texts.items() if text != before.get(heading, "")}, merged


def delete(scim: ScimRequest, number: str) -> HttpResponseBase:
    """Deactivate the user, who is absent for the client from then on."""
    check = lambda found: scim.check_version(found.version)  # noqa: E731
    result = provisioning.delete(scim.agency, parse_number(number), check, scim.context)
    _check(result)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def parse(body: dict[str, Any], context: Context) -> Any:
    """Return the resource of a body. Raise ValidationError."""
    return schemas.FullUser.model_validate(body, scim_ctx=context, scim_policy=schemas.POLICY)


def make_finder(scim: ScimRequest) -> mapping.FindSupervisor:
    """Return the function that finds the email address of a supervisor. It raises ScimError."""

    def find(name: str) -> str:
        email = provisioning.find_supervisor(scim.agency, name)
        if email is None:
            raise ScimError(HTTPStatus.BAD_REQUEST, f"manager: no user has the id “{name[:100]}”.", "invalidValue")
        return email

    return find


def _finish(
    scim: ScimRequest, result: EditResult, selection: Selection, status: HTTPStatus = HTTPStatus.OK
) -> HttpResponse:
    """Return the user as they are now, or raise what prevented the change."""
    _check(result)
    if result.user is None:
        raise UnknownUser("")
    found = provisioning.read_user(scim.agency, result.user.pk, datetime.now(UTC))
    return _answer(scim, found, selection, status)


def _check(result: EditResult) -> None:
    """Raise ScimError if the change was not done."""
    if result.already_exists:
        raise make_existing_error()
    if result.problems:
        raise make_error(result.problems)


def make_existing_error() -> ScimError:
    """Return the error for a new user whose external ID another user has."""
    detail = "externalId: another user has this external ID. Find and change that user."
    return ScimError(HTTPStatus.CONFLICT, detail, "uniqueness")


def make_error(problems: Sequence[Problem]) -> ScimError:
    """Return the error for a change that has these problems. Its sentences are those of the page."""
    codes = {problem.code for problem in problems}
    detail = " ".join(_describe(problem) for problem in problems)
    if codes & _FORBIDDEN:
        return ScimError(HTTPStatus.FORBIDDEN, detail)
    if codes & _CONFLICTS:
        return ScimError(HTTPStatus.CONFLICT, detail, "uniqueness")
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidValue")


def _describe(problem: Problem) -> str:
    """Return the attribute, the sentence and the remedy of a problem, in English."""
    if problem.code == "required" and problem.column == ROLE.heading:
        return f"{mapping.OWN}:role: A user needs a role. Send it, or set the default of ROLE in the agency’s settings."
    message, remedy = problem.for_programs()
    attribute = mapping.ATTRIBUTES.get(problem.column, "")
    return f"{attribute}: {message} {remedy}".removeprefix(": ").strip()


collection = endpoint(GET=Method(VIEW, selecting.find), POST=Method(EDIT, add))
search = endpoint(POST=Method(VIEW, selecting.search))
one = endpoint(
    GET=Method(VIEW, read_one), PUT=Method(EDIT, replace), PATCH=Method(EDIT, change), DELETE=Method(EDIT, delete)
)
