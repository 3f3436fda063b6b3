"""The line ending of the last row, compared with that of the previous file (F11)."""

from dataclasses import replace

from musterbook.core.domain.problems import Problem
from musterbook.core.domain.table import Table
from musterbook.directory import models
from musterbook.directory.models import ImportKind


def note_line_end(record: models.Import, table: Table, source: str) -> Table:
    """Return the table, with a note if its last row has no line ending although that of the previous file had one.

    The previous file is that of the agency's last applied import from the same source. A row that was cut off in the
    middle has a note of its own.
    """
    if table.file.final_line_end or table.cut_off or table.problems or table.cells.is_empty():
        return table
    earlier = models.Import.objects.filter(agency=record.agency_id, kind=ImportKind.FILE, state="applied")
    facts = earlier.exclude(pk=record.pk).order_by("-pk").values_list("file_facts", "options")
    for file, options in facts[:_MOST]:
        if file.get("format") == "csv" and options.get("source", "") == source:
            had = file.get("final_line_end", False)
            return replace(table, notes=(*table.notes, Problem.of("no-final-line-end"))) if had else table
    return table


_MOST = 50
"""The number of earlier imports that are examined."""
