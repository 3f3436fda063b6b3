"""Makes the lock files anew from pyproject.toml: every version and hash, for every platform, and no host."""

from scripts import setup

_COMPILE = ["pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--python-version", "3.11"]
_PINS = {
    setup.SETUP_LOCK: ["--group", "setup"],
    setup.RUN_LOCK: ["pyproject.toml"],
    # The tools are chosen around what the product runs on, so that one environment serves both.
    setup.DEV_LOCK: ["pyproject.toml", "--group", "dev", "--constraint", setup.RUN_LOCK.name],
    # Its binaries alone are wanted, not what its Python layer needs.
    setup.POSTGRES_LOCK: ["--group", "postgres", "--no-deps"],
    setup.ASSETS_LOCK: ["--group", "assets"],
}


def main(arguments: list[str]) -> int:
    """Write all locks of Python; `--upgrade` and other options of `uv pip compile` go to it."""
    for lock, inputs in _PINS.items():
        setup.uv(*_COMPILE, *inputs, "--output-file", lock.name, *arguments)
    return 0
