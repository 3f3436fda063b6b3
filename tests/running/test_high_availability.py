"""The how-to of high availability, run literally: three members of the database, of which the primary is killed in an import."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts import postgres
from tests.client.guides import read_blocks
from tests.directory import cast
from tests.running.clients import Watch, watch
from tests.running.machines import LONG, ROOT, Machines, find_ports, wait_for

_PROGRAMS = (
    "patroni",
    "patronictl",
    "etcd",
    "etcdctl",
    "haproxy",
    "pgbouncer",
    "envsubst",
    "setpriv",
    "psql",
    "openssl",
    "curl",
)
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_MISSING = [name for name in _PROGRAMS if not shutil.which(name, path=_PATH)]
pytestmark = [
    pytest.mark.skipif(bool(_MISSING), reason=f"the guide needs packages of Debian; missing: {', '.join(_MISSING)}"),
    pytest.mark.skipif(not postgres.is_installed(), reason="there is no PostgreSQL"),
    pytest.mark.skipif(
        os.getloadavg()[0] > 8 * (os.cpu_count() or 1),
        reason="this machine is too busy for a cluster, which would replace its primary",
    ),
    pytest.mark.any_database,
]
GUIDE = "how-to/high-availability.md"
MEMBERS = {"db1": "127.0.0.1", "db2": "127.0.0.2", "db3": "127.0.0.3"}
ROWS = 2000
SECONDS = {"TTL": 10, "LOOP_WAIT": 2, "RETRY_TIMEOUT": 3}
"""Short times for a test; the guide says when they are too short."""


@dataclass
class Cluster:
    """The machines of the guide, what is in its `cluster.env`, and its blocks that are not yet typed."""

    machines: Machines
    settings: dict[str, str]
    blocks: list[str] = field(default_factory=list)

    def type_next(self, *names: str, **replaced: str) -> list[str]:
        """Type the next block of the guide on these machines. Return what each prints."""
        block, known = self.blocks.pop(0), {"10.0.0.11": MEMBERS["db1"], ":8000": f":{self.machines.port}"}
        ports = {"2379": self.settings.get("ETCD_PORT", ""), "8008": self.settings.get("PATRONI_PORT", "")}
        return [
            self.machines.type(name, block, known | ports | replaced | {"configure db1": f"configure {name}"})
            for name in names
        ]

    def list_members(self, at: str = "db2") -> dict[str, str]:
        """The role of each member that runs, as Patroni on that machine knows it; {} if it does not answer."""
        connection = http.client.HTTPConnection(MEMBERS[at], int(self.settings["PATRONI_PORT"]), timeout=10)
        with closing(connection), suppress(OSError, ValueError):
            connection.request("GET", "/cluster")
            members = json.loads(connection.getresponse().read()).get("members", [])
            return {one["name"]: one["role"] for one in members if one["state"] in ("running", "streaming")}
        return {}

    def is_whole(self, at: str = "db2") -> bool:
        """Whether all members run, one as the primary and one as its synchronous standby."""
        roles = sorted(self.list_members(at).values())
        return roles == ["leader", "replica", "sync_standby"]

    def is_ready(self) -> bool:
        """Whether the pages are served."""
        with (
            closing(http.client.HTTPConnection("127.0.0.1", self.machines.port, timeout=LONG)) as connection,
            suppress(OSError),
        ):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    def find_primary(self, at: str = "db2") -> str:
        """The name of the primary."""
        return next((name for name, role in self.list_members(at).items() if role == "leader"), "")

    def connect(self, user: str = "muster", database: str = "muster", **more: Any) -> "psycopg.Connection[Any]":
        """A connection as Musterbook has it, or of the superuser, past PgBouncer."""
        owner = user == "muster"
        port = self.settings["PGBOUNCER_PORT" if owner else "HAPROXY_PORT"]
        password = self.settings["MUSTER_PASSWORD" if owner else "SUPERUSER_PASSWORD"]
        return psycopg.connect(
            host="127.0.0.1", port=port, user=user, password=password, dbname=database, connect_timeout=10, **more
        )

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query that no policy limits."""
        with self.connect("postgres") as connection:
            return connection.execute(sql.encode()).fetchall()

    def run(self, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of Musterbook on its machine."""
        app = self.machines.folder / "app"
        given = (app / "etc/musterbook.env").read_text(encoding="utf-8").strip().partition("=")[2]
        environment = {
            **os.environ, "DATABASE_URL": given, "MUSTER_HOME": str(app / "var/lib/musterbook"), "COVERAGE_PROCESS_START": "",
            "DJANGO_SETTINGS_MODULE": "musterbook.config.settings", "PYTHONPATH": str(ROOT), **variables,
        }  # fmt: skip
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONG, check=False
        )

    def muster(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run `muster` on its machine."""
        return self.run(str(Path(sys.executable).parent / "muster"), *arguments, **variables)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The cluster of the guide up to its step 3, with the sample agency and a second worker."""
    folder = Path(tempfile.mkdtemp(prefix="muster-ha-"))
    folder.chmod(0o755)
    machines = Machines(folder, find_ports(1)[0])
    try:
        yield _build(machines)
    except BaseException:
        sys.stderr.write(machines.read_logs())
        raise
    finally:
        machines.end()
        shutil.rmtree(folder, ignore_errors=True)


def _build(machines: Machines) -> Cluster:
    for name in (*MEMBERS, "app"):
        machines.add(name)
    shutil.copytree(
        ROOT / "deploy" / "ha", machines.folder / "deploy" / "ha", ignore=shutil.ignore_patterns("cluster.env")
    )
    made = Cluster(machines, {}, [block for kind, block in read_blocks(GUIDE) if kind == "sh"])
    made.type_next("app")
    made.settings = _describe(machines.folder / "deploy/ha/cluster.env")
    made.type_next(*MEMBERS)
    wait_for(made.is_whole, LONG, "a primary and its standbys")
    assert "Sync Standby" in made.type_next("db1")[0]
    made.type_next("app")
    _wait_for_proxy(made)
    for _ in range(3):
        made.type_next("app")
    wait_for(made.is_ready, LONG, "the pages are served")
    assert made.type_next("app") == ["ok"]
    machines.type("app", "systemctl start muster-worker2", {})
    done = made.muster("agency", "apply", str(ROOT / "examples" / "agency.toml"))
    assert done.returncode == 0, done.stderr
    return made


def _describe(path: Path) -> dict[str, str]:
    """Write what is different on this one machine into the file. Return all that is in it."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "=" in line and not line.startswith("#")]
    values: dict[str, Any] = dict(line.split("=", 1) for line in lines)
    passwords = [value for name, value in values.items() if name.endswith("PASSWORD")]
    assert len(set(passwords)) == 3 and all(len(password) == 48 for password in passwords)
    ports = dict(zip((name for name in values if name.endswith("_PORT")), find_ports(6), strict=True))
    members = {name.upper(): address for name, address in MEMBERS.items()}
    values |= {**members, "NETWORK": "127.0.0.0/8", **SECONDS, **ports}
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
    return {name: str(value) for name, value in values.items()}


def _wait_for_proxy(cluster: Cluster) -> None:
    """Wait until HAProxy knows the standbys: before, it leads to one machine after the other."""

    def leads_to_the_primary() -> bool:
        for _ in MEMBERS:
            with cluster.connect("postgres", "postgres") as connection:
                if connection.execute("SHOW transaction_read_only").fetchone() != ("off",):
                    return False
        return True

    def has_found_it() -> bool:
        with suppress(psycopg.Error):
            return leads_to_the_primary()
        return False

    wait_for(has_found_it, LONG, "HAProxy has found the primary")


def _submit(cluster: Cluster) -> str:
    """Have a worker import a file. Return the number of the import."""
    path = cluster.machines.folder / "many.csv"
    path.write_bytes(cast.file(cast.people(*range(ROWS))))
    done = cluster.run(sys.executable, "-m", "tests.directory.driver", "submit", "riverton-pd", str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _is_writing(cluster: Cluster) -> bool:
    """Whether the import has written users and waits for the table of emails, which the test holds."""
    return bool(cluster.select(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%directory_mail%'"
        " AND (query ILIKE 'COPY%' OR query ILIKE 'INSERT%')"
    ))  # fmt: skip


def test_an_import_whose_primary_dies_is_applied_once_and_pages_come_back(cluster: Cluster) -> None:
    with cluster.connect(autocommit=True) as connection:
        connection.execute("CREATE TABLE probe (number integer)")
    web = cluster.machines.processes["app", "muster-web"]
    holder = cluster.connect("postgres")
    holder.execute("LOCK TABLE directory_mail IN SHARE MODE")
    number = _submit(cluster)
    wait_for(lambda: _is_writing(cluster), LONG, "the import writes")
    dead = cluster.find_primary()
    alive = next(name for name in MEMBERS if name != dead)
    with watch(cluster.machines.port, cluster.connect) as seen:
        wait_for(lambda: len(seen.answers) == 3 and len(seen.confirmed) > 5, LONG, "clients are answered")
        cluster.machines.kill(dead)
        wait_for(lambda: cluster.find_primary(alive) not in ("", dead), LONG, "a standby takes over")
        wait_for(lambda: _read_state(cluster, number) == "applied", LONG, "the import is applied")
        before = len(seen.confirmed)
        wait_for(lambda: len(seen.confirmed) > before + 5, LONG, "changes are confirmed again")
        wait_for(lambda: all(answers[-1][0] != 503 for answers in seen.answers.values()), LONG, "pages are back")
    holder.close()
    sys.stdout.write(f"seconds without writes: {seen.longest:.1f}\n")
    _check_answers(seen)
    assert cluster.machines.processes["app", "muster-web"] is web and web.poll() is None
    _check_books(cluster, number, seen)
    _check_logs(cluster)


def _read_state(cluster: Cluster, number: str) -> str:
    with suppress(psycopg.Error):
        return str(cluster.select(f"SELECT state FROM directory_import WHERE number = '{number}'")[0][0])
    return ""


def _check_answers(seen: Watch) -> None:
    """Each client got an answer to each request, either the usual one or 503 in plain words."""
    assert seen.broken == []
    usual = {"/readyz": 200, "/riverton-pd/sign-in": 200, "/riverton-pd/api/v1/me": 401}
    for path, answers in seen.answers.items():
        assert {status for status, _, _ in answers} == {usual[path], 503}, path
        for status, after, text in answers:
            assert "Traceback" not in text and "psycopg" not in text
            if status == 503 and path != "/readyz":
                assert after == "30" and "cannot reach its database right now" in text, text


def _check_books(cluster: Cluster, number: str, seen: Watch) -> None:
    """The import was done once, to the row, and no confirmed change is lost."""
    [(state, attempts, counts)] = cluster.select(
        f"SELECT state, attempts, counts FROM directory_import WHERE number = '{number}'"
    )
    assert (state, counts["added"]) == ("applied", ROWS) and attempts >= 2
    for table, what in (("user", "external_id"), ("mail", "user_id")):
        [(rows, different)] = cluster.select(f"SELECT count(*), count(DISTINCT {what}) FROM directory_{table}")
        assert (rows, different) == (ROWS, ROWS), table
    [(events, users)] = cluster.select(
        "SELECT count(*), count(DISTINCT subject_id) FROM directory_event WHERE kind = 'user.added'"
    )
    assert (events, users) == (ROWS, ROWS)
    kept = {row[0] for row in cluster.select("SELECT number FROM probe")}
    assert set(seen.confirmed) <= kept
    done = cluster.muster("audit", "verify", "--agency", "riverton-pd")
    assert done.returncode == 0, done.stdout + done.stderr


def _check_logs(cluster: Cluster) -> None:
    """A database that is away is said in lines, not in traces."""
    for service in ("muster-web", "muster-worker", "muster-worker2"):
        log = (cluster.machines.folder / "app" / f"{service}.log").read_text(encoding="utf-8")
        assert "Traceback" not in log, log[-5000:]
        assert "database" in log


def test_the_old_primary_joins_again_and_is_made_the_primary_by_hand(cluster: Cluster) -> None:
    dead = next(name for name in MEMBERS if ((name, "patroni") not in cluster.machines.processes))
    alive = next(name for name in MEMBERS if name != dead)
    check, switch, join = cluster.blocks
    cluster.blocks = [join]
    cluster.type_next(dead)
    wait_for(lambda: cluster.is_whole(alive), LONG, "the old primary is a standby")
    cluster.blocks = [check, switch]
    shown = cluster.type_next(alive)[0]
    assert all(name in shown for name in MEMBERS) and "started" in shown and '"role": "sync_standby"' in shown
    before = cluster.find_primary(alive)
    with watch(cluster.machines.port, cluster.connect) as seen:
        wait_for(lambda: len(seen.confirmed) > 5, LONG, "clients are answered")
        cluster.type_next(alive)
        wait_for(lambda: cluster.find_primary(alive) not in ("", before), LONG, "the standby has taken over")
        confirmed = len(seen.confirmed)
        wait_for(lambda: len(seen.confirmed) > confirmed + 5, LONG, "changes are confirmed again")
        wait_for(lambda: all(answers[-1][0] != 503 for answers in seen.answers.values()), LONG, "pages are back")
    sys.stdout.write(f"seconds without writes: {seen.longest:.1f}\n")
    kept = {row[0] for row in cluster.select("SELECT number FROM probe")}
    assert set(seen.confirmed) <= kept


def test_the_driver_finds_the_primary_without_a_proxy(cluster: Cluster) -> None:
    hosts = ",".join(f"{address}:{cluster.settings['POSTGRES_PORT']}" for address in MEMBERS.values())
    url = f"postgres://muster:{cluster.settings['MUSTER_PASSWORD']}@{hosts}/muster?target_session_attrs=read-write&connect_timeout=3"
    done = cluster.muster("imports", "--agency", "riverton-pd", "--output", "json", DATABASE_URL=url)
    assert done.returncode == 0 and json.loads(done.stdout)[0]["state"] == "applied", done.stderr
