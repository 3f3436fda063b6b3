"""What checking gives: cells trimmed, normalised and resolved, beside the problems that were found."""

from dataclasses import dataclass

import polars as pl

from musterbook.core.domain.columns import Column


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """Rows whose cells have been read as values.

    `rows`: `row` (UInt32), then for each column of `present` (a cell that has a problem is null in its value columns):

    - `external_id`, `first_name`, `last_name`, `location`, `phone` (E.164): String, normalised (rule C1), "" for blank;
    - `email`, `badge_number`, `username`: String as typed, and `email_key`, `badge_number_key`, `username_key`: String,
      what they are compared by (rule M4);
    - `status`: Boolean, true for Active;
    - `role_id`, `rank_id`, `group_id`: Int64; null also where RANK or the group is blank, so `rank_blank` and
      `group_blank` (Boolean) tell a cleared one from a wrong one; `group_inactive` Boolean;
    - `supervisor_email`: String, normalised, "" for blank, and `supervisor_email_key`, as EMAIL's.

    `problems` (problems.SCHEMA) holds every problem of every row, those that reading found among them. Inactive groups
    are not among them: whether that is a problem depends on whether the user has the group already (rule C7).
    """

    rows: pl.DataFrame
    present: tuple[Column, ...]
    problems: pl.DataFrame
