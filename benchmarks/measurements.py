"""The stored results. Each is stored at once, so a run that is killed loses nothing, and tables can be made in pieces."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from benchmarks.plans import AGENCY_WAITS, CASES, DATABASES, FEED_WAITS, PEERS, Row

_ORDER = (*CASES, FEED_WAITS, AGENCY_WAITS, *PEERS)


class Results:
    """The rows of a file, in the order of a table. Each is written to the disk when it is put."""

    def __init__(self, folder: Path, name: str = "last") -> None:
        self._path = folder / f"{name}.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.rows = read_rows(self._path) if self._path.exists() else []

    def put(self, row: Row) -> None:
        """Store the row in place of the row of the same case, database and size."""
        self.rows = replace_row(self.rows, row)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps({"rows": [asdict(row) for row in self.rows]}, indent=1) + "\n", encoding="utf-8")
        draft.replace(self._path)


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file that `Results` wrote."""
    return [Row(**facts) for facts in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def replace_row(rows: Iterable[Row], row: Row) -> list[Row]:
    """Return the rows, with this one in place of the row with the same key, ordered by size, database and case."""
    return sorted([*(other for other in rows if other.key != row.key), row], key=_make_sort_key)


def _make_sort_key(row: Row) -> tuple[int, int, int]:
    return row.users, (*DATABASES, row.database).index(row.database), (*_ORDER, row.case).index(row.case)
