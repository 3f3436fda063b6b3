"""Cycles among supervisors: the requested links that must stay as they were, so that no cycle is left (M9).

People are numbers here, and a graph is a series: it holds the supervisor's number at the position of each person, null
for none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

_MAX_STEPS = 6
"""The maximum number of steps of a cycle that a note shows to a person."""

_NO_SUPERVISOR = -1
"""The supervisor of people at the top."""


@dataclass(frozen=True, slots=True)
class BrokenCycles:
    """The result of breaking cycles.

    - `back`: the people whose link stays as it was.
    - `around`: for everyone who was on a cycle, the people above them: the whole cycle up to and including themselves,
      or the first few.
    """

    back: list[int] = field(default_factory=list)
    around: dict[int, list[int]] = field(default_factory=dict)


def break_cycles(stored: pl.Series, asked: pl.Series) -> BrokenCycles:
    """Put links of `asked` back to `stored` where they close a cycle, until there is none.

    All changed links of a cycle go back, and this may close another cycle. A cycle exists until one of its links goes
    back, and no person is on two cycles at once. So the order in which cycles are found does not matter.
    """
    changed = asked.ne_missing(stored) & asked.is_not_null()
    around = _find_on_cycles(asked)
    beginnings = around.filter(changed.gather(around))
    if beginnings.is_empty():
        return BrokenCycles()
    # A person whose link is cleared is at the top. A cycle in the directory, which no import makes, must not hang an
    # import.
    fixed = stored.set(asked.is_null(), None).fill_null(_NO_SUPERVISOR).scatter(_find_on_cycles(stored), _NO_SUPERVISOR)
    return _Search(fixed.to_list(), asked.fill_null(_NO_SUPERVISOR).to_list(), changed.to_list()).run(
        beginnings.to_list()
    )


def _find_on_cycles(graph: pl.Series) -> pl.Series:
    """Return everyone on a cycle, by doubling in n log n.

    After 2^k ≥ n steps up, a person who is not past the top is on a cycle, and everyone on the cycle is reached.
    """
    jump, steps = graph, 1
    while steps < len(graph) and jump.null_count() < len(jump):
        jump, steps = jump.gather(jump), steps * 2
    return jump.drop_nulls().unique().sort()


class _Search:
    """A search upward from people on cycles, which follows each link about once.

    `open` marks the people whose link may go back. The links between them are fixed, and are skipped once they are
    known.
    """

    def __init__(self, stored: list[int], asked: list[int], changed: list[bool]) -> None:
        self.stored, self.asked, self.open = stored, asked, changed
        self.to_open, self.to_untold = list(stored), list(stored)
        self.done: set[int] = set()
        self.found = BrokenCycles()

    def run(self, beginnings: list[int]) -> BrokenCycles:
        """Walk up from the beginnings, and again from everyone whose link goes back."""
        waiting = beginnings[::-1]
        while waiting:
            waiting += self._walk(waiting.pop())
        return self.found

    def _walk(self, start: int) -> list[int]:
        """Walk up to the top or to a person already passed, and break cycles on the way.

        Return the people who were on the cycles.
        """
        path: list[int] = []
        position: dict[int, int] = {}
        freed: list[int] = []
        node = self._next_open(start)
        while node != _NO_SUPERVISOR and node not in self.done:
            if node not in position:
                position[node] = len(path)
                path.append(node)
            else:
                cycle, path = path[position[node] :], path[: position[node]]
                self._break(cycle)
                freed += cycle
            node = self._next_open(self.asked[path[-1]]) if path else _NO_SUPERVISOR
        self.done.update(path)
        return freed

    def _next_open(self, node: int) -> int:
        passed = []
        while node != _NO_SUPERVISOR and not self.open[node]:
            passed.append(node)
            node = self.to_open[node]
        for one in passed:
            self.to_open[one] = node
        return node

    def _break(self, cycle: list[int]) -> None:
        around = self.found.around
        for first in cycle:
            for node in self._fixed_after(first):
                around[node] = self._ahead(node)
        around.update({node: self._ahead(node) for node in cycle})
        for node in cycle:
            self.open[node] = False
        self.found.back.extend(cycle)

    def _fixed_after(self, first: int) -> Iterator[int]:
        """Yield the people between an open person and the next one.

        People whose cycle has been recorded already are left out.
        """
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
        while len(ahead) <= _MAX_STEPS and (len(ahead) == 1 or ahead[-1] != node):
            here = ahead[-1]
            ahead.append(self.asked[here] if self.open[here] else self.stored[here])
        return ahead
