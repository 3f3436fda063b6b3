"""The check of the locks against known advisories: `python -m scripts.advisories`.

It queries OSV (Open Source Vulnerabilities) for every package that a lock pins. A finding fails unless `advisories.toml`
has the reason why it is harmless. If the list cannot be reached, the result is "not run", which does not mean "nothing found".
"""

import json
import os
import re
import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

from scripts import program, setup

LIST = "https://api.osv.dev/v1/querybatch"
"""The list of advisories; MUSTER_ADVISORIES names a mirror of it."""
ACCEPTED = setup.ROOT / "advisories.toml"
"""Advisory → the reason why it is harmless here, and until when that holds."""
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.MULTILINE)
_AT_ONCE, _SECONDS = 500, 30

Package = tuple[str, str, str]
"""Ecosystem, name, version."""


class NotReached(Exception):
    """The list of advisories cannot be reached."""


def main() -> int:
    """Print the findings. Return 0 if none is harmful, or if the list could not be reached."""
    packages = list_packages(setup.ROOT)
    try:
        found = find_advisories(packages)
    except NotReached as error:
        print(f"advisories: not run ({error})", flush=True)
        return 0
    harmful = {name: about for name, about in found.items() if name not in read_accepted(ACCEPTED)}
    for name, (_, package, version) in sorted(harmful.items()):
        print(
            f"{name}: {package} {version}. Update it (./lock --upgrade), or say in {ACCEPTED.name} why it does no harm."
        )
    print(f"advisories: {len(packages)} packages, {len(found)} advisories, {len(harmful)} to act on", flush=True)
    return 1 if harmful else 0


def list_packages(folder: Path) -> list[Package]:
    """Return every package that a lock of the folder pins."""
    python = {
        ("PyPI", name.lower(), version)
        for lock in folder.glob("*.lock")
        for name, version in PINNED.findall(lock.read_text(encoding="utf-8"))
    }
    listed = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    npm = {("npm", path.rpartition("node_modules/")[2], about["version"]) for path, about in listed.items() if path}
    return sorted(python | npm)


def find_advisories(packages: list[Package]) -> dict[str, Package]:
    """Return the advisories about these packages. Raise NotReached."""
    found: dict[str, Package] = {}
    for start in range(0, len(packages), _AT_ONCE):
        some = packages[start : start + _AT_ONCE]
        answers = _send_queries([_make_query(package) for package in some])
        if len(answers) != len(some):
            raise NotReached("its answer is incomplete")
        for package, answer in zip(some, answers, strict=True):
            found |= {advisory["id"]: package for advisory in answer.get("vulns", [])}
    return found


def _make_query(package: Package) -> dict[str, Any]:
    ecosystem, name, version = package
    return {"package": {"ecosystem": ecosystem, "name": name}, "version": version}


def _send_queries(queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    address = os.environ.get("MUSTER_ADVISORIES", LIST)
    request = urllib.request.Request(  # noqa: S310  (the address is ours, or that of who runs this)
        address, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310  (as above)
            results: list[dict[str, Any]] = json.load(response)["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotReached(f"{address}: {error}") from None
    return results


def read_accepted(file: Path) -> dict[str, str]:
    """Return the harmless advisories, each with its reason. Raise ValueError if a reason is missing."""
    if not file.exists():
        return {}
    reasons: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    for name, reason in reasons.items():
        if not isinstance(reason, str) or len(reason) < 20:
            raise ValueError(f"{file.name}: say in a sentence why {name} does no harm.")
    return reasons


if __name__ == "__main__":
    with program.run(__doc__):
        sys.exit(main())
