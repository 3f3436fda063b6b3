"""The page of one import: its progress, or its plan row by row, with the acts that are possible."""

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRefresh

from musterbook.core.domain.labels import CHANNELS, HELD, state_title
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.imports import history, plan_files, plan_pages, queue, undo
from musterbook.directory.imports.file_import import Options
from musterbook.directory.models import ImportKind
from musterbook.web import asked
from musterbook.web.fragments import is_part
from musterbook.web.imports.forms import Agree, Mapping_, Reading
from musterbook.web.permission import account

_TILES = (
    ("errored", "with problems"), ("added", "added"), ("updated", "updated"), ("deactivated", "deactivated"),
    ("protected", "protected"), ("unchanged", "unchanged"), ("noted", "with notes"),
)  # fmt: skip
"""The counts of rows. Each is also a filter."""
_LISTED = 200
"""The most names that are offered for a cell."""
_MOST_PAGES = 10**8
_ABOUT = {
    "errored": "These rows have problems. They change nothing until they are mended; the other rows do not wait for them.",
    "added": "These users are new.",
    "updated": "These users change.",
    "deactivated": "The file does not mention these users, so they become Inactive. They keep all that they have.",
    "protected": "The file does not mention these users; they stay Active all the same.",
    "unchanged": "These rows are as the directory has them.",
    "noted": "These rows have notes. Notes tell, and hinder nothing.",
}


def agreement(record: models.Import, *sent: Any) -> Agree | None:
    """Return the form that confirms the number of deactivations, or None if the import is not held."""
    return Agree(record.held["deactivations"], *sent) if record.held else None


def shown(
    request: HttpRequest,
    record: models.Import,
    form: Agree | None = None,
    mapping: Mapping_ | None = None,
    reading: Reading | None = None,
) -> HttpResponseBase:
    """Render the page of the import. The status is 422 if a form has errors."""
    history.refresh_record(record)
    if record.state in {"waiting", "running"}:
        return progress(request, record, "import_running.html", {"title": state_title(record.state)})
    if is_part(request) and "progress" in request.GET:
        return HttpResponseClientRefresh()
    found = rows(request, record, dict(_TILES), _ABOUT)
    if is_part(request):
        return render(request, "import_rows.html", found)
    wrong = next((one for one in (form, mapping, reading) if one and one.is_bound), None)
    about = found | _about(request, record) | _forms(record, form, mapping, reading)
    return render(request, "import.html", about, status=422 if wrong else 200)


def progress(request: HttpRequest, record: models.Import, template: str, about: dict[str, Any]) -> HttpResponse:
    """Render the progress on a page with the template and its context.

    If only the fragment is requested, render only the fragment.
    """
    standing = queue.progress_of(record)
    told = about | {"record": record, "standing": standing, "said": _said(standing)}
    return render(request, "import_progress.html" if is_part(request) else template, told)


def _said(standing: queue.Standing) -> str:
    """Return the progress of an import as a sentence."""
    if standing.stopping:
        return "It was asked to stop, and does unless it is done first."
    if standing.no_worker:
        return (
            "Nobody is at work: tell whoever runs Musterbook here that no worker is running. The import waits for one."
        )
    if standing.ahead:
        return (
            f"It waits for import {standing.ahead.number} by {standing.ahead.actor or 'the system'}, which comes first."
        )
    stage = standing.stage or "It begins in a moment"
    return f"{stage[0].upper()}{stage[1:]}."


def rows(
    request: HttpRequest, record: models.Import, labels: dict[str, str], sentences: dict[str, str]
) -> dict[str, Any]:
    """Return the tiles, and the page of rows that is requested.

    `labels` has the label of each tile, and `sentences` the sentence about its rows. By default, the page has the first
    tile that has rows, so rows that need attention come first.
    """
    counts = {name: number for name, number in _counts(record).items() if name in labels}
    show = request.GET.get("show", "")
    chosen = show if show in counts else next((name for name in labels if counts[name]), "unchanged")
    text, number = request.GET.get("q", ""), asked.number(request.GET.get("page", ""), _MOST_PAGES)
    page = plan_pages.page(record, chosen, text, number or 1)
    return {
        "record": record,
        "tiles": [(name, label, counts[name]) for name, label in labels.items() if counts[name] or name == chosen],
        "show": chosen,
        "about_rows": sentences[chosen],
        "q": text,
        "page": page,
        "before": _address(chosen, text, page.number - 1) if page.number > 1 else "",
        "after": _address(chosen, text, page.number + 1) if page.number < page.pages else "",
        "can_mend": chosen == "errored" and record.state != "failed" and record.kind == ImportKind.FILE,
        "vocabulary": _vocabulary(record.agency) if chosen == "errored" else {},
        "is_done": record.state == "applied",
    }


def _address(show: str, text: str, number: int) -> str:
    query = QueryDict(mutable=True)
    query.update({"show": show, "page": str(number)} | ({"q": text} if text else {}))
    return f"?{query.urlencode()}"


def _counts(record: models.Import) -> dict[str, int]:
    noted = history.count_noted_rows(record)
    return {name: noted if name == "noted" else record.counts.get(name, 0) for name, _ in _TILES}


def _vocabulary(agency: models.Agency) -> dict[str, list[str]]:
    """Return the values that each heading accepts, for cells that are corrected."""
    words = snapshot_queries.vocabulary(agency)
    return {
        "STATUS": ["Active", "Inactive"],
        "ROLE": [role.name for role in words.roles[:_LISTED]],
        "RANK": [rank.name for rank in words.ranks[:_LISTED]],
        "EVIDENCE_GROUP_EXT_ID": [group.external_id for group in words.groups if group.active][:_LISTED],
    }


def _about(request: HttpRequest, record: models.Import) -> dict[str, Any]:
    told = history.about(record)
    changed = any(problem.code == "plan-changed" for problem in told.problems)
    undone = history.find_undo(record)
    return {
        "title": state_title(record.state),
        "told": told,
        "actor": history.find_operator(record),
        "undone_by": undone,
        "once": secrets.token_urlsafe(12),
        "can_apply": (record.state in {"previewed", "held"} or changed) and bool(record.digest),
        "can_undo": not undone and undo.is_allowed(record, account(request).user.external_id),
        "held": HELD.get(str(told.held["code"]), "") if told.held else "",
        "delimiter": {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}.get(
            str(told.file.get("delimiter")), ""
        ),
        "through": CHANNELS.get(record.through, record.through),
        "mended": sum(len(cells) for cells in Options.of_json(record.options).mended.values()),
    }


def _forms(
    record: models.Import, form: Agree | None, mapping: Mapping_ | None, reading: Reading | None
) -> dict[str, Any]:
    options = Options.of_json(record.options)
    if record.kind != ImportKind.FILE or record.state not in {"previewed", "held", "refused"}:
        return {"form": form or agreement(record)}
    if mapping is None:
        try:
            mapping = Mapping_(plan_files.file(record.number), options.mapping)
        except plan_files.PlanGone:
            return {"form": form or agreement(record)}
    said = {name: getattr(options, name) or "" for name in ("encoding", "delimiter", "sheet")}
    return {
        "form": form or agreement(record),
        "mapping": mapping if mapping.fields else None,
        "reading": reading or Reading(initial=said),
    }
