"""The address to which a program sends the files of one feed, with the token of that feed, which opens nothing else."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from musterbook.accounts import limits
from musterbook.accounts.tokens import TokenRefused
from musterbook.api import arriving, keys, problems
from musterbook.api.problems import ProblemError
from musterbook.directory import models
from musterbook.directory.agency import feeds, networks
from musterbook.directory.agency.feeds import UnknownFeed
from musterbook.directory.imports import pending_uploads
from musterbook.directory.imports.file_import import FileOnDisk, KeyTaken
from musterbook.directory.imports.pending_uploads import TooLarge
from musterbook.directory.imports.quotas import OverQuota
from musterbook.feeds import sending, taking
from musterbook.feeds.taking import Taken
from musterbook.http import bearer, rate_limits, refusals, request_context
from musterbook.http.bearer import AccessRefused

_RATE = "sent file"
_WHO_CREATES = "A user who manages the feed creates one."

View = Callable[[HttpRequest, models.Feed], HttpResponseBase]


def _for_feed(view: View) -> Callable[[HttpRequest, str], HttpResponseBase]:
    """Pass the feed of the address to the view, if the request has its token. Nothing of the body is read before."""

    @wraps(view)
    def guarded(request: HttpRequest, name: str) -> HttpResponseBase:
        if request.method != "POST":
            return problems.refuse_method(("POST",))
        try:
            feed = _authenticate(request, name)
        except AccessRefused as refused:
            return problems.answer_refusal(request, refused)
        if not limits.take(_RATE, str(feed.pk), datetime.now(UTC)):
            return _refuse_too_many(request)
        return view(request, feed)

    guarded.csrf_exempt = True  # type: ignore[attr-defined]  # no cookie gives access here
    guarded.permission = ""  # type: ignore[attr-defined]  # for the tests that attack every address
    guarded.reads_large_bodies = True  # type: ignore[attr-defined]  # for `web.imports.uploads.from_known`
    return guarded


def _authenticate(request: HttpRequest, name: str) -> models.Feed:
    """Return the feed that the token of the request opens. Raise AccessRefused."""
    secret = bearer.read_secret(request)
    if secret is None:
        raise bearer.make_missing_refusal(request, f"Send the token of this feed {bearer.HEADER} {_WHO_CREATES}")
    try:
        feed = feeds.check_token(request_context.agency(request), name, secret)
    except UnknownFeed:
        refused = TokenRefused("This is not the token of a feed with this name.", None)
        raise bearer.make_refusal(request, refused, _WHO_CREATES) from None
    allowed = feed.location.get("addresses", "").replace(",", " ").split()
    if not networks.may_use(allowed, request_context.feed_audit_context(request).address):
        refused = TokenRefused(f"The token of the feed {feed.name} may not be used from this address.", None)
        raise bearer.make_refusal(request, refused, "A user who manages the feed can allow it.")
    return feed


def _refuse_too_many(request: HttpRequest) -> HttpResponseBase:
    refusals.record_refusal(request, rate_limits.WHY)
    wait = {"Retry-After": str(limits.get_wait_seconds(_RATE))}
    return problems.make_problem(HTTPStatus.TOO_MANY_REQUESTS, "This feed has been sent too many files. Wait.", wait)


@_for_feed
def file(request: HttpRequest, feed: models.Feed) -> HttpResponseBase:
    """Take the file of the request. Answer 202 with its import, or 200 if it has nothing new."""
    try:
        arriving.check_headers(request)
        key = keys.read_key(request)
        with closing(pending_uploads.open_for_feed(feed, datetime.now(UTC))) as arrived:
            name = arriving.read_body(request, arrived, lambda: pending_uploads.check_room_of_feed(feed))
            upload = FileOnDisk(arrived.path, name, arrived.size, arrived.digest())
            taken = sending.send_file(feed, upload, request_context.feed_audit_context(request), key)
    except ProblemError as error:
        return problems.answer_problem(request, error)
    except tuple(_REFUSALS) as error:
        status, detail = next(answer for kind, answer in _REFUSALS.items() if isinstance(error, kind))
        return problems.make_problem(status, detail(error))
    except (TooLarge, OverQuota, OSError) as error:
        return problems.translate(request, error)
    return _describe(feed, taken)


_Detail = Callable[[Any], str]
_REFUSALS: dict[type[Exception], tuple[HTTPStatus, _Detail]] = {
    KeyTaken: (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        lambda _: "The Idempotency-Key was used before, with another file. Send this file with another key.",
    ),
    taking.FeedPaused: (HTTPStatus.CONFLICT, lambda _: "The feed is paused. Send the file again when it is resumed."),
    taking.LeaseLost: (HTTPStatus.CONFLICT, lambda _: "The feed was removed meanwhile. Nothing was changed."),
}


def _describe(feed: models.Feed, taken: Taken) -> HttpResponseBase:
    record = taken.record or sending.find_import_of(feed, taken.file)
    body = {
        "feed": feed.name,
        "import": record.number if record else None,
        "state": taken.record.state if taken.record else "nothing-new",
        "page": f"{settings.MUSTER_URL}/{feed.agency.slug}/imports/{record.number}" if record else None,
        "file": {"name": taken.file.name, "size": taken.file.size, "sha256": taken.file.sha256},
    }
    status = HTTPStatus.ACCEPTED if taken.record else HTTPStatus.OK
    return JsonResponse(body, status=status, json_dumps_params={"ensure_ascii": False})
