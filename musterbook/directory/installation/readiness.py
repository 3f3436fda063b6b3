"""Whether this process can answer requests: what `/readyz` says to load balancers and to people who run Musterbook."""

import time

from django.conf import settings
from django.db import Error

from musterbook.config import serve_run
from musterbook.directory.imports import heartbeats
from musterbook.directory.installation import migration
from musterbook.directory.storage import locks

_KEEP_SECONDS = 1.0
"""Seconds for which an answer is kept, so that no client can burden the database with the question."""


class _Last:
    """The last answer of this process, and when it was given."""

    obstacle, at = "", float("-inf")


def find_obstacle() -> str:
    """Return why this process should get no requests, or "". The reason is short and contains nothing secret."""
    if serve_run.is_draining():
        return "The server is stopping."
    if time.monotonic() - _Last.at >= _KEEP_SECONDS:
        _Last.obstacle, _Last.at = _check(), time.monotonic()
    return _Last.obstacle


def forget() -> None:
    """Check again at the next question."""
    _Last.at = float("-inf")


def _check() -> str:
    try:
        if locks.is_read_only():
            return "The database takes no changes."
        if migration.list_pending():
            return "The database lacks migrations. Run: muster migrate"
        if _needs_worker() and not heartbeats.has_live_worker():
            return "No worker is running."
    except (Error, OSError):
        return "The database cannot be used."
    return ""


def _needs_worker() -> bool:
    setting = str(settings.MUSTER_READY_WORKER)
    return serve_run.has_worker() if setting == "auto" else setting == "yes"
