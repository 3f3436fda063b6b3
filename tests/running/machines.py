"""Several machines on this one: each is a folder with an `etc` and a `var`, and a stand-in for Debian starts its services.

What a guide types is run as it is written, with other programs for `systemctl` and what else changes the machine itself.
"""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from scripts import postgres

ROOT = Path(__file__).parents[2]
LONG = 240
"""The longest wait in seconds for what takes less than ten on an idle machine."""
_END_SECONDS = 10.0
_MUSTER = str(Path(sys.executable).parent / "muster")
_SYSTEMCTL = f"""#!{sys.executable}
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.connect(os.environ["MACHINES"])
    client.sendall(json.dumps([os.environ["ROOT"], sys.argv[1:]]).encode() + b"\\n")
    sys.exit(client.makefile().read() or 0)
"""
_SHIMS = {
    "systemctl": _SYSTEMCTL, "apt-get": "#!/bin/sh\n", "pg_dropcluster": "#!/bin/sh\n",
    "runuser": '#!/bin/sh\nshift 3\nexec "$@"\n',
}  # fmt: skip


@dataclass
class Machines:
    """The machines below a folder, and the processes of their services, by the names of the machine and the service."""

    folder: Path
    port: int
    """The port of the pages."""
    processes: dict[tuple[str, str], subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._user = "postgres" if os.geteuid() == 0 else ""
        shims = self.folder / "shims"
        shims.mkdir()
        for name, text in _SHIMS.items():
            (shims / name).write_text(text, encoding="utf-8")
            (shims / name).chmod(0o755)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / "systemd"))
        self._listener.listen()
        # The processes end with the thread that has started them, even if this process is killed.
        threading.Thread(target=self._listen, daemon=True).start()

    def add(self, name: str) -> Path:
        """Make a machine, with the folders that Debian's packages make. Return its folder."""
        root = self.folder / name
        for part in ("etc", "var/lib/etcd", "var/lib/postgresql/15", "var/log/postgresql", "var/run/postgresql"):
            (root / part).mkdir(parents=True)
        (root / "var/lib/musterbook").mkdir(mode=0o700)
        if self._user:
            subprocess.run(["chown", "-R", self._user, root / "var/lib/etcd", root / "var/lib/postgresql",
                            root / "var/log", root / "var/run"], check=True)  # fmt: skip
        return root

    def type(self, name: str, block: str, replaced: Mapping[str, str], timeout: float = 2 * LONG) -> str:
        """Type a block of the guide on that machine, with these texts replaced. Return what it prints."""
        root = self.folder / name
        here = ("/etc/patroni", "/etc/default", "/etc/musterbook.env")
        known = {
            **{path: f"{root}{path}" for path in here},
            "/var/lib/musterbook": f"{root}/var/lib/musterbook", "/usr/local/lib/musterbook/bin/muster": _MUSTER, **replaced,
        }  # fmt: skip
        text = re.sub("|".join(map(re.escape, known)), lambda found: known[found[0]], block)
        environment = {
            "PATH": f"{self.folder / 'shims'}:{Path(sys.executable).parent}:/usr/sbin:{os.environ['PATH']}",
            "ROOT": str(root), "MACHINES": str(self.folder / "systemd"), "PROGRAMS": str(postgres.find_binaries()),
            "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "HOME": str(self.folder),
        }  # fmt: skip
        done = subprocess.run(["sh", "-ec", text], cwd=self.folder, env=environment, capture_output=True, text=True,
                              timeout=timeout, check=False)  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def kill(self, name: str) -> None:
        """Kill all that runs on the machine at once, as a loss of power does."""
        pids = [process.pid for (machine, _), process in self.processes.items() if machine == name]
        running = (self.folder / name / "var").glob("lib/postgresql/15/*/postmaster.pid")
        pids += [int(file.read_text().split()[0]) for file in running]
        pids += [child for pid in pids for child in _list_children(pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for key in [key for key in self.processes if key[0] == name]:
            self.processes.pop(key).wait(30)

    def end(self) -> None:
        """Kill every machine. Its database ends by itself before, and gives back the memory that it shares: nobody else does."""
        for path in self.folder.iterdir():
            if (path / "var").exists():
                self._end_database(path.name)
                self.kill(path.name)
        self._listener.close()

    def _end_database(self, name: str) -> None:
        for (machine, service), process in self.processes.items():
            if (machine, service) == (name, "patroni"):
                process.kill()  # it would start the database again
        for file in (self.folder / name / "var").glob("lib/postgresql/15/*/postmaster.pid"):
            until = time.monotonic() + _END_SECONDS
            with suppress(ProcessLookupError, FileNotFoundError):
                os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
                while file.exists() and time.monotonic() < until:
                    time.sleep(0.05)

    def read_logs(self) -> str:
        """Return the ends of the logs of all services, for a test that fails."""
        logs = sorted(self.folder.glob("*/*.log"))
        return "\n".join(f"== {path}\n{path.read_text(errors='replace')[-3000:]}" for path in logs)

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client:
                    root, arguments = json.loads(client.makefile().readline())
                    action, *names = [word for word in arguments if not word.startswith("--")]
                    for name in names:
                        self._change(Path(root), action, name)

    def _change(self, root: Path, action: str, service: str) -> None:
        assert action in ("start", "restart", "enable"), action
        before = self.processes.pop((root.name, service), None)
        if before:
            before.terminate()
            before.wait(60)
        command, user, variables = self._describe(root, service)
        as_user = ["--reuid", user, "--regid", user, "--clear-groups"] if user else []
        with (root / f"{service}.log").open("ab") as log:
            self.processes[root.name, service] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *as_user, *command], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": f"/usr/sbin:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", **variables}, start_new_session=True,
            )  # fmt: skip

    def _describe(self, root: Path, service: str) -> tuple[list[str], str, dict[str, str]]:
        """Return the command of the service, its user ("" for this one), and its variables, as Debian's units have them."""
        if service == "etcd":
            return ["etcd"], self._user, _read_variables(root / "etc/default/etcd")
        if service == "patroni":
            return ["patroni", str(root / "etc/patroni/config.yml")], self._user, {}
        if service == "pgbouncer":
            return ["pgbouncer", str(root / "etc/pgbouncer/pgbouncer.ini")], self._user, {}
        if service == "haproxy":
            return ["haproxy", "-db", "-f", str(root / "etc/haproxy/haproxy.cfg")], "", {}
        serve = ["serve", "--no-worker", "--workers", "1", "--port", str(self.port)]
        home = {"MUSTER_HOME": str(root / "var/lib/musterbook"), "PYTHONPATH": str(ROOT)}
        variables = home | _read_variables(root / "etc/musterbook.env")
        return [_MUSTER, *(serve if service == "muster-web" else ["worker"])], "", variables


def _read_variables(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _list_children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(number) for number in listed.stdout.split()]


def find_ports(number: int) -> list[int]:
    """Return ports at which nobody listens on any of the machines, and that no connection to elsewhere takes meanwhile."""
    found: list[int] = []
    while len(found) < number:
        port = secrets.choice(range(22_000, 23_000))
        with suppress(OSError), ExitStack() as stack:
            for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
                stack.enter_context(socket.create_server((address, port)))
            found += [port] if port not in found else []
    return found


def wait_for(holds: object, seconds: float, what: str) -> None:
    """Wait until it holds. A machine that is five times slower has time for it."""
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]  # a function without arguments
        assert time.monotonic() < end, f"it never came to hold: {what}"
        time.sleep(0.1)
