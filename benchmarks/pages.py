"""How long whole pages take on the server: asked for as a browser asks, through sessions, permissions and templates."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from django.test import Client

from benchmarks import listing
from musterbook.accounts import registration
from musterbook.directory import models
from musterbook.directory.trail import Act

_PASSWORD = "a quiet brown heron"
_HTMX = {"HX-Request": "true"}


def measured(agency: models.Agency, runs: int) -> dict[str, list[float]]:
    """Seconds of each run, by what the page is."""
    client, addresses = _signed_in(agency), dict(_addresses(agency))
    seconds: dict[str, list[float]] = {name: [] for name in addresses}
    for address in addresses.values():
        _ask(client, address)
    for _ in range(runs):
        for name, address in addresses.items():
            seconds[name].append(_ask(client, address))
    return seconds


def _ask(client: Client, address: str) -> float:
    since = time.perf_counter()
    answer = client.get(address, headers=_HTMX if "typed" in address else None)
    seconds = time.perf_counter() - since
    if answer.status_code != 200:
        raise SystemExit(f"{address} answered {answer.status_code}.")
    return seconds


def _signed_in(agency: models.Agency) -> Client:
    """A browser in which an administrator is signed in: one of the users, who is made one."""
    user = models.User.objects.filter(agency=agency, active=True).select_related("agency").order_by("pk")[0]
    models.User.objects.filter(pk=user.pk).update(role=models.Role.objects.get(agency=agency, administrator=True))
    act = Act(datetime.now(UTC), "", "cli")
    registration.register(agency, registration.issue(user, act).rpartition("/")[2], _PASSWORD, act)
    client = Client(SERVER_NAME="localhost")
    client.post(f"/{agency.slug}/sign-in", {"login": user.username, "password": _PASSWORD})
    return client


def _addresses(agency: models.Agency) -> Iterator[tuple[str, str]]:
    users, at = f"/{agency.slug}/users/", datetime.now(UTC)
    role, rank, group = (
        model.objects.get(agency=agency, name=name).pk
        for model, name in ((models.Role, "Officer"), (models.Rank, "Captain"), (models.Group, "UNIT-07"))
    )
    one = models.User.objects.filter(agency=agency, supervisor__isnull=False).order_by("pk")[0]
    yield "first page", users
    yield "deep page", f"{users}?place={listing.deep(agency, 'name', at)}"
    for sort in ("rank", "status", "last_sign_in"):
        yield f"by {sort}, descending", f"{users}?sort={sort}&desc=1"
    yield "role, 80 %", f"{users}?role={role}"
    yield "rank, 2 %", f"{users}?rank={rank}"
    yield "group, 1.7 %", f"{users}?group={group}"
    yield "Invited", f"{users}?status=Invited"
    for name, text in listing.TEXTS.items():
        yield f"search, {name}", f"{users}?q={text}"
    yield "search while one types", f"{users}?q=harbo&typed=1"
    yield "search and filter", f"{users}?q=harbor&rank={rank}"
    yield "one user", f"{users}{one.pk}/"
    yield "audit trail", f"/{agency.slug}/audit/"
