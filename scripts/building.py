"""The build hook of the package: it fetches the styles of the pages and compiles the catalogs, so that users need not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Assets(BuildHookInterface):  # type: ignore[type-arg]
    """A build hook that fetches the assets before they are packed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Fetch them, except for an editable installation, where ./run and ./test fetch them."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root)))
        from scripts import assets, catalogs, setup

        catalogs.compile_stale()
        if not assets.prepare(dev=False):
            setup.fail("A package without the styles of its pages is of no use; nothing was built.")
