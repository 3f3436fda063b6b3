"""What can go wrong with a request, as exceptions."""

from collections.abc import Mapping, Sequence
from typing import Any

from musterbook.client.described.answers import ProblemField


class AgencyError(Exception):
    """A request has no result. Each exception of the client is one of these."""


class Unreachable(AgencyError):
    """The server did not answer, however often the request was sent."""


class UnexpectedAnswer(AgencyError):
    """The answer is not one of Musterbook: the address is wrong, or something stands between."""


class Problem(AgencyError):
    """The server refused the request, and says why (RFC 9457).

    `status`: the HTTP status. `code`: a stable name, or "". `detail`: a sentence that says what to do. `errors`: what is
    wrong with each value. `request_id`: the number of the request in the log of the server and in its audit trail.
    `retry_after`: the seconds to wait before the next request, or None. `more`: other members, such as the `digest` of
    the present plan.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str = "",
        errors: Sequence[ProblemField] = (),
        request_id: str = "",
        retry_after: float | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.code, self.errors = status, detail, code, tuple(errors)
        self.request_id, self.retry_after, self.more = request_id, retry_after, dict(more or {})

    def __str__(self) -> str:
        lines = [
            f"{self.status} {self.detail}",
            *(f"{one.pointer}: {one.detail} {one.remedy}".strip() for one in self.errors),
        ]
        return "\n".join(lines)


class AccessRefused(Problem):
    """The token gives no access (401), or lacks a permission (403)."""


class NotFound(Problem):
    """There is nothing with this number or name (404)."""


class Conflict(Problem):
    """The state of the resource does not allow it (409). `code` says why."""


class Held(Conflict):
    """The import is over a limit, and must be confirmed. `more["holds"]` says what to confirm."""


class PlanChanged(Conflict):
    """The plan is another one than the one that was seen. `more` has its `digest` and its `import`."""


class Changed(Problem):
    """The resource has changed since the version of `if_match` (412). Read it again."""


class Invalid(Problem):
    """A value is not accepted (400 or 422). `errors` says which."""


class RateLimited(Problem):
    """There were too many requests (429). Wait for `retry_after` seconds."""


class Unavailable(Problem):
    """The server cannot do it at this moment (502, 503, 504)."""


_BY_STATUS: Mapping[int, type[Problem]] = {
    400: Invalid, 401: AccessRefused, 403: AccessRefused, 404: NotFound, 409: Conflict, 412: Changed, 422: Invalid,
    429: RateLimited, 502: Unavailable, 503: Unavailable, 504: Unavailable,
}  # fmt: skip
_BY_CODE: Mapping[str, type[Problem]] = {"held": Held, "plan-changed": PlanChanged}


def find_class(status: int, code: str) -> type[Problem]:
    """Return the exception for a status and the code of its problem."""
    return _BY_CODE.get(code) or _BY_STATUS.get(status, Problem)
