"""Which tests `./test` runs on both databases, which it measures coverage of, and which `./test --fast` runs.

Measured tests take up to twice as long. A test that is not measured still fails when it must; only what it reaches is not
counted. A new test is measured.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import coverage
import pytest

_ROOT = Path(__file__).parents[1]
_MANY_PROCESSES = (
    "tests/directory/imports/test_killed.py", "tests/directory/imports/test_side_by_side.py",
    "tests/directory/imports/test_workers.py", "tests/directory/users/test_query_plans.py", "tests/feeds/test_nights.py",
    "tests/fault_harness", "tests/feeds/test_watch_processes.py", "tests/running", "tests/test_scripts.py",
)  # fmt: skip
"""Tests that start many processes, or measure."""
_NOT_MEASURED = (
    "tests/laws", "tests/cases", "tests/bench", *_MANY_PROCESSES,
    *(f"tests/attacks/test_{name}.py" for name in (
        "api_fuzz", "concurrency", "connections", "large_uploads", "pages_fuzz", "reader_fuzz",
    )),
    *(f"tests/test_{name}.py" for name in ("architecture", "contributing", "words")),
)  # fmt: skip
"""Tests with generated data, many processes or much data, or of the code as text; so are all journeys in a browser."""
UNMEASURED = _ROOT / "tests" / "unmeasured.txt"
"""Files and tests that reach nothing that others do not reach in less time, as `scripts.measuring` has found."""
_MEASURED_ON_POSTGRESQL = (
    "tests/attacks/test_application_role.py", "tests/attacks/test_old_trails.py", "tests/attacks/test_row_level_security.py",
    "tests/cli/test_audit.py",
    "tests/cli/test_export.py", "tests/cli/test_installation.py", "tests/directory/apply/test_writer.py",
    "tests/directory/imports/test_queue.py", "tests/directory/installation/test_agency_archive.py",
    "tests/directory/installation/test_backups.py",
    "tests/directory/installation/test_damage.py", "tests/directory/installation/test_doctor.py", "tests/directory/storage",
    "tests/directory/users/test_search.py", "tests/directory/users/test_user_list.py", "tests/directory/users/test_user_query.py",
    "tests/test_jobs.py",
)  # fmt: skip
"""Tests that reach what is for PostgreSQL alone: all other lines are reached on SQLite, and measured there."""
_ON_BOTH = (
    "tests/directory", "tests/feeds", "tests/accounts", "tests/attacks", "tests/running", "tests/test_databases.py",
    "tests/test_jobs.py", "tests/test_metrics.py",
    # Laws, with directories and files that nobody has thought of: each plans, writes, exports and undoes on PostgreSQL.
    "tests/laws/test_laws.py",
    # Commands for the database itself, that read all of it, or of which several run at once.
    *(f"tests/cli/test_{name}.py" for name in (
        "agency_archive", "audit", "export", "installation", "people", "rekey", "watch",
    )),
    # Every page, once: what it asks the database is answered there too.
    "tests/web/test_every_page.py",
)  # fmt: skip
"""Tests that run on PostgreSQL too, because what they test makes queries, takes locks, or relies on constraints.

Pages, the API and commands make no query (`tests/test_architecture.py`), and a plan is made from frames alone. Their own tests,
the shared cases and the law of harm say the same on any database.
"""
_ON_SQLITE = (
    # Workbooks and encrypted backups are read before the database is asked.
    "tests/attacks/test_uploads.py",
    *(f"tests/attacks/test_backups.py::test_{name}" for name in (
        "a_large_backup", "a_passphrase_that_would_take_years", "an_encrypted_backup_opens_with_its_key_alone",
        "the_key_in_a_forged_old_backup", "wrong_calls",
    )),
    # Addresses, cookies, slow clients and signals are handled without the database. What is killed runs on both.
    "tests/attacks/test_hosts_and_cookies.py",
    *(f"tests/attacks/test_connections.py::test_{name}" for name in ("a_large_file_arrives", "bursts", "slow_bodies")),
    *(f"tests/running/test_stopping.py::test_{name}" for name in (
        "a_request_that_never_ends", "a_second_signal", "an_upload_in_flight", "logs_are_one_json_object", "metrics_have",
        "readiness_ends_first", "with_a_token",
    )),
    "tests/running/test_log_privacy.py::test_a_day_leaves_no_personal_data_and_no_secret_in_the_log[text]",
    "tests/running/test_split.py", "tests/cli/test_people.py::test_serve_serves_the_pages",
    "tests/cli/test_installation.py::test_a_restore_names_the_agencies",
    "tests/web/test_every_page.py::test_every_text_says_how_it_is_encoded",
    *(f"tests/feeds/test_watch_processes.py::test_a_watch_that_is_asked_to_end{times}" for times in ("_finishes", "_twice")),
    # A file that is put somewhere and one that is sent reach the database in two ways; servers and clocks never see it.
    *(f"tests/feeds/test_nights.py::test_after_each_of_thirty_nights_the_books_balance[{kind}" for kind in ("sftp", "https")),
    *(f"tests/feeds/test_nights.py::test_{name}" for name in ("a_clock_that_jumps", "the_night_in_which_the_clock")),
)  # fmt: skip
"""Tests among those that say nothing of the database, and run on SQLite, where they take less."""
_ON_POSTGRESQL = (
    # PostgreSQL refuses more values than SQLite does. What SQLite refuses, test_queries tries on both.
    "tests/attacks/test_api_fuzz.py", "tests/attacks/test_pages_fuzz.py::test_no_query_and_no_form_breaks_a_page",
    "tests/running/test_log_privacy.py::test_a_day_leaves_no_personal_data_and_no_secret_in_the_log[json]",
    # There an agency moves between the two databases as well.
    "tests/cli/test_agency_archive.py",
    "tests/feeds/test_nights.py::test_after_each_of_thirty_nights_the_books_balance[folder",
)  # fmt: skip
"""Tests among those that say enough on PostgreSQL alone.

`./test tests/attacks` runs all attacks on both nevertheless.
"""
_OTHER_AGENCY = "shelbyville"
_NEEDS_DATABASE = {"db", "transactional_db", "live_server", "_migrated", "database_server"}
_NOT_FAST = (
    "tests/bench", "tests/attacks", "tests/accounts/test_attacks.py", "tests/scim/test_attacks.py",
    *_MANY_PROCESSES,
    # Servers, workers and commands as processes, and clients of them.
    "tests/client/test_journey.py", "tests/client/test_push.py", "tests/client/test_tutorial.py",
    "tests/scim/test_conformance.py", "tests/scim/test_groups_at_once.py", "tests/api/test_import_deaths.py",
    "tests/api/test_users_at_once.py", "tests/feeds/locations", "tests/feeds/test_killed.py",
    "tests/webhooks/test_order.py", "tests/webhooks/test_processes.py", "tests/test_forks.py",
    *(f"tests/cli/test_{name}.py" for name in ("agency_archive", "installation", "nightly_import", "people", "watch")),
    *(f"tests/directory/installation/test_{name}.py" for name in (
        "agency_archive", "backup_while_importing", "every_schema", "sealed_values", "upgrade",
    )),
    # Every page, form, case or kind of nights, one after the other.
    "tests/web/test_every_page.py", "tests/web/test_kept_forms.py", "tests/web/test_trial.py", "tests/web/test_feed_trial.py",
    "tests/cases", "tests/test_five_paths.py", "tests/test_mutation.py",
    # Whole imports by way of a page, a program or a feed. Those of `directory` are imported directly.
    *(f"tests/web/test_{name}.py" for name in (
        "bulk", "entry_files", "feeds", "import_fixes", "import_history", "import_plan",
    )),
    "tests/accounts/test_import_page.py", "tests/api/test_import_acts.py", "tests/api/test_import_rows.py",
    "tests/cli/test_confirm.py", "tests/cli/test_import.py", "tests/feeds/test_settling.py", "tests/scim/test_bulk.py",
    # Damage, receivers that hang, many users, and rows of examples.
    "tests/directory/installation/test_damage.py", "tests/webhooks/test_sending.py",
    "tests/directory/users/test_search.py::test_users_who_were_there_before_searches",
    "tests/api/test_imports.py::test_a_bomb_is_refused_as_on_the_page",
)  # fmt: skip
"""Tests of what takes long and says little while another module changes."""
FOR_PROCESSES = "COVERAGE_PROCESS_CONFIG"
"""The environment variable by which coverage measures the processes that a test starts."""


def needs_database(item: pytest.Item) -> bool:
    """Return whether the test says something of the database that it runs on.

    A test with two agencies does, whatever its marker says: PostgreSQL hides the rows of one from requests to the other.
    """
    fixtures = set(getattr(item, "fixturenames", ()))
    if item.get_closest_marker("any_database") is not None and _OTHER_AGENCY not in fixtures:
        return False
    return item.get_closest_marker("django_db") is not None or bool(fixtures & _NEEDS_DATABASE)


def is_for_postgresql(item: pytest.Item) -> bool:
    """Return whether `./test` runs the test on PostgreSQL, too or alone."""
    return needs_database(item) and _name(item).startswith(_ON_BOTH) and not _name(item).startswith(_ON_SQLITE)


def is_for_postgresql_alone(item: pytest.Item) -> bool:
    """Return whether `./test` leaves the test out on SQLite."""
    return needs_database(item) and _name(item).startswith(_ON_POSTGRESQL)


def is_left_out(path: Path, *, only_database: bool, fast: bool) -> bool:
    """Return whether no test of the file or folder can run in this part, so that it need not be collected."""
    if not path.is_relative_to(_ROOT / "tests"):
        return False
    name = path.relative_to(_ROOT).as_posix()
    if fast and name.startswith(_NOT_FAST):
        return True
    return only_database and not any(name.startswith(entry) or entry.startswith(name) for entry in _ON_BOTH)


def is_fast(item: pytest.Item) -> bool:
    """Return whether the test runs in `./test --fast`."""
    return not (_name(item).startswith(_NOT_FAST) or _needs_browser(item))


def is_measured(item: pytest.Item) -> bool:
    """Return whether coverage counts what the test reaches, on the database of DATABASE_URL."""
    if os.environ.get("DATABASE_URL"):
        return _name(item).startswith(_MEASURED_ON_POSTGRESQL) and not _name(item).startswith(_MANY_PROCESSES)
    return not (_name(item).startswith(_NOT_MEASURED) or _needs_browser(item) or _is_listed(item))


def _is_listed(item: pytest.Item) -> bool:
    file, _, name = _name(item).partition("[")[0].partition("::")
    return not _read_unmeasured().isdisjoint((file, f"{file}::{name}"))


@cache
def _read_unmeasured() -> frozenset[str]:
    return frozenset(UNMEASURED.read_text(encoding="utf-8").split())


def is_import_measured_elsewhere(worker: str) -> bool:
    """Return whether another process measures what is reached while all tests and modules are loaded.

    That is the first of those side by side that run the tests on SQLite. To load them takes nearly twice as long if it is
    measured.
    """
    return worker not in ("", "gw0") or bool(worker and os.environ.get("DATABASE_URL"))


@contextmanager
def pause_coverage() -> Iterator[None]:
    """Count nothing that this process reaches, nor the processes that it starts, if coverage is measured at all."""
    measuring = coverage.Coverage.current()
    if measuring is None:
        yield
        return
    configuration = os.environ.pop(FOR_PROCESSES)
    measuring.stop()
    try:
        yield
    finally:
        measuring.start()
        os.environ[FOR_PROCESSES] = configuration


def _name(item: pytest.Item) -> str:
    """Return the test's path and name, with which the entries of the lists begin."""
    return f"{item.path.relative_to(_ROOT).as_posix()}::{item.name}"


def _needs_browser(item: pytest.Item) -> bool:
    return "browser" in getattr(item, "fixturenames", ())


def order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests by file: first the files that measure coverage, and of each kind the files with the fewest tests first.

    A value that a test without coverage has cached is not computed again in its process, so the measured tests of a file come
    first too. Files with few tests take longest, and must not run alone at the end.
    """
    counts = Counter(item.path for item in items)
    measured = {id(item) for item in items if is_measured(item)}
    files = {item.path for item in items if id(item) in measured}
    return sorted(
        items, key=lambda item: (item.path not in files, counts[item.path], item.path, id(item) not in measured)
    )
