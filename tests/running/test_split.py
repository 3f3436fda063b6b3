"""The how-to of splitting an installation, run literally: two installations behind HAProxy, and an agency that moves."""

import http.client
import http.cookiejar
import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pyrage import x25519

from tests import databases
from tests.attacks.serving import Server, free_port, serve, wait_until
from tests.databases import Home

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "split-an-installation.md"
DEPLOY = ROOT / "deploy" / "haproxy"
HAPROXY = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
_FENCE = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_PASSWORD = "correct horse battery staple"
_FILL = """
import django; django.setup()
from musterbook.directory.storage import isolation
isolation.open_process()
from django.contrib.auth.hashers import make_password
from musterbook.accounts.models import Account
from musterbook.directory import models
from tests.directory import cast
for slug in ("springfield-pd", "shelbyville-pd"):
    agency = cast.agency(slug)
    cast.apply_rows(agency, cast.people(1, 2))
    cast.register(agency, 1)
    Account.objects.create(user=cast.user(agency, 1), password=make_password({password!r}), password_at=cast.NOW)
"""


class Proxy:
    """HAProxy with the files of `deploy`, fitted to this machine: one port, no certificate, its log left out."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self.folder, self.port = folder, free_port()
        self.config = folder / "haproxy.cfg"
        self.process: subprocess.Popen[bytes] | None = None
        text = self.fit((DEPLOY / "haproxy.cfg").read_text(encoding="utf-8"))
        text = re.sub(r"    bind :80\n.*\n.*unless { ssl_fc }\n", f"    bind 127.0.0.1:{self.port}\n", text)
        text = text.replace("    log /dev/log local0\n", "").replace(
            "X-Forwarded-Proto https", "X-Forwarded-Proto http"
        )
        for name, port in ports.items():
            text = re.sub(rf"(server {name}1 ).*", rf"\g<1>127.0.0.1:{port}", text)
        self.config.write_text(text, encoding="utf-8")
        shutil.copy(DEPLOY / "agencies.map", folder / "agencies.map")

    def fit(self, text: str) -> str:
        """Put the test's folder in place of that of HAProxy."""
        return text.replace("/etc/haproxy", str(self.folder))

    @contextmanager
    def run(self) -> Iterator[None]:
        """HAProxy with a master process, as the unit of Debian starts it."""
        process = subprocess.Popen([str(HAPROXY), "-W", "-f", str(self.config)], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: self.ask("/healthz")[0] == 200)
            self.process = process
            yield
        finally:
            process.terminate()
            process.wait(60)

    def reload(self) -> None:
        """Read the files again, as `systemctl reload` has it done."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR2)

    def ask(self, path: str) -> tuple[int, str]:
        """The status and the text of an answer; 0 without one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def sign_in(self, slug: str) -> str:
        """Sign in as a person does; the address of the page after it, and its text."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        base = f"http://127.0.0.1:{self.port}/{slug}/"
        page = opener.open(base, timeout=120).read().decode()
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        form |= {"login": "user.1", "password": _PASSWORD}
        action = re.search(r'<form[^>]*action="([^"]*sign-in[^"]*)"', page)
        request = urllib.request.Request(
            urllib.parse.urljoin(base, action[1] if action else "sign-in"), urllib.parse.urlencode(form).encode(),
            {"Referer": base, "Origin": base.partition(f"/{slug}")[0]},
        )  # fmt: skip
        return str(opener.open(request, timeout=120).read().decode())


@pytest.fixture
def homes(fresh_home: Home, tmp_path: Path) -> Iterator[dict[str, Home]]:
    """The installation with both agencies, and a new one."""
    done = fresh_home.run(sys.executable, "-c", _FILL.format(password=_PASSWORD), timeout=300)
    assert done.returncode == 0, done.stderr
    with databases.template(tmp_path / "south", "") as south:
        yield {"north": fresh_home, "south": south}


@pytest.mark.skipif(HAPROXY is None, reason="this machine has no HAProxy")
def test_the_guide_moves_an_agency_to_another_installation_behind_the_proxy(
    homes: dict[str, Home], tmp_path: Path
) -> None:
    identity, hr = x25519.Identity.generate(), tmp_path / "hr"
    (tmp_path / "move-key.txt").write_text(f"{identity}\n")
    (tmp_path / "recipient.txt").write_text(f"{identity.to_public()}\n")
    hr.mkdir()
    add = homes["north"].muster("feed", "add", "hr", "--agency", "springfield-pd", "--command", "--mode", "update")
    assert add.returncode == 0, add.stderr
    assert run_feed(homes["north"], hr, "Ann") == "previewed", "a person looks at the first file"
    with ExitStack() as stack:
        proxy, servers = start(stack, homes, tmp_path)
        assert proxy.ask("/metrics")[0] == 404
        assert proxy.ask("/")[0] == 200 and "/static/" in proxy.ask("/")[1]
        assert "First 1" in proxy.sign_in("springfield-pd")
        start_proxy, leave, arrive, switch, resume = _FENCE.findall(GUIDE.read_text(encoding="utf-8"))
        run(start_proxy.replace("systemctl restart haproxy", "true"), homes["north"], proxy, tmp_path)
        [digest] = re.findall(r"Digest: (\w+)", run(leave, homes["north"], proxy, tmp_path))
        status, text = proxy.ask("/springfield-pd/")
        assert status == 503 and "This directory is paused" in text
        assert proxy.ask("/shelbyville-pd/")[0] == 302, "others still sign in"
        assert "--expect DIGEST" in arrive
        run(arrive.replace("DIGEST", digest), homes["south"], proxy, tmp_path)
        run(switch.replace("systemctl reload haproxy", "true"), homes["north"], proxy, tmp_path)
        proxy.reload()
        run(resume, homes["south"], proxy, tmp_path)
        wait_until(lambda: proxy.ask("/springfield-pd/")[0] == 302)
        assert "First 1" in proxy.sign_in("springfield-pd")
        assert "First 1" in proxy.sign_in("shelbyville-pd")
        assert run_feed(homes["south"], hr, "Zoe") == "previewed"
        refused = homes["north"].muster("feed", "run", "hr", str(hr / "Zoe.csv"), "--agency", "springfield-pd")
        assert "springfield-pd is paused" in refused.stdout + refused.stderr
        assert all(server.process.poll() is None for server in servers)


def start(stack: ExitStack, homes: dict[str, Home], folder: Path) -> tuple[Proxy, list[Server]]:
    """Both installations, and the proxy before them."""
    port = free_port()
    variables = {"MUSTER_URL": f"http://127.0.0.1:{port}", "MUSTER_PROXIES": "1"}
    servers = [stack.enter_context(serve(home, "--no-worker", **variables)) for home in homes.values()]
    proxy = Proxy(folder, dict(zip(homes, (server.port for server in servers), strict=True)))
    proxy.config.write_text(proxy.config.read_text().replace(f"127.0.0.1:{proxy.port}\n", f"127.0.0.1:{port}\n", 1))
    proxy.port = port
    stack.enter_context(proxy.run())
    return proxy, servers


def run(block: str, home: Home, proxy: Proxy, folder: Path) -> str:
    """Run a block of the guide on one of the machines. Return what it says."""
    path = f"{Path(sys.executable).parent}:{Path(str(HAPROXY)).parent}:/usr/bin:/bin"
    fitted = proxy.fit(block).replace("/srv/move", str(folder))
    done = subprocess.run(
        ["sh", "-ec", fitted],
        env={**home.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_feed(home: Home, folder: Path, name: str) -> str:
    """Give the feed a file as a nightly script does. The state of its import."""
    from tests.directory import cast

    (folder / f"{name}.csv").write_bytes(cast.file([cast.person(1, FIRST_NAME=name)]))
    command = ("feed", "run", "hr", str(folder / f"{name}.csv"), "--agency", "springfield-pd")
    done = home.muster(*command, timeout=120)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    listed = home.muster("imports", "--agency", "springfield-pd", "--output", "json", timeout=120)
    return str(json.loads(listed.stdout)[0]["state"])
