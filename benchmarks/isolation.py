"""What row-level security costs: the same work with it and without it, in turn, on one PostgreSQL.

The figures are processor time, of Python and PostgreSQL together, so that they mean something on a busy machine too.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from django.db import connection
from django.test import Client

from benchmarks.pages import sign_in
from musterbook.directory import models
from musterbook.directory.imports import worker
from musterbook.directory.storage import isolation
from musterbook.feeds import rounds

MANNERS = {"on": True, "off": False}
"""The two manners, and whether policies are in force in each."""
_SEARCHED = "bondarenko"


def switch(*, on: bool) -> None:
    """Put the policies of all tables in force, or out of force."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tablename FROM pg_policies WHERE schemaname = current_schema()")
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} {'ENABLE' if on else 'DISABLE'} ROW LEVEL SECURITY")


def time_pairs(agency: models.Agency, runs: int) -> dict[str, list[float]]:
    """Return the seconds of each run, by the work and the manner. A single run is not preceded by one that is not timed."""
    client = sign_in(agency)
    works = {
        "All Users": lambda: _get(client, f"/{agency.slug}/users/"),
        "search": lambda: _get(client, f"/{agency.slug}/users/?q={_SEARCHED}"),
        "a user": lambda: _get(client, f"/{agency.slug}/users/{_find_user(agency)}/"),
        "claim of an import": _claim_import,
        "claim of a feed": _claim_feed,
    }
    seconds: dict[str, list[float]] = {f"{name}, {manner}": [] for name in works for manner in MANNERS}
    for number in range(runs + (runs > 1)):
        for manner, on in MANNERS.items():
            switch(on=on)
            for name, work in works.items():
                taken = _time(work)
                if number or runs == 1:
                    seconds[f"{name}, {manner}"].append(taken)
    return seconds


def time_import(run: Callable[[], object], *, on: bool) -> float:
    """Return the seconds of an import with row-level security, or without it."""
    switch(on=on)
    return _time(run)


def _time(work: Callable[[], object]) -> float:
    since = _read_seconds()
    work()
    return _read_seconds() - since


def _read_seconds() -> float:
    """Return the processor time of this process and of its session of PostgreSQL. Where that is not known, return the time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        spent = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")
    if spent.exists():
        return time.process_time() + int(spent.read_text().split()[0]) / 1e9
    return time.perf_counter()


def _get(client: Client, address: str) -> None:
    answer = client.get(address)
    if answer.status_code != 200:
        raise SystemExit(f"{address} answered {answer.status_code}.")


def _find_user(agency: models.Agency) -> int:
    with isolation.limit_to(agency.pk):
        return int(models.User.objects.filter(agency=agency).order_by("pk").values_list("pk", flat=True)[0])


def _claim_import() -> None:
    worker.run_next_import("bench", lambda: datetime.now(UTC))


def _claim_feed() -> None:
    rounds.check_next_feed("bench", lambda: datetime.now(UTC))
