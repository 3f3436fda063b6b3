"""The result of checking: trimmed, normalized and resolved cells, and the problems found."""

from dataclasses import dataclass

import polars as pl

from musterbook.core.domain.columns import Column


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """Rows whose cells have been read as values.

    `rows` holds `row` (UInt32) and the value columns of each column in `present`. A cell that has a problem is null in
    its value columns:

    - `external_id`, `first_name`, `last_name`, `location`, `phone` (E.164): String, normalized (rule C1), "" for blank.
    - `email`, `badge_number`, `username`: String as typed. `email_key`, `badge_number_key`, `username_key`: String, the
      keys that they are compared by (rule M4).
    - `status`: Boolean, true for Active.
    - `role_id`, `rank_id`, `group_id`: Int64. They are null also where RANK or the group is blank, so `rank_blank` and
      `group_blank` (Boolean) distinguish a cleared value from a wrong one. `group_inactive`: Boolean.
    - `supervisor_email`: String, normalized, "" for blank. `supervisor_email_key`: a key like that of EMAIL.

    `problems` (problems.SCHEMA) holds every problem of every row, including those that reading found. It does not
    include inactive groups: they are a problem only if the user is not in the group already (rule C7).
    """

    rows: pl.DataFrame
    present: tuple[Column, ...]
    problems: pl.DataFrame
