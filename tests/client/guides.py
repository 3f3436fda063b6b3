"""Guides that are run literally: their scripts are saved by name, and their commands are typed into one shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.client.conftest import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STEP = "=== step"


def read_blocks(guide: str) -> list[tuple[str, str]]:
    """The blocks of a guide below docs, each with what it is marked as."""
    return _FENCE.findall((ROOT / "docs" / guide).read_text(encoding="utf-8"))


def save_scripts(guide: str, folder: Path) -> None:
    """Save the scripts, whose first line names their file."""
    for kind, block in read_blocks(guide):
        named = re.match(r"# (\S+\.(?:py|sh))\n", block)
        if named and kind in {"python", "bash"}:
            (folder / named[1]).write_text(block.partition("\n")[2], encoding="utf-8")


def run_shell(
    blocks: list[str], folder: Path, replaced: dict[str, str], timeout: float = 300
) -> "tuple[subprocess.CompletedProcess[str], list[str]]":
    """Type the blocks into one shell, with these texts replaced. The process, and the output of each block."""
    text = f"\necho '{_STEP}'\n".join(blocks)
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER")}
    path = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COVERAGE_PROCESS_START": "",
    }
    done = subprocess.run(
        ["sh", "-ec", text], cwd=folder, env=inherited | path, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    return done, done.stdout.split(f"{_STEP}\n")
