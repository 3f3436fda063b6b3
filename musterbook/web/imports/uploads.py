"""Uploads from browsers. Only import pages accept a file, only from users who may import it, and only up to the limit.

Files are written to disk, and hashed at the same time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from musterbook.accounts.models import Account
from musterbook.directory import permissions
from musterbook.directory.imports import pending_uploads
from musterbook.directory.imports.pending_uploads import ArrivingFile, TooLarge
from musterbook.directory.imports.quotas import OverQuota
from musterbook.directory.models import User
from musterbook.http import current_session
from musterbook.server import concurrency
from musterbook.web import parsers

PAGE = "import_users"
"""The name of the page that accepts a file of users."""
PAGES = {
    PAGE: "users.import", "groups_import": "groups.manage", "roles_import": "roles.manage", "ranks_import": "ranks.manage",
}  # fmt: skip
"""The name of each page that accepts a file → the permission that it takes."""
NO_ROOM = "There is no room for this file now. Tell the person who runs Musterbook here."
_CHECKED_EVERY = 16 * 1024 * 1024


class Handler(FileUploadHandler):
    """An upload handler that writes one file to the pending uploads, if `find_sender` returns a user.

    It skips all other files, and refuses a file over the limit. `get_refusal` returns afterwards why a file was refused.
    """

    _unchecked_bytes = 0
    _user: User | None = None
    _sender: User
    _open: ArrivingFile | None = None
    """The file that was begun, and must be closed."""
    _arriving: ArrivingFile | None = None
    """The file that is arriving now, unless it was refused."""

    def handle_raw_input(self, *about: Any, **more: Any) -> None:
        """Check the sender and the page before anything is read."""
        request: HttpRequest = self.request  # type: ignore[assignment]  # always set while something is read
        self._user = find_sender(request) if _takes_files(request) else None
        super().handle_raw_input(*about, **more)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin a file."""
        user, self._user, self._arriving = self._user, None, None
        if user is None:
            return
        super().new_file(*args, **kwargs)
        self._sender = user
        with self._catch_refusals():
            self._open = self._arriving = pending_uploads.open_arriving(user, datetime.now(UTC))

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:  # noqa: ARG002  (Django passes it)
        """Accept a part of the file, unless it exceeds the limit."""
        if self._arriving:
            with self._catch_refusals():
                self._check(self._arriving, len(raw_data))
                self._arriving.write(raw_data)

    def _check(self, file: ArrivingFile, more: int) -> None:
        """Check from time to time that the quotas of the user and of the agency still have room."""
        self._unchecked_bytes += more
        if self._unchecked_bytes > _CHECKED_EVERY:
            self._unchecked_bytes = 0
            file.flush()
            pending_uploads.check_room(self._sender)

    @contextmanager
    def _catch_refusals(self) -> Iterator[None]:
        try:
            yield
        except TooLarge:
            self._refuse(_describe_limit())
        except OverQuota as over:
            self._refuse(f"{over.problem.message} {over.problem.remedy}")
        except OSError:
            self._refuse(NO_ROOM)

    def _refuse(self, why: str) -> None:
        self._arriving = None
        self.discard()
        self.request.file_refused = why  # type: ignore[union-attr]  # as above

    def discard(self) -> None:
        """Delete the uploaded data. The view has already taken it, or the sender has disconnected or was too slow."""
        if self._open:
            self._open.close()

    def file_complete(self, file_size: int) -> "UploadedFile[bytes] | None":
        """Return the file, if it was accepted."""
        if self._arriving is None:
            return None
        file: Any = self._arriving  # not a file to read from: the form needs only its name and size
        return UploadedFile(file, self.file_name or "file", self.content_type, file_size, self.charset)


def _describe_limit() -> str:
    most = settings.MUSTER_MAX_FILE_MB
    return f"This file is larger than {most:,} MB. Split it, or ask the person who runs Musterbook here to allow more."


def _takes_files(request: HttpRequest) -> bool:
    return bool(get_page(request))


def get_page(request: HttpRequest) -> str:
    """Return the name of the page of the request, if it accepts a file; "" for any other page, or if it is not known yet."""
    name = str(request.resolver_match.url_name) if request.resolver_match else ""
    return name if name in PAGES else ""


def from_known(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuse large bodies with 413 before they are read, unless the sender may send a file.

    A body is large if it can only be a file. A view of the API that says so reads it after it has checked the token.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        length = parsers.parse_number(request.META.get("CONTENT_LENGTH") or "0")
        large = length is None or length > concurrency.MAX_BUFFERED
        if large and not _may_send_large(request):
            return _refuse_large(request)
        try:
            return respond(request)
        finally:
            for handler in request.upload_handlers:
                if isinstance(handler, Handler):
                    handler.discard()

    return answer


def _refuse_large(request: HttpRequest) -> HttpResponse:
    """Return the response to a large body. A program gets problem details (RFC 9457), as for every error."""
    sentence = "The request is too large."
    if getattr(request, "urlconf", None) not in settings.AGENCY_URLCONFS.values():
        return HttpResponse(sentence, content_type="text/plain; charset=utf-8", status=413)
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": sentence}
    return JsonResponse(body, status=status, content_type="application/problem+json")


def _may_send_large(request: HttpRequest) -> bool:
    if getattr(request, "agency", None) is None:
        return False
    if request.urlconf in settings.AGENCY_URLCONFS.values():
        try:
            view = resolve(request.path_info, request.urlconf).func
        except Resolver404:
            return False
        return getattr(view, "reads_large_bodies", False)
    return find_sender(request) is not None


def get_refusal(request: HttpRequest) -> str:
    """Return why the uploaded file was refused, or "" if it was accepted or none was sent."""
    return getattr(request, "file_refused", "")


def find_sender(request: HttpRequest) -> User | None:
    """Return the user who sends the file, or None if they may not import.

    This is the signed-in user, or the user whose session in this browser expired not long ago.
    """
    account = request.user if isinstance(request.user, Account) else current_session.find_left_account(request)
    page = get_page(request)
    needed = {PAGES[page]} if page else set(PAGES.values())
    return account.user if account and needed & permissions.get_permissions(account.user.role) else None
