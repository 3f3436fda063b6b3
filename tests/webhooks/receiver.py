"""A receiver of webhooks on this machine, which answers as a test wants, and keeps what arrived."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Arrived:
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        """The ID of the message."""
        return self.headers["webhook-id"]

    @property
    def kind(self) -> str:
        """The kind of the message."""
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data

    def is_signed_with(self, secret: str) -> bool:
        """Whether one of the signatures was made with the secret, as the specification says."""
        content = f"{self.id}.{self.headers['webhook-timestamp']}.{self.body}".encode()
        made = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
        return f"v1,{base64.b64encode(made).decode()}" in self.headers["webhook-signature"].split(" ")


Respond = Callable[[BaseHTTPRequestHandler, Arrived], None]


def answer(status: int, body: bytes = b"", **headers: str) -> Respond:
    """Answer with the status."""

    def respond(handler: BaseHTTPRequestHandler, _arrived: Arrived) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


@dataclass
class Receiver:
    """A receiver that runs from `with` to its end. It can be stopped and started at the same port in between."""

    respond: Respond = field(default_factory=lambda: answer(204))
    context: ssl.SSLContext | None = None
    port: int = 0
    arrived: list[Arrived] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The address of the receiver."""
        return f"{'https' if self.context else 'http'}://localhost:{self.port}/hook"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Run, at the same port as before."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                arrived = Arrived(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                receiver.arrived.append(arrived)
                receiver.respond(self, arrived)

            do_GET = do_POST  # noqa: N815  (the library calls it so)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self.context:
            self._server.socket = self.context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def ids(self) -> list[str]:
        """The IDs, in the order in which they arrived."""
        return [one.id for one in self.arrived]

    @property
    def kinds(self) -> list[str]:
        """The kinds, in the order in which they arrived."""
        return [one.kind for one in self.arrived]
