"""`muster watch` in a process that can be stopped at a step: `python -m tests.feeds.watch_driver OPTION …`.

It prints each step. PAUSE names a step after which it stands still until it is killed. SLOW makes each step take a while. With
HASTE, a file need not have been unchanged for a minute.
"""

import os
import sys
import time
from datetime import timedelta
from typing import Any

import django

django.setup()

from musterbook.cli import main
from musterbook.directory.imports import file_import, records
from musterbook.feeds import complete, fetching, settling
from musterbook.feeds.locations.folder import FolderLocation

STEPS: dict[str, tuple[Any, str]] = {
    "looked": (complete, "choose"),
    "read": (fetching, "_read"),
    "inserted": (records, "insert_record"),
    "written": (records, "write_result"),
    "imported": (file_import, "run_import"),
    "results": (settling, "_write_rows"),
    "moved": (FolderLocation, "file_away"),
}
"""The steps of importing a file, in their order: the name of each, and the function that does it."""


def _watch(step: str) -> None:
    owner, name = STEPS[step]
    usual = getattr(owner, name)

    def watched(*given: Any, **named: Any) -> Any:
        result = usual(*given, **named)
        sys.stdout.write(f"{step}\n")
        sys.stdout.flush()
        if "SLOW" in os.environ:
            time.sleep(0.3)
        while step == os.environ.get("PAUSE"):
            time.sleep(0.01)
        return result

    setattr(owner, name, watched)


if __name__ == "__main__":
    for one in STEPS:
        _watch(one)
    if "HASTE" in os.environ:
        complete.UNCHANGED_FOR = timedelta(0)
    sys.argv[0] = "muster"
    main.main()
