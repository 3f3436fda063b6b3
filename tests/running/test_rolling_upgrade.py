"""Two servers are upgraded one after the other, as docs/how-to/upgrade.md says: no request of a client fails meanwhile."""

import http.client
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import pytest

from tests import databases, forks
from tests.attacks.serving import free_port, log, wait_until
from tests.attacks.test_connections import importer
from tests.databases import Home
from tests.directory import cast
from tests.directory.processes import Site

ROOT = Path(__file__).parents[2]
_PAGE = (ROOT / "docs" / "how-to" / "upgrade.md").read_text(encoding="utf-8")
_HAPROXY = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
_ROWS = 2_000
"""The rows of each import."""
_MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("directory", "{last}")]
    operations = [
        migrations.AddField("user", "shift", models.CharField(max_length=20, default="", db_default="")),
        migrations.CreateModel("Shift", [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())]),
    ]
"""


def read_blocks() -> list[str]:
    """The blocks of code of the page."""
    return re.findall(r"^ *```\n(.*?)^ *```$", _PAGE, re.DOTALL | re.MULTILINE)


def read_settings() -> dict[str, str]:
    """The settings that the page names for each server."""
    [block] = [block for block in read_blocks() if block.startswith("MUSTER_DRAIN_SECONDS")]
    return dict(line.split("=", 1) for line in block.split())


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a next version of the product: with one more column of users, and a new table."""
    folder = tmp_path_factory.mktemp("next")
    shutil.copytree(ROOT / "musterbook", folder / "musterbook", symlinks=True)
    for beside in ("build", "docs", "CHANGELOG.md"):
        (folder / beside).symlink_to(ROOT / beside)
    migrations = folder / "musterbook" / "directory" / "migrations"
    last = max(path.stem for path in migrations.glob("0*.py"))
    (migrations / "9999_shifts.py").write_text(_MIGRATION.format(last=last))
    models = folder / "musterbook" / "directory" / "models.py"
    text = models.read_text(encoding="utf-8")
    field = '    location = models.CharField(max_length=255, default="", blank=True)\n'
    assert text.count(field) == 1
    added = '    shift = models.CharField(max_length=20, default="", db_default="", blank=True)\n'
    models.write_text(text.replace(field, field + added), encoding="utf-8")
    return folder


@contextmanager
def serve(home: Home, port: int, version: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server of that version, whose end its user waits for."""
    environment = home.environment | {"COVERAGE_PROCESS_START": "", "PYTHONPATH": str(version)} | read_settings()
    command = [forks.MUSTER, "serve", "--no-worker", "--port", str(port), "--workers", "1"]
    with (home.folder.parent / f"errors-{port}").open("ab") as said:
        process = databases.start(command, environment, version, stdout=said, stderr=said)
    try:
        wait_until(lambda: ask(port, "/readyz")[0] == 200, 120)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)


@contextmanager
def work(home: Home, version: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker of that version."""
    environment = home.environment | {"COVERAGE_PROCESS_START": "", "PYTHONPATH": str(version)}
    null = subprocess.DEVNULL
    process = databases.start([forks.MUSTER, "worker"], environment, version, stdout=null, stderr=null)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def ask(port: int, path: str, cookies: str = "") -> tuple[int, str]:
    """The status of an answer and its text; 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Host": "localhost", "Cookie": cookies})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()


class Clients:
    """Clients that ask one page after the other, each on a connection of its own that it keeps, as a browser does."""

    def __init__(self, port: int, cookies: str) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._port, self._cookies, self._ended = port, cookies, threading.Event()
        paths = (
            ["/springfield/users/", "/springfield/users/?q=last"], ["/springfield/users/import", "/springfield/groups/"], ["/"],
        )  # fmt: skip
        self._threads = [threading.Thread(target=self._ask_all, args=(those,)) for those in paths]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(90)

    def _ask_all(self, paths: list[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._ended.is_set():
            for path in paths:
                try:
                    connection.request("GET", path, headers={"Host": "localhost", "Cookie": self._cookies})
                    answer = connection.getresponse()
                    answer.read()
                    self.statuses[answer.status] += 1
                    if answer.status >= 400:
                        self.wrong.append(f"{path}: {answer.status}")
                except (OSError, http.client.HTTPException) as error:
                    self.wrong.append(f"{path}: {error!r}")
                    connection.close()
            time.sleep(0.1)
        connection.close()


@contextmanager
def proxy(folder: Path, port: int, servers: list[int]) -> Iterator[None]:
    """HAProxy with the configuration of the page, in front of these ports."""
    [text] = [block for block in read_blocks() if block.startswith("global\n")]
    for name, server in (("10.0.0.7:8000", servers[0]), ("10.0.0.8:8000", servers[1])):
        assert name in text
        text = text.replace(name, f"127.0.0.1:{server}")
    assert "127.0.0.1:8080" in text
    file = folder / "haproxy.cfg"
    file.write_text(text.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    checked = subprocess.run([str(_HAPROXY), "-c", "-f", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with (folder / "haproxy.log").open("wb") as said:
        process = subprocess.Popen([str(_HAPROXY), "-db", "-f", file], stdout=said, stderr=said)
    try:
        wait_until(lambda: ask(port, "/readyz")[0] == 200, 60)
        yield
    finally:
        process.terminate()
        process.wait(20)


def migrate(home: Home, version: Path) -> None:
    """Bring the database up to date with that version."""
    done = subprocess.run(
        [forks.MUSTER, "migrate"], env=home.environment | {"PYTHONPATH": str(version)}, cwd=version,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout[:13]) == (0, "1 change made"), done.stderr


def test_no_request_fails_while_two_servers_are_upgraded_during_an_import(
    fresh_home: Home, next_version: Path, tmp_path: Path
) -> None:
    if _HAPROXY is None or not fresh_home.database_url:
        pytest.skip("this machine has no haproxy, or there is one server: several need PostgreSQL")
    cookies, site, ports, port = importer(fresh_home), Site(fresh_home), [free_port(), free_port()], free_port()

    def submit(first: int) -> None:
        few, others = range(first, first + 100), range(first + 100, first + _ROWS)  # only few get an email
        rows = cast.file([*cast.people(*few), *cast.people(*others, STATUS="Inactive")])
        site.do("submit", "springfield", site.file(f"{first}.csv", rows))

    with ExitStack() as stack:
        old = [stack.enter_context(serve(fresh_home, number, ROOT)) for number in ports]
        worker = stack.enter_context(work(fresh_home, ROOT))
        stack.enter_context(proxy(tmp_path, port, ports))
        with Clients(port, cookies) as clients:
            wait_until(lambda: clients.statuses[200] > 10, 60)
            submit(10_000)
            wait_until(lambda: "waiting" not in site.states(), 60)
            migrate(fresh_home, next_version)
            for process, number in zip(old, ports, strict=True):
                submit(number * 10_000)  # the worker of the previous version applies it to the tables of the next
                process.send_signal(signal.SIGTERM)
                wait_until(lambda asked=number: ask(asked, "/readyz") == (503, "The server is stopping.\n"), 10)
                assert process.wait(90) == 0
                stack.enter_context(serve(fresh_home, number, next_version))
                time.sleep(3)  # the proxy takes it in
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(90) == 0
            stack.enter_context(work(fresh_home, next_version))
            wait_until(lambda: not {"waiting", "running"} & set(site.states()), 240)
    assert (clients.wrong, clients.statuses[200] > 100) == ([], True)
    _check_imports(site)


def _check_imports(site: Site) -> None:
    """Each import was applied once, by whichever version."""
    assert site.states() == ["applied"] * 4
    assert site.select("SELECT COUNT(*) FROM directory_user WHERE shift = ''") == [(3 * _ROWS + 1,)]
    assert site.do("look", "springfield") == "whole"
    assert "Traceback" not in log(site.home)
