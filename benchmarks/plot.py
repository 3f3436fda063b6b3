"""The plot of seconds by rows, both in powers of ten: Musterbook, the bare limits and the peers; an SVG without any library."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from benchmarks.plans import Row
from benchmarks.targets import find_median

_PANELS = {"new": "everybody new", "unchanged": "the same file again", "changed": "1 % changed"}
_BARE = {"new": ("read", "write"), "unchanged": ("read", "select"), "changed": ("read", "select", "write")}
"""The parts of the bare limit in each panel."""
_INK = {
    "Musterbook": "#1f5fbf", "bare limit": "#6b7280", "django-import-export": "#c2410c", "Kolibri’s bulkimportusers": "#7e22ce",
}  # fmt: skip
_DASHES = {"sqlite": "", "postgresql": "6 4"}
_SHAPES = {"sqlite": "circle", "postgresql": "rect"}
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 320, 330, 62, 96, 52, 44


class NothingToDraw(Exception):
    """No case that has a panel has been measured."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel: its program, its database, and its points (rows, seconds)."""

    panel: str
    program: str
    database: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class _Scale:
    """A scale of powers of ten, from the first to the last, over that many pixels; downwards if `over` is negative."""

    first: int
    last: int
    start: float
    over: float

    def at(self, value: float) -> float:
        return self.start + self.over * (log10(value) - self.first) / (self.last - self.first)

    def ticks(self) -> range:
        return range(self.first, self.last + 1)


def list_lines(rows: Sequence[Row]) -> list[Line]:
    """Return the lines that can be drawn from the rows."""
    points: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in rows:
        for panel, program, seconds in _list_points(row):
            if seconds is not None and seconds > 0:
                points.setdefault((panel, program, row.database), {}).setdefault(row.users, seconds)
    from_below = sorted(points, key=lambda key: -list(_INK).index(key[1]))
    return [Line(*key, tuple(sorted(points[key].items()))) for key in from_below]


def _list_points(row: Row) -> Iterator[tuple[str, str, float | None]]:
    if row.case in _PANELS:
        yield row.case, "Musterbook", find_median(row, "run")
        bare = [find_median(row, name) for name in _BARE[row.case]]
        yield row.case, "bare limit", None if None in bare else sum(filter(None, bare))
    elif row.case.startswith("peer-"):
        yield row.case.removeprefix("peer-"), "django-import-export", find_median(row, "peer")
    elif row.case == "kolibri":
        yield "new", "Kolibri’s bulkimportusers", find_median(row, "peer")


def draw_plot(rows: Sequence[Row]) -> str:
    """Return the picture. Raise NothingToDraw."""
    found = list_lines(rows)
    if not found:
        raise NothingToDraw("Nothing that can be drawn has been measured yet.")
    values = [point for line in found for point in line.points]
    down = _Scale(*_find_powers(seconds for _, seconds in values), _TOP + _HEIGHT, -_HEIGHT)
    first, last = _find_powers(users for users, _ in values)
    parts = [*_draw_legend(found)]
    for number, (case, title) in enumerate(_PANELS.items()):
        across = _Scale(first, last, _LEFT + number * (_WIDTH + _GAP), _WIDTH)
        parts += _draw_grid(across, down, title, numbered=number == 0)
        parts += [part for line in found if line.panel == case for part in _draw_line(line, across, down)]
    width, height = _LEFT + len(_PANELS) * (_WIDTH + _GAP), _TOP + _HEIGHT + _BOTTOM
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"


def _find_powers(values: Iterable[float]) -> tuple[int, int]:
    """Return the powers of ten that enclose the values, at least two."""
    logs = [log10(value) for value in values]
    first = floor(min(logs))
    return first, max(ceil(max(logs)), first + 1)


def _draw_legend(found: Iterable[Line]) -> Iterator[str]:
    all_lines = list(found)
    yield _draw_text(
        _LEFT, 22, "Seconds for an import, by rows of the file (both in powers of ten)", size=15, anchor="start"
    )
    x = float(_LEFT)
    for program in (name for name in _INK if any(line.program == name for line in all_lines)):
        yield f'<rect x="{x}" y="38" width="14" height="10" fill="{_INK[program]}"/>'
        yield _draw_text(x + 20, 47, program, anchor="start")
        x += 48 + 7.2 * len(program)
    for database in (name for name in _DASHES if any(line.database == name for line in all_lines)):
        yield _draw_stroke([(x, 43), (x + 36, 43)], "#111827", _DASHES[database])
        yield _draw_mark(database, x + 18, 43, "#111827")
        yield _draw_text(x + 44, 47, _NAMES[database], anchor="start")
        x += 72 + 7.2 * len(_NAMES[database])


def _draw_grid(across: _Scale, down: _Scale, title: str, *, numbered: bool) -> Iterator[str]:
    left, right = across.start, across.start + across.over
    yield _draw_text((left + right) / 2, _TOP - 12, title, size=13)
    for power in down.ticks():
        y = down.at(10**power)
        yield _draw_stroke([(left, y), (right, y)], "#e5e7eb")
        if numbered:
            yield _draw_text(left - 8, y + 4, f"{10**power:g} s", anchor="end")
    for power in across.ticks():
        x = across.at(10**power)
        yield _draw_stroke([(x, _TOP), (x, _TOP + _HEIGHT)], "#e5e7eb")
        yield _draw_text(x, _TOP + _HEIGHT + 18, _shorten_number(10**power))
    yield _draw_text((left + right) / 2, _TOP + _HEIGHT + 38, "rows")


def _shorten_number(number: int) -> str:
    for unit, letter in ((10**6, " M"), (10**3, " k")):
        if number >= unit:
            return f"{number // unit:,}{letter}"
    return str(number)


def _draw_line(line: Line, across: _Scale, down: _Scale) -> Iterator[str]:
    ink = _INK[line.program]
    places = [(across.at(users), down.at(seconds)) for users, seconds in line.points]
    if len(places) > 1:
        yield _draw_stroke(places, ink, _DASHES[line.database], width=2)
    for (x, y), (users, seconds) in zip(places, line.points, strict=True):
        yield _draw_mark(
            line.database, x, y, ink, f"{line.program}, {_NAMES[line.database]}: {users:,} rows, {seconds:.2f} s"
        )


def _draw_stroke(places: Sequence[tuple[float, float]], ink: str, dashes: str = "", width: int = 1) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="{width}"{dashed}/>'


def _draw_mark(database: str, x: float, y: float, ink: str, title: str = "") -> str:
    tooltip = f"<title>{escape(title)}</title>" if title else ""
    if _SHAPES[database] == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{ink}">{tooltip}</circle>'
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{ink}">{tooltip}</rect>'


def _draw_text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="#111827">{escape(words)}</text>'
    )
