"""Refused requests, recorded in the log and in the audit trail of the requested agency."""

from dataclasses import replace

from django.http import HttpRequest

from musterbook.accounts import unauthenticated_events
from musterbook.accounts.models import Account
from musterbook.config import log_lines, logs
from musterbook.directory.audit.event_kinds import REFUSED, EventKind
from musterbook.directory.models import Agency, User
from musterbook.http import request_context


def record_refusal(request: HttpRequest, why: str) -> None:
    """Log a refused request, and record it in the audit trail of the requested agency.

    `why`: a constant of the program, in plain words, such as `too many attempts`. Repetitions are counted together for
    signed-in users too, who are the subject of the event. Another site can make their browser send as many requests as
    it likes.
    """
    requested = log_lines.redact(f"{request.method} {request.path_info}")[:200]
    context = request_context.audit_context(request)
    logs.SECURITY.warning("Refused %s from %s: %s", ascii(requested), log_lines.quote_address(context.address), why)
    agency: Agency | None = getattr(request, "agency", None)
    if agency is not None:
        changes = {"asked": ("", requested), "why": ("", why)}
        unauthenticated_events.record_event(
            agency, replace(context, actor=""), EventKind.REQUEST_REFUSED, _get_user(request), changes, outcome=REFUSED
        )


def _get_user(request: HttpRequest) -> User | None:
    account = getattr(request, "user", None)
    return account.user if isinstance(account, Account) else None
