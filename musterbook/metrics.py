"""The metrics of an installation, in the text format of Prometheus.

The database has most of them: they include what other processes did, and survive a restart. They are read when they are
requested, by a few narrow indexes, so a scrape costs the same however many users there are. Requests and sign-ins are counted
by the processes themselves (`config.counters`). No metric contains a name, not even that of an agency.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import Error
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

import musterbook
from musterbook.accounts import outbox
from musterbook.config import counters
from musterbook.config.counters import Family
from musterbook.directory.imports import heartbeats, totals
from musterbook.directory.imports.totals import Totals
from musterbook.feeds import lateness
from musterbook.webhooks import backlog

_LOG = logging.getLogger(__name__)
Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the number."""

INFO = Family("musterbook_info", "gauge", "The version of Musterbook; always 1.", ("version",))
DATABASE = Family(
    "musterbook_database_up", "gauge", "1 if the database can be used, else 0; then most metrics are missing."
)
SCRAPE = Family("musterbook_scrape_seconds", "gauge", "Seconds in which these metrics were read from the database.")
STAGES = Family(
    "musterbook_import_stage_seconds", "histogram",
    "Seconds that finished imports spent in each stage. “queued”: until a worker claimed the import.", ("stage",),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Reading:
    """Metrics that one function reads from the database: for each family, its samples."""

    families: tuple[Family, ...]
    read: Callable[[], tuple[Iterable[Sample], ...]]


def _read_workers() -> tuple[Iterable[Sample], ...]:
    return ([((), sum(one.worker != one.number for one in heartbeats.list_heartbeats()))],)


def _read_totals() -> tuple[Iterable[Sample], ...]:
    read = Totals()
    return (
        [((state,), read.count_imports(state)) for state in totals.END_STATES],
        [((outcome,), read.count_rows(outcome)) for outcome in totals.OUTCOMES],
    )


def _read_queue() -> tuple[Iterable[Sample], ...]:
    states, oldest = totals.read_queue()
    return [((state,), number) for state, number in states.items()], [((), oldest)], [((), totals.count_held())]


def _read_feeds() -> tuple[Iterable[Sample], ...]:
    states: Counter[str] = lateness.count_states(datetime.now(UTC))
    return ([((state,), states[state]) for state in lateness.STATES],)


def _read_emails() -> tuple[Iterable[Sample], ...]:
    waiting, failed, oldest = outbox.read_backlog(datetime.now(UTC))
    return [(("waiting",), waiting), (("failed",), failed)], [((), oldest)]


def _read_webhooks() -> tuple[Iterable[Sample], ...]:
    waiting, given_up, oldest = backlog.read_backlog(datetime.now(UTC))
    states = backlog.count_endpoints()
    return (
        [(("waiting",), waiting), (("given up",), given_up)],
        [((), oldest)],
        [((state,), states[state]) for state in backlog.ENDPOINT_STATES],
    )


_READINGS = (
    _Reading((Family("musterbook_workers", "gauge", "Workers with a fresh heartbeat."),), _read_workers),
    _Reading(
        (
            Family("musterbook_imports_total", "counter", "Imports and previews that have ended, by state.", ("state",)),
            Family("musterbook_import_rows_total", "counter", "Rows of applied imports, by outcome.", ("outcome",)),
        ),
        _read_totals,
    ),
    _Reading(
        (
            Family("musterbook_imports_open", "gauge", "Imports that wait for a worker, and those that run.", ("state",)),
            Family("musterbook_import_oldest_waiting_seconds", "gauge", "Age of the import that waits the longest; 0: none."),
            Family("musterbook_imports_held", "gauge", "Imports that wait for a person to confirm them."),
        ),
        _read_queue,
    ),
    _Reading((Family("musterbook_feeds", "gauge", "Feeds by state.", ("state",)),), _read_feeds),
    _Reading(
        (
            Family("musterbook_emails", "gauge", "Emails that wait, and those of the last weeks that failed.", ("state",)),
            Family("musterbook_email_oldest_waiting_seconds", "gauge", "Age of the email that waits the longest; 0: none."),
        ),
        _read_emails,
    ),
    _Reading(
        (
            Family("musterbook_webhooks", "gauge", "Messages of webhooks that wait, and those that were given up.", ("state",)),
            Family("musterbook_webhook_oldest_waiting_seconds", "gauge", "Age of the message that waits the longest; 0: none."),
            Family("musterbook_webhook_endpoints", "gauge", "Endpoints of webhooks by state.", ("state",)),
        ),
        _read_webhooks,
    ),
)  # fmt: skip


LABEL_VALUES = {
    "`state` of `musterbook_imports_total`": totals.END_STATES,
    "`outcome`": totals.OUTCOMES,
    "`stage`": totals.list_stages(),
    "`state` of `musterbook_feeds`": lateness.STATES,
    "`state` of `musterbook_emails`": ("waiting", "failed"),
    "`state` of `musterbook_webhooks`": ("waiting", "given up"),
    "`state` of `musterbook_webhook_endpoints`": backlog.ENDPOINT_STATES,
    "`result`": counters.RESULTS,
    "`method`": (*counters.METHODS, "other"),
    "`route`": ("/<agency>/users/", "static", "none"),
}
"""Which values labels have, for the reference. Those of `route` are examples."""


def list_families() -> tuple[Family, ...]:
    """Return all metrics, for the reference."""
    read = tuple(family for reading in _READINGS for family in reading.families)
    return (INFO, DATABASE, SCRAPE, *read, STAGES, *counters.FAMILIES)


def make_exposition() -> tuple[str, bytes]:
    """Return the content type of the metrics, and their text. Without the database, only those of the processes."""
    registry = counters.open_registry()
    registry.register(_Database())
    return CONTENT_TYPE_PLAIN_0_0_4, _write(registry)


def _write(registry: CollectorRegistry) -> bytes:
    text: bytes = generate_latest(registry)
    return text


class _Database(Collector):
    """The metrics that the database has."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        began, up = time.monotonic(), 1.0
        found: list[Metric] = []
        try:
            for reading in _READINGS:
                found += [
                    _make(family, samples) for family, samples in zip(reading.families, reading.read(), strict=True)
                ]
            found.append(_make_stages(Totals()))
        except (Error, OSError):
            _LOG.warning("The metrics could not be read from the database", exc_info=True)
            up, found = 0.0, []
        yield _make(INFO, [((musterbook.__version__,), 1)])
        yield _make(DATABASE, [((), up)])
        yield _make(SCRAPE, [((), time.monotonic() - began)])
        yield from found


def _make(family: Family, samples: Iterable[Sample]) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.about, labels=family.labels)
    for labels, value in samples:
        metric.add_metric(labels, value)
    return metric


def _make_stages(read: Totals) -> Metric:
    metric = HistogramMetricFamily(STAGES.name, STAGES.about, labels=STAGES.labels)
    for stage in totals.list_stages():
        metric.add_metric([stage], read.list_buckets(stage), read.sum_seconds(stage))
    return metric
