"""My account: the user's details, language, time zone, and sessions."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.accounts import sessions
from musterbook.accounts.account import set_language, set_shortcuts, set_time_zone
from musterbook.accounts.models import Account
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency
from musterbook.http import request_context
from musterbook.web import parsers, readers
from musterbook.web.permission import get_account, require_sign_in

_ALWAYS_SENT = (
    gettext_lazy("your password is changed, or someone asks for a new one"),
    gettext_lazy("a second factor is added to or removed from your account, or recovery codes are created"),
    gettext_lazy("your account is locked after failed sign-ins"),
)
"""The emails that are always sent."""
_CHANGE_NOTICES = {
    "email-changed": gettext_lazy("your email address is changed (this email goes to the old address)"),
    "deactivated": gettext_lazy("your account becomes Inactive"),
    "reactivated": gettext_lazy("your account becomes Active again"),
}
"""The emails that imports and edits cause: the reason for each kind."""


class ReaderForm(forms.Form):
    """The language and the time zone in which the user reads pages and emails, and the keys that pages react to."""

    language = forms.ChoiceField(label=gettext_lazy("Language"), required=False)
    time_zone = forms.ChoiceField(label=gettext_lazy("Time zone"), required=False)
    shortcuts = forms.BooleanField(
        label=gettext_lazy("Use keyboard shortcuts"),
        help_text=gettext_lazy("Press ? on a page to see them."),
        required=False,
    )

    def __init__(self, account: Account, sent: Any = None) -> None:
        initial = {"language": account.language, "time_zone": account.time_zone, "shortcuts": account.shortcuts}
        super().__init__(sent, initial=initial)
        agency = account.user.agency
        zone = _("As your agency: %(zone)s") % {"zone": agency.time_zone} if agency.time_zone else _("As this browser")
        readers.fill_choices(self, language=_("As this browser"), time_zone=zone)

    def keep(self, account: Account) -> None:
        """Save what the user chose."""
        set_language(account, self.cleaned_data["language"])
        set_time_zone(account, self.cleaned_data["time_zone"])
        set_shortcuts(account, shortcuts=self.cleaned_data["shortcuts"])


@require_sign_in
def me(request: HttpRequest) -> HttpResponseBase:
    """Show the user's details as the directory has them, and edit their language and time zone."""
    account = get_account(request)
    form = ReaderForm(account, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        form.keep(account)
        with readers.read_as(request, account):
            messages.success(request, _("Your settings are saved."))
        return redirect("my_account")
    context = {"form": form, "notices": _list_notices(account.user.agency)}
    return render(request, "me.html", context, status=422 if form.is_bound else 200)


def _list_notices(agency: Agency) -> list[Promise]:
    """Return the events that send an email to users of the agency.

    Mails for imports and edits are included only if the agency sends them.
    """
    notices: list[Any] = list(_ALWAYS_SENT)
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
        return _("You are signed out in all other browsers.")
    try:
        sessions.end_session(account, parsers.parse_number(which) or 0, key, context)
    except sessions.UnknownSession:
        return _("That session has already ended.")
    return _("You are signed out there.")
