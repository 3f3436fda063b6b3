"""The lock files, made from pyproject.toml: every version and hash, for every platform, and no host."""

from scripts import setup

_COMPILE = ["pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--python-version", "3.11"]
_PINS = {
    setup.SETUP_LOCK: ["--group", "setup"],
    setup.RUN_LOCK: ["pyproject.toml"],
    # The versions of the tools must suit those of the product, so that one environment serves both.
    setup.DEV_LOCK: ["pyproject.toml", "--group", "dev", "--constraint", setup.RUN_LOCK.name],
    # Only its binaries are used, not the dependencies of its Python layer.
    setup.POSTGRES_LOCK: ["--group", "postgres", "--no-deps"],
    setup.ASSETS_LOCK: ["--group", "assets"],
    # Its operators alone are wanted, not what its commands need.
    setup.MUTATION_LOCK: ["--group", "mutation", "--no-deps"],
    # What they need besides are packages of the product.
    setup.PEERS_LOCK: ["--group", "peers", "--no-deps"],
}


def main(arguments: list[str]) -> int:
    """Write all Python locks. `--upgrade` and other options are passed to `uv pip compile`."""
    for lock, inputs in _PINS.items():
        setup.run_uv(*_COMPILE, *inputs, "--output-file", lock.name, *arguments)
    return 0
