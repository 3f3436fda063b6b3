"""An installation in which an agency has users: made once, and copied for each test that starts processes on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases
from tests.databases import Home
from tests.directory.processes import ONE, Site


@pytest.fixture(scope="session")
def _imported(_migrated: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with databases.copy_home(_migrated, tmp_path_factory.mktemp("imported") / "home") as home:
        site = Site(home)
        site.do("agency", "springfield")
        assert site.do("import", "springfield", site.file("one.csv", ONE)).startswith("applied")
        yield home


@pytest.fixture
def site(_imported: Home, database_server: str, tmp_path: Path) -> Iterator[Site]:
    """An installation of this test's own, with the agency springfield, which has the users of the file ONE."""
    with databases.copy_home(_imported, tmp_path / "home") as home:
        yield Site(home)
