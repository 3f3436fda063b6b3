"""A file in the body of a request: as the whole body, or as the one file of a form. It is never whole in memory.

It is written to the disk and hashed while it arrives. Its size is bounded here, and its time by the server.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils.http import parse_header_parameters

from musterbook.api.problems import FieldError, ProblemError
from musterbook.directory.imports.pending_uploads import ArrivingFile, TooLarge

CHECKED_EVERY = 16 * 1024 * 1024
_PART = 64 * 1024
_LONGEST_NAME, _LONGEST_ENDING, _LONGEST_PARAMETER = 200, 10, 255
NAMELESS = "file"
_FORM_BYTES = 64 * 1024
"""What a form may have around its file."""
FORM = "multipart/form-data"


class BadBody(ProblemError):
    """The body cannot be used. The message is a sentence for the program that sent it."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, detail, "bad-body")


def check_headers(request: HttpRequest) -> None:
    """Raise ProblemError if the headers of a request say that its body cannot be read. Nothing of it is read."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not re.fullmatch("[0-9]{1,15}", length):
        raise ProblemError(
            HTTPStatus.LENGTH_REQUIRED, "Send the length of the file in the header Content-Length.", "length-required"
        )
    if int(length) > settings.MUSTER_MAX_FILE_MB * 1024 * 1024 + _FORM_BYTES:
        raise TooLarge
    if request.headers.get("Content-Encoding", "identity") != "identity":
        detail = "Send the file itself, without a Content-Encoding."
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, "content-encoding")


def read_body(request: HttpRequest, file: ArrivingFile, check: Callable[[], None]) -> str:
    """Write the file of the request, and return its name. `check` is called now and then: it raises if there is no room.

    Raise BadBody, what `check` and `ArrivingFile.write` raise, and OSError if the disk is full.
    """
    _read_name(request)
    writer = _Writer(file, check)
    with _catch_disconnects():
        name = _read_form(request, writer) if request.content_type == FORM else _read_raw(request, writer)
    file.flush()
    if not file.size:
        raise BadBody("The file is empty. Send a file with its headings and at least one row.")
    return clean_name(_read_name(request) or name)


def _read_name(request: HttpRequest) -> str:
    """Return the name in the address. Raise ProblemError if it is too long."""
    name: str = request.GET.get("name", "")
    if len(name) > _LONGEST_PARAMETER:
        detail = f"The name of the file is too long. Shorten it to {_LONGEST_PARAMETER} characters."
        error = FieldError("name", "too-long", detail)
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "invalid-request", [error])
    return name


@contextmanager
def _catch_disconnects() -> Iterator[None]:
    """Tell a sender who went away, whose error is one of the operating system too, from a disk that is full."""
    try:
        yield
    except UnreadablePostError:
        raise BadBody("The file did not arrive in full. Send it again.") from None


class _Writer:
    """Write parts to the file, and check now and then whether there is room."""

    def __init__(self, file: ArrivingFile, check: Callable[[], None]) -> None:
        self.file, self._check, self._unchecked = file, check, 0

    def write(self, part: bytes) -> None:
        self.file.write(part)
        self._unchecked += len(part)
        if self._unchecked > CHECKED_EVERY:
            self._unchecked = 0
            self.file.flush()
            self._check()


def _read_raw(request: HttpRequest, writer: _Writer) -> str:
    while part := request.read(_PART):
        writer.write(part)
    if writer.file.size != int(request.META["CONTENT_LENGTH"]):
        raise BadBody("The file did not arrive in full. Send it again.")
    return _read_disposition(request.headers.get("Content-Disposition", ""))


def _read_disposition(header: str) -> str:
    try:
        _, values = parse_header_parameters(header)
    except (ValueError, LookupError):
        return ""
    return str(values.get("filename", ""))


def _read_form(request: HttpRequest, writer: _Writer) -> str:
    handler = _Handler(writer)
    request.upload_handlers = [handler]
    try:
        request.FILES  # noqa: B018  (this reads the body)
    except (MultiPartParserError, RawPostDataException, SuspiciousOperation):
        raise BadBody("The form cannot be read.") from None
    if len(handler.names) != 1:
        raise BadBody("Send exactly one file in the form.")
    if not handler.is_whole:
        raise BadBody("The file did not arrive in full. Send it again.")
    return handler.names[0]


class _Handler(FileUploadHandler):
    """An upload handler that writes the first file of a form, and refuses a second one."""

    def __init__(self, writer: _Writer) -> None:
        super().__init__()
        self._writer, self.names, self.is_whole = writer, list[str](), False

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin a file."""
        super().new_file(*args, **kwargs)
        self.names.append(self.file_name or "")
        if len(self.names) > 1:
            raise StopUpload(connection_reset=True)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:  # noqa: ARG002  (Django passes it)
        """Write a part."""
        self._writer.write(raw_data)

    def file_complete(self, file_size: int) -> None:  # noqa: ARG002  (Django passes it)
        """Note that the file has ended. It is not given to the form."""
        self.is_whole = True


def clean_name(text: str) -> str:
    """Return a name that is safe as text and as the name of a file: without folders, controls and invisible characters."""
    plain = "".join(character for character in text if unicodedata.category(character)[0] != "C")
    name = unicodedata.normalize("NFC", plain).replace("\\", "/").rpartition("/")[2].strip().lstrip(".").strip()
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending) <= _LONGEST_ENDING:
        return f"{stem[:_LONGEST_NAME]}.{ending}" if stem else f"{NAMELESS}.{ending}"
    return name[:_LONGEST_NAME] or NAMELESS
