"""The texts in the data of `core`, which the interfaces translate where they show them."""

from __future__ import annotations

from collections.abc import Iterator

from musterbook.core.domain import problems

Found = tuple[str, tuple[str, ...], "str | None"]
"""The file of a text; the text, or its singular and plural; and its context."""


def list_core_messages() -> Iterator[Found]:
    """Yield every text of `core` that a reader sees in their language."""
    for kind in problems.CATALOG.values():
        for text in filter(None, (kind.sentence, kind.remedy)):
            yield "musterbook/core/domain/problems.py", (text,), None
