"""An installation of the journeys of many nights, in a process that can be killed: `python -m tests.feeds.nights.worker`.

Each line of its standard input is a command as JSON, and each line of its output the answer. The clock of everything that it does
is the time of the command, so that a month takes seconds.
"""

import base64
import gc
import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import django

django.setup()

from musterbook.directory.storage import isolation

isolation.open_process()

from django.conf import settings
from django.db import connection
from django.test import Client

from musterbook import jobs
from musterbook.api import feeds as api_feeds
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.audit import verify
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, notices, plan_files, queue, records, runner
from musterbook.directory.imports.options import Options
from musterbook.feeds import overview, schedule
from musterbook.feeds.locations import folder, host_keys, sftp
from musterbook.http import request_context
from tests.directory import cast
from tests.feeds import driver

FEED = "hr"
settings.ALLOWED_HOSTS = ["testserver"]


class _Clock:
    """The clock of the process, which stands still until the next command."""

    at = datetime(2026, 3, 1, 12, tzinfo=UTC)


class _Time(datetime):
    """The time, for modules that ask the computer for it."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # the class itself needs no subclass
        return _Clock.at.astimezone(tz)


def _now() -> datetime:
    return _Clock.at


for _module in (api_feeds, notices, plan_files, records, request_context):
    _module.datetime = _Time  # type: ignore[attr-defined]
jobs.now = _now


class _Tidied:
    """When the process has tidied."""

    at: datetime | None = None


_tidy, _TIDY_EVERY = jobs.tidy, timedelta(minutes=59)


def _tidy_each_hour() -> None:
    """Do the work that is due by the clock every hour, and first of all, as a worker does it every minute, not in each round."""
    if _Tidied.at is None or abs(_Clock.at - _Tidied.at) >= _TIDY_EVERY:
        _Tidied.at = _Clock.at
        _tidy()


jobs.tidy = _tidy_each_hour

STEPS: dict[str, tuple[Any, str]] = {
    **{name: step for name, step in driver.STEPS.items() if name != "moved"},
    "moved": (folder.FolderLocation, "file_away"),
    "moved by SFTP": (sftp.SftpLocation, "file_away"),
    "planned": (file_import, "make_attempt"),
    "imported": (runner, "run_claimed"),
}
"""The steps after which the process can be killed: the name of each, and the function that does it."""
_PAUSE = {"at": ""}
_client = Client()
"""One program, whose requests pass middleware that is loaded once."""


def _watch(step: str) -> None:
    owner, name = STEPS[step]
    usual = getattr(owner, name)

    def watched(*given: Any, **named: Any) -> Any:
        result = usual(*given, **named)
        if step == _PAUSE["at"]:
            print(json.dumps({"paused": step}), flush=True)
            time.sleep(600)
        return result

    setattr(owner, name, watched)


def _find() -> models.Feed:
    return feeds.find_feed(models.Agency.objects.get(), FEED)


def _by_person() -> AuditContext:
    return AuditContext(_Clock.at, "", "cli")


def make(location: dict[str, Any], secrets: dict[str, str], notify: dict[str, list[str]], key: str) -> dict[str, Any]:
    """Make the agency, its Chief who is notified, its administrator, and the feed."""
    made = cast.agency(limits=[cast.allow(5, 10, 500)], time_zone="America/Chicago")
    local = [cast.person("chief", ROLE="Chief"), cast.person("local", ROLE="Admin"), cast.person("other", ROLE="Chief")]
    cast.apply_rows(made, local, Options(mails=False), at=_Clock.at)
    cast.register(made, "chief", "other")
    other = cast.user(made, "other")
    notices.choose_emails(other, [])
    days = list(schedule.DAYS)
    values = {
        "name": FEED, "mode": "sync", "location": location, "every_minutes": 30, "notify": notify, "mails": False,
        "windows": [{"days": days, "from": "01:00", "to": "06:00"}], "expected_by": [{"days": days, "at": "06:00"}],
    }  # fmt: skip
    feed = feeds.add(made, values, _by_person(), None)
    for name, text in secrets.items():
        feeds.set_secret(feed, name, text, _by_person(), None)
    if key:
        feeds.accept_host_key(feed, key, _by_person(), None)
    token = feeds.make_token(feed, _by_person(), None) if location["kind"] == "sent" else ""
    return {"token": token}


def do_round(pause: str = "") -> dict[str, Any]:
    """Do everything that is due, as a worker does. `pause`: the step after which it stands still."""
    _PAUSE["at"] = pause
    jobs.run_once()
    _PAUSE["at"] = ""
    feed = _find()
    due = None if feed.paused_at or feed.stopped or feed.location["kind"] == "sent" else feed.next_check_at
    return {"due": due.isoformat() if due else None}


def send(token: str, content: str, key: str, broken: bool = False, pause: str = "") -> dict[str, Any]:
    """Send a file to the feed, as a program does. `broken`: its connection ends in the middle."""
    _PAUSE["at"] = pause
    body = base64.b64decode(content)
    sent = body[: len(body) // 2] if broken else body
    given: dict[str, Any] = {
        "HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_IDEMPOTENCY_KEY": key, "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(sent),
    }  # fmt: skip
    _client.cookies.clear()
    answer = _client.post(f"/springfield/api/v1/feeds/{FEED}/file", content_type="text/csv", **given)
    _PAUSE["at"] = ""
    return {"status": answer.status_code}


def decide(what: str) -> dict[str, Any]:
    """Apply the plan that waits, as a person does who has seen it, or discard it."""
    waiting = [one for one in models.Import.objects.filter(feed__isnull=False).order_by("pk") if _is_open(one)]
    if not waiting:
        return {"number": None}
    (record,) = waiting
    if what == "discard":
        queue.discard(record, _by_person())
    else:
        holds = [{**hold} for hold in record.holds or ()]
        confirmed = {hold.get("kind") or hold["code"]: hold.get("total", hold.get("rows")) for hold in holds}
        queue.submit_apply(record.agency, record.number, context=_by_person(), confirmed=confirmed)
    return {"number": record.number}


def _is_open(record: models.Import) -> bool:
    return record.state in ("previewed", "held") and not record.ended


def act(what: str) -> dict[str, Any]:
    """Do what a person does with the feed."""
    feed = _find()
    if what == "accept":
        feeds.accept_host_key(feed, host_keys.read_host_key(feed), _by_person(), None)
    elif what == "pause":
        feeds.pause(feed, "HR moves to another system", _by_person(), None)
    elif what == "resume":
        feeds.resume(feed, _by_person(), None)
    elif what == "ask":
        feeds.request_check(feed, _by_person(), None)
    elif what == "change":
        releases = not Options.of_json({**feed.reading, "mode": feed.mode}).release_badges
        feeds.change(feed, {"release_badges": releases}, feeds.mark(feed), _by_person(), None)
    return {}


def look() -> dict[str, Any]:
    """Read everything that the books of the test have as well."""
    feed = _find()
    files = models.FeedFile.objects.filter(feed=feed).select_related("of__successor").order_by("pk")
    imports = models.Import.objects.filter(feed=feed).order_by("pk")
    mails = models.Mail.objects.filter(notice__isnull=False).order_by("pk")
    nights = overview.list_nights([feed], _Clock.at, schedule.get_zone(feed.agency))[feed.pk]
    row = overview.read_row(feed, _Clock.at)
    return {
        "files": [[file.name, file.sha256, _describe(file), file.settled_at is not None] for file in files],
        "imports": [[one.state, one.ended, one.origin_id is not None] for one in imports],
        "changes": [
            models.Event.objects.filter(of=one, kind__startswith="user.").count()
            for one in imports.filter(state="applied")
        ],
        "notices": dict(Counter(models.Notice.objects.order_by().values_list("kind", flat=True))),
        "mails": sorted(mails.values_list("kind", "to")),
        "unsent": sorted(mails.exclude(sent_at__isnull=False).values_list("kind", "to")),
        "events": dict(Counter(models.Event.objects.order_by().values_list("kind", flat=True))),
        "users": {
            user.external_id: [user.email, user.last_name, user.active] for user in models.User.objects.order_by("pk")
        },
        "states": [str(overview.get_state(feed, _Clock.at)), str(row.state)],
        "nights": [[str(one.day), str(one.mark)] for one in nights],
        "home": [str(one.state) for one in overview.list_waiting(feed.agency, _Clock.at)],
        "feed": {
            "worker": feed.worker, "lease": feed.lease_until is not None, "problem": feed.problem, "failures": feed.failures,
            "last_rows": feed.last_rows, "stopped": feed.stopped, "new": feeds.is_new(feed),
        },
        "left": len(list(settings.MUSTER_HOME.rglob("arriving-*"))),
    }  # fmt: skip


def _describe(file: models.FeedFile) -> str:
    """Return what the books say of a file: refused, nothing new, or the state of its import."""
    if file.of is None:
        return "failed" if file.problem else "same"
    return f"{file.of.state} {file.of.ended}".strip()


def check() -> dict[str, Any]:
    """Check the audit trail."""
    return {"error": verify.verify_trail(models.Agency.objects.get()).error}


_COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    "make": make, "round": do_round, "send": send, "decide": decide, "act": act, "look": look, "check": check,
}  # fmt: skip


def main() -> None:
    """Answer commands until there are no more."""
    gc.set_threshold(50_000, 20, 20)  # the process is killed, or ends, before memory matters
    for step in STEPS:
        _watch(step)
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        _Clock.at = datetime.fromisoformat(command.pop("at"))
        print(json.dumps(_COMMANDS[command.pop("do")](**command)), flush=True)
    connection.close()


if __name__ == "__main__":
    main()
