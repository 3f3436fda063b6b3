"""Charts of the pages: the positions of their bars. A template draws them as SVG, so that no script is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

STEP, BAR, HEIGHT, TOP = 20, 14, 60, 18
"""The width of a day and of its bar, the height of the highest bar, and the room above it for its number."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its day and number, and its place."""

    day: date
    number: int
    x: int
    y: float
    height: float
    is_highest: bool

    @property
    def middle(self) -> float:
        """Return the middle of the bar, for its number."""
        return self.x + BAR / 2


@dataclass(frozen=True, slots=True)
class BarChart:
    """The bars of one series, with a scale of their own."""

    name: str
    label: str
    bars: list[Bar]
    total: int
    highest: int

    @property
    def width(self) -> int:
        """Return the width of the drawing."""
        return len(self.bars) * STEP

    @property
    def height(self) -> int:
        """Return the height of the drawing."""
        return TOP + HEIGHT

    @property
    def bar_width(self) -> int:
        """Return the width of a bar."""
        return BAR


def make_bars(name: str, label: str, numbers: Sequence[tuple[date, int]]) -> BarChart:
    """Return the bars of a series. A number above zero has a bar that can be seen; the highest has its number above."""
    highest = max((number for _, number in numbers), default=0)
    bars: list[Bar] = []
    for place, (day, number) in enumerate(numbers):
        height = round(max(number / highest * HEIGHT, 2.0), 1) if number else 0.0
        first_highest = number == highest > 0 and not any(bar.is_highest for bar in bars)
        bars.append(
            Bar(day, number, place * STEP + (STEP - BAR) // 2, round(TOP + HEIGHT - height, 1), height, first_highest)
        )
    return BarChart(name, label, bars, sum(number for _, number in numbers), highest)
