"""The texts in the data of `core`, which the interfaces translate where they show them."""

from __future__ import annotations

from collections.abc import Iterator

from musterbook.core.domain import columns, labels, phrases, problems
from musterbook.core.reporting import summary

Found = tuple[str, tuple[str, ...], str | None]
"""The file of a text; the text, or its singular and plural; and its context."""


def list_core_messages() -> Iterator[Found]:
    """Yield every text of `core` that a reader sees in their language."""
    for kind in problems.CATALOG.values():
        yield from _list_texts("domain/problems.py", (kind.sentence, kind.remedy))
    yield from _list_texts(
        "domain/columns.py",
        tuple(dict.fromkeys(column.about for layout in columns.LAYOUTS.values() for column in layout.columns)),
    )
    yield from _list_texts("domain/phrases.py", phrases.PHRASES)
    yield from _list_texts("domain/labels.py", labels.SOURCES)
    for pair in labels.EMAIL_COUNTS.values():
        yield _name("domain/labels.py"), pair, None
    texts, forms = summary.list_sources()
    yield from _list_texts("reporting/summary.py", tuple(texts))
    for pair in forms:
        yield _name("reporting/summary.py"), pair, None


def _list_texts(module: str, found: tuple[str, ...]) -> Iterator[Found]:
    for text in filter(None, found):
        yield _name(module), (text,), None


def _name(module: str) -> str:
    return f"musterbook/core/{module}"
