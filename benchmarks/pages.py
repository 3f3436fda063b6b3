"""Whole pages on the server, timed: requested as a browser does, through sessions, permissions and templates."""

import time
from datetime import UTC, datetime

from django.test import Client

from benchmarks import addresses
from musterbook.accounts import registration
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext

_PASSWORD = "a quiet brown heron"
_HTMX = {"HX-Request": "true"}


def measure_pages(agency: models.Agency, runs: int) -> dict[str, list[float]]:
    """Return the seconds of each run, by the description of the page. A single run is not preceded by one that is not timed."""
    client = sign_in(agency)
    pages = dict([*addresses.list_user_pages(agency, datetime.now(UTC)), *addresses.list_other_pages(agency)])
    seconds: dict[str, list[float]] = {name: [] for name in pages}
    for address in pages.values() if runs > 1 else ():
        _time_request(client, address)
    for _ in range(runs):
        for name, address in pages.items():
            seconds[name].append(_time_request(client, address))
    return seconds


def _time_request(client: Client, address: str) -> float:
    since = time.perf_counter()
    answer = client.get(address, headers=_HTMX if "typed" in address else None)
    seconds = time.perf_counter() - since
    if answer.status_code != 200:
        raise SystemExit(f"{address} answered {answer.status_code}.")
    return seconds


def sign_in(agency: models.Agency) -> Client:
    """Return a browser in which an administrator is signed in: one of the users, who becomes one."""
    invited = models.User.objects.filter(agency=agency, active=True, registered_at=None)
    user = invited.select_related("agency").order_by("pk")[0]
    models.User.objects.filter(pk=user.pk).update(role=models.Role.objects.get(agency=agency, administrator=True))
    context = AuditContext(datetime.now(UTC), "", "cli")
    registration.register(agency, registration.issue_invitation(user, context).rpartition("/")[2], _PASSWORD, context)
    client = Client(SERVER_NAME="localhost")
    client.post(f"/{agency.slug}/sign-in", {"login": user.username, "password": _PASSWORD})
    return client
