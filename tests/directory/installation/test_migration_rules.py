"""Each migration leaves the tables in a state with which the previous version goes on (docs/contributing/recipes.md)."""

import re
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from tests.directory.installation.migration_rules import find_unsafe

NEVER_RELEASED = {
    "directory": (
        "0002_users_and_search", "0004_accounts", "0005_queue", "0007_mails_off", "0008_passages",
        "0011_people", "0013_keyed_trail", "0014_locks_by_place", "0015_kind_of_import",
        "0016_marks_and_keys_of_users", "0017_settings_of_imports", "0018_outcomes_of_imports",
        "0022_notices", "0023_canceled_imports", "0024_feeds", "0025_ended_feed_files",
        "0026_mail_to_addresses", "0027_keys_of_sent_files", "0030_unreachable_feeds",
        "0032_totals_of_imports", "0036_groups_by_file", "0037_import_granted",
    ),
    "accounts": (
        "0006_without_cache", "0007_locks_by_place", "0008_without_library_of_providers",
        "0011_addresses_of_tokens",
    ),
}  # fmt: skip
"""Unsafe migrations from before the first release: no released version runs with the schema before them."""


def list_unsafe() -> dict[str, list[str]]:
    loader = MigrationLoader(None)
    nodes = loader.graph._generate_plan(loader.graph.leaf_nodes(), at_end=True)
    state, found = ProjectState(), dict[str, list[str]]()
    for app, name in nodes:
        migration = loader.get_migration(app, name)
        if app in NEVER_RELEASED:
            found[f"{app}.{name}"] = find_unsafe(migration, state)
        state = migration.mutate_state(state, preserve=False)
    return {name: faults for name, faults in found.items() if faults}


def test_the_previous_version_goes_on_after_each_migration() -> None:
    historical = {f"{app}.{name}" for app, names in NEVER_RELEASED.items() for name in names}
    unsafe = list_unsafe()
    assert {name: faults for name, faults in unsafe.items() if name not in historical} == {}
    assert historical <= unsafe.keys(), "an exception that is none is removed from the list"


def _make(*operations: Any) -> Any:
    """A migration of these operations."""
    migration: Any = Migration("next", "directory")
    migration.operations = list(operations)
    return migration


def _state() -> ProjectState:
    made = _make(
        migrations.CreateModel(
            "User",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=20, null=True)),
                ("rank", models.CharField(max_length=20, db_default="")),
            ],
        )
    )
    state: ProjectState = made.mutate_state(ProjectState())
    return state


@pytest.mark.parametrize(
    ("operation", "found"),
    [
        (migrations.RemoveField("user", "name"), "RemoveField"),
        (migrations.RenameField("user", "name", "label"), "RenameField"),
        (migrations.RenameModel("User", "Person"), "RenameModel"),
        (migrations.DeleteModel("User"), "DeleteModel"),
        (migrations.AlterModelTable("user", "people"), "AlterModelTable"),
        (migrations.AddField("user", "age", models.IntegerField(default=0)), "AddField age"),
        (migrations.AlterField("user", "name", models.CharField(max_length=20)), "AlterField name: .* nothing into it"),
        (migrations.AlterField("user", "rank", models.CharField(max_length=20)), "AlterField rank: .* db_default"),
        (migrations.AlterField("user", "name", models.IntegerField(null=True)), "AlterField name: .* another type"),
        (
            migrations.AlterField("user", "name", models.CharField(max_length=9, null=True)),
            "AlterField name: .* longer",
        ),
        (
            migrations.AddConstraint("user", models.UniqueConstraint(fields=["name"], name="name_once")),
            "AddConstraint name_once",
        ),
        (migrations.RunSQL("UPDATE directory_user SET name = NULL"), "RunSQL"),
        (migrations.RunPython(migrations.RunPython.noop), "RunPython"),
    ],
)
def test_a_migration_that_stops_the_previous_version_is_refused(operation: Any, found: str) -> None:

    [fault] = find_unsafe(_make(operation), _state())
    assert re.match(found, fault), fault


def test_a_migration_that_only_adds_is_accepted() -> None:
    migration = _make(
        migrations.AddField("user", "age", models.IntegerField(default=0, db_default=0)),
        migrations.AddField("user", "left_at", models.DateTimeField(null=True)),
        migrations.AlterField("user", "rank", models.CharField(max_length=40, db_default="")),
        migrations.AddIndex("user", models.Index(fields=["name"], name="user_by_name")),
        migrations.CreateModel("Visit", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("visit", "at", models.DateTimeField()),
        migrations.AddConstraint("visit", models.UniqueConstraint(fields=["at"], name="visit_once")),
        migrations.RunPython(migrations.RunPython.noop),
    )
    migration.safe_for_previous = "It fills a column that the previous version does not read."
    assert find_unsafe(migration, _state()) == []
