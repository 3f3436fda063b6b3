"""The table of All Users: its columns and their headings, and the cells of each user."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.text import slugify
from django.utils.translation import gettext_lazy, pgettext_lazy

from musterbook.directory.users.list_views import ListView
from musterbook.directory.users.user_list import ListedUser
from musterbook.web.users.search import STATE_LABELS

SORT_LABELS: dict[str, Promise] = {
    "name": gettext_lazy("Name"),
    "external_id": gettext_lazy("External ID"),
    "email": gettext_lazy("Email"),
    "username": gettext_lazy("Username"),
    "badge_number": gettext_lazy("Badge"),
    "status": gettext_lazy("Status"),
    "role": gettext_lazy("Role"),
    "rank": gettext_lazy("Rank"),
    "group": gettext_lazy("Group"),
    "last_sign_in": gettext_lazy("Last sign-in"),
}
"""What the list can be sorted by."""
_PAIRS = {"name": ("name", "external_id"), "email": ("email", "username")}
"""The columns that show two values. Each can be sorted by."""
COLUMN_LABELS: dict[str, Promise] = {
    "name": gettext_lazy("Name and external ID"),
    "email": gettext_lazy("Email and username"),
    **{name: SORT_LABELS[name] for name in ("badge_number", "status", "role", "rank", "group", "last_sign_in")},
    "supervisor": gettext_lazy("Supervisor"),
    "location": gettext_lazy("Location"),
    "phone": gettext_lazy("Phone"),
    "source": gettext_lazy("Source"),
    "added": pgettext_lazy("date", "Added"),
}
"""The columns that a user can choose from."""
_NARROW = (
    "role",
    "rank",
    "group",
    "badge_number",
    "last_sign_in",
    "supervisor",
    "location",
    "phone",
    "source",
    "added",
)
"""In a narrow window, the third line of a user has the first three of these columns that are shown."""
_SHORT = 24
"""A value of at most this many characters stays on one line."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the table: `kind` says how it is shown, `below` is its second line, `css` has its classes."""

    column: str
    label: str
    kind: str
    text: str = ""
    below: str = ""
    at: datetime | None = None
    css: str = ""
    link: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A user of the table."""

    user: ListedUser
    cells: list[Cell]


def list_sorts(column: str) -> tuple[str, ...]:
    """Return what the list can be sorted by in the heading of this column."""
    return _PAIRS.get(column, (column,) if column in SORT_LABELS else ())


def make_rows(users: Iterable[ListedUser], view: ListView) -> list[Row]:
    """Return the users with their cells, in the columns of the view."""
    third = [name for name in _NARROW if name in view.columns][:3]
    classes = {
        name: f"m-list__{name}" + (" m-list__third" if name in third else " m-list__more" if name in _NARROW else "")
        for name in view.columns
    }
    return [Row(user, [_make_cell(user, name, classes[name]) for name in view.columns]) for user in users]


def _make_cell(user: ListedUser, column: str, css: str) -> Cell:
    label = str(SORT_LABELS.get(column) or COLUMN_LABELS[column])
    if column == "name":
        return Cell(column, label, "name", f"{user.first_name} {user.last_name}", user.external_id, css=css)
    if column == "status":
        return Cell(column, label, "state", str(STATE_LABELS[user.status]), slugify(user.status), css=css)
    if column in _TIMES:
        return Cell(column, label, "time", at=getattr(user, _TIMES[column]), css=css)
    if column == "supervisor":
        return Cell(column, label, "user", user.supervisor_name, css=css, link=user.supervisor)
    text: Any = getattr(user, column)
    css = f"{css} m-nowrap" if len(text) <= _SHORT and column != "email" else css
    return Cell(column, label, "text", text, user.username if column == "email" else "", css=css)


_TIMES = {"last_sign_in": "last_sign_in_at", "added": "created_at"}
