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

    - `restored`: the people whose link stays as it was.
    - `paths`: for everyone who was on a cycle, the people above them: the whole cycle up to and including themselves,
      or the first few.
    """

    restored: list[int] = field(default_factory=list)
    paths: dict[int, list[int]] = field(default_factory=dict)


def break_cycles(stored: pl.Series, requested: pl.Series) -> BrokenCycles:
    """Put links of `requested` back to `stored` where they close a cycle, until there is none.

    All changed links of a cycle go back, and this may close another cycle. A cycle exists until one of its links goes
    back, and no person is on two cycles at once. So the order in which cycles are found does not matter.
    """
    changed = requested.ne_missing(stored) & requested.is_not_null()
    on_cycles = _find_on_cycles(requested)
    beginnings = on_cycles.filter(changed.gather(on_cycles))
    if beginnings.is_empty():
        return BrokenCycles()
    # A person whose link is cleared is at the top. A cycle in the directory, which no import makes, must not hang an
    # import.
    fixed = (
        stored.set(requested.is_null(), None).fill_null(_NO_SUPERVISOR).scatter(_find_on_cycles(stored), _NO_SUPERVISOR)
    )
    return _Search(fixed.to_list(), requested.fill_null(_NO_SUPERVISOR).to_list(), changed.to_list()).run(
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

    def __init__(self, stored: list[int], requested: list[int], changed: list[bool]) -> None:
        self.stored, self.requested, self.open = stored, requested, changed
        self.to_open, self.to_unrecorded = list(stored), list(stored)
        self.finished: set[int] = set()
        self.result = BrokenCycles()

    def run(self, beginnings: list[int]) -> BrokenCycles:
        """Walk up from the beginnings, and again from everyone whose link goes back."""
        waiting = beginnings[::-1]
        while waiting:
            waiting += self._walk(waiting.pop())
        return self.result

    def _walk(self, start: int) -> list[int]:
        """Walk up to the top or to a person already passed, and break cycles on the way.

        Return the people who were on the cycles.
        """
        path: list[int] = []
        position: dict[int, int] = {}
        freed: list[int] = []
        node = self._next_open(start)
        while node != _NO_SUPERVISOR and node not in self.finished:
            if node not in position:
                position[node] = len(path)
                path.append(node)
            else:
                cycle, path = path[position[node] :], path[: position[node]]
                self._break(cycle)
                freed += cycle
            node = self._next_open(self.requested[path[-1]]) if path else _NO_SUPERVISOR
        self.finished.update(path)
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
        paths = self.result.paths
        for first in cycle:
            for node in self._fixed_after(first):
                paths[node] = self._list_above(node)
        paths.update({node: self._list_above(node) for node in cycle})
        for node in cycle:
            self.open[node] = False
        self.result.restored.extend(cycle)

    def _fixed_after(self, first: int) -> Iterator[int]:
        """Yield the people between an open person and the next one.

        People whose cycle has been recorded already are left out.
        """
        node = self._next_unrecorded(self.requested[first])
        while not self.open[node]:
            yield node
            node = self._next_unrecorded(self.stored[node])

    def _next_unrecorded(self, node: int) -> int:
        passed = []
        while node in self.result.paths:
            passed.append(node)
            node = self.to_unrecorded[node]
        for one in passed:
            self.to_unrecorded[one] = node
        return node

    def _list_above(self, node: int) -> list[int]:
        chain = [node]
        while len(chain) <= _MAX_STEPS and (len(chain) == 1 or chain[-1] != node):
            here = chain[-1]
            chain.append(self.requested[here] if self.open[here] else self.stored[here])
        return chain
