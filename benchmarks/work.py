"""One job of the benchmark in a process of its own: takes it as JSON, and gives what it measured as JSON."""

import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.stages import Stages, peak_bytes

Measured = Mapping[str, Any]


def make(folder: str, users: int) -> Measured:
    """Makes the files of one size."""
    from benchmarks import people

    people.make(Path(folder), users)
    return {}


def prepare() -> Measured:
    """Gives a new installation its agency: roles, ranks, groups."""
    _django()
    from benchmarks import people
    from musterbook.core.keys import fold
    from musterbook.directory import models

    agency = models.Agency.objects.create(slug="bench", name="Bench", created_at=datetime.now(UTC))
    models.Role.objects.create(agency=agency, name="Admin", name_key="admin", administrator=True)
    models.Role.objects.bulk_create(models.Role(agency=agency, name=name, name_key=fold(name)) for name in people.ROLES)
    ranks = [name for name in people.RANKS if name]
    models.Rank.objects.bulk_create(
        models.Rank(agency=agency, name=name, name_key=fold(name), position=place) for place, name in enumerate(ranks)
    )
    models.Group.objects.bulk_create(models.Group(agency=agency, external_id=unit, name=unit) for unit in people.GROUPS)
    return {}


def settle() -> Measured:
    """Leaves a database as housekeeping leaves it some time after a large import."""
    _django()
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return {}


def run(file: str, mode: str, *, profile: bool) -> Measured:
    """One import, as the command does it once it has started; without mails."""
    _django()
    from musterbook.core import check, settled
    from musterbook.core.policy import Mode
    from musterbook.directory import frames, imports, models, queries

    agency = models.Agency.objects.get(slug="bench")
    stages = Stages(profile=profile)
    stages.watch(queries, "snapshot", lambda *_: "snapshot")
    stages.watch(settled, "split", lambda *_: "settled")
    stages.watch(check, "check", lambda *_: "check")
    stages.watch(frames, "insert", lambda model, _: f"insert-{model.__name__.lower()}")
    stages.watch(frames, "update", lambda model, _: f"update-{model.__name__.lower()}")
    since = time.perf_counter()
    upload = imports.Upload(Path(file).read_bytes(), Path(file).name)
    options = imports.Options(mode=Mode(mode), mails=False)
    done = imports.run(agency, upload, options, at=datetime.now(UTC), through="cli", progress=stages)
    stages("")
    seconds = {"run": time.perf_counter() - since, **stages.seconds}
    if done.record.state != "applied":
        raise SystemExit(f"The import ended {done.record.state}: {done.record.message or done.record.held}")
    return {"seconds": seconds, "counts": done.record.counts, "profiles": stages.profiles, "peaks": stages.peaks}


def limit(name: str, **given: Any) -> Measured:
    """One of the bare limits."""
    from benchmarks import limits
    from benchmarks.tables import Source

    def source(key: str) -> Source:
        return Source(given[key]["url"], Path(given[key]["folder"]))

    if name == "read":
        return {"seconds": limits.read(Path(given["file"]))}
    if name == "select":
        return {"seconds": limits.compared(source("done"))}
    return {"seconds": limits.write(source("done"), source("fresh"), added=given["added"])}


def _django() -> None:
    import django

    django.setup()


_JOBS = {"make": make, "prepare": prepare, "settle": settle, "run": run, "limit": limit}


def main(job: str, arguments: str) -> None:
    """Does the job, and prints what came of it as one line of JSON."""
    measured = dict(_JOBS[job](**json.loads(arguments)))  # type: ignore[operator]  # each job with its own arguments
    print(json.dumps({**measured, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
