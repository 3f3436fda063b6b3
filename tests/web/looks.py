"""Barriers on a page (axe-core): in a wide window and in one of 320 pixels, and its colors in light and in dark."""

from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize

from scripts import assets

_ALL = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_PLACES = {
    "type": "rule",
    "values": ["target-size", "scrollable-region-focusable", "region", "skip-link", "link-in-text-block"],
}
"""The rules that depend on where elements are, and not only on which are shown and how."""
_COLORS = {"type": "rule", "values": ["color-contrast"]}
_RUN = """async (rules) => {
    const found = await axe.run(document, {runOnly: rules, resultTypes: ["violations"]});
    return found.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))]);
}"""
_LOOKS_DIFFERENT = """() => {
    const look = (one) => {
        const style = getComputedStyle(one), size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.5 && style.fontWeight >= 700);
        return one.checkVisibility({visibilityProperty: true}) && [one.getClientRects().length > 0, large,
            style.display, style.position, style.clip, style.clipPath, style.color, style.backgroundColor,
            style.backgroundImage, style.opacity, style.textShadow].join();
    };
    const before = window.looksBefore ?? new Map();
    window.looksBefore = new Map([...document.querySelectorAll("*")].map((one) => [one, look(one)]));
    return [...window.looksBefore].some(([one, now]) => before.get(one) !== now);
}"""
"""Whether an element is shown, or hidden, or has other colors, since this was asked last."""
_WIDER_THAN_ITS_WINDOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def barriers(page: Page) -> list[Any]:
    """Return each barrier on the page as it is now, with the colors and the width; an empty list if there is none.

    In the narrow window, only what depends on places is looked at again if all elements look as in the wide one.
    """
    if not assets.AXE.exists() or not assets.INTO.exists():
        pytest.skip("there are no styles, or no axe-core: ./test fetches them")
    if not page.evaluate("'axe' in window"):
        page.evaluate(assets.AXE.read_text(encoding="utf-8"))
    found = _look(page, "light", 1280, _ALL)
    page.evaluate(_LOOKS_DIFFERENT)
    _resize(page, 320)
    found += _look(page, "light", 320, _ALL if page.evaluate(_LOOKS_DIFFERENT) else _PLACES)
    return found + _look(page, "dark", 1280, _COLORS)  # in the dark only the colors differ


def _look(page: Page, colors: Any, width: int, rules: Any) -> list[Any]:
    page.emulate_media(color_scheme=colors, reduced_motion="reduce")
    _resize(page, width)
    found: list[Any] = [(colors, width, *barrier) for barrier in page.evaluate(_RUN, rules)]
    return found + [(colors, width, "wider than its window")] * page.evaluate(_WIDER_THAN_ITS_WINDOW)


def _resize(page: Page, width: int) -> None:
    size: ViewportSize = {"width": width, "height": 800}
    if page.viewport_size != size:
        page.set_viewport_size(size)
