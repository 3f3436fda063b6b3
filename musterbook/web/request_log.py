"""The id of each request, its place in the metrics, and the log entries of refused requests.

Users find a request in the log by its id.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from musterbook.accounts.models import Account, Token
from musterbook.config import counters, log_lines, logs
from musterbook.web import hosts

HEADER = "X-Request-ID"
_REFUSED = {400, 401, 403, 405, 411, 413, 503}
"""The statuses of refused requests. Status 429 is logged where it is decided."""
_LOG = logging.getLogger(__name__)


def numbers(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Assign an id to each request.

    It is on each line of the log, in a header of the response, and on error pages.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        number, began = secrets.token_hex(8), time.monotonic()
        with log_lines.use_number(number):
            response = respond(request)
            method, seconds = request.method or "", time.monotonic() - began
            counters.count_request(_find_route(request), method, response.status_code, seconds)
            if response.status_code in _REFUSED and request.path_info != hosts.READINESS:
                logs.SECURITY.warning("Refused with %d: %s", response.status_code, _describe_request(request))
            if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                # Such a response is always deliberate: Django would log it as an error, which doctor and alerts count.
                vars(response)["_has_been_logged"] = True
        response.headers[HEADER] = number
        if isinstance(response, StreamingHttpResponse) and isinstance(response.streaming_content, Iterator):
            response.streaming_content = _number_parts(response.streaming_content, number)
        return response

    return answer


def _find_route(request: HttpRequest) -> str:
    """Return the pattern of the page's address for the metrics: never what a client chose."""
    if request.resolver_match:
        return f"{'/<agency>' if hasattr(request, 'agency') else ''}/{request.resolver_match.route}"
    return "static" if request.path_info.startswith(str(settings.STATIC_URL)) else "none"


def _number_parts(parts: Iterator[bytes], number: str) -> Iterator[bytes]:
    """Yield the parts that are sent after the view has returned. An error in them is visible only in the log."""
    with log_lines.use_number(number):
        try:
            yield from parts
        except Exception:
            _LOG.exception("A response was interrupted")
            raise


def _describe_request(request: HttpRequest) -> str:
    """Return the request, its user or the token that it has, and its source address as text."""
    agency = getattr(request, "agency", None)
    match = request.resolver_match
    route = f"/{match.route}" if match else ascii(request.path_info[:200])[1:-1]
    account, token = vars(request).get("_cached_user"), vars(request).get("token")
    by = account.user.external_id if isinstance(account, Account) else "nobody"
    if isinstance(token, Token):
        by = f"{token.maker.external_id} with the token …{token.ending}"
    return f"{request.method} {agency.slug if agency else ''}{route} by {by} from {_find_address(request)}"


def _find_address(request: HttpRequest) -> str:
    try:
        return log_lines.quote_address(str(get_adapter().get_client_ip(request)))
    except PermissionDenied:
        return log_lines.quote_address(str(request.META.get("REMOTE_ADDR", "?")))
