"""What the processes that answer requests count themselves: requests and sign-ins. The database has all other metrics.

Under `muster serve`, each process writes its counters into the folder of the run (`serve_run`), and a scrape adds them up.
They begin at zero when the server starts. A label never has a value that a client chooses.
"""

import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from musterbook.config import serve_run

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name, its kind (counter, gauge or histogram), what it says, and the names of its labels."""

    name: str
    kind: str
    about: str
    labels: tuple[str, ...] = ()


REQUESTS = Family(
    "musterbook_request_duration_seconds", "histogram",
    "Seconds in which a page or the API answered, by the pattern of the address, the method and the class of the status.",
    ("route", "method", "status"),
)  # fmt: skip
REFUSED = Family(
    "musterbook_requests_refused_total", "counter",
    "Requests that the server refused before a page could answer: the client was too slow, or there was no room.", ("status",),
)  # fmt: skip
SIGN_INS = Family("musterbook_sign_ins_total", "counter", "Sign-ins by result.", ("result",))
FAMILIES = (REQUESTS, REFUSED, SIGN_INS)
"""The metrics that processes count themselves."""
RESULTS = ("signed in", "signed in again", "failed", "too many failures", "locked")
"""The results of a sign-in. “locked”: a failure that locked the user; it counts as “failed” as well."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods that are counted by name. All others are “other”."""
SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
"""The upper bounds in seconds by which requests are counted."""


_making = threading.Lock()


def _load() -> "tuple[Histogram, Counter, Counter]":
    """Return the counters. The first requests of a process arrive at the same time, and one of them makes the counters."""
    with _making:
        return _make()


@cache
def _make() -> "tuple[Histogram, Counter, Counter]":
    """Make the counters. A command that answers no request starts faster without their library."""
    from prometheus_client import Counter, Histogram, disable_created_metrics

    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it
    requests = Histogram(REQUESTS.name, REQUESTS.about, REQUESTS.labels, buckets=SECONDS)
    refused = Counter(REFUSED.name, REFUSED.about, REFUSED.labels)
    sign_ins = Counter(SIGN_INS.name, SIGN_INS.about, SIGN_INS.labels)
    for result in RESULTS:
        sign_ins.labels(result)
    return requests, refused, sign_ins


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count a request that was answered. `route`: the pattern of the page's address."""
    named = method if method in METHODS else "other"
    _load()[0].labels(route, named, f"{status // 100}xx").observe(seconds)


def count_refused(status: int) -> None:
    """Count a request that the server refused itself."""
    _load()[1].labels(str(int(status))).inc()


def count_sign_in(result: str) -> None:
    """Count a sign-in by one of RESULTS."""
    _load()[2].labels(result).inc()


def open_registry() -> "CollectorRegistry":
    """Return a new registry with the counters of all processes of this run, or else of this process."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry, own = CollectorRegistry(auto_describe=False), _load()
    if serve_run.has_counters():
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types for it
    else:
        for counter in own:
            registry.register(counter)
    return registry
