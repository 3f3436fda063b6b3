"""A worker of webhooks in a process of its own, for tests that kill it: `python -m tests.webhooks.driver COMMAND …`.

`make ADDRESS NUMBER` makes an agency with a webhook and so many messages, each about one of four subjects. `work` sends until
nothing waits, with leases of LEASE seconds. PAUSE names a step before which it stands still until it is killed.
"""

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import django

django.setup()

from musterbook.directory.storage import isolation

isolation.open_process()

from django.db import transaction

from musterbook.directory import models
from musterbook.directory.agency import webhooks
from musterbook.directory.audit import webhook_messages
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.audit.webhook_kinds import WebhookKind
from musterbook.webhooks import claims, requests, sending
from tests.directory import cast

STEPS = {"sent": (sending, "note"), "claimed": (claims, "renew"), "noted": (claims, "release")}
"""The steps of sending: the name of each, and the function that does it."""


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def main(command: str, *arguments: str) -> None:
    """Do what the test asks for."""
    if command == "make":
        make(arguments[0], int(arguments[1]))
        return
    seconds = float(os.environ.get("LEASE", "60"))
    claims.LEASE, requests.SECONDS, sending._MARGIN = timedelta(seconds=seconds), seconds / 2, 0.2
    for module, name in (STEPS[step] for step in STEPS if step == os.environ.get("PAUSE")):
        setattr(module, name, stand_still)
    while models.WebhookMessage.objects.filter(ended_at=None).exists():
        endpoint = claims.claim_next(f"worker-{os.getpid()}", now())
        if endpoint:
            sending.serve(endpoint, now)
        time.sleep(0.02)


def stand_still(*_: Any, **__: Any) -> None:
    """Say that the step is reached, and wait to be killed."""
    print("reached", flush=True)
    time.sleep(600)


def make(address: str, number: int) -> None:
    """An agency, a webhook, and messages."""
    made = cast.agency()
    context = AuditContext(now(), "", "cli")
    endpoint, _ = webhooks.add(made, {"name": "payroll", "address": address, "kinds": ["*"]}, context, None)
    with transaction.atomic():
        for each in range(number):
            subject = f"user:{each % 4}"
            webhook_messages.queue_for(
                endpoint.pk, WebhookKind.TEST, subject, now(), {"subject": subject, "number": each}
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
