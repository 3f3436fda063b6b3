"""Files that browsers send: taken from who may send one, on the page that asks for one, onto the disk and up to the limit."""

from typing import Any

from django.conf import settings
from django.core import signing
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest

from musterbook.accounts import requests
from musterbook.accounts.models import Account
from musterbook.directory import permissions
from musterbook.directory.models import User

PAGE = "import_users"
"""The name of the page that takes a file."""
_TICKET_LASTS = 24 * 60 * 60
_signer = signing.TimestampSigner(salt="musterbook.web.uploads")


class Handler(TemporaryFileUploadHandler):
    """Writes one file into a temporary one, if `sender` says whose it is; lets all others pass, and what is too large."""

    _left = 0
    _wanted = _taking = False

    def handle_raw_input(self, *about: Any, **more: Any) -> None:
        """Looks at who sends, and to which page, before anything is read."""
        request: HttpRequest = self.request  # type: ignore[assignment]  # there is one when something is read
        self._left = settings.MUSTER_MAX_FILE_MB * 1024 * 1024
        self._wanted = _takes_files(request) and sender(request) is not None
        super().handle_raw_input(*about, **more)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begins with a file."""
        self._taking, self._wanted = self._wanted, False
        if self._taking:
            super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Takes a part of the file, unless that would be too much."""
        self._left -= len(raw_data) if self._taking else 0
        if self._taking and self._left < 0:
            self._taking = False
            self.file.close()
            self.request.too_large = True  # type: ignore[union-attr]  # as above
        if self._taking:
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> "UploadedFile[bytes] | None":
        """The file, if it was taken."""
        return super().file_complete(file_size) if self._taking else None


def _takes_files(request: HttpRequest) -> bool:
    return request.resolver_match is not None and request.resolver_match.url_name == PAGE


def is_too_large(request: HttpRequest) -> bool:
    """Whether a file was left because it is larger than an import may read."""
    return getattr(request, "too_large", False)


def ticket(user: User) -> str:
    """What a page of the user's bears so that a file is known as theirs, should their session end before they send it."""
    return _signer.sign(f"{user.agency_id}-{user.pk}")


def sender(request: HttpRequest) -> User | None:
    """Whose file it is that is sent: of who is signed in, or else of whose page it was; None unless they may import."""
    user = request.user.user if isinstance(request.user, Account) else _of_ticket(request)
    return user if user and "users.import" in permissions.of(user.role) else None


def _of_ticket(request: HttpRequest) -> User | None:
    try:
        agency, _, number = _signer.unsign(request.GET.get("for", ""), max_age=_TICKET_LASTS).partition("-")
    except signing.BadSignature:
        return None
    users = User.objects.select_related("role").filter(pk=int(number), active=True, agency=requests.agency(request))
    return users.filter(agency_id=int(agency)).first()
