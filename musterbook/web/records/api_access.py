"""API access: pages that list, create, and revoke API tokens. The secret of a token is shown once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from allauth.account.decorators import reauthentication_required
from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import get_script_prefix
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from musterbook.accounts import tokens
from musterbook.accounts.models import Token
from musterbook.accounts.tokens import ListedToken, TokenData, UnknownToken
from musterbook.directory import permissions
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.permissions import PERMISSIONS
from musterbook.http import request_context
from musterbook.web.permission import get_account, needs, refuse, require_sign_in


class TokenForm(forms.Form):
    """The name, the permissions, and the lifetime of a new token."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=255,
        help_text=gettext_lazy("The program that will use it, such as “Personnel system, each night”."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )  # fmt: skip
    permissions = forms.MultipleChoiceField(
        label=gettext_lazy("Permissions"), widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Allow only what the program needs. You can choose only permissions of your own role."),
        error_messages={"required": gettext_lazy("Choose at least one permission.")},
    )  # fmt: skip
    days = forms.TypedChoiceField(
        label=gettext_lazy("Expires after"), coerce=int, initial=tokens.USUAL_DAYS,
        help_text=gettext_lazy("Create a new token and give it to the program before this one expires."),
    )  # fmt: skip

    addresses = forms.CharField(
        label=gettext_lazy("Addresses that may use it"), required=False, max_length=4000,
        help_text=gettext_lazy(
            "One per line, such as 192.0.2.7 or 192.0.2.0/24. Leave it blank if the program’s address may change."
        ),
        widget=forms.Textarea({"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
    )  # fmt: skip

    def __init__(self, *args: Any, allowed: frozenset[str]) -> None:
        """Offer only the permissions in `allowed`: those of the user who creates the token."""
        super().__init__(*args)
        choices: dict[str, Any] = {
            "permissions": [(name, label) for name, label in PERMISSIONS.items() if name in allowed],
            "days": [(days, _label_days(days)) for days in tokens.DAYS],
        }
        for name, options in choices.items():
            self.fields[name].choices = options  # type: ignore[attr-defined]  # a choice field

    def read_values(self) -> TokenData:
        """Return the values that were chosen."""
        data = self.cleaned_data
        addresses = tuple(data["addresses"].replace(",", " ").split())
        return TokenData(data["name"], frozenset(data["permissions"]), data["days"], addresses)


def _label_days(days: int) -> str:
    end = timezone.localtime() + timedelta(days=days)
    day = date_format(end, pgettext("date", "j F Y"))
    return _("%(number)d days, until %(day)s") % {"number": days, "day": day}


@needs(tokens.PERMISSION)
def listed(request: HttpRequest) -> HttpResponseBase:
    """List the tokens of the agency, the valid ones first."""
    good, ended = tokens.list_tokens(request_context.agency(request), datetime.now(UTC))
    context = {
        "good": [_describe_token(entry) for entry in good],
        "ended": [_describe_token(entry) for entry in ended],
        "example": _make_example(request),
        "scim": f"{settings.MUSTER_URL}/{request_context.agency(request).slug}/scim/v2",
    }
    return render(request, "api_access.html", context)


def _describe_token(entry: ListedToken) -> dict[str, Any]:
    labels = {name: [PERMISSIONS[each] for each in getattr(entry, name)] for name in ("granted", "withheld")}
    return {"token": entry.token, "why_not": entry.why_not, **labels}


def _make_example(request: HttpRequest) -> str:
    """Return a command that asks the API to identify its token."""
    where = f"{settings.MUSTER_URL}/{request_context.agency(request).slug}/api/v1/me"
    return f'curl --header "Authorization: Bearer $TOKEN" {where}'


@require_GET
@require_sign_in
def try_it(request: HttpRequest) -> HttpResponseBase:
    """Show the page that sends requests of the API. Its script reads the OpenAPI document, and asks for a token."""
    base = f"{get_script_prefix()}api/v1"
    return render(request, "api_try.html", {"base": base, "document": f"{base}/openapi.json"})


@needs(tokens.PERMISSION)
def add(request: HttpRequest) -> HttpResponseBase:
    """Create a token. The response shows its secret, which is never shown again."""
    allowed = permissions.get_permissions(get_account(request).user.role)
    if request.method == "POST":
        lacking = sorted({*request.POST.getlist("permissions")} & permissions.ALL - allowed)
        if lacking:
            return refuse(request, *lacking)
        answer: HttpResponseBase = _make_token(request, TokenForm(request.POST, allowed=allowed))
        return answer
    return render(request, "api_token_add.html", {"form": TokenForm(allowed=allowed)})


@never_cache
@reauthentication_required
def _make_token(request: HttpRequest, form: TokenForm) -> HttpResponseBase:
    agency = request_context.agency(request)
    by = snapshot_queries.read_operator(agency, get_account(request).user.external_id)
    if form.is_valid():
        try:
            token, secret = tokens.create_token(agency, form.read_values(), request_context.audit_context(request), by)
        except InvalidValue as unfit:
            form.add_error(unfit.field, unfit.sentence)
        except NotAllowed as refused:
            form.add_error("permissions", str(refused))
        else:
            context = {"token": token, "secret": secret, "example": _make_example(request)}
            return render(request, "api_token_made.html", context)
    return render(request, "api_token_add.html", {"form": form}, status=422)


@needs(tokens.PERMISSION)
def revoke(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask for confirmation, or revoke the token."""
    token = _find_token(request, pk)
    if request.method == "POST":
        if tokens.revoke(token, request_context.audit_context(request)):
            text = _("The token %(name)s was revoked. It can no longer be used.") % {"name": token.name}
            messages.success(request, text)
        return redirect("api_access")
    return render(request, "api_token_revoke.html", {"token": token})


def _find_token(request: HttpRequest, pk: int) -> Token:
    try:
        return tokens.find_token(request_context.agency(request), pk)
    except UnknownToken:
        raise Http404 from None
