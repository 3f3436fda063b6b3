"""`/healthz`: the answer that this process is alive.

The event loop answers it itself. So it needs no turn, no thread and no database, and answers under any host, also while all
turns are taken and while the database is away: a process that is only busy must not be restarted.
"""

from typing import Any

PATH = "/healthz"
_HEADERS = [
    (b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]  # fmt: skip


class AliveApplication:
    """An ASGI application that answers `/healthz`, and gives every other request to the application within."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["path"] != PATH:
            await self._application(scope, receive, send)
            return
        status, body = (200, b"ok") if scope["method"] in ("GET", "HEAD") else (405, b"Use GET.\n")
        headers = [*_HEADERS, (b"content-length", str(len(body)).encode())]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
