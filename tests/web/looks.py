"""What is looked at on a page: barriers (axe-core), in light and in dark, in a wide window and in one of 320 pixels."""

from typing import Any

import pytest
from playwright.sync_api import Page

from scripts import assets

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = """async (rules) => {
    const found = await axe.run(document, {runOnly: {type: "tag", values: rules}, resultTypes: ["violations"]});
    return found.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))]);
}"""
_WIDER_THAN_ITS_WINDOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def barriers(page: Page) -> list[Any]:
    """Each barrier found on the page as it stands, with how it was looked at; none, if all is well."""
    if not assets.AXE.exists() or not assets.INTO.exists():
        pytest.skip("there are no styles, or no axe-core: ./test fetches them")
    found: list[Any] = []
    for colours in ("light", "dark"):
        for width in (1280, 320):
            page.emulate_media(color_scheme=colours, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": 800})
            page.evaluate(assets.AXE.read_text(encoding="utf-8"))
            found += [(colours, width, *barrier) for barrier in page.evaluate(_RUN, _RULES)]
            found += [(colours, width, "wider than its window")] * page.evaluate(_WIDER_THAN_ITS_WINDOW)
    return found
