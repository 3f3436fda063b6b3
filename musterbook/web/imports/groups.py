"""What the page of an import offers for many rows at once: the problems by kind, and defaults (A7, F13, F14)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from musterbook.core.domain.columns import BY_HEADING
from musterbook.core.domain.file_values import DEFAULTED
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.reporting.groups import ProblemGroup
from musterbook.directory import models
from musterbook.directory.agency.missing_names import Names
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports import plan_files, problem_groups, unknown_values
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_pages import KindFilter
from musterbook.directory.imports.problem_groups import ProblemKind
from musterbook.directory.models import FROM_FILE, ImportKind
from musterbook.web import default_fields
from musterbook.web.imports import decisions
from musterbook.web.imports.decisions import Button
from musterbook.web.permission import may

_MOST_SHOWN = 3
"""The kinds that are shown at once. The others are in a fold, so that the first wrong row is on the first screen."""
_MOST_KINDS = 50


@dataclass(frozen=True, slots=True)
class KindLine:
    """A kind of problem on the page, and what can be done about all of its rows."""

    group: ProblemGroup
    others: int
    """The number of other values that have the problem too."""
    choices: Sequence[str]
    """The values that are offered for its cells."""
    can_use: bool
    can_remember: bool
    can_clear: bool
    """Whether the cells can be left blank."""
    creates: str
    """The role, rank or group that can be created from the value, as kind and name; "" for none."""
    decisions: Sequence[Button]
    names_column: bool
    """Whether the message itself names the column."""
    show: str
    """The query of the address that shows its rows."""


def list_lines(request: HttpRequest, record: models.Import, *, can_plan: bool) -> dict[str, Any]:
    """Return the kinds of problems that the page shows, most rows first, and the names that can be created for them."""
    words = snapshot_queries.read_vocabulary(record.agency)
    kinds = problem_groups.list_kinds(record)
    names = _list_creatable(request, record, kinds) if can_plan else Names()
    lines = [_make_line(kind, words, can_plan and record.kind in FROM_FILE, names) for kind in kinds[:_MOST_KINDS]]
    shown = [line for line in lines if line.group.rows > 1 or line.can_remember][:_MOST_SHOWN]
    return {
        "kinds": shown,
        "other_kinds": [line for line in lines if line not in shown],
        "more_kinds": len(kinds) - len(lines),
        "creatable": len(names) if len(names) > 1 else 0,
    }


def _list_creatable(request: HttpRequest, record: models.Import, kinds: Sequence[ProblemKind]) -> Names:
    """Return the roles, ranks and groups that the file names, that do not exist, and that the user may create."""
    if not any(kind.group.can_map for kind in kinds):
        return Names()
    return keep_creatable(request, unknown_values.list_missing(record).names)


def keep_creatable(request: HttpRequest, names: Names) -> Names:
    """Return those of the roles, ranks and groups that the user may create."""
    allowed = {name: may(request, f"{name}.manage") for name in ("roles", "ranks", "groups")}
    return Names(**{name: getattr(names, name) if allowed[name] else () for name in allowed})


_CREATED = {"unknown-role": "roles", "unknown-rank": "ranks", "unknown-group": "groups"}
"""The code of a problem → the kind of name that is missing."""


def _make_line(kind: ProblemKind, words: Vocabulary, can_plan: bool, names: Names) -> KindLine:
    group, problem = kind.group, kind.group.problem
    column = BY_HEADING.get(problem.column)
    can_use = can_plan and column is not None and not column.unique and group.rows <= problem_groups.MOST_CORRECTED
    missing = getattr(names, _CREATED[problem.code]) if problem.code in _CREATED else ()
    query = QueryDict(mutable=True)
    value = problem.value if group.can_map else None
    query.update({"show": "errored"} | make_query(KindFilter(problem.code, problem.column, value)))
    return KindLine(
        group,
        kind.values - 1,
        default_fields.list_choices(column, words) if column else (),
        can_use,
        can_plan and group.can_map,
        can_use and column is not None and not column.required and not group.suggestion,
        f"{_CREATED[problem.code]} {problem.value}" if problem.value in missing else "",
        decisions.list_for_kind(problem) if can_plan else (),
        problem.column.casefold() in problem.message.casefold(),
        query.urlencode(),
    )


def make_query(kind: KindFilter) -> dict[str, str]:
    """Return the query of an address that shows the rows with this kind of problem."""
    value = {} if kind.value is None else {"value": kind.value}
    return {"code": kind.code, "column": kind.column} | value


def read_kind(request: HttpRequest) -> KindFilter | None:
    """Return the kind of problem that a request asks for, or None."""
    code, column = request.GET.get("code", ""), request.GET.get("column", "")
    return KindFilter(code, column, request.GET.get("value")) if code else None


def describe_given(record: models.Import) -> Iterable[tuple[str, Mapping[str, str]]]:
    """Return the values that the operator mapped, by column."""
    return Options.of_json(record.options).values.items()


class DefaultsForm(forms.Form):
    """A default for each column that the file does not have."""

    def __init__(self, record: models.Import, mapped: Sequence[str], data: Any = None) -> None:
        given = Options.of_json(record.options).defaults
        super().__init__(data, prefix="default", initial=dict(given))
        absent = [column for column in DEFAULTED if column.heading not in mapped]
        self.fields |= default_fields.make_fields(absent, snapshot_queries.read_vocabulary(record.agency), given)
        for heading, text in record.agency.defaults.items():
            if heading in self.fields:
                self.fields[heading].help_text = _("Your agency’s default is %(default)s.") % {"default": text}

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
