"""Reproducible random numbers in whole columns: a counter, mixed (splitmix64)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = 1 << 64


@dataclass
class Chance:
    """A source of random columns for frames that number their rows in `column`. The columns are independent of each other."""

    seed: int
    column: str = "i"
    drawn: int = 0

    def numbers(self) -> pl.Expr:
        """Return a number of 64 bits for each row."""
        self.drawn += 1
        start = (self.seed * 1_000_003 + self.drawn) * _SECOND % _WORD
        mixed = pl.col(self.column).cast(pl.UInt64) * _make_word(_STEP) + _make_word(start)
        mixed = _shift_xor(mixed, 30) * _make_word(_FIRST)
        mixed = _shift_xor(mixed, 27) * _make_word(_SECOND)
        return _shift_xor(mixed, 31)

    def below(self, limit: int) -> pl.Expr:
        """Return a number from 0 to `limit` - 1 for each row."""
        return self.numbers().mod(limit).cast(pl.Int64)

    def order(self) -> pl.Expr:
        """Return the numbers of the rows, shuffled."""
        return self.numbers().arg_sort().cast(pl.Int64)

    def one_of(self, values: Sequence[str]) -> pl.Expr:
        """Return one of the values for each row, each with the same probability."""
        return pl.lit(pl.Series(values)).gather(self.below(len(values)))

    def weighted(self, weights: Mapping[str, int]) -> pl.Expr:
        """Return one of the values for each row, by their weights."""
        return self.one_of([value for value, weight in weights.items() for _ in range(weight)])


def _make_word(value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.UInt64)


def _shift_xor(value: pl.Expr, bits: int) -> pl.Expr:
    return value.xor(value // _make_word(1 << bits))
