"""What the page of an import offers for many rows at once: the problems by kind, and defaults (A7, F13, F14)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms

from musterbook.core.domain.columns import BY_HEADING
from musterbook.core.domain.file_values import DEFAULTED
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.reporting.groups import ProblemGroup
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports import plan_files, problem_groups
from musterbook.directory.imports.options import Options
from musterbook.directory.models import ImportKind
from musterbook.web import default_fields

_MOST_GROUPS = 20


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group of problems on the page. `choices`: the values that are offered for its cells."""

    group: ProblemGroup
    choices: Sequence[str]
    can_use: bool
    can_remember: bool


def list_lines(record: models.Import) -> dict[str, Any]:
    """Return the groups that the page shows, and the values that the operator mapped.

    The groups are those of several rows, and those of unknown values, most rows first.
    """
    words = snapshot_queries.read_vocabulary(record.agency)
    groups = [group for group in problem_groups.list_groups(record) if group.rows > 1 or group.can_map]
    given = Options.of_json(record.options).values
    can_plan = record.kind == ImportKind.FILE and record.state != "failed"
    lines = [_make_line(group, words, can_plan) for group in groups[:_MOST_GROUPS]]
    return {"groups": lines, "more_groups": len(groups) - len(lines), "given_values": given.items()}


def _make_line(group: ProblemGroup, words: Vocabulary, can_plan: bool) -> GroupLine:
    column = BY_HEADING.get(group.problem.column)
    can_use = can_plan and column is not None and not column.unique and group.rows <= problem_groups.MOST_CORRECTED
    can_remember = can_plan and group.can_map
    return GroupLine(group, default_fields.list_choices(column, words) if column else (), can_use, can_remember)


class DefaultsForm(forms.Form):
    """A default for each column that the file does not have."""

    def __init__(self, record: models.Import, mapped: Sequence[str], data: Any = None) -> None:
        given = Options.of_json(record.options).defaults
        super().__init__(data, prefix="default", initial=dict(given))
        absent = [column for column in DEFAULTED if column.heading not in mapped]
        self.fields |= default_fields.make_fields(absent, snapshot_queries.read_vocabulary(record.agency), given)
        for heading, text in record.agency.defaults.items():
            if heading in self.fields:
                self.fields[heading].help_text = f"Your agency's default is {text}."

    def read_choices(self) -> dict[str, str]:
        """Return the defaults that were chosen."""
        return {heading: text for heading, text in self.cleaned_data.items() if text}


def make_defaults_form(record: models.Import, data: Any = None) -> DefaultsForm | None:
    """Return the form of the defaults. Return None if the import cannot be planned again, or has all columns."""
    if record.kind != ImportKind.FILE or record.state not in {"previewed", "held", "refused"}:
        return None
    try:
        mapped = plan_files.read_header(record.number).mapped
    except plan_files.PlanGone:
        return None
    form = DefaultsForm(record, [*mapped.values()], data)
    return form if mapped and form.fields else None
