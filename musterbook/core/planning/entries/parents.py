"""Which group is part of which: circles that a file would make."""

from collections.abc import Mapping

import polars as pl

from musterbook.core.planning import cycles


def find_circles(stored: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the groups whose new parent would close a circle, each with the path of it.

    Both are group → the group that it is part of ("": none). `stored` has no circles, and all groups; `wanted` may have
    more. Every changed parent on a circle is returned, so the result does not depend on an order.
    """
    after = {**stored, **wanted}
    if not any(parent and parent != stored.get(group, "") for group, parent in wanted.items()):
        return {}
    groups = list(after)
    place = {group: at for at, group in enumerate(groups)}
    found = cycles.break_cycles(
        pl.Series([place.get(stored.get(group, "")) for group in groups], dtype=pl.Int64),
        pl.Series([place.get(after[group]) for group in groups], dtype=pl.Int64),
    )
    return {groups[at]: _format_path([groups[up] for up in found.paths[at]]) for at in found.restored}


def _format_path(path: list[str]) -> str:
    """Return a circle as text, from a group to the same group, or the first few steps of it."""
    return " → ".join(path if path[-1] == path[0] else [*path, "…"])
