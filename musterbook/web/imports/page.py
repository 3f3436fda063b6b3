"""The page of one import: its progress, or its plan row by row, with the acts that are possible."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.forms import BoundField
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRefresh

from musterbook.core.domain.labels import CHANNELS
from musterbook.directory import models
from musterbook.directory.imports import (
    approval,
    cancellation,
    drafts,
    entry_files,
    history,
    matching,
    plan_ends,
    plan_pages,
    queue,
    undo,
)
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.people import Person, find_people
from musterbook.directory.models import FROM_FILE, ImportKind
from musterbook.http import request_context
from musterbook.web import parsers
from musterbook.web.imports import decisions, differences, groups, guard, rows, sentences, tiles
from musterbook.web.imports.forms import ConfirmForm, PlanAgainForm, ReadingForm
from musterbook.web.permission import get_account, may

MAILED_SENTENCE = tiles.SENTENCES["mailed"][0]
_HELD_ROWS = {"rekeys": "updated", "updates": "updated", "additions": "added", "unreadable-rows": "errored"}
"""What else holds an import → the tile that has its rows."""
_MOST_USERS = 8
"""The most users that are named at once for each reason why an import is held."""
_MOST_PAGES = 10**8


def make_confirm_form(request: HttpRequest, record: models.Import, *args: Any) -> ConfirmForm | None:
    """Return the form that confirms each number that holds the import.

    Return None if nothing holds it, or if the signed-in user may not confirm it.
    """
    holds = history.list_unconfirmed(record, {}) if can_confirm(request, record) else []
    return ConfirmForm(holds, *args) if holds else None


def can_confirm(request: HttpRequest, record: models.Import) -> bool:
    """Return whether the signed-in user may confirm what holds the import (rule S8)."""
    return approval.can_confirm(record, get_account(request).user.external_id)


@dataclass(frozen=True, slots=True)
class NamedUser:
    """A user that a page names: the external ID, the name, and the id of their page (0: none)."""

    external_id: str
    name: str = ""
    pk: int = 0


@dataclass(frozen=True, slots=True)
class ShownHold:
    """A reason why an import is held: its sentence, its first users, and how many more there are."""

    sentence: str
    users: Sequence[NamedUser]
    more: int
    show: str
    """The tile that has all of these users, "" for none."""
    field: BoundField | None = None
    """The field that confirms it, with the last reason that it confirms."""


def describe_holds(record: models.Import, form: ConfirmForm | None = None) -> list[ShownHold]:
    """Return the reasons why the import is held, with their users and the field that confirms them."""
    holds = history.list_unconfirmed(record, {})
    people = find_people(record, (one for hold in holds for one in hold.external_ids[:_MOST_USERS]))
    last = {hold.key: place for place, hold in enumerate(holds)}
    return [
        ShownHold(
            sentences.describe_hold(hold),
            [_name_user(external_id, people) for external_id in hold.external_ids[:_MOST_USERS]],
            max(0, len(hold.external_ids) - _MOST_USERS),
            hold.kind if hold.external_ids else _HELD_ROWS.get(hold.key, ""),
            form[hold.key] if form and last[hold.key] == place else None,
        )
        for place, hold in enumerate(holds)
    ]


def _name_user(external_id: str, people: Mapping[str, Person]) -> NamedUser:
    person = people.get(external_id)
    return NamedUser(external_id, person.name, person.pk) if person else NamedUser(external_id)


def render_import(
    request: HttpRequest,
    record: models.Import,
    form: ConfirmForm | None = None,
    reading: ReadingForm | None = None,
) -> HttpResponseBase:
    """Render the page of the import. The status is 422 if a form has errors."""
    history.refresh_record(record)
    if record.state in {"waiting", "running"}:
        return render_progress(request, record, "import_running.html", {"title": sentences.make_title(record)})
    if request_context.is_part(request) and "progress" in request.GET:
        return HttpResponseClientRefresh()
    row_context = _list_file_rows(request, record)
    if request_context.is_part(request):
        return render(request, "import_rows.html", row_context)
    wrong = next((candidate for candidate in (form, reading) if candidate and candidate.is_bound), None)
    form = form or make_confirm_form(request, record)
    context = row_context | _describe_import(request, record, form) | differences.describe(request, record)
    context |= _make_forms(record, form, reading)
    return render(request, "import.html", context, status=422 if wrong else 200)


def _list_file_rows(request: HttpRequest, record: models.Import) -> dict[str, Any]:
    """Return the tiles, the page of rows that is requested, and with rows that have problems, their kinds."""
    done, ended = record.state == "applied", bool(describe_end(record))
    labels = {name: label[done] for name, label in tiles.TILES.items()}
    if record.state == "refused" and not sentences.has_changed(record):
        labels = {name: labels[name] for name in ("errored", "noted")}
    what = entry_files.get_layout(record)
    texts = {
        name: str(text[done]) for name, text in {**tiles.SENTENCES, **(tiles.ENTRY_SENTENCES if what else {})}.items()
    }
    if not (plan_ends.shows_plan(record) or done):
        texts["errored"] = _("These rows have problems.")
    shown = list_rows(request, record, labels, texts)
    can_plan = record.state != "failed" and record.kind in FROM_FILE and not ended
    shown["tiles_empty"] = not any(number for _name, _label, number in shown["tiles"])
    return shown | (groups.list_lines(request, record, can_plan=can_plan) if shown["show"] == "errored" else {})


def render_progress(request: HttpRequest, record: models.Import, template: str, extra: dict[str, Any]) -> HttpResponse:
    """Render the progress on a page with the template and its context.

    If only the fragment is requested, render only the fragment.
    """
    standing = queue.get_status(record)
    context = extra | {"record": record, "standing": standing, "said": _describe_progress(standing)}
    return render(request, "import_progress.html" if request_context.is_part(request) else template, context)


def _describe_progress(standing: queue.ImportStatus) -> str:
    """Return the progress of an import as a sentence."""
    if standing.stopping:
        return _("The import was asked to stop. It stops, unless it is finished first.")
    if standing.no_worker:
        return _("No worker is running, so the import waits. Tell the person who runs Musterbook.")
    if standing.ahead:
        number, actor = standing.ahead.number, standing.ahead.actor
        return (
            _("Waiting for import %(number)s by %(user)s, which comes first.") % {"number": number, "user": actor}
            if actor
            else _("Waiting for import %(number)s by the system, which comes first.") % {"number": number}
        )
    stage = standing.stage or _("starting")
    return f"{stage[0].upper()}{stage[1:]}."


def list_rows(
    request: HttpRequest, record: models.Import, labels: dict[str, Any], about: dict[str, str]
) -> dict[str, Any]:
    """Return the tiles, and the page of rows that is requested.

    `labels` has the label of each tile, and `about` the sentence about its rows. By default, the page has the first
    tile that has rows, so rows that need attention come first: those of users that a limit holds the import for. Other
    harms come last.
    """
    held = [_HELD_ROWS[hold.key] for hold in history.list_unconfirmed(record, {}) if hold.key in _HELD_ROWS]
    labels = {name: labels[name] for name in held if name in labels} | labels
    concerned = {name: record.counts.get(count, 0) for name, count in plan_pages.CONCERNED.items()}
    if any(name in labels for name in ("added", "updated", "deactivated")):
        labels = _label_harms(record, concerned, over=True) | labels | _label_harms(record, concerned, over=False)
    done = record.state == "applied"
    texts = {name: str(text[done]) for name, text in tiles.HARM_SENTENCES.items()} | about
    counts = {name: number for name, number in (_count_rows(record) | concerned).items() if name in labels}
    show = request.GET.get("show", "")
    first = next((name for name in labels if counts[name]), next(iter(labels)))
    tile = first if show == "errored" and not counts[show] else show if show in counts else first
    text, number = request.GET.get("q", ""), parsers.parse_number(request.GET.get("page", ""), _MOST_PAGES)
    kind = groups.read_kind(request) if tile == "errored" else None
    page = plan_pages.read_page(record, tile, text, number or 1, kind)
    return {
        "record": record,
        "tiles": [
            (name, tiles.label_tile(label, counts[name]), counts[name])
            for name, label in labels.items()
            if counts[name] or name == tile
        ],
        "show": tile,
        "about_rows": texts[tile],
        "q": text,
        "page": page,
        "of_kind": kind,
        "before": _make_address(tile, text, page.number - 1, kind) if page.number > 1 else "",
        "after": _make_address(tile, text, page.number + 1, kind) if page.number < page.pages else "",
        "is_done": record.state == "applied",
        "may_view": may(request, "users.view"),
        "what": entry_files.get_layout(record),
    } | (_describe_wrong_rows(request, record, page) if tile == "errored" else {})


def _describe_wrong_rows(request: HttpRequest, record: models.Import, page: plan_pages.PlanPage) -> dict[str, Any]:
    return rows.describe_rows(record, page, describe_end(record), get_account(request).user.external_id)


def _label_harms(record: models.Import, numbers: Mapping[str, int], *, over: bool) -> dict[str, Any]:
    """Return the labels of the kinds of harm that are over a limit, or of the others.

    Under the limit, the users who lose access have no tile of their own if another tile has exactly them.
    """
    held = {str(hold.get("kind")) for hold in record.holds}
    same = record.kind == ImportKind.BULK or numbers["deactivations"] == record.counts.get("deactivated", 0)
    done = record.state == "applied"
    return {
        name: tiles.HARMS[name][done]
        for name, number in numbers.items()
        if number and (name in held) == over and (over or name != "deactivations" or not same)
    }


def _make_address(show: str, text: str, number: int, kind: plan_pages.KindFilter | None) -> str:
    query = QueryDict(mutable=True)
    query.update({"show": show, "page": str(number)} | ({"q": text} if text else {}))
    if kind:
        query.update(groups.make_query(kind))
    return f"?{query.urlencode()}"


def _count_rows(record: models.Import) -> dict[str, int]:
    noted = history.count_noted_rows(record)
    others = {"noted": noted, "mailed": sum(record.mails.values())}
    return {name: others.get(name, record.counts.get(name, 0)) for name in tiles.TILES}


def _describe_import(request: HttpRequest, record: models.Import, form: ConfirmForm | None) -> dict[str, Any]:
    summary = history.summarize_import(record)
    undone = history.find_undo(record)
    ended = describe_end(record)
    done, changed = record.state == "applied", sentences.has_changed(record)
    options = Options.of_json(record.options)
    return {
        "title": sentences.make_title(record),
        "mode_name": sentences.name_mode(record),
        "upload_page": guard.get_upload_page(entry_files.get_layout(record)),
        "has_file": record.kind in FROM_FILE,
        "summary": summary,
        "problems": [problem for problem in summary.problems if not (changed and problem.code == "plan-changed")],
        "canceled_by": _find_canceler(record),
        "actor": history.find_operator(record),
        "undone_by": undone,
        "fixes_seen": drafts.digest_others(record, get_account(request).user.external_id),
        "once": secrets.token_urlsafe(12),
        "can_apply": plan_ends.shows_plan(record) and not ended,
        "ended": ended,
        "would_change": sentences.would_change(summary.counts) or bool(summary.holds),
        # Without it, a feed whose first file changes nothing could never run by itself.
        "accepts_reading": record.through == "feed" and record.state == "previewed" and summary.counts.get("unchanged"),
        "has_changed": record.state == "applied" and sentences.would_change(record.counts),
        "can_undo": not undone and _can_undo(request, record),
        "holds": describe_holds(record, form),
        "needs_approver": not can_confirm(request, record),
        "may_not_apply": record.state == "held" and bool(summary.holds) and not can_confirm(request, record),
        "changed_plan": changed,
        "counted": sentences.describe_counts(summary.counts, done=done),
        "emails": sentences.describe_emails(summary.mails, done=done),
        "sends": any(summary.mails.values()),
        "delimiter": {",": _("commas"), ";": _("semicolons"), "\t": _("tabs"), "|": _("pipes")}.get(
            str(summary.file.get("delimiter")), ""
        ),
        "through": CHANNELS.get(record.through, record.through),
        "decided": decisions.describe(options),
        "corrected": sum(len(cells) for cells in options.corrections.values()),
        "given_values": groups.describe_given(record),
    }


def _can_undo(request: HttpRequest, record: models.Import) -> bool:
    """Return whether the import has changed users, and the signed-in user may undo it."""
    return sentences.would_change(record.counts) and undo.is_allowed(record, get_account(request).user.external_id)


def _find_canceler(record: models.Import) -> NamedUser | None:
    """Return the user who canceled the import, or None if it was not canceled by a user."""
    if not record.stopped_by or cancellation.get_shown_state(record) != "canceled":
        return None
    return _name_user(record.stopped_by, find_people(record, [record.stopped_by]))


def describe_end(record: models.Import) -> str:
    """Return the sentence that says how the plan of the import ended, or "" if it can be applied, or is not a plan."""
    how = plan_ends.get_end(record, datetime.now(UTC))
    return plan_ends.describe_end(record, how) if how else ""


def _make_forms(
    record: models.Import,
    form: ConfirmForm | None,
    reading: ReadingForm | None,
) -> dict[str, Any]:
    """Return the forms of the page: what is confirmed, and how the file is planned again. An ended plan has none."""
    plans = record.kind in FROM_FILE and record.state in {"previewed", "held", "refused"}
    if not plans or describe_end(record):
        expired = plan_ends.get_end(record, datetime.now(UTC)) == plan_ends.PlanEnd.EXPIRED
        return {"form": form, "expired": PlanAgainForm(record) if plans and expired else None}
    options = Options.of_json(record.options)
    found: dict[str, Any] = {"form": form, "again": PlanAgainForm(record)}
    initial = {name: getattr(options, name) or "" for name in ("encoding", "delimiter", "sheet", "header_row")}
    return found | {
        "can_match": matching.has_headings(record),
        "needs_columns": matching.needs_columns(record),
        "reading": reading or ReadingForm(initial=initial),
        "new_users": groups.make_defaults_form(record),
    }
