"""The audit trail: search, export and check it. Each of these acts is itself an event of the trail."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

from django.core import signing
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from musterbook.api import access, cursors
from musterbook.api.access import needs
from musterbook.api.cursors import Limit
from musterbook.api.problems import FieldError, ProblemError
from musterbook.api.schemas import Moment, Page, Strict, Time, answers
from musterbook.core.domain.labels import CHANNELS
from musterbook.directory.audit import browse, event_kinds, export, trail, verify
from musterbook.directory.audit.event_kinds import CATEGORIES, KINDS, OUTCOMES, EventKind
from musterbook.directory.audit.filters import EventFilters
from musterbook.directory.audit.verify import CheckProgress, TrailFinding
from musterbook.directory.imports import event_search, file_import
from musterbook.directory.users import user_list

router = Router()
PERMISSION = "audit.view"
_PLACE, _CHECK = "musterbook.api.audit.place", "musterbook.api.audit.check"
_AT_ONCE = 2.0
"""The seconds that one request spends on a check. The next request continues."""
_TEXT = {"type": "string"}


class EventSearch(Schema):
    """The filters of the trail. An event is found if it passes all that are given."""

    by: str = Field("", max_length=255, description="Who acted: an external ID, email address or name, or `system`.")
    about: str = Field("", max_length=255, description="The user that the event is about.")
    import_number: str = Field("", max_length=26, description="The number of an import.")
    kind: str = Field("", max_length=40, description="A kind of event, such as `user.added`.")
    category: str = Field("", max_length=40, description="A category of kinds, such as `Users`.")
    through: str = Field("", max_length=20, description="How it was done, such as `page`, `api` or `feed`.")
    outcome: str = Field("", max_length=20, description="`done`, `refused` or `failed`.")
    since: Moment | None = Field(None, description="At this time or later. A time without an offset is in UTC.")
    until: Moment | None = Field(None, description="Before this time.")


class Listing(EventSearch):
    """The filters, and the page."""

    limit: Limit = 50
    cursor: str = Field(
        "", max_length=2_000, description="The `next` of the page before. It goes with the same filters."
    )


class Actor(Schema):
    """A user of an event, by the external ID that they had then, and the name that they have now."""

    external_id: str
    name: str


class Change(Schema):
    """A value before and after."""

    before: str
    after: str


class Event(Schema):
    """An event. `by`: null for the system. `about`: null if it is about no user."""

    id: int
    at: Time
    kind: str
    sentence: str
    by: Actor | None
    about: Actor | None
    through: str
    address: str
    program: str
    import_number: str | None
    row: int | None
    outcome: str
    changes: dict[str, Change]


class Check(Strict):
    """The check to continue."""

    progress: str = Field("", max_length=4_000, description="The member `progress` of the answer before")


class CheckResult(Schema):
    """What a check has found so far. Send `progress` to continue, until `done`.

    `error`: what is wrong, or nothing. `head`: the head of what was checked, to be kept elsewhere.
    """

    done: bool
    links: int
    events: int
    error: str
    head: str
    progress: str | None


def _read_filters(request: HttpRequest, search: EventSearch) -> EventFilters:
    """Return the filters of the search. Raise ProblemError with what is unknown."""
    agency, at = access.get_agency(request), datetime.now(UTC)
    known: Mapping[str, Any] = {"kind": KINDS, "category": CATEGORIES, "through": CHANNELS, "outcome": OUTCOMES}
    for name, names in known.items():
        given = getattr(search, name)
        if given and given not in names:
            raise _refuse(name, f"There is no {name} “{given}”. There are: {', '.join(names)}.")
    kinds = (search.kind,) if search.kind else tuple(CATEGORIES[search.category]) if search.category else ()
    try:
        name = "by"
        actors = event_search.find_actors(agency, search.by.strip(), at)
        name = "about"
        subjects = event_search.find_subjects(agency, search.about.strip(), at)
        name = "import_number"
        import_id = event_search.find_import(agency, search.import_number)
    except event_search.NobodyFound:
        raise _refuse(name, "No user matches this.") from None
    except user_list.TooManyUsers:
        raise _refuse(name, "Many users match this. Send an email address or an external ID.") from None
    except file_import.UnknownImport:
        raise _refuse(name, "There is no import with this number.") from None
    return EventFilters(
        actors, subjects, import_id, kinds, search.through, search.outcome,
        search.since, search.until,
    )  # fmt: skip


def _refuse(name: str, detail: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY, detail, "unknown-value", [FieldError(name, "unknown-value", detail)]
    )


def _describe_filters(search: EventSearch) -> str:
    """Return the filters that are given, as the trail records them."""
    given = search.model_dump(mode="json", exclude_unset=True, include=set(EventSearch.model_fields))
    return "&".join(f"{name}={value}" for name, value in sorted(given.items()) if value not in ("", None))


def _record(request: HttpRequest, kind: EventKind, search: EventSearch, **changes: str) -> None:
    filters = _describe_filters(search)
    facts = {**changes, **({"filters": filters} if filters else {})}
    trail.record_event(
        access.get_agency(request), access.make_context(request), kind, None,
        {name: ("", value) for name, value in facts.items()},
    )  # fmt: skip


@router.get(
    "", auth=needs(PERMISSION), response=answers(Page[Event]), operation_id="listEvents", summary="Search the audit trail"
)  # fmt: skip
def list_events(request: HttpRequest, search: Query[Listing]) -> Page[Event]:
    """Return the events that match, the newest first, page by page.

    The first page is an event of the trail itself, as on the page. Turning the pages is not.
    """
    filters = _read_filters(request, search)
    place = _read_place(search) if search.cursor else ""
    if not place:
        _record(request, EventKind.AUDIT_VIEWED, search)
    page = browse.read_page(access.get_agency(request), filters, place, search.limit)
    return Page[Event](items=[_show(event) for event in page.events], next=_make_cursor(search, page.older))


def _read_place(search: Listing) -> str:
    """Return the place of the cursor. It must be one that was made for these filters, so that each search is recorded."""
    try:
        place, filters = signing.loads(search.cursor, salt=_PLACE)
    except signing.BadSignature:
        raise cursors.make_refusal() from None
    if filters != _digest(search):
        raise cursors.make_refusal()
    return str(place)


def _make_cursor(search: Listing, place: str) -> str | None:
    return signing.dumps([place, _digest(search)], salt=_PLACE) if place else None


def _digest(search: EventSearch) -> str:
    return hashlib.sha256(_describe_filters(search).encode()).hexdigest()[:16]


def _show(event: browse.ListedEvent) -> Event:
    return Event(
        id=event.id,
        at=event.at,
        kind=event.kind,
        sentence=event_kinds.describe(event.kind, event.subject_name or event.subject_external_id),
        by=Actor(external_id=event.actor, name=event.actor_name) if event.actor else None,
        about=Actor(external_id=event.subject_external_id, name=event.subject_name) if event.subject_external_id else None,
        through=event.through,
        address=event.address,
        program=event.agent,
        import_number=event.number or None,
        row=event.row,
        outcome=event.outcome or "done",
        changes={name: Change(before=before, after=after) for name, (before, after) in event.changes.items()},
    )  # fmt: skip


class Export(EventSearch):
    """The filters, and the format of the file."""

    format: Literal["csv", "json"] = Field("csv", description="CSV, or a list of JSON objects.")


@router.get(
    "/export", auth=needs(PERMISSION), response=answers(None), operation_id="exportEvents", summary="Export the audit trail",
    openapi_extra={
        "responses": {
            200: {
                "description": "The events, the oldest first",
                "content": {"text/csv": {"schema": _TEXT}, "application/json": {"schema": {"type": "array"}}},
            }
        }
    },
)  # fmt: skip
def export_events(request: HttpRequest, search: Query[Export]) -> StreamingHttpResponse:
    """Return all events up to now that match, the oldest first, as a file of any length. This is an event of the trail."""
    agency, now = access.get_agency(request), datetime.now(UTC)
    filters = _read_filters(request, search)
    filters = replace(filters, until=min(filters.until or now, now))
    _record(request, EventKind.AUDIT_EXPORTED, search, form=search.format.upper())
    kind = "text/csv; charset=utf-8" if search.format == "csv" else "application/json"
    name = f"{agency.slug}-audit-trail-{now:%Y-%m-%d-%H%M}.{search.format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(
        export.export_events(agency, filters, search.format), content_type=kind, headers=headers
    )


@router.post(
    "/verify", auth=needs(PERMISSION), response=answers(CheckResult), operation_id="verifyTrail",
    summary="Check the audit trail",
)  # fmt: skip
def verify_trail(request: HttpRequest, body: Check) -> CheckResult:
    """Check the whole trail, two seconds at a time. Repeat with `progress` until `done`. The end of a check is an event."""
    agency, end = access.get_agency(request), time.monotonic() + _AT_ONCE
    result = verify.continue_check(agency, _read_progress(request, body.progress), lambda: time.monotonic() > end)
    done = isinstance(result, TrailFinding)
    if isinstance(result, TrailFinding):
        facts = {
            "found": result.error or "nothing was altered", "events": str(result.events), "digest": result.digest,
        }  # fmt: skip
        changes = {name: ("", value) for name, value in facts.items()}
        trail.record_event(agency, access.make_context(request), EventKind.AUDIT_CHECKED, None, changes)
    return CheckResult(
        done=done,
        links=result.links,
        events=result.events,
        error=result.error if isinstance(result, TrailFinding) else "",
        head=f"{result.links}:{result.digest}",
        progress=None if isinstance(result, TrailFinding) else _sign_progress(request, result),
    )


def _sign_progress(request: HttpRequest, so_far: CheckProgress) -> str:
    facts = [access.get_agency(request).pk, so_far.links, so_far.events, so_far.last, so_far.digest, list(so_far.keys)]
    return signing.dumps(facts, salt=_CHECK)


def _read_progress(request: HttpRequest, text: str) -> CheckProgress:
    if not text:
        return CheckProgress()
    try:
        agency, links, events, last, digest, keys = signing.loads(text, salt=_CHECK, max_age=24 * 60 * 60)
    except (signing.BadSignature, json.JSONDecodeError):
        agency = 0
    if agency != access.get_agency(request).pk:
        detail = "This is not the progress of a check of this trail, or it is older than a day. Begin again without it."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "invalid-progress")
    return CheckProgress(links, events, last, digest, tuple(keys))
