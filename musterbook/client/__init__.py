"""A typed client of the REST API, for programs: it needs no settings, and nothing else of Musterbook.

`from musterbook.client import Agency`, or `AsyncAgency` for programs with asyncio. `answers` has the types of what methods
return, and `bodies` those of what they take.
"""

from musterbook.client.agency import Agency, AsyncAgency
from musterbook.client.described import answers, bodies
from musterbook.client.problems import (
    AccessRefused,
    AgencyError,
    Changed,
    Conflict,
    Held,
    Invalid,
    NotFound,
    PlanChanged,
    Problem,
    RateLimited,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)

__all__ = [
    "AccessRefused",
    "Agency",
    "AgencyError",
    "AsyncAgency",
    "Changed",
    "Conflict",
    "Held",
    "Invalid",
    "NotFound",
    "PlanChanged",
    "Problem",
    "RateLimited",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "answers",
    "bodies",
]
