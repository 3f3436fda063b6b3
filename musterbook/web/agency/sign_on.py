"""Agency settings for single sign-on: a page for each identity provider. Secrets are never shown again."""

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from musterbook.directory.agency import sign_on
from musterbook.directory.agency.sign_on import StaleProvider, UnknownProvider
from musterbook.directory.agency.sign_on_file import Provider
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.permissions import ALL
from musterbook.http import request_context
from musterbook.web.agency.provider_forms import PROVIDERS
from musterbook.web.agency.settings import PERMISSION, find_operator, render_page
from musterbook.web.permission import get_account, needs, refuse

_KIND_NAMES = {"oidc": "OpenID Connect", "saml": "SAML"}


@needs(PERMISSION)
def listed(request: HttpRequest) -> HttpResponseBase:
    """List the identity providers of the agency."""
    providers = [(entry, _KIND_NAMES[entry["kind"]]) for entry in request_context.agency(request).sign_on]
    return render_page(request, "agency_sign_on.html", providers=providers, may=not _list_lacking(request))


def _list_lacking(request: HttpRequest) -> list[str]:
    """Return the permissions that the operator's role lacks.

    A provider states the identity of users, so an operator needs every permission to configure one.
    """
    return sorted(ALL - find_operator(request).permissions)


@needs(PERMISSION)
def add(request: HttpRequest, kind: str) -> HttpResponseBase:
    """Add an identity provider."""
    if kind not in PROVIDERS:
        raise Http404
    if _list_lacking(request):
        return refuse(request, *_list_lacking(request))
    form = PROVIDERS[kind](request.POST if request.method == "POST" else None, exists=False)
    if form.is_bound and form.is_valid():
        answer: HttpResponseBase = _add(request, form)
        return answer
    return _render_page(request, form)


@reauthentication_required
def _add(request: HttpRequest, form: Any) -> HttpResponseBase:
    provider = form.read_values()
    try:
        sign_on.add(
            request_context.agency(request), provider, request_context.audit_context(request), find_operator(request)
        )
    except InvalidValue as unfit:
        form.add_error(unfit.field, unfit.sentence)
        return _render_page(request, form)
    text = _("%(name)s was added. Enter the addresses below at the provider, then try to sign in with it.")
    messages.success(request, text % {"name": provider["name"]})
    return redirect("agency_sign_on_one", provider["slug"])


@needs(PERMISSION)
def one(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Edit one identity provider."""
    provider = _find_provider(request, slug)
    if _list_lacking(request):
        return refuse(request, *_list_lacking(request))
    initial = provider | {"shown": sign_on.mark(provider)}
    data = request.POST if request.method == "POST" else None
    form = PROVIDERS[provider["kind"]](data, exists=True, initial=initial)
    if form.is_bound and form.is_valid():
        answer: HttpResponseBase = _change(request, form, slug)
        return answer
    return _render_page(request, form, provider)


@reauthentication_required
def _change(request: HttpRequest, form: Any, slug: str) -> HttpResponseBase:
    agency, provider = request_context.agency(request), form.read_values(slug)
    try:
        sign_on.change(
            agency, provider, form.cleaned_data["shown"], request_context.audit_context(request), find_operator(request)
        )
    except InvalidValue as unfit:
        form.add_error(unfit.field, unfit.sentence)
        return _render_page(request, form, _find_provider(request, slug))
    except (StaleProvider, UnknownProvider):
        return _report_conflict(request)
    messages.success(request, _("%(name)s was saved.") % {"name": provider["name"]})
    return redirect("agency_sign_on")


@needs(PERMISSION)
def remove(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Ask for confirmation, or remove the identity provider."""
    provider = _find_provider(request, slug)
    if _list_lacking(request):
        return refuse(request, *_list_lacking(request))
    if request.method == "POST":
        answer: HttpResponseBase = _remove(request, provider)
        return answer
    me = get_account(request)
    mark = sign_on.mark(provider)
    return render_page(
        request, "agency_sign_on_remove.html", provider=provider, shown=mark, no_password=not me.has_usable_password()
    )


@reauthentication_required
def _remove(request: HttpRequest, provider: Provider) -> HttpResponseBase:
    agency, mark = request_context.agency(request), request.POST.get("shown", "")
    try:
        sign_on.remove(agency, provider["slug"], mark, request_context.audit_context(request), find_operator(request))
    except (StaleProvider, UnknownProvider):
        return _report_conflict(request)
    messages.success(
        request, _("%(name)s was removed. No one can sign in with it any more.") % {"name": provider["name"]}
    )
    return redirect("agency_sign_on")


def _report_conflict(request: HttpRequest) -> HttpResponseBase:
    text = _("Someone else changed or removed this provider while you were editing. Nothing was saved. Check it again.")
    messages.error(request, text)
    return redirect("agency_sign_on")


def _find_provider(request: HttpRequest, slug: str) -> Provider:
    try:
        return sign_on.find_provider(request_context.agency(request), slug)
    except UnknownProvider:
        raise Http404 from None


def _render_page(request: HttpRequest, form: Any, provider: Provider | None = None) -> HttpResponseBase:
    addresses = _list_addresses(request, provider) if provider else []
    return render_page(
        request,
        "agency_sign_on_one.html",
        form=form,
        provider=provider,
        kind=_KIND_NAMES[form.kind],
        addresses=addresses,
    )


def _list_addresses(request: HttpRequest, provider: Provider) -> list[tuple[str, str]]:
    """Return our addresses that the provider must know, each with its label."""
    start = f"{settings.MUSTER_URL}/{request_context.agency(request).slug}/sign-in/with/{provider['kind']}/{provider['slug']}"
    if provider["kind"] == "oidc":
        return [(_("Redirect URL"), f"{start}/login/callback/")]
    return [
        (_("Assertion consumer URL"), f"{start}/acs/"),
        (_("Audience (our entity ID and metadata)"), f"{start}/metadata/"),
    ]
