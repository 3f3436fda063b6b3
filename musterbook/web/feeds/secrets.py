"""The secrets of a feed: written and never shown, a token that is shown once, and the host key that is accepted once."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache

from musterbook.directory import models
from musterbook.directory.agency import feed_secrets, feeds
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.feeds import asking
from musterbook.feeds.locations import host_keys
from musterbook.feeds.locations.location import LocationError
from musterbook.http import request_context
from musterbook.web.agency.settings import find_operator
from musterbook.web.feeds import settings_shown
from musterbook.web.feeds.pages import for_configurers


def _make_hidden_field(label: Any, hint: Any = "") -> forms.CharField:
    show, hide = gettext_lazy("Show secret"), gettext_lazy("Hide secret")
    widget = forms.PasswordInput({"autocomplete": "off", "data-show": show, "data-hide": hide})
    return forms.CharField(label=label, max_length=2000, required=False, strip=False, widget=widget, help_text=hint)


class SftpSecretForm(forms.Form):
    """The password or the private key for an SFTP server."""

    password = _make_hidden_field(gettext_lazy("Password"))
    key = forms.CharField(
        label=gettext_lazy("Or the private key"), max_length=20_000, required=False,
        help_text=gettext_lazy("As OpenSSH or PEM text. Give the public key to the people who run the server."),
        widget=forms.Textarea({"rows": 6, "spellcheck": "false", "autocomplete": "off"}),
    )  # fmt: skip
    passphrase = _make_hidden_field(gettext_lazy("Passphrase of the private key"))

    def clean(self) -> dict[str, Any]:
        """Check that there is one secret, and not two."""
        data: dict[str, Any] = super().clean() or {}
        if bool(data.get("password")) == bool(data.get("key")):
            self.add_error("password", _("Enter a password or a private key, not both."))
        return data


class HeaderSecretForm(forms.Form):
    """The value of the header of an HTTPS location."""

    header = _make_hidden_field(
        gettext_lazy("Value of the header"), gettext_lazy("Such as Bearer, a space, and the token.")
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.fields["header"].required = True


_FORMS: dict[str, type[forms.Form]] = {"sftp": SftpSecretForm, "https": HeaderSecretForm}


@never_cache
@for_configurers
def secret(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Write the secret of the location. It is never shown."""
    kind = _FORMS.get(feed.location.get("kind", ""))
    if kind is None:
        raise Http404
    form = kind(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and _save_secrets(request, feed, form):
        messages.success(request, _("The secret was stored, encrypted. It is never shown."))
        return redirect("feed", feed.name)
    context = {"feed": feed, "form": form, "has_secret": bool(feed.secrets)}
    return render(request, "feed_secret.html", context, status=422 if form.errors else 200)


def _save_secrets(request: HttpRequest, feed: models.Feed, form: forms.Form) -> bool:
    context, by = request_context.audit_context(request), find_operator(request)
    for name, text in form.cleaned_data.items():
        if text:
            try:
                feeds.set_secret(feed, name, text, context, by)
            except InvalidValue as unfit:
                form.add_error(name, unfit.sentence)
                return False
    return True


@never_cache
@for_configurers
def token(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Make the token with which a program sends the files. It is shown once."""
    if feed.location.get("kind") != "sent":
        raise Http404
    made = ""
    if request.method == "POST":
        made = feeds.make_token(feed, request_context.audit_context(request), find_operator(request))
    return render(
        request, "feed_token.html", {"feed": feed, "secret": made, "command": settings_shown.make_command(feed)}
    )


@never_cache
@for_configurers
def host_key(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Ask the server for its host key, show it, and pin it once a person has accepted it."""
    if feed.location.get("kind") != "sftp":
        raise Http404
    context: dict[str, Any] = {"feed": feed, "pinned": feed_secrets.get_fingerprint(feed.host_key)}
    if request.method == "POST" and request.POST.get("key"):
        try:
            feeds.accept_host_key(
                feed, request.POST["key"], request_context.audit_context(request), find_operator(request)
            )
        except InvalidValue as unfit:
            context["problem"] = unfit.sentence
        else:
            messages.success(request, _("The host key was accepted. Only a server with this key is used."))
            return redirect("feed", feed.name)
    elif request.method == "POST":
        context |= _ask_for_key(feed)
    return render(request, "feed_host_key.html", context, status=422 if context.get("problem") else 200)


def _ask_for_key(feed: models.Feed) -> dict[str, Any]:
    with asking.take_turn(feed.agency) as may_ask:
        if not may_ask:
            return {"problem": str(asking.BUSY)}
        try:
            key = host_keys.read_host_key(feed)
        except LocationError as problem:
            return {"problem": str(problem)}
    return {"key": key, "fingerprint": feed_secrets.get_fingerprint(key), "is_same": key == feed.host_key}
