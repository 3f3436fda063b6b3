"""Nothing that was typed is lost: forms sent after a session ended, or with a stale token, are kept and continued.

This is one middleware and one page for all pages. Files are kept by `imports.pending_uploads`.
"""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRedirect

from musterbook.accounts.models import Account
from musterbook.http import browsers, kept_forms, request_context
from musterbook.web.imports import submission, uploads
from musterbook.web.permission import require_sign_in

_REDIRECT_HEADERS = ("Location", "HX-Redirect")
_OPEN = ("account_login", "account_reset_password", "register", "register_here", "reset", "reset_here")
"""The names of pages whose forms need no sign-in."""


def middleware(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Keep a form that is answered with the sign-in page, and let the user continue with it after signing in.

    Drop a kept form once it is sent again. Answer a GET of an address that accepts only forms with its page.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = respond(request)
        if getattr(request, "agency", None) is None or request.urlconf != "musterbook.web.urls":
            return response
        if request.method == "POST":
            if isinstance(request.user, Account) and kept_forms.TOKEN in request.POST:
                kept_forms.forget_form(request, request.POST[kept_forms.TOKEN])
            elif not request.user.is_authenticated and not request_context.is_for_script(request):
                _keep_refused(request, response)
        elif response.status_code == HTTPStatus.METHOD_NOT_ALLOWED and request.method == "GET":
            page = _find_page(request)
            return redirect(page) if request.user.is_authenticated else redirect_to_login(page)
        return response

    return answer


def _keep_refused(request: HttpRequest, response: HttpResponseBase) -> None:
    """Keep the form if the response leads to the sign-in page and back. The way back then leads to the kept form.

    Keep nothing of strangers: someone must have signed in with this browser before.
    """
    header = next((name for name in _REDIRECT_HEADERS if name in response.headers), "")
    parts = urlsplit(response.headers.get(header, ""))
    leads_back = parts.path == reverse("account_login") and "next" in parse_qs(parts.query)
    if not leads_back or not browsers.find_any_browser(request):
        return
    if submission.is_waiting_page(parse_qs(parts.query)["next"][0]):
        messages.info(request, _("Your file is kept. It continues after you sign in."))
        return
    name = request.resolver_match.url_name if request.resolver_match else ""
    if name in uploads.PAGES:
        messages.info(request, _("Your file was not kept, and nothing has changed. Select it again after you sign in."))
        return
    token = kept_forms.keep_form(request)
    if token:
        messages.info(request, _("What you sent is kept. It continues after you sign in."))
        back = redirect_to_login(reverse("continue_form", args=[token]))
        response.headers[header] = back.headers["Location"]
    else:
        messages.error(request, _("What you sent could not be kept, and nothing has changed."))


def _find_page(request: HttpRequest) -> str:
    """Return the address of the page that an address without a page of its own belongs to: the next one above it."""
    path = request.path_info.rstrip("/")
    while path:
        path = path.rpartition("/")[0]
        for candidate in (path, f"{path}/"):
            try:
                match = resolve(candidate)
            except Resolver404:
                continue
            return reverse(match.view_name, args=match.args, kwargs=match.kwargs)
    return reverse("home")


@require_safe
@require_sign_in
def continue_form(request: HttpRequest, token: str) -> HttpResponseBase:
    """Show the page that sends a kept form again.

    Scripts send it at once if it is known that the same user sent it before.
    """
    form = kept_forms.find_form(request, token)
    if form is None:
        kept_forms.forget_form(request, token)
        return render(request, "kept_form_gone.html", status=HTTPStatus.NOT_FOUND)
    return _render_form(
        request, form.address, form.fields.lists(), token, at_once=form.owner is not None and not form.is_stale
    )


def _render_form(
    request: HttpRequest, address: str, fields: object, token: str, *, at_once: bool, status: HTTPStatus = HTTPStatus.OK
) -> HttpResponseBase:
    context = {
        "address": address,
        "fields": fields,
        "token": token,
        "token_field": kept_forms.TOKEN,
        "at_once": at_once,
    }
    return render(request, "kept_form.html", context, status=status)


def answer_stale(request: HttpRequest) -> HttpResponseBase | None:
    """Return the answer to a form of ours whose token was made for another sign-in, or None if it may be forged.

    A browser says that the form came from a page of ours (Origin). Its sender confirms it.
    """
    if getattr(request, "agency", None) is None or not _is_from_us(request):
        return None
    name = request.resolver_match.url_name if request.resolver_match else ""
    if not request.user.is_authenticated:
        if name in _OPEN:
            fields = [(field, values) for field, values in request.POST.lists() if field != "csrfmiddlewaretoken"]
            return _render_form(
                request, request.get_full_path(), fields, "", at_once=False, status=HTTPStatus.FORBIDDEN
            )
        return redirect_to_login(submission.keep_stale(request) if name in uploads.PAGES else request.get_full_path())
    if name in _OPEN:
        return redirect(settings.LOGIN_REDIRECT_URL)
    if name in uploads.PAGES:
        return redirect(submission.keep_stale(request))
    token = "" if request_context.is_for_script(request) else kept_forms.keep_form(request, is_stale=True)
    address = reverse("continue_form", args=[token]) if token else reverse("home")
    return HttpResponseClientRedirect(address) if request_context.is_part(request) else redirect(address)


def _is_from_us(request: HttpRequest) -> bool:
    origin = f"{request.scheme}://{request.get_host()}"
    return request.headers.get("Origin") in {origin, *settings.CSRF_TRUSTED_ORIGINS}
