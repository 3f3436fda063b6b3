"""What a build of the package does first: it fetches the styles of the pages, so that whoever installs it need not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Assets(BuildHookInterface):  # type: ignore[type-arg]
    """Sees that the assets are there before they are packed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Fetch them, but not for a checkout that is worked in: there ./run and ./test do it."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root)))
        from scripts import assets, setup

        if not assets.ready(dev=False):
            setup.fail("A package without the styles of its pages is of no use; nothing was built.")
