"""The browser of the machine, for tests and screenshots."""

import shutil

_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The programs that can be used. The first has no windows to draw, and takes a third of the processor."""
MISSING = "there is no Chromium: apt-get install chromium-headless-shell libatomic1"


def find_chromium() -> str | None:
    """Return the path of Chromium, or None if the machine has none."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)
