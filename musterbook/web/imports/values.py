"""Acts on an import's page: one action for all rows with the same problem, and defaults for its file (A7, F13, F14)."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from musterbook.core.checking import meanings
from musterbook.core.domain.columns import BY_HEADING
from musterbook.core.domain.file_values import MAPPED
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.imports import plan_changes
from musterbook.directory.imports.drafts import TooManyFixes
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_changes import NewValue
from musterbook.web.imports import actions, guard
from musterbook.web.imports.groups import make_defaults_form

_LONGEST = 10_000
"""The most characters of a value that is read from the form."""


@require_POST
@guard.for_import
def fix_group(request: HttpRequest, number: str) -> HttpResponseBase:
    """Plan the file again with another value in all rows of a group, or with the value mapped and remembered (F13)."""
    record = actions.find_plan(request, number)
    names = ("code", "column", "value", "text")
    code, heading, value, text = (request.POST.get(name, "")[:_LONGEST].replace("\0", "") for name in names)
    column = BY_HEADING.get(heading)
    fix = NewValue(code, heading, None if request.POST.get("any") else value, text)
    if column is None or not plan_changes.is_shared(column):
        raise Http404
    if not plan_changes.fits(column, fix):
        messages.error(request, _("Choose a value for %(column)s. Nothing has changed.") % {"column": heading})
        return redirect(_make_address(record.number))
    options = Options.of_json(record.options)
    if request.POST.get("do") == "remember" and column in MAPPED and value:
        values = meanings.merge_meanings(options.values, {heading: {value: text.strip()}})
        return actions.preview_again(request, record, "", values=values)
    try:
        changed = plan_changes.set_values(record, options, [fix])
    except (InvalidValue, TooManyFixes):
        if record.number == number:
            messages.error(request, _("There are no such rows, or too many to fix here. Nothing has changed."))
        return redirect(_make_address(record.number))
    return actions.preview_again(request, record, "", corrections=changed.corrections)


def _make_address(number: str) -> str:
    return f"{reverse('import', args=[number])}?show=errored"


@require_POST
@guard.for_import
def set_defaults(request: HttpRequest, number: str) -> HttpResponseBase:
    """Plan the file again with defaults for columns that it does not have."""
    record = actions.find_plan(request, number)
    form = make_defaults_form(record, request.POST)
    if form is None or not form.is_valid():
        messages.error(request, _("These defaults cannot be used. Nothing has changed."))
        return redirect("import", record.number)
    return actions.preview_again(request, record, "", defaults=form.read_choices())
