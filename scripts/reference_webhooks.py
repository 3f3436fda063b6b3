"""The page of the reference about webhooks: each kind of message with an example, made by the code that makes messages."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from django.conf import settings

from musterbook.directory import models
from musterbook.directory.audit import webhook_messages
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.webhook_kinds import WebhookKind
from musterbook.directory.imports import notice_facts, webhook_events
from musterbook.directory.models import NoticeKind
from musterbook.webhooks import requests, schedule, upkeep

_AT = datetime(2026, 3, 2, 7, tzinfo=UTC)
_URL = "https://muster.example.org"
_NUMBER = "01KJPNHFC0QY1EXAMPLE00000"
_USERS = {
    WebhookKind.USER_ADDED: (EventKind.USER_ADDED, {"EMAIL": ["", "…"], "FIRST_NAME": ["", "…"]}),
    WebhookKind.USER_UPDATED: (EventKind.USER_UPDATED, {"LAST_NAME": ["…", "…"], "RANK": ["…", "…"]}),
    WebhookKind.USER_DEACTIVATED: (EventKind.USER_DEACTIVATED, {"STATUS": ["Active", "Inactive"]}),
    WebhookKind.USER_REACTIVATED: (EventKind.USER_UPDATED, {"STATUS": ["Inactive", "Active"]}),
}
_OF_FEEDS = {
    WebhookKind.IMPORT_LATE: NoticeKind.LATE,
    WebhookKind.FEED_UNREACHABLE: NoticeKind.UNREACHABLE,
    WebhookKind.FEED_STOPPED: NoticeKind.STOPPED,
}

_FORM = """
Musterbook sends a message with `POST` to each webhook that wants its kind. To set one up, see
[receive a webhook](../how-to/receive-a-webhook.md).

## A message

The body is JSON: `type` (the kind), `timestamp` (when it happened, RFC 3339 in UTC) and `data`. Messages are small:
external IDs, the names of the fields that changed, numbers, and a link to the page. They have no value of a field, no
name of a person or a file, and no text of a problem. Ignore members that you do not know: later versions may add some.

Headers follow [Standard Webhooks](https://www.standardwebhooks.com):

| header | |
|---|---|
| `webhook-id` | the ID of the message, the same for each attempt and when it is sent again |
| `webhook-timestamp` | when this attempt was made, in seconds since 1970 |
| `webhook-signature` | `v1,` and the HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64; after a rotation, two or three of them |

The key of the HMAC is the base64 text after `whsec_` in the secret, decoded.
"""
_DELIVERY = """
- **At least once.** A message can arrive twice. Its `webhook-id` shows that it is the same.
- **In order for each subject.** A message about a user, an import or a feed waits until the earlier ones about the same
  were delivered or given up. Messages about different subjects arrive in any order, several at once.
- **Delivered** means a status from 200 to 299. Redirects are not followed. The body of an answer is ignored.
- **Time.** The receiver has {seconds} seconds to answer.
- **Retries.** A message is tried again after {waits}, and then every hour, each longer by a random
  share of up to {jitter}. It is given up after {tried}.
- **Rest.** After {failures} failures in a row, only one message is tried at a time, after the same waits, until one is delivered.
- **Disabled.** A webhook whose receiver answers with {gone}, or takes no message for {tried}, is disabled. It gets no new
  messages until a user resumes it.
- **Kept.** A message is kept for {kept} after it was delivered or given up, and can be sent again. Then it is forgotten.
"""


def list_page(generated: str) -> Iterator[str]:
    """Yield the lines of the page."""
    yield from ("# Webhooks", "", generated, "", *_FORM.strip().splitlines(), "", "## Delivery", "")
    facts = {
        "seconds": f"{requests.SECONDS:g}", "waits": _list_waits(), "jitter": f"{schedule.JITTER:.0%}",
        "tried": _count_days(webhook_messages.KEPT_TRYING), "failures": schedule.RESTS_AFTER, "gone": requests.GONE,
        "kept": _count_days(upkeep.KEPT_FOR),
    }  # fmt: skip
    yield from _DELIVERY.format(**facts).strip().splitlines()
    yield from (
        "",
        "## Kinds",
        "",
        "A user needs the permission `api.manage`, and the one of each kind that the webhook gets.",
    )
    yield from ("", "| kind | when | permission |", "|---|---|---|")
    for kind in WebhookKind:
        yield f"| `{kind.value}` | {kind.sentence} | {f'`{kind.permission}`' if kind.permission else ''} |"
    yield from ("", "A message about a user has `former_external_id` as well if the external ID has changed.")
    yield "In `holds`, `kind` and `number` are what a confirmation of the import names."
    for kind in WebhookKind:
        yield from ("", f"### `{kind.value}`", "", "```json", _show(make_example(kind)), "```")


def _show(message: dict[str, Any]) -> str:
    return json.dumps(message, indent=2, ensure_ascii=False).replace(settings.MUSTER_URL, _URL)


def _list_waits() -> str:
    return ", ".join(_describe_wait(wait) for wait in schedule.WAITS)


def _describe_wait(wait: timedelta) -> str:
    seconds = round(wait.total_seconds())
    for size, name in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            return f"{seconds // size} {name}{'' if seconds == size else 's'}"
    return str(wait)


def _count_days(time: timedelta) -> str:
    return f"{time.days} days"


def make_example(kind: WebhookKind) -> dict[str, Any]:
    """Return a message of the kind, as it is sent."""
    agency = models.Agency(pk=1, slug="springfield-pd")
    if kind in _USERS:
        event, changes = _USERS[kind]
        found = pl.DataFrame(
            [{"kind": event.value, "subject_id": 7, "subject_external_id": "E-1001", "changes": _write(changes)}]
        )
        built = webhook_messages.build_user_messages(agency, _AT, _NUMBER, found)
        body: dict[str, Any] = json.loads(built["body"][0])
        return body
    loaded: dict[str, Any] = json.loads(webhook_messages.compose(kind, _AT, _make_data(agency, kind)))
    return loaded


def _write(changes: dict[str, list[str]]) -> str:
    return json.dumps(changes, ensure_ascii=False, separators=(",", ":"))


def _make_data(agency: models.Agency, kind: WebhookKind) -> dict[str, Any]:
    feed = models.Feed(agency=agency, name="hr-sworn", mode="sync", failing_since=_AT, failures=12, stopped="…")
    if kind in _OF_FEEDS:
        facts = {"day": "2026-03-02", "expected_by": _AT}
        return webhook_events.describe_feed(feed, notice_facts.describe_feed(feed, _OF_FEEDS[kind], _AT, facts))
    if kind is WebhookKind.TEST:
        return {"agency": agency.slug, "webhook": "payroll"}
    if kind.startswith("feed."):
        changed = ["schedule"] if kind is WebhookKind.FEED_CHANGED else []
        return webhook_messages.describe_feed(agency, kind, feed.name, changed)
    return webhook_events.describe_import(_make_import(agency, feed, kind), _AT)


def _make_import(agency: models.Agency, feed: models.Feed, kind: WebhookKind) -> models.Import:
    state = {WebhookKind.IMPORT_APPLIED: "applied", WebhookKind.IMPORT_HELD: "held"}.get(kind, "failed")
    counts = {"rows": 950, "added": 3, "updated": 12, "deactivated": 40, "errored": 1} if state != "failed" else {}
    holds = [{"code": "limit", "kind": "deactivations", "users": 40, "active": 980, "limit": 5, "total": 40}]
    return models.Import(
        agency=agency, number=_NUMBER, kind="file", mode="sync", state=state, counts=counts, feed=feed,
        mails={"invitation": 3} if state == "applied" else {}, holds=holds if state == "held" else [],
    )  # fmt: skip
