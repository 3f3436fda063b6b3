"""The page of one user: identity, state with the next step, direct reports, and one timeline."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from musterbook.accounts import credentials, factors, identities, links, lockout, sessions
from musterbook.core.domain.labels import EMAIL_TITLES
from musterbook.directory import models, permissions
from musterbook.directory.audit import browse
from musterbook.directory.audit.filters import EventFilters
from musterbook.directory.users import marks, profile
from musterbook.directory.users.editing import PERMISSION as EDIT
from musterbook.http import request_context
from musterbook.web.permission import get_account, may, needs
from musterbook.web.records import audit_words
from musterbook.web.users.shared import find_user

_PAGE = 20
"""The events of a page of the timeline."""
_FEW_REPORTS = 12
"""The number of direct reports that are shown unfolded."""


@require_GET
@needs("users.view")
def one(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show everything about a user that the signed-in user may see, and the acts that they may do."""
    user, at = find_user(request, pk), request_context.audit_context(request).at
    above = not permissions.get_permissions(user.role) <= permissions.get_permissions(get_account(request).user.role)
    state = profile.read_state(user, at)
    reports, reports_in_all = profile.list_reports(user, at)
    context = {
        "about": user,
        "state": state,
        "state_label": gettext(state),
        "is_me": user.pk == get_account(request).user.pk,
        "above": above,
        "may_edit": may(request, EDIT) and not above,
        "sees_roles": may(request, "roles.manage"),
        "may_manage": may(request, credentials.PERMISSION) and not above,
        "mails_leave": settings.MAIL_SERVER is not None,
        "mail": _describe_mail(user),
        "leaving_on": marks.find_leaving_day(user),
        "monitors": profile.list_monitored(user),
        "reports": reports,
        "reports_in_all": reports_in_all,
        "first_reports": reports[:_FEW_REPORTS],
        "more_reports": reports_in_all > _FEW_REPORTS,
        **_describe_lock(user, at),
        **_describe_sign_in(request, user),
        "sign_on": identities.find_binding(user),
    }
    return render(request, "user.html", context | _list_history(request, user))


def _list_history(request: HttpRequest, user: models.User) -> dict[str, Any]:
    """Return the user's timeline, or their imports alone, as far as the signed-in user may see them."""
    sees_imports = may(request, "users.import")
    found: dict[str, Any] = {"sees_imports": sees_imports, "days": None, "imports": None, "sees_users": True}
    if may(request, "audit.view"):
        return found | _read_timeline(request, user)
    return found | ({"imports": profile.list_imports(user)} if sees_imports else {})


def _read_timeline(request: HttpRequest, user: models.User) -> dict[str, Any]:
    """Return a page of the events about the user, the newest first, by day."""
    cursor = request.GET.get("place", "")
    try:
        page = browse.read_page(user.agency, EventFilters(subjects=(user.pk,)), cursor, _PAGE)
    except browse.UnknownCursor as unknown:
        raise Http404 from unknown
    rows = [audit_words.describe_event(event, sees_users=True) for event in page.events]
    return {"days": audit_words.list_days(rows), "page": page, "turned": bool(cursor), "of_user": True}


def _describe_lock(user: models.User, at: datetime) -> dict[str, Any]:
    """Return when a lock ends by itself, and how long a reset link is valid."""
    return {
        "lock_ends": lockout.find_end(user) if lockout.is_locked(user, at) else None,
        "reset_until": user.reset_at + links.RESET_LIFETIME if user.reset_at else None,
        "reset_over": bool(user.reset_at and user.reset_at + links.RESET_LIFETIME < at),
    }


def _describe_sign_in(request: HttpRequest, user: models.User) -> dict[str, Any]:
    """Return the second factors of the user, and their sessions."""
    theirs = getattr(user, "account", None)
    if theirs is None:
        return {"factors": [], "sessions": [], "has_account": False}
    names = factors.list_names(theirs)
    current = request.session.session_key or ""
    active = (
        sessions.list_active(theirs, current, request_context.audit_context(request).at.timestamp())
        if _may_see_sessions(request)
        else []
    )
    return {
        "factors": names,
        "sessions": active,
        "has_account": True,
        "others": sum(not entry.current for entry in active),
    }


def _may_see_sessions(request: HttpRequest) -> bool:
    """Return whether the signed-in user may see the sessions of others."""
    return may(request, credentials.PERMISSION)


def _describe_mail(user: models.User) -> dict[str, Any] | None:
    """Return the latest email to the user and its state, or None if there is none."""
    mail = profile.find_last_mail(user)
    return {"title": EMAIL_TITLES.get(mail.kind, mail.kind), "is": mail} if mail else None
