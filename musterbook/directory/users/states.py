"""The states of a user: the one place that defines who is Active, Invited, Locked and so on."""

from datetime import datetime

from django.db import connection

INVITED, EXPIRED = "Invited", "Invitation expired"
STATES = ("Active", INVITED, EXPIRED, "Locked", "Password reset", "Inactive")
"""All states, as lists show them; a user in none of the others is Active."""

_TESTS = (
    ("Inactive", "NOT {u}active"),
    ("Locked", "{u}locked_at IS NOT NULL"),
    (EXPIRED, "{u}registered_at IS NULL AND {u}invitation_expires_at < %s"),
    (INVITED, "{u}registered_at IS NULL"),
    ("Password reset", "{u}reset_at IS NOT NULL"),
)
"""The first test that is true decides the state."""


def build_state_sql(prefix: str, at: datetime) -> tuple[str, list[str]]:
    """Return the state at that time as SQL, and its parameters.

    `prefix`: the users' table in the query, with its dot.
    """
    tests = " ".join(f"WHEN {test.format(u=prefix)} THEN '{name}'" for name, test in _TESTS)
    return f"CASE {tests} ELSE 'Active' END", [bind_time(at)]


def build_timeless_sql(prefix: str) -> str:
    """Return the state as SQL, ignoring whether an invitation has expired: Invited either way."""
    tests = " ".join(f"WHEN {test.format(u=prefix)} THEN '{name}'" for name, test in _TESTS if name != EXPIRED)
    return f"CASE {tests} ELSE 'Active' END"


def bind_time(at: datetime) -> str:
    """Return a time as a parameter to compare with stored times.

    On SQLite no stored form of the time is less than this one.
    """
    return str(connection.ops.adapt_datetimefield_value(at))
