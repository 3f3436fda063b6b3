"""The links that an administrator gives to a user: made by a form, then shown on a page of their own for some minutes.

The session remembers only that a link was made, never the link itself. It is built again from the user for the page, and
only while it is still the user's latest. So the page can be loaded again, and loading it makes no other link.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from musterbook.accounts import credentials, links
from musterbook.accounts.links import LinkKind
from musterbook.directory import models
from musterbook.http import request_context
from musterbook.web.permission import needs
from musterbook.web.users.shared import find_user, format_name, redirect_to_user

SHOWN_FOR = timedelta(minutes=15)
"""How long the link can be seen again, in the session that made it."""
_KEY, _MOST = "made_links", 20


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link to give to a user: its address, its kind, and when it expires."""

    address: str
    kind: LinkKind
    expires: datetime


def remember_link(request: HttpRequest, user: models.User, kind: LinkKind) -> None:
    """Remember in the session that a link of this kind was made for the user."""
    user = find_user(request, user.pk)
    made = {pk: one for pk, one in request.session.get(_KEY, {}).items() if pk != str(user.pk)}
    kept = dict(list(made.items())[1 - _MOST :])
    at = request_context.audit_context(request).at
    request.session[_KEY] = {**kept, str(user.pk): [kind, _read_stamp(user, kind), at.isoformat()]}


def find_link(request: HttpRequest, user: models.User) -> MadeLink | None:
    """Return the link that this session has just made for the user, if it still works, else None."""
    kind, stamp, made_at = request.session.get(_KEY, {}).get(str(user.pk), ("", "", ""))
    now = request_context.audit_context(request).at
    if not kind or stamp != _read_stamp(user, kind) or datetime.fromisoformat(made_at) + SHOWN_FOR < now:
        return None
    expires = user.invitation_expires_at if kind == "invitation" else _find_reset_end(user)
    usable = user.active and (user.registered_at is None) == (kind == "invitation")
    return MadeLink(links.make_url(user, kind), kind, expires) if usable and expires and expires > now else None


def _read_stamp(user: models.User, kind: str) -> str:
    """Return the time on which the link depends, as text. Another link has another time."""
    at = user.invited_at if kind == "invitation" else user.reset_at
    return at.isoformat() if at else ""


def _find_reset_end(user: models.User) -> datetime | None:
    return user.reset_at and user.reset_at + links.RESET_LIFETIME


def describe_link(user: models.User, made: MadeLink) -> dict[str, Any]:
    """Return what the page of a link says about it."""
    hours = int(links.RESET_LIFETIME.total_seconds() // 3600)
    return {
        "about": user,
        "link": made.address,
        "expires": made.expires,
        "days": user.agency.invitation_days if made.kind == "invitation" else 0,
        "hours": hours,
        "minutes": int(SHOWN_FOR.total_seconds() // 60),
    }


@never_cache
@require_GET
@needs(credentials.PERMISSION)
def one(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show the link that was just made for the user. Without one, return to the user."""
    user = find_user(request, pk)
    made = find_link(request, user)
    if made is None:
        return redirect_to_user(request, user)
    title = _("A link for %(name)s") % {"name": format_name(user)}
    return render(request, "user_link.html", {"title": title, **describe_link(user, made)})


def redirect_to_link(request: HttpRequest, user: models.User, kind: LinkKind) -> HttpResponseBase:
    """Remember the link that was made, and redirect to the page that shows it."""
    remember_link(request, user, kind)
    return redirect("user_link", user.pk)
