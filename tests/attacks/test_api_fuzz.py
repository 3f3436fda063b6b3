"""Every operation of the API under schemathesis: requests of every form, valid and not, alone and one after another.

All checks are on: no server error, no response that the document does not describe, no invalid request that is
accepted, and no valid one that is refused as invalid. The seed is fixed; a longer run has more examples of the same.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.servers.basehttp import WSGIRequestHandler
from django.db import connection
from pytest_django.live_server_helper import LiveServer

from musterbook.accounts import limits
from tests import examples
from tests.accounts.conftest import Springfield, build_springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.api.calls import make_program

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]
_MOST_SECONDS = 1_800
_EXAMPLES = examples.examples(10) if examples.PROFILE == examples.DEV else 10
"""All of them on PostgreSQL too: in `./test` that is the only database of the run."""
EXCLUDED = {
    "revokeToken": "it would revoke the token of the run",
    "sendFeedFile": "it has another kind of token",
}
"""Operation → why it is left out. `tests/attacks/test_api.py` and `tests/api/test_feeds.py` attack them."""
PHASES = "examples,fuzzing,stateful" if examples.PROFILE == examples.DEV else "examples,coverage,fuzzing,stateful"
"""The phase of coverage has thousands of requests, always the same."""
_CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 411, 412, 413, 415, 422, 429]
"""


@pytest.fixture
def springfield(live_server: LiveServer) -> Springfield:
    """An agency with an administrator, an officer, and an Inactive officer."""
    return build_springfield()


def _serve_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server of the tests send each response as one packet, and keep the connection to the database."""
    handle = WSGIRequestHandler.handle_one_request

    def handle_and_flush(handler: WSGIRequestHandler) -> None:
        handle(handler)
        handler.wfile.flush()

    monkeypatch.setattr(WSGIRequestHandler, "wbufsize", -1)
    monkeypatch.setattr(WSGIRequestHandler, "handle_one_request", handle_and_flush)
    # A client that sends one request after the other has one thread, which would connect for each of them.
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)


def test_schemathesis_finds_nothing(
    springfield: Springfield, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _serve_quickly(monkeypatch)
    many = {name: replace(rate, most=10**6 // 30 * 30) for name, rate in limits.RATES.items()}
    monkeypatch.setattr(limits, "RATES", many)
    program = make_program(springfield)
    excluded = [part for name in EXCLUDED for part in ("--exclude-operation-id", name)]
    (tmp_path / "schemathesis.toml").write_text(_CONFIGURATION)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{live_server.url}/springfield/api/v1/openapi.json",
            "--header", f"Authorization: Bearer {program.secret}", "--mode", "all",
            "--checks", "all", "--exclude-checks", "positive_data_acceptance",
            "--phases", PHASES, "--seed", "1", "--generation-deterministic",
            "--max-examples", str(_EXAMPLES), "--continue-on-failure", "--no-color", *excluded,
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False,
        # Few variables: its library looks through all of them for a proxy, for each request.
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "SCHEMATHESIS_HOOKS": "tests.attacks.fuzz_checks"},
    )  # fmt: skip
    if os.environ.get("FUZZ_LOG"):
        Path(os.environ["FUZZ_LOG"]).write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
