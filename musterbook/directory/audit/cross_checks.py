"""Cross-checks: users, changes, imports, sign-ins and tokens in the directory that have no events in its trail.

Writes to the database that bypass Musterbook leave such traces, even if the trail itself is whole.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl
from django.db import connection

from musterbook.core.values.keys import fold, make_keys
from musterbook.directory import models, permissions
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.storage import frames

_EVENTS, _USERS = frames.table(models.Event), frames.table(models.User)
_PART = 100_000
_MOST = 3
"""The number of names that a message lists; it counts the others."""

Check = Callable[[models.Agency], str]
MORE_CHECKS: list[Check] = []
"""Checks of facts outside the directory: `accounts` adds its own. Each returns an error, "" for none."""


def find_error(agency: models.Agency) -> str:
    """Return the first fact of the directory that is missing from the agency's trail, "" for none."""
    checks: tuple[Check, ...] = (
        _check_users,
        _check_sign_ins,
        _check_imports,
        _check_values,
        _check_keys,
        _check_roles,
        *MORE_CHECKS,
    )
    return next(filter(None, (check(agency) for check in checks)), "")


def list_names(names: Sequence[str]) -> str:
    """Return the first of these names, and the number of the others."""
    more = f" and {len(names) - _MOST:,} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _check_users(agency: models.Agency) -> str:
    names = _find_without(agency, "TRUE", f"e.kind = '{EventKind.USER_ADDED}'")
    return f"the trail has no event that added {list_names(names)}" if names else ""


def _check_sign_ins(agency: models.Agency) -> str:
    condition = f"e.kind = '{EventKind.USER_SIGNED_IN}' AND e.at >= u.last_sign_in_at"
    names = _find_without(agency, "u.last_sign_in_at IS NOT NULL", condition)
    return f"the trail has no event of the last sign-in of {list_names(names)}" if names else ""


def _find_without(agency: models.Agency, condition: str, event_condition: str) -> list[str]:
    """Return the external IDs of the matching users who have no matching event."""
    sql = (
        f"SELECT u.external_id FROM {_USERS} u WHERE u.agency_id = %s AND {condition} AND NOT EXISTS"
        f" (SELECT 1 FROM {_EVENTS} e WHERE e.subject_id = u.id AND e.agency_id = u.agency_id"
        f" AND {event_condition}) ORDER BY u.id"
    )
    return [row[0] for row in _fetch_rows(sql, agency.pk)]


def _check_imports(agency: models.Agency) -> str:
    """Compare the changes in each import's record with its events, and find events whose record is gone."""
    # A user who becomes another person has an event of that too. The former holder of a badge may have no row.
    sql = (
        f"SELECT of_id, count(*) FROM {_EVENTS} WHERE agency_id = %s AND of_id IS NOT NULL"
        f" AND kind <> '{EventKind.USER_REPLACED}' AND NOT (kind = '{EventKind.USER_UPDATED}' AND \"row\" IS NULL)"
        " GROUP BY of_id"
    )
    event_counts = dict(_fetch_rows(sql, agency.pk))
    records = models.Import.objects.filter(agency=agency).values_list(
        "pk", "number", "state", "counts", "options__what"
    )
    for import_, number, state, counts, what in records.iterator():
        if what:  # it changes groups, roles or ranks, whose changes are one event
            if event_counts.pop(import_, 0) and state != "applied":
                return f"import {number} was not applied by its record, and has events"
            continue
        changed = sum(counts.get(name, 0) for name in ("added", "updated", "deactivated")) if state == "applied" else 0
        has = event_counts.pop(import_, 0)
        if has != changed:
            return f"import {number} changed {changed:,} users by its record, and has {has:,} events"
    return f"the trail has events of {len(event_counts):,} imports that are not there" if event_counts else ""


_FIELDS = ("EXTERNAL_ID", "EMAIL", "STATUS", "USERNAME", "ROLE")
"""The fields that decide which users may sign in, and with which role."""


def _check_values(agency: models.Agency) -> str:
    """Compare the current values of users with those in their last events."""
    last = _read_last_values(agency)
    have = frames.read_frame(
        "SELECT u.id, u.external_id, u.external_id, u.email, CASE WHEN u.active THEN 'Active' ELSE 'Inactive' END,"
        " u.username, r.name"
        f" FROM {_USERS} u JOIN {frames.table(models.Role)} r ON r.id = u.role_id WHERE u.agency_id = %s",
        [agency.pk],
        {"subject_id": pl.Int64, "external_id": pl.String, **dict.fromkeys(_FIELDS, pl.String)},
    )
    joined = have.join(last, on="subject_id", how="left", suffix="_recorded")
    for name in _FIELDS:
        other = joined.filter(pl.col(f"{name}_recorded").is_not_null(), pl.col(name) != pl.col(f"{name}_recorded"))
        if name == "ROLE":
            other = other.filter(~pl.col("ROLE_recorded").is_in(_find_renamed(agency, other["ROLE_recorded"])))
        if not other.is_empty():
            users = list_names(other.sort("subject_id")["external_id"].to_list())
            return f"{name} of {users} is not what the trail says it became"
    return ""


_KEYED = ("EMAIL", "BADGE_NUMBER", "USERNAME")


def _check_keys(agency: models.Agency) -> str:
    """Compare the keys for lookup and sign-in with the values that they are made from."""
    columns = [f"{name.lower()}{end}" for name in _KEYED for end in ("", "_key")]
    have = frames.read_frame(
        f"SELECT id, external_id, {', '.join(columns)} FROM {_USERS} WHERE agency_id = %s",
        [agency.pk],
        {"id": pl.Int64, "external_id": pl.String, **dict.fromkeys(columns, pl.String)},
    )
    for name in _KEYED:
        # The key of an older version is right too if another user has the key of today (`apply.stored_keys`).
        other = have.filter(make_keys(have[name.lower()]) != make_keys(have[f"{name.lower()}_key"]))
        if not other.is_empty():
            return f"the key of {name} of {list_names(other.sort('id')['external_id'].to_list())} is another value's"
    return ""


def _check_roles(agency: models.Agency) -> str:
    """Compare what each role may do with the last event of it."""
    now = {
        f"role {role.name_key}": permissions.describe_role(role) for role in models.Role.objects.filter(agency=agency)
    }
    events = models.Event.objects.filter(agency=agency, kind__in=(EventKind.AGENCY_ADDED, EventKind.AGENCY_CHANGED))
    last = dict[str, str]()
    for changes in events.order_by("pk").values_list("changes", flat=True).iterator():
        last.update({name: after for name, (_, after) in json.loads(changes).items() if name in now})
    other = [name.removeprefix("role ") for name, said in last.items() if now[name] != said]
    return f"the role {list_names(other)} is not what the trail says it became" if other else ""


def _read_last_values(agency: models.Agency) -> pl.DataFrame:
    """Return the values that the last events gave each user: one row for each, null for a value in no event."""
    parts = [pl.DataFrame(schema={"subject_id": pl.Int64, **dict.fromkeys(_FIELDS, pl.String)})]
    for part in _read_changes(agency):
        expressions = [pl.col("changes").str.json_path_match(f"$.{name}[1]").alias(name) for name in _FIELDS]
        parts.append(_select_latest(part.select("subject_id", *expressions)))
    return _select_latest(pl.concat(parts))


def _select_latest(events: pl.DataFrame) -> pl.DataFrame:
    return events.group_by("subject_id").agg(pl.col(name).drop_nulls().last() for name in _FIELDS)


_KINDS = ", ".join(
    f"'{kind}'"
    for kind in (EventKind.USER_ADDED, EventKind.USER_UPDATED, EventKind.USER_REKEYED, EventKind.USER_DEACTIVATED)
)


def _read_changes(agency: models.Agency) -> Iterator[pl.DataFrame]:
    """Yield the changes of users in the events, in their order."""
    after = -(2**63)
    sql = (
        f"SELECT id, subject_id, changes FROM {_EVENTS} WHERE agency_id = %s AND id > %s AND subject_id IS NOT NULL"
        f" AND kind IN ({_KINDS}) ORDER BY id LIMIT {_PART}"
    )
    while True:
        part = frames.read_frame(
            sql, [agency.pk, after], {"id": pl.Int64, "subject_id": pl.Int64, "changes": pl.String}
        )
        if part.is_empty():
            return
        yield part
        after = part["id"][-1]


def _find_renamed(agency: models.Agency, names: pl.Series) -> list[str]:
    """Return those role names that have been changed, and so may be another role's today."""
    events = models.Event.objects.filter(agency=agency, kind=EventKind.AGENCY_CHANGED).values_list("changes", flat=True)
    changed = {key for changes in events for key in json.loads(changes)}
    return [name for name in names.unique() if f"role {fold(name)}" in changed]


def _fetch_rows(sql: str, *parameters: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
