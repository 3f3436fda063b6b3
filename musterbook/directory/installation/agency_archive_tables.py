"""The tables of an agency's archive: derived from the models, so that a new table or column is in it without a word here.

Only what stays behind, and the ids that are in texts, are listed. A test demands that every JSON column is in one of the lists.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl
from django.apps import apps
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models import (
    AutoField,
    BooleanField,
    DateField,
    DateTimeField,
    Field,
    FloatField,
    ForeignKey,
    IntegerField,
    JSONField,
    Model,
)

from musterbook.directory import models
from musterbook.directory.installation import sealed_values
from musterbook.directory.storage import frames

LEFT_OUT: Mapping[str, str] = {
    "directory.Worker": "the heartbeats of the workers of an installation",
    "directory.ImportTotal": "metrics of an installation, of all its agencies",
    "directory.SearchChunk": "made of the users, and made again of them",
    "accounts.Failure": "failed sign-ins of the last 15 minutes, from places that only the installation's key recognizes",
    "accounts.Attempts": "attempts of a short time, counted by sources that only the installation's key recognizes",
    "sessions.Session": "signed with the installation's key: everyone signs in again",
    "usersessions.UserSession": "signed with the installation's key: everyone signs in again",
    "account.EmailAddress": "of the library, and unused: addresses are in the directory",
    "account.EmailConfirmation": "of the library, and unused: addresses are in the directory",
    "contenttypes.ContentType": "of the framework: the models of the program",
    "auth.Permission": "of the framework, and unused: permissions are in roles",
    "auth.Group": "of the framework, and unused: groups are in the directory",
    "auth.Group_permissions": "of the framework, and unused: permissions are in roles",
}
"""The tables that do not move, each with the reason."""

EMPTIED: Mapping[str, Mapping[str, str | None]] = {
    "directory.Feed": {"worker": "", "lease_until": None},
    "directory.Import": {"worker": ""},
    "directory.Mail": {"worker": ""},
    "directory.WebhookEndpoint": {"worker": "", "lease_until": None},
}
"""The columns that are empty in the new installation, because they name workers of the old one."""

OTHER_IDS: Mapping[str, Mapping[str, str]] = {
    "directory.TrailLink": {"first": "directory.Event", "last": "directory.Event"},
    "directory.Passage": {"first": "directory.Event", "last": "directory.Event"},
}
"""The columns that hold ids and are no foreign keys, each with the table of the ids."""

KEPT_IDS: Mapping[str, tuple[str, ...]] = {"directory.MovedTrail": ("agency_there", "events", "users", "imports")}
"""The columns about ids of earlier installations: `agency_archive_import` adds to them what it adds to ids."""

JSON_WITH_IDS = ("directory.Agency.limits", "directory.Feed.limits")
"""The JSON columns that hold ids (`agency_archive_ids`)."""

JSON_WITHOUT_IDS = (
    "accounts.Token.addresses", "accounts.Token.permissions", "directory.Agency.defaults", "directory.Agency.mails_off",
    "directory.Agency.mapping", "directory.Agency.reading", "directory.Agency.sign_on", "directory.Agency.values",
    "directory.Feed.location", "directory.Feed.notify", "directory.Feed.reading", "directory.Feed.schedule",
    "directory.Feed.secrets", "directory.Feed.seen", "directory.FeedFile.leaving", "directory.FeedFile.parts",
    "directory.Import.counts", "directory.Import.entries", "directory.Import.file_facts", "directory.Import.granted",
    "directory.Import.held", "directory.Import.holds", "directory.Import.leavers", "directory.Import.mails",
    "directory.Import.options", "directory.Import.stages", "directory.ListView.columns", "directory.MovedTrail.keys",
    "directory.Notice.facts", "directory.NoticeSettings.emails", "directory.ProvisionedUser.kept",
    "directory.Role.permissions", "directory.WebhookEndpoint.kinds", "directory.WebhookEndpoint.secrets",
    "directory.WebhookMessage.log", "mfa.Authenticator.data",
)  # fmt: skip
"""The JSON columns in which names, external IDs and numbers of imports stand for rows, and no ids."""

_LARGE = {"directory.Import": 200, "directory.WebhookMessage": 2_000, "directory.ProvisionedUser": 2_000}
_USUAL = 10_000
"""The rows that are read, and written to the archive, at once: less where a row can be large. An import takes no more at once."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in the database, how its values are exchanged, the table that its ids are of, and its limits."""

    name: str
    kind: type[pl.DataType]
    time: bool = False
    day: bool = False
    json: bool = False
    target: str = ""
    """The label of the table that it refers to, "" for none."""
    guarded: bool = True
    """Whether the database itself checks that the row it refers to exists."""
    nullable: bool = False
    longest: int | None = None
    span: tuple[int, int] | None = None
    """The lowest and the highest number, as PostgreSQL limits it: SQLite holds any."""

    @property
    def sql(self) -> str:
        """Return the SQL that reads it as the archive has it."""
        quoted = f'"{self.name}"'
        if not (self.time or self.day or self.json):
            return quoted
        if not frames.on_postgres():
            return f"CAST({quoted} AS text)"
        if self.time:
            return f"to_char({quoted} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
        return f"to_char({quoted}, 'YYYY-MM-DD')" if self.day else f"{quoted}::text"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with rows of one agency: the model, its columns, and how its rows are found."""

    label: str
    model: type[Model]
    columns: tuple[Column, ...]
    condition: str
    """The SQL condition of the rows of an agency, with its id as the only parameter."""

    @property
    def name(self) -> str:
        """Return the name of the table in the database."""
        return frames.table(self.model)

    @property
    def key(self) -> str:
        """Return the column of the primary key."""
        return str(self.model._meta.pk.column)

    @property
    def has_ids(self) -> bool:
        """Return whether the table gives its rows ids of its own."""
        return isinstance(self.model._meta.pk, AutoField)

    @property
    def schema(self) -> dict[str, type[pl.DataType]]:
        """Return the types of the columns, as the archive has them."""
        return {column.name: column.kind for column in self.columns}

    @property
    def at_once(self) -> int:
        """Return the number of rows that are read or written at once."""
        return _LARGE.get(self.label, _USUAL)


@lru_cache(maxsize=1)
def list_tables() -> tuple[Table, ...]:
    """Return the tables of an archive: those of the agency first, then in the order in which they refer to each other."""
    waiting = {model._meta.label: model for model in list_models() if model._meta.label not in LEFT_OUT}
    conditions: dict[str, str] = {"directory.Agency": '"id" = %s'}
    while len(conditions) < len(waiting):
        found = {
            label: _find_condition(model, conditions) for label, model in waiting.items() if label not in conditions
        }
        new = {label: condition for label, condition in found.items() if condition}
        if not new:
            raise LookupError(f"No agency has the rows of {', '.join(sorted(set(waiting) - set(conditions)))}")
        conditions |= new
    return tuple(
        Table(label, waiting[label], _list_columns(waiting[label]), condition)
        for label, condition in conditions.items()
    )


def list_models() -> list[type[Model]]:
    """Return the models of all tables."""
    return list(apps.get_models(include_auto_created=True))


def _find_condition(model: type[Model], known: Mapping[str, str]) -> str:
    """Return the condition of an agency's rows, by the agency itself or by a row that always is of one; "" for none yet."""
    keys = [one for one in model._meta.concrete_fields if isinstance(one, ForeignKey)]
    own = next((one for one in keys if one.related_model is models.Agency and not one.null), None)
    if own:
        return f'"{own.column}" = %s'
    for one in keys:
        target: Any = one.related_model
        label = target._meta.label
        if not one.null and label in known and target is not model:
            key = target._meta.pk.column
            return f'"{one.column}" IN (SELECT "{key}" FROM "{frames.table(target)}" WHERE {known[label]})'
    return ""


def _list_columns(model: type[Model]) -> tuple[Column, ...]:
    return tuple(_make_column(model, one) for one in model._meta.concrete_fields)


def _make_column(model: type[Model], field: "Field[Any, Any]") -> Column:
    name, nullable, longest = str(field.column), bool(field.null), field.max_length
    target = OTHER_IDS.get(model._meta.label, {}).get(name, "")
    if isinstance(field, ForeignKey):
        related: Any = field.related_model
        key: Any = field  # django-stubs leaves `db_constraint` out
        return Column(
            name, pl.Int64, target=related._meta.label, guarded=bool(key.db_constraint), nullable=nullable
        )  # fmt: skip
    if isinstance(field, JSONField | DateField):
        time = isinstance(field, DateTimeField)
        is_json = isinstance(field, JSONField)
        return Column(name, pl.String, time=time, day=not (time or is_json), json=is_json, nullable=nullable)
    if isinstance(field, IntegerField | AutoField):
        span = BaseDatabaseOperations.integer_field_ranges[field.get_internal_type()]
        return Column(name, pl.Int64, target=target, guarded=not target, nullable=nullable, span=span)
    kind = pl.Boolean if isinstance(field, BooleanField) else pl.Float64 if isinstance(field, FloatField) else pl.String
    return Column(name, kind, nullable=nullable, longest=longest if kind is pl.String else None)


def change_secrets(
    table: Table, rows: pl.DataFrame, change: Callable[[str, sealed_values.SealedColumn], str]
) -> pl.DataFrame:
    """Return the rows of the table with each text that has secrets changed by the function."""
    for column in sealed_values.COLUMNS:
        if column.model is table.model:
            changed = [change(text, column) for text in rows[column.field]]
            rows = rows.with_columns(pl.Series(column.field, changed, pl.String))
    return rows
