"""The location of a feed is opened by its kind. Files of some feeds are brought, so nothing is found there."""

from io import BytesIO
from pathlib import Path

import pytest

from musterbook.directory import models
from musterbook.feeds.locations import host_keys
from musterbook.feeds.locations.location import FileChanged, FoundFile, NotAllowed
from musterbook.feeds.locations.opening import open_location


def make_feed(**location: str) -> models.Feed:
    return models.Feed(agency=models.Agency(slug="springfield"), name="hr", location=location)


@pytest.mark.parametrize("kind", ["sent", "command"])
def test_where_files_are_brought_none_is_found(kind: str, tmp_path: Path) -> None:
    location = open_location(make_feed(kind=kind))
    assert location.list_files() == [] and not location.moves and location.left_out == []
    with pytest.raises(FileChanged):
        location.read_file(FoundFile(0, "roster.csv", 1), lambda _: None)
    with pytest.raises(FileChanged):
        location.read_marker("roster.csv.done")
    location.file_away("roster.csv", "done", {"x": BytesIO()})
    location.close()


@pytest.mark.parametrize("location", [{}, {"kind": "ftp"}])
def test_a_feed_without_a_location_is_refused(location: dict[str, str]) -> None:
    with pytest.raises(NotAllowed, match="has no location"):
        open_location(make_feed(**location))


def test_only_an_sftp_server_has_a_host_key() -> None:
    with pytest.raises(NotAllowed, match="Only an SFTP server"):
        host_keys.read_host_key(make_feed(kind="folder", path="hr"))
