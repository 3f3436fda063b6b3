"""A receiver of webhooks in a process of its own: `python -m fault_harness.receiver PORT JOURNAL BEHAVIOR`.

It writes each message to the journal before it answers. The file BEHAVIOR says how it answers: `answer`, `silent` (it closes
the connection), `late` (after some seconds, which are less than the sender's limit), or `refuse`.
"""

import hashlib
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scripts import program

_LATE = 2.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Say nothing about a sender that is gone."""


def make_handler(journal: Path, behavior: Path) -> type[BaseHTTPRequestHandler]:
    """Return the handler of requests that keeps such a journal."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            line = json.dumps([self.headers["webhook-id"], hashlib.sha256(body).hexdigest()]) + "\n"
            file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(file, line.encode())
            os.close(file)
            how = behavior.read_text() if behavior.exists() else "answer"
            if how == "silent":
                self.close_connection = True
                return
            if how == "late":
                time.sleep(_LATE)
            self.send_response(503 if how == "refuse" else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


if __name__ == "__main__":
    with program.run(__doc__):
        _Server(("127.0.0.1", int(sys.argv[1])), make_handler(Path(sys.argv[2]), Path(sys.argv[3]))).serve_forever(0.1)
