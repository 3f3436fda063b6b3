"""A file at an address of HTTPS. It is requested only when it may be new (ETag, Last-Modified).

One request serves the listing and the reading: the response stays open in between.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import IO, BinaryIO
from urllib.parse import unquote, urljoin

from django.conf import settings
from django.utils.translation import gettext as _

from musterbook.config import outbound_connections, outbound_requests
from musterbook.config.outbound_connections import TimeLimit
from musterbook.config.outbound_requests import OpenResponse, Target
from musterbook.feeds.locations import file_names
from musterbook.feeds.locations.location import (
    MARKER_SIZE,
    FileChanged,
    FoundFile,
    NotAllowed,
    Unreachable,
    Write,
    do_nothing,
)

ANSWER_SECONDS, COMPARE_SECONDS, READ_SECONDS = 30.0, 75.0, 1800.0
"""The time limits until the server answers, with all redirects, of reading a file to find out whether it is new, and of
reading a file."""
_MOST_REDIRECTS = 3
_PART, _IN_MEMORY = 1 << 20, 4 << 20
_LONGEST_TAG = 200
_OK, _NOTHING, _UNCHANGED = 200, 204, 304
_REDIRECTS = (301, 302, 303, 307, 308)
_ENDINGS = {
    "text/csv": ".csv",
    "text/plain": ".csv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}
"""Media type → the ending of a file that has none."""


class HttpsLocation:
    """A file at an address. `known`: the name of each file that earlier checks saw, and what identifies its content."""

    moves = False

    def __init__(self, url: str, header: tuple[str, str] | None, known: Mapping[str, FoundFile]) -> None:
        self.left_out: list[str] = []
        self._url, self._header, self._known = url, header, known
        target = outbound_requests.parse_url(url)
        if target is None or (target.scheme != "https" and not outbound_requests.allows_http()):
            raise NotAllowed(_("The address of the file is not one that begins with https://."))
        self._target = target
        self._response: OpenResponse | None = None
        self._body: IO[bytes] | None = None

    def list_files(self) -> list[FoundFile]:
        """Return the file, if there is one. If it is the known one, the server does not send it again.

        A server whose tag says the content alone can say by the time that the same content was written again.
        """
        self.close()
        # Of several files, the server could only say about one whether it is new.
        known = next(iter(self._known.values()), None) if len(self._known) == 1 else None
        response = self._response = self._request(_make_conditions(known))
        if response.status == _UNCHANGED and known:
            self.close()
            return [replace(known, modified=max(known.modified, _read_time(response.headers.get("last-modified", ""))))]
        if response.status == _NOTHING:
            self.close()
            return []
        found = _describe(self._target, response)
        if found.tag or found.modified:
            return [found]
        return [self._compare(found, response)]

    def read_file(self, found: FoundFile, write: Write) -> FoundFile:
        """Pass the content to `write`. Raise FileChanged if the server has another file by now."""
        if self._body is not None:
            self._body.seek(0)
            while part := self._body.read(_PART):
                write(part)
            return found
        response = self._response or self._request({})
        self._response = response
        now = _describe(self._target, response)
        if now != found:
            raise FileChanged(_("%(name)s changed while it was read.") % {"name": found.name})
        try:
            for part in self._read_parts(response):
                write(part)
        finally:
            self.close()
        return found

    def read_marker(self, name: str) -> bytes:
        """Return the first bytes of the file: there are no markers here."""
        raise FileChanged(_("%(name)s changed while it was read.") % {"name": file_names.show(name)[:MARKER_SIZE]})

    def file_away(
        self,
        name: str,
        folder: str,
        outputs: Mapping[str, BinaryIO],
        *,
        modified: float | None = None,
        keep: Callable[[], None] = do_nothing,
    ) -> None:
        """Do nothing: the file stays at its address, and is remembered."""

    def close(self) -> None:
        """End the connection, and forget what was read."""
        if self._response:
            self._response.close()
        if self._body:
            self._body.close()
        self._response = self._body = None

    def _request(self, conditions: Mapping[str, str]) -> OpenResponse:
        """Return the response to a request for the file: one with a file, with none, or "not changed"."""
        url, secret = self._target, {self._header[0]: self._header[1]} if self._header else {}
        address, ends = self._url, time.monotonic() + ANSWER_SECONDS
        for _attempt in range(_MOST_REDIRECTS + 1):
            limit = TimeLimit.start(max(ends - time.monotonic(), 0.1))
            with self._explain_errors():
                response = outbound_requests.open_response(
                    address, limit, headers={"Accept": "*/*", **secret, **conditions}
                )
            limit.extend(READ_SECONDS, ANSWER_SECONDS)
            if response.status not in _REDIRECTS:
                break
            response.close()
            address = self._follow(address, response.headers.get("location", ""))
        else:
            raise Unreachable(_("%(origin)s redirects too often.") % {"origin": url.origin})
        if response.status not in (_OK, _NOTHING) and not (response.status == _UNCHANGED and conditions):
            response.close()
            raise Unreachable(_describe_refusal(url, response.status))
        return response

    def _follow(self, address: str, location: str) -> str:
        """Return the address that a redirect leads to. Only the same server gets the secret, and is requested."""
        following = urljoin(address, location)
        target = outbound_requests.parse_url(following)
        if target is None or target.origin != self._target.origin:
            to = target.origin if target else _("another address")
            text = _("%(origin)s redirects to %(to)s, which is not followed. Enter the address that has the file.")
            raise NotAllowed(text % {"origin": self._target.origin, "to": to})
        return following

    def _compare(self, found: FoundFile, response: OpenResponse) -> FoundFile:
        """Return the file with its hash as tag. The server does not say whether the file is new, so it is read.

        It was made for this request, so it is complete.
        """
        self._body = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  (`close` closes it)
        digest, size, ends = hashlib.sha256(), 0, time.monotonic() + COMPARE_SECONDS
        for part in self._read_parts(response):
            size += len(part)
            if size > settings.MUSTER_MAX_FILE_MB * 1_000_000 or time.monotonic() > ends:
                self.close()
                text = _(
                    "%(origin)s has a large file, and does not say when it has changed. The server must send an ETag or "
                    "Last-Modified."
                )
                raise Unreachable(text % {"origin": self._target.origin})
            digest.update(part)
            self._body.write(part)
        return FoundFile(0.0, found.name, size, f"sha256:{digest.hexdigest()}", is_complete=True)

    def _read_parts(self, response: OpenResponse) -> Iterator[bytes]:
        parts = response.read_parts()
        while True:
            with self._explain_errors():
                part = next(parts, None)
            if part is None:
                return
            yield part

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        try:
            yield
        except outbound_connections.RequestRefused as error:
            raise NotAllowed(str(error)) from error
        except outbound_connections.OutsideError as error:
            raise Unreachable(str(error)) from error


def _make_conditions(known: FoundFile | None) -> dict[str, str]:
    """Return the headers that ask for the file only if it is another one."""
    if known and known.tag and not known.tag.startswith("sha256:"):
        return {"If-None-Match": known.tag}
    if known and known.modified:
        return {"If-Modified-Since": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(known.modified))}
    return {}


def _describe(target: Target, response: OpenResponse) -> FoundFile:
    headers = response.headers
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Unreachable(
            _("%(origin)s compresses the file. Turn off compression for this file.") % {"origin": target.origin}
        )
    length = headers.get("content-length", "")
    size = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else -1
    if size < 0 and "chunked" not in headers.get("transfer-encoding", "").lower():
        text = _("%(origin)s does not say how long the file is, so a part of it would look like the whole file.")
        raise Unreachable(text % {"origin": target.origin})
    tag = headers.get("etag", "").strip()
    if len(tag) > _LONGEST_TAG or not tag.isascii() or not tag.isprintable():
        tag = ""
    return FoundFile(_read_time(headers.get("last-modified", "")), _choose_name(target, response), size, tag)


def _read_time(text: str) -> float:
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp()) if text else 0.0
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _choose_name(target: Target, response: OpenResponse) -> str:
    """Return a name for the file: what the server calls it, or else the end of its address."""
    disposition = Message()
    disposition["content-disposition"] = response.headers.get("content-disposition", "")
    named = PurePosixPath(str(disposition.get_filename("")).replace("\\", "/")).name
    ending = PurePosixPath(unquote(target.path.partition("?")[0])).name
    name = next(
        (one for one in (named, ending) if file_names.is_usable(one) and not one.startswith((".", "~$"))), "file"
    )
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return name if PurePosixPath(name).suffix else name[:200] + _ENDINGS.get(kind, "")


def _describe_refusal(target: Target, status: int) -> str:
    texts = {
        401: _("%(origin)s does not accept the secret in the header (%(status)s). Enter it again."),
        403: _("%(origin)s does not accept the secret in the header (%(status)s). Enter it again."),
        404: _("%(origin)s has no file at this address (%(status)s)."),
        410: _("%(origin)s has no file at this address (%(status)s)."),
    }
    text = texts.get(status, _("%(origin)s answered with the status %(status)s instead of a file."))
    return text % {"origin": target.origin, "status": status}
