"""What follows when the database went back in time: by a restored backup, or by a recovery of PostgreSQL's own."""

from dataclasses import dataclass
from datetime import datetime

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import connection

from musterbook.directory import models
from musterbook.directory.audit import anchors
from musterbook.directory.storage import frames


@dataclass(frozen=True, slots=True)
class WaitingWork:
    """What workers will do, by the database: emails and webhook messages to send, and imports to run or to claim again."""

    emails: int
    messages: int
    imports: int


def count_waiting() -> WaitingWork:
    """Count what workers will do. Some of it may have been done after the time to which the database went back."""
    return WaitingWork(
        models.Mail.objects.filter(ended_at=None).count(),
        models.WebhookMessage.objects.filter(ended_at=None).count(),
        models.Import.objects.filter(state__in=("waiting", "running")).count(),
    )


def list_active_agencies() -> list[str]:
    """Return the slugs of the agencies that are not paused: one that moved away since then is among them again."""
    return list(models.Agency.objects.filter(paused_at=None).order_by("slug").values_list("slug", flat=True))


def accept_recovery(at: datetime) -> None:
    """End all sessions, and note the chain heads of now as those that count: older notes may know more links."""
    end_sessions()
    anchors.record_restore(at)


def end_sessions() -> None:
    """Delete all sessions, with the sign-ins that wait in them: some had ended since, and would be back."""
    existing = set(connection.introspection.table_names())  # of an older version, before any migration
    with connection.cursor() as cursor:
        for table in sorted(existing & {frames.table(Session), frames.table(UserSession)}):
            cursor.execute(f"DELETE FROM {table}")
