"""The end of a webhook that takes no messages: it is disabled, with an event and a notice to those who manage webhooks."""

from datetime import datetime

from musterbook.directory import models
from musterbook.directory.agency import webhooks
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import notice_facts, notices
from musterbook.directory.models import NoticeKind
from musterbook.directory.storage import locks


def disable(endpoint: models.WebhookEndpoint, why: str, at: datetime) -> bool:
    """Disable the webhook, and add the notice and its emails, in the caller's transaction.

    Do nothing, and return False, if it is disabled already, or has another address now.
    """
    locks.lock_row(endpoint.agency)
    is_disabled = webhooks.disable(endpoint, why, AuditContext(at, "", "system"))
    if is_disabled:
        notice = models.Notice.objects.create(
            agency=endpoint.agency, kind=NoticeKind.WEBHOOK, permission=webhooks.PERMISSION, at=at,
            facts=notice_facts.describe_webhook(endpoint, at),
        )  # fmt: skip
        notices.add_mails(notice)
    return is_disabled
