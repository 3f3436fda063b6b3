"""The words of webhooks and messages on pages."""

import json
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from musterbook.directory import models
from musterbook.directory.agency import webhook_problems, webhook_values
from musterbook.directory.agency.webhook_values import Attempt
from musterbook.directory.audit.webhook_kinds import CHOICES, WebhookKind

STATES = {
    "fine": gettext_lazy("Fine"),
    "failing": gettext_lazy("Failing"),
    "paused": gettext_lazy("Paused"),
    "disabled": gettext_lazy("Disabled"),
}
"""The states of webhooks, each with its label."""
SUBJECTS = {
    "user": gettext_lazy("Users"),
    "import": gettext_lazy("Imports"),
    "feed": gettext_lazy("Feeds"),
}
"""The first part of a kind of message, with the title of its group."""


def describe(endpoint: models.WebhookEndpoint) -> dict[str, Any]:
    """Return a webhook with its words."""
    state = endpoint.state
    return {
        "webhook": endpoint,
        "state": state,
        "label": STATES[state],
        "kinds": _summarize(endpoint.kinds),
        "problem": webhook_problems.translate_problem(endpoint.disabled_why or endpoint.problem),
    }


def _summarize(kinds: list[str]) -> str:
    """Return the kinds in short: `user.*` for all kinds that begin so."""
    parts: list[str] = []
    for subject in SUBJECTS:
        every = [kind.value for kind in CHOICES if kind.startswith(f"{subject}.")]
        chosen = [kind for kind in every if kind in kinds]
        parts += [f"{subject}.*"] if chosen == every else chosen
    return ", ".join(parts)


def describe_message(message: models.WebhookMessage) -> dict[str, Any]:
    """Return a message with its words: its result, and its last attempt."""
    if message.delivered:
        result, mark = _("Delivered"), "fine"
    elif message.ended_at:
        result, mark = _("Given up"), "failed"
    else:
        result, mark = (_("Will be tried again"), "late") if message.attempts else (_("Waiting"), "waiting")
    name, page = _find_subject(message)
    return {
        "message": message,
        "result": result,
        "mark": mark,
        "about": _label_kind(message.kind),
        "name": name,
        "page": page,
        "problem": ""
        if message.delivered or not message.log
        else webhook_problems.translate_problem(message.log[-1]["problem"]),
        "attempts": [_describe_attempt(attempt) for attempt in webhook_values.list_attempts(message)],
    }


def _find_subject(message: models.WebhookMessage) -> tuple[str, str]:
    """Return the name of what the message is about, and the address of its page ("": none)."""
    try:
        data = json.loads(message.body)["data"]
    except (ValueError, KeyError):
        return "", ""
    kind, _colon, key = message.subject.partition(":")
    if kind == "user":
        return str(data.get("former_external_id") or data.get("external_id", "")), reverse("user", args=[key])
    if kind == "import":
        return str(data.get("import", "")), reverse("import", args=[key])
    if kind == "feed":
        return key, "" if message.kind == WebhookKind.FEED_REMOVED else reverse("feed", args=[key])
    return "", ""


def _describe_attempt(attempt: Attempt) -> dict[str, Any]:
    problem = webhook_problems.translate_problem(attempt.problem)
    took = _("%(number)s ms") % {"number": attempt.milliseconds}
    return {"at": attempt.at, "status": attempt.status, "problem": problem, "took": took}


def _label_kind(kind: str) -> str:
    known = {one.value: one for one in WebhookKind}
    return known[kind].label if kind in known else kind
