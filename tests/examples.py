"""How many examples a law is tried with: all of them in CI, a fifth of them, always the same, in `./test --fast`."""

import os

import hypothesis

CI, DEV = "ci", "dev"
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", CI)
_THIRD, _FIFTH = 3, 5
_ON_POSTGRESQL = bool(os.environ.get("DATABASE_URL"))


def load_profile() -> None:
    """Register both profiles, and load the one of HYPOTHESIS_PROFILE. How long an example takes is no failure in either."""
    hypothesis.settings.register_profile(CI, deadline=None)
    hypothesis.settings.register_profile(DEV, deadline=None, derandomize=True, max_examples=examples(100))
    hypothesis.settings.load_profile(PROFILE)


def examples(full: int) -> int:
    """Return the number of examples of a law that has its own number, in the profile of this run.

    The law has been tried on SQLite: on PostgreSQL, a third of the examples shows whether its SQL differs.
    """
    return max(1, full // (_FIFTH if PROFILE == DEV else _THIRD if _ON_POSTGRESQL else 1))
