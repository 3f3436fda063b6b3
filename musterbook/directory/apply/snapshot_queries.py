"""Every read that an import needs: the agency's vocabulary, and the part of its directory that a plan must see."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
from django.db.models import Count, Max
from django.db.models.functions import Length

from musterbook.core.domain import columns
from musterbook.core.domain.policy import Mode, Operator
from musterbook.core.domain.snapshot import HEADCOUNT, REPLACED, RESTING, SCHEMA, Snapshot
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Group, Rank, Role, Vocabulary
from musterbook.core.planning import damage, releases
from musterbook.core.values import keys, text
from musterbook.directory import models
from musterbook.directory.audit import former_ids
from musterbook.directory.permissions import ALL, Authority
from musterbook.directory.storage import frames

_WHOLE_FROM = 8
"""A snapshot takes the whole agency if it has fewer users than this many times the rows of the file."""

_ID_KEY = "external_id_key"


class UnknownOperator(Exception):
    """The operator named is not an active user of the agency."""


def read_vocabulary(agency: models.Agency) -> Vocabulary:
    """Return the agency's roles, its ranks in their order, and its groups."""
    roles = models.Role.objects.filter(agency=agency).order_by("id")
    ranks = models.Rank.objects.filter(agency=agency).order_by("position", "id")
    groups = models.Group.objects.filter(agency=agency).order_by("id")
    return Vocabulary(
        tuple(
            Role(number, name, ALL if administrator else frozenset(permissions), administrator)
            for number, name, permissions, administrator in roles.values_list(
                "id", "name", "permissions", "administrator"
            )
        ),
        tuple(Rank(*one) for one in ranks.values_list("id", "name", "abbreviation")),
        tuple(Group(*one) for one in groups.values_list("id", "external_id", "active")),
        agency.default_country,
        any(provider["match"] == "email" for provider in agency.sign_on),
        any(provider["match"] == "external_id" for provider in agency.sign_on),
    )


def read_operator(agency: models.Agency, external_id: str) -> Operator:
    """Return the user who acts. Raise UnknownOperator unless they are an active user of the agency."""
    user = (
        models.User.objects.filter(agency=agency, external_id=external_id, active=True).select_related("role").first()
    )
    if user is None:
        raise UnknownOperator(external_id)
    role: models.Role = user.role
    return Operator(user.pk, user.external_id, ALL if role.administrator else frozenset(role.permissions))


def find_operator(agency: models.Agency, authority: Authority) -> Operator | None:
    """Return the operator with no more permissions than the authority grants, or None for the system.

    Raise UnknownOperator.
    """
    if not authority.actor:
        return None
    operator = read_operator(agency, authority.actor)
    if authority.granted is None:
        return operator
    return replace(operator, permissions=operator.permissions & authority.granted)


def _get_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a plan needs of the directory besides the users that its rows name.

    - `at`: the time of the import, from which the days are counted that the agency remembers.
    - `supervisor`: the address of the supervisor that new users have by default, "" for none.
    - `limited`: whether the plan is subject to limits, which need the number of active users.
    - `released_on`: the day, if badges may be released (M13).
    """

    at: datetime = field(default_factory=_get_now)
    supervisor: str = ""
    limited: bool = True
    released_on: date | None = None


def read_snapshot(
    agency: models.Agency, table: Table, mode: Mode, users: pl.DataFrame | None = None, needs: Needs | None = None
) -> Snapshot:
    """Return what the plan of this table must know of the agency.

    If the file has few rows, the snapshot holds no more than the rows name. `users`: all users, if they have been read
    already.
    """
    needs = needs or Needs()
    words, resting = read_vocabulary(agency), _read_resting(agency, needs.at)
    if table.cells.is_empty():
        return Snapshot(vocabulary=words, resting=resting)
    padded, replaced = _find_padded(agency, table, users), _read_replaced(agency, table, needs)
    if users is not None:
        return Snapshot(users, words, resting, padded=padded, replaced=replaced)
    if needs_all_users(agency, table.cells.height, mode):
        return Snapshot(read_all_users(agency), words, resting, padded=padded, replaced=replaced)
    headcount = count_active(agency) if needs.limited else None
    named = _read_named_users(agency, table, needs.supervisor, replaced, needs.released_on)
    return Snapshot(named, words, resting, padded=padded, headcount=headcount, replaced=replaced)


_FEWEST_PADDED = 3
"""The fewest users whose numbers say how the agency writes numbers."""


def _find_padded(agency: models.Agency, table: Table, users: pl.DataFrame | None) -> dict[str, int]:
    """Return the fields whose values all begin with a zero, each with the most digits of a value (C12).

    Only fields are looked at in which the file has a number without one.
    """
    padded = dict[str, int]()
    bare = table.cells.select(damage.lacks_zeros(pl.col(column.field)).any() for column in damage.PADDED)
    for name in (name for name, lacks in bare.row(0, named=True).items() if lacks):
        length = _measure_padded(agency, name) if users is None else _measure_values(users[name])
        if length:
            padded[name] = length
    return padded


def _measure_values(values: pl.Series) -> int:
    """Return the most digits of the values if all begin with a zero, else 0."""
    is_padded = len(values) >= _FEWEST_PADDED and values.str.starts_with("0").all()
    return int(values.str.len_chars().max()) if is_padded else 0  # type: ignore[arg-type]  # there are values


def _measure_padded(agency: models.Agency, name: str) -> int:
    """Return the same for all users of the agency. In most agencies, the first user decides."""
    stored = models.User.objects.filter(agency=agency)
    if stored.exclude(**{f"{name}__startswith": "0"}).exists():
        return 0
    found = stored.aggregate(users=Count("pk"), longest=Max(Length(name)))
    return int(found["longest"]) if found["users"] >= _FEWEST_PADDED else 0


def count_active(agency: models.Agency) -> pl.DataFrame:
    """Return the number of active users (HEADCOUNT), by role and group if a limit needs them."""
    users = frames.table(models.User)
    if any(limit["role"] or limit["group"] for limit in agency.limits):
        sql = f"SELECT role_id, group_id, COUNT(*) FROM {users} WHERE agency_id = %s AND active GROUP BY role_id, group_id"
        return frames.read_frame(sql, [agency.pk], HEADCOUNT)
    # Each part has an index of its own.
    part = f"(SELECT COUNT(*) FROM {users} WHERE agency_id = %s"
    sql = f"SELECT NULL, NULL, {part}) - {part} AND NOT active)"
    return frames.read_frame(sql, [agency.pk, agency.pk], HEADCOUNT)


def _read_resting(agency: models.Agency, at: datetime) -> pl.DataFrame | None:
    """Return the sign-in names that users of the agency gave up within its `reuse_days`.

    Return None if the agency does not reserve released names.
    """
    if not agency.reuse_days:
        return None
    since = at - timedelta(days=agency.reuse_days)
    sql = f"SELECT key, user_id FROM {frames.table(models.ReleasedName)} WHERE agency_id = %s AND released_at > %s"
    return frames.read_frame(sql, [agency.pk, frames.stamp(since)], RESTING)


def _read_replaced(agency: models.Agency, table: Table, needs: Needs) -> pl.DataFrame | None:
    """Return the supervisors' addresses in the table that users gave up within the days that the agency remembers (M9).

    Return None for a table that is not a file: in a form or an undo, an address means its present user.
    """
    if not table.guarded:
        return None
    since = needs.at - timedelta(days=agency.replaced_addresses_days)
    known = models.ReleasedName.objects.filter(agency=agency, address=True, released_at__gt=since)
    given = columns.SUPERVISOR_EMAIL in table.present
    if not (given or needs.supervisor) or not agency.replaced_addresses_days or not known.exists():
        return pl.DataFrame(schema=REPLACED)
    cells = table.cells["supervisor_email"].unique() if given else pl.Series([needs.supervisor])
    addresses = keys.make_keys(text.clean(cells, guarded=given))
    condition, parameter = frames.match_any("key", addresses.to_list())
    sql = (
        f"SELECT key, user_id FROM {frames.table(models.ReleasedName)} WHERE agency_id = %s AND address"
        f" AND released_at > %s AND {condition} ORDER BY released_at DESC, id DESC"
    )
    return frames.read_frame(sql, [agency.pk, frames.stamp(since), parameter], REPLACED)


def needs_all_users(agency: models.Agency, rows: int, mode: Mode) -> bool:
    """Return whether the plan of this number of rows takes the whole agency."""
    return mode is Mode.SYNC or not _is_far_larger(agency, rows * _WHOLE_FROM)


def select_columns(prefix: str = "") -> str:
    """Return the columns of a snapshot, as SQL selects them from users.

    `prefix`: the table's name in the query, with its dot. A user that an identity provider manages is exempt from
    synchronize (S5).
    """
    special = {
        "registered": f"{prefix}registered_at IS NOT NULL",
        "exempt": f"({prefix}exempt OR {prefix}managed_by <> '')",
    }
    return ", ".join(special.get(name, f"{prefix}{name}") for name in SCHEMA)


def read_all_users(agency: models.Agency) -> pl.DataFrame:
    """Return all users of the agency, in the columns of a snapshot."""
    users = frames.table(models.User)
    return frames.read_frame(
        f"SELECT {select_columns()} FROM {users} WHERE agency_id = %s ORDER BY id", [agency.pk], SCHEMA
    )


def read_rekey_snapshot(agency: models.Agency, table: Table, *, whole: bool = True) -> Snapshot:
    """Return what the plan of new external IDs must know of the agency (M14).

    With `whole`, these are all users, and the ids that they had before. Otherwise, they are the users who have one of
    the ids of the table, and those whose id looks like one of them.
    """
    words = read_vocabulary(agency)
    if whole:
        return Snapshot(read_all_users(agency), words, former=former_ids.read_latest(agency))
    ids = [text.clean(table.cells[name], guarded=table.guarded) for name in ("external_id", "new_external_id")]
    id_keys = keys.make_id_keys(ids[1])
    by_id, names = frames.match_any("external_id", pl.concat([*ids, id_keys]).unique().to_list())
    by_key, looks = frames.match_any(_ID_KEY, id_keys.unique().to_list())
    users = frames.table(models.User)
    # Each condition has an index of its own.
    sql = (
        f"SELECT {select_columns()} FROM {users} WHERE id IN (SELECT id FROM {users} WHERE agency_id = %s AND {by_id}"
        f" UNION SELECT id FROM {users} WHERE agency_id = %s AND {by_key} AND {_ID_KEY} > '') ORDER BY id"
    )
    named = frames.read_frame(sql, [agency.pk, names, agency.pk, looks], SCHEMA)
    return Snapshot(named, words)


def _is_far_larger(agency: models.Agency, number: int) -> bool:
    return models.User.objects.filter(agency=agency)[number : number + 1].exists()


def _read_named_users(
    agency: models.Agency,
    table: Table,
    supervisor: str,
    replaced: pl.DataFrame | None,
    released_on: date | None,
) -> pl.DataFrame:
    """Return the users that the rows name or conflict with, enough administrators, and all supervisors above them.

    A row also names the users whose replaced address it has, and those who have the badge that a user would get if the
    badge of the row is released on that day.
    """
    users = frames.table(models.User)
    cells = table.cells
    ids = text.clean(cells["external_id"], guarded=table.guarded)
    id_keys = keys.make_id_keys(ids)
    lookups = {"external_id": [ids, id_keys.filter(id_keys != ids)], _ID_KEY: [id_keys]}
    for column in columns.KEYED:
        lookups[column.key] = [keys.make_keys(text.clean(cells[column.field], guarded=table.guarded))]
    if released_on:
        badges = text.clean(cells["badge_number"], guarded=table.guarded) + releases.describe_day(released_on)
        lookups[columns.BADGE_NUMBER.key].append(keys.make_keys(badges))
    # Users sign in with either, so the plan must see who has one as the other (M4); few usernames can be an address.
    emails, usernames = lookups[columns.EMAIL.key][0], lookups[columns.USERNAME.key][0]
    lookups[columns.USERNAME.key].append(emails)
    lookups[columns.EMAIL.key].append(usernames.filter(usernames.str.contains("@", literal=True)))
    if columns.SUPERVISOR_EMAIL in table.present:
        lookups[columns.EMAIL.key].append(keys.make_keys(text.clean(cells["supervisor_email"], guarded=table.guarded)))
    elif supervisor:
        lookups[columns.EMAIL.key].append(keys.make_keys(text.clean(pl.Series([supervisor]), guarded=False)))
    seeds, parameters = [], list[int | str | list[str] | list[int]]()
    for name, values in lookups.items():
        condition, parameter = frames.match_any(name, pl.concat(values).unique().to_list())
        # The index of these keys holds only keys that are not blank.
        filled = f" AND {_ID_KEY} > ''" if name == _ID_KEY else ""
        seeds.append(f"SELECT id FROM {users} WHERE agency_id = %s AND {condition}{filled}")
        parameters += [agency.pk, parameter]
    if replaced is not None and not replaced.is_empty():
        condition, parameter = frames.match_any("id", replaced["user_id"].unique().to_list())
        seeds.append(f"SELECT id FROM {users} WHERE {condition}")
        parameters.append(parameter)
    roles = frames.table(models.Role)
    seeds.append(
        f"SELECT id FROM (SELECT u.id FROM {users} u JOIN {roles} r ON u.role_id = r.id WHERE u.agency_id = %s AND u.active"
        f" AND u.registered_at IS NOT NULL AND r.administrator LIMIT {cells.height + 1}) AS administrators"
    )
    parameters.append(agency.pk)
    sql = (
        f"WITH RECURSIVE named(id) AS ({' UNION '.join(seeds)}), above(id) AS (SELECT id FROM named UNION"
        # Not as a join: for a join SQLite may scan all users first (a Bloom filter).
        f" SELECT (SELECT u.supervisor_id FROM {users} u WHERE u.id = a.id) FROM above a)"
        f" SELECT {select_columns()} FROM {users} WHERE id IN (SELECT id FROM above) ORDER BY id"
    )
    return frames.read_frame(sql, parameters, SCHEMA)
