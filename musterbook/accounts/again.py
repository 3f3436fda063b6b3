"""Signing in again: what is grave is done only by who has signed in within the last quarter of an hour."""

import time

from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.http import HttpRequest


def is_recent(request: HttpRequest) -> bool:
    """Whether the user has signed in, in any way, or signed in again, recently enough."""
    records = get_authentication_records(request, request.user)
    latest = max((record["at"] for record in records), default=0)
    return bool(time.time() - latest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)
