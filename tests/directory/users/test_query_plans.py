"""How the databases carry out the queries behind a page, and behind the import of a small file, in an agency of a million.

None may look at every user, or sort them, where an index should serve. Where a search scans, it scans chunks.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import pytest
from django.db import connection
from django.db.backends.utils import CursorWrapper
from pytest_django.plugin import DjangoDbBlocker

from musterbook.core.domain.policy import Mode
from musterbook.core.reading import intake
from musterbook.directory import models
from musterbook.directory.apply import import_marks, snapshot_queries
from musterbook.directory.audit import triggers
from musterbook.directory.storage import frames
from musterbook.directory.users import orders, user_list
from musterbook.directory.users.filters import UserFilters
from tests.directory.cast import NOW, agency, file, people

pytestmark = pytest.mark.django_db
USERS = 1_000_000
_FIELDS = {
    "external_id": "'E-' || n", "email": "'user' || n || '@agency.example'", "email_key": "'user' || n || '@agency.example'",
    "badge_number": "'B-' || n", "badge_number_key": "'b-' || n", "first_name": "'First ' || n", "last_name": "'Last ' || n",
    "name_key": "'last ' || n * 7919 % 1000003",
    "active": "n % 25 <> 0", "username": "'user.' || n", "username_key": "'user.' || n",
    "location": "''", "phone": "''", "exempt": "1 = 0", "managed_by": "''", "created_at": "'2026-03-02 07:00:00'",
    "registered_at": "CASE WHEN n % 3 <> 0 THEN {time} END", "last_sign_in_at": "CASE WHEN n % 3 <> 0 THEN {time} END",
    "locked_at": "CASE WHEN n % 5000 = 1 THEN {time} END", "reset_at": "CASE WHEN n % 7000 = 1 THEN {time} END",
    "invitation_expires_at": "CASE WHEN n % 9000 = 0 THEN {time} END",
}  # fmt: skip
"""Each column of user number `n`; roles, ranks, groups and supervisors stand apart."""


@pytest.fixture(scope="module")
def million(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[models.Agency]:
    """An agency of a million users, made inside the database; gone afterwards."""
    with django_db_blocker.unblock():
        made = agency("million")
        try:
            _fill(made)
            yield made
        finally:
            _empty()


def _fill(made: models.Agency) -> None:
    postgres = connection.vendor == "postgresql"
    roles, ranks, groups = (
        list(m.objects.filter(agency=made).order_by("pk").values_list("pk", flat=True)) for m in _WORDS
    )
    time = (
        "timestamptz '2026-01-01 00:00:00+00' + n * interval '1 s'"
        if postgres
        else "datetime(1767225600 + n, 'unixepoch')"
    )
    columns = {name: sql.replace("{time}", time) for name, sql in _FIELDS.items()} | {
        "agency_id": str(made.pk),
        "role_id": f"CASE WHEN n % 400 = 0 THEN {roles[1]} ELSE {roles[2]} END",
        "rank_id": f"CASE WHEN n % 50 = 0 THEN {ranks[0]} WHEN n % 50 < 40 THEN {ranks[1]} END",
        "group_id": f"CASE WHEN n % 300 = 0 THEN {groups[0]} END",
    }
    if postgres:
        columns["created_at"] = "timestamptz '2026-03-02 07:00:00+00'"
    numbers = (
        f"generate_series(1::bigint, {USERS}) AS t(n)"
        if postgres
        else f"(WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {USERS}) SELECT n FROM t)"
    )
    with connection.cursor() as cursor:
        if not postgres:
            cursor.execute("PRAGMA cache_size = -500000")
        indexes = _take_away_indexes()
        cursor.execute(
            f"INSERT INTO directory_user ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {numbers}"
        )
        for sql in indexes:
            cursor.execute(sql)
        cursor.execute("SELECT min(id) FROM directory_user WHERE agency_id = %s", [made.pk])
        first = cursor.fetchone()[0]
        line = "string_agg({0}, chr(30) ORDER BY id)" if postgres else "group_concat({0}, char(30))"
        text = line.format("email || username")
        cursor.execute(
            f"INSERT INTO directory_searchchunk (agency_id, slot, text) SELECT {made.pk}, id / 24,"
            f" {f'convert_to({text}, ' + chr(39) + 'UTF8' + chr(39) + ')' if postgres else text}"
            f" FROM directory_user WHERE agency_id = {made.pk} AND id >= {first} GROUP BY id / 24"
        )
        cursor.execute("VACUUM ANALYZE" if postgres else "ANALYZE")


def _take_away_indexes() -> list[str]:
    """Drop the indexes of users that serve no constraint; return what makes them again: quicker than to fill them row by row."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'directory_user' AND type = 'index' AND sql > ''"
            )
            return _drop(cursor, cursor.fetchall())
        cursor.execute("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'")
        cursor.execute(
            "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
            " WHERE i.indrelid = 'directory_user'::regclass"
            " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)"
        )
        return _drop(cursor, cursor.fetchall())


def _drop(cursor: CursorWrapper, indexes: Sequence[tuple[str, str]]) -> list[str]:
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    return [sql for _, sql in indexes]


_WORDS: tuple[Any, ...] = (models.Role, models.Rank, models.Group)


def _empty() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            triggers.remove()
            cursor.execute("TRUNCATE directory_agency CASCADE; SET session_replication_role = DEFAULT")
            triggers.install()
            return
        cursor.execute("PRAGMA foreign_keys = OFF")
        for model in (models.SearchChunk, models.User, *_WORDS, models.Agency):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")
        cursor.execute("DELETE FROM sqlite_stat1")
        cursor.execute("PRAGMA foreign_keys = ON")


@contextmanager
def _record_queries() -> Iterator[list[tuple[str, Any]]]:
    """Every query, with its parameters."""
    noted: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        noted.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        yield noted


def _is_good(noted: list[tuple[str, Any]]) -> bool:
    """Whether none of them looks at every user; PostgreSQL may count to ten thousand as it likes."""
    looked = r"WITH|SELECT(?! count)" if connection.vendor == "postgresql" else "WITH|SELECT"
    for sql, parameters in noted:
        assert not re.match(looked, sql) or not _find_wrong(sql, parameters), sql[:2_000]
    return True


def _find_wrong(sql: str, parameters: Sequence[Any] | None) -> list[str]:
    """The steps of a query's plan that look at every user."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
            plan = cursor.fetchone()[0]
            return list(_scans((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"]))
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return _wrong_steps(sql, [row[3] for row in cursor.fetchall()])


def _scans(plan: Mapping[str, Any]) -> Iterator[str]:
    """A scan of all users, unless it is cut short because so many are wanted; or a sort of many."""
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] == "directory_user" and plan["Plan Rows"] < USERS / 10:
        yield str(plan)
    if plan["Node Type"] == "Sort" and plan["Plan Rows"] > USERS / 10:
        yield str(plan)
    for part in plan.get("Plans", ()):
        yield from _scans(part)


def _wrong_steps(sql: str, steps: list[str]) -> list[str]:
    """A scan of all users, or a sort of them: not of a few that were found before, nor of roles, ranks and groups."""
    few = re.search("MATERIALIZED|json_each|RECURSIVE used", sql)
    return [
        step
        for step in steps
        if re.match(r"SCAN (u|directory_user)\b(?! USING (COVERING )?INDEX)|BLOOM FILTER ON u ", step)
        or ("TEMP B-TREE" in step and not few)
    ]


WANTED: dict[str, dict[str, Any]] = {
    "everybody": {},
    "a common role": {"role": 2},
    "a rare role": {"role": 1},
    "a common rank": {"rank": 1},
    "a rare rank": {"rank": 0},
    "a group": {"group": 0},
    "two filters": {"rank": 0, "group": 0},
    "a supervisor": {"supervisor": 1},
    "since": {"signed_in_from": NOW},
    "never": {"never_signed_in": True},
    "active": {"status": "Active"},
    "invited": {"status": "Invited"},
    "expired": {"status": "Invitation expired"},
    "locked": {"status": "Locked"},
    "reset": {"status": "Password reset"},
    "inactive": {"status": "Inactive"},
    "rare text": {"text": "user777777"},
    "common text": {"text": "example"},
}


def _make_filters(made: models.Agency, given: Mapping[str, Any]) -> UserFilters:
    models_of = dict(zip(("role", "rank", "group"), _WORDS, strict=True))
    return UserFilters(**{
        name: list(models_of[name].objects.filter(agency=made).order_by("pk"))[value].pk if name in models_of else value
        for name, value in given.items()
    })  # fmt: skip


PAIRS = [
    *((sort, name) for sort in orders.SORTS for name in ("everybody", "a rare rank")),
    *(("name", name) for name in WANTED),
]


@pytest.mark.parametrize(("sort", "name"), sorted(set(PAIRS)))
def test_no_page_looks_at_every_user(million: models.Agency, sort: str, name: str) -> None:
    criteria = _make_filters(million, WANTED[name])
    with _record_queries() as noted:
        page = user_list.read_page(million, criteria, at=NOW, sort=sort)
        if page.after:
            user_list.read_page(million, criteria, at=NOW, sort=sort, place=page.after)
        user_list.count_users(million, criteria, at=NOW)
    assert 1 < len(noted) < 60
    assert _is_good(noted)


def test_the_import_of_a_small_file_looks_at_few_users(million: models.Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[str, Any]] = []
    read = frames.read_frame

    def note(sql: str, parameters: Any, schema: Any) -> Any:
        noted.append((sql, parameters))
        return read(sql, parameters, schema)

    monkeypatch.setattr(frames, "read_frame", note)
    table = intake.read(file(people(*range(500, 520))))
    assert 20 <= snapshot_queries.read_snapshot(million, table, Mode.UPDATE).users.height < 100
    assert noted and _is_good(noted)


def test_the_marks_of_a_large_agency_are_found_by_their_index(
    million: models.Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S10 and S11: most users have no mark that matters, so no import looks at all of them for it."""
    noted: list[tuple[str, Any]] = []
    read = frames.read_frame

    def note(sql: str, parameters: Any, schema: Any) -> Any:
        noted.append((sql, parameters))
        return read(sql, parameters, schema)

    monkeypatch.setattr(frames, "read_frame", note)
    monkeypatch.setattr(import_marks, "_FEW", 0)
    assert import_marks.read_marks(million, pl.DataFrame({"id": [1, 2]}), "").is_empty()
    assert noted and _is_good(noted)
