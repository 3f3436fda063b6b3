"""A process that imports, for tests that kill it or run several: `python -m tests.directory.driver COMMAND …`.

`agency SLUG…` makes agencies; `import SLUG FILE [MODE [KEY]]` imports, telling each stage on a line; `submit` has a worker do
that, and `work [TIMES]` is a worker, which tells each stage, and ends when it has carried out so many. The variable PAUSE
names a stage at which it stands still until it is killed, or until the file that GO names is there; SILENCE the seconds after
which a worker counts as gone. A `+` between two commands has both done by one process.
"""

import itertools
import os
import sys
import time
from pathlib import Path

import django

django.setup()

from musterbook.directory.storage import isolation

isolation.open_process()

from musterbook import jobs
from musterbook.core.domain.policy import Mode
from musterbook.core.planning.plan import Plan
from musterbook.directory import models
from musterbook.directory.audit import verify
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import heartbeats, queue, runner
from musterbook.directory.imports.file_import import Upload
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.records import reap_orphans
from musterbook.directory.imports.runner import ImportFailed
from musterbook.directory.imports.worker import run_next_import
from tests.directory import cast


def progress(stage: str, done: int = 0, total: int = 0) -> None:
    """Tells the stage, and stands still if it is the one."""
    print(stage, done, total, flush=True)
    go = Path(os.environ.get("GO", "never"))
    while stage == os.environ.get("PAUSE") and not go.exists():
        time.sleep(0.01)


def main(command: str, *arguments: str) -> None:
    """Does what it is told, and says what came of it on the last line."""
    if command == "agency":
        for slug in arguments:
            cast.agency(slug, limits=cast.unlimited())
        return
    if command == "work":
        _work(int((*arguments, "1")[0]))
        return
    agency = models.Agency.objects.get(slug=arguments[0])
    if command == "import":
        _import(agency, *arguments[1:])
    elif command == "submit":
        _submit(agency, *arguments[1:])
    elif command == "look":
        reap_orphans(agency)
        print(verify.verify_trail(agency).error or "whole")


def _import(agency: models.Agency, file: str, mode: str = "update", key: str = "") -> None:
    options = Options(mode=Mode(mode), preview=bool(os.environ.get("PREVIEW")))
    usual = runner._make_plan

    def planned(attempt: runner.Attempt) -> Plan:
        made = usual(attempt)
        progress("planned")
        return made

    runner._make_plan = planned
    try:
        done = cast.run(agency, Path(file).read_bytes(), options, key=key or None, progress=progress)
    except ImportFailed as failed:
        print("failed", failed)
    else:
        print(done.record.state, done.record.number, done.record.counts.get("unchanged"))


def _submit(agency: models.Agency, file: str, mode: str = "update", key: str = "") -> None:
    upload, context = Upload(Path(file).read_bytes(), "users.csv"), AuditContext(jobs.now(), "", "page")
    print(queue.submit(agency, upload, Options(mode=Mode(mode)), context=context, key=key or None).number)


def _work(times: int) -> None:
    usual = runner.Attempt.report_stage

    def watched(attempt: runner.Attempt, stage: str, done: int = 0, total: int = 0) -> None:
        progress(stage, done, total)
        usual(attempt, stage, done, total)

    runner.Attempt.report_stage = watched  # type: ignore[method-assign, assignment]  # this process is a test's own
    heartbeats.TIMEOUT = float(os.environ.get("SILENCE", heartbeats.TIMEOUT))
    name = jobs.make_worker_name()
    while times:
        heartbeats.send_heartbeat(heartbeats.Heartbeat(name))
        times -= run_next_import(name, jobs.now)
        time.sleep(0.02)


if __name__ == "__main__":
    for _, words in itertools.groupby(sys.argv[1:], lambda word: word != "+"):
        if (command := list(words)) != ["+"]:
            main(*command)
