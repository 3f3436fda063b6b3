"""Pages of lists: by index (RFC 7644 §3.4.2.4) and by cursor (RFC 9865)."""

from collections.abc import Sequence
from typing import Any

from scim2_models import ListResponse

USUAL = 100
"""The number of resources on a page if the client asks for none."""
MOST = 200
"""The most resources on a page."""


def build_list(
    bodies: Sequence[dict[str, Any]], total: int | None = None, start: int | None = None, after: str = ""
) -> dict[str, Any]:
    """Return the JSON of a list. `start`: the index of the first; `after`: the cursor of the next page, "" for none."""
    parts: dict[str, Any] = {
        "totalResults": total, "startIndex": start, "itemsPerPage": len(bodies), "nextCursor": after or None,
    }  # fmt: skip
    known = {name: value for name, value in parts.items() if value is not None}
    return {"schemas": [str(ListResponse.__schema__)], **known, "Resources": list(bodies)}
