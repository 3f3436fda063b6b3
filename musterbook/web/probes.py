"""The addresses for monitoring: `/readyz` for load balancers, `/metrics` for Prometheus.

`/healthz`, which says only that the process is alive, is answered by the server itself (`server.liveness`).
"""

import hmac
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from musterbook import metrics
from musterbook.config import serve_run
from musterbook.directory.installation import readiness
from musterbook.directory.storage import isolation

_PLAIN = "text/plain; charset=utf-8"
_SAFE = ("GET", "HEAD")
_View = Callable[[HttpRequest], HttpResponseBase]


def _require_safe(show: _View) -> _View:
    """Answer other methods than GET and HEAD with 405, as text: no person reads it."""

    @wraps(show)
    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.method in _SAFE:
            return show(request)
        headers = {"Allow": ", ".join(_SAFE)}
        return HttpResponse("Use GET.\n", status=HTTPStatus.METHOD_NOT_ALLOWED, content_type=_PLAIN, headers=headers)

    return answer


@csrf_exempt
@_require_safe
def show_readiness(_: HttpRequest) -> HttpResponseBase:
    """Answer `ok`, or 503 with the reason if this process should get no requests."""
    with isolation.open_to_all():
        obstacle = readiness.find_obstacle()
    if obstacle:
        return HttpResponse(f"{obstacle}\n", status=503, content_type=_PLAIN)
    return HttpResponse("ok", content_type=_PLAIN)


@csrf_exempt
@_require_safe
def show_metrics(request: HttpRequest) -> HttpResponseBase:
    """Show the metrics to a client that sends the token of MUSTER_METRICS_TOKEN. Without that setting, show nothing."""
    secrets = [secret for secret in (settings.MUSTER_METRICS_TOKEN, serve_run.get_secret()) if secret]
    if not secrets:
        raise Http404
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # All are compared, so that the time says nothing about which one is there.
    matches = [hmac.compare_digest(given.strip().encode(), secret.encode()) for secret in secrets]
    if scheme.lower() != "bearer" or not any(matches):
        if not settings.MUSTER_METRICS_TOKEN:
            raise Http404
        headers = {"WWW-Authenticate": 'Bearer realm="metrics"'}
        return HttpResponse(
            "Send the token of MUSTER_METRICS_TOKEN.\n", status=401, content_type=_PLAIN, headers=headers
        )
    with isolation.open_to_all():
        content_type, text = metrics.make_exposition()
    return HttpResponse(text, content_type=content_type)
