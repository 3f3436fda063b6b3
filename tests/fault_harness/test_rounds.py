"""The short form of the fault harness: real processes live through faults, nothing is lost, and lost things would be found."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fault_harness import books, clock, report
from fault_harness.__main__ import main, run_round
from fault_harness.books import Evidence
from fault_harness.round import Result, Round, verify_chain
from fault_harness.schedule import Kind
from fault_harness.site import Site
from fault_harness.tables import Tables
from scripts import postgres
from tests.databases import Home

pytestmark = pytest.mark.skipif(
    not clock.is_possible(), reason="without a C compiler, a round takes as long as its longest waits"
)

FAULTS = 6


@pytest.fixture(scope="module")
def lived(_migrated: Home) -> Iterator[Round]:
    """A round on SQLite that has ended, whose installation is still there."""
    migrated = _migrated.folder / "muster.sqlite3"
    with (
        tempfile.TemporaryDirectory(prefix="muster-faults-") as folder,
        Site(Path(folder), "sqlite", migrated if migrated.exists() else None) as site,
    ):
        lived = Round(site, 20)
        lived.run(FAULTS)
        yield lived


def test_nothing_is_lost_on_sqlite(lived: Round) -> None:
    assert lived.result.findings == []
    assert lived.result.injected.total() >= FAULTS // 2
    assert lived.result.imports["applied"] >= 2


@pytest.mark.skipif(not postgres.is_installed(), reason="PostgreSQL is not installed here")
def test_nothing_is_lost_on_postgresql() -> None:
    result = run_round(20, FAULTS, "postgres")
    assert result.findings == []
    assert result.injected.total() >= FAULTS // 2


@pytest.fixture
def copy(lived: Round, tmp_path: Path) -> Tables:
    """A copy of its tables, in which anything may be changed."""
    with closing(sqlite3.connect(lived.site.home / "muster.sqlite3")) as connection:
        connection.execute("VACUUM INTO ?", [str(tmp_path / "muster.sqlite3")])
    tables = Tables(path=tmp_path / "muster.sqlite3")
    for (name,) in tables.select("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        tables.execute(f'DROP TRIGGER "{name}"')
    return tables


def check(tables: Tables, lived: Round, **other: Any) -> set[str]:
    """The checks that find something."""
    evidence: Evidence = replace(lived.make_evidence(), **other)
    return {finding.check for finding in books.check_all(tables, evidence)}


LAST_USER_EVENT = "(SELECT MAX(id) FROM directory_event WHERE kind LIKE 'user.added')"


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("DELETE FROM directory_user WHERE id = (SELECT MAX(id) FROM directory_user)", "directory and files"),
        ("UPDATE directory_user SET last_name = 'Other' WHERE id = (SELECT MIN(id) FROM directory_user)", "directory and events"),
        (f"DELETE FROM directory_event WHERE id = {LAST_USER_EVENT}", "counts and events"),
        ("UPDATE directory_import SET counts = json_set(counts, '$.added', 99)", "counts and events"),
        ("UPDATE directory_import SET state = 'failed' WHERE id = (SELECT MAX(id) FROM directory_import)", "applied once"),
        ("DELETE FROM directory_mail WHERE id = (SELECT MAX(id) FROM directory_mail WHERE of_id IS NOT NULL)", "emails"),
        ("UPDATE directory_mail SET sent_at = NULL, problem = ''", "emails"),
        ("DELETE FROM directory_webhookmessage WHERE id = (SELECT MAX(id) FROM directory_webhookmessage)", "webhooks"),
        ("UPDATE directory_webhookmessage SET body = body || ' '", "webhooks"),
        ("UPDATE directory_webhookmessage SET delivered = 0", "webhooks"),
        ("UPDATE directory_feed SET lease_until = '2026-01-01'", "nothing waits forever"),
        ("UPDATE directory_import SET finished_at = NULL", "nothing waits forever"),
        ("UPDATE directory_mail SET ended_at = NULL", "nothing waits forever"),
        ("DELETE FROM directory_feedfile", "files"),
    ],
)  # fmt: skip
def test_the_books_find_what_is_lost(lived: Round, copy: Tables, damage: str, found: str) -> None:
    assert check(copy, lived) == set()
    copy.execute(damage)
    assert found in check(copy, lived)


def test_the_books_find_an_import_that_was_applied_twice(lived: Round, copy: Tables) -> None:
    columns = ", ".join(
        row[1] for row in copy.select("PRAGMA table_info(directory_import)") if row[1] not in ("id", "number")
    )
    copy.execute(
        f"INSERT INTO directory_import (number, {columns}) SELECT 'twice', {columns.replace('idempotency_key', 'NULL')}"
        " FROM directory_import WHERE state = 'applied' LIMIT 1"
    )
    assert {"applied once", "counts and events", "files"} <= check(copy, lived)


def test_the_books_find_a_file_that_is_gone_and_one_that_changed(lived: Round, copy: Tables, tmp_path: Path) -> None:
    folder = tmp_path / "feed"
    shutil.copytree(lived.site.feed_folder, folder)
    assert check(copy, lived, folder=folder) == set()
    first, *_, last = sorted((folder / "done").glob("0*[0-9].csv"))
    last.write_bytes(b"other")
    assert check(copy, lived, folder=folder) == {"files"}
    first.unlink()
    assert check(copy, lived, folder=folder) == {"files"}


def test_the_books_find_an_email_and_a_message_that_never_arrived(lived: Round, copy: Tables, tmp_path: Path) -> None:
    shutil.copytree(lived.site.home / "files", tmp_path / "files")
    assert check(copy, lived, home=tmp_path) == {"emails"}
    assert check(copy, lived, journal=tmp_path / "none") == {"webhooks"}


def test_an_acknowledged_file_without_an_import_is_lost_although_it_is_brought_again(
    lived: Round, copy: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = lived.deliveries.list_acknowledged()
    again: list[str] = []
    copy.execute("DELETE FROM directory_import")
    monkeypatch.setattr(lived, "tables", copy)
    monkeypatch.setattr(lived.deliveries, "deliver_again", lambda roster: again.append(roster.sha256))
    monkeypatch.setattr(lived.result, "findings", [])
    assert lived.bring_again()
    found = {finding.what.rpartition(" ")[2] for finding in lived.result.findings}
    assert found == {sha256[:12] for sha256 in gone} and len(gone) >= 2
    assert gone <= set(again)


def test_a_broken_hash_chain_is_found(lived: Round, copy: Tables, tmp_path: Path) -> None:
    environment = lived.site.environment | {"MUSTER_HOME": str(tmp_path)}
    copy.execute(f"UPDATE directory_event SET actor = 'E-1' WHERE id = {LAST_USER_EVENT}")
    assert verify_chain(environment)


def test_a_report_says_what_was_injected_and_what_was_lost(lived: Round) -> None:
    text = report.build_text([lived.result])
    assert f"Seed 20, sqlite, {FAULTS} steps: {lived.result.injected.total()} faults hit" in text
    assert "lost: nothing" in text
    lost = Result(4, "postgres", findings=[books.Finding("emails", "email 3 was sent, but did not leave")])
    lost.injected[Kind.KILL_WORKER] = 2
    text = report.build_text([lived.result, lost])
    assert "lost: 1." in text and "Seed 4: emails: email 3" in text
    assert '"lost": 1' in report.build_json([lived.result, lost])


def test_help_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    for option in ("--faults", "--seed", "--database", "--report", "--quiet"):
        assert option in said
