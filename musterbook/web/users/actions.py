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
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from musterbook.accounts import credentials, links, registration, sessions
from musterbook.accounts.links import LinkKind
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.users import editing
from musterbook.http import reauthentication, request_context
from musterbook.web import parsers
from musterbook.web.permission import needs
from musterbook.web.users.form import describe_problem
from musterbook.web.users.links import redirect_to_link
from musterbook.web.users.shared import find_delivery, find_user, format_name, redirect_to_user, run_or_respond

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
    by_link: bool = False
    """Whether the page also offers to show a link instead of sending an email."""


@needs("users.edit")
def deactivate(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Make a user Inactive, after the page has explained the consequences."""
    user = find_user(request, pk)
    question = Question(
        _("Deactivate %(name)s?") % {"name": format_name(user)},
        (
            _("They will be signed out everywhere, and cannot sign in, register or choose a new password."),
            _("Invitations and links that were sent to them will stop working."),
            _("Nothing is deleted. Their direct reports keep them as supervisor. You can reactivate them at any time."),
            _describe_notice(user, "deactivated"),
        ),
        _("Deactivate"),
        takes=True,
    )
    message = _("%(name)s is now Inactive and has been signed out everywhere.") % {"name": format_name(user)}
    return _change_status(request, user, question, editing.deactivate, message)


@needs("users.edit")
def reactivate(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Make a user Active again, after the page has explained the consequences."""
    user = find_user(request, pk)
    question = Question(
        _("Reactivate %(name)s?") % {"name": format_name(user)},
        (
            *_describe_sign_in(user),
            _("Their role is still %(role)s. Check it first if their job has changed.") % {"role": user.role.name},
        ),
        _("Reactivate"),
    )
    message = _("%(name)s is Active again.") % {"name": format_name(user)}
    return _change_status(request, user, question, editing.reactivate, message)


def _describe_sign_in(user: models.User) -> tuple[str, ...]:
    """Return how the user signs in once they are Active again."""
    if user.registered_at:
        way = _("They can sign in with their previous password and second factors.")
        return way, _describe_notice(user, "reactivated")
    new = {
        "sent": _("They have not registered yet. A new invitation will be emailed to %(email)s."),
        "saved": _(
            "They have not registered yet. Email is not set up, so the new invitation is only saved as a file. "
            "Make a link on their page and give it to them."
        ),
        "": _(
            "They have not registered yet, and no invitation will be emailed. Make a link on their page and give it to them."
        ),
    }
    return (new[find_delivery(user, "invitation")] % {"email": user.email},)


def _describe_notice(user: models.User, kind: str) -> str:
    """Return whether a notice of that kind reaches the user. It says the same as what then happens."""
    return {
        "sent": _("We will email them about it at %(email)s."),
        "saved": _("Email is not set up, so the message about it is only saved as a file. Tell them yourself."),
        "": _("They do not get an email about it. Tell them yourself."),
    }[find_delivery(user, kind)] % {"email": user.email}


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
    if settings.MAIL_SERVER is None:
        return _(
            "Email is not set up, so the invitation is only saved as a file. To let %(name)s in, make a link instead."
        ) % {"name": format_name(user)}
    return _("An invitation will be emailed to %(email)s. Earlier links will stop working.") % {"email": user.email}


@never_cache
@require_POST
@needs(credentials.PERMISSION)
def link(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Create an invitation to give to the user, and redirect to the page that shows it."""
    return _run_action(request, find_user(request, pk), credentials.create_invitation, kind="invitation")


@never_cache
@needs(credentials.PERMISSION)
def reset(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Let a user choose a new password.

    The link is sent by email. If there is no mail server, or if the administrator prefers it, the link is shown instead.
    """
    user, by_mail = find_user(request, pk), settings.MAIL_SERVER is not None
    hours = int(links.RESET_LIFETIME.total_seconds() // 3600)
    delivery = (
        _("A link to choose a new password will be emailed to %(email)s.") % {"email": user.email}
        if by_mail
        else _(
            "Email is not set up. You will see a link instead. Give it to the user, and make sure that it is really them."
        )
    )
    works = ngettext(
        "The link works once, and expires after %(hours)s hour.",
        "The link works once, and expires after %(hours)s hours.",
        hours,
    ) % {"hours": hours}
    points = (
        f"{delivery} {works}",
        _(
            "The current password still works until then. Choosing a new one signs them out everywhere, and unlocks them."
        ),
        _("Their second factors do not change."),
    )
    if request.method != "POST":
        title = _("Reset the password of %(name)s?") % {"name": format_name(user)}
        button = _("Send the link") if by_mail else _("Make a link")
        return _render_question(request, user, Question(title, points, button, by_link=by_mail))
    if by_mail and request.POST.get("how") != "link":
        return _run_action(request, user, _reset)
    return _run_action(request, user, credentials.create_reset_link, kind="reset")


def _reset(user: models.User, context: AuditContext, by: Operator | None) -> str:
    credentials.reset(user, context, by)
    return _("A link to choose a new password will be emailed to %(email)s.") % {"email": user.email}


@require_POST
@needs(credentials.PERMISSION)
def unlock(request: HttpRequest, pk: int) -> HttpResponseBase:
    """End the lock of a user."""
    return _run_action(request, find_user(request, pk), _unlock)


def _unlock(user: models.User, context: AuditContext, by: Operator | None) -> str:
    ended = credentials.unlock(user, context, by)
    return (_("%(name)s is unlocked.") if ended else _("%(name)s is not locked.")) % {"name": format_name(user)}


@needs(credentials.PERMISSION)
def remove_factors(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Remove all second factors of a user who has lost them, after the page has explained the consequences."""
    user = find_user(request, pk)
    points = (
        _("Their one-time codes, passkeys and recovery codes will be removed. We will email them about it.")
        if settings.MAIL_SERVER
        else _("Their one-time codes, passkeys and recovery codes will be removed."),
        _(
            "The next time they sign in with their password, they must set up a new second factor before they can continue."
        ),
        _("First check that it is really them: in person, or by calling a number that you know."),
        _("Someone who knows their password could ask for this too."),
    )
    question = Question(
        _("Remove the second factors of %(name)s?") % {"name": format_name(user)},
        points,
        _("Remove second factors"),
        takes=True,
        reason=_("How did you check who is asking? (This is kept in the audit trail.)"),
    )
    reason = request.POST.get("reason", "").strip()[:_LONGEST_REASON]
    if request.method != "POST":
        return _render_question(request, user, question)
    if not reason:
        return _render_question(request, user, question, [_("Enter how you checked who is asking.")])
    return _run_action(request, user, lambda about, context, by: _remove(about, context, by, reason))


def _remove(user: models.User, context: AuditContext, by: Operator | None, reason: str) -> str:
    removed = credentials.remove_factors(user, context, by, reason)
    sentence = (
        _("The second factors of %(name)s have been removed.") if removed else _("%(name)s has no second factors.")
    )
    return sentence % {"name": format_name(user)}


@needs(credentials.PERMISSION)
def release_sign_on(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Release the link of a user to a person at an identity provider.

    The page explains the consequences first.
    """
    user = find_user(request, pk)
    points = (
        _("The next person that a provider identifies as this user will be linked to them, and will sign in as them."),
        _("Do this if the provider has given them a new account, or if they move to another provider."),
        _("First check that it is really them, and that the provider has not given their address to someone else."),
    )
    if request.method != "POST":
        title = _("Unlink %(name)s from the provider?") % {"name": format_name(user)}
        return _render_question(request, user, Question(title, points, _("Unlink"), takes=True))
    return _run_action(request, user, _release)


def _release(user: models.User, context: AuditContext, by: Operator | None) -> str:
    released = credentials.release_sign_on(user, context, by)
    sentence = (
        _("%(name)s is no longer linked to a provider.") if released else _("%(name)s is not linked to a provider.")
    )
    return sentence % {"name": format_name(user)}


@require_POST
@needs(credentials.PERMISSION)
def end_sessions(request: HttpRequest, pk: int) -> HttpResponseBase:
    """End one session of a user, or all of them."""
    user, which, current = find_user(request, pk), request.POST.get("end", ""), request.session.session_key or ""
    name = {"name": format_name(user)}

    def end(_about: models.User, context: AuditContext, by: Operator | None) -> str:
        if not hasattr(user, "account"):
            return _("%(name)s is not signed in.") % name
        if which == "all":
            ended = credentials.end_sessions(user, current, context, by)
            return (
                _("%(name)s has been signed out everywhere.") if ended else _("%(name)s has no other sessions.")
            ) % name
        credentials.end_session(user, parsers.parse_number(which) or 0, current, context, by)
        return _("That session of %(name)s has ended.") % name

    return _run_action(request, user, end, sensitive=False, part="sessions")


_ERROR_MESSAGES = {
    registration.CannotInvite: gettext_lazy(
        "You cannot invite %(name)s now. They have already registered, or they are Inactive."
    ),
    registration.CannotReset: gettext_lazy(
        "You cannot reset the password of %(name)s. They have not registered yet, or they are Inactive."
    ),
    credentials.NotAllowed: gettext_lazy(
        "You cannot do this, because the role of %(name)s has permissions that yours does not have."
    ),
    sessions.UnknownSession: gettext_lazy("That session has already ended."),
}


def _run_action(
    request: HttpRequest,
    user: models.User,
    action: CredentialAction,
    *,
    sensitive: bool = True,
    kind: LinkKind | None = None,
    part: str = "",
) -> HttpResponseBase:
    """Run an act on credentials, and show its result.

    If `sensitive` is true, the act is sensitive and requires a recent sign-in. With `kind`, the act makes a link of that
    kind, which its page shows. `part`: the id of the element of the user's page that gets the focus afterwards.
    """
    if sensitive and not reauthentication.is_recent(request):
        return reauthentication.redirect_to_reauth(request)
    context = request_context.audit_context(request)
    try:
        result = run_or_respond(
            request, lambda: action(user, context, credentials.find_operator(user.agency, context.actor))
        )
    except tuple(_ERROR_MESSAGES) as error:
        messages.error(request, str(_ERROR_MESSAGES[type(error)]) % {"name": format_name(user)})
        return redirect_to_user(request, user, part)
    if not isinstance(result, str):
        return result
    if kind:
        return redirect_to_link(request, user, kind)
    messages.success(request, result)
    return redirect_to_user(request, user, part)
