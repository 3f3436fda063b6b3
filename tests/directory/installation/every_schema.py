"""Data in every schema that a version could have had: `python -m tests.directory.installation.every_schema COMMAND …`.

`build FOLDER NAME…` migrates an empty database one migration at a time. After each migration of the directory or of the accounts
it writes an agency with a row in every table that there is, and after the migrations of these names it copies the database.
So the rows of each schema go through all later migrations, in one pass. `check FOLDER` compares a migrated database with what
was written.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django

django.setup()

from musterbook.directory.storage import isolation

isolation.open_process()

import polars as pl
import psycopg
from django.apps import apps as today
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps

from musterbook.core.values.keys import fold
from musterbook.directory.audit import hash_chain
from musterbook.directory.installation import migration

AT = datetime(2026, 1, 1, 7, 0, 0, 123_456, tzinfo=UTC)
_APPS = ("directory", "accounts", "mfa")
_WITHOUT = {
    "searchchunk", "event", "traillink", "trailend", "passage",  # written below, or by the doctor
    "movedtrail",  # it stands for a trail of another installation, and this one begins here
}  # fmt: skip
_CHANGED = {
    "directory_import.kind", "directory_import.state", "directory_import.ended", "directory_import.ended_at",
    "directory_import.successor_id",
}  # fmt: skip
"""Columns that later migrations fill from others."""


class _Filler:
    """The rows of one agency, in the tables of one schema."""

    def __init__(self, apps: StateApps, number: int) -> None:
        self._apps, self._number = apps, number
        self._rows: dict[str, Any] = {}

    def fill(self) -> dict[str, Any]:
        """Write a row into each table; return the rows by the names of their models."""
        for model in self._order():
            values = {
                field.attname: self._choose(model, field) for field in model._meta.concrete_fields if not _is_own(field)
            }
            self._rows[model._meta.model_name] = model.objects.create(**values)
        self._write_trail()
        return self._rows

    def _order(self) -> Iterator[Any]:
        """Yield the models, each after those that it refers to."""
        left = [
            model
            for label in _APPS
            for model in self._apps.get_models()
            if model._meta.app_label == label and model._meta.model_name not in _WITHOUT
        ]
        while left:
            names = {model._meta.model_name for model in left}
            ready = [model for model in left if not (_list_references(model) - {model._meta.model_name}) & names]
            assert ready, names
            yield from ready
            left = [model for model in left if model not in ready]

    def _choose(self, model: Any, field: Any) -> Any:
        name = f"{model._meta.model_name}.{field.name}"
        chosen = _choose_by_name(self._number)
        if name in chosen:
            return chosen[name]
        if field.remote_field:
            row = self._rows.get(field.related_model._meta.model_name)
            return row.pk if row is not None else None
        return (
            None if field.null else field.get_default() if field.has_default() else _choose_by_type(field, self._number)
        )

    def _write_trail(self) -> None:
        """Write events of what was added, their link and its head, as the version of this schema sealed them."""
        get, agency = self._apps.get_model, self._rows["agency"].pk
        events = [
            get("directory", "Event").objects.create(agency_id=agency, at=AT, **facts) for facts in self._list_facts()
        ]
        link = get("directory", "TrailLink")(agency_id=agency, number=1, first=events[0].pk, last=events[-1].pk)
        name, key = next(iter(hash_chain.derive_keys().items()))
        if keyed := hasattr(link, "key"):
            link.key = name
        sealed = {column: [getattr(event, column) for event in events] for column in hash_chain.SEALED}
        sealed["at"] = [f"{AT:%Y-%m-%d %H:%M:%S.%f}"] * len(events)
        digest = hash_chain.begin_digest(hash_chain.START, key if keyed else None)
        hash_chain.add_events(digest, pl.DataFrame(sealed, schema=hash_chain.SEALED))
        # Links of old versions named no key.
        link.digest = hash_chain.finish_digest(digest, link) if keyed else digest.hexdigest()
        link.save()
        get("directory", "TrailEnd").objects.create(agency_id=agency, links=1, digest=link.digest)
        if "passage" in self._apps.all_models["directory"]:
            for event in events:
                same = {name: getattr(event, name) for name in ("agency_id", "at", "actor", "through", "kind", "of_id")}
                get("directory", "Passage").objects.create(outcome="", first=event.pk, last=event.pk, **same)

    def _list_facts(self) -> Iterator[dict[str, Any]]:
        """Yield the facts of the event that added the user, and of the one that made the token."""
        user, of, token = self._rows["user"], self._rows.get("import"), self._rows.get("token")
        told = {"EXTERNAL_ID": user.external_id, "EMAIL": user.email, "STATUS": "Active", "USERNAME": user.username}
        changes = {name: ["", value] for name, value in (told | {"ROLE": self._rows["role"].name}).items()}
        about = {"through": "page", "subject_id": user.pk, "subject_external_id": user.external_id}
        yield {
            "kind": "user.added", "of_id": of.pk if of else None, "row": 2, "changes": json.dumps(changes), **about,
        }  # fmt: skip
        if token is not None:
            facts = {
                "token": ["", f"{token.name} (…{token.ending})"], "permissions": ["", ""],
                "expires": ["", AT.isoformat(timespec="seconds")],
            }  # fmt: skip
            yield {"kind": "api.token-made", "changes": json.dumps(facts), **about}


def _is_own(field: Any) -> bool:
    """Whether the database numbers it."""
    return isinstance(field, models.AutoField)


def _list_references(model: Any) -> set[str]:
    return {field.related_model._meta.model_name for field in model._meta.concrete_fields if field.remote_field}


def _choose_by_type(field: Any, number: int) -> Any:
    by_type: tuple[tuple[type, Any], ...] = (
        (models.DateTimeField, AT), (models.BooleanField, False), (models.JSONField, []), (models.IntegerField, number),
    )  # fmt: skip
    found = [value for kind, value in by_type if isinstance(field, kind)]
    return found[0] if found else f"{field.name}-{number}"[: field.max_length]


def _choose_by_name(number: int) -> dict[str, Any]:
    person = {
        "external_id": f"E-{number}", "email": f"user{number}@agency.example", "badge_number": f"B-{number}",
        "username": f"user{number}",
    }  # fmt: skip
    return {
        **{f"user.{name}": value for name, value in person.items()},
        **{f"user.{name}_key": fold(value) for name, value in person.items()},
        "user.active": True, "user.supervisor": None, "group.parent": None,
        "agency.slug": f"agency-{number}", "role.permissions": [],
        "import.number": f"01STATE{number:019}", "import.state": "applied", "import.mode": "update",
        "import.through": "page",
        "import.counts": {"rows": 1, "added": 1, "losing_access": 0},
        "import.undoes": None, "import.origin": None, "import.successor": None,
        "import.finished_at": AT, "import.file_name": "users.csv",
        "feed.mode": "update", "feed.paused_at": AT,
        "mail.kind": "invitation", "mail.sent_at": AT, "mail.ended_at": AT,
        "importtotal.value": 1.5, "webhookmessage.ended_at": AT, "webhookmessage.delivered": True,
        "authenticator.type": "totp", "authenticator.data": {},
    }  # fmt: skip


def build(folder: Path, copies: list[str]) -> None:
    """Migrate an empty database step by step, with rows of each schema."""
    executor = MigrationExecutor(connection)
    executor.recorder.ensure_schema()
    state = executor._create_project_state(  # type: ignore[attr-defined]  # as `migrate` does
        with_applied_migrations=True
    )
    written: dict[str, dict[str, dict[str, str]]] = {}
    number = 0
    for step, _ in executor.migration_plan(executor.loader.graph.leaf_nodes()):
        state = executor.apply_migration(state, step)
        if step.app_label not in ("directory", "accounts"):
            continue
        number += 1
        for row in _Filler(state.apps, number).fill().values():
            written.setdefault(row._meta.db_table, {})[str(row.pk)] = _read(row)
        if f"{step.app_label}.{step.name}" in copies:
            (folder / f"{step.app_label}.{step.name}.json").write_text(json.dumps([number, written]))
            _copy(folder, f"{step.app_label}.{step.name}")
    (folder / "newest.json").write_text(json.dumps([number, written]))
    print(number)


def _read(row: Any) -> dict[str, str]:
    return {field.column: repr(getattr(row, field.attname)) for field in row._meta.concrete_fields}


def _copy(folder: Path, name: str) -> None:
    if connection.vendor == "sqlite":
        connection.close()
        shutil.copy(connection.settings_dict["NAME"], folder / f"{name}.sqlite3")
        return
    parameters = connection.get_connection_params()
    connection.close()
    with psycopg.connect(
        **{key: parameters[key] for key in ("host", "port", "user") if parameters.get(key)},
        dbname="postgres",
        autocommit=True,
    ) as server:
        server.execute(f'CREATE DATABASE "{parameters["dbname"]}_{name}" TEMPLATE "{parameters["dbname"]}"'.encode())


def check(file: Path) -> None:
    """Compare a migrated database with what was written; print what differs, and each trail that is not whole."""
    number, written = json.loads(file.read_text())
    for model in today.get_models():
        if model._meta.db_table in written:
            _compare(model, written[model._meta.db_table])
    for finding in migration.check_trails():
        if finding.error:
            print(f"{finding.agency}: {finding.error}")
    events: Any = today.get_model("directory", "Event")._default_manager
    unkeyed = today.get_model("directory", "TrailLink")._default_manager.filter(key="")
    # The upgrade of a trail without a key adds the event that says that a key seals it now.
    kept = events.exclude(kind="audit.keyed").count(), events.filter(kind="audit.keyed").count()
    if kept != (number + len(written.get("accounts_token", ())), unkeyed.count()):
        print(f"there are {kept} events of {number} agencies")
    print(f"{number} agencies compared")


def _compare(model: Any, written: dict[str, dict[str, str]]) -> None:
    """Print what is not as it was written in a table; columns that are gone are not compared."""
    table, rows = model._meta.db_table, {str(row.pk): _read(row) for row in model.objects.all()}
    if rows.keys() != written.keys():
        print(f"{table} has the rows {sorted(rows)} instead of {sorted(written)}")
    for key, before in written.items():
        after = rows.get(key, {})
        for column in before.keys() & after.keys():
            if after[column] != before[column] and f"{table}.{column}" not in _CHANGED:
                print(f"{table}.{column} of {key} was {before[column]} and is {after[column]}")


if __name__ == "__main__":
    if sys.argv[1] == "build":
        build(Path(sys.argv[2]), sys.argv[3:])
    else:
        check(Path(sys.argv[2]))
