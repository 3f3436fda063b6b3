"""What all tests share: which database they run on, and installations of their own for those that start processes.

Every test that needs a database runs on the one of DATABASE_URL, or on SQLite where that is unset. With `--only-database`, as on
PostgreSQL in `./test`, those that say the same on any database are left out (`tests/parts.py`): they have run on the other.
"""

import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import coverage
import pytest
from allauth.mfa.totp.internal import auth
from django.conf import settings
from django.core.management.commands import flush
from django.db import connection, transaction
from django.db.backends.base.operations import BaseDatabaseOperations
from pytest_django import DjangoDbBlocker
from pytest_django.live_server_helper import LiveServer
from whitenoise.middleware import WhiteNoiseMiddleware

from musterbook.config import logs, process
from musterbook.directory.audit import anchors, triggers
from musterbook.directory.imports import heartbeats
from musterbook.directory.installation import readiness
from musterbook.directory.storage import isolation
from scripts import browsers, catalogs
from scripts.testing import FAST, WHOLE
from tests import databases, forks, parts
from tests.examples import load_profile

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PAUSED = pytest.StashKey[ExitStack]()
load_profile()
catalogs.compile_stale()
_UNOPTIMIZED = "--js-flags=--no-opt,--no-maglev"
"""Scripts of pages, and of what looks at them, are new on each page: to optimize them takes longer than it saves."""
_OF_MODELS = ('"django_content_type"', '"auth_permission"')
_FEW_BYTES = 2**20
"""The size of a table that is emptied row by row."""


def pytest_configure(config: pytest.Config) -> None:
    forks.are_used = True
    if parts.is_import_measured_elsewhere(getattr(config, "workerinput", {}).get("workerid", "")):
        config.stash[_PAUSED] = ExitStack()
        config.stash[_PAUSED].enter_context(parts.pause_coverage())
    config.addinivalue_line("markers", "any_database: says nothing of the database, and runs on one of them alone")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no unused objects while all tests are loaded, and never among what is loaded then."""
    with process.load_quickly(keep=True):
        return (yield)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Measure again: all modules are loaded now. Refuse tests that call Polars while they are loaded.

    Its threads would be missing in each fork of a process that has collected them (`scripts.warm_tests`).
    """
    if _PAUSED in session.config.stash:
        session.config.stash[_PAUSED].close()
    if any(path.read_text().startswith("polars-0") for path in Path("/proc/self/task").glob("*/comm")):
        raise pytest.UsageError("A file of tests calls Polars while it is loaded. Call it in a fixture or in the test.")


def pytest_sessionfinish() -> None:
    """Keep what a process that runs tests side by side with others has covered: it may be ended at once after this."""
    current = coverage.Coverage.current()
    if current is not None:
        current.save()
    forks.end()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--only-database", action="store_true", help="leave out the tests that say the same on any")
    parser.addoption(
        "--part", choices=(WHOLE, FAST), help="run all tests, or the fast ones, in the order that ./test uses"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not load files of which no test would run."""
    only, part = config.getoption("--only-database"), config.getoption("--part")
    return parts.is_left_out(collection_path, only_database=only, fast=part == FAST) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part, only = config.getoption("--part"), config.getoption("--only-database")
    chosen = [item for item in items if _runs(item, part, only=only)]
    config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
    items[:] = parts.order(chosen) if part else chosen


def _runs(item: pytest.Item, part: str | None, *, only: bool) -> bool:
    if only:
        return parts.is_for_postgresql(item)
    return parts.is_fast(item) if part == FAST else part != WHOLE or not parts.is_for_postgresql_alone(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """In a run of all tests, measure the coverage of those tests alone that add to it."""
    pauses = item.config.getoption("--part") is not None and not parts.is_measured(item)
    with parts.pause_coverage() if pauses else nullcontext():
        return (yield)


@pytest.fixture
def as_owner(db: None) -> Iterator[None]:
    """The audit trail is not guarded, as for an attacker who owns the tables and has removed the triggers."""
    triggers.remove()
    yield
    if not connection.in_atomic_block:
        triggers.install()


@pytest.fixture(autouse=True, scope="session")
def _emptied_as_owner() -> Iterator[None]:
    """What empties the tables after a test without a transaction removes the triggers first.

    It leaves what Django keeps of models, and need not write it again, which takes longer than all else.
    """
    usual = BaseDatabaseOperations.execute_sql_flush

    def emptied(operations: BaseDatabaseOperations, statements: list[str]) -> None:
        triggers.remove()
        left = _leave_models(statements)
        if connection.vendor == "sqlite" or not _delete_rows(left[0]):
            usual(operations, left)
        triggers.install()
        _forget_anchors()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", emptied)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_: None)
        yield


def _leave_models(statements: list[str]) -> list[str]:
    """Return the statements that empty all tables, without what they do to the tables of models.

    SQLite has a statement for each table, and PostgreSQL one that lists all tables.
    """
    if connection.vendor == "sqlite":
        return [one for one in statements if not any(table in one for table in _OF_MODELS)]
    (statement,) = statements
    tables = [table for table in _list_tables(statement) if table not in _OF_MODELS]
    return [f"TRUNCATE {', '.join(tables)};{statement.partition(';')[2]}"]


def _list_tables(statement: str) -> list[str]:
    return statement.removeprefix("TRUNCATE ").partition(";")[0].split(", ")


def _delete_rows(statement: str) -> bool:
    """Delete the few rows of a test on PostgreSQL. Return False, and do nothing, where a table of the statement is large.

    TRUNCATE makes new files of all tables and their indexes, which takes ten times as long.
    """
    looks = [
        f"SELECT '{table}', EXISTS (SELECT FROM {table}), pg_relation_size('{table}')"
        for table in _list_tables(statement)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        # As TRUNCATE does, wait for what a thread of the test still writes.
        cursor.execute(f"LOCK TABLE {', '.join(_list_tables(statement))} IN EXCLUSIVE MODE")
        cursor.execute(" UNION ALL ".join(looks))
        found = cursor.fetchall()
        if any(size > _FEW_BYTES for _, _, size in found):
            return False
        for table in (table for table, has_rows, _ in found if has_rows):
            cursor.execute(f"DELETE FROM {table}")
    return True


@pytest.fixture(autouse=True)
def _unlimited_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the refusals in the log for each test: those of a minute may be of many tests, and only the first are logged."""
    monkeypatch.setattr(logs.SECURITY, "filters", [logs.Flood()])


@pytest.fixture(autouse=True)
def _readiness_found_again() -> None:
    """Each test finds out for itself whether it is ready: a process keeps the answer for a moment."""
    readiness.forget()


def _forget_anchors() -> None:
    for name in (anchors.FILE, anchors.SENT):
        (settings.MUSTER_HOME / name).unlink(missing_ok=True)
    shutil.rmtree(settings.MUSTER_HOME / anchors.HEADS, ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def _open_to_tests() -> None:
    """What a test asks of the database itself is work of the installation. The product's requests limit themselves."""
    isolation.open_process()


@pytest.fixture(autouse=True, scope="session")
def _assets_found_once() -> Iterator[None]:
    """Each client of a test has middleware of its own: it need not look for the same styles, scripts and fonts again."""
    find, found = WhiteNoiseMiddleware.add_files_from_finders, dict[str, dict[str, object]]()

    def add_found(middleware: WhiteNoiseMiddleware) -> None:
        if middleware.static_prefix not in found:
            find(middleware)
            found[middleware.static_prefix] = middleware.files
        middleware.files = dict(found[middleware.static_prefix])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_found)
        yield


@pytest.fixture(autouse=True)
def _no_anchors_of_other_tests() -> None:
    """Ids of agencies come again when a test is rolled back, so what was anchored outside the database must be gone too."""
    _forget_anchors()


@pytest.fixture(autouse=True)
def _one_time_codes_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code must not become invalid between its making and its use, however slow the machine is."""
    now = int(time.time()) // 30
    monkeypatch.setattr(auth, "yield_hotp_counters_from_time", lambda: iter([now]))


@pytest.fixture(autouse=True)
def _no_signs_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import within a test gives no signs of life: on a connection of their own, they would outlast the test by seconds."""
    monkeypatch.setattr(heartbeats, "_REPORT_EVERY", 60.0)


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """On SQLite, the tests' database is a copy of a migrated one, and stays until the process ends."""
    return connection.vendor == "sqlite"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, _migrated: databases.Home) -> None:
    """Begin with a migrated database instead of an empty one."""
    test = connection.settings_dict["TEST"]
    if connection.vendor == "sqlite":
        shutil.copy(_migrated.folder / "muster.sqlite3", test["NAME"])
    else:
        test["TEMPLATE"] = urlsplit(_migrated.database_url).path.strip("/")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The tests' database. PostgreSQL drops it only when no thread of a test, ended or not, is connected to it.

    PostgreSQL ends its own processes then, which clean up tables at any time, and which only a superuser may end.
    """
    yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[databases.Home]:
    server = os.environ.get("DATABASE_URL", "")
    with databases.template(tmp_path_factory.mktemp("migrated"), server) as home:
        yield home


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium, as the machine has it: one for all tests, because its driver allows no second one in a process."""
    from playwright.sync_api import expect, sync_playwright  # most tests do without

    chromium = browsers.find_chromium()
    if chromium is None:
        pytest.skip(browsers.MISSING)
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # the driver has a loop of its own in this thread
    expect.set_options(timeout=30_000)  # milliseconds; a machine may be busy
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", _UNOPTIMIZED])
        yield opened
        opened.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def window(browser: "Browser", live_server: LiveServer) -> "Iterator[Page]":
    """One window for all tests that begin in an empty one, which `tests.web.conftest.page` makes of it.

    To open another takes most of a second of the processor: a context, a process and all styles and scripts again.
    """
    # By name: passkeys want no address in digits.
    with browser.new_context(base_url=live_server.url.replace("127.0.0.1", "localhost")) as context:
        yield context.new_page()


@pytest.fixture(scope="session")
def database_server() -> str:
    """The DATABASE_URL of the tests ("" for SQLite), beside which a test makes databases of its own."""
    return os.environ.get("DATABASE_URL", "")


@pytest.fixture
def fresh_home(_migrated: databases.Home, tmp_path: Path) -> Iterator[databases.Home]:
    """An installation of this test's own, migrated and empty: run or start processes on it."""
    with databases.copy_home(_migrated, tmp_path / "home") as home:
        yield home


@pytest.fixture
def database_url(fresh_home: databases.Home) -> str:
    """The DATABASE_URL of `fresh_home` ("" for SQLite)."""
    return fresh_home.database_url
