"""A simulated year: most users have registered and sign in, some have not, a few are locked, and more was imported."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from django.db import transaction

from benchmarks.chance import Chance
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.storage import frames

_STATES = {"Active": 856, "Silent": 20, "Invited": 70, "Expired": 50, "Locked": 3, "Reset": 1}
"""The shares of a thousand Active users. Silent users have registered and have not signed in since."""
_YEAR = 365 * 24 * 3600
_CACHE_MB = 256
_ONE_IN = 100
"""One user in this many is changed by an import of their own, is new in the plan, or has a problem."""
_PLANNED = 100_000
"""The number of rows of the plan, unless there are fewer users."""


def simulate_year(agency: models.Agency, at: datetime, seed: int = 7) -> dict[str, int]:
    """Simulate the year before that time, with reproducible random numbers. Return how many users are in each state."""
    sql = f"SELECT id, active FROM {frames.table(models.User)} WHERE agency_id = %s ORDER BY id"
    chance = Chance(seed)
    users = frames.read_frame(sql, [agency.pk], {"id": pl.Int64, "active": pl.Boolean}).with_row_index("i")
    states = pl.when("active").then(chance.weighted(_STATES)).otherwise(pl.lit("Left"))
    users = users.with_columns(stands=states, ago=chance.below(_YEAR))
    began, soon = at - timedelta(days=366), at + timedelta(days=5)
    # `frames.update` cannot set a column to null, so users with the same columns are written together.
    with transaction.atomic(), frames.page_cache(_CACHE_MB):
        for state, columns in (
            ("Active", {"registered_at": _make_time(began), "last_sign_in_at": _draw_time(at)}),
            ("Left", {"registered_at": _make_time(began), "last_sign_in_at": _draw_time(at)}),
            ("Silent", {"registered_at": _make_time(began)}),
            ("Invited", {"invited_at": _make_time(at), "invitation_expires_at": _make_time(soon)}),
            ("Expired", {"invited_at": _make_time(began), "invitation_expires_at": _draw_time(at)}),
            (
                "Locked",
                {"registered_at": _make_time(began), "last_sign_in_at": _draw_time(at), "locked_at": _make_time(at)},
            ),
            (
                "Reset",
                {"registered_at": _make_time(began), "last_sign_in_at": _draw_time(at), "reset_at": _make_time(at)},
            ),
        ):
            frames.update(models.User, users.filter(pl.col("stands") == state).select("id", **columns))
    return dict(users["stands"].value_counts().iter_rows())


def _make_time(moment: datetime) -> pl.Expr:
    return pl.lit(frames.stamp(moment))


def _draw_time(at: datetime) -> pl.Expr:
    """Return a time within the year before."""
    moment: pl.Expr = pl.lit(at.astimezone(UTC).replace(tzinfo=None)) - pl.duration(seconds=pl.col("ago"))
    return moment.dt.strftime("%Y-%m-%d %H:%M:%S.000000")


def import_some(agency: models.Agency, file: Path) -> None:
    """Import 1 % of the users of the file, so that some have changed twice, and preview an import of many of them."""
    people = pl.read_csv(file, infer_schema=False).fill_null("")
    some = people.head(max(people.height // _ONE_IN, 1)).with_columns(LOCATION=pl.lit("New building"))
    result = _run_import(agency, some, preview=False)
    if result.record.counts["updated"] != some.height:
        raise SystemExit(f"Of {some.height} users moved, came {result.record.counts}.")
    _run_import(agency, _edit_people(people.tail(_PLANNED)), preview=True)


def _edit_people(people: pl.DataFrame) -> pl.DataFrame:
    """Return new users, rows with an unknown role, and half of the other users in another building."""
    place = pl.col("place")
    new = people.head(max(people.height // _ONE_IN, 1)).with_columns(
        pl.format("new{}", name).alias(name) for name in ("EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "USERNAME")
    )
    edited = people.with_row_index("place").with_columns(
        LOCATION=pl.when(place.mod(2) == 0).then(pl.lit("Newer building")).otherwise("LOCATION"),
        ROLE=pl.when(place.mod(_ONE_IN) == 1).then(pl.lit("Oficer")).otherwise("ROLE"),
    )
    return pl.concat([edited.drop("place"), new])


def _run_import(agency: models.Agency, people: pl.DataFrame, *, preview: bool) -> ImportResult:
    upload = Upload(people.write_csv().encode(), "some.csv")
    context = AuditContext(datetime.now(UTC), "", "cli")
    return file_import.run_import(agency, upload, Options(preview=preview, mails=False), context=context)
