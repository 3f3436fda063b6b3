"""Barriers on a page (axe-core): in a wide window and in one of 320 pixels, and its colors in light and in dark."""

from typing import Any

import pytest
from playwright.sync_api import Page

from scripts import assets

_ALL = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_COLORS = {"type": "rule", "values": ["color-contrast"]}
_LOOKS: tuple[tuple[Any, int, Any], ...] = (("light", 1280, _ALL), ("light", 320, _ALL), ("dark", 1280, _COLORS))
"""In the dark only the colors differ."""
_RUN = """async (rules) => {
    const found = await axe.run(document, {runOnly: rules, resultTypes: ["violations"]});
    return found.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))]);
}"""
_WIDER_THAN_ITS_WINDOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def barriers(page: Page) -> list[Any]:
    """Return each barrier on the page as it is now, with the colors and the width; an empty list if there is none."""
    if not assets.AXE.exists() or not assets.INTO.exists():
        pytest.skip("there are no styles, or no axe-core: ./test fetches them")
    found: list[Any] = []
    # A link that was clicked may lead to a page that is still empty.
    page.wait_for_load_state()
    if not page.evaluate("'axe' in window"):
        page.evaluate(assets.AXE.read_text(encoding="utf-8"))
    for colors, width, rules in _LOOKS:
        page.emulate_media(color_scheme=colors, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        found += [(colors, width, *barrier) for barrier in page.evaluate(_RUN, rules)]
        found += [(colors, width, "wider than its window")] * page.evaluate(_WIDER_THAN_ITS_WINDOW)
    return found
