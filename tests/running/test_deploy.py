"""The files in `deploy`: each names only what exists, the programs that read them accept them, and none has a secret.

No test builds or starts a container: that needs a container engine. Its steps run by hand (docs/how-to/containers.md).
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from musterbook import metrics
from musterbook.config import environment, home
from scripts import alert_rules
from tests import certificates

pytestmark = pytest.mark.any_database
ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
VARIABLES = {variable.name for variable in environment.VARIABLES}
_MUSTER = str(Path(sys.executable).parent / "muster")


def instructions() -> list[tuple[str, str]]:
    """The instructions of the container file, each on one line."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]


def test_the_container_copies_only_what_is_there_and_what_is_let_into_its_context() -> None:
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert allowed[0] == "*"
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            for source in sources:
                assert (ROOT / source).exists(), source
                assert any(Path(source).match(line.removeprefix("!")) for line in allowed if line.startswith("!")), (
                    source
                )


def test_the_container_does_not_run_as_root_and_pins_its_packages_by_hash() -> None:
    found = instructions()
    stages = [number for number, (name, _) in enumerate(found) if name == "FROM"]
    last = dict(found[stages[-1] :])
    assert last["USER"] == "10001:10001"
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert last["ENTRYPOINT"] == '["muster"]'
    assert "/healthz" in last["HEALTHCHECK"] or "/healthz" in str(last)
    installs = [
        part.strip() for name, rest in found if name == "RUN" for part in rest.split("&&") if "pip install" in part
    ]
    assert len(installs) == 3
    assert all("--require-hashes" in part or "--no-deps" in part for part in installs)
    assert not re.search(r"(?i)(password|token|secret)[=:]", (DEPLOY / "Containerfile").read_text())


def test_the_programs_that_the_container_runs_are_those_that_its_steps_install() -> None:
    made = {"python", "pip", "uv", "apt-get", "rm", "useradd", "install"}
    run = {
        shlex.split(part.replace("/dist/*.whl", "wheel"))[0]
        for name, rest in instructions() if name == "RUN"
        for part in rest.split("&&")
    }  # fmt: skip
    assert run <= made
    # `muster serve` takes the options of the last line.
    command = next(rest for name, rest in instructions() if name == "CMD")
    arguments = re.findall(r'"([^"]+)"', command)
    shown = subprocess.run([_MUSTER, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    assert arguments[0] == "serve" and all(option in shown for option in arguments if option.startswith("--"))


def test_every_variable_that_is_named_is_a_setting() -> None:
    others = {"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "MUSTER_SITE", "MUSTER_PAGES"}
    cluster = (DEPLOY / "ha" / "cluster.env.example").read_text(encoding="utf-8")
    others |= set(re.findall(r"^([A-Z_]+)=", cluster, re.MULTILINE))
    for path in FILES:
        named = set(re.findall(r"\b(?:MUSTER|POSTGRES|DATABASE)_[A-Z_]+\b", path.read_text(encoding="utf-8")))
        assert named <= VARIABLES | others, path.name


def test_no_file_pins_a_host_of_ours_or_has_a_secret() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert str(ROOT) not in text and "/root" not in text and "/tmp/" not in text.replace("/tmp:", "")
        # The token of a cluster of etcd is no secret: it keeps clusters apart.
        assert re.search(r"(PASSWORD|(?<!_CLUSTER_)TOKEN|SECRET_KEY)=\S", text) is None, path.name


def compose() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return made


def test_the_compose_file_has_one_web_one_worker_and_a_migration_before_both() -> None:
    services = compose()["services"]
    assert set(services) == {"database", "migrate", "web", "worker", "proxy"}
    for name in ("migrate", "web", "worker"):
        service = services[name]
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        shown = subprocess.run([_MUSTER, service["command"][0], "--help"], capture_output=True, text=True, check=False)
        assert shown.returncode == 0
        assert all(option in shown.stdout for option in service["command"] if option.startswith("--"))
        stop = int(service["environment"]["MUSTER_STOP_SECONDS"]) + int(
            service["environment"].get("MUSTER_DRAIN_SECONDS", 0)
        )
        assert int(service["stop_grace_period"].removesuffix("s")) > stop
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["worker"]["healthcheck"] == {"disable": True}, "it answers no requests"
    assert "ports" not in services["web"] and "ports" not in services["database"], "only the proxy is open"
    given = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
    example = (DEPLOY / "musterbook.env.example").read_text(encoding="utf-8")
    assert all(re.search(rf"^{name}=", example, re.MULTILINE) for name in given)
    assert all((DEPLOY / source).exists() for source in (mount.partition(":")[0] for mount in services["proxy"]["volumes"])
               if source.startswith("."))  # fmt: skip


def test_the_build_of_the_compose_file_is_the_container_file() -> None:
    build = compose()["x-musterbook"]["build"]
    assert ((DEPLOY / build["context"]).resolve(), (ROOT / build["dockerfile"]).resolve()) == (
        ROOT,
        DEPLOY / "Containerfile",
    )


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_a_unit_and_calls_it_safe(unit: Path, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("this machine has no systemd")
    text = unit.read_text(encoding="utf-8").replace("/usr/local/lib/musterbook/bin/muster", _MUSTER)
    here = tmp_path / unit.name
    here.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])
    rate = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(here)]
    rated = subprocess.run(rate, capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout[-300:]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_a_command_that_exists_and_leaves_it_time_to_stop(unit: Path) -> None:
    entries = dict(
        line.split("=", 1) for line in unit.read_text(encoding="utf-8").splitlines() if "=" in line and line[0] != "#"
    )
    _, command, *options = shlex.split(entries["ExecStart"])
    shown = subprocess.run([_MUSTER, command, "--help"], capture_output=True, text=True, check=True).stdout
    assert all(option in shown for option in options if option.startswith("--"))
    assert entries["KillMode"] == "mixed", "else systemd itself ends the processes that still answer"
    assert int(entries["TimeoutStopSec"]) > int(environment.number("MUSTER_STOP_SECONDS"))
    assert entries["User"] == "musterbook"
    assert entries["Environment"] == "MUSTER_HOME=/var/lib/musterbook"
    assert "u musterbook" in (DEPLOY / "systemd" / "musterbook.sysusers").read_text()
    assert home.KEY_FILE == "secret-key"


@pytest.fixture
def nginx(tmp_path: Path) -> Path:
    """The site of nginx with files of the test's own, within a whole configuration."""
    certificate, key, private = tmp_path / "cert.pem", tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1())
    certificate.write_text(certificates.certificate(private))
    key.write_text(certificates.private(private))
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    text = text.replace("/etc/ssl/musterbook/fullchain.pem", str(certificate)).replace(
        "/etc/ssl/musterbook/key.pem", str(key)
    )
    text = text.replace("/var/log/nginx/musterbook.log", str(tmp_path / "access.log"))
    (tmp_path / "site.conf").write_text(text)
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}} http {{ include {tmp_path}/site.conf; }}"
    )
    return whole


def test_nginx_accepts_its_file(nginx: Path) -> None:
    if not (program := shutil.which("nginx") or shutil.which("/usr/sbin/nginx")):
        pytest.skip("this machine has no nginx")
    done = subprocess.run([program, "-t", "-c", str(nginx)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_caddy_accepts_its_file() -> None:
    if not (program := shutil.which("caddy")):
        pytest.skip("this machine has no caddy")
    command = [program, "adapt", "--config", str(DEPLOY / "Caddyfile"), "--adapter", "caddyfile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_a_proxy_replaces_what_a_client_says_of_itself_and_hides_the_metrics(name: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    assert re.search(r"X-Forwarded-For (\$remote_addr;|\{remote_host\})", text)
    assert "/metrics" in text and "404" in text
    assert "520" in text, "larger than MUSTER_MAX_FILE_MB, with room for the rest of the form"
    assert environment.number("MUSTER_MAX_FILE_MB") < 520


def test_the_alerts_are_rules_of_prometheus() -> None:
    (group,) = yaml.safe_load(alert_rules.FILE.read_text(encoding="utf-8"))["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [alert.name for alert in alert_rules.ALERTS]
    assert [rule["expr"] for rule in group["rules"]] == [alert.when for alert in alert_rules.ALERTS]
    assert all(re.fullmatch(r"\d+[mhd]", rule["for"]) for rule in group["rules"])
    assert metrics.list_families()
