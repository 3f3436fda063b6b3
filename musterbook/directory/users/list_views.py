"""How a user sees All Users, and the searches that they have saved: theirs alone, and kept on the server."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from musterbook.core.values.keys import fold
from musterbook.directory import models

COLUMNS = (
    "name", "email", "badge_number", "status", "role", "rank", "group", "last_sign_in", "supervisor", "location", "phone",
    "source", "added",
)  # fmt: skip
"""The columns of the list, in their order. The first is always shown."""
DEFAULT_COLUMNS = COLUMNS[:8]
SIZES = (25, 50, 100, 200)
"""The sizes of a page that a user can choose from."""
MOST_FILTERS = 20
"""The most filters that one user can save."""
_LONGEST_NAME, _LONGEST_QUERY = 60, 2000


@dataclass(frozen=True, slots=True)
class ListView:
    """How a user sees the list: its columns, whether it is compact, and the size of a page (0: the default)."""

    columns: tuple[str, ...] = DEFAULT_COLUMNS
    compact: bool = False
    size: int = 0


def read_view(user: models.User) -> ListView:
    """Return how the user sees the list. Columns that no longer exist are left out."""
    stored = models.ListView.objects.filter(user=user).first()
    if stored is None:
        return ListView()
    return _make_view(stored.columns, stored.compact, stored.size)


def save_view(user: models.User, columns: Collection[str], *, compact: bool, size: int) -> ListView:
    """Save how the user sees the list, and return it. Unknown columns and sizes are left out."""
    view = _make_view(columns, compact, size)
    models.ListView.objects.update_or_create(
        user=user, defaults={"columns": list(view.columns), "compact": compact, "size": view.size}
    )
    return view


def reset_view(user: models.User) -> None:
    """Let the user see the list as everyone does at first."""
    models.ListView.objects.filter(user=user).delete()


def _make_view(columns: Collection[str], compact: bool, size: int) -> ListView:
    chosen = tuple(name for name in COLUMNS if name == COLUMNS[0] or name in columns)
    return ListView(chosen, compact, size if size in SIZES else 0)


class NotSaved(Exception):
    """A filter cannot be saved; the message says why."""


class UnknownFilter(Exception):
    """The user has saved no such filter."""


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """A search that a user has named; `query` is as an address has it."""

    id: int
    name: str
    query: str


def list_filters(user: models.User) -> list[SavedFilter]:
    """Return the filters that the user has saved, by name."""
    saved = models.SavedFilter.objects.filter(user=user).order_by("name_key", "pk")
    return [SavedFilter(one.pk, one.name, one.query) for one in saved[:MOST_FILTERS]]


def save_filter(user: models.User, name: str, query: str) -> SavedFilter:
    """Save the search under this name, and return it. Raise NotSaved."""
    name = _clean_name(name)
    if not query:
        raise NotSaved(_("Choose at least one filter, or search for something, and then save it."))
    if len(query) > _LONGEST_QUERY:
        raise NotSaved(_("This search is too long to be saved."))
    with transaction.atomic():
        # One at a time for each user, so that two requests together save no more than one request could.
        models.User.objects.select_for_update().filter(pk=user.pk).first()
        saved = models.SavedFilter.objects.filter(user=user)
        if saved.filter(name_key=fold(name)).exists():
            raise NotSaved(_("You have already saved a filter with this name. Choose another name."))
        if saved.count() >= MOST_FILTERS:
            text = ngettext(
                "You can save %(number)d filter. Delete it first.",
                "You can save %(number)d filters. Delete one first.",
                MOST_FILTERS,
            )
            raise NotSaved(text % {"number": MOST_FILTERS})
        one = models.SavedFilter.objects.create(user=user, name=name, name_key=fold(name), query=query)
    return SavedFilter(one.pk, one.name, one.query)


def _clean_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise NotSaved(_("Enter a name for the filter."))
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise NotSaved(_("Enter a name of at most %(number)d characters.") % {"number": _LONGEST_NAME})
    return name


def find_filter(user: models.User, number: int) -> SavedFilter:
    """Return a filter that the user has saved. Raise UnknownFilter."""
    one = models.SavedFilter.objects.filter(user=user, pk=number).first()
    if one is None:
        raise UnknownFilter
    return SavedFilter(one.pk, one.name, one.query)


def delete_filter(user: models.User, number: int) -> SavedFilter:
    """Delete a filter that the user has saved, and return it. Raise UnknownFilter."""
    found = find_filter(user, number)
    models.SavedFilter.objects.filter(user=user, pk=number).delete()
    return found
