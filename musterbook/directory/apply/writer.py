"""Step 4, apply: the one writer of users, and of their events and mails. All runs in the caller's transaction."""

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

import polars as pl

from musterbook.core.domain import columns
from musterbook.core.domain.policy import Mode
from musterbook.core.planning import changes
from musterbook.core.planning.plan import Plan
from musterbook.core.values import emails
from musterbook.directory import models
from musterbook.directory.apply import external_ids, former_persons, import_marks, search_index, stored_keys
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.storage import frames

_KEYS = tuple(column.key for column in columns.KEYED)
_CACHE_MB = 256
"""Enough for the unique keys of a million users; SQLite takes only what it needs."""

_KEYED = ("email", "badge_number", "first_name", "last_name", "username")
"""The fields, besides the external ID, that are unique, sorted by or searched."""
_UNKEYED = ("active", "role_id", "location", "rank_id", "group_id", "phone", "supervisor_id")
_FIELDS = (*_KEYED, "name_key", *_UNKEYED)
_WRITTEN = (*_FIELDS, *_KEYS)


_FEW = 100
"""The most users whose events are made faster than a thread starts."""
_PART = 50_000
"""The number of rows written at once; progress is reported between these parts."""


class ProgressCallback(Protocol):
    """A callback that receives the number of users written so far; an error that it raises ends the writing."""

    def __call__(self, done: int) -> None:
        """Receive the number."""


def apply_plan(
    plan: Plan, agency: models.Agency, context: AuditContext, *, of: int | None, written: ProgressCallback
) -> None:
    """Write the changes of the plan, one event for each changed user, and its emails.

    The caller holds the agency's lock and has made the plan under it. `of` is the import's id, or None for a change
    made by hand.
    """
    if plan.mode is Mode.REKEY:
        external_ids.write_rekeys(plan.with_changes(plan.rekeyed), agency, context, of=of, written=written)
        return
    added, order = _assign_ids(plan.added)
    supervisors = added.select(supervisor_row="row", boss="id")
    added = _link_supervisors(added, supervisors)
    updated = _link_supervisors(_add_name_keys(plan.updated), supervisors)
    with frames.page_cache(_CACHE_MB):
        done = 0
        written(done)
        _vacate(plan.updated)
        absent = plan.released.filter(pl.col("holder_row").is_null())
        frames.update(models.User, absent.select("id", "badge_number", "badge_number_key"))
        writes = (
            *((frames.update, _split_parts(users)) for users in _split_updates(updated)),
            (frames.insert, (_build_users(part, agency, context, plan.source) for part in _split_parts(added, order))),
            (frames.update, _split_parts(plan.leavers.deactivated.select("id", active=pl.lit(False)))),
        )
        for write, parts in writes:
            for part in parts:
                write(models.User, part)
                done += part.height
                written(done)
        for part in itertools.chain(_split_parts(updated.filter(_any_changed(_KEYED))), _split_parts(added, order)):
            search_index.update_index(agency, part)
        search_index.update_index(agency, absent.select("id", *search_index.SEARCHED))
        import_marks.write_marks(plan.marks)
        _note_new_addresses(plan.updated, context.at)
        _keep_released_names(plan.updated, agency, context.at)
        _end_access(plan, context.at)
        former_persons.end_access(plan.updated.filter("replaced"), context)
        events = _build_events(plan, added, order)
        few = added.height + plan.updated.height + plan.leavers.deactivated.height <= _FEW
        trail.append_events(agency, context, list(events) if few else events, import_id=of)
        _queue_mails(agency, context, plan.mailings, added, of)


def _assign_ids(added: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Return the added users with their ids and name keys, and the places of their rows in writing order.

    The writing order is by name. Addresses and usernames are made of names, so rows that are close in one index are
    then close in most.
    """
    keyed = _add_name_keys(added)
    order = keyed["name_key"].arg_sort()
    return keyed.with_columns(id=frames.new_ids(models.User, added.height).gather(order.arg_sort())), order


def _add_name_keys(users: pl.DataFrame) -> pl.DataFrame:
    """Return the users with `name_key`. Most edits add no user or update none, and then there is nothing to make."""
    keys = pl.lit(None, pl.String).alias("name_key") if users.is_empty() else search_index.build_name_keys(users)
    return users.with_columns(keys)


def _split_parts(users: pl.DataFrame, order: pl.Series | None = None) -> Iterator[pl.DataFrame]:
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
    vacating = updated.filter("vacates")
    if vacating.is_empty():
        return
    for key in _KEYS:
        given_up = vacating.filter(_any_changed([key]))
        frames.update(models.User, given_up.select("id", pl.format("\x01{}", pl.col("id")).alias(key)))


def _split_updates(updated: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the columns to write of the updated users, in frames.

    Users whose keyed fields change are written whole, but without the keys that stay: `stored_keys` explains keys that
    are not those of their values. For the others, only the columns that change for any of them are written. SQLite
    takes as long to write an indexed column as to change it.
    """
    if updated.is_empty():
        return []
    moving = _any_changed(_KEYED) | pl.col("vacates")
    moves = updated.select(moving).to_series()
    others = updated.select((_any_changed([name]) & ~moving).any().alias(name) for name in _UNKEYED)
    changing = [name for name, changes in others.row(0, named=True).items() if changes]
    whole = updated.filter(moves).with_columns(_any_changed([key]).alias(f"{key}_changes") for key in _KEYS)
    flags = [f"{key}_changes" for key in _KEYS]
    frames_of_moves = [
        part.select("id", *_FIELDS, *(key for key, changes in zip(_KEYS, pattern, strict=True) if changes))
        for pattern, part in whole.partition_by(flags, as_dict=True, maintain_order=True).items()
    ]
    return [*frames_of_moves, updated.select("id", *changing).filter(~moves)]


def _any_changed(names: Iterable[str]) -> pl.Expr:
    """Return whether any of these values of an updated user has changed."""
    return pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"was_{name}")) for name in names)


def _link_supervisors(rows: pl.DataFrame, supervisors: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the ids of supervisors who are added in the same import.

    The foreign key is checked only at the end.
    """
    if rows["supervisor_row"].null_count() == rows.height:
        return rows
    links = rows.select("supervisor_row", "supervisor_id")
    joined = links.join(supervisors, on="supervisor_row", how="left", maintain_order="left")
    return rows.with_columns(joined.select(pl.coalesce("boss", "supervisor_id").alias("supervisor_id")))


def _build_users(added: pl.DataFrame, agency: models.Agency, context: AuditContext, source: str) -> pl.DataFrame:
    return added.select(
        "id",
        "external_id",
        *_WRITTEN,
        external_id_key=stored_keys.build_id_keys(added["external_id"]),
        agency_id=pl.lit(agency.pk),
        exempt=pl.lit(False),
        managed_by=pl.lit(""),
        source=pl.lit(source),
        created_at=pl.lit(frames.stamp(context.at)),
    )


def _note_new_addresses(updated: pl.DataFrame, at: datetime) -> None:
    """Keep when the address of a registered user changed, so that no reset goes to a new address at once."""
    changed = updated.filter("was_registered", pl.col("email") != pl.col("was_email"))
    if changed.is_empty():
        return
    moved = changed.filter(emails.to_mailboxes(changed["email"]) != emails.to_mailboxes(changed["was_email"]))
    frames.update(models.User, moved.select("id", email_changed_at=pl.lit(frames.stamp(at))))


def _keep_released_names(updated: pl.DataFrame, agency: models.Agency, at: datetime) -> None:
    """Keep the sign-in names that users gave up, and when.

    Addresses are kept if the agency remembers them or reserves released names (`replaced_addresses_days`,
    `reuse_days`), usernames only in the second case.
    """
    kept = {"email": bool(agency.reuse_days or agency.replaced_addresses_days), "username": bool(agency.reuse_days)}
    for field in (name for name, keep in kept.items() if keep):
        given_up = updated.filter(_any_changed([f"{field}_key"])).select(user_id="id", key=f"was_{field}_key")
        if given_up.is_empty():
            continue
        rows = given_up.with_columns(
            agency_id=pl.lit(agency.pk), address=pl.lit(field == "email"), released_at=pl.lit(frames.stamp(at))
        )
        frames.insert(models.ReleasedName, rows.with_columns(id=frames.new_ids(models.ReleasedName, rows.height)))


def _end_access(plan: Plan, at: datetime) -> None:
    """End the sessions, open invitations and resets of all users who become Inactive (S7).

    They are no longer leaving (S10).
    """
    made_inactive = plan.updated.filter(pl.col("was_active") & ~pl.col("active"))
    deactivated = pl.concat([made_inactive.select("id"), plan.leavers.deactivated.select("id")])
    if deactivated.is_empty():
        return
    nothing, never = pl.lit(None, pl.Datetime), pl.lit(None, pl.Date)
    frames.update(
        models.User,
        deactivated.with_columns(
            invitation_expires_at=nothing,
            reset_at=nothing,
            access_ended_at=pl.lit(frames.stamp(at)),
            missing_since=never,
            missing_imports=pl.lit(0),
        ),
    )


def _build_events(plan: Plan, added: pl.DataFrame, order: pl.Series) -> Iterator[pl.DataFrame]:
    """Yield one event for each user that the plan changes; deactivations come last (rule A6).

    The events are long, so they come in parts.
    """
    for kind, parts in (
        (EventKind.USER_ADDED, _split_parts(added, order)),
        (EventKind.USER_UPDATED, _split_parts(plan.updated)),
    ):
        for part in parts:
            yield _build_event(plan.with_changes(part), kind)
    replaced = plan.updated.filter("replaced")
    if not replaced.is_empty():
        yield _build_event(replaced.with_columns(changes=_describe_persons()), EventKind.USER_REPLACED)
    yield from _build_events_of_absent(plan)


def _build_events_of_absent(plan: Plan) -> Iterator[pl.DataFrame]:
    """Yield an event for each user that no row mentions: those whose badge is released, then those who become Inactive."""
    leavers, released = plan.leavers.deactivated, plan.released.filter(pl.col("holder_row").is_null())
    if leavers.is_empty() and released.is_empty():
        return
    unlisted = pl.lit(None, pl.UInt32).alias("row")
    badges = released.with_columns(unlisted, leaves=pl.col("id").is_in(leavers["id"].implode()))
    described = badges.with_columns(changes.describe_released(badges).alias("changes"))
    yield _build_event(described.filter(~pl.col("leaves")), EventKind.USER_UPDATED)
    both = leavers.join(described.select("id", "changes"), on="id", how="left", maintain_order="left")
    yield _build_event(
        both.with_columns(unlisted, pl.col("changes").fill_null(changes.DEACTIVATED)), EventKind.USER_DEACTIVATED
    )


def _describe_persons() -> pl.Expr:
    """Return who a user was and is, as the JSON text of an event."""
    names = (pl.format("{} {}", f"{prefix}first_name", f"{prefix}last_name") for prefix in ("was_", ""))
    before, after = (name.str.replace_all(r'(["\\])', r"\$1") for name in names)
    return pl.concat_str(pl.lit('{"person":["'), before, pl.lit('","'), after, pl.lit('"]}'))


def _build_event(users: pl.DataFrame, kind: EventKind) -> pl.DataFrame:
    return users.select(
        kind=pl.lit(kind),
        subject_id="id",
        subject_external_id="external_id",
        row=pl.col("row").cast(pl.Int64),
        changes="changes",
    )


def find_unsent(agency: models.Agency, mails: bool | None) -> list[str] | None:
    """Return the kinds of emails that an act does not send, None for all (rule D8).

    `mails`: the choice of the operator, or None for the agency's setting.
    """
    return agency.mails_off if (agency.sends_mail if mails is None else mails) else None


def _queue_mails(
    agency: models.Agency, context: AuditContext, mailings: pl.DataFrame, added: pl.DataFrame, import_id: int | None
) -> None:
    """Put the emails of the plan into the outbox (rule D8). `added`: the added users with their ids."""
    if mailings.is_empty():
        return
    new_ids = added.select("external_id", new_id="id")
    rows = mailings.join(new_ids, on="external_id", how="left", maintain_order="left").select(
        "kind", "to", user_id=pl.coalesce("id", "new_id")
    )
    queue_mails(agency, context, rows, import_id)


def queue_mails(agency: models.Agency, context: AuditContext, rows: pl.DataFrame, import_id: int | None) -> None:
    """Put emails (`user_id`, `kind`, `to`) into the outbox, in the caller's transaction."""
    frames.insert(
        models.Mail,
        rows.with_columns(
            agency_id=pl.lit(agency.pk),
            of_id=pl.lit(import_id, pl.Int64),
            created_at=pl.lit(frames.stamp(context.at)),
            attempts=pl.lit(0),
            problem=pl.lit(""),
        ),
    )
