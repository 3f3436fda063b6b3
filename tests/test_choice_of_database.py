"""Which database a DATABASE_URL names, and what is said of one that cannot be used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from musterbook.config import databases

LIMITS = {"connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}


def parts(url: str) -> dict[str, object]:
    """What Django connects to, without what is left at its default."""
    chosen = databases.make_settings(url, Path("unused"))
    given = {key: value for key, value in chosen["OPTIONS"].items() if key not in LIMITS}
    named = {key: chosen[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT") if chosen[key]}
    return named | ({"OPTIONS": given} if given else {})


def test_without_a_url_it_is_sqlite_in_the_folder(tmp_path: Path) -> None:
    chosen = databases.make_settings("", tmp_path)
    assert (chosen["ENGINE"], chosen["NAME"]) == ("django.db.backends.sqlite3", tmp_path / "muster.sqlite3")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://ann:s%40fe@db:5433/muster",
         {"NAME": "muster", "USER": "ann", "PASSWORD": "s@fe", "HOST": "db", "PORT": "5433"}),
        ("postgresql:///muster?host=/run/postgresql", {"NAME": "muster", "HOST": "/run/postgresql"}),
        ("postgres://%2Frun%2Fpostgresql/muster", {"NAME": "muster", "HOST": "/run/postgresql"}),
        ("postgres://ann@[::1]/muster", {"NAME": "muster", "USER": "ann", "HOST": "::1"}),
        ("postgres://a,b:5433/muster?target_session_attrs=read-write&sslmode=require",
         {"NAME": "muster", "HOST": "a,b", "PORT": ",5433",
          "OPTIONS": {"target_session_attrs": "read-write", "sslmode": "require"}}),
    ],
)  # fmt: skip
def test_a_postgres_url_is_read_in_all_its_forms(url: str, expected: dict[str, object]) -> None:
    assert parts(url) == expected


@pytest.mark.parametrize(
    ("url", "beginning"),
    [
        ("mysql://ann:hush@db/muster", "DATABASE_URL is not the address of a PostgreSQL database."),
        ("muster", "DATABASE_URL is not the address of a PostgreSQL database."),
        ("postgres://ann:hush@db", "DATABASE_URL names no database."),
        ("postgres://ann:hush@db:five/muster", "DATABASE_URL has the port “five”, which is not a number."),
        ("postgres://ann:hu%ZZsh@db/muster", "DATABASE_URL cannot be read."),
        ("postgres://ann:hush@[::1/muster", "DATABASE_URL cannot be read."),
        ("postgres://ann:hush@db/muster?colour=red", "DATABASE_URL cannot be read."),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_the_password(url: str, beginning: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        databases.make_settings(url, Path("unused"))
    sentence = str(refusal.value)
    assert sentence.startswith(f"{beginning} Write it as postgres://")
    assert "hush" not in sentence
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_a_server_that_is_gone_without_a_word_is_noticed_within_half_a_minute_unless_the_url_says_otherwise() -> None:
    def read(url: str) -> dict[str, int]:
        options = databases.make_postgres(url)["OPTIONS"]
        return {name: int(options[name]) for name in LIMITS}

    usual = read("postgres://db/muster")
    assert usual["connect_timeout"] <= 10
    assert usual["keepalives_idle"] + usual["keepalives_interval"] * usual["keepalives_count"] <= 30
    assert usual["tcp_user_timeout"] <= 30_000
    assert read("postgres://db/muster?connect_timeout=3&tcp_user_timeout=9000") == usual | {
        "connect_timeout": 3,
        "tcp_user_timeout": 9000,
    }


def test_importing_the_settings_makes_nothing_and_reads_no_driver(tmp_path: Path) -> None:
    home = tmp_path / "home"
    script = "import sys, musterbook.config.settings; sys.exit('psycopg' in sys.modules or 'polars' in sys.modules)"
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"} | {
        "MUSTER_HOME": str(home)
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not home.exists()
