"""Styles and scripts are served compressed, including those of packages that bring no compressed form of them."""

import atexit
import gzip
import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref.headers import Headers

from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

_TEXTS = frozenset({".css", ".js", ".svg"})
_FEWEST_BYTES = 1000
"""A smaller file takes one packet anyway."""


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
        return StaticFile(path, headers.items(), encodings={"gzip": str(_compress(source, url))})


def _compress(source: Path, url: str) -> Path:
    """Write the compressed form into the temporary folder, and return its path."""
    packed = _make_folder() / f"{url.strip('/').replace('/', '_')}.gz"
    packed.write_bytes(gzip.compress(source.read_bytes(), 9, mtime=0))
    return packed


@cache
def _make_folder() -> Path:
    """Make a temporary folder, which is removed when this process ends, and return it."""
    folder, owner = Path(tempfile.mkdtemp(prefix="muster-static-")), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a fork of this process does not own it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _is_compressed(source: Path) -> bool:
    return source.with_name(f"{source.name}.gz").is_file()
