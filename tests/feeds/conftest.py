"""What the tests of feeds share: one agency with a feed, whose files arrive in a folder, and a clock of the test's own."""

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.feeds.places import Place

pytest.register_assert_rewrite("tests.feeds.nights.journey")


@pytest.fixture
def _home(transactional_db: None, settings: Settings, tmp_path: Path) -> Path:
    """The folder of an installation of the test's own."""
    settings.MUSTER_HOME = tmp_path / "home"
    settings.MUSTER_HOME.mkdir()
    settings.MUSTER_FEED_FOLDERS = []
    return tmp_path / "home"


@pytest.fixture
def place(_home: Path) -> Place:
    """An agency whose feed takes files from a folder."""
    return Place.make(_home)


@pytest.fixture
def begun(_home: Path) -> Place:
    """The same, whose first file was applied by a person, so that the feed runs by itself."""
    return Place.make_begun(_home)
