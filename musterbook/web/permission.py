"""The guards of pages: a signed-in user, and a permission. A refusal is recorded as an event."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from musterbook.accounts.models import Account
from musterbook.directory import permissions
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.http import reauthentication, request_context
from musterbook.web import sensitive_pages

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def require_sign_in(view: View[P]) -> View[P]:
    """Redirect users who are not signed in to the sign-in page, and back afterwards.

    Pages that require a recent sign-in redirect to re-authentication in the same way.
    """
    return _guard(view, "")


def needs(permission: str) -> Callable[[View[P]], View[P]]:
    """Admit only users whose role has the permission. Show the others a refusal, and record it in the audit trail."""
    return lambda view: _guard(view, permission)


def _guard(view: View[P], permission: str) -> View[P]:
    """Answer only users who are signed in, have the permission ("" for any), and signed in recently if the page needs it."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not isinstance(request.user, Account):
            return _redirect_to_sign_in(request)
        if permission and not may(request, permission):
            return refuse(request, permission)
        if sensitive_pages.is_needed(request) and not reauthentication.is_recent(request):
            return reauthentication.redirect_to_reauth(request)
        return view(request, *args, **kwargs)

    guarded.permission = permission  # type: ignore[attr-defined]  # for the tests that attack each page
    return guarded


def _redirect_to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Return the redirect to the sign-in page and back. For a fragment, redirect the whole page."""
    htmx = HtmxDetails(request)
    if not htmx:
        return redirect_to_login(request.get_full_path())
    back = redirect_to_login(htmx.current_url_abs_path or reverse("home"))
    return HttpResponseClientRedirect(back.headers["Location"])


def get_account(request: HttpRequest) -> Account:
    """Return the account of the signed-in user. The page must be guarded."""
    found: Account = request.user  # type: ignore[assignment]  # `_guard` ensures it
    return found


def may(request: HttpRequest, permission: str) -> bool:
    """Return whether the role of the signed-in user has the permission."""
    return permission in permissions.get_permissions(get_account(request).user.role)


def refuse(request: HttpRequest, *lacking: str) -> HttpResponseBase:
    """Render the refusal in plain words, and record in the audit trail what was requested."""
    changes = {"asked": ("", f"{request.method} {request.path_info}"[:255]), "lacking": ("", ", ".join(lacking))}
    trail.record_event(
        request_context.agency(request),
        request_context.audit_context(request),
        EventKind.ACT_REFUSED,
        None,
        changes,
        outcome=REFUSED,
    )
    labels = [permissions.PERMISSIONS[name] for name in lacking]
    return render(request, "403.html", {"lacking": labels}, status=403)
