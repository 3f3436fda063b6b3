"""An import as JSON: its state, what it does, what holds it, and the addresses of all that can be done with it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from ninja import Schema
from pydantic import Field

from musterbook.api import access
from musterbook.api.access import Needs
from musterbook.api.schemas import Time
from musterbook.core.domain.problems import Problem
from musterbook.core.planning.holds import Hold
from musterbook.core.reporting import summary
from musterbook.directory import models
from musterbook.directory.imports import (
    bulk,
    cancellation,
    drafts,
    entry_files,
    file_import,
    given_options,
    history,
    plan_changes,
    plan_ends,
    queue,
)
from musterbook.directory.imports.import_log import LoggedImport
from musterbook.directory.imports.options import Options
from musterbook.directory.models import FROM_FILE, ImportKind
from musterbook.http import request_context


class Operator(Schema):
    """A user who runs imports. `name` is "" for a user who has another external ID now."""

    external_id: str
    name: str


class ProblemText(Schema):
    """A problem or a note: its code, where it is, and sentences in English."""

    code: str
    column: str
    value: str
    message: str
    remedy: str


class EarlierImport(Schema):
    """The import of the same agency that this one waits for. `by`: its operator, or null for the system."""

    number: str
    by: str | None


class Progress(Schema):
    """How far an import is. `total` is 0 while it is not known."""

    stage: str
    done: int
    total: int
    waits_for: EarlierImport | None = None
    no_worker: bool = Field(description="Whether no worker seems to run, so that the import waits")
    stopping: bool = Field(description="Whether a user has asked it to stop")


class HoldText(Schema):
    """A reason why an import is held. It is confirmed by `kind` and `number`; `number` is null if it has none."""

    kind: str
    number: int | None
    code: str
    sentence: str
    users: int
    active: int
    limit: int
    role: str = ""
    group: str = ""
    fact: str = ""


class FileFacts(Schema):
    """The file of an import, and how it was read."""

    name: str
    size: int
    sha256: str
    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    header_row: int | None = None
    columns: list[str] = Field(default_factory=list)
    ignored: list[str] = Field(default_factory=list)


class PlanEnding(Schema):
    """How a plan ended, and the number of the import in its place."""

    how: str
    number: str | None = None


class Listed(Schema):
    """An import, as the list has it."""

    number: str
    kind: str = Field(description="file, rekey, groups, members, roles, ranks, bulk or undo")
    mode: str
    state: str = Field(
        description="waiting, running, previewed, held, applied, refused, failed or canceled. Only applied has changed users."
    )
    is_open: bool = Field(description="Whether its plan can be applied")
    name: str = Field(description="The name of its file, or of the bulk action")
    source: str
    feed: str
    by: Operator | None = Field(description="Null for the system")
    through: str
    started_at: Time
    finished_at: Time | None
    counts: dict[str, int]
    summary: str
    ended: PlanEnding | None
    undoes: str | None
    message: str
    links: dict[str, str]


class ImportState(Listed):
    """An import: its state, what it does or did, and what can be done with it."""

    progress: Progress | None = Field(description="Null when the import has ended")
    digest: str = Field(description="What identifies the plan. `apply` and `confirm` need it.")
    holds: list[HoldText]
    mails: dict[str, int] = Field(description="Kind of email → how many are sent")
    problems: list[ProblemText] = Field(description="The problems of the file itself")
    notes: list[ProblemText]
    file: FileFacts | None
    options: dict[str, Any]
    action: dict[str, str] | None = Field(description="The bulk action, if it is one")
    corrected_cells: int
    open_fixes: int = Field(description="Cells that users have fixed on the page, and that the plan does not have yet")
    plan_of: str | None = Field(description="The import whose plan this one applies, or makes again")
    undone_by: str | None


class NeedsOfImport(Needs):
    """The authentication of an operation on one import: what the import is about says which permission it needs."""

    def find_permission(self, request: HttpRequest) -> str:
        """Return the permission to import such a file. It is that to import users if there is no such import."""
        match = request.resolver_match
        number = str(match.kwargs.get("number", "")) if match else ""
        try:
            record = file_import.find_import(request_context.agency(request), number.upper())
        except file_import.UnknownImport:
            return self.permission
        return entry_files.PERMISSIONS.get(entry_files.get_layout(record), self.permission)


NEEDS = NeedsOfImport("users.import")


def find_import(request: HttpRequest, number: str) -> models.Import:
    """Return the import of the agency with that number, in upper or lower case. Raise UnknownImport.

    Raise AccessRefused if it is one of groups, members, roles or ranks, and the token lacks the permission for it.
    """
    record = file_import.find_import(access.get_agency(request), number.upper())
    what = entry_files.get_layout(record)
    if what:
        access.require(request, entry_files.PERMISSIONS[what])
    return record


def describe(record: models.Import) -> ImportState:
    """Return the import as it is now."""
    history.refresh_record(record)
    report = history.summarize_import(record)
    state = cancellation.get_shown_state(record)
    ended = plan_ends.get_end(record, datetime.now(UTC))
    operator, undone = history.find_operator(record), history.find_undo(record)
    change = bulk.get_change(record)
    planned = state in {"applied", "previewed", "held"}
    holds = [Hold.of_json(hold) for hold in record.holds]
    is_open = plan_ends.shows_plan(record) and not ended
    return ImportState(
        number=record.number,
        kind=record.kind,
        mode=record.mode,
        state=state,
        is_open=is_open,
        name=record.file_name,
        source=report.source,
        feed=getattr(record.feed, "name", ""),
        by=_describe_operator(record.actor, f"{operator.first_name} {operator.last_name}" if operator else ""),
        through=record.through,
        started_at=record.started_at,
        finished_at=record.finished_at,
        counts=dict(report.counts),
        summary=summary.summarize(
            record.counts, record.mails, done=state == "applied", words=change.words if change else {}
        )
        if planned
        else "",
        ended=PlanEnding(how=ended, number=getattr(record.successor, "number", None)) if ended else None,
        undoes=getattr(record.undoes, "number", None),
        message=record.message,
        links=make_links(record, state, is_open=is_open, has_holds=bool(holds)),
        progress=_describe_progress(record),
        digest=record.digest,
        holds=[describe_hold(hold) for hold in holds],
        mails=record.mails,
        problems=describe_problems(report.problems),
        notes=describe_problems(report.notes),
        file=_describe_file(record),
        options=given_options.show_options(Options.of_json(record.options)),
        action=change.as_json() if change else None,
        corrected_cells=sum(map(len, Options.of_json(record.options).corrections.values())),
        open_fixes=drafts.count_fixes(record),
        plan_of=getattr(record.origin, "number", None),
        undone_by=getattr(undone, "number", None),
    )


def describe_entry(record: models.Import, entry: LoggedImport) -> Listed:
    """Return an import of the list. `entry`: the same import as the log has it."""
    ended = PlanEnding(how=entry.ended, number=entry.ended_as or None) if entry.ended else None
    return Listed(
        number=entry.number,
        kind=entry.kind,
        mode=entry.mode,
        state=entry.state,
        is_open=entry.is_open,
        name=record.file_name,
        source=entry.source,
        feed=entry.feed,
        by=_describe_operator(entry.by, entry.by_name if entry.by_id else ""),
        through=entry.through,
        started_at=entry.at,
        finished_at=record.finished_at,
        counts=entry.counts,
        summary=entry.outcome,
        ended=ended,
        undoes=entry.undoes or None,
        message=entry.message,
        links={"self": make_address(record)},
    )


def _describe_operator(actor: str, name: str) -> Operator | None:
    return Operator(external_id=actor, name=name) if actor else None


def _describe_progress(record: models.Import) -> Progress | None:
    if record.finished_at:
        return None
    status = queue.get_status(record)
    ahead = status.ahead
    return Progress(
        stage=status.stage,
        done=status.done,
        total=status.total,
        waits_for=EarlierImport(number=ahead.number, by=ahead.actor or None) if ahead else None,
        no_worker=status.no_worker,
        stopping=status.stopping,
    )


def describe_hold(hold: Hold) -> HoldText:
    """Return a reason why an import is held."""
    return HoldText(
        kind=hold.key,
        number=hold.number,
        code=hold.code,
        sentence=summary.describe_hold(hold),
        users=hold.users,
        active=hold.active,
        limit=hold.limit,
        role=hold.role,
        group=hold.group,
        fact=hold.fact,
    )


def describe_problems(problems: Iterable[Problem]) -> list[ProblemText]:
    """Return problems or notes in English."""
    return [ProblemText(**problem.as_json()) for problem in problems]


def _describe_file(record: models.Import) -> FileFacts | None:
    if record.kind not in FROM_FILE:
        return None
    names = ("format", "encoding", "delimiter", "sheet", "header_row", "columns", "ignored")
    facts: Mapping[str, Any] = {name: record.file_facts[name] for name in names if record.file_facts.get(name)}
    return FileFacts(name=record.file_name, size=record.file_size, sha256=record.file_sha256, **facts)


_OF_ENDED = ("rows", "problems")
_FILES = ("results", "errors")


def make_links(record: models.Import, state: str, *, is_open: bool, has_holds: bool) -> dict[str, str]:
    """Return the addresses of the import, its page, its rows and files, and of what can be done with it now."""
    here = make_address(record)
    page = reverse(
        "bulk_plan" if record.kind == ImportKind.BULK else "import",
        urlconf="musterbook.web.urls", args=[record.number],
    )  # fmt: skip
    is_file = record.kind in FROM_FILE
    names: list[str] = []
    if record.finished_at is None:
        names.append("cancel")
    elif state not in {"failed", "canceled"}:
        names += [*_OF_ENDED, *(_FILES if is_file else ())]
    if is_open:
        names += ["confirm" if has_holds else "apply", "discard"]
    if plan_changes.can_plan_again(record, datetime.now(UTC)):
        names.append("corrections")
    if state == "applied":
        names.append("undo")
    links = {"self": here, "page": f"{settings.MUSTER_URL}{page}"}
    return links | {name: f"{here}/{name}" for name in names}


def make_address(record: models.Import) -> str:
    """Return the address of the import."""
    return f"{settings.MUSTER_URL}{reverse('rest:readImport', args=[record.number])}"
