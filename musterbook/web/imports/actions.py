"""The acts on one import: submit, apply, read the file differently, cancel, and undo."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from musterbook.directory import models, permissions
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.imports import (
    approval,
    bulk,
    drafts,
    entry_files,
    file_import,
    fixed_plans,
    matching,
    plan_changes,
    plan_ends,
    queue,
    quotas,
    undo,
)
from musterbook.directory.imports.file_import import FileOnDisk
from musterbook.directory.imports.options import Options
from musterbook.directory.models import FROM_FILE
from musterbook.directory.storage import import_files
from musterbook.http import request_context
from musterbook.web.imports import guard, page
from musterbook.web.imports.forms import ReadingForm
from musterbook.web.permission import get_account, may, refuse, require_sign_in

PATIENCE = 3.0
"""The time that a page waits for an import to end, in seconds. After that, it shows the progress."""


def make_key(request: HttpRequest, *facts: object) -> str:
    """Return the idempotency key of an act of the signed-in user. The same act of another user has another key."""
    text = json.dumps([get_account(request).user.pk, *map(str, facts)])
    return f"page {hashlib.sha256(text.encode()).hexdigest()[:40]}"


def submit_file(request: HttpRequest, upload: FileOnDisk, options: Options, key: str) -> HttpResponseBase:
    """Submit a file to the queue, once for each key. Redirect to the page of the import."""
    user = get_account(request).user

    def work() -> models.Import:
        return queue.submit(user.agency, upload, options, context=request_context.audit_context(request), key=key)

    return _run_and_redirect(request, work, match="first")


def _run_and_redirect(
    request: HttpRequest,
    work: Callable[[], models.Import],
    show: str = "",
    *,
    match: Literal["columns", "first", "values"] = "columns",
) -> HttpResponseBase:
    """Do the work and redirect to the import that it created, or report why it failed.

    If its columns are not known, redirect to the page that matches them; also for unknown values, of a `first` import
    or of any (`values`). It fails if the user may not do it, if a quota is exceeded, or if the disk is full.
    """
    try:
        record = queue.wait(work(), PATIENCE)
    except permissions.NotPermitted as lacking:
        return refuse(request, *str(lacking).split(", "))
    except snapshot_queries.UnknownOperator:
        return redirect_to_login(request.get_full_path())
    except quotas.OverQuota as over:
        trail.record_refused_file(
            request_context.agency(request), request_context.audit_context(request), "", over.problem.in_english()[0]
        )
        messages.error(request, str(over))
        return redirect("import_users")
    except FileNotFoundError:
        raise
    except OSError:
        messages.error(request, _("There is no room for this file now. Contact the person who runs Musterbook here."))
        return redirect("import_users")
    has_values = match != "columns" and matching.needs_values(record, asked=match == "values")
    if has_values or matching.needs_columns(record):
        return redirect("import_match", record.number)
    address = reverse("import", args=[record.number])
    return redirect(f"{address}?show={show}" if show else address)


def find_import(request: HttpRequest, number: str) -> models.Import:
    """Return the import of the agency with that number. Raise Http404."""
    try:
        return file_import.find_import(request_context.agency(request), number)
    except file_import.UnknownImport:
        raise Http404 from None


def find_plan(request: HttpRequest, number: str) -> models.Import:
    """Return the import of that number, or the plan in its place: an act on an older page keeps what was done since.

    Raise Http404.
    """
    record = find_import(request, number)
    return drafts.find_current(record) if record.kind in FROM_FILE else record


@guard.for_import
def one(request: HttpRequest, number: str) -> HttpResponseBase:
    """Show one import: its progress, its plan to apply, or its result. A POST applies the plan."""
    record = find_import(request, number)
    if bulk.get_change(record):
        return redirect("bulk_plan", number)
    return _apply(request, record) if request.method == "POST" else page.render_import(request, record)


@reauthentication_required
def _apply(request: HttpRequest, record: models.Import) -> HttpResponseBase:
    form = page.make_confirm_form(request, record, request.POST)
    if form and not form.is_valid():
        return page.render_import(request, record, form)
    confirmed = form.confirmed if form else None
    seen = drafts.digest_others(record, get_account(request).user.external_id) == request.POST.get("fixes", "")

    def work() -> models.Import:
        planned = _plan_fixes(request, record) if drafts.count_fixes(record) else record
        if planned is not record and not (_has_seen_fixes(request, seen) and _is_as_shown(request, record, planned)):
            return planned
        return queue.submit_apply(
            record.agency, planned.number,
            context=request_context.audit_context(request), confirmed=confirmed, mails=read_mails(request),
            key=make_key(request, "apply", planned.number),
        )  # fmt: skip

    try:
        return _run_and_redirect(request, work)
    except file_import.NothingToApply:
        messages.error(request, _("This import has no preview that can be applied. Nothing was changed."))
    except approval.NeedsApprover:
        messages.error(request, APPROVER)
    except plan_ends.PlanEnded as ended:
        return redirect_from_ended(request, record, ended)
    except import_files.FileGone:
        messages.error(request, _FILE_GONE)
    return redirect("import", record.number)


def _plan_fixes(request: HttpRequest, record: models.Import) -> models.Import:
    """Return the preview of the same file with the fixes, or the import that shows its progress."""
    file_import.find_applicable(record.agency, record.number, request_context.audit_context(request).at)
    options = replace(
        Options.of_json(record.options), preview=True, confirmed={}, corrections=drafts.make_corrections(record)
    )
    again = queue.submit_again(
        record, options, context=request_context.audit_context(request), key=_make_again_key(request, record, options)
    )
    return queue.wait(again, PATIENCE)


def _has_seen_fixes(request: HttpRequest, seen: bool) -> bool:
    """Return whether the page has shown the fixes of other users. Say so if it has not."""
    if not seen:
        text = _(
            "Another user has fixed cells since this page was shown. Nothing has been applied yet. Review, then apply."
        )
        messages.warning(request, text)
    return seen


def _is_as_shown(request: HttpRequest, record: models.Import, planned: models.Import) -> bool:
    """Return whether the plan with the fixes can be applied, because it only adds the fixed rows. Say so."""
    before, now = (Options.of_json(one.options).corrections for one in (record, planned))
    rows = {int(row) for row, cells in now.items() if cells != before.get(row)}
    if planned.finished_at is None:
        messages.warning(request, _("Your fixes are being checked. Nothing has been applied yet."))
        return False
    if not fixed_plans.is_only_fixed(record, planned, rows):
        text = _(
            "Your fixes were checked, and the preview has changed. Nothing has been applied yet. Review it, then apply it."
        )
        messages.warning(request, text)
        return False
    text = ngettext("%(number)s fixed row is included.", "%(number)s fixed rows are included.", len(rows))
    messages.success(request, text % {"number": f"{len(rows):,}"})
    return True


def redirect_from_ended(request: HttpRequest, record: models.Import, ended: plan_ends.PlanEnded) -> HttpResponseBase:
    """Redirect to the import in the place of a plan that has ended, and say so. A form sent twice leads there too."""
    if ended.successor is None or ended.successor.actor != get_account(request).user.external_id:
        messages.error(request, _("%(reason)s Nothing was changed.") % {"reason": ended})
    return redirect_to_plan(ended.successor or record)


def redirect_to_plan(record: models.Import) -> HttpResponseBase:
    """Redirect to the page of an import or of a bulk action."""
    return redirect("bulk_plan" if bulk.get_change(record) else "import", record.number)


@require_POST
@require_sign_in
def discard(request: HttpRequest, number: str) -> HttpResponseBase:
    """Discard the plan of a preview or held import. The pages of bulk actions need another permission than imports."""
    if not any(may(request, name) for name in ("users.import", "users.view", *entry_files.PERMISSIONS.values())):
        return refuse(request, "users.import")
    record = find_import(request, number)
    try:
        queue.discard(record, request_context.audit_context(request))
    except permissions.NotPermitted as lacking:
        return refuse(request, *str(lacking).split(", "))
    except (plan_ends.PlanEnded, plan_ends.NoPlan, undo.NotApplied):
        messages.error(request, _("This import has no preview that can be applied. Nothing was changed."))
    else:
        messages.success(request, _("The preview was discarded. Nothing was changed."))
    if request.POST.get("back") == "imports":
        return redirect("imports")
    return redirect_to_plan(record)


def read_mails(request: HttpRequest) -> bool | None:
    """Return False if the form says that no emails are to be sent, else None."""
    return False if request.POST.get("quiet") else None


APPROVER = gettext_lazy("You requested this, so another user must confirm it. Nothing was changed.")
_FILE_GONE = gettext_lazy("The file of this import is no longer kept. Import it again. Nothing was changed.")


@require_POST
@guard.for_import
def cancel(request: HttpRequest, number: str) -> HttpResponseBase:
    """Request that a waiting or running import stop."""
    queue.cancel(find_import(request, number), request_context.audit_context(request))
    text = _("The import will stop. Unless it was finished already, nothing was changed.")
    messages.info(request, text)
    return redirect("import", number)


@require_POST
@guard.for_import
@reauthentication_required
def take_back(request: HttpRequest, number: str) -> HttpResponseBase:
    """Plan the undo of an import, for review before it is applied."""
    record = find_import(request, number)

    def work() -> models.Import:
        key = make_key(request, "undo", number, request.POST.get("once", ""))
        return queue.submit_undo(record, context=request_context.audit_context(request), preview=True, key=key)

    try:
        return _run_and_redirect(request, work)
    except undo.NotApplied:
        messages.error(request, _("This import changed nothing, so there is nothing to undo."))
        return redirect("import", number)


@require_POST
@guard.for_import
def read_again(request: HttpRequest, number: str) -> HttpResponseBase:
    """Plan the file again with another reading: another encoding, delimiter, sheet or header row."""
    record = find_plan(request, number)
    reading = ReadingForm(request.POST)
    if not reading.is_valid():
        return page.render_import(request, record, reading=reading)
    choices = reading.read_choices()
    options = plan_changes.forget_other_sheet(record, replace(Options.of_json(record.options), **choices))
    return preview_again(request, record, "", **choices, corrections=options.corrections, decided=options.decided)


def preview_again(
    request: HttpRequest,
    record: models.Import,
    show: str,
    *,
    facts: Sequence[str] = (),
    match_values: bool = False,
    **changes: Any,
) -> HttpResponseBase:
    """Create a new preview of the import's file with changed options, and redirect to it.

    The same changes sent twice create one preview, unless `facts` differ: what has changed besides the options. `show`:
    the tile that the page shows ("": its choice). `match_values`: whether to match unknown values before that.
    """
    options = replace(Options.of_json(record.options), preview=True, confirmed={}, **changes)
    if record.kind not in FROM_FILE:
        raise Http404
    is_asked = request.resolver_match is not None and request.resolver_match.kwargs.get("number") == record.number
    if not is_asked and not facts and options == Options.of_json(record.options):
        # The same form was sent before, from the same page: this plan came of it.
        return redirect("import", record.number)
    key = _make_again_key(request, record, options, *facts)

    def work() -> models.Import:
        return queue.submit_again(record, options, context=request_context.audit_context(request), key=key)

    try:
        return _run_and_redirect(request, work, show, match="values" if match_values else "columns")
    except import_files.FileGone:
        messages.error(request, _FILE_GONE)
        return redirect("import", record.number)


def _make_again_key(request: HttpRequest, record: models.Import, options: Options, *facts: object) -> str:
    """Return the key of a plan made again: the same changes of the same user make one plan."""
    return make_key(request, "again", record.number, json.dumps(options.as_json(), sort_keys=True), *facts)
