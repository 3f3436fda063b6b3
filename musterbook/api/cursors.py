"""Cursors of lists: opaque texts that say where the next page begins. They give no access, and a wrong one is refused."""

import base64
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from ninja import Query

from musterbook.api.problems import ProblemError

_LARGEST = 2**63 - 1
Cursor = Annotated[
    str, Query("", max_length=2_000, description="The `next` of the page before. Leave it out for the first page.")
]
Limit = Annotated[int, Query(50, ge=1, le=200, description="The most items of the page.")]


def make_cursor(*place: str | int) -> str:
    """Return the cursor of the page that begins after this place: the values by which the list is ordered."""
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=True).encode()).decode().rstrip("=")


def read_cursor(text: str, kinds: Sequence[type]) -> list[str | int] | None:
    """Return the place of a cursor, with a value of each of these kinds; None for "". Raise ProblemError."""
    if not text:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        place = None
    is_list = isinstance(place, list) and list(map(type, place)) == list(kinds)
    if not is_list or not all(map(_is_storable, place)):
        raise make_refusal()
    return list(place)


def _is_storable(value: str | int) -> bool:
    if isinstance(value, int):
        return 0 <= value <= _LARGEST
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)


def make_refusal() -> ProblemError:
    """Return the error for a text that is not a cursor of the list."""
    detail = "This is not a cursor of this list. Begin again without a cursor, and use the cursor that the page has."
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "invalid-cursor")
