"""The header row of a file: the row that has the required headings, or the row that is named (rule F12)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from musterbook.core.domain.columns import USERS, Layout
from musterbook.core.domain.problems import Problem
from musterbook.core.reading import headings, suggestions
from musterbook.core.reading.grid import HeaderRow, Refusal, is_blank

LAST = 30
"""The last row that is tried as the header row, unless another one is named."""
_MIN_NAMES = 4
"""The number of column names in one row that identify it as the intended header row."""
_MOST_CELLS = 200


@dataclass(frozen=True, slots=True)
class HeaderChoice:
    """What is known of the header row before the file is read.

    `mapping`: heading → columns. `layout`: the columns that the file has. `named`: the row that the operator names.
    `remembered`: the row of earlier files.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    layout: Layout = USERS
    named: int | None = None
    remembered: int | None = None

    def fits(self, cells: Sequence[str]) -> bool:
        """Return whether the cells have all required headings, as written or as mapped."""
        return headings.has_required(cells, self.mapping, self.layout)

    @property
    def last(self) -> int:
        """Return the last row that must be examined."""
        return max(LAST, self.named or 0, self.remembered or 0)


def find_header_row(rows: Mapping[int, Sequence[str]], choice: HeaderChoice) -> HeaderRow:
    """Return the header row among the first rows of a file, by number. Raise Refusal if the named row does not exist."""
    if choice.named:
        if choice.named not in rows:
            raise Refusal(Problem.of("no-such-row", value=str(choice.named)))
        return _make_header(rows, choice.named)
    if choice.fits(rows.get(1, ())):
        return _make_header(rows, 1)
    complete = [number for number in rows if number <= LAST and choice.fits(rows[number])]
    if complete and _are_same([rows[number] for number in complete]):
        return _make_header(rows, complete[0])
    known = {
        number: headings.count_known(cells[:_MOST_CELLS], choice.mapping, choice.layout)
        for number, cells in rows.items()
    }
    remembered = choice.remembered or 0
    if not complete and known.get(remembered, 0) > known.get(1, 0):
        return _make_header(rows, remembered)
    number = 1 if complete else _guess_row(rows, known, choice.layout)
    return _make_header(rows, number, sure=number == 1, others=tuple(complete))


def has_header(rows: Sequence[Sequence[str]], choice: HeaderChoice) -> bool:
    """Return whether one of the first rows of a file has the required headings."""
    return any(choice.fits(row[:_MOST_CELLS]) for row in rows[:LAST])


def rate_rows(rows: Sequence[Sequence[str]], choice: HeaderChoice) -> tuple[bool, int, int]:
    """Return how well rows fit as the beginning of a file.

    The three values are: whether one has the required headings; the most column names in one; the most headings in
    other words in one.
    """
    parts = [row[:_MOST_CELLS] for row in rows[:LAST]]
    complete = has_header(rows, choice)
    known = max((headings.count_known(part, choice.mapping, choice.layout) for part in parts), default=0)
    likely = 0 if complete else max((suggestions.count_likely(part) for part in parts), default=0)
    return complete, known, likely


def _are_same(rows: Sequence[Sequence[str]]) -> bool:
    return len({tuple(map(headings.normalize_heading, row)) for row in rows}) == 1


def _guess_row(rows: Mapping[int, Sequence[str]], known: Mapping[int, int], layout: Layout) -> int:
    """Return the row that seems to be the header row although columns are missing. Without a better one, it is row 1."""
    scores = {
        number: max(known[number], suggestions.count_likely(cells[:_MOST_CELLS]))
        for number, cells in rows.items()
        if number <= LAST
    }
    best = max(scores, key=lambda number: (scores[number], -number), default=1)
    return best if scores.get(best, 0) >= max(min(_MIN_NAMES, len(layout.required)), 2 * scores.get(1, 0)) else 1


def _make_header(
    rows: Mapping[int, Sequence[str]], number: int, *, sure: bool = True, others: tuple[int, ...] = ()
) -> HeaderRow:
    above = tuple((at, tuple(rows[at])) for at in sorted(rows) if at < number and not all(map(is_blank, rows[at])))
    return HeaderRow(number, tuple(rows.get(number, ())), above, sure, tuple(at for at in others if at != number))
