"""The acts on one user: deactivate, reactivate, invite, reset, unlock, end sessions, and those on second factors and links."""

from collections.abc import Callable
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from musterbook.accounts import credentials
from musterbook.api import access
from musterbook.api.access import needs
from musterbook.api.schemas import Strict, answers
from musterbook.api.user_schemas import User
from musterbook.api.users import EDIT, answer, get_changed, make_check
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.users import editing
from musterbook.directory.users.editing import Check

router = Router()
MANAGE = credentials.PERMISSION
Act = Callable[[models.User, AuditContext, Operator | None, Check], Any]


class DeliveryChoice(Strict):
    """How the user gets the link: by email, or from you."""

    as_link: bool = Field(False, description="Answer with the link, and send no email. Give it to the user yourself.")


class Delivery(Schema):
    """What was sent. `how`: `email`; `saved` if Musterbook has no mail server and only saves emails; or `link`."""

    how: Literal["email", "saved", "link"]
    to: str | None = Field(description="The email address")
    link: str | None = Field(description="The link, which works once. Anyone who has it can choose the password.")
    user: User


class Removal(Strict):
    """Why second factors are removed."""

    reason: str = Field(min_length=1, max_length=255, pattern=r"\S", description="How you checked who is asking")


def _find(request: HttpRequest, number: int) -> models.User:
    return editing.find_user(access.get_agency(request), number)


@router.post(
    "/{int:number}:deactivate", auth=needs(EDIT), response=answers(User), operation_id="deactivateUser",
    summary="Deactivate a user",
)  # fmt: skip
def deactivate(request: HttpRequest, response: HttpResponse, number: int) -> User:
    """Make the user Inactive. They are signed out everywhere, and their invitations and links stop working."""
    user = _find(request, number)
    result = editing.deactivate(user, access.make_context(request), make_check(request))
    return answer(request, response, get_changed(result))


@router.post(
    "/{int:number}:reactivate", auth=needs(EDIT), response=answers(User), operation_id="reactivateUser",
    summary="Reactivate a user",
)  # fmt: skip
def reactivate(request: HttpRequest, response: HttpResponse, number: int) -> User:
    """Make the user Active again. A user who never registered is invited again. A last day that is over is removed."""
    user = _find(request, number)
    result = editing.reactivate(user, access.make_context(request), make_check(request))
    return answer(request, response, get_changed(result))


@router.post(
    "/{int:number}:invite", auth=needs(MANAGE), response=answers(Delivery), operation_id="inviteUser",
    summary="Invite a user again",
)  # fmt: skip
def invite(request: HttpRequest, response: HttpResponse, number: int, given: DeliveryChoice | None = None) -> Delivery:
    """Send another invitation, or answer with its link. Earlier links stop working."""
    return _deliver(request, response, number, given, credentials.invite, credentials.create_invitation)


@router.post(
    "/{int:number}:reset", auth=needs(MANAGE), response=answers(Delivery), operation_id="resetUser",
    summary="Reset the password of a user",
)  # fmt: skip
def reset(request: HttpRequest, response: HttpResponse, number: int, given: DeliveryChoice | None = None) -> Delivery:
    """Send a link to choose a new password, or answer with it. The present password works until then."""
    return _deliver(request, response, number, given, credentials.reset, credentials.create_reset_link)


def _deliver(
    request: HttpRequest,
    response: HttpResponse,
    number: int,
    given: DeliveryChoice | None,
    send: Act,
    make_link: Act,
) -> Delivery:
    as_link = given is not None and given.as_link
    user = _find(request, number)
    link = _run(request, user, make_link if as_link else send)
    how: Literal["email", "saved"] = "email" if settings.MAIL_SERVER else "saved"
    return Delivery.model_construct(
        how="link" if as_link else how,
        to=None if as_link else user.email,
        link=link if as_link else None,
        user=answer(request, response, user),
    )


@router.post(
    "/{int:number}:unlock", auth=needs(MANAGE), response=answers(User), operation_id="unlockUser",
    summary="Unlock a user",
)  # fmt: skip
def unlock(request: HttpRequest, response: HttpResponse, number: int) -> User:
    """End the lock of the user after failed sign-ins. A user who is not locked stays as they are."""
    return _act(request, response, number, credentials.unlock)


@router.post(
    "/{int:number}:end-sessions", auth=needs(MANAGE), response=answers(User), operation_id="endSessions",
    summary="Sign a user out",
)  # fmt: skip
def end_sessions(request: HttpRequest, response: HttpResponse, number: int) -> User:
    """Sign the user out everywhere."""
    return _act(
        request,
        response,
        number,
        lambda user, context, by, check: credentials.end_sessions(user, "", context, by, check),
    )


@router.post(
    "/{int:number}:remove-second-factors", auth=needs(MANAGE), response=answers(User), operation_id="removeSecondFactors",
    summary="Remove the second factors of a user",
)  # fmt: skip
def remove_second_factors(request: HttpRequest, response: HttpResponse, number: int, given: Removal) -> User:
    """Remove all second factors of a user who has lost them. The reason is kept in the audit trail."""
    return _act(
        request,
        response,
        number,
        lambda user, context, by, check: credentials.remove_factors(user, context, by, given.reason.strip(), check),
    )


@router.post(
    "/{int:number}:release-sign-on", auth=needs(MANAGE), response=answers(User), operation_id="releaseSignOn",
    summary="Unlink a user from an identity provider",
)  # fmt: skip
def release_sign_on(request: HttpRequest, response: HttpResponse, number: int) -> User:
    """Unlink the user from a person at an identity provider. The next person identified as this user is linked."""
    return _act(request, response, number, credentials.release_sign_on)


def _act(request: HttpRequest, response: HttpResponse, number: int, act: Act) -> User:
    user = _find(request, number)
    _run(request, user, act)
    return answer(request, response, user)


def _run(request: HttpRequest, user: models.User, act: Act) -> Any:
    context = access.make_context(request)
    return act(user, context, access.get_operator(request), make_check(request))
