"""What the doctor says of one thing that it has looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, and the remedy ("" where all is well).

    `notice`: nothing is wrong, but the system administrator should know it. A notice has no remedy.
    """

    about: str
    found: str
    remedy: str = ""
    notice: bool = False
