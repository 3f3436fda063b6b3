"""The conversion of an ASGI scope to a WSGI environment (PEP 3333)."""

import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

Environ = dict[str, Any]
_WITHOUT_PREFIX = {"CONTENT_TYPE", "CONTENT_LENGTH"}
_NEVER = {"PROXY"}
"""Headers that are left out: programs read `HTTP_PROXY` as the proxy to use."""


def environ(scope: Any) -> Environ:
    """Return the environment of the request.

    Headers with `_` in their names are left out, because they could not be distinguished from those with `-`.
    """
    about = {
        "REQUEST_METHOD": scope["method"], "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": scope["server"][0], "SERVER_PORT": str(scope["server"][1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}", "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0), "wsgi.url_scheme": scope["scheme"], "wsgi.errors": sys.stderr,
        "wsgi.input": io.BytesIO(), "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
    }  # fmt: skip
    for name, value in _headers(scope["headers"]):
        joined = "; " if name == "HTTP_COOKIE" else ","
        about[name] = f"{about[name]}{joined}{value}" if name in about else value
    return about


def _headers(sent: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    for raw, value in sent:
        name = raw.decode("latin-1").upper()
        if "_" not in name and name not in _NEVER:
            name = name.replace("-", "_")
            yield (name if name in _WITHOUT_PREFIX else f"HTTP_{name}"), value.decode("latin-1")


def length_of(about: Environ) -> int:
    """Return the length of the body in bytes, as the request states it; 0 if it states none."""
    said = str(about.get("CONTENT_LENGTH") or "0")
    return int(said) if said.isascii() and said.isdigit() else 0
