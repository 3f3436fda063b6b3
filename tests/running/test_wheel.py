"""The wheel: it has all that the pages need, and serves them without the repository."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.attacks.serving import free_port, wait_until
from tests.databases import Home
from tests.running.test_stopping import ask

pytestmark = pytest.mark.any_database
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `python -m hatchling build` makes it."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("musterbook-*-py3-none-any.whl")
    return made


def test_it_has_the_styles_the_catalogs_the_help_and_no_file_of_somebody(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    for needed in (
        "musterbook/web/static/uswds/css/uswds.min.css", "musterbook/web/static/uswds/img/icons.svg",
        "musterbook/web/static/muster.css", "musterbook/locale/es/LC_MESSAGES/django.mo", "musterbook/docs/how-to/serve.md",
        "musterbook/docs/reference/metrics.md",
    ):  # fmt: skip
        assert needed in names, needed
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {"musterbook"}
    assert not [
        name for name in names if re.search(r"\.(pyc|log|sqlite3|env|toml~|key|pem)$|secret-key$|__pycache__", name)
    ]
    assert str(ROOT) not in metadata and "file://" not in metadata
    assert "Requires-Dist: prometheus-client" in metadata


def test_it_serves_pages_with_styles_without_the_repository(wheel: Path, fresh_home: Home, tmp_path: Path) -> None:
    installed, port = tmp_path / "installed", free_port()
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [str(uv), "pip", "install", "--quiet", "--offline", "--no-deps", "--target", str(installed), str(wheel)],
        check=True,
    )
    # The packages that it needs are those of the tests; Musterbook itself is the one of the wheel.
    environment = {name: value for name, value in fresh_home.environment.items() if not name.startswith("COVERAGE")}
    environment |= {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    where = subprocess.run(
        [sys.executable, "-c", "import musterbook; print(musterbook.__file__)"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(installed))
    command = "from musterbook.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "serve", "--port", str(port), "--workers", "1"], env=environment, cwd=tmp_path
    )
    try:
        wait_until(lambda: _status(port) == 200, 60)
        page = ask(port, "/")[1]
        styles = re.findall(r'href="(/static/[^"]+\.css)"', page)
        assert styles
        for address in styles:
            status, text = ask(port, address)
            assert status == 200 and len(text) > 1_000, address
    finally:
        process.terminate()
        assert process.wait(40) == 0


def _status(port: int) -> int:
    try:
        return ask(port, "/readyz")[0]
    except OSError:
        return 0
