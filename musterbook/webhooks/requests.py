"""One request to the address of a webhook: signed, short, without redirects, and only to an address that is allowed."""

import time
from dataclasses import dataclass
from datetime import datetime

from musterbook.config import outbound_requests
from musterbook.config.outbound_connections import OutsideError, RequestRefused, TimeLimit
from musterbook.directory.agency import webhook_problems, webhook_secrets

SECONDS = 10.0
"""The time limit for one request, from the lookup of the name to the status of the answer."""
_REST_OF_ANSWER = 1.0
"""The seconds in which the body of an answer is read, so that a receiver sees no reset connection."""
_LARGEST_BODY = 64 * 1024
GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What followed from a request. `status`: 0 without an answer. `problem`: "" if the message was delivered."""

    status: int
    problem: str
    milliseconds: int
    at: datetime


def send(address: str, valid: list[str], webhook_id: str, body: str, at: datetime) -> Answer:
    """Send a message, signed with the valid secrets. It never raises for what the receiver does."""
    content = body.encode()
    headers = {"Content-Type": "application/json", **webhook_secrets.sign(valid, webhook_id, at, content)}
    limit, begun = TimeLimit.start(SECONDS), time.monotonic()
    try:
        with outbound_requests.open_response(address, limit, content=content, headers=headers) as response:
            status = response.status
            milliseconds = round((time.monotonic() - begun) * 1000)
            _skip_body(response, limit)
    except RequestRefused as refused:
        return Answer(0, f"Not sent: {refused}", 0, at)
    except OutsideError as error:
        return Answer(0, str(error), round((time.monotonic() - begun) * 1000), at)
    return Answer(status, webhook_problems.describe_status(status), milliseconds, at)


def _skip_body(response: outbound_requests.OpenResponse, limit: TimeLimit) -> None:
    """Read what the receiver answers, which nobody needs: a little of it, and for a moment only."""
    limit.extend(_REST_OF_ANSWER, _REST_OF_ANSWER)
    read = 0
    try:
        for part in response.read_parts():
            read += len(part)
            if read > _LARGEST_BODY:
                return
    except OutsideError:
        return
