"""Acts on a plan that make it again: another mode, strict, emails, and names that are created for it (A4, F13)."""

from dataclasses import replace

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from musterbook.directory.agency import missing_names, vocabularies
from musterbook.directory.agency.missing_names import Names
from musterbook.directory.imports import unknown_values
from musterbook.directory.models import FROM_FILE
from musterbook.directory.permissions import NotPermitted
from musterbook.http import request_context
from musterbook.web.imports import actions, groups, guard, sentences
from musterbook.web.imports.forms import PlanAgainForm
from musterbook.web.permission import refuse

_KINDS = ("roles", "ranks", "groups")


@require_POST
@guard.for_import
def plan_again(request: HttpRequest, number: str) -> HttpResponseBase:
    """Plan the file again, with another mode, strict or emails."""
    record = actions.find_plan(request, number)
    form = PlanAgainForm(record, request.POST)
    if record.kind not in FROM_FILE or not form.is_valid():
        messages.error(request, _("These options cannot be used. Nothing has changed."))
        return redirect("import", record.number)
    return actions.preview_again(request, record, "", **form.read_changes())


@require_POST
@guard.for_import
def create_missing(request: HttpRequest, number: str) -> HttpResponseBase:
    """Create roles, ranks or groups that the file names, and plan the file again: one of them, or all."""
    record = actions.find_plan(request, number)
    if record.kind not in FROM_FILE:
        raise Http404
    names = _choose_names(unknown_values.list_missing(record).names, request.POST.get("name", ""))
    if not request.POST.get("name"):
        # What may be created, as the page counts it. If that is nothing, the user is refused.
        names = groups.keep_creatable(request, names) or names
    if not names:
        messages.info(request, _("There was nothing to create."))
        return redirect("import", record.number)
    try:
        made = missing_names.create(record.agency, request_context.audit_context(request), names)
    except NotPermitted as lacking:
        return refuse(request, *str(lacking).split(", "))
    except missing_names.TooMany:
        messages.error(
            request, _("There are too many names to create at once. Check that each column has the right values.")
        )
        return redirect("import", record.number)
    except (vocabularies.NotAllowed, vocabularies.InvalidValue) as reason:
        messages.error(request, str(reason))
        return redirect("import", record.number)
    number_made = len(made)
    text = ngettext("%(count)s name was created.", "%(count)s names were created.", number_made)
    messages.success(request, text % {"count": sentences.count(number_made)})
    return actions.preview_again(request, record, "", facts=[*made.roles, *made.ranks, *made.groups])


def _choose_names(missing: Names, wanted: str) -> Names:
    """Return the one name that is wanted, as kind and name (`ranks Sergeant`), or all if none is wanted."""
    kind, _space, name = wanted.partition(" ")
    if not wanted:
        return missing
    found = kind in _KINDS and name in getattr(missing, kind)
    return replace(Names(), **{kind: (name,)}) if found else Names()
