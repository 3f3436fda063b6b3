"""Import history: the log of imports, with its search and filters."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from musterbook.directory import models
from musterbook.directory.imports import import_log
from musterbook.directory.imports.import_log import LogFilters, LogPage
from musterbook.http import request_context
from musterbook.web import parsers
from musterbook.web.permission import may, needs

STATES = {
    "open": gettext_lazy("Waiting to be applied"),
    "running": gettext_lazy("In progress"),
    "applied": gettext_lazy("Applied"),
    "previewed": gettext_lazy("Preview"),
    "held": gettext_lazy("On hold"),
    "refused": gettext_lazy("Refused"),
    "failed": gettext_lazy("Failed"),
    "canceled": gettext_lazy("Canceled"),
}
"""The states to filter by, each with its label."""
STATE_LABELS = {**STATES, "waiting": gettext_lazy("Waiting"), "running": gettext_lazy("Running")}
"""The states of an import, each with its label."""
TABS = ("", "open", "applied", "failed")
"""The states that have a tab ("": all)."""
MODES = {
    "update": gettext_lazy("Add or update"),
    "sync": gettext_lazy("Synchronize"),
    "rekey": gettext_lazy("Change external IDs"),
}
KINDS = {
    "file": gettext_lazy("File of users"),
    "rekey": gettext_lazy("File of new external IDs"),
    "groups": gettext_lazy("File of groups"),
    "members": gettext_lazy("File of members of groups"),
    "roles": gettext_lazy("File of roles"),
    "ranks": gettext_lazy("File of ranks"),
    "bulk": gettext_lazy("Bulk action"),
    "undo": gettext_lazy("Undo"),
}
ENDS = {
    "applied-as": gettext_lazy("Applied"),
    "replaced-by": gettext_lazy("Replaced"),
    "discarded": gettext_lazy("Discarded"),
    "expired": gettext_lazy("Expired"),
}
"""How a preview ended."""
CHANNELS = {
    "page": gettext_lazy("Web page"),
    "cli": gettext_lazy("Command line"),
    "api": gettext_lazy("API"),
    "scim": gettext_lazy("SCIM"),
    "folder": gettext_lazy("Watched folder"),
    "feed": gettext_lazy("Feed"),
    "system": gettext_lazy("System"),
}
_SYSTEM, _USER = "system", "user:"
FIELDS = ("q", "by", "mode", "state", "kind", "source", "feed", "from", "to")
"""The names of the filters in an address."""
_MOST_PAGES = 10**6


class LogForm(forms.Form):
    """The search in file names, and the filters."""

    q = forms.CharField(label=gettext_lazy("File name"), required=False, max_length=255)

    def __init__(self, agency: models.Agency, data: Any) -> None:
        super().__init__(data)
        known = import_log.list_choices(agency)
        operators = {_USER + actor: name for actor, name in known.operators if actor}
        asked = str(self.data.get("by", "")).removeprefix(_USER)
        if _USER + asked not in operators and asked and import_log.has_imports_by(agency, asked):
            operators[_USER + asked] = asked
        sources = {source: source for source in known.sources}
        self._choose("state", _("State"), STATES)
        self._choose("by", _("By"), {_SYSTEM: _("System"), **operators})
        self._choose("kind", _("Kind"), KINDS)
        self._choose("mode", _("Import option"), MODES)
        self._choose("source", _("Source"), sources)
        if known.feeds:
            self._choose("feed", _("Feed"), {name: name for name in known.feeds})
        self.fields["from"] = parsers.DayField(
            label=_("Started on or after"), required=False, widget=forms.DateInput({"type": "date"})
        )
        self.fields["to"] = parsers.DayField(
            label=_("Started on or before"), required=False, widget=forms.DateInput({"type": "date"})
        )

    def _choose(self, name: str, label: str, choices: Any) -> None:
        self.fields[name] = forms.ChoiceField(
            label=label, required=False, choices=[("", _("Any")), *choices.items()],
            error_messages={"invalid_choice": _("This choice does not exist. Choose another one.")},
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check that the days are in order."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("from") and data.get("to") and data["from"] > data["to"]:
            self.add_error("to", _("Enter a day that is not before the first day."))
        return data

    @property
    def field_errors(self) -> list[tuple[forms.BoundField, list[str]]]:
        """Return the fields that have errors, each with its errors, for the error summary."""
        return [(field, [str(error) for error in field.errors]) for field in self if field.errors]

    def read_filters(self) -> LogFilters:
        """Return the filters. The form must be valid."""
        data = self.cleaned_data
        by = data["by"]
        return LogFilters(
            text=data["q"],
            by=None if not by else "" if by == _SYSTEM else by.removeprefix(_USER),
            mode=data["mode"],
            state=data["state"],
            kind=data["kind"],
            source=data["source"],
            feed=data.get("feed", ""),
            since=_find_midnight(data["from"]),
            before=_find_midnight(data["to"] + timedelta(days=1)) if data["to"] else None,
        )


def _find_midnight(day: Any) -> datetime | None:
    """Return when a day begins in the reader's time zone."""
    return timezone.make_aware(datetime.combine(day, time())) if day else None


@require_GET
@needs("users.import")
def listed(request: HttpRequest) -> HttpResponseBase:
    """Show the page of imports that the address asks for. A filter that cannot be read shows none."""
    agency, form = request_context.agency(request), LogForm(request_context.agency(request), request.GET)
    number = parsers.parse_number(request.GET.get("page", ""), _MOST_PAGES) or 1
    page = LogPage([], 1, 0, 0, 0, "")
    if form.is_valid():
        page = import_log.read_page(agency, form.read_filters(), number, request.GET.get("until", "")[:26].upper())
    query = _copy_filters(request)
    context = {
        "form": form,
        "page": page,
        "entries": [describe(entry) for entry in page.entries],
        "total": min(page.total, import_log.MOST),
        "is_more": page.total > import_log.MOST,
        "is_filtered": bool(query),
        "more_filters": any(query.get(name) for name in FIELDS if name not in ("q", "state")),
        "tabs": [(name, STATES.get(name, _("All")), _make_address(query, state=name)) for name in TABS],
        "state": query.get("state", ""),
        "previous": _make_address(query, page=f"{page.number - 1}", until=page.until) if page.number > 1 else "",
        "next": _make_address(query, page=f"{page.number + 1}", until=page.until) if page.has_next else "",
        "first": _make_address(query, until=page.until) if page.number > 2 else "",
        "is_empty": not page.total and not query and not import_log.has_imports(agency),
        "may_view": may(request, "users.view"),
    }
    return render(request, "imports.html", context)


def describe(entry: import_log.LoggedImport) -> dict[str, Any]:
    """Return an import of the log with its texts: its title, kind, state, end, channel and duration."""
    return {
        "entry": entry,
        "title": make_title(entry),
        "kind": KINDS.get(entry.kind, entry.kind) if entry.kind != "file" else MODES.get(entry.mode, entry.mode),
        "state": STATE_LABELS.get(entry.state, entry.state),
        "ended": ENDS.get(entry.ended, ""),
        "through": CHANNELS.get(entry.through, entry.through),
        "duration": format_duration(entry.duration) if entry.duration is not None else "",
        "view": "bulk_plan" if entry.kind == "bulk" else "import",
    }


def make_title(entry: import_log.LoggedImport) -> str:
    """Return the text of the link to an import: its file name, its bulk action, or the import that it undoes."""
    if entry.kind == "undo":
        return _("Undo of %(name)s") % {"name": entry.name or entry.undoes}
    return entry.name or entry.act or entry.number


def format_duration(duration: timedelta) -> str:
    """Return a duration in short: “1.4 s”, “2 min 5 s”, “1 h 3 min”."""
    seconds = max(duration.total_seconds(), 0.0)
    if seconds < 60:
        return _("%(seconds)s s") % {"seconds": f"{seconds:.1f}"}
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if not hours:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}
    return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": left}


def _copy_filters(request: HttpRequest) -> QueryDict:
    query = QueryDict(mutable=True)
    query.update({name: str(request.GET[name]) for name in FIELDS if request.GET.get(name)})
    return query


def _make_address(query: QueryDict, **changes: str) -> str:
    """Return the address with the same filters and these changes. An empty value removes a parameter."""
    result = query.copy()
    for name, value in changes.items():
        result.pop(name, None)
        if value:
            result[name] = value
    return f"?{result.urlencode()}"
