"""The feeds of an agency: list, add, change and run them. `feeds` takes the files that programs send to one.

A feed imports as the system, which no role restricts. So only a token with every permission changes one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field

from musterbook.api import access, cursors, etags, feed_schemas
from musterbook.api.access import needs
from musterbook.api.cursors import Cursor
from musterbook.api.feed_schemas import Feed, FeedSettings, NewFeed
from musterbook.api.problems import ProblemError
from musterbook.api.schemas import Page, Strict, Time, answers
from musterbook.directory import models
from musterbook.directory.agency import agencies, feed_secrets, feed_writing, feeds
from musterbook.directory.models import FeedMode
from musterbook.directory.permissions import ALL
from musterbook.feeds import asking, overview, rounds
from musterbook.feeds.locations import host_keys
from musterbook.feeds.locations.location import LocationError

router = Router()
PERMISSION, SYNC_PERMISSION = "users.import", "users.synchronize"


class Feeds(Schema):
    """The feeds of the agency that the token may see, by name."""

    items: list[Feed]


class FeedFile(Schema):
    """A file that has arrived, and what was done with it."""

    name: str
    parts: list[str] = Field(description="The files that are one import together")
    arrived_at: Time
    result: str = Field(description="applied, same, held, failed, running or none")
    about: str
    import_number: str | None


class Reason(Strict):
    """Why a feed is paused. Everyone who can see the feed sees it."""

    why: str = Field("", max_length=255, examples=["New HR system from 1 March"])


class SecretValue(Strict):
    """A secret. It is stored encrypted, and never shown."""

    value: str = Field(min_length=1, max_length=20_000)


class SentToken(Schema):
    """A new token with which a program sends files to the feed. It is shown only now, and the former one has ended."""

    token: str


class Fingerprint(Strict):
    """The fingerprint of the host key that the owner of the server has named."""

    fingerprint: str = Field(max_length=100, examples=["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"])


class LeftFile(Schema):
    """A file that would not be taken, and why."""

    name: str
    reason: str


class CheckReport(Schema):
    """What a check would take now: the files of each import. `problem`: why the location cannot be used, or nothing."""

    arrivals: list[list[str]]
    left: list[LeftFile]
    problem: str


def _find(request: HttpRequest, name: str) -> models.Feed:
    """Return the feed, if the token may see it. Raise UnknownFeed and AccessRefused."""
    feed = feeds.find_feed(access.get_agency(request), name)
    if feed.mode == FeedMode.SYNC:
        access.require(request, SYNC_PERMISSION)
    return feed


def _require_all(request: HttpRequest) -> None:
    """Raise AccessRefused, and record it, unless the token has every permission."""
    for permission in sorted(ALL):
        access.require(request, permission)


@contextmanager
def _changing(request: HttpRequest, name: str) -> Iterator[models.Feed]:
    """Hold the feed that a token with every permission changes, if it still has the version of the request."""
    _require_all(request)
    with agencies.holding(access.get_agency(request)):
        feed = feeds.find_feed(access.get_agency(request), name)
        etags.check_if_match(request, lambda: feeds.mark(feed))
        yield feed


def _answer(response: HttpResponse, feed: models.Feed) -> Feed:
    etags.set_etag(response, feeds.mark(feed))
    return feed_schemas.show(feed)


@router.get("", auth=needs(PERMISSION), response=answers(Feeds), operation_id="listFeeds", summary="List the feeds")
def list_feeds(request: HttpRequest) -> Feeds:
    """Return the feeds by name. Those that synchronize are for tokens that may synchronize."""
    sync = SYNC_PERMISSION in access.get_operator(request).permissions
    agency, at = access.get_agency(request), datetime.now(UTC)
    rows = overview.list_rows(agency, at, sync=sync, start=0, most=feed_writing.MOST)
    return Feeds(items=sorted((feed_schemas.show_row(row) for row in rows), key=lambda feed: feed.name))


@router.post("", auth=needs(PERMISSION), response=answers(Feed, 201), operation_id="addFeed", summary="Add a feed")
def add_feed(request: HttpRequest, response: HttpResponse, body: NewFeed) -> Status[Feed]:
    """Add a feed. The token needs every permission, because a feed imports as the system."""
    _require_all(request)
    values, by = body.make_values(), access.get_operator(request)
    within = access.get_token(request).addresses
    feed = feeds.add(access.get_agency(request), values, access.make_context(request), by, within)
    response.headers["Location"] = access.make_address(f"feeds/{feed.name}")
    return Status(201, _answer(response, feed))


@router.get(
    "/{slug:name}", auth=needs(PERMISSION), response=answers(Feed), operation_id="readFeed", summary="Read a feed"
)  # fmt: skip
def read_feed(request: HttpRequest, response: HttpResponse, name: str) -> Feed:
    """Return one feed. The header `ETag` is the version of its settings: it stays while only its state changes."""
    return _answer(response, _find(request, name))


@router.patch(
    "/{slug:name}", auth=needs(PERMISSION), response=answers(Feed), operation_id="changeFeed", summary="Change a feed"
)  # fmt: skip
def change_feed(request: HttpRequest, response: HttpResponse, name: str, body: FeedSettings) -> Feed:
    """Change the settings that the body has. The token needs every permission.

    A person must see the next file if the change decides what a file does. If the location names another server, the secrets are
    removed.
    """
    with _changing(request, name) as feed:
        values, by = body.make_values(), access.get_operator(request)
        within = access.get_token(request).addresses
        feeds.change(feed, values, feeds.mark(feed), access.make_context(request), by, within)
    return _answer(response, feed)


@router.delete(
    "/{slug:name}", auth=needs(PERMISSION), response=answers(None, 204), operation_id="removeFeed",
    summary="Remove a feed",
)  # fmt: skip
def remove_feed(request: HttpRequest, name: str) -> Status[None]:
    """Remove a feed. Its imports stay. The token needs every permission."""
    with _changing(request, name) as feed:
        feeds.remove(feed, access.make_context(request), access.get_operator(request))
    return Status(204, None)


@router.get(
    "/{slug:name}/files", auth=needs(PERMISSION), response=answers(Page[FeedFile]), operation_id="listFeedFiles",
    summary="List the files of a feed",
)  # fmt: skip
def list_files(request: HttpRequest, name: str, cursor: Cursor = "") -> Page[FeedFile]:
    """Return the files that have arrived, the latest first, ten on a page."""
    place = cursors.read_cursor(cursor, [int]) or [1]
    page = overview.read_files(_find(request, name), min(int(place[0]), 10**6))
    items = [
        FeedFile(
            name=file.name,
            parts=file.parts,
            arrived_at=file.at,
            result=str(file.mark),
            about=file.sentence,
            import_number=file.entry.number if file.entry else None,
        )
        for file in page.files
    ]
    return Page[FeedFile](items=items, next=cursors.make_cursor(page.number + 1) if page.has_next else None)


@router.post(
    "/{slug:name}:run", auth=needs(PERMISSION), response=answers(Feed, 202), operation_id="runFeed",
    summary="Have a feed look for files",
)  # fmt: skip
def run_feed(request: HttpRequest, response: HttpResponse, name: str) -> Status[Feed]:
    """Have a worker look for files of the feed at once."""
    feed = _find(request, name)
    feeds.request_check(feed, access.make_context(request), access.get_operator(request))
    return Status(202, _answer(response, feed))


@router.post(
    "/{slug:name}:check", auth=needs(PERMISSION), response=answers(CheckReport), operation_id="checkFeed",
    summary="Try the location of a feed",
)  # fmt: skip
def check_feed(request: HttpRequest, name: str) -> CheckReport:
    """Try the location of the feed, and return what would be taken. Nothing is taken."""
    feed = _find(request, name)
    with _asking(feed):
        report = rounds.preview_check(feed, lambda: datetime.now(UTC))
    left = [(found.name, str(reason)) for found, reason in report.others]
    left += [(unusable, "name") for unusable in report.left_out]
    return CheckReport(
        arrivals=[[file.name for file in arrival.files] for arrival in report.arrivals],
        left=[LeftFile(name=file, reason=reason) for file, reason in left],
        problem=report.problem,
    )


@contextmanager
def _asking(feed: models.Feed) -> Iterator[None]:
    """Ask the server of the feed, if no other one of the agency is being asked. Raise ProblemError."""
    with asking.take_turn(feed.agency) as may_ask:
        if not may_ask:
            raise ProblemError(HTTPStatus.CONFLICT, str(asking.BUSY), "server-asked")
        yield


@router.post(
    "/{slug:name}:pause", auth=needs(PERMISSION), response=answers(Feed), operation_id="pauseFeed",
    summary="Pause a feed",
)  # fmt: skip
def pause_feed(request: HttpRequest, response: HttpResponse, name: str, body: Reason) -> Feed:
    """Stop checking the feed until it is resumed. A feed that is paused stays as it is."""
    feed = _find(request, name)
    feeds.pause(feed, body.why, access.make_context(request), access.get_operator(request))
    return _answer(response, feed)


@router.post(
    "/{slug:name}:resume", auth=needs(PERMISSION), response=answers(Feed), operation_id="resumeFeed",
    summary="Resume a feed",
)  # fmt: skip
def resume_feed(request: HttpRequest, response: HttpResponse, name: str) -> Feed:
    """Check the feed again, if it was paused or has stopped by itself."""
    feed = _find(request, name)
    feeds.resume(feed, access.make_context(request), access.get_operator(request))
    return _answer(response, feed)


@router.put(
    "/{slug:name}/secrets/{slug:secret}", auth=needs(PERMISSION), response=answers(None, 204),
    operation_id="setFeedSecret", summary="Set a secret of a feed",
)  # fmt: skip
def set_secret(request: HttpRequest, name: str, secret: str, body: SecretValue) -> Status[None]:
    """Set a secret of the location: `password`, `key` or `passphrase` of SFTP, `header` of HTTPS.

    It is stored encrypted, and never shown. The token needs every permission.
    """
    with _changing(request, name) as feed:
        feeds.set_secret(feed, secret, body.value, access.make_context(request), access.get_operator(request))
    return Status(204, None)


@router.delete(
    "/{slug:name}/secrets/{slug:secret}", auth=needs(PERMISSION), response=answers(None, 204),
    operation_id="removeFeedSecret", summary="Remove a secret of a feed",
)  # fmt: skip
def remove_secret(request: HttpRequest, name: str, secret: str) -> Status[None]:
    """Remove a secret of the location. The token needs every permission."""
    with _changing(request, name) as feed:
        feeds.set_secret(feed, secret, "", access.make_context(request), access.get_operator(request))
    return Status(204, None)


@router.post(
    "/{slug:name}:token", auth=needs(PERMISSION), response=answers(SentToken, 201), operation_id="makeFeedToken",
    summary="Make the token of a feed",
)  # fmt: skip
def make_token(request: HttpRequest, name: str) -> Status[SentToken]:
    """Make a new token with which a program sends files to the feed. The former one ends.

    It opens nothing else. It is shown only now. The token of this request needs every permission.
    """
    with _changing(request, name) as feed:
        within = access.get_token(request).addresses
        token = feeds.make_token(feed, access.make_context(request), access.get_operator(request), within)
    return Status(201, SentToken(token=token))


@router.post(
    "/{slug:name}:accept-host-key", auth=needs(PERMISSION), response=answers(Feed), operation_id="acceptHostKey",
    summary="Accept the host key of a feed's server",
)  # fmt: skip
def accept_host_key(request: HttpRequest, response: HttpResponse, name: str, body: Fingerprint) -> Feed:
    """Ask the SFTP server for its host key, and accept it if it has this fingerprint. The token needs every permission."""
    _require_all(request)
    feed = feeds.find_feed(access.get_agency(request), name)
    with _asking(feed):
        key = _read_key(feed)
    if feed_secrets.get_fingerprint(key) != body.fingerprint.strip():
        detail = "The server has another host key. It was not accepted. Ask the owner of the server."
        raise ProblemError(HTTPStatus.CONFLICT, detail, "other-host-key")
    feeds.accept_host_key(feed, key, access.make_context(request), access.get_operator(request))
    return _answer(response, feed)


def _read_key(feed: models.Feed) -> str:
    try:
        return host_keys.read_host_key(feed)
    except LocationError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error), "unreachable") from None
