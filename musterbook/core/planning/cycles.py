"""Circles among supervisors: which links that a file asks for must stay as they were, so that none is left (M9).

People are numbers here, and a graph is a series: the supervisor's number at the place of each person, null for none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

_STEPS = 6
"""A circle is told to a person for so many steps."""

_NOBODY = -1
"""Above whoever is at the top."""


@dataclass(frozen=True, slots=True)
class Circles:
    """What became of circles: `back`, the people whose link stays as it was; and of everybody who stood on a circle the
    people upwards from them: all of the circle, themselves at its end again, or the first few.
    """

    back: list[int] = field(default_factory=list)
    around: dict[int, list[int]] = field(default_factory=dict)


def broken(stored: pl.Series, asked: pl.Series) -> Circles:
    """Puts links of `asked` back to `stored` where they close a circle, until there is none.

    All changed links of a circle go back; that may close another circle. A circle keeps until a link of it goes back,
    and no person stands on two at once, so the order in which they are found does not matter.
    """
    changed = asked.ne_missing(stored) & asked.is_not_null()
    around = _on_circles(asked)
    beginnings = around.filter(changed.gather(around))
    if beginnings.is_empty():
        return Circles()
    # Whoever is cleared is at the top; and a circle in the directory, which no import makes, must not hang one.
    fixed = stored.set(asked.is_null(), None).fill_null(_NOBODY).scatter(_on_circles(stored), _NOBODY)
    return _Search(fixed.to_list(), asked.fill_null(_NOBODY).to_list(), changed.to_list()).run(beginnings.to_list())


def _on_circles(graph: pl.Series) -> pl.Series:
    """Everybody on a circle, by doubling: n log n.

    After 2^k ≥ n steps upwards whoever is not past the top is on a circle, and everybody of a circle is reached.
    """
    jump, steps = graph, 1
    while steps < len(graph) and jump.null_count() < len(jump):
        jump, steps = jump.gather(jump), steps * 2
    return jump.drop_nulls().unique().sort()


class _Search:
    """One search: upwards from people on circles, each link followed about once.

    `open` are the people whose link may go back. Between them links are fixed, and are jumped over once they are known.
    """

    def __init__(self, stored: list[int], asked: list[int], changed: list[bool]) -> None:
        self.stored, self.asked, self.open = stored, asked, changed
        self.to_open, self.to_untold = list(stored), list(stored)
        self.done: set[int] = set()
        self.found = Circles()

    def run(self, beginnings: list[int]) -> Circles:
        """Walks up from the beginnings, and again from everybody whose link goes back."""
        waiting = beginnings[::-1]
        while waiting:
            waiting += self._walk(waiting.pop())
        return self.found

    def _walk(self, start: int) -> list[int]:
        """Walks up to the top or to who has been passed, breaking circles; gives who was on them."""
        path: list[int] = []
        place: dict[int, int] = {}
        freed: list[int] = []
        node = self._next_open(start)
        while node != _NOBODY and node not in self.done:
            if node not in place:
                place[node] = len(path)
                path.append(node)
            else:
                circle, path = path[place[node] :], path[: place[node]]
                self._break(circle)
                freed += circle
            node = self._next_open(self.asked[path[-1]]) if path else _NOBODY
        self.done.update(path)
        return freed

    def _next_open(self, node: int) -> int:
        passed = []
        while node != _NOBODY and not self.open[node]:
            passed.append(node)
            node = self.to_open[node]
        for one in passed:
            self.to_open[one] = node
        return node

    def _break(self, circle: list[int]) -> None:
        around = self.found.around
        for first in circle:
            for node in self._fixed_after(first):
                around[node] = self._ahead(node)
        around.update({node: self._ahead(node) for node in circle})
        for node in circle:
            self.open[node] = False
        self.found.back.extend(circle)

    def _fixed_after(self, first: int) -> Iterator[int]:
        """Whoever stands between an open person and the next, without those who have been told of a circle already."""
        node = self._untold(self.asked[first])
        while not self.open[node]:
            yield node
            node = self._untold(self.stored[node])

    def _untold(self, node: int) -> int:
        passed = []
        while node in self.found.around:
            passed.append(node)
            node = self.to_untold[node]
        for one in passed:
            self.to_untold[one] = node
        return node

    def _ahead(self, node: int) -> list[int]:
        ahead = [node]
        while len(ahead) <= _STEPS and (len(ahead) == 1 or ahead[-1] != node):
            here = ahead[-1]
            ahead.append(self.asked[here] if self.open[here] else self.stored[here])
        return ahead
