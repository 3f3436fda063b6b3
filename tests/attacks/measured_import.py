"""The command `muster import --preview` on a file, measured: what it says, its peak and its time.

By hand, for every bomb: `python -m tests.attacks.measured_import`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from scripts import program
from tests import databases, forks
from tests.attacks.bombs import BOMBS

_MEASURED = """
import json, resource, sys
used_file = sys.argv.pop(1)
from musterbook.cli.main import main
try:
    main()
finally:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    with open(used_file, "w") as file:
        json.dump([max(one.ru_maxrss for one in used), sum(one.ru_utime + one.ru_stime for one in used)], file)
"""
"""Runs the command, and says what it and the process that reads the file have used.

A process counts what the one that started it had in memory as its own peak: in tests that is a fork of one that has loaded the
product and nothing else.
"""
MB = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """How the command ended: its status, its codes, its peak in megabytes, seconds of the processor and of the clock."""

    status: int
    codes: tuple[str, ...]
    said: str
    peak: float
    processor: float
    seconds: float


def preview(home: Path, content: bytes) -> Measured:
    """Previews the file in the installation at `home`, which has an agency `a`."""
    path = home / "upload"
    path.write_bytes(content)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        used = home / "used"
        used.unlink(missing_ok=True)
        command = [sys.executable, "-c", _MEASURED, str(used), *preview_of(path), "--output", "json"]
        status = databases.start(command, environment_of(home), stdout=out, stderr=err).wait()
        seconds = time.monotonic() - began
        peak, processor = json.loads(used.read_text(encoding="ascii"))
        out.seek(0)
        err.seek(0)
        said, trace = out.read(), err.read().decode("utf-8", "replace")
    told = json.loads(said) if said.strip() else {"problems": []}
    codes = tuple(problem["code"] for problem in told["problems"])
    return Measured(status, codes, trace[-2000:], peak / 1024, processor, seconds)


def preview_of(path: Path) -> list[str]:
    """The arguments with which the command previews a file."""
    return ["import", str(path), "--agency", "a", "--preview"]


def environment_of(home: Path) -> dict[str, str]:
    outside = ("MUSTER_", "DATABASE_URL", "DJANGO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    return kept | {"MUSTER_HOME": str(home / "muster")}


def installation(home: Path) -> None:
    """Makes an installation with an agency."""
    file = home / "agency.toml"
    file.write_text('slug = "a"\nname = "A"\n[[roles]]\nname = "Officer"\n', encoding="utf-8")
    done = databases.start(
        [forks.MUSTER, "agency", "apply", str(file)], environment_of(home), stdout=subprocess.DEVNULL
    )
    assert done.wait() == 0


def main() -> None:
    """Measures all bombs, or those that are named."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        installation(home)
        for name, make in BOMBS.items():
            if len(sys.argv) > 1 and not any(part in name for part in sys.argv[1:]):
                continue
            content = make()
            found = preview(home, content)
            size = len(content) / MB
            over = found.peak > 512 + 20 * size or found.processor > max(10.0, 10 * size)
            summary = ",".join(found.codes) or found.said[-300:]
            sys.stdout.write(
                f"{name:50} {len(content) / 1024:9,.1f} kB {found.peak:6,.0f} MB {found.processor:5.1f} s"
                f" ({found.seconds:5.1f} s by the clock) {found.status} {summary}{' OVER' if over else ''}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    with program.run(__doc__):
        main()
