"""The table of All Users: its columns and their headings, and the cells of each user."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from musterbook.directory.users.list_views import ListView
from musterbook.directory.users.user_list import ListedUser
from musterbook.web import times
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
class Row:
    """A user of the table: the label of the box that selects them, and their cells as HTML.

    The cells are not made by the template: with hundreds of cells a page, that took most of its time.
    """

    user: ListedUser
    label: str
    cells: list[SafeString]


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
    label = _("Select %(first)s %(last)s, %(id)s")
    return [
        Row(
            user,
            label % {"first": user.first_name, "last": user.last_name, "id": user.external_id},
            [_make_cell(user, name, classes[name]) for name in view.columns],
        )
        for user in users
    ]


def _make_cell(user: ListedUser, column: str, css: str) -> SafeString:
    if column == "name":
        return format_html(
            '<td class="{}"><a href="{}"><strong>{} {}</strong></a> <span class="m-id">{}</span></td>',
            css, reverse("user", args=[user.id]), user.first_name, user.last_name, user.external_id,
        )  # fmt: skip
    if column == "status":
        state = STATE_LABELS[user.status]
        return format_html(
            '<td class="{}"><span class="m-state m-state--{}">{}</span></td>', css, slugify(user.status), state
        )
    if column in _TIMES:
        return format_html('<td class="{}">{}</td>', css, times.render_moment(getattr(user, _TIMES[column])))
    if column == "supervisor":
        address = reverse("user", args=[user.supervisor]) if user.supervisor else ""
        link = format_html('<a href="{}">{}</a>', address, user.supervisor_name) if address else ""
        return format_html('<td class="{}">{}</td>', css, link)
    text: Any = getattr(user, column)
    if column == "email":
        return format_html('<td class="{}">{} <span class="m-id">{}</span></td>', css, text, user.username)
    return format_html('<td class="{}">{}</td>', f"{css} m-nowrap" if len(text) <= _SHORT else css, text)


_TIMES = {"last_sign_in": "last_sign_in_at", "added": "created_at"}
