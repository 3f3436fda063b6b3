"""Fixes that are typed into the rows of a plan: saved one by one, taken back, and planned (A3)."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from musterbook.core.domain.columns import HEADINGS
from musterbook.directory import models, permissions
from musterbook.directory.audit import former_ids
from musterbook.directory.imports import drafts
from musterbook.directory.imports.drafts import Conflict, Edit
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.plan_ends import PlanEnded
from musterbook.directory.models import FROM_FILE
from musterbook.http import request_context
from musterbook.web.imports import actions, decisions, guard, rows
from musterbook.web.permission import get_account, refuse

_LONGEST = 1_000
"""The most characters of a value in an address."""
_SHOWN = 200
"""The most characters of a text that a message repeats."""


@require_POST
@guard.for_import
def save(request: HttpRequest, number: str) -> HttpResponseBase:
    """Save the cells of the form that differ from those shown. A script gets the new count as JSON."""
    return _save_or_explain(request, _find_import(request, number)) or _answer(request, number)


@require_POST
@guard.for_import
def undo(request: HttpRequest, number: str) -> HttpResponseBase:
    """Take the latest fix of the signed-in user back."""
    record = _find_import(request, number)
    try:
        fix = drafts.undo_fix(record, request_context.audit_context(request))
    except drafts.NothingToUndo:
        return _answer(request, number, error=_("You have no fix to undo."), status=409)
    except (drafts.CannotFix, PlanEnded) as error:
        return _explain(request, record, error)
    except permissions.NotPermitted as lacking:
        return refuse(request, *str(lacking).split(", "))
    cell = {"row": fix.row, "heading": fix.heading, "text": fix.text}
    values = {"heading": fix.heading, "row": fix.row, "text": fix.text[:_SHOWN] or _("blank")}
    message = _("%(heading)s in row %(row)s is “%(text)s” again.") % values
    return _answer(request, number, cell=cell, message=message)


@require_POST
@guard.for_import
def recheck(request: HttpRequest, number: str) -> HttpResponseBase:
    """Plan the file again with all fixes (A3), and with a decision (C12, M12). The cells replace those of the file."""
    record = _find_import(request, number)
    answer = _save_or_explain(request, record)
    if answer:
        return answer
    record = drafts.find_current(actions.find_import(request, number))
    options = Options.of_json(record.options)
    changes: dict[str, Any] = dict(decisions.read_changes(request.POST.get("decide", ""), options))
    if drafts.count_fixes(record):
        changes["corrections"] = drafts.make_corrections(record)
    if not changes:
        messages.info(request, _("You have not changed any cells, so the preview is the same."))
        return redirect(_make_address(request, record.number))
    return actions.preview_again(request, record, "errored", **changes)


def _find_import(request: HttpRequest, number: str) -> models.Import:
    """Return the import of a file of that number. Raise Http404."""
    record = actions.find_import(request, number)
    if record.kind not in FROM_FILE:
        raise Http404
    return record


def read_edits(form: Mapping[str, Any]) -> Iterator[Edit]:
    """Yield the cells of a form that differ from those shown."""
    for name, text in form.items():
        kind, _, rest = name.partition("-")
        row, _, heading = rest.partition("-")
        is_cell = kind == "cell" and row.isascii() and row.isdecimal() and len(row) < 9 and heading in HEADINGS
        was = form.get(f"was-{row}-{heading}", "")
        if is_cell and text != was:
            yield Edit(int(row), heading, was, text)


def _save_or_explain(request: HttpRequest, record: models.Import) -> HttpResponseBase | None:
    """Save the cells of the form. Return None if all of them are saved, else the response that says why not."""
    context = request_context.audit_context(request)
    try:
        conflicts = drafts.save_fixes(record, read_edits(request.POST.dict()), context)
    except permissions.NotPermitted as lacking:
        return refuse(request, *str(lacking).split(", "))
    except (drafts.CannotFix, PlanEnded, drafts.TooManyFixes) as error:
        return _explain(request, record, error)
    if not conflicts:
        return None
    names = former_ids.read_current_names(record.agency, {one.actor for one in conflicts}, context.at)
    cells = [_describe_conflict(one, names) for one in conflicts]
    return _answer(request, record.number, conflicts=cells, status=409)


def _describe_conflict(one: Conflict, names: Mapping[str, str]) -> dict[str, Any]:
    values = {
        "who": names.get(one.actor) or one.actor, "heading": one.edit.heading, "row": one.edit.row,
        "theirs": one.text[:_SHOWN], "yours": one.edit.text[:_SHOWN],
    }  # fmt: skip
    if one.actor:
        message = _("%(who)s changed %(heading)s in row %(row)s to “%(theirs)s”. Your text “%(yours)s” is not saved.")
    else:
        message = _("%(heading)s in row %(row)s is now “%(theirs)s”. Your text “%(yours)s” is not saved.")
    return {"row": one.edit.row, "heading": one.edit.heading, "text": one.text, "message": message % values}


def _explain(request: HttpRequest, record: models.Import, error: Exception) -> HttpResponseBase:
    """Answer that nothing was saved, and why."""
    if isinstance(error, PlanEnded):
        return _answer(request, record.number, error=_("%(ended)s Nothing was saved.") % {"ended": error}, status=409)
    if isinstance(error, drafts.TooManyFixes):
        most = f"{drafts.LONGEST:,}"
        text = _(
            "This is too much to save. A cell takes %(most)s characters. If you have many fixes, choose “Recheck with my"
            " fixes” first."
        ) % {"most": most}
        return _answer(request, record.number, error=text, status=422)
    return _answer(request, record.number, error=_("The rows of this import can no longer be fixed."), status=409)


def _answer(request: HttpRequest, number: str, *, status: int = 200, error: str = "", **more: Any) -> HttpResponseBase:
    """Answer a script with the state of the fixes, and anything else with the page of the plan and the messages."""
    record = drafts.find_current(actions.find_import(request, number))
    if request_context.is_for_script(request):
        body = rows.describe_fixes(record, get_account(request).user.external_id) | {"error": error} | more
        if record.number != number and not error:
            text = _("The preview was made again in the meantime. Your fix is saved there.")
            body |= {"moved": reverse("import", args=[record.number]), "error": text}
        return JsonResponse(body, status=status)
    said = [one["message"] for one in more.get("conflicts", ())] or ([error] if error else [])
    for text in said:
        messages.error(request, text)
    if not said:
        messages.success(request, more.get("message") or rows.describe_count(drafts.count_fixes(record)))
    return redirect(_make_address(request, record.number))


def _make_address(request: HttpRequest, number: str) -> str:
    """Return the address of the page of rows that the form was on."""
    query = QueryDict(mutable=True)
    query["show"] = "errored"
    names = ("page", "q", "code", "column", "value")
    query.update({name: text[:_LONGEST] for name in names if (text := request.POST.get(name, ""))})
    return f"{reverse('import', args=[number])}?{query.urlencode()}"
