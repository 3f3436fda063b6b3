"""What can be done with webhooks: add, change, test, send again, rotate the secret, pause, resume and remove."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from musterbook.directory import models
from musterbook.directory.agency import webhooks
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.agency.webhook_values import InvalidWebhook
from musterbook.directory.agency.webhooks import UnknownMessage
from musterbook.http import request_context
from musterbook.web.agency.settings import find_operator
from musterbook.web.permission import needs, refuse
from musterbook.web.webhooks.forms import NewWebhookForm, RotateForm, WebhookForm
from musterbook.web.webhooks.pages import for_managers


@never_cache
@needs(webhooks.PERMISSION)
def add(request: HttpRequest) -> HttpResponseBase:
    """Add a webhook. The response shows its secret, which is never shown again."""
    by = find_operator(request)
    lacking = webhooks.list_lacking(request.POST.getlist("kinds"), by)
    if lacking:
        return refuse(request, *lacking)
    form = NewWebhookForm(request.POST if request.method == "POST" else None, by=by)
    if form.is_bound and form.is_valid():
        context = request_context.audit_context(request)
        try:
            endpoint, secret = webhooks.add(request_context.agency(request), form.read_values(), context, by)
        except InvalidWebhook as unfit:
            form.place_errors(unfit)
        else:
            return render(request, "webhook_secret.html", {"webhook": endpoint, "secret": secret, "is_new": True})
    return render(request, "webhook_add.html", {"form": form}, status=422 if form.errors else 200)


@for_managers
def change(request: HttpRequest, endpoint: models.WebhookEndpoint) -> HttpResponseBase:
    """Change the address and the kinds of messages."""
    by = find_operator(request)
    lacking = webhooks.list_lacking(request.POST.getlist("kinds"), by)
    if lacking:
        return refuse(request, *lacking)
    form = WebhookForm(request.POST if request.method == "POST" else None, by=by, endpoint=endpoint)
    if form.is_bound and form.is_valid():
        try:
            webhooks.change(endpoint, form.read_values(), request_context.audit_context(request), by)
        except InvalidWebhook as unfit:
            form.place_errors(unfit)
        else:
            messages.success(request, _("The settings were saved."))
            return redirect("webhook", endpoint.name)
    return render(
        request, "webhook_change.html", {"webhook": endpoint, "form": form}, status=422 if form.errors else 200
    )


@never_cache
@for_managers
def rotate(request: HttpRequest, endpoint: models.WebhookEndpoint) -> HttpResponseBase:
    """Make a new secret. The response shows it, and it is never shown again."""
    form = RotateForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        context, hours = request_context.audit_context(request), form.cleaned_data["hours"]
        secret = webhooks.rotate(endpoint, hours, context, find_operator(request))
        return render(request, "webhook_secret.html", {"webhook": endpoint, "secret": secret, "hours": hours})
    return render(
        request, "webhook_rotate.html", {"webhook": endpoint, "form": form}, status=422 if form.errors else 200
    )


@require_POST
@for_managers
def test(request: HttpRequest, endpoint: models.WebhookEndpoint) -> HttpResponseBase:
    """Send a test message."""
    try:
        webhooks.send_test(endpoint, request_context.audit_context(request), find_operator(request))
    except InvalidValue as unfit:
        messages.error(request, unfit.sentence)
    else:
        messages.success(request, _("A test message will be sent now. Its result is shown below."))
    return redirect("webhook", endpoint.name)


@require_POST
@for_managers
def send_again(request: HttpRequest, endpoint: models.WebhookEndpoint) -> HttpResponseBase:
    """Send one message again, or all that were given up."""
    context, by = request_context.audit_context(request), find_operator(request)
    webhook_id = request.POST.get("message", "")
    try:
        if webhook_id:
            webhooks.send_again(endpoint, webhook_id, context, by)
            messages.success(request, _("The message will be sent again now."))
        else:
            number = webhooks.send_all_again(endpoint, context, by)
            text = ngettext("%(number)d message will be sent again.", "%(number)d messages will be sent again.", number)
            messages.success(request, text % {"number": number})
    except UnknownMessage:
        raise Http404 from None
    except InvalidValue as unfit:
        messages.error(request, unfit.sentence)
    return redirect("webhook", endpoint.name)


@require_POST
@for_managers
def pause(request: HttpRequest, endpoint: models.WebhookEndpoint) -> HttpResponseBase:
    """Pause the webhook."""
    webhooks.pause(endpoint, request_context.audit_context(request), find_operator(request))
    text = _("The webhook %(name)s is paused. Its messages wait for up to three days.")
    messages.success(request, text % {"name": endpoint.name})
    return redirect("webhook", endpoint.name)


@require_POST
@for_managers
def resume(request: HttpRequest, endpoint: models.WebhookEndpoint) -> HttpResponseBase:
    """Resume the webhook, or try its messages at once."""
    webhooks.resume(endpoint, request_context.audit_context(request), find_operator(request))
    messages.success(request, _("Messages of the webhook %(name)s will be sent now.") % {"name": endpoint.name})
    return redirect("webhook", endpoint.name)


@for_managers
def remove(request: HttpRequest, endpoint: models.WebhookEndpoint) -> HttpResponseBase:
    """Ask for confirmation, or remove the webhook."""
    if request.method == "POST":
        webhooks.remove(endpoint, request_context.audit_context(request), find_operator(request))
        messages.success(request, _("The webhook %(name)s was removed.") % {"name": endpoint.name})
        return redirect("webhooks")
    return render(request, "webhook_remove.html", {"webhook": endpoint})
