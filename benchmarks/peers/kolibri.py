"""Kolibri's `kolibri manage bulkimportusers`, from PyPI, in an environment and a KOLIBRI_HOME of its own.

It takes what its CSV has room for: user name, full name, number, and the group as a class. Its format asks for a password
for each new user, which it hashes: most of its time goes there. Its directory is on SQLite.
"""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scripts import setup

VERSION = "0.19.5"
_PIN = f"kolibri=={VERSION} --hash=sha256:dc4c187d29a80037594c2dadd1cbc862cb4b8b76166bfd4084314f8ab2bc6221\n"
_FOLDER = setup.ROOT / "build" / f"kolibri-{VERSION}"
_OWNER = ("--facility", "Bench", "--superusername", "owner", "--superuserpassword", "for-the-benchmark-alone")


class CannotRun(Exception):
    """Kolibri is not installed and cannot be installed. The message says why."""


@dataclass(frozen=True, slots=True)
class Kolibri:
    """An installed Kolibri: its command, and a home with an empty facility."""

    command: Path
    home: Path

    def time_import(self, file: Path, folder: Path) -> float:
        """Return the seconds of the whole command on a new copy of the home in `folder`. `file` is one of ours."""
        folder.mkdir()
        try:
            shutil.copytree(self.home, folder / "home")
            users = write_users(file, folder / "users.csv")
            since = time.perf_counter()
            output = _run([self.command, "manage", "bulkimportusers", folder / "users.csv"], folder / "home")
            seconds = time.perf_counter() - since
        finally:
            shutil.rmtree(folder)
        if f"'created': {users}, 'updated': 0, 'deleted': 0" not in output:
            raise SystemExit(f"Kolibri did not create {users} users:\n{output}")
        return seconds


def write_users(file: Path, where: Path) -> int:
    """Write the users of one of our files in Kolibri's format. Return their number."""
    users = pl.read_csv(file, infer_schema=False).fill_null("")
    given = {"USERNAME": "USERNAME", "IDENTIFIER": "EXTERNAL_ID", "ENROLLED_IN": "EVIDENCE_GROUP_EXT_ID"}
    made = {
        "PASSWORD": pl.format("{}-first", "EXTERNAL_ID"),
        "FULL_NAME": pl.format("{} {}", "FIRST_NAME", "LAST_NAME"),
        "USER_TYPE": pl.lit("LEARNER"),
    }
    columns = {name: pl.col(ours) for name, ours in given.items()} | made
    blank = {name: pl.lit("") for name in ("UUID", "BIRTH_YEAR", "GENDER", "ASSIGNED_TO")}
    users.select(**columns, **blank).write_csv(where)
    return users.height


def find_kolibri() -> Kolibri:
    """Return Kolibri with an empty facility. Install it if necessary. Raise CannotRun."""
    kolibri = Kolibri(_FOLDER / "bin" / "kolibri", _FOLDER / "home")
    if not kolibri.home.exists():
        _install(kolibri)
    return kolibri


def _install(kolibri: Kolibri) -> None:
    shutil.rmtree(_FOLDER, ignore_errors=True)
    uv = shutil.which("uv", path=str(setup.PROGRAMS)) or shutil.which("uv")
    if uv is None:
        raise CannotRun("there is no uv to install it with.")
    pin = _FOLDER / "requirements.txt"
    _run([uv, "venv", "--quiet", "--seed", _FOLDER], None)
    pin.write_text(_PIN, encoding="utf-8")
    # The wheel contains all its dependencies.
    _run([uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", _FOLDER, "-r", pin], None)
    draft = _FOLDER / "home.new"
    _run(
        [
            kolibri.command,
            "manage",
            "provisiondevice",
            *_OWNER,
            "--preset",
            "nonformal",
            "--language_id",
            "en",
            "--noinput",
        ],
        draft,
    )
    draft.rename(kolibri.home)


def _run(command: list[str | Path], home: Path | None) -> str:
    """Run a command, with a KOLIBRI_HOME if one is given. Return its output. Raise CannotRun if it fails."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "KOLIBRI_", "VIRTUAL_ENV"))
    }
    if home:
        environment["KOLIBRI_HOME"] = str(home)
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    except OSError as error:
        raise CannotRun(str(error)) from error
    if done.returncode != 0:
        raise CannotRun(f"{Path(command[0]).name} {command[1]} failed: {done.stdout.strip().splitlines()[-1:]}")
    return done.stdout
