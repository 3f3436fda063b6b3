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

from tests.attacks.bombs import BOMBS

_MUSTER = "from musterbook.cli.main import main; main()"
_RUN = """
import json, resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
json.dump([status, used.ru_maxrss, used.ru_utime + used.ru_stime], open(sys.argv[1], "w"))
"""
"""Starts the command from a small process: a process counts what the one that started it had in memory as its own peak."""
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
        command = [sys.executable, "-c", _MUSTER, "import", str(path), "--agency", "a", "--preview"]
        told = home / "used"
        subprocess.run(
            [sys.executable, "-c", _RUN, str(told), *command, "--output", "json"],
            stdout=out,
            stderr=err,
            env=_environment(home),
            check=False,
        )
        seconds = time.monotonic() - began
        status, peak, processor = json.loads(told.read_text(encoding="ascii"))
        out.seek(0)
        err.seek(0)
        said, trace = out.read(), err.read().decode("utf-8", "replace")
    told = json.loads(said) if said.strip() else {"problems": []}
    codes = tuple(problem["code"] for problem in told["problems"])
    return Measured(status, codes, trace[-2000:], peak / 1024, processor, seconds)


def _environment(home: Path) -> dict[str, str]:
    outside = ("MUSTER_", "DATABASE_URL", "DJANGO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    return kept | {"MUSTER_HOME": str(home / "muster")}


def installation(home: Path) -> None:
    """Makes an installation with an agency."""
    file = home / "agency.toml"
    file.write_text('slug = "a"\nname = "A"\n[[roles]]\nname = "Officer"\n', encoding="utf-8")
    command = [sys.executable, "-c", _MUSTER, "agency", "apply", str(file)]
    subprocess.run(command, env=_environment(home), check=True, capture_output=True)


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
    main()
