"""The connection to the database is lost at each statement of an import: before it arrives, and after it, without an answer."""

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.db import Error, connection
from pytest_django import Settings

from fault_harness.proxy import Proxy
from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import queue
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.worker import run_next_import
from musterbook.directory.storage import frames
from tests.directory.cast import NOW, agency, apply_rows, assert_whole, file, people, person, unlimited

SECONDS = 60


@pytest.fixture
def proxy(transactional_db: None, settings: Settings, tmp_path: object) -> Iterator[Proxy]:
    """A proxy between this test and PostgreSQL."""
    if not frames.on_postgres():
        pytest.skip("SQLite is a file, without a connection to lose")
    settings.MUSTER_HOME = tmp_path
    usual = dict(connection.settings_dict)
    made = Proxy(int(usual["PORT"]))
    made.start()
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT=made.port)
    yield made
    connection.close()
    connection.settings_dict.update(usual)
    made.stop()


def work_until_end(record: models.Import) -> models.Import:
    """The import when it has ended, however often a worker lost its connection."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        connection.close()  # each attempt has a new connection, and so the same statements
        with suppress(Error):
            run_next_import("one", lambda: NOW)
        connection.close()
        found = models.Import.objects.get(pk=record.pk)
        if found.finished_at:
            return found
    pytest.fail(f"the import did not end: {found.state}, {found.attempts} attempts")


def test_an_import_is_applied_once_whichever_statement_loses_its_connection(proxy: Proxy) -> None:
    made = agency(limits=unlimited())
    apply_rows(made, people(1, 2, 3))
    uncut = usual = 0
    for turn in range(4, 1_000):
        known = len(proxy.cuts)
        rows = [person(1, LAST_NAME=f"Last {turn}"), *people(2, turn)]
        record = queue.submit(
            made, Upload(file(rows), "users.csv"), Options(mode=Mode.SYNC), context=AuditContext(NOW, "", "cli")
        )
        if usual:
            proxy.arm()
        done = work_until_end(record)
        assert (done.state, done.message) == ("applied", ""), proxy.cuts[-1:]
        counts = {name: done.counts[name] for name in ("added", "updated", "deactivated", "errored")}
        assert counts == {"added": 1, "updated": 1, "deactivated": 1, "errored": 0}, proxy.cuts[-1:]
        events = models.Event.objects.filter(of=done, kind__startswith="user.").order_by("kind")
        assert list(events.values_list("kind", flat=True)) == ["user.added", "user.deactivated", "user.updated"]
        assert models.Mail.objects.filter(of=done).count() == sum(done.mails.values())
        active = models.User.objects.filter(agency=made, active=True).order_by("external_id")
        assert set(active.values_list("external_id", "last_name")) == {
            (row["EXTERNAL_ID"], row["LAST_NAME"]) for row in rows
        }
        usual = usual or proxy.longest
        uncut += len(proxy.cuts) == known
        if uncut == 3:  # the first one, and one after the last statement of each series
            break
    assert_whole(made)
    before, after = ([cut.number for cut in proxy.cuts if cut.answered is answered] for answered in (False, True))
    for numbers in (before, after):  # an import may have a statement more than the first one
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= usual > 50
