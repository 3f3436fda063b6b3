"""The list of webhooks, and the page of one webhook with its messages."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRefresh

from musterbook.directory import models
from musterbook.directory.agency import webhooks
from musterbook.directory.agency.vocabularies import NotAllowed
from musterbook.directory.agency.webhooks import UnknownWebhook
from musterbook.directory.imports import heartbeats
from musterbook.http import request_context
from musterbook.web import parsers
from musterbook.web.agency.settings import find_operator
from musterbook.web.permission import may, needs, refuse
from musterbook.web.webhooks import words

P = ParamSpec("P")
WebhookView: TypeAlias = Callable[Concatenate[HttpRequest, models.WebhookEndpoint, P], HttpResponseBase]


@require_GET
@needs(webhooks.PERMISSION)
def listed(request: HttpRequest) -> HttpResponseBase:
    """List the webhooks of the agency that the user may see."""
    agency = request_context.agency(request)
    visible = webhooks.list_webhooks(agency, find_operator(request))
    context = {
        "rows": [words.describe(endpoint) for endpoint in visible],
        "hidden": webhooks.count_webhooks(agency) - len(visible),
    }
    return render(request, "webhooks.html", context)


def for_managers(view: WebhookView[P]) -> Callable[..., HttpResponseBase]:
    """Pass the agency's webhook with this name to the view, if the user may manage it. Otherwise refuse."""

    @needs(webhooks.PERMISSION)
    @wraps(view)
    def guarded(request: HttpRequest, /, name: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        by = find_operator(request)
        try:
            endpoint = webhooks.find_webhook(request_context.agency(request), name, None)
            lacking = webhooks.list_lacking(endpoint.kinds, by)
            return refuse(request, *lacking) if lacking else view(request, endpoint, *args, **kwargs)
        except UnknownWebhook:  # there is none, or someone removed it a moment ago
            raise Http404 from None
        except NotAllowed:  # someone chose more kinds a moment ago
            return refuse(request, *webhooks.list_lacking(endpoint.kinds, by))

    return guarded


@require_GET
@for_managers
def one(request: HttpRequest, endpoint: models.WebhookEndpoint) -> HttpResponseBase:
    """Show one webhook and its messages. A part of it is the progress of those that wait."""
    progress = _describe_progress(endpoint)
    if request_context.is_part(request):
        return (
            render(request, "webhook_progress.html", progress) if progress["progress"] else HttpResponseClientRefresh()
        )
    before = parsers.parse_number(request.GET.get("before", ""), 2**63 - 1) or 0
    given_up = request.GET.get("show") == "given-up"
    page = webhooks.read_page(endpoint, before, given_up=given_up)
    waiting, failed = webhooks.count_messages(endpoint)
    context = (
        words.describe(endpoint)
        | progress
        | {
            "messages_sent": [words.describe_message(message) for message in page.messages],
            "page": page,
            "given_up": given_up,
            "former_until": webhooks.list_former_ends(endpoint, datetime.now(UTC)),
            "waiting": waiting,
            "failed": failed,
            "may_view": may(request, "users.view"),
            "may_send": not (endpoint.paused_at or endpoint.disabled_at),
        }
    )
    return render(request, "webhook.html", context)


def _describe_progress(endpoint: models.WebhookEndpoint) -> dict[str, Any]:
    """Return what happens at this moment: messages that wait for their first attempt are sent."""
    if not webhooks.is_sending(endpoint):
        return {"progress": ""}
    return {"progress": "send" if heartbeats.has_live_worker() else "none"}
