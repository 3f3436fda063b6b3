"""Step 4, apply: the one writer of users, and of their events and mails. All runs in the caller's transaction."""

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.planning import changes
from musterbook.core.planning.plan import Plan
from musterbook.core.values import emails, keys
from musterbook.directory import models
from musterbook.directory.apply import search_index
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import frames

_KEYS = tuple(column.key for column in columns.KEYED)
_CACHE_MB = 256
"""Enough for the unique keys of a million users; SQLite takes only what it needs."""

_KEYED = ("email", "badge_number", "first_name", "last_name", "username")
"""The fields, besides the external id, that are unique, sorted by or searched."""
_UNKEYED = ("active", "role_id", "location", "rank_id", "group_id", "phone", "supervisor_id")
_WRITTEN = (*_KEYED, *_KEYS, "name_key", *_UNKEYED)


_PART = 50_000
"""The number of rows written at once; progress is reported between these parts."""


class Written(Protocol):
    """A callback that receives the number of users written so far; an error that it raises ends the writing."""

    def __call__(self, done: int) -> None:
        """Receive the number."""


def apply(
    plan: Plan, agency: models.Agency, context: AuditContext, *, of: int | None, mails: bool, written: Written
) -> None:
    """Write the changes of the plan, one event for each changed user, and the mails to send if `mails`.

    The caller holds the agency's lock and has made the plan under it. `of` is the import's id, or None for a change
    made by hand.
    """
    added, order = _numbered(plan.added)
    bosses = added.select(supervisor_row="row", boss="id")
    added = _linked(added, bosses)
    updated = _linked(plan.updated.with_columns(search_index.name_keys(plan.updated)), bosses)
    with frames.page_cache(_CACHE_MB):
        done = 0
        written(done)
        _vacate(plan.updated)
        writes = (
            *((frames.update, _parts(users)) for users in _updates(updated)),
            (frames.insert, (_new(part, agency, context) for part in _parts(added, order))),
            (frames.update, _parts(plan.leavers.deactivated.select("id", active=pl.lit(False)))),
        )
        for write, parts in writes:
            for part in parts:
                write(models.User, part)
                done += part.height
                written(done)
        for part in itertools.chain(_parts(updated.filter(_otherwise(_KEYED))), _parts(added, order)):
            search_index.follow(agency, part)
        _note_new_addresses(plan.updated, context.at)
        _keep_released_names(plan.updated, agency, context.at)
        _end_access(plan, context.at)
        trail.append(agency, context, _events(plan, added, order), import_id=of)
        if mails:
            _post(agency, context, plan, added, of)


def _numbered(added: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Return the added users with their ids and name keys, and the places of their rows in writing order.

    The writing order is by name. Addresses and usernames are made of names, so rows that are close in one index are
    then close in most.
    """
    keyed = added.with_columns(search_index.name_keys(added))
    order = keyed["name_key"].arg_sort()
    return keyed.with_columns(id=frames.new_ids(models.User, added.height).gather(order.arg_sort())), order


def _parts(users: pl.DataFrame, order: pl.Series | None = None) -> Iterator[pl.DataFrame]:
    """Yield the users in parts; `order`: the places of their rows, else the order of the frame."""
    if order is None:
        yield from users.iter_slices(_PART)
        return
    for start in range(0, len(order), _PART):
        yield users[order.slice(start, _PART)]


def _vacate(updated: pl.DataFrame) -> None:
    """Release the unique values that other users take, so that no order of writing can conflict.

    No real key begins with a control character (rule C1).
    """
    given_up = updated.filter("vacates").select("id", *(pl.format("\x01{}", pl.col("id")).alias(key) for key in _KEYS))
    frames.update(models.User, given_up)


def _updates(updated: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the columns to write of the updated users, in two frames.

    Users whose keys change are written whole. For the others, only the columns that change for any of them are written.
    SQLite takes as long to write an indexed column as to change it.
    """
    moves = updated.select(_otherwise(_KEYED) | pl.col("vacates")).to_series()
    changing = [name for name in _UNKEYED if (updated.select(_otherwise([name])).to_series() & ~moves).any()]
    return [updated.select("id", *_WRITTEN).filter(moves), updated.select("id", *changing).filter(~moves)]


def _otherwise(names: Iterable[str]) -> pl.Expr:
    """Return whether any of these values of an updated user has changed."""
    return pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"was_{name}")) for name in names)


def _linked(rows: pl.DataFrame, bosses: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the ids of supervisors who are added in the same import.

    The foreign key is checked only at the end.
    """
    links = rows.select("supervisor_row", "supervisor_id")
    joined = links.join(bosses, on="supervisor_row", how="left", maintain_order="left")
    return rows.with_columns(joined.select(pl.coalesce("boss", "supervisor_id").alias("supervisor_id")))


def _new(added: pl.DataFrame, agency: models.Agency, context: AuditContext) -> pl.DataFrame:
    return added.select(
        "id",
        "external_id",
        *_WRITTEN,
        agency_id=pl.lit(agency.pk),
        exempt=pl.lit(False),
        managed_by=pl.lit(""),
        created_at=pl.lit(frames.stamp(context.at)),
    )


def _note_new_addresses(updated: pl.DataFrame, at: datetime) -> None:
    """Keep when the address of a registered user changed, so that no reset goes to a new address at once."""
    changed = updated.filter("was_registered", pl.col("email") != pl.col("was_email"))
    moved = changed.filter(emails.mailboxes(changed["email"]) != emails.mailboxes(changed["was_email"]))
    frames.update(models.User, moved.select("id", email_changed_at=pl.lit(frames.stamp(at))))


def _keep_released_names(updated: pl.DataFrame, agency: models.Agency, at: datetime) -> None:
    """Keep the sign-in names that users gave up, and when, if the agency reserves released names (`reuse_days`)."""
    if not agency.reuse_days:
        return
    for field in ("email", "username"):
        changed = updated.filter(pl.col(field) != pl.col(f"was_{field}"))
        given_up = changed.select(user_id="id", key=keys.keys(changed[f"was_{field}"]), now=f"{field}_key")
        rows = given_up.filter(pl.col("key") != pl.col("now")).drop("now")
        stamped = rows.with_columns(agency_id=pl.lit(agency.pk), released_at=pl.lit(frames.stamp(at)))
        frames.insert(models.ReleasedName, stamped.with_columns(id=frames.new_ids(models.ReleasedName, rows.height)))


def _end_access(plan: Plan, at: datetime) -> None:
    """End the sessions, open invitations and resets of all users who become Inactive (S7)."""
    off = plan.updated.filter(pl.col("was_active") & ~pl.col("active"))
    gone = pl.concat([off.select("id"), plan.leavers.deactivated.select("id")])
    nothing = pl.lit(None, pl.Datetime)
    frames.update(
        models.User,
        gone.with_columns(invitation_expires_at=nothing, reset_at=nothing, access_ended_at=pl.lit(frames.stamp(at))),
    )


def _events(plan: Plan, added: pl.DataFrame, order: pl.Series) -> Iterator[pl.DataFrame]:
    """Yield one event for each user that the plan changes; deactivations come last (rule A6).

    The events are long, so they come in parts.
    """
    for kind, parts in ((EventKind.USER_ADDED, _parts(added, order)), (EventKind.USER_UPDATED, _parts(plan.updated))):
        for part in parts:
            yield _event(plan.told(part), kind)
    gone = plan.leavers.deactivated
    yield _event(
        gone.with_columns(row=pl.lit(None, pl.UInt32), changes=pl.lit(changes.DEACTIVATED)), EventKind.USER_DEACTIVATED
    )


def _event(users: pl.DataFrame, kind: EventKind) -> pl.DataFrame:
    return users.select(
        kind=pl.lit(kind),
        subject_id="id",
        subject_external_id="external_id",
        row=pl.col("row").cast(pl.Int64),
        changes="changes",
    )


def _post(agency: models.Agency, context: AuditContext, plan: Plan, added: pl.DataFrame, of: int | None) -> None:
    """Put the mails into the outbox (rule D8).

    A user who may register gets an invitation; a user who has registered gets a notice.
    """
    mails = [
        _mail(added.filter("active"), "invitation", "email"),
        *_tidings(plan.updated),
        _mail(plan.leavers.deactivated.filter("registered"), "deactivated", "email"),
    ]
    frames.insert(
        models.Mail,
        pl.concat(mails)
        .filter(~pl.col("kind").is_in(agency.mails_off))
        .with_columns(
            agency_id=pl.lit(agency.pk),
            of_id=pl.lit(of, pl.Int64),
            created_at=pl.lit(frames.stamp(context.at)),
            attempts=pl.lit(0),
            problem=pl.lit(""),
        ),
    )


def _tidings(updated: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the mails to updated users.

    A user who has not registered gets a new invitation if they may register now or their address has changed. Others
    get notices.
    """
    moved = pl.col("email") != pl.col("was_email")
    registered = pl.col("was_registered")
    off = pl.col("was_active") & ~pl.col("active")
    invited = updated.filter("active", ~registered, pl.col("reactivated") | moved)
    return [
        _mail(invited, "invitation", "email"),
        _mail(updated.filter(registered, "reactivated"), "reactivated", "email"),
        _mail(updated.filter(registered, off), "deactivated", "email"),
        _mail(updated.filter(registered, "active", moved), "email-changed", "was_email"),
    ]


def _mail(users: pl.DataFrame, kind: str, to: str) -> pl.DataFrame:
    return users.select(user_id="id", kind=pl.lit(kind), to=to)
