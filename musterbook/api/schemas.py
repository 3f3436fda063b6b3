"""The forms that the JSON of all resources shares: strict bodies, pages with a cursor, times, and problems."""

import re
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

T = TypeVar("T")
_HAS_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Strict(Schema):
    """A body of a request: unknown members are refused, and no value is converted to another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _write_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _refuse_number(value: object) -> object:
    """Refuse a time that is written as a number of seconds, which the library also reads."""
    if not isinstance(value, str) or not _HAS_DAY.match(value.strip()):
        raise ValueError("Write a time as 2026-03-02T07:00:00Z")
    return value


def _convert_to_utc(at: datetime) -> datetime:
    """Return the time in UTC. One without an offset is in UTC already."""
    try:
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("There is no such time in UTC") from None


Moment = Annotated[datetime, BeforeValidator(_refuse_number), AfterValidator(_convert_to_utc)]
"""A time that a request gives (RFC 3339)."""
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""The number of a resource in an address."""
Time = Annotated[
    datetime,
    PlainSerializer(_write_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""A time in UTC (RFC 3339), such as `2026-03-02T07:00:00Z`."""


class Page(Schema, Generic[T]):
    """A page of a list. `next`: the cursor of the next page, or null on the last one."""

    items: list[T]
    next: str | None = None


class ProblemField(Schema):
    """An error of one value of a request."""

    pointer: str = Field(description="The JSON pointer of the value, or the name of the parameter")
    code: str
    detail: str
    remedy: str = ""


class ProblemBody(Schema):
    """A problem (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str = ""
    errors: list[ProblemField] = Field(default_factory=list)


REFUSALS = frozenset({400, 401, 403, 404, 405, 409, 412, 413, 422, 429})
"""The statuses of the problems that any operation may answer with."""


def answers(model: object = None, status: int = 200, **others: object) -> dict[object, object]:
    """Return the responses of an operation for `response=`: its own, and the problems that each may have.

    `others`: more statuses as `s202=Model`.
    """
    more: dict[object, object] = {int(name.removeprefix("s")): body for name, body in others.items()}
    return {status: model, **more, REFUSALS: ProblemBody}
