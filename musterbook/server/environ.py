"""The conversion of an ASGI scope to a WSGI environment (PEP 3333)."""

import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

Environ = dict[str, Any]
_WITHOUT_PREFIX = {"CONTENT_TYPE", "CONTENT_LENGTH"}
_IGNORED = {"PROXY"}
"""Headers that are left out: programs read `HTTP_PROXY` as the proxy to use."""


def make_environ(scope: Any) -> Environ:
    """Return the environment of the request.

    Headers with `_` in their names are left out, because they could not be distinguished from those with `-`.
    """
    env = {
        "REQUEST_METHOD": scope["method"], "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": scope["server"][0], "SERVER_PORT": str(scope["server"][1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}", "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0), "wsgi.url_scheme": scope["scheme"], "wsgi.errors": sys.stderr,
        "wsgi.input": io.BytesIO(), "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
    }  # fmt: skip
    for name, value in _convert_headers(scope["headers"]):
        separator = "; " if name == "HTTP_COOKIE" else ","
        env[name] = f"{env[name]}{separator}{value}" if name in env else value
    return env


def _convert_headers(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    for raw, value in headers:
        name = raw.decode("latin-1").upper()
        if "_" not in name and name not in _IGNORED:
            name = name.replace("-", "_")
            yield (name if name in _WITHOUT_PREFIX else f"HTTP_{name}"), value.decode("latin-1")


def get_length(env: Environ) -> int:
    """Return the length of the body in bytes, as the request states it; 0 if it states none."""
    text = str(env.get("CONTENT_LENGTH") or "0")
    return int(text) if text.isascii() and text.isdigit() else 0
