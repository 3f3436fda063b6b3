"""The results file and the errors file of an import that was made before, from its file and its plan as they are kept (A2)."""

from typing import Literal

import polars as pl

from musterbook.core import problems, results
from musterbook.core.report import told_rows
from musterbook.directory import imports, kept_files, kept_plans, models
from musterbook.directory.imports import Options, Upload


def file(record: models.Import, which: Literal["results", "errors"]) -> bytes:
    """The rows of the file with what became of each, or those with problems alone. Raises FileGone, PlanGone."""
    upload = Upload(kept_files.content(record.number), record.file_name)
    mapped = kept_plans.file(record.number).mapped
    table = imports.read(record.agency, upload, Options.of_json(record.options), mapped)
    found = kept_plans.part(record.number, "problems").filter(~pl.col("note")).collect()
    rows = kept_plans.part(record.number, "rows").collect()
    made = results.results_file if which == "results" else results.errors_file
    return made(table, told_rows(rows, problems.of(found)))
