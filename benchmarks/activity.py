"""A year after everybody came: most users have registered and sign in, some have not, a few are locked; more was imported."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from django.db import transaction

from benchmarks.chance import Chance
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import
from musterbook.directory.imports.file_import import Options, Upload
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.storage import frames

_STANDS = {"Active": 856, "Silent": 20, "Invited": 70, "Expired": 50, "Locked": 3, "Reset": 1}
"""Of a thousand users whose status is Active; those who are silent have registered, and not signed in since."""
_YEAR = 365 * 24 * 3600
_CACHE_MB = 256
_SHARE = 100
"""One user in so many is touched by an import of their own, is new in the plan, or faulty."""
_PLANNED = 100_000
"""So many rows has the plan, or as many as there are users."""


def lived(agency: models.Agency, at: datetime, seed: int = 7) -> dict[str, int]:
    """Has a year pass for the users that ends at that time, by chance that is the same each time; gives how many stand how."""
    sql = f"SELECT id, active FROM {frames.table(models.User)} WHERE agency_id = %s ORDER BY id"
    chance = Chance(seed)
    users = frames.read_frame(sql, [agency.pk], {"id": pl.Int64, "active": pl.Boolean}).with_row_index("i")
    stands = pl.when("active").then(chance.weighted(_STANDS)).otherwise(pl.lit("Left"))
    users = users.with_columns(stands=stands, ago=chance.below(_YEAR))
    began, soon = at - timedelta(days=366), at + timedelta(days=5)
    # `frames.update` sets no column to nothing: whoever has the same columns is written together.
    with transaction.atomic(), frames.page_cache(_CACHE_MB):
        for fate, columns in (
            ("Active", {"registered_at": _at(began), "last_sign_in_at": _since(at)}),
            ("Left", {"registered_at": _at(began), "last_sign_in_at": _since(at)}),
            ("Silent", {"registered_at": _at(began)}),
            ("Invited", {"invited_at": _at(at), "invitation_expires_at": _at(soon)}),
            ("Expired", {"invited_at": _at(began), "invitation_expires_at": _since(at)}),
            ("Locked", {"registered_at": _at(began), "last_sign_in_at": _since(at), "locked_at": _at(at)}),
            ("Reset", {"registered_at": _at(began), "last_sign_in_at": _since(at), "reset_at": _at(at)}),
        ):
            frames.update(models.User, users.filter(pl.col("stands") == fate).select("id", **columns))
    return dict(users["stands"].value_counts().iter_rows())


def _at(moment: datetime) -> pl.Expr:
    return pl.lit(frames.stamp(moment))


def _since(at: datetime) -> pl.Expr:
    """A time within the year before."""
    moment: pl.Expr = pl.lit(at.astimezone(UTC).replace(tzinfo=None)) - pl.duration(seconds=pl.col("ago"))
    return moment.dt.strftime("%Y-%m-%d %H:%M:%S.000000")


def imported(agency: models.Agency, file: Path) -> None:
    """An import of 1 % of the users of the file, so that some have been touched twice; and a preview of many of them."""
    people = pl.read_csv(file, infer_schema=False).fill_null("")
    some = people.head(max(people.height // _SHARE, 1)).with_columns(LOCATION=pl.lit("New building"))
    done = _imported(agency, some, preview=False)
    if done.record.counts["updated"] != some.height:
        raise SystemExit(f"Of {some.height} users moved, came {done.record.counts}.")
    _imported(agency, _edited(people.tail(_PLANNED)), preview=True)


def _edited(people: pl.DataFrame) -> pl.DataFrame:
    """Some users who are new, some rows with a role that there is not, and half of the rest moved to another building."""
    place = pl.col("place")
    new = people.head(max(people.height // _SHARE, 1)).with_columns(
        pl.format("new{}", name).alias(name) for name in ("EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "USERNAME")
    )
    edited = people.with_row_index("place").with_columns(
        LOCATION=pl.when(place.mod(2) == 0).then(pl.lit("Newer building")).otherwise("LOCATION"),
        ROLE=pl.when(place.mod(_SHARE) == 1).then(pl.lit("Oficer")).otherwise("ROLE"),
    )
    return pl.concat([edited.drop("place"), new])


def _imported(agency: models.Agency, people: pl.DataFrame, *, preview: bool) -> ImportResult:
    upload = Upload(people.write_csv().encode(), "some.csv")
    context = AuditContext(datetime.now(UTC), "", "cli")
    return file_import.run_import(agency, upload, Options(preview=preview, mails=False), context=context)
