"""Each request's number, by which people find it in the log; and what the log says of requests that are refused."""

import logging
import secrets
from collections.abc import Callable, Iterator

from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from musterbook import log_lines, logs
from musterbook.accounts.models import Account

HEADER = "X-Request-ID"
_REFUSED = {400, 401, 403, 405, 411, 413, 503}
"""The statuses of requests that were refused; 429 is logged where it is decided."""
_LOG = logging.getLogger(__name__)


def numbers(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Gives each request a number of its own: on each line of the log, in a header of the answer, on the page of an error."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        number = secrets.token_hex(8)
        with log_lines.numbered(number):
            response = respond(request)
            if response.status_code in _REFUSED:
                logs.SECURITY.warning("Refused with %d: %s", response.status_code, _about(request))
        response.headers[HEADER] = number
        if isinstance(response, StreamingHttpResponse) and isinstance(response.streaming_content, Iterator):
            response.streaming_content = _numbered(response.streaming_content, number)
        return response

    return answer


def _numbered(parts: Iterator[bytes], number: str) -> Iterator[bytes]:
    """What is sent after the page is done; an error in it can be seen in the log alone."""
    with log_lines.numbered(number):
        try:
            yield from parts
        except Exception:
            _LOG.exception("An answer broke off")
            raise


def _about(request: HttpRequest) -> str:
    """What was asked for, by whom and from where."""
    agency = getattr(request, "agency", None)
    match = request.resolver_match
    place = f"/{match.route}" if match else ascii(request.path_info[:200])[1:-1]
    account = vars(request).get("_cached_user")
    by = account.user.external_id if isinstance(account, Account) else "nobody"
    return f"{request.method} {agency.slug if agency else ''}{place} by {by} from {_address(request)}"


def _address(request: HttpRequest) -> str:
    try:
        return str(get_adapter().get_client_ip(request))
    except PermissionDenied:
        return str(request.META.get("REMOTE_ADDR", "?"))
