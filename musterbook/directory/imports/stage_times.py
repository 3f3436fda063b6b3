"""How long each stage of an import takes, for the metrics (`imports.totals`)."""

import time

STAGES = ("waiting", "reading", "planning", "writing", "committing")
"""The stages of an import, in their order. It waits for another import of its agency, or for the database."""


class StageTimes:
    """A clock that adds up the seconds of each stage. A stage that is entered again goes on."""

    def __init__(self) -> None:
        self._stage, self._since = "", time.monotonic()
        self._seconds: dict[str, float] = {}

    def enter(self, stage: str) -> None:
        """Begin a stage, as an import reports it: its first word is its name. This ends the stage before it."""
        self._stop()
        self._stage = stage.partition(" ")[0]

    def read(self) -> dict[str, float]:
        """Return the seconds of each stage until now, in milliseconds' precision."""
        self._stop()
        return {stage: round(self._seconds[stage], 3) for stage in STAGES if stage in self._seconds}

    def _stop(self) -> None:
        now = time.monotonic()
        if self._stage:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0) + now - self._since
        self._since = now
