"""The export: all or some users of an agency, in the columns of the import and then ours, ready to re-import."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.snapshot import SCHEMA
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import changes
from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.apply import search_index, snapshot_queries
from musterbook.directory.storage import formats, frames
from musterbook.directory.users import filters, states
from musterbook.directory.users.filters import USERS, Condition, Wanted

STATES = tuple(state for state in states.STATES if state != states.EXPIRED)
"""The states of a user, as in `X_STATE`: an invited user is Invited, whether or not the invitation has expired."""

_TIMES = {
    "last_sign_in_at": "X_LAST_SIGN_IN",
    "invited_at": "X_INVITED_AT",
    "invitation_expires_at": "X_INVITATION_EXPIRES",
    "created_at": "X_CREATED_AT",
}
OURS = ("X_STATE", *_TIMES.values(), "X_MANAGED_BY", "X_EXEMPT", "X_ENDS_ON")
"""Our own columns, after the thirteen; an import ignores them."""

HEADINGS = (*(column.heading for column in columns.COLUMNS), *OURS)
UNGUARDED = (columns.PHONE.heading,)
"""Columns that need no guard against being run as formulas: they contain only digits."""


class UnknownFilter(Exception):
    """A filter names a value that does not exist; the message lists those that do."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The criteria for users; "" for all.

    `status`: one of STATES, in any case; Active and Inactive mean the column STATUS, so Active includes invited and
    locked users; `query`: words that must all occur in the name, e-mail address, username, badge or external id, in any
    case, with or without accents.
    """

    status: str = ""
    role: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """An export: the number of users in it, and its bytes in parts."""

    users: int
    parts: Iterator[bytes]


def export(agency: models.Agency, wanted: Filter, form: str) -> Exported:
    """Return the matching users as csv, xlsx or json.

    Raise UnknownFilter, and formats.TooLong for more users than a workbook holds.
    """
    told = users(agency, wanted)
    return Exported(told.height, formats.parts(told, form, "Users", UNGUARDED))


def users(agency: models.Agency, wanted: Filter | None = None) -> pl.DataFrame:
    """Return the matching users as text, in the columns of HEADINGS, by external id. Raise UnknownFilter."""
    wanted = wanted or Filter()
    words = snapshot_queries.vocabulary(agency)
    read = _with_supervisors(_read(agency))
    told = _headed(search_index.holding(read, search_index.words(wanted.query)), words)
    return told.filter(*_state(wanted.status), *_role(wanted.role, [role.name for role in words.roles]))


def export_found(agency: models.Agency, wanted: Wanted, form: str, *, at: datetime) -> Exported:
    """Return the users that a search of the list finds, as csv, xlsx or json.

    Raise UnknownStatus, and formats.TooLong for more users than a workbook holds.
    """
    read = _read(agency, tuple(filters.conditions(wanted, at)))
    found = search_index.holding(read, search_index.words(wanted.text))
    told = _headed(_with_supervisors(found, _bosses(agency, found)), snapshot_queries.vocabulary(agency))
    return Exported(told.height, formats.parts(told, form, "Users", UNGUARDED))


def _headed(told: pl.DataFrame, words: Vocabulary) -> pl.DataFrame:
    """Return the users as text, in the columns of HEADINGS, by external id."""
    texts = told.select(*changes.texts(words)[: len(changes.NAMES) - 1], *_ours(), "external_id")
    named = texts.rename({column.field: column.heading for column in columns.COLUMNS})
    return named.select(HEADINGS).sort(columns.EXTERNAL_ID.heading)


def _bosses(agency: models.Agency, told: pl.DataFrame) -> pl.DataFrame:
    """Return the supervisors of these users: `supervisor_id`, `supervisor_email`."""
    condition, parameter = frames.among("id", told["supervisor_id"].drop_nulls().unique().to_list())
    sql = f"SELECT id, email FROM {USERS} WHERE agency_id = %s AND {condition}"
    return frames.read(sql, [agency.pk, parameter], {"supervisor_id": pl.Int64, "supervisor_email": pl.String})


def _read(agency: models.Agency, conditions: tuple[Condition, ...] = ()) -> pl.DataFrame:
    """Return all users, or those who meet the conditions, with their times as text, "" for none."""
    listed = ["registered_at IS NOT NULL" if name == "registered" else name for name in SCHEMA]
    listed += [*(_time(name) for name in _TIMES), "managed_by", _ENDS_ON, states.timeless("")]
    schema = {**SCHEMA, **dict.fromkeys((*_TIMES, "managed_by", "ends_on", "state"), pl.String)}
    tests = "".join(f" AND ({condition.sql})" for condition in conditions)
    given = [value for condition in conditions for value in condition.parameters]
    sql = f"SELECT {', '.join(listed)} FROM {USERS} u WHERE u.agency_id = %s{tests}"
    return frames.read(sql, [agency.pk, *given], schema)


def _with_supervisors(told: pl.DataFrame, bosses: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the users with `supervisor_email`, null for none.

    `bosses`: the supervisors, if they are not among the users.
    """
    if bosses is None:
        bosses = told.select(supervisor_id="id", supervisor_email="email")
    return told.join(bosses, on="supervisor_id", how="left", maintain_order="left")


def _time(name: str) -> str:
    """Return a time as ISO 8601 in UTC, "" for none."""
    if frames.on_postgres():
        return f"coalesce(to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '')"
    return f"coalesce(strftime('%%Y-%%m-%%dT%%H:%%M:%%SZ', {name}), '')"


_ENDS_ON = "coalesce(CAST(ends_on AS text), '')"


def _ours() -> list[pl.Expr]:
    times = [pl.col(name).alias(heading) for name, heading in _TIMES.items()]
    exempt = pl.when("exempt").then(pl.lit("yes")).otherwise(pl.lit(""))
    return [
        pl.col("state").alias("X_STATE"),
        *times,
        pl.col("managed_by").alias("X_MANAGED_BY"),
        exempt.alias("X_EXEMPT"),
        pl.col("ends_on").alias("X_ENDS_ON"),
    ]


def _state(status: str) -> list[pl.Expr]:
    if not status:
        return []
    state = {state.casefold(): state for state in STATES}.get(status.strip().casefold())
    if state is None:
        raise UnknownFilter(f"There is no status “{status}”. There are: {', '.join(STATES)}.")
    return [pl.col("STATUS" if state in ("Active", "Inactive") else "X_STATE") == state]


def _role(role: str, known: Iterable[str]) -> list[pl.Expr]:
    if not role:
        return []
    names = {fold(name): name for name in known}
    if fold(role) not in names:
        close = difflib.get_close_matches(fold(role), names, n=1)
        hint = f"Did you mean {names[close[0]]}?" if close else f"There are: {', '.join(names.values())}."
        raise UnknownFilter(f"There is no role “{role}”. {hint}")
    return [pl.col("ROLE") == names[fold(role)]]
