"""How the cases of the laws are chosen: by Hypothesis, which makes a failing one smaller, or at random from a number."""

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Protocol, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


class Chooser(Protocol):
    """Makes the choices of a case."""

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""

    def number(self, most: int) -> int:
        """A number from 0 to `most`."""


@cache
def _numbers(most: int) -> SearchStrategy[int]:
    """A strategy is checked when it is first drawn from, which takes longer than to draw."""
    return st.integers(0, most)


class _Drawn:
    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(len(options) - 1)]

    def number(self, most: int) -> int:
        return self._draw(_numbers(most))


class _Seeded:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def pick(self, options: Sequence[T]) -> T:
        return self._random.choice(options)

    def number(self, most: int) -> int:
        return self._random.randint(0, most)


def make_seeded(make: Callable[[Chooser], T], seed: int) -> T:
    """What `make` makes at random, always the same for one number."""
    return make(_Seeded(seed))


def strategy(make: Callable[[Chooser], T]) -> SearchStrategy[T]:
    """A strategy for what `make` makes. Half of it is random: Hypothesis alone varies its examples less."""

    @st.composite
    def drawn(draw: st.DrawFn) -> T:
        return make(_Drawn(draw))

    return st.one_of(drawn(), st.integers(0, 2**32).map(lambda seed: make_seeded(make, seed)))
