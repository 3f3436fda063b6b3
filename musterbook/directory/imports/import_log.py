"""The log of imports: search and filters, page by page, and their number (rule A4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, Q, QuerySet, When

from musterbook.core.domain.labels import PLAN_ENDS
from musterbook.core.reporting import summary
from musterbook.directory import models
from musterbook.directory.imports import bulk, cancellation, plan_ends
from musterbook.directory.imports.records import reap_orphans

PAGE = 50
MOST = 10_000
"""The most imports that are counted."""
_RECENT = 2_000
"""The number of imports whose operators and sources the filters offer."""

STATES: dict[str, Q] = {
    "open": plan_ends.OPEN,
    "running": Q(state__in=("waiting", "running"), finished_at=None),
    "applied": Q(state="applied"),
    "previewed": Q(state="previewed"),
    "held": Q(state="held"),
    "refused": Q(state="refused"),
    "failed": Q(state="failed", stop=False),
    "canceled": Q(state="failed", stop=True),
}
"""The states that the log can be filtered by. “open”: the plan can still be applied."""


@dataclass(frozen=True, slots=True)
class LogFilters:
    """The criteria for imports: an import matches if it passes every filter given.

    `text`: part of the file name, in any case; `by`: the external ID of the operator, "" for the system; `mode`: one of
    models.MODES; `state`: one of STATES; `kind`: one of ImportKind; `source`: the source of the file; `feed`: the name of
    the feed that it arrived by; `since`, `before`: when it began.
    """

    text: str = ""
    by: str | None = None
    mode: str = ""
    state: str = ""
    kind: str = ""
    source: str = ""
    feed: str = ""
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class LoggedImport:
    """One import as the log shows it.

    `name`: its file name, or for a bulk change its name; `act`: the label of a bulk change; `state`: as
    `cancellation.get_shown_state`; `by`: the external ID of the operator ("" for the system), and `by_name` the name;
    `duration`: None while it is not finished; `others`: the sentence that sums up effects that are not in `counts`,
    `outcome` the one about all of them;
    `ended`: how its plan ended (`plan_ends.PlanEnd`), and `ended_as` the import in its place; `undoes`: the import that
    it takes back; `feed`: the name of the feed that its file arrived by, "" for none.
    """

    number: str
    at: datetime
    duration: timedelta | None
    name: str
    act: str
    kind: str
    mode: str
    source: str
    state: str
    is_open: bool
    ended: str
    ended_as: str
    undone: bool
    undoes: str
    by: str
    by_name: str
    by_id: int | None
    through: str
    feed: str
    counts: dict[str, int]
    others: str
    outcome: str
    message: str

    @property
    def has_changes(self) -> bool:
        """Return whether it has changed users."""
        return self.state == "applied" and any(self.counts[name] for name in ("added", "updated", "losing_access"))


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of the log.

    `first`, `last`: the numbers of its imports among all that match; `total`: how many match, at most MOST + 1;
    `until`: the import with which the log begins. It keeps the pages still while new imports begin.
    """

    entries: list[LoggedImport]
    number: int
    first: int
    last: int
    total: int
    until: str

    @property
    def has_next(self) -> bool:
        """Return whether there is a next page."""
        return self.last < self.total and self.last < MOST


def read_page(agency: models.Agency, filters: LogFilters, number: int = 1, until: str = "") -> LogPage:
    """Return a page of the agency's imports, the latest first. A page after the last one is the last one.

    `until`: the import with which the log begins ("": the latest).
    """
    reap_orphans(agency)
    imports = _select(agency, filters)
    if until:
        # Numbers sort by time.
        imports = imports.filter(number__lte=until)
    total = imports.order_by()[: MOST + 1].count()
    number = max(1, min(number, (min(total, MOST) + PAGE - 1) // PAGE))
    start = (number - 1) * PAGE
    records = list(imports.select_related("undoes", "successor").order_by("-started_at", "-pk")[start : start + PAGE])
    entries = make_entries(agency, records)
    begin = until or max((entry.number for entry in entries), default="")
    return LogPage(entries, number, start + 1 if entries else 0, start + len(entries), total, begin)


def read_after(
    agency: models.Agency, filters: LogFilters, after: tuple[datetime, int] | None, most: int
) -> list[models.Import]:
    """Return the agency's imports that match, the latest first, at most this many.

    `after`: when the last import of the page before began, and its id; None for the first page.
    """
    reap_orphans(agency)
    imports = _select(agency, filters)
    if after:
        at, pk = after
        imports = imports.filter(Q(started_at__lt=at) | Q(started_at=at, pk__lt=pk))
    return list(imports.select_related("undoes", "successor").order_by("-started_at", "-pk")[:most])


def _select(agency: models.Agency, filters: LogFilters) -> "QuerySet[models.Import]":
    imports = models.Import.objects.filter(agency=agency)
    if filters.state:
        imports = imports.filter(STATES[filters.state])
    if filters.by is not None:
        imports = imports.filter(actor=filters.by)
    if filters.text:
        imports = imports.filter(file_name__icontains=filters.text)
    if filters.source:
        imports = imports.filter(options__source=filters.source)
    if filters.feed:
        imports = imports.filter(feed__agency=agency, feed__name=filters.feed)
    given = {"mode": filters.mode, "kind": filters.kind, "started_at__gte": filters.since}
    given["started_at__lt"] = filters.before
    return imports.filter(**{name: value for name, value in given.items() if value})


def list_latest(agency: models.Agency, filters: LogFilters, most: int) -> list[LoggedImport]:
    """Return the latest imports that match, at most this many. Those on hold come first."""
    imports = _select(agency, filters).select_related("undoes", "successor")
    held_last = Case(When(state="held", then=1), default=0)
    order = ("-started_at", "-pk") if filters.state != "open" else (held_last.desc(), "-started_at", "-pk")
    return make_entries(agency, list(imports.order_by(*order)[:most]))


def find_last(agency: models.Agency) -> LoggedImport | None:
    """Return the last import that ended, other than by a preview or a hold; None if there is none."""
    ended = models.Import.objects.filter(agency=agency, state__in=("applied", "failed", "refused"))
    last = ended.select_related("undoes", "successor").order_by("-started_at", "-pk").first()
    return make_entries(agency, [last])[0] if last else None


def make_entries(agency: models.Agency, records: list[models.Import]) -> list[LoggedImport]:
    """Return the imports as the log shows them."""
    users = _read_users(agency, {record.actor for record in records})
    undone = set(
        models.Import.objects.filter(
            agency=agency, undoes__in=[record.pk for record in records], state="applied"
        ).values_list("undoes", flat=True)
    )
    feeds = _read_feeds({record.feed_id for record in records if record.feed_id})
    return [_make_entry(record, users, record.pk in undone, feeds.get(record.feed_id, "")) for record in records]


def _read_feeds(keys: set[int]) -> dict[int | None, str]:
    return dict(models.Feed.objects.filter(pk__in=keys).values_list("pk", "name")) if keys else {}


def _read_users(agency: models.Agency, ids: Iterable[str]) -> dict[str, tuple[int, str]]:
    users = models.User.objects.filter(agency=agency, external_id__in=set(ids))
    rows = users.values_list("external_id", "pk", "first_name", "last_name")
    return {external_id: (pk, f"{first} {last}") for external_id, pk, first, last in rows}


def _make_entry(record: models.Import, users: dict[str, tuple[int, str]], undone: bool, feed: str) -> LoggedImport:
    change, origin = bulk.get_change(record), record.undoes
    planned, words = record.state in {"applied", "previewed", "held"}, change.words if change else {}
    by_id, by_name = users.get(record.actor, (None, record.actor))
    return LoggedImport(
        number=record.number,
        at=record.started_at,
        duration=record.finished_at - record.started_at if record.finished_at else None,
        name=origin.file_name if origin else record.file_name,
        act=change.label if change else "",
        kind=record.kind,
        mode=record.mode,
        source=str(record.options.get("source") or ""),
        state=cancellation.get_shown_state(record),
        is_open=plan_ends.shows_plan(record) and not record.ended,
        ended=record.ended if record.ended in PLAN_ENDS else "",
        ended_as=record.successor.number if record.successor else "",
        undone=undone,
        undoes=origin.number if origin else "",
        by=record.actor,
        by_name=by_name,
        by_id=by_id,
        through=record.through,
        feed=feed,
        counts=read_counts(record.counts),
        others=_summarize_others(record) if planned else "",
        outcome=summary.summarize(record.counts, record.mails, done=record.state == "applied", words=words)
        if planned
        else "",
        message=record.message,
    )


_COLUMNS = ("rows", "added", "updated", "errored", "losing_access")
"""The counts that have a column of their own."""


def _summarize_others(record: models.Import) -> str:
    """Return the sentence about the other counts and the emails, or "" if there are none."""
    others = {name: number for name, number in record.counts.items() if name not in _COLUMNS}
    if not any(others.get(name) for name in _OTHERS) and not any(record.mails.values()):
        return ""
    return summary.summarize(others, record.mails, done=record.state == "applied")


_OTHERS = (
    "removed", "losses", "reactivated", "privileges", "handovers", "identity_changes", "cleared", "released", "marked",
    "skipped",
)  # fmt: skip


def read_counts(counts: dict[str, int]) -> dict[str, int]:
    """Return the counts that the log shows. Older imports did not count the users who lose access by a row."""
    deactivated = counts.get("deactivated", 0)
    losing = counts.get("losing_access", deactivated)
    return {**{name: counts.get(name, 0) for name in ("rows", "added", "updated", "errored")}, "losing_access": losing}


@dataclass(frozen=True, slots=True)
class FilterChoices:
    """The operators and the sources of recent imports, and the feeds, to filter by.

    `operators`: external ID and name of each; "" is the system. `feeds`: the names of all feeds.
    """

    operators: list[tuple[str, str]]
    sources: list[str]
    feeds: list[str]


def list_choices(agency: models.Agency) -> FilterChoices:
    """Return the operators and the sources of the agency's recent imports, and its feeds, by name."""
    recent = models.Import.objects.filter(agency=agency).order_by("-started_at", "-pk")
    rows = list(recent.values_list("actor", "options__source")[:_RECENT])
    users = _read_users(agency, {actor for actor, _ in rows if actor})
    operators = {actor: users.get(actor, (0, actor))[1] for actor, _ in rows}
    return FilterChoices(
        sorted(operators.items(), key=lambda one: one[1]),
        sorted({str(source) for _, source in rows if source}),
        list(models.Feed.objects.filter(agency=agency).order_by("name").values_list("name", flat=True)),
    )


def has_imports_by(agency: models.Agency, actor: str) -> bool:
    """Return whether the agency has an import by this operator."""
    return models.Import.objects.filter(agency=agency, actor=actor).exists()


def has_imports(agency: models.Agency) -> bool:
    """Return whether the agency has an import."""
    return models.Import.objects.filter(agency=agency).exists()
