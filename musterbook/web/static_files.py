"""Styles and scripts are served compressed, including those of packages that bring no compressed form of them."""

import gzip
import re
from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.headers import Headers

from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import Response, StaticFile

_TEXTS = frozenset({".css", ".js", ".svg"})
_FEWEST_BYTES = 1000
"""A smaller file takes one packet anyway."""
_ACCEPTS_GZIP = re.compile(r"\bgzip\b")


class StaticFiles(WhiteNoiseMiddleware):
    """Serve the files, and compress those that lack a compressed form when the server starts."""

    def get_static_file(self, path: str, url: str, stat_cache: Mapping[str, Any] | None = None) -> StaticFile:
        """Return a file that can be served, with its compressed form if it is a text."""
        source = Path(path)
        if source.suffix not in _TEXTS or source.stat().st_size < _FEWEST_BYTES or _is_compressed(source):
            return super().get_static_file(path, url, stat_cache=stat_cache)
        headers = Headers([])
        self.add_mime_headers(headers, path, url)
        self.add_cache_headers(headers, path, url)
        return _Text(source, headers)


class _Text(StaticFile):
    """A text, with its compressed form in memory.

    A temporary file would stay behind if the server was killed, or be deleted by the system while the server runs.
    """

    def __init__(self, source: Path, headers: Headers) -> None:
        headers["Vary"] = "Accept-Encoding"
        super().__init__(str(source), headers.items())
        self._packed = gzip.compress(source.read_bytes(), 9, mtime=0)
        (_, _, plain) = self.alternatives[0]
        changed = {"Content-Encoding": "gzip", "Content-Length": str(len(self._packed))}
        self._packed_headers = list({**dict(plain), **changed}.items())

    def get_response(self, method: str, request_headers: Mapping[str, Any]) -> Response:
        """Return the file. A client that accepts the compressed form gets it whole."""
        accepts = _ACCEPTS_GZIP.search(request_headers.get("HTTP_ACCEPT_ENCODING", ""))
        if not accepts or method not in ("GET", "HEAD") or self.is_not_modified(request_headers):
            return super().get_response(method, request_headers)
        return Response(HTTPStatus.OK, self._packed_headers, BytesIO(self._packed) if method == "GET" else None)


def _is_compressed(source: Path) -> bool:
    return source.with_name(f"{source.name}.gz").is_file()
