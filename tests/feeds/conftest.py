"""What the tests of feeds share: one agency with a feed, whose files arrive in a folder, and a clock of the test's own."""

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.feeds.places import Place

pytest.register_assert_rewrite("tests.feeds.nights.journey")


@pytest.fixture
def place(transactional_db: None, settings: Settings, tmp_path: Path) -> Place:
    """An agency whose feed takes files from a folder."""
    settings.MUSTER_HOME = tmp_path / "home"
    settings.MUSTER_HOME.mkdir()
    settings.MUSTER_FEED_FOLDERS = []
    return Place.make(settings.MUSTER_HOME)
