"""The page of one import: its progress, or its plan row by row, with the acts that are possible."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRefresh

from musterbook.core.domain.labels import CHANNELS, count_emails, format_state_title
from musterbook.core.reporting import summary as summary_of
from musterbook.directory import models
from musterbook.directory.imports import approval, cancellation, history, matching, plan_ends, plan_pages, queue, undo
from musterbook.directory.imports.options import Options
from musterbook.directory.models import FROM_FILE, ImportKind
from musterbook.http import request_context
from musterbook.web import parsers
from musterbook.web.imports import decisions, groups, rows
from musterbook.web.imports.forms import ConfirmForm, ReadingForm
from musterbook.web.permission import get_account

MAILED_SENTENCE = "These emails are sent when the plan is applied, unless emails are switched off."
_TILES = (
    ("errored", "with problems"), ("added", "added"), ("updated", "updated"), ("deactivated", "deactivated"),
    ("protected", "protected"), ("unchanged", "unchanged"), ("noted", "with notes"),
    ("mailed", "emails"),
)  # fmt: skip
"""The counts of rows. Each is also a filter."""
_CONCERNED = {
    "deactivations": (
        "would lose access",
        "lost access",
        "These users were Active before, and are Inactive afterwards.",
    ),
    "privileges": (
        "would gain a permission",
        "gained a permission",
        "These users get a permission that they did not have.",
    ),
    "handovers": (
        "would take another's name",
        "took another's name",
        "These users get an email address or username that was another user's.",
    ),
    "cleared": (
        "would lose a value",
        "lost a value",
        "These users had a value in a column that is blank in every row.",
    ),
    "identities": (
        "would have another identity",
        "have another identity",
        "The names and the addresses, usernames or badges of these accounts change together. A person decided who it is.",
    ),
}
"""The label of each kind of harm before it is done and afterwards, and the sentence about its rows."""
_HELD_ROWS = {"rekeys": "updated", "updates": "updated", "additions": "added", "unreadable-rows": "errored"}
"""What else holds an import → the tile that has its rows."""
_MOST_USERS = 20
"""The most users that are named for each reason why an import is held."""
_MOST_PAGES = 10**8
_TILE_SENTENCES = {
    "errored": "These rows have problems. They change nothing until they are corrected; the other rows do not wait for them.",
    "added": "These users are new.",
    "updated": "These users change.",
    "deactivated": "The file does not mention these users, so they become Inactive. They keep all that they have.",
    "protected": "The file does not mention these users; they stay Active all the same.",
    "unchanged": "These rows are as the directory has them.",
    "noted": "These rows have notes. A note informs and stops nothing.",
    "mailed": MAILED_SENTENCE,
}


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
class ShownHold:
    """A reason why an import is held: its sentence, its first users with their names, and how many more there are."""

    sentence: str
    users: list[tuple[str, str]]
    more: int
    show: str
    """The tile that has all of these users, "" for none."""


def describe_holds(record: models.Import) -> list[ShownHold]:
    """Return the reasons why the import is held, with their users."""
    names = history.map_names(record, _MOST_USERS)
    return [
        ShownHold(
            summary_of.describe_hold(hold),
            [(external_id, names.get(external_id, "")) for external_id in hold.external_ids[:_MOST_USERS]],
            max(0, len(hold.external_ids) - _MOST_USERS),
            hold.kind if hold.external_ids else _HELD_ROWS.get(hold.key, ""),
        )
        for hold in history.list_unconfirmed(record, {})
    ]


def render_import(
    request: HttpRequest,
    record: models.Import,
    form: ConfirmForm | None = None,
    reading: ReadingForm | None = None,
) -> HttpResponseBase:
    """Render the page of the import. The status is 422 if a form has errors."""
    history.refresh_record(record)
    if record.state in {"waiting", "running"}:
        return render_progress(request, record, "import_running.html", {"title": format_state_title(record.state)})
    if request_context.is_part(request) and "progress" in request.GET:
        return HttpResponseClientRefresh()
    row_context = list_rows(request, record, dict(_TILES), _TILE_SENTENCES)
    if request_context.is_part(request):
        return render(request, "import_rows.html", row_context)
    wrong = next((candidate for candidate in (form, reading) if candidate and candidate.is_bound), None)
    context = row_context | _describe_import(request, record) | _make_forms(request, record, form, reading)
    context |= {"new_users": groups.make_defaults_form(record)} | groups.list_lines(record)
    return render(request, "import.html", context, status=422 if wrong else 200)


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
        return "It was asked to stop, and does unless it is done first."
    if standing.no_worker:
        return "No worker is running, and the import waits for one. Tell the person who runs Musterbook here."
    if standing.ahead:
        return (
            f"It waits for import {standing.ahead.number} by {standing.ahead.actor or 'the system'}, which comes first."
        )
    stage = standing.stage or "It begins in a moment"
    return f"{stage[0].upper()}{stage[1:]}."


def list_rows(
    request: HttpRequest, record: models.Import, labels: dict[str, str], sentences: dict[str, str]
) -> dict[str, Any]:
    """Return the tiles, and the page of rows that is requested.

    `labels` has the label of each tile, and `sentences` the sentence about its rows. By default, the page has the first
    tile that has rows, so rows that need attention come first: those of users that a limit holds the import for. Other
    harms come last.
    """
    held = [_HELD_ROWS[hold.key] for hold in history.list_unconfirmed(record, {}) if hold.key in _HELD_ROWS]
    labels = {name: labels[name] for name in held if name in labels} | labels
    concerned = {name: record.counts.get(count, 0) for name, count in plan_pages.CONCERNED.items()}
    labels = _label_harms(record, concerned, over=True) | labels | _label_harms(record, concerned, over=False)
    sentences = {name: sentence for name, (_, _, sentence) in _CONCERNED.items()} | sentences
    counts = {name: number for name, number in (_count_rows(record) | concerned).items() if name in labels}
    show = request.GET.get("show", "")
    if counts.get("mailed") == 1:
        labels["mailed"] = "email"
    first = next((name for name in labels if counts[name]), "unchanged")
    tile = first if show == "errored" and not counts[show] else show if show in counts else first
    text, number = request.GET.get("q", ""), parsers.parse_number(request.GET.get("page", ""), _MOST_PAGES)
    page = plan_pages.read_page(record, tile, text, number or 1)
    return {
        "record": record,
        "tiles": [(name, label, counts[name]) for name, label in labels.items() if counts[name] or name == tile],
        "show": tile,
        "about_rows": sentences[tile],
        "q": text,
        "page": page,
        "before": _make_address(tile, text, page.number - 1) if page.number > 1 else "",
        "after": _make_address(tile, text, page.number + 1) if page.number < page.pages else "",
        "is_done": record.state == "applied",
    } | (_describe_wrong_rows(request, record, page) if tile == "errored" else {})


def _describe_wrong_rows(request: HttpRequest, record: models.Import, page: plan_pages.PlanPage) -> dict[str, Any]:
    return rows.describe_rows(record, page, describe_end(record), get_account(request).user.external_id)


def _label_harms(record: models.Import, numbers: Mapping[str, int], *, over: bool) -> dict[str, str]:
    """Return the labels of the kinds of harm that are over a limit, or of the others.

    Under the limit, the users who lose access have no tile of their own if another tile has exactly them.
    """
    held = {str(hold.get("kind")) for hold in record.holds}
    same = record.kind == ImportKind.BULK or numbers["deactivations"] == record.counts.get("deactivated", 0)
    done = record.state == "applied"
    return {
        name: _CONCERNED[name][done]
        for name, number in numbers.items()
        if number and (name in held) == over and (over or name != "deactivations" or not same)
    }


def _make_address(show: str, text: str, number: int) -> str:
    query = QueryDict(mutable=True)
    query.update({"show": show, "page": str(number)} | ({"q": text} if text else {}))
    return f"?{query.urlencode()}"


def _count_rows(record: models.Import) -> dict[str, int]:
    noted = history.count_noted_rows(record)
    others = {"noted": noted, "mailed": sum(record.mails.values())}
    return {name: others.get(name, record.counts.get(name, 0)) for name, _ in _TILES}


def _describe_import(request: HttpRequest, record: models.Import) -> dict[str, Any]:
    summary = replace(history.summarize_import(record), message=describe_failure(record))
    changed = any(problem.code == "plan-changed" for problem in summary.problems)
    undone = history.find_undo(record)
    ended = describe_end(record)
    return {
        "title": format_state_title(cancellation.get_shown_state(record)),
        "told": summary,
        "emails": count_emails(summary.mails),
        "actor": history.find_operator(record),
        "undone_by": undone,
        "once": secrets.token_urlsafe(12),
        "can_apply": (record.state in {"previewed", "held"} or changed) and bool(record.digest) and not ended,
        "ended": ended,
        "would_change": any(summary.counts.get(name) for name in ("added", "updated", "deactivated", "marked")),
        "can_undo": not undone and undo.is_allowed(record, get_account(request).user.external_id),
        "holds": describe_holds(record),
        "needs_approver": not can_confirm(request, record),
        "summary": summary_of.summarize(summary.counts, summary.mails, done=record.state == "applied"),
        "delimiter": {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}.get(
            str(summary.file.get("delimiter")), ""
        ),
        "through": CHANNELS.get(record.through, record.through),
        "decided": decisions.describe(Options.of_json(record.options)),
        "corrected": sum(len(cells) for cells in Options.of_json(record.options).corrections.values()),
    }


def describe_failure(record: models.Import) -> str:
    """Return why the import failed, or who canceled it, by name; "" if neither."""
    canceler = history.find_canceler(record)
    if canceler is None:
        return record.message
    return _("%(name)s canceled this import. Nothing was changed.") % {"name": canceler}


def describe_end(record: models.Import) -> str:
    """Return the sentence that says how the plan of the import ended, or "" if it can be applied, or is no plan."""
    how = plan_ends.get_end(record, datetime.now(UTC))
    return plan_ends.describe_end(record, how) if how else ""


def _make_forms(
    request: HttpRequest,
    record: models.Import,
    form: ConfirmForm | None,
    reading: ReadingForm | None,
) -> dict[str, Any]:
    options = Options.of_json(record.options)
    if record.kind not in FROM_FILE or record.state not in {"previewed", "held", "refused"}:
        return {"form": form or make_confirm_form(request, record)}
    initial = {name: getattr(options, name) or "" for name in ("encoding", "delimiter", "sheet", "header_row")}
    return {
        "form": form or make_confirm_form(request, record),
        "can_match": True,
        "needs_columns": matching.needs_columns(record),
        "reading": reading or ReadingForm(initial=initial),
    }
