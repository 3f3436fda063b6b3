"""A disk of limited size that can be filled: a file system in memory, where it may be mounted."""

import contextlib
import os
import subprocess
from pathlib import Path

_BALLAST = ".ballast"
_PART = 1 << 20


class Disk:
    """A folder with a file system of its own, as large as it is allowed to grow."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "faults", folder],  # noqa: S607  (the system has it where it wants)
            check=True,
            capture_output=True,
        )

    def fill(self) -> None:
        """Take all space that is left."""
        with contextlib.suppress(OSError), (self.folder / _BALLAST).open("wb", buffering=0) as file:
            while file.write(bytes(_PART)):
                pass
        with contextlib.suppress(OSError), (self.folder / _BALLAST).open("ab", buffering=0) as file:
            while file.write(b"."):
                pass

    def free(self) -> None:
        """Give the space back."""
        (self.folder / _BALLAST).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the file system with all that it has."""
        subprocess.run(["umount", "-l", self.folder], check=False, capture_output=True)  # noqa: S607  (the system has it where it wants)


def is_possible(folder: Path) -> bool:
    """Return whether this process may mount a file system there."""
    if os.name != "posix" or os.geteuid() != 0:
        return False
    try:
        Disk(folder, 1).close()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True
