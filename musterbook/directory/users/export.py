"""The export: all or some users of an agency, in the columns of the import and then ours, ready to re-import."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from django.utils.translation import gettext as _

from musterbook.core.domain import columns
from musterbook.core.domain.snapshot import SCHEMA
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import changes
from musterbook.core.values.keys import fold
from musterbook.directory import models
from musterbook.directory.apply import search_index, snapshot_queries
from musterbook.directory.storage import formats, frames
from musterbook.directory.users import filters, states
from musterbook.directory.users.filters import USERS, Condition, UserFilters

STATES = tuple(state for state in states.STATES if state != states.EXPIRED)
"""The states of a user, as in `X_STATE`: an invited user is Invited, whether or not the invitation has expired."""

_TIMES = {
    "last_sign_in_at": "X_LAST_SIGN_IN",
    "invited_at": "X_INVITED_AT",
    "invitation_expires_at": "X_INVITATION_EXPIRES",
    "created_at": "X_CREATED_AT",
}
OURS = ("X_STATE", *_TIMES.values(), "X_MANAGED_BY", "X_EXEMPT", "X_NO_FILES", "X_SOURCE", "X_LEAVING_ON", "X_ENDS_ON")
"""Our own columns, after the thirteen; an import ignores them."""

HEADINGS = (*(column.heading for column in columns.COLUMNS), *OURS)
UNGUARDED = (columns.PHONE.heading,)
"""Columns that need no guard against being run as formulas: they contain only digits."""


class UnknownFilter(Exception):
    """A filter names a value that does not exist; the message lists those that do."""


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """The criteria for users; "" for all.

    `status`: one of STATES, in any case; Active and Inactive mean the column STATUS, so Active includes invited and
    locked users; `query`: words that must all occur in the name, email address, username, badge or external ID, in any
    case, with or without accents.
    """

    status: str = ""
    role: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class UserExport:
    """An export: the number of users in it, and its bytes in parts."""

    users: int
    parts: Iterator[bytes]


def export_users(agency: models.Agency, criteria: ExportFilter, form: str) -> UserExport:
    """Return the matching users as csv, xlsx or json.

    Raise UnknownFilter, and formats.TooLong for more users than a workbook holds.
    """
    frame = read_users(agency, criteria)
    return UserExport(frame.height, formats.format_frame(frame, form, "Users", UNGUARDED))


def read_users(agency: models.Agency, criteria: ExportFilter | None = None) -> pl.DataFrame:
    """Return the matching users as text, in the columns of HEADINGS, by external ID. Raise UnknownFilter."""
    criteria = criteria or ExportFilter()
    words = snapshot_queries.read_vocabulary(agency)
    rows = _join_supervisors(_read(agency))
    frame = _format_users(agency, search_index.filter_users(rows, search_index.split_words(criteria.query)), words)
    return frame.filter(
        *_match_state(criteria.status), *_match_role(criteria.role, [role.name for role in words.roles])
    )


def export_search(agency: models.Agency, criteria: UserFilters, form: str, *, at: datetime) -> UserExport:
    """Return the users that a search of the list finds, as csv, xlsx or json.

    Raise UnknownStatus, and formats.TooLong for more users than a workbook holds.
    """
    rows = _read(agency, tuple(filters.build_conditions(criteria, at)))
    matches = search_index.filter_users(rows, search_index.split_words(criteria.text))
    frame = _format_named(agency, matches)
    return UserExport(frame.height, formats.format_frame(frame, form, "Users", UNGUARDED))


def read_user(user: models.User) -> dict[str, str]:
    """Return one user as text: heading of HEADINGS → value."""
    (values,) = _format_named(user.agency, _read(user.agency, (Condition("u.id = %s", (user.pk,), ()),))).to_dicts()
    return values


def _format_named(agency: models.Agency, rows: pl.DataFrame) -> pl.DataFrame:
    """Return some users as text, whose supervisors may be others."""
    words = snapshot_queries.read_vocabulary(agency)
    return _format_users(agency, _join_supervisors(rows, _read_supervisors(agency, rows)), words)


def _format_users(agency: models.Agency, rows: pl.DataFrame, words: Vocabulary) -> pl.DataFrame:
    """Return the users as text, in the columns of HEADINGS, by external ID."""
    ours = _select_ours(agency.grace_days)
    texts = rows.select(*changes.render_texts(words)[: len(changes.NAMES) - 1], *ours, "external_id")
    frame = texts.rename({column.field: column.heading for column in columns.COLUMNS})
    return frame.select(HEADINGS).sort(columns.EXTERNAL_ID.heading)


def _read_supervisors(agency: models.Agency, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the supervisors of these users: `supervisor_id`, `supervisor_email`."""
    condition, parameter = frames.match_any("id", rows["supervisor_id"].drop_nulls().unique().to_list())
    sql = f"SELECT id, email FROM {USERS} WHERE agency_id = %s AND {condition}"
    return frames.read_frame(sql, [agency.pk, parameter], {"supervisor_id": pl.Int64, "supervisor_email": pl.String})


def _read(agency: models.Agency, conditions: tuple[Condition, ...] = ()) -> pl.DataFrame:
    """Return all users, or those who meet the conditions, with their times as text, "" for none."""
    selected = ["registered_at IS NOT NULL" if name == "registered" else name for name in SCHEMA]
    selected += [
        *(_format_time(name) for name in _TIMES),
        "managed_by",
        *_MARKS.values(),
        states.build_timeless_sql(""),
    ]
    schema = {**SCHEMA, **dict.fromkeys((*_TIMES, "managed_by", *_MARKS, "state"), pl.String)}
    tests = "".join(f" AND ({condition.sql})" for condition in conditions)
    parameters = [value for condition in conditions for value in condition.parameters]
    sql = f"SELECT {', '.join(selected)} FROM {USERS} u WHERE u.agency_id = %s{tests}"
    return frames.read_frame(sql, [agency.pk, *parameters], schema)


def _join_supervisors(rows: pl.DataFrame, supervisors: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the users with `supervisor_email`, null for none.

    `supervisors`: the supervisors, if they are not among the users.
    """
    if supervisors is None:
        supervisors = rows.select(supervisor_id="id", supervisor_email="email")
    return rows.join(supervisors, on="supervisor_id", how="left", maintain_order="left")


def _format_time(name: str) -> str:
    """Return a time as ISO 8601 in UTC, "" for none."""
    if frames.on_postgres():
        return f"coalesce(to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '')"
    return f"coalesce(strftime('%%Y-%%m-%%dT%%H:%%M:%%SZ', {name}), '')"


_MARKS = {
    "no_files": "CASE WHEN no_files THEN 'yes' ELSE '' END",
    "source": "source",
    "missing_since": "CAST(missing_since AS text)",
    "ends_on": "coalesce(CAST(ends_on AS text), '')",
}
"""The marks of a user as text, each with its SQL: those that a snapshot does not have."""


def _select_ours(grace_days: int) -> list[pl.Expr]:
    times = [pl.col(name).alias(heading) for name, heading in _TIMES.items()]
    exempt = pl.when("exempt").then(pl.lit("yes")).otherwise(pl.lit(""))
    return [
        pl.col("state").alias("X_STATE"),
        *times,
        pl.col("managed_by").alias("X_MANAGED_BY"),
        exempt.alias("X_EXEMPT"),
        pl.col("no_files").alias("X_NO_FILES"),
        pl.col("source").alias("X_SOURCE"),
        _find_leaving_day(grace_days).alias("X_LEAVING_ON"),
        pl.col("ends_on").alias("X_ENDS_ON"),
    ]


def _find_leaving_day(grace_days: int) -> pl.Expr:
    """Return the first day on which a synchronize import can make the user Inactive, "" for a user who is not leaving."""
    since = pl.col("missing_since").str.to_date("%Y-%m-%d")
    return (since + pl.duration(days=grace_days)).dt.to_string("%Y-%m-%d").fill_null("")


def _match_state(status: str) -> list[pl.Expr]:
    if not status:
        return []
    state = {state.casefold(): state for state in STATES}.get(status.strip().casefold())
    if state is None:
        raise UnknownFilter(
            _("There is no status “%(status)s”. There are: %(what)s.") % {"status": status, "what": ", ".join(STATES)}
        )
    return [pl.col("STATUS" if state in ("Active", "Inactive") else "X_STATE") == state]


def _match_role(role: str, known: Iterable[str]) -> list[pl.Expr]:
    if not role:
        return []
    names = {fold(name): name for name in known}
    if fold(role) not in names:
        close = difflib.get_close_matches(fold(role), names, n=1)
        meant, known = _("Did you mean %(name)s?"), _("There are: %(names)s.")
        hint = meant % {"name": names[close[0]]} if close else known % {"names": ", ".join(names.values())}
        raise UnknownFilter(_("There is no role “%(role)s”. %(hint)s") % {"role": role, "hint": hint})
    return [pl.col("ROLE") == names[fold(role)]]
