"""*Match columns and values*: what the headings and the unknown values of an import's file mean (F4, F13)."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from musterbook.core.checking import meanings
from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column
from musterbook.core.domain.file_values import MAPPED
from musterbook.directory import models, permissions
from musterbook.directory.agency import missing_names
from musterbook.directory.agency.missing_names import Names
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports import entry_files, first_steps, plan_files, unknown_values
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.unknown_values import Missing, UnknownValue
from musterbook.directory.models import FROM_FILE, ImportKind
from musterbook.http import request_context
from musterbook.web.imports import actions, guard
from musterbook.web.imports.match_form import ColumnsForm, ValuesForm
from musterbook.web.permission import get_account, refuse

_STATES = ("previewed", "held", "refused", "applied")


@require_http_methods(["GET", "POST"])
@guard.for_import
def match(request: HttpRequest, number: str) -> HttpResponseBase:
    """Show the headings and unknown values of the file with their likely meanings. A POST plans the file with these."""
    record = actions.find_import(request, number)
    if record.kind not in FROM_FILE or record.state not in _STATES:
        return redirect("import", number)
    sent = request.POST if request.method == "POST" else None
    try:
        record = _find_plan(request, record)
        headings_form = make_columns_form(record, sent)
    except plan_files.PlanGone:
        messages.error(request, _("The file of this import is no longer kept. Upload it again."))
        return redirect("import", number)
    if not headings_form.has_headings:
        return redirect("import", number)
    values_form = _make_values_form(request, record, sent)
    if sent is None or not (headings_form.is_valid() and values_form.is_valid()):
        return _render(request, record, headings_form, values_form)
    return _plan_again(request, record, headings_form, values_form)


def _find_plan(request: HttpRequest, record: models.Import) -> models.Import:
    """Return the plan in the place of the import, if it has the same headings. Raise PlanGone."""
    current = actions.find_plan(request, record.number)
    same = current.pk != record.pk and current.state in _STATES
    same = same and plan_files.read_header(current.number).headings == plan_files.read_header(record.number).headings
    return current if same else record


def make_columns_form(record: models.Import, data: Any = None) -> ColumnsForm:
    """Return the form for the headings of the import's file. Raise PlanGone."""
    options = Options.of_json(record.options)
    words = snapshot_queries.read_vocabulary(record.agency)
    defaults = {**record.agency.defaults, **options.defaults}
    return ColumnsForm(
        plan_files.read_header(record.number), options.mapping, options.layout, words, defaults, data
    )  # fmt: skip


def _make_values_form(request: HttpRequest, record: models.Import, data: Any = None) -> ValuesForm:
    unknown = unknown_values.list_unknown(record) if record.kind == ImportKind.FILE else []
    words = snapshot_queries.read_vocabulary(record.agency)
    is_first = bool(unknown) and first_steps.is_first(record)
    if is_first:
        unknown.sort(key=_rank_value)
    return ValuesForm(unknown, words, _list_creatable(request), data, prefers_create=is_first)


def _rank_value(one: UnknownValue) -> tuple[int, int]:
    """Return the place of a value in the list: most rows first, but ranks as they are created, fewest rows first."""
    return MAPPED.index(one.column), one.rows if one.column is columns.RANK else -one.rows


def _list_creatable(request: HttpRequest) -> list[Column]:
    """Return the columns whose missing names the signed-in user may create."""
    allowed = permissions.get_permissions(get_account(request).user.role)
    needed = {
        columns.ROLE: {"roles.manage"},
        columns.RANK: {"ranks.manage"},
        columns.EVIDENCE_GROUP_EXT_ID: {"groups.manage"},
    }
    return [column for column, names in needed.items() if names <= allowed]


def _render(
    request: HttpRequest, record: models.Import, headings_form: ColumnsForm, values_form: ValuesForm
) -> HttpResponseBase:
    wrong = headings_form.is_bound
    context = {
        "record": record,
        "columns": headings_form,
        "values": values_form,
        "is_first": bool(values_form.lines) and first_steps.is_first(record),
        "upload_page": guard.get_upload_page(entry_files.get_layout(record)),
        "may_create": bool(_list_creatable(request)),
        "wrong": [*_list_errors(headings_form), *_list_errors(values_form)] if wrong else [],
        "wrong_form": headings_form if headings_form.errors else values_form,
    }
    return render(request, "import_match.html", context, status=422 if wrong else 200)


def _list_errors(form: ColumnsForm | ValuesForm) -> list[tuple[str, str]]:
    """Return each error of the form with the id of its control ("" for none)."""
    found = [("", str(error)) for error in form.non_field_errors()]
    return found + [(field.auto_id or "", f"{field.label}: {error}") for field in form for error in field.errors]


def _plan_again(
    request: HttpRequest, record: models.Import, headings_form: ColumnsForm, values_form: ValuesForm
) -> HttpResponseBase:
    """Create the names, and plan the file again with the mapping, the values and the defaults."""
    options = Options.of_json(record.options)
    given = values_form.read_meanings()
    try:
        created = missing_names.create(
            record.agency, request_context.audit_context(request), _order_names(values_form)
        )  # fmt: skip
    except permissions.NotPermitted as lacking:
        return refuse(request, *str(lacking).split(", "))
    except (NotAllowed, InvalidValue) as wrong:
        messages.error(request, str(wrong))
        return redirect("import_match", record.number)
    if len(created):
        messages.success(request, describe_created(created))
    changes: dict[str, Any] = {
        "mapping": {**options.mapping, **headings_form.read_mapping()},
        "values": meanings.merge_meanings(options.values, given),
        "defaults": {**options.defaults, **headings_form.read_defaults()},
    }
    facts = [*created.roles, *created.ranks, *created.groups]
    return actions.preview_again(request, record, "", facts=facts, match_values=not values_form.lines, **changes)


def _order_names(values_form: ValuesForm) -> Names:
    """Return the names to create, ranks with the fewest rows first."""
    chosen = values_form.list_created()
    of = {column: tuple(one for one in chosen if one.column is column) for column in (columns.ROLE, columns.RANK)}
    groups = tuple(one for one in chosen if one.column is columns.EVIDENCE_GROUP_EXT_ID)
    return Missing(of[columns.ROLE], tuple(sorted(of[columns.RANK], key=lambda one: one.rows)), groups).names


def describe_created(created: Names) -> str:
    """Return the sentences that say what was created."""
    sentences = [
        ngettext("%(number)s role created.", "%(number)s roles created.", len(created.roles)),
        ngettext("%(number)s rank created.", "%(number)s ranks created.", len(created.ranks)),
        ngettext("%(number)s group created.", "%(number)s groups created.", len(created.groups)),
    ]
    numbers = (len(created.roles), len(created.ranks), len(created.groups))
    return " ".join(text % {"number": f"{number:,}"} for text, number in zip(sentences, numbers, strict=True) if number)
