"""One job of the benchmark in a process of its own. Its arguments and its results are JSON."""

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.stages import Stages, read_peak_bytes
from scripts import program

if TYPE_CHECKING:
    from musterbook.directory import models

Measured = Mapping[str, Any]
_AGENCY = "bench"


def make_files(folder: str, users: int, files: Sequence[str]) -> Measured:
    """Make the files of one size."""
    from benchmarks import people

    people.make_files(Path(folder), users, files)
    return {}


def prepare_agency() -> Measured:
    """Add the agency to a new installation: roles, ranks, groups."""
    _set_up_django()
    from benchmarks import people
    from musterbook.core.domain.policy import LimitKind
    from musterbook.core.values.keys import fold
    from musterbook.directory import models

    # The cases change more users than an agency lets pass without a question.
    off = [
        {"kind": kind.value, "users": 0, "percent": 0, "most": None, "off": True, "role": None, "group": None}
        for kind in LimitKind
    ]
    agency = models.Agency.objects.create(slug=_AGENCY, name="Bench", created_at=datetime.now(UTC), limits=off)
    models.Role.objects.create(agency=agency, name="Admin", name_key="admin", administrator=True)
    models.Role.objects.bulk_create(models.Role(agency=agency, name=name, name_key=fold(name)) for name in people.ROLES)
    ranks = [name for name in people.RANKS if name]
    models.Rank.objects.bulk_create(
        models.Rank(agency=agency, name=name, name_key=fold(name), position=place) for place, name in enumerate(ranks)
    )
    models.Group.objects.bulk_create(models.Group(agency=agency, external_id=unit, name=unit) for unit in people.GROUPS)
    return {}


def settle_database() -> Measured:
    """Run the housekeeping that follows a large import."""
    _set_up_django()
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return {}


def run_import(file: str, mode: str, *, profile: bool = False, state: bool = False) -> Measured:
    """Run one import as the command does, without emails. If `state`, return the digest of the users too."""
    agency = _find_agency()
    stages = Stages(profile=profile)
    watched = (
        ("directory.apply.snapshot_queries", "read_snapshot", "snapshot"),
        ("core.planning.unchanged", "split", "split"),
        ("core.checking.check", "check", "check"),
        ("core.reading.intake", "read", "read"),
    )
    for module, name, label in watched:
        stages.watch(f"musterbook.{module}", name, lambda *_, label=label: label)
    if find_spec("musterbook.directory.apply.search_index"):
        for name in ("build_name_keys", "update_index"):
            stages.watch("musterbook.directory.apply.search_index", name, lambda *_: "search")
    for name in ("insert", "update"):
        stages.watch(
            "musterbook.directory.storage.frames", name, lambda model, *_, does=name: f"{does}-{model.__name__.lower()}"
        )
    since = time.perf_counter()
    counts = _import_content(agency, Path(file).read_bytes(), Path(file).name, mode, stages)
    stages("")
    seconds = {"run": time.perf_counter() - since, **stages.seconds}
    measured = {"seconds": seconds, "counts": counts, "profiles": stages.profiles, "peaks": stages.peaks}
    return {**measured, "peak_bytes": read_peak_bytes(), "state": _compute_digest() if state else ""}


def edit_users(file: str, times: int, warm: int = 3) -> Measured:
    """Give one user after another another location, each by an import of one row. The first few runs are not counted."""
    import polars as pl

    agency = _find_agency()
    people = pl.read_csv(file, infer_schema=False).fill_null("")
    step = max(people.height // (times + warm), 1)
    edited = (
        people.gather_every(step).head(times + warm).with_columns(LOCATION=pl.format("Desk {}", pl.int_range(pl.len())))
    )
    taken = []
    for row in edited.iter_slices(1):
        content = row.write_csv().encode()
        since = time.perf_counter()
        counts = _import_content(agency, content, "one.csv", "update", lambda *_: None)
        taken.append(time.perf_counter() - since)
        _require(counts["updated"] == 1, f"Of one user edited, came {counts}.")
    return {"seconds": {"run": taken[warm:]}, "counts": {"rows": 1, "updated": 1}}


def simulate_year(file: str) -> Measured:
    """Simulate a year for the users of the file, as `benchmarks.activity` does."""
    agency = _find_agency()
    from benchmarks import activity

    counts = activity.simulate_year(agency, datetime.now(UTC))
    activity.import_some(agency, Path(file))
    return {"counts": counts}


def time_pages(module: str, runs: int) -> Measured:
    """Time All Users and its search, as `benchmarks.listing` or `benchmarks.pages` does."""
    agency = _find_agency()
    from benchmarks import listing, pages

    measure = {"listing": listing.measure_queries, "pages": pages.measure_pages}[module]
    return {"seconds": measure(agency, runs)}


def import_isolated(file: str, *, on: bool) -> Measured:
    """Time an import with row-level security, or without it."""
    agency, path = _find_agency(), Path(file)
    from benchmarks import isolation

    def run() -> None:
        _import_content(agency, path.read_bytes(), path.name, "update", lambda *_: None)

    return {"seconds": {"run": isolation.time_import(run, on=on)}}


def time_isolation(runs: int) -> Measured:
    """Time pages, searches and claims with row-level security and without it, as `benchmarks.isolation` does."""
    agency = _find_agency()
    from benchmarks import isolation

    return {"seconds": isolation.time_pairs(agency, runs)}


def run_peer(file: str, *, new: bool, hooked: bool) -> Measured:
    """Run the same import with django-import-export. Return the digest of the users too."""
    agency = _find_agency()
    from benchmarks.peers import importexport

    return {**importexport.import_users(agency, Path(file), new=new, hooked=hooked), "state": _compute_digest()}


def time_limit(name: str, **given: Any) -> Measured:
    """Time one of the bare limits: reading the file (with the stored users if an installation is given), or writing users."""
    from benchmarks import limits
    from benchmarks.tables import Source

    def source(key: str) -> Source:
        return Source(given[key]["url"], Path(given[key]["folder"]))

    if name == "read":
        selected = limits.time_selecting(source("done")) if "done" in given else {}
        return {"seconds": limits.time_reading(Path(given["file"])) | selected}
    return {"seconds": limits.time_writing(source("done"), source("fresh"), limits.Manner(given["manner"]))}


def measure_feeds(part: str, **given: Any) -> Measured:
    """Run a part of `benchmarks.feeds`: prepare, look, arrive, run_night, run_waits."""
    agency = _find_agency()
    from benchmarks import feeds

    if part == "prepare":
        return feeds.prepare(agency, **given)
    measured: Measured = getattr(feeds, part)(**given)
    return measured


def measure_agencies(part: str, **given: Any) -> Measured:
    """Run a part of `benchmarks.agencies`: prepare, visit, run_night, run_waits."""
    agency = _find_agency()
    from benchmarks import agencies

    if part == "prepare":
        return agencies.prepare(agency, **given)
    measured: Measured = getattr(agencies, part)(**given)
    return measured


def prepare_programs(tokens: int) -> Measured:
    """Make one user an administrator with so many tokens. Return the tokens, and the numbers and names of some users."""
    agency = _find_agency()
    from benchmarks import api_preparation

    return api_preparation.prepare(agency, tokens)


def _set_up_django() -> None:
    import django

    django.setup()
    from musterbook.directory.storage import isolation

    isolation.open_process()


def _find_agency() -> "models.Agency":
    _set_up_django()
    from musterbook.directory import models

    return models.Agency.objects.get(slug=_AGENCY)


def _import_content(agency: "models.Agency", content: bytes, name: str, mode: str, progress: Any) -> dict[str, int]:
    from musterbook.core.domain.policy import Mode
    from musterbook.directory.audit.trail import AuditContext
    from musterbook.directory.imports import file_import
    from musterbook.directory.imports.options import Options

    upload, options = file_import.Upload(content, name), Options(mode=Mode(mode), mails=False)
    context = AuditContext(datetime.now(UTC), "", "cli")
    record = file_import.run_import(agency, upload, options, context=context, progress=progress).record
    _require(record.state == "applied", f"The import ended {record.state}: {record.message or record.held}")
    counts: dict[str, int] = record.counts
    return counts


def _compute_digest() -> str:
    """Return the digest of all users, with their supervisors' external ids and without database ids."""
    from musterbook.directory import models

    names = (
        "external_id", "email", "email_key", "badge_number", "badge_number_key", "first_name", "last_name", "active", "username",
        "username_key", "role_id", "supervisor__external_id", "location", "rank_id", "group_id", "phone",
    )  # fmt: skip
    rows = models.User.objects.order_by("external_id").values_list(*names)
    return hashlib.sha256(repr(list(rows)).encode()).hexdigest()


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise SystemExit(message)


_JOBS = {
    "make": make_files,
    "prepare": prepare_agency,
    "settle": settle_database,
    "run": run_import,
    "edit": edit_users,
    "live": simulate_year,
    "listed": time_pages,
    "isolate": import_isolated,
    "isolated": time_isolation,
    "peer": run_peer,
    "limit": time_limit,
    "feeds": measure_feeds,
    "agencies": measure_agencies,
    "programs": prepare_programs,
}


def main(job: str, arguments: str) -> None:
    """Run the job, and print its results as one line of JSON."""
    measured = dict(_JOBS[job](**json.loads(arguments)))  # type: ignore[operator]  # each job with its own arguments
    print(json.dumps({"peak_bytes": read_peak_bytes(), **measured}))


if __name__ == "__main__":
    with program.run(__doc__):
        main(sys.argv[1], sys.argv[2])
