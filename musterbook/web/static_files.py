"""Styles and scripts are served compressed, including those of packages that bring no compressed form of them."""

import gzip
import shutil
import tempfile
import weakref
from collections.abc import Mapping
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

    _folder: Path | None = None

    def get_static_file(self, path: str, url: str, stat_cache: Mapping[str, Any] | None = None) -> StaticFile:
        """Return a file that can be served, with its compressed form if it is a text."""
        source = Path(path)
        if source.suffix not in _TEXTS or source.stat().st_size < _FEWEST_BYTES or _is_compressed(source):
            return super().get_static_file(path, url, stat_cache=stat_cache)
        headers = Headers([])
        self.add_mime_headers(headers, path, url)
        self.add_cache_headers(headers, path, url)
        return StaticFile(path, headers.items(), encodings={"gzip": str(self._compress(source, url))})

    def _compress(self, source: Path, url: str) -> Path:
        """Write the compressed form into a temporary folder, which is removed with the server, and return its path."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="muster-static-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        packed = self._folder / f"{url.strip('/').replace('/', '_')}.gz"
        packed.write_bytes(gzip.compress(source.read_bytes(), 9, mtime=0))
        return packed


def _is_compressed(source: Path) -> bool:
    return source.with_name(f"{source.name}.gz").is_file()
