"""Page limits by address or known browser: beyond the limit the answer is 429, and an event is recorded."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from musterbook.accounts import limits
from musterbook.http import browsers, refusals, request_context

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]
WHY = "too many attempts"
"""The reason in the log and in the audit trail."""


def limit_by_address(rate: str, *methods: str) -> Callable[[View[P]], View[P]]:
    """Limit the view by address.

    `methods`: the HTTP methods that count, or all if none is named. Other methods are not limited.
    """

    def limit(view: View[P]) -> View[P]:
        @wraps(view)
        def limited(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            counts = not methods or request.method in methods
            if counts and not take(request, rate):
                return render_refusal(request, rate)
            return view(request, *args, **kwargs)

        limited.rate = rate  # type: ignore[attr-defined]  # for the tests that attack every page
        return limited

    return limit


def take(request: HttpRequest, rate: str) -> bool:
    """Count the request against a limit by address, and return whether it is allowed."""
    return limits.take(rate, _find_place(request, rate), request_context.audit_context(request).at)


def give_back(request: HttpRequest, rate: str) -> None:
    """Take back what `take` counted for the request, because it succeeded and only failures count."""
    limits.give_back(rate, _find_place(request, rate))


def _find_place(request: HttpRequest, rate: str) -> str:
    """Return the place that the limit counts: the browser or the address.

    It is the browser if the limit is by browser, and a user has signed in there before.
    """
    browser = browsers.find_any_browser(request) if limits.RATES[rate].per == limits.BROWSER else ""
    return f"browser {browser}" if browser else limits.normalize_address(request_context.audit_context(request).address)


def render_refusal(request: HttpRequest, rate: str) -> HttpResponseBase:
    """Return the page that asks the user to wait, and record the refusal in the log and the audit trail."""
    refusals.record_refusal(request, WHY)
    seconds = limits.get_wait_seconds(rate)
    response = render(request, "429.html", {"minutes": seconds // 60}, status=HTTPStatus.TOO_MANY_REQUESTS)
    response.headers["Retry-After"] = str(seconds)
    return response
