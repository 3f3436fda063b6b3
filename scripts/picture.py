"""Make the picture of a terminal in the documents: `python -m scripts.picture`, in an environment that `./run` has set up."""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from scripts import program

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "second-night.svg"
COMMAND = "muster import second-night.csv --agency riverton-pd --mode sync"
_WIDTH = 120
_CUT = 46


def main() -> None:
    """Import the two nights of the examples, and draw the output of the second one."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "MUSTER_HOME": home, "COLUMNS": str(_WIDTH), "FORCE_COLOR": "1"}
        environment.pop("DATABASE_URL", None)
        run_muster(environment, "agency", "apply", "agency.toml")
        run_muster(environment, "import", "first-night.csv", "--agency", "riverton-pd")
        printed = run_muster(environment, *COMMAND.split()[1:])
    lines = [f"$ {COMMAND}", *printed.splitlines()[:_CUT]]
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(lines)))
    drawn = console.export_svg(title="Musterbook").replace("<svg ", '<svg xml:space="preserve" ', 1)
    PICTURE.parent.mkdir(exist_ok=True)
    # The reader's fonts are good enough, and a picture must not fetch any.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


def run_muster(environment: dict[str, str], *words: str) -> str:
    """Return the output of `run_muster` with these arguments in the folder of the examples."""
    command = [str(Path(sys.executable).with_name("muster")), *words]
    return subprocess.run(
        command, cwd=ROOT / "examples", env=environment, capture_output=True, text=True, check=False
    ).stdout


if __name__ == "__main__":
    with program.run(__doc__):
        main()
