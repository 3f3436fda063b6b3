"""The messages of webhooks: written for each endpoint that wants them, in the transaction of what they report.

A message is small: what happened, to what, the names of the fields that changed, and a link. It has no value of a field.
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from django.conf import settings

from musterbook.directory import models
from musterbook.directory.audit.event_kinds import KINDS, EventKind
from musterbook.directory.audit.webhook_kinds import WebhookKind
from musterbook.directory.storage import frames

KEPT_TRYING = timedelta(days=3)
"""For this long a message is tried before it is given up."""
_FEW = 100
"""The most events whose kinds are looked at one by one."""
_NONCE = 12
"""The random bytes in the ID of a message."""
_OF_USERS = {
    EventKind.USER_ADDED: WebhookKind.USER_ADDED,
    EventKind.USER_UPDATED: WebhookKind.USER_UPDATED,
    EventKind.USER_REKEYED: WebhookKind.USER_UPDATED,
    EventKind.USER_REPLACED: WebhookKind.USER_UPDATED,
    EventKind.USER_DEACTIVATED: WebhookKind.USER_DEACTIVATED,
}
"""An event about a user → the message that reports it, unless the status of the user changed as well."""
_OF_FEEDS = {
    EventKind.FEED_ADDED: WebhookKind.FEED_ADDED,
    EventKind.FEED_CHANGED: WebhookKind.FEED_CHANGED,
    EventKind.FEED_SECRET_SET: WebhookKind.FEED_CHANGED,
    EventKind.FEED_HOST_KEY_ACCEPTED: WebhookKind.FEED_CHANGED,
    EventKind.FEED_TOKEN_MADE: WebhookKind.FEED_CHANGED,
    EventKind.FEED_REMOVED: WebhookKind.FEED_REMOVED,
    EventKind.FEED_PAUSED: WebhookKind.FEED_PAUSED,
    EventKind.FEED_RESUMED: WebhookKind.FEED_RESUMED,
}
"""An event about a feed → the message that reports it."""
_REPORTED = {kind.value for kind in (*_OF_USERS, *_OF_FEEDS)}
_ENDED, _BEGUN = '"STATUS":["Active","Inactive"]', '"STATUS":["Inactive","Active"]'
_NAME = r'"[A-Za-z0-9_ -]+":\['
"""The name of a field in the changes of an event. Quotation marks in values are escaped, so nothing else looks like it."""


@dataclass(slots=True)
class Outgoing:
    """The messages of one link of the audit trail. It looks for endpoints only if an event has a message."""

    agency: models.Agency
    at: datetime
    import_id: int | None = None
    _endpoints: dict[int, list[str]] | None = field(default=None, init=False)
    _number: str | None = field(default=None, init=False)

    def add(self, events: pl.DataFrame) -> None:
        """Write the messages of these events (`kind`, `subject_id`, `subject_external_id`, `changes`, `outcome`)."""
        if events.height <= _FEW and _REPORTED.isdisjoint(events["kind"].to_list()):
            return
        done = events.filter(pl.col("outcome") == "") if "outcome" in events.columns else events
        if _REPORTED.isdisjoint(done["kind"].unique()) or not self._find_endpoints():
            return
        for known, write in ((_OF_USERS, self._write_users), (_OF_FEEDS, self._write_feeds)):
            reported = done.filter(pl.col("kind").is_in([kind.value for kind in known]))
            if not reported.is_empty():
                write(reported)

    def _find_endpoints(self) -> dict[int, list[str]]:
        if self._endpoints is None:
            self._endpoints = find_endpoints(self.agency)
            if self._endpoints and self.import_id:
                imports = models.Import.objects.filter(pk=self.import_id)
                self._number = imports.values_list("number", flat=True).first()
        return self._endpoints

    def _write_users(self, events: pl.DataFrame) -> None:
        messages = build_user_messages(self.agency, self.at, self._number, events)
        for endpoint, kinds in self._find_endpoints().items():
            insert(endpoint, self.at, messages.filter(pl.col("kind").is_in(kinds)))

    def _write_feeds(self, events: pl.DataFrame) -> None:
        for kind, changes in events.select("kind", "changes").iter_rows():
            pairs = json.loads(changes)
            name = next((text for text in pairs.pop("feed", ()) if text), "")
            known = _OF_FEEDS[KINDS[kind]]
            data = describe_feed(self.agency, known, name, list(pairs))
            for endpoint, kinds in self._find_endpoints().items():
                if known in kinds:
                    queue_for(endpoint, known, name_feed(name), self.at, data)


def find_endpoints(agency: models.Agency) -> dict[int, list[str]]:
    """Return the endpoints of the agency that get messages, each with the kinds that it wants."""
    return dict(models.WebhookEndpoint.objects.filter(agency=agency, disabled_at=None).values_list("pk", "kinds"))


def name_feed(name: str) -> str:
    """Return the subject of messages about a feed."""
    return f"feed:{name}"


def describe_feed(agency: models.Agency, kind: WebhookKind, name: str, changed: Sequence[str]) -> dict[str, Any]:
    """Return the data of a message about the settings of a feed. `changed`: the names of its settings that changed."""
    link = make_link(agency, "feeds/" if kind is WebhookKind.FEED_REMOVED else f"feeds/{name}/")
    return {"agency": agency.slug, "feed": name, "changed": [*changed], "link": link}


def make_link(agency: models.Agency, page: str) -> str:
    """Return the address of a page of the agency."""
    return f"{settings.MUSTER_URL}/{agency.slug}/{page}"


def format_time(at: datetime) -> str:
    """Return a time as messages have it: RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def queue(
    agency: models.Agency, kind: WebhookKind, subject: str, at: datetime, make_data: Callable[[], Mapping[str, Any]]
) -> None:
    """Write one message for each endpoint that wants its kind, in the caller's transaction.

    `make_data`: returns the data of the message; it is called only if there is such an endpoint.
    """
    wanting = [endpoint for endpoint, kinds in find_endpoints(agency).items() if kind in kinds]
    data = make_data() if wanting else {}
    for endpoint in wanting:
        queue_for(endpoint, kind, subject, at, data)


def queue_for(endpoint: int, kind: WebhookKind, subject: str, at: datetime, data: Mapping[str, Any]) -> int:
    """Write one message for the endpoint with this id, in the caller's transaction. Return the id of the message."""
    message = {"kind": kind.value, "subject": subject, "body": compose(kind, at, data)}
    return insert(endpoint, at, pl.DataFrame([message]))[0]


def compose(kind: WebhookKind, at: datetime, data: Mapping[str, Any]) -> str:
    """Return the body of a message."""
    message = {"type": kind.value, "timestamp": format_time(at), "data": data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def build_user_messages(agency: models.Agency, at: datetime, number: str | None, events: pl.DataFrame) -> pl.DataFrame:
    """Return the messages (`kind`, `subject`, `body`) of events about users. `number`: the import that made them."""
    usual = {event.value: message.value for event, message in _OF_USERS.items()}
    kind = (
        pl.when(pl.col("kind") == EventKind.USER_ADDED.value).then(pl.lit(WebhookKind.USER_ADDED.value))
        .when(pl.col("changes").str.contains(_ENDED, literal=True)).then(pl.lit(WebhookKind.USER_DEACTIVATED.value))
        .when(pl.col("changes").str.contains(_BEGUN, literal=True)).then(pl.lit(WebhookKind.USER_REACTIVATED.value))
        .otherwise(pl.col("kind").replace_strict(usual, return_dtype=pl.String))
    )  # fmt: skip
    names = pl.col("changes").str.extract_all(_NAME).list.eval(pl.element().str.head(-2)).list.join(",")
    former = pl.col("changes").str.extract(r'^\{"EXTERNAL_ID":\["((?:[^"\\]|\\.)*)",')
    current = pl.col("changes").str.extract(r'^\{"EXTERNAL_ID":\["(?:[^"\\]|\\.)*","((?:[^"\\]|\\.)*)"\]')
    rekeyed = pl.col("kind") == EventKind.USER_REKEYED.value
    stored = pl.col("subject_external_id").str.replace_all(r'(["\\])', r"\$1")
    external_id = pl.when(rekeyed).then(current).otherwise(stored)
    head, middle = (
        f'","timestamp":"{format_time(at)}","data":{{"agency":{json.dumps(agency.slug)},"external_id":"',
        f'],"import":{json.dumps(number)},"link":"{make_link(agency, "users/")}',
    )
    before = pl.when(rekeyed).then(pl.concat_str(pl.lit('","former_external_id":"'), former)).otherwise(pl.lit(""))
    return events.select(
        kind=kind,
        subject=pl.format("user:{}", "subject_id"),
        body=pl.concat_str(
            pl.lit('{"type":"'), kind, pl.lit(head), external_id, before, pl.lit('","changed":['), names, pl.lit(middle),
            pl.col("subject_id").cast(pl.String), pl.lit('/"}}'),
        ),
    )  # fmt: skip


def insert(endpoint: int, at: datetime, messages: pl.DataFrame) -> list[int]:
    """Write these messages (`kind`, `subject`, `body`) for one endpoint, in their order. Return their ids."""
    if messages.is_empty():
        return []
    ids = frames.new_ids(models.WebhookMessage, messages.height)
    random = secrets.token_hex(_NONCE * messages.height)
    nonces = pl.Series([random[start : start + 2 * _NONCE] for start in range(0, len(random), 2 * _NONCE)])
    rows = messages.with_columns(
        id=ids,
        endpoint_id=pl.lit(endpoint, pl.Int64),
        webhook_id=pl.select(pl.format("msg_{}_{}", ids, nonces)).to_series(),
        at=pl.lit(frames.stamp(at)),
        until=pl.lit(frames.stamp(at + KEPT_TRYING)),
        attempts=pl.lit(0),
        log=pl.lit("[]"),
        delivered=pl.lit(value=False),
    )
    frames.insert(models.WebhookMessage, rows)
    return ids.to_list()
