"""The acts on one user: deactivate, reactivate, invite, reset credentials, unlock, remove second factors, and end
sessions.

Another act releases the link to an identity provider.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from musterbook.accounts import credentials, links, registration, sessions
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.users import editing
from musterbook.http import reauthentication, request_context
from musterbook.web import parsers
from musterbook.web.permission import needs
from musterbook.web.users.edit import find_user, is_notified, redirect_to_user, run_or_respond, show_link
from musterbook.web.users.form import describe_problem

_LONGEST_REASON = 255
CredentialAction = Callable[[models.User, AuditContext, Operator | None], str]


@dataclass(frozen=True, slots=True)
class Question:
    """The confirmation that a page asks for: its title, what will happen, and the button.

    `takes` is set if the act takes something away.
    """

    title: str
    points: Sequence[str]
    button: str
    takes: bool = False
    reason: str = ""
    """The label of the reason, which is recorded in the audit trail, or "" to ask for none."""


def _format_name(user: models.User) -> str:
    return f"{user.first_name} {user.last_name}"


@needs("users.edit")
def deactivate(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Make a user Inactive, after the page has explained the consequences."""
    user = find_user(request, pk)
    question = Question(
        f"Deactivate {_format_name(user)}?",
        (
            "They are signed out everywhere at once, and cannot sign in, register or choose a new password.",
            "Open invitations and links that were sent to them no longer work.",
            "Nothing of them is deleted, and their direct reports still report to them. You can reactivate them at any time.",
        ),
        "Deactivate",
        takes=True,
    )
    return _change_status(
        request, user, question, editing.deactivate, f"{_format_name(user)} is Inactive, and signed out everywhere."
    )


@needs("users.edit")
def reactivate(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Make a user Active again, after the page has explained the consequences."""
    user = find_user(request, pk)
    question = Question(
        f"Reactivate {_format_name(user)}?",
        (
            _describe_sign_in(user),
            f"Their role is {user.role.name}, as it was. Look at it first if their work has changed.",
        ),
        "Reactivate",
    )
    return _change_status(request, user, question, editing.reactivate, f"{_format_name(user)} is Active again.")


def _describe_sign_in(user: models.User) -> str:
    """Return how the user signs in once they are Active again."""
    if user.registered_at:
        notice = (
            "A mail tells them so." if is_notified(user, "reactivated") else "No mail tells them so: do it yourself."
        )
        return f"They sign in again with the password and second factors that they had. {notice}"
    if is_notified(user, "invitation"):
        return "They have not registered yet, so a new invitation is sent to them."
    return "They have not registered yet, and no invitation is sent: invite them from their page afterwards."


def _change_status(
    request: HttpRequest,
    user: models.User,
    question: Question,
    action: Callable[[models.User, AuditContext], editing.EditResult],
    message: str,
) -> HttpResponseBase:
    """Ask for confirmation, then change the status. Problems are shown on the page that asked."""
    if request.method != "POST":
        return _render_question(request, user, question)
    if not reauthentication.is_recent(request):
        return reauthentication.redirect_to_reauth(request)
    result = run_or_respond(request, lambda: action(user, request_context.audit_context(request)))
    if not isinstance(result, editing.EditResult):
        return result
    if result.problems:
        return _render_question(request, user, question, [describe_problem(problem) for problem in result.problems])
    messages.success(request, message)
    return redirect_to_user(request, user)


def _render_question(
    request: HttpRequest, user: models.User, question: Question, wrong: Sequence[str] = ()
) -> HttpResponseBase:
    context = {"about": user, "question": question, "wrong": wrong}
    return render(request, "user_confirm.html", context, status=422 if wrong else 200)


@require_POST
@needs(credentials.PERMISSION)
def invite(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Send another invitation."""
    return _run_action(request, find_user(request, pk), _invite)


def _invite(user: models.User, context: AuditContext, by: Operator | None) -> str:
    credentials.invite(user, context, by)
    return f"An invitation is on its way to {user.email}. Earlier ones no longer work when it is sent."


@never_cache
@require_POST
@needs(credentials.PERMISSION)
def link(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Create an invitation to hand over, and show it once."""
    user = find_user(request, pk)
    return _run_action(request, user, credentials.create_invitation, days=user.agency.invitation_days)


@never_cache
@needs(credentials.PERMISSION)
def reset(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Let a user choose a new password.

    The link is sent by mail, or shown to hand over if no mail server is configured.
    """
    user, by_mail = find_user(request, pk), settings.MAIL_SERVER is not None
    hours = int(links.RESET_LIFETIME.total_seconds() // 3600)
    delivery = (
        f"A link to choose a new password is sent to {user.email}."
        if by_mail
        else "No mail leaves from here: a link is shown to you, once, for you to hand over. Make sure who you give it to."
    )
    points = (
        f"{delivery} It is good for {hours} hours, and once.",
        "Until then the present password stays good. The new one signs them out everywhere, and ends a lock.",
        "Second factors stay as they are.",
    )
    if request.method != "POST":
        return _render_question(
            request, user, Question(f"Reset the credentials of {_format_name(user)}?", points, "Reset")
        )
    if by_mail:
        return _run_action(request, user, _reset)
    return _run_action(request, user, credentials.create_reset_link, hours=hours)


def _reset(user: models.User, context: AuditContext, by: Operator | None) -> str:
    credentials.reset(user, context, by)
    return f"A link to choose a new password is on its way to {user.email}."


@require_POST
@needs(credentials.PERMISSION)
def unlock(request: HttpRequest, pk: int) -> HttpResponseBase:
    """End the lock of a user."""
    return _run_action(request, find_user(request, pk), _unlock)


def _unlock(user: models.User, context: AuditContext, by: Operator | None) -> str:
    ended = credentials.unlock(user, context, by)
    return f"{_format_name(user)} is unlocked." if ended else f"{_format_name(user)} is not locked."


@needs(credentials.PERMISSION)
def remove_factors(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Remove all second factors of a user who has lost them, after the page has explained the consequences."""
    user = find_user(request, pk)
    points = (
        "Their one-time codes, passkeys and recovery codes are removed, and a mail tells them so.",
        "When they sign in next, with their password, they set up a new one before anything else.",
        "Check first that it is they who ask: in person, or by a call to a number that you know.",
        "A person who knows their password could ask for this as well.",
    )
    question = Question(
        f"Remove the second factors of {_format_name(user)}?", points, "Remove second factors", takes=True,
        reason="How did you check who asks? (This is kept in the audit trail.)",
    )  # fmt: skip
    reason = request.POST.get("reason", "").strip()[:_LONGEST_REASON]
    if request.method != "POST":
        return _render_question(request, user, question)
    if not reason:
        return _render_question(request, user, question, ["Write how you checked who asks."])
    return _run_action(request, user, lambda about, context, by: _remove(about, context, by, reason))


def _remove(user: models.User, context: AuditContext, by: Operator | None, reason: str) -> str:
    removed = credentials.remove_factors(user, context, by, reason)
    return (
        f"The second factors of {_format_name(user)} are removed."
        if removed
        else f"{_format_name(user)} has no second factors."
    )


@needs(credentials.PERMISSION)
def release_sign_on(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Release the link of a user to a person at an identity provider.

    The page explains the consequences first.
    """
    user = find_user(request, pk)
    points = (
        "The next person that a provider identifies as this user is linked to them, and signs in as them.",
        "Do this when the provider has given them a new account, or when they move to another provider.",
        "Make sure that it is they who ask, and that the provider has not given their address to somebody else.",
    )
    if request.method != "POST":
        question = Question(
            f"Release the link of {_format_name(user)} to a provider?", points, "Release the link", takes=True
        )
        return _render_question(request, user, question)
    return _run_action(request, user, _release)


def _release(user: models.User, context: AuditContext, by: Operator | None) -> str:
    released = credentials.release_sign_on(user, context, by)
    return (
        f"The link of {_format_name(user)} is released."
        if released
        else f"{_format_name(user)} is not linked to a provider."
    )


@require_POST
@needs(credentials.PERMISSION)
def end_sessions(request: HttpRequest, pk: int) -> HttpResponseBase:
    """End one session of a user, or all of them."""
    user, which, current = find_user(request, pk), request.POST.get("end", ""), request.session.session_key or ""

    def end(_: models.User, context: AuditContext, by: Operator | None) -> str:
        if not hasattr(user, "account"):
            return f"{_format_name(user)} is signed in nowhere."
        if which == "all":
            ended = credentials.end_sessions(user, current, context, by)
            return (
                f"{_format_name(user)} is signed out everywhere."
                if ended
                else f"{_format_name(user)} is signed in nowhere else."
            )
        credentials.end_session(user, parsers.parse_number(which) or 0, current, context, by)
        return f"{_format_name(user)} is signed out there."

    return _run_action(request, user, end, sensitive=False)


_ERROR_MESSAGES = {
    registration.CannotInvite: "{name} can be invited no more, or not now: they have registered, or are Inactive.",
    registration.CannotReset: "{name} has no password to choose again: they have not registered, or are Inactive.",
    credentials.NotAllowed: "The role of {name} has permissions that yours has not, so you may not do this.",
    sessions.UnknownSession: "That session has ended already.",
}


def _run_action(
    request: HttpRequest, user: models.User, action: CredentialAction, *, sensitive: bool = True, **lifetime: int
) -> HttpResponseBase:
    """Run an act on credentials, and show its result.

    If `sensitive` is true, the act is sensitive and requires a recent sign-in. With `lifetime`, the result is a link, which is
    shown.
    """
    if sensitive and not reauthentication.is_recent(request):
        return reauthentication.redirect_to_reauth(request)
    context = request_context.audit_context(request)
    try:
        result = run_or_respond(
            request, lambda: action(user, context, credentials.find_operator(user.agency, context.actor))
        )
    except tuple(_ERROR_MESSAGES) as error:
        messages.error(request, _ERROR_MESSAGES[type(error)].format(name=_format_name(user)))
        return redirect_to_user(request, user)
    if not isinstance(result, str):
        return result
    if lifetime:
        return show_link(request, user, result, title=f"A link for {_format_name(user)}", **lifetime)
    messages.success(request, result)
    return redirect_to_user(request, user)
