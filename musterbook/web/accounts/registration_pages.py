"""Registration, forgotten passwords, and sign-out."""

from collections.abc import Callable

from allauth.account import views as account_views
from allauth.account.models import Login
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from musterbook.accounts import links, registration
from musterbook.accounts import reset_requests as forgotten_passwords
from musterbook.accounts.allauth_internals import perform_login, record_authentication
from musterbook.accounts.models import Account
from musterbook.accounts.passwords import LONGEST
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.models import Agency
from musterbook.http import current_session, rate_limits, request_context
from musterbook.web.accounts.forms import describe_rules


class ForgottenForm(forms.Form):
    """The user whose password is forgotten."""

    name = forms.CharField(
        label=gettext_lazy("Username or email address"),
        max_length=255,
        widget=forms.TextInput({"autocomplete": "username"}),
    )


class NewPasswordForm(forms.Form):
    """A password, typed twice."""

    password1 = forms.CharField(
        label=gettext_lazy("Password"),
        max_length=LONGEST * 4,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )
    password2 = forms.CharField(
        label=gettext_lazy("Same password again"),
        max_length=LONGEST * 4,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )

    def clean(self) -> None:
        """Add an error if the two passwords differ."""
        if self.cleaned_data.get("password1") != self.cleaned_data.get("password2"):
            self.add_error("password2", _("The passwords do not match. Enter both again."))


ChoosePassword = Callable[[Agency, str, str, AuditContext], Account]


@rate_limits.limit_by_address("sign-in", "POST")
@never_cache
@sensitive_post_parameters("password1", "password2")
def register(request: HttpRequest, token: str = "") -> HttpResponseBase:
    """Show the page to which an invitation leads."""
    return _show_link_page(request, token, "invitation", registration.register)


@rate_limits.limit_by_address("sign-in", "POST")
@never_cache
@sensitive_post_parameters("password1", "password2")
def reset(request: HttpRequest, token: str = "") -> HttpResponseBase:
    """Show the page to which a password reset leads."""
    return _show_link_page(request, token, "reset", registration.reset_password)


def _show_link_page(request: HttpRequest, token: str, kind: links.LinkKind, choose: ChoosePassword) -> HttpResponseBase:
    """Show the page of a link.

    The token moves from the address to a cookie at once, because histories and logs keep addresses.
    """
    page = reverse(f"{links.PATHS[kind]}_here")
    name = f"{settings.SESSION_COOKIE_NAME.removesuffix('session')}{links.PATHS[kind]}"
    if token and request.method in ("GET", "HEAD") and _is_valid_link(request, token, kind):
        # The address of the next page is not secret, and stays in the address.
        onward = urlencode({"next": request.GET["next"]}) if "next" in request.GET else ""
        moved = redirect(f"{page}?{onward}" if onward else page)
        moved.set_cookie(
            name, token, max_age=_COOKIE_LASTS, path=page, httponly=True, samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )  # fmt: skip
        return moved
    response = _choose_password(request, token or request.COOKIES.get(name, ""), kind, choose)
    if request.user.is_authenticated and isinstance(response, HttpResponse):
        response.delete_cookie(name, path=page)
    return response


_COOKIE_LASTS = 60 * 60


def _is_valid_link(request: HttpRequest, token: str, kind: links.LinkKind) -> bool:
    try:
        links.find_user(request_context.agency(request), kind, token, request_context.audit_context(request).at)
    except links.InvalidLink:
        return False
    return True


def _choose_password(
    request: HttpRequest, token: str, kind: links.LinkKind, choose: ChoosePassword
) -> HttpResponseBase:
    agency, context = request_context.agency(request), request_context.audit_context(request)
    form = NewPasswordForm(request.POST or None)
    form.fields["password1"].help_text = describe_rules(agency)
    try:
        user = links.find_user(agency, kind, token, context.at)
        if form.is_valid():
            account = choose(agency, token, form.cleaned_data["password1"], context)
            return _sign_in(request, account)
    except links.InvalidLink:
        return render(request, "link_invalid.html", {"kind": kind}, status=404)
    except ValidationError as error:
        form.add_error("password1", error)
    return render(request, "password.html", {"form": form, "kind": kind, "person": user})


def _sign_in(request: HttpRequest, account: Account) -> HttpResponse:
    """Sign in a user who has just chosen a password. A user with a second factor is asked for it."""
    current_session.leave(request)
    record_authentication(request, account, method="password")
    response: HttpResponse = perform_login(request, Login(user=account))
    return response


@never_cache
@rate_limits.limit_by_address("reset", "POST")
def forgotten(request: HttpRequest) -> HttpResponseBase:
    """Send a link to choose a new password. The response is the same for every name."""
    form = ForgottenForm(request.POST or None)
    if form.is_valid():
        forgotten_passwords.store_request(
            request_context.agency(request), form.cleaned_data["name"], request_context.audit_context(request)
        )
        return render(request, "forgotten_done.html")
    return render(request, "forgotten.html", {"form": form})


def sign_out(request: HttpRequest) -> HttpResponseBase:
    """Sign out, and make the browser forget the pages that it has seen. Cookies of other agencies stay."""
    was_signed_in = request.user.is_authenticated
    response: HttpResponseBase = account_views.logout(request)
    if was_signed_in and not request.user.is_authenticated:
        response.headers["Clear-Site-Data"] = current_session.FORGET
    return response


def not_possible(_request: HttpRequest) -> HttpResponse:
    """Redirect to the sign-in page without a reason. The library sends users here who may not sign in."""
    return redirect("account_login")


def sign_on_failed(request: HttpRequest) -> HttpResponse:
    """Show the page on which to try again after a failed sign-in by an identity provider."""
    return render(request, "sign_on_failed.html", status=403)
