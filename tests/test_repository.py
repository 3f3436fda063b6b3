"""What is committed works on any machine: no lock names a host, no file a folder of one person's machine."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
_HOST_OR_PATH = re.compile(r"://|^\s*-|@ |--(?!hash=)|(?<![\w.])/\w")
_MACHINE_PATH = re.compile(rb"(?<![\w.~/-])/(?:root|home|Users|work|opt|mnt|media)/[\w.]")


def test_there_are_locks() -> None:
    assert {lock.name for lock in LOCKS} >= {"requirements.lock", "requirements-dev.lock"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_host_no_option_and_no_path(lock: Path) -> None:
    lines = lock.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if _HOST_OR_PATH.search(line.split("--hash=")[0])] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_everything_in_a_lock_is_pinned_with_a_hash(lock: Path) -> None:
    pins = re.split(r"\n(?=[a-z0-9])", lock.read_text(encoding="utf-8").strip())
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_the_lock_of_the_pages_names_no_host_and_pins_everything_with_a_hash() -> None:
    text = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    packages = [about for name, about in json.loads(text)["packages"].items() if name]
    assert packages
    assert [about for about in packages if "resolved" in about or not about["integrity"].startswith("sha512-")] == []
    assert "://" not in text
    assert "omit-lockfile-registry-resolved=true" in (ROOT / ".npmrc").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", ["--index-url https://x/simple", "a @ file:///b", "-r other.txt", "a==1 # from /b/c"])
def test_such_a_line_would_be_found(line: str) -> None:
    assert _HOST_OR_PATH.search(line)


def test_no_tracked_file_names_a_folder_of_one_machine() -> None:
    found = [
        f"{path}: {hit.group()!r}" for path in _tracked() for hit in _MACHINE_PATH.finditer((ROOT / path).read_bytes())
    ]
    assert found == []


def _tracked() -> list[str]:
    git = shutil.which("git") or pytest.skip("there is no git here")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no checkout of git")
    return [name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]
