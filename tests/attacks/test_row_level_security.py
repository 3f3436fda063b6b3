"""Row-level security of PostgreSQL, the second wall between agencies: it stands when the first, each query's scope, is gone."""

import ast
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import Error, connection, models, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.http import StreamingHttpResponse
from django.test import Client, RequestFactory
from psycopg import Cursor
from pytest_django import Settings

import musterbook
from musterbook.accounts.models import Failure
from musterbook.core.domain.policy import Mode
from musterbook.directory.audit import triggers
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import queue, worker
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.installation import doctor
from musterbook.directory.models import Agency, Packed, User
from musterbook.directory.storage import isolation, policies
from musterbook.web import middleware
from tests.accounts.conftest import Springfield, signed_in
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import ask, make_token
from tests.databases import Home
from tests.directory import cast
from tests.directory.cast import NOW

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not os.environ.get("DATABASE_URL"), reason="PostgreSQL has row-level security, SQLite has none"),
]
REFUSED = "row-level security"
_Rows = dict[type[models.Model], models.Model]


@pytest.fixture(autouse=True)
def _limited_role() -> None:
    if connection.vendor == "postgresql" and policies.is_bypassed():
        pytest.skip("DATABASE_URL has a superuser, whom policies do not limit")


# Every table

MODELS = [
    model
    for model in apps.get_models(include_auto_created=True)
    if model._meta.db_table not in policies.INSTALLATION_WIDE
]
_NAMED: dict[str, dict[str, Any]] = {
    "directory_feed": {"mode": "update"},
    "directory_import": {"kind": "file", "mode": "update", "state": "applied"},
    "accounts_failure": {"user": User},
    "directory_mail": {"user": User},
    "usersessions_usersession": {"ip": "192.0.2.1"},
}
"""Values that a row must have; a model means the row of that model."""


def make_rows(slug: str) -> _Rows:
    """A row of each model, all of one new agency."""
    rows: _Rows = {}
    for model in MODELS:
        _make_row(model, slug, rows)
    return rows


def _make_row(model: type[models.Model], slug: str, rows: _Rows) -> models.Model:
    if model not in rows:
        named = _NAMED.get(model._meta.db_table, {})
        values = {
            field.name: _make_value(field, slug, rows, named.get(field.name))
            for field in model._meta.concrete_fields
            if not isinstance(field, models.AutoField)
        }
        row = model(**{name: value for name, value in values.items() if value is not None})
        models.Model.save(row, force_insert=True)
        rows[model] = row
    return rows[model]


_OF_TYPE: tuple[tuple[type[Any], Any], ...] = (
    (models.DateTimeField, NOW),
    (models.BooleanField, False),
    (models.IntegerField, 1),
    (models.JSONField, {}),
    (Packed, b"text"),
)
"""The value of a field of each type that needs one, and is no text."""


def _make_value(field: Any, slug: str, rows: _Rows, named: Any) -> Any:
    """The value of a field; None for its default. `named`: as in _NAMED."""
    if isinstance(named, type):
        return _make_row(named, slug, rows)
    if named is not None or field.null or field.has_default():
        return named
    if field.is_relation:
        return _make_row(field.related_model, slug, rows)
    text = f"{slug}-{field.name}"[: field.max_length or 40]
    return next((value for kind, value in _OF_TYPE if isinstance(field, kind)), text)


@pytest.fixture
def both(db: None) -> tuple[_Rows, _Rows]:
    """A row of every model of two agencies."""
    return make_rows("springfield"), make_rows("shelbyville")


def test_every_table_has_a_policy_or_a_reason_to_have_none() -> None:
    assert policies.find_open_tables() == []
    assert set(policies.INSTALLATION_WIDE) <= set(connection.introspection.table_names())


def test_no_query_reaches_a_row_of_another_agency(both: tuple[_Rows, _Rows]) -> None:
    ours, theirs = both
    with isolation.limit_to(ours[Agency].pk):
        for model in MODELS:
            found = set(model._base_manager.values_list("pk", flat=True))
            assert (ours[model].pk in found, theirs[model].pk in found) == (True, False), model


def test_no_statement_changes_or_removes_a_row_of_another_agency(both: tuple[_Rows, _Rows]) -> None:
    ours, theirs = both
    before = {model: _read(theirs[model]) for model in MODELS}
    with isolation.limit_to(ours[Agency].pk):
        for model in MODELS:
            own = model._base_manager.filter(pk=theirs[model].pk)
            column = model._meta.concrete_fields[-1].name
            if model._meta.db_table in triggers.TRAIL:  # it refuses the statement before any row
                continue
            assert own.update(**{column: getattr(theirs[model], column)}) == 0, model
            assert own._raw_delete(own.db) == 0, model
    assert {model: _read(theirs[model]) for model in MODELS} == before


def _read(row: models.Model) -> Any:
    return type(row)._base_manager.filter(pk=row.pk).values().get()


def test_no_row_is_added_to_another_agency(both: tuple[_Rows, _Rows]) -> None:
    ours, theirs = both
    copies = {model: model._base_manager.get(pk=theirs[model].pk) for model in MODELS}
    with isolation.limit_to(ours[Agency].pk):
        for row in copies.values():
            if isinstance(row._meta.pk, models.AutoField):
                row.pk = None
            with pytest.raises(Error, match=REFUSED), transaction.atomic():
                models.Model.save(row, force_insert=True)


def test_no_row_is_moved_to_another_agency(both: tuple[_Rows, _Rows]) -> None:
    ours, theirs = both
    with isolation.limit_to(ours[Agency].pk):
        for model in MODELS:
            if model._meta.db_table in triggers.TRAIL or "agency" not in {field.name for field in model._meta.fields}:
                continue
            with pytest.raises(Error, match=REFUSED), transaction.atomic():
                model._base_manager.filter(pk=ours[model].pk).update(agency=theirs[Agency].pk)


def test_without_an_agency_there_are_no_rows(both: tuple[_Rows, _Rows]) -> None:
    with isolation.close_all():
        assert [model for model in MODELS if model._base_manager.exists()] == []
        with pytest.raises(Error, match=REFUSED), transaction.atomic():
            cast.agency("capital")


def test_a_failed_sign_in_without_a_user_is_of_no_agency(both: tuple[_Rows, _Rows]) -> None:
    with isolation.limit_to(both[0][Agency].pk):
        assert Failure.objects.create(user=None, at=NOW).pk


# The connection

SHOW = "SELECT current_setting('muster.agency', true)"


def show() -> str:
    """The setting, as the database has it."""
    with connection.cursor() as cursor:
        cursor.execute(SHOW)
        return str(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_the_setting_follows_what_the_thread_works_for() -> None:
    with isolation.open_to_all(), connection.cursor() as opened:
        assert show() == "*"
        with isolation.limit_to(7):
            assert show() == "7"
            opened.execute(SHOW)  # a cursor from before
            assert opened.fetchone() == ("7",)
            with opened.copy(f"COPY ({SHOW}) TO STDOUT") as copied:
                assert b"".join(copied) == b"7\n"
            connection.close()
            assert show() == "7"
        assert show() == "*"
    with isolation.close_all():
        assert show() == ""


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_rolled_back_takes_no_setting_with_it() -> None:
    def end(work: Callable[[], None]) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            work()
            raise ZeroDivisionError

    def look() -> None:
        show()

    def fail() -> None:
        with pytest.raises(Error), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    with isolation.limit_to(7):
        assert show() == "7"
    with isolation.open_to_all():
        end(look)
        with isolation.limit_to(7):
            end(fail)
            assert show() == "7"
        with transaction.atomic():
            end(look)
            with isolation.limit_to(7):
                end(fail)
                assert show() == "7"
            assert show() == "*"
        assert show() == "*"


def test_a_thread_that_says_nothing_works_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_usual", isolation.NONE)
    seen = []
    with isolation.limit_to(7):
        thread = threading.Thread(target=lambda: seen.append(isolation.read_scope()))
        thread.start()
        thread.join()
    assert seen == [isolation.NONE]


def test_work_for_one_agency_does_not_turn_to_another() -> None:
    with isolation.limit_to(7), isolation.limit_to(7):
        with pytest.raises(isolation.OtherAgency), isolation.limit_to(8):
            pass
        with pytest.raises(isolation.OtherAgency):
            isolation.limit_rest_to(8)


# Requests, without the first wall

_SCOPE = re.compile(r"""((?:"?\w+"?\.)?"?agency_id"?) = (%s|\d+)""")


def _unscope(sql: Any) -> Any:
    return (
        _SCOPE.sub(r"(\1 = \2 OR TRUE)", sql) if isinstance(sql, str) and "SET" not in sql.upper().split()[:3] else sql
    )


@pytest.fixture
def unscoped(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No query of the product compares the agency any more: ORM, SQL of our own, COPY."""
    copy = Cursor.copy
    monkeypatch.setattr(Cursor, "copy", lambda cursor, sql, *rest, **named: copy(cursor, _unscope(sql), *rest, **named))

    def run(execute: Callable[..., Any], sql: Any, *rest: Any) -> Any:
        return execute(_unscope(sql), *rest)

    with connection.execute_wrapper(run):
        yield


@contextmanager
def without_second_wall(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the policies were not there."""
    with monkeypatch.context() as patch:
        patch.setattr(isolation, "_check", lambda _agency: isolation.ALL)
        yield


@pytest.fixture
def staffed(springfield: Springfield) -> tuple[Springfield, Client, str]:
    """Springfield, a client of its administrator and a token. Shelbyville has one user, Burns."""
    springfield.registered(1)
    client = signed_in(Client(), "user.1")
    _, secret = make_token(springfield, "users.view", "users.import", "groups.manage", name="HR")
    cast.apply_rows(cast.agency("shelbyville"), [cast.person("mr-burns", LAST_NAME="Burns")])
    return springfield, client, secret


FACES: dict[str, Callable[[Client, str], Any]] = {
    "page": lambda client, _: client.get("/springfield/users/"),
    "download": lambda client, _: client.get("/springfield/users/export.csv"),
    "rest": lambda _, secret: ask(secret, "/springfield/api/v1/users"),
    "scim": lambda _, secret: ask(secret, "/springfield/scim/v2/Users"),
}


@pytest.mark.parametrize("face", FACES)
def test_a_face_without_its_scope_shows_no_other_agency(
    staffed: tuple[Springfield, Client, str], unscoped: None, face: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client, secret = staffed
    shown = _read_answer(FACES[face](client, secret))
    assert ("user.1" in shown, "burns" in shown.lower()) == (True, False)
    with without_second_wall(monkeypatch):
        burns = User.objects.get(external_id="E-mr-burns")
        named: list[Any] = []

        def note(execute: Callable[..., Any], sql: Any, params: Any, *rest: Any) -> Any:
            named.extend(params or ())
            return execute(sql, params, *rest)

        with connection.execute_wrapper(note):
            shown = _read_answer(FACES[face](client, secret)).lower()
        # Programs look for the users of the ids that were found, and then leave out one whose role they do not know.
        assert "burns" in shown or burns.pk in named


def _read_answer(answer: Any) -> str:
    assert answer.status_code == 200, answer
    content: bytes = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return content.decode()


def test_a_worker_without_its_scope_ends_the_access_of_nobody_elsewhere(
    staffed: tuple[Springfield, Client, str], unscoped: None
) -> None:
    springfield, *_ = staffed
    before = _read_shelbyville()
    upload = Upload(cast.file([cast.person(1, ROLE="Admin"), cast.person(9)]), "everybody.csv")
    context = AuditContext(NOW, "", "cli")
    record = queue.submit(springfield.agency, upload, Options(mode=Mode.SYNC), context=context)
    assert worker.run_next_import("worker", lambda: NOW)
    record.refresh_from_db()
    assert (record.state, record.counts["added"]) == ("applied", 1), record.message
    assert _read_shelbyville() == before


def _read_shelbyville() -> Any:
    with isolation.limit_to(Agency.objects.get(slug="shelbyville").pk):
        return cast.read_everything(Agency.objects.get())


def test_after_a_request_its_connection_shows_its_agency_to_nobody(staffed: tuple[Springfield, Client, str]) -> None:
    _, client, secret = staffed
    FACES["page"](client, secret)
    with isolation.close_all():
        assert not User.objects.exists()
    theirs = Agency.objects.get(slug="shelbyville")
    with isolation.limit_to(theirs.pk):
        assert set(User.objects.values_list("agency", flat=True)) == {theirs.pk}


def test_a_response_that_is_made_while_it_is_sent_stays_limited(staffed: tuple[Springfield, Client, str]) -> None:
    springfield, *_ = staffed

    def respond(_: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(f"{agency} " for agency in (show(), show()))

    answer = middleware.agencies(respond)(RequestFactory().get("/springfield/anything"))
    parts = iter(answer)
    own = str(springfield.agency.pk)
    assert next(parts).decode().strip() == own
    assert isolation.read_scope() == isolation.ALL  # as before the request
    assert next(parts).decode().strip() == own


def test_a_request_of_no_agency_sees_no_rows() -> None:
    cast.agency()
    seen = []

    def respond(_: Any) -> StreamingHttpResponse:
        seen.append((isolation.read_scope(), Agency.objects.count()))
        return StreamingHttpResponse([])

    middleware.agencies(respond)(RequestFactory().get("/nowhere/"))
    middleware.agencies(respond)(RequestFactory().get("/"))
    assert seen == [("", 0)] * 2


# Processes


def test_a_command_reaches_only_its_agency(fresh_home: Home) -> None:
    for slug in ("springfield", "shelbyville"):
        path = fresh_home.folder / f"{slug}.toml"
        path.write_text(f'slug = "{slug}"\nname = "X"\n[[roles]]\nname = "Admin"\n[[roles]]\nname = "Officer"\n')
        fresh_home.muster("agency", "apply", str(path))
        rows = fresh_home.folder / f"{slug}.csv"
        rows.write_bytes(cast.file([cast.person(f"{slug}-1")]))
        done = fresh_home.muster("import", "--agency", slug, str(rows))
        assert done.returncode == 0, done.stderr
    done = fresh_home.run(sys.executable, "-c", _UNSCOPED_EXPORT)
    assert ("springfield-1" in done.stdout, "shelbyville-1" in done.stdout) == (True, False), done
    assert fresh_home.run(sys.executable, "-c", _COUNT).stdout == "0\n"


_UNSCOPED_EXPORT = r"""
import sys
sys.argv = ["muster", "export", "--agency", "springfield"]
import re
from psycopg import Cursor
from pytest_django import Settings
copy = Cursor.copy
Cursor.copy = lambda cursor, sql, *rest, **named: copy(
    cursor, re.sub(r"((?:\w+\.)?agency_id) = (%s|[0-9]+)", r"(\1 = \2 OR TRUE)", sql), *rest, **named
)
from musterbook.cli import main
main.main()
"""
_COUNT = """
import django
django.setup()
from musterbook.directory.models import User
print(User.objects.count())
"""


# What is open to all

OPEN = {
    "cli/session.py": (1, "A command is of the installation until it names its agency (`session.find_agency`)."),
    "directory/management/commands/migrate.py": (1, "Migrations change the rows of all agencies."),
    "jobs.py": (2, "Workers claim work of all agencies. What they have claimed is limited to its agency."),
    "web/home.py": (1, "The first page leads to the only agency, and sets up the first one."),
    "web/middleware.py": (1, "The agency of the path is looked up by its slug."),
    "web/probes.py": (2, "Readiness and metrics are of the installation."),
}
"""Each module that turns to the rows of all agencies, how often at most, and why."""


def test_what_is_open_to_all_agencies_has_a_reason() -> None:
    root = Path(musterbook.__file__).parent
    found: dict[str, int] = {}
    for path in sorted(root.rglob("*.py")):
        uses = sum(
            isinstance(node, ast.Attribute) and node.attr in ("open_to_all", "open_process")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
        if uses:
            found[path.relative_to(root).as_posix()] = uses
    assert found.keys() == OPEN.keys()
    assert {path: uses for path, uses in found.items() if uses > OPEN[path][0]} == {}


# Doctor


@pytest.fixture
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    """A MUSTER_HOME without what other tests left: the doctor would take the empty database for one that is gone."""
    settings.MUSTER_HOME = tmp_path


@pytest.mark.usefixtures("_own_folder")
@pytest.mark.django_db(transaction=True)
def test_the_doctor_reports_a_policy_that_is_gone_and_migrate_brings_it_back() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP POLICY muster_agency ON directory_user")
        cursor.execute("ALTER TABLE directory_mail DISABLE ROW LEVEL SECURITY")
        cursor.execute("ALTER TABLE directory_role NO FORCE ROW LEVEL SECURITY")
        cursor.execute("CREATE POLICY hole ON directory_rank USING (true)")
        cursor.execute("ALTER POLICY muster_agency ON directory_agency USING (true)")
        cursor.execute("ALTER POLICY muster_agency ON directory_event WITH CHECK (true)")
        cursor.execute("ALTER POLICY muster_agency ON accounts_lock USING (user_id IS NOT NULL)")
    try:
        found = next(one for one in doctor.run_checks() if one.about == "agencies")
        changed = {"directory_agency", "directory_event", "accounts_lock"}
        open_ones = {"directory_user", "directory_mail", "directory_role", "directory_rank"} | changed
        assert {*policies.find_open_tables()} == open_ones
        assert all(table in found.found for table in open_ones)
        assert "muster migrate" in found.remedy
    finally:
        call_command("migrate", verbosity=0)
    assert policies.find_open_tables() == []
    assert not next(one for one in doctor.run_checks() if one.about == "agencies").remedy


@pytest.mark.django_db(transaction=True)
def test_an_upgrade_puts_the_policies_in_force_when_migrate_runs_again() -> None:
    cast.agency()
    with connection.schema_editor() as editor:
        for name in ("directory.migrations.0039", "accounts.migrations.0012"):
            module = import_module(f"musterbook.{name}_row_level_security")
            module.Migration.operations[0].reverse_code(None, editor)
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("accounts", "0013_passkeys_once")
    recorder.record_unapplied("accounts", "0012_row_level_security")
    recorder.record_unapplied("directory", "0039_row_level_security")
    call_command("migrate", verbosity=0)
    assert "directory_user" in policies.find_open_tables()
    with isolation.close_all():
        assert Agency.objects.exists()  # as an older version, which goes on
    call_command("migrate", verbosity=0)
    assert policies.find_open_tables() == []


@pytest.mark.usefixtures("_own_folder")
def test_the_doctor_says_that_a_role_bypasses_the_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "is_bypassed", lambda: True)
    found = next(one for one in doctor.run_checks() if one.about == "agencies")
    assert (found.notice, found.remedy) == (True, "")
    assert "superuser" in found.found
