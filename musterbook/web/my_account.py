"""My account: who I am, my time zone, and where I am signed in."""

from datetime import UTC, datetime

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from musterbook.accounts import requests, sessions, times
from musterbook.accounts.models import Account
from musterbook.directory.trail import Act
from musterbook.web.permission import account, signed_in


class TimeZone(forms.ModelForm):  # type: ignore[type-arg]  # at run time it takes none
    """The zone in which the user reads times."""

    time_zone = forms.ChoiceField(label="Time zone", required=False)

    class Meta:
        """Of an account, the zone alone."""

        model = Account
        fields = ("time_zone",)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they are
        zones = [(name, name.replace("_", " ")) for name in times.zones()]
        self.fields["time_zone"].choices = [("", "UTC"), *zones]  # type: ignore[attr-defined]  # a field of choices


@signed_in
def me(request: HttpRequest) -> HttpResponseBase:
    """Who the user is, as the directory has it, and their time zone."""
    mine = account(request)
    form = TimeZone(request.POST if request.method == "POST" else None, instance=mine)
    if form.is_bound and form.is_valid():
        form.save()
        messages.success(request, "Your time zone is saved.")
        return redirect("my_account")
    return render(request, "me.html", {"form": form})


@signed_in
def sessions_(request: HttpRequest) -> HttpResponseBase:
    """Where the user is signed in; ends one of the other sessions, or all of them."""
    mine, act, key = account(request), requests.act(request), request.session.session_key or ""
    if request.method == "POST":
        messages.success(request, _end(request.POST.get("end", ""), mine, key, act))
        return redirect("usersessions_list")
    living = sessions.living(mine, key, datetime.now(UTC).timestamp())
    return render(request, "usersessions/usersession_list.html", {"sessions": living, "session_count": len(living)})


def _end(which: str, mine: Account, key: str, act: Act) -> str:
    if which == "others":
        sessions.end_others(mine, key, act)
        return "You are signed out in all other browsers."
    try:
        sessions.end(mine, int(which), key, act)
    except (ValueError, OverflowError, sessions.UnknownSession):
        return "That session has ended already."
    return "You are signed out there."
