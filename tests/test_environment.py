"""What the environment says is taken as it is, or refused in a sentence that says how to mend it."""

import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from musterbook.config import environment, settings


def test_an_unset_or_blank_variable_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSTER_MAX_ROWS", raising=False)
    assert environment.number("MUSTER_MAX_ROWS") == 5_000_000
    monkeypatch.setenv("MUSTER_MAX_ROWS", "  ")
    assert environment.number("MUSTER_MAX_ROWS") == 5_000_000


def test_a_limit_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_MAX_FILE_MB", "64")
    assert environment.number("MUSTER_MAX_FILE_MB") == 64


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "1_000", "٣"])
def test_a_limit_that_is_no_whole_number_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MUSTER_MAX_ROWS", value)
    sentence = (
        f"MUSTER_MAX_ROWS is “{value}”, which is not a whole number above zero. Write it in digits, or leave it unset."
    )
    with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(sentence)}$"):
        environment.number("MUSTER_MAX_ROWS")


def test_folders_are_whole_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert environment.folders("MUSTER_FEED_FOLDERS") == ()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MUSTER_FEED_FOLDERS", " /srv/feeds , ~/feeds,")
    assert environment.folders("MUSTER_FEED_FOLDERS") == (Path("/srv/feeds"), tmp_path / "feeds")
    monkeypatch.setenv("MUSTER_FEED_FOLDERS", "feeds")
    with pytest.raises(ImproperlyConfigured, match="“feeds”, which is not a whole path"):
        environment.folders("MUSTER_FEED_FOLDERS")


def test_the_home_folder_is_the_one_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MUSTER_HOME", "~/register")
    assert environment.home() == tmp_path / "register"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSTER_HOME", "here")
    assert environment.home() == tmp_path / "here"


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "~/.local/share/musterbook"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/musterbook"),
        ("linux", {"XDG_DATA_HOME": "not/absolute"}, "~/.local/share/musterbook"),
        ("darwin", {}, "~/Library/Application Support/musterbook"),
        ("win32", {}, "~/AppData/Local/musterbook"),
        ("win32", {"LOCALAPPDATA": "/data"}, "/data/musterbook"),
    ],
)
def test_without_a_name_it_is_the_data_folder_of_the_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variables: dict[str, str], folder: str
) -> None:
    for name in ("MUSTER_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    assert environment.home() == Path(folder).expanduser()


def test_every_limit_among_the_settings_is_explained() -> None:
    explained = {variable.name for variable in environment.VARIABLES}
    assert {name for name in vars(settings) if name.startswith("MUSTER_")} <= explained
    assert all(variable.about.endswith(".") for variable in environment.VARIABLES)
