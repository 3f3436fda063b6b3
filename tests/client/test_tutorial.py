"""The tutorial for programs, run literally: what a reader saves and types, against a server on loopback."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from musterbook.client import Agency
from tests.attacks.serving import free_port, serve
from tests.client.conftest import AGENCY, ROOT, Served, fill, make_token
from tests.client.guides import read_blocks, run_shell, save_scripts
from tests.databases import Home

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the guide is for a POSIX shell"),
    pytest.mark.skipif(not shutil.which("curl"), reason="the guide uses curl"),
    pytest.mark.any_database,
]
GUIDE = "tutorial-for-programs.md"


@pytest.fixture
def sample(fresh_home: Home) -> Iterator[Served]:
    """What `./run` serves, with the variable of the guide."""
    fill(fresh_home)
    token = make_token(fresh_home)
    with serve(fresh_home, "--workers", "1", MUSTER_OUTSIDE_NETWORKS="127.0.0.0/8") as server:
        address = f"http://localhost:{server.port}/{AGENCY}"
        with Agency(address, token) as agency:  # a worker runs, as it does when a reader has created a token
            assert agency.imports.send(b"NOTHING\n1\n", preview=True, wait=120).finished_at
        yield Served(fresh_home, server, address, token)


def test_the_tutorial_for_programs_works_as_it_is_written(sample: Served, tmp_path: Path) -> None:
    folder, port = tmp_path / "clone", str(free_port())
    shutil.copytree(ROOT / "examples", folder / "examples")
    save_scripts(GUIDE, folder)
    [receiver] = [block for kind, block in read_blocks("how-to/receive-a-webhook.md") if kind == "python"]
    (folder / "receiver.py").write_text(receiver, encoding="utf-8")
    hook = (folder / "hook.py").read_text(encoding="utf-8")
    (folder / "hook.py").write_text(hook.replace("8600", port), encoding="utf-8")
    replaced = {
        ". .venv/bin/activate": ":", "http://localhost:8000/riverton-pd": sample.address, "muster_…": sample.token, "8600": port,
    }  # fmt: skip
    done, steps = run_shell([block for kind, block in read_blocks(GUIDE) if kind == "sh"], folder, replaced)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr and "curl:" not in done.stderr, done.stderr
    me, preview, problems, applied, first, night, change, trail, message, _end = steps
    assert json.loads(me)["agency"]["slug"] == AGENCY
    seen = json.loads(preview)
    assert (seen["state"], seen["counts"]["added"], seen["counts"]["errored"]) == ("previewed", 1, 1)
    assert json.loads(problems)["items"][0]["suggestion"] == "Officer"
    assert "1" in applied and "added" in applied.lower()
    assert "applied" in first and "'added': 1" in first and "Oficer" in first
    lines = night.splitlines()
    assert lines[0] == "held" and "deactivations" in lines[1]
    assert "409" in night and lines[-1] == f"applied {lines[1].split()[1]}"
    assert "Annex" in change and "412" in change
    assert "LOCATION" in trail and "Nothing was altered." in trail
    assert "user.updated" in message and "000120" in message
