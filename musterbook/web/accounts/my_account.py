"""My account: the user's details, time zone, and sessions."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from musterbook.accounts import preferences, sessions
from musterbook.accounts.models import Account
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency
from musterbook.http import incoming
from musterbook.web import asked, times
from musterbook.web.permission import account, signed_in

_ALWAYS = (
    "your password was changed, or a new one was asked for",
    "a second factor of yours was added or removed, or recovery codes were made",
    "your account was locked after wrong passwords",
)
"""The mails that are always sent."""
_OF_CHANGES = {
    "email-changed": "your e-mail address was changed (this one goes to the old one)",
    "deactivated": "your account was made Inactive",
    "reactivated": "your account was made Active again",
}
"""The mails that imports and edits cause: the reason for each kind."""


class TimeZone(forms.Form):
    """The time zone in which the user reads times."""

    time_zone = forms.ChoiceField(label="Time zone", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = [(name, name.replace("_", " ")) for name in times.zones()]
        self.fields["time_zone"].choices = [("", "UTC"), *zones]  # type: ignore[attr-defined]  # a choice field


@signed_in
def me(request: HttpRequest) -> HttpResponseBase:
    """Show the user's details as the directory has them, and edit their time zone."""
    mine = account(request)
    form = TimeZone(request.POST if request.method == "POST" else None, initial={"time_zone": mine.time_zone})
    if form.is_bound and form.is_valid():
        preferences.set_time_zone(mine, form.cleaned_data["time_zone"])
        messages.success(request, "Your time zone is saved.")
        return redirect("my_account")
    about = {"form": form, "notices": _notices(mine.user.agency)}
    return render(request, "me.html", about, status=422 if form.is_bound else 200)


def _notices(agency: Agency) -> list[str]:
    """Return the events that send a mail to users of the agency.

    Mails for imports and edits are included only if the agency sends them.
    """
    told = list(_ALWAYS)
    if agency.sends_mail:
        told += [about for kind, about in _OF_CHANGES.items() if kind not in agency.mails_off]
    return told


@signed_in
def no_password(request: HttpRequest) -> HttpResponseBase:
    """Explain how a user who signs in by an identity provider, and has no password, gets one."""
    if account(request).has_usable_password():
        return redirect("account_change_password")
    return render(request, "no_password.html")


@signed_in
def sessions_(request: HttpRequest) -> HttpResponseBase:
    """List the user's sessions. End one or all of the others on POST."""
    mine, context, key = account(request), incoming.audit_context(request), request.session.session_key or ""
    if request.method == "POST":
        messages.success(request, _end(request.POST.get("end", ""), mine, key, context))
        return redirect("usersessions_list")
    living = sessions.living(mine, key, datetime.now(UTC).timestamp())
    return render(request, "usersessions/usersession_list.html", {"sessions": living, "session_count": len(living)})


def _end(which: str, mine: Account, key: str, context: AuditContext) -> str:
    if which == "others":
        sessions.end_others(mine, key, context)
        return "You are signed out in all other browsers."
    try:
        sessions.end(mine, asked.number(which) or 0, key, context)
    except sessions.UnknownSession:
        return "That session has ended already."
    return "You are signed out there."
