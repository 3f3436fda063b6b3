"""My account: the user's details, time zone, and sessions."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from musterbook.accounts import sessions
from musterbook.accounts.account import set_time_zone
from musterbook.accounts.models import Account
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency
from musterbook.http import request_context
from musterbook.web import parsers, times
from musterbook.web.permission import get_account, require_sign_in

_ALWAYS_SENT = (
    "your password was changed, or a new one was asked for",
    "a second factor of yours was added or removed, or recovery codes were made",
    "your account was locked after wrong passwords",
)
"""The mails that are always sent."""
_CHANGE_NOTICES = {
    "email-changed": "your email address was changed (this one goes to the old one)",
    "deactivated": "your account was made Inactive",
    "reactivated": "your account was made Active again",
}
"""The mails that imports and edits cause: the reason for each kind."""


class TimeZoneForm(forms.Form):
    """The time zone in which the user reads times."""

    time_zone = forms.ChoiceField(label="Time zone", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = [(name, name.replace("_", " ")) for name in times.list_zones()]
        self.fields["time_zone"].choices = [("", "UTC"), *zones]  # type: ignore[attr-defined]  # a choice field


@require_sign_in
def me(request: HttpRequest) -> HttpResponseBase:
    """Show the user's details as the directory has them, and edit their time zone."""
    account = get_account(request)
    form = TimeZoneForm(request.POST if request.method == "POST" else None, initial={"time_zone": account.time_zone})
    if form.is_bound and form.is_valid():
        set_time_zone(account, form.cleaned_data["time_zone"])
        messages.success(request, "Your time zone is saved.")
        return redirect("my_account")
    context = {"form": form, "notices": _list_notices(account.user.agency)}
    return render(request, "me.html", context, status=422 if form.is_bound else 200)


def _list_notices(agency: Agency) -> list[str]:
    """Return the events that send a mail to users of the agency.

    Mails for imports and edits are included only if the agency sends them.
    """
    notices = list(_ALWAYS_SENT)
    if agency.sends_mail:
        notices += [reason for kind, reason in _CHANGE_NOTICES.items() if kind not in agency.mails_off]
    return notices


@require_sign_in
def no_password(request: HttpRequest) -> HttpResponseBase:
    """Explain how a user who signs in by an identity provider, and has no password, gets one."""
    if get_account(request).has_usable_password():
        return redirect("account_change_password")
    return render(request, "no_password.html")


@require_sign_in
def sessions_(request: HttpRequest) -> HttpResponseBase:
    """List the user's sessions. End one or all of the others on POST."""
    account, context, key = (
        get_account(request),
        request_context.audit_context(request),
        request.session.session_key or "",
    )
    if request.method == "POST":
        messages.success(request, _end_session(request.POST.get("end", ""), account, key, context))
        return redirect("usersessions_list")
    active = sessions.list_active(account, key, datetime.now(UTC).timestamp())
    return render(request, "usersessions/usersession_list.html", {"sessions": active, "session_count": len(active)})


def _end_session(which: str, account: Account, key: str, context: AuditContext) -> str:
    if which == "others":
        sessions.end_others(account, key, context)
        return "You are signed out in all other browsers."
    try:
        sessions.end_session(account, parsers.parse_number(which) or 0, key, context)
    except sessions.UnknownSession:
        return "That session has ended already."
    return "You are signed out there."
