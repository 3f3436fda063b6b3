"""The users who are chosen in All Users.

They are ticked on this page and on others, or are all on the page, or all that match. The choice is part of the
address. It survives pagination, sorting, and searching, with and without scripts, and ends with the tab.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.http import QueryDict

from musterbook.directory import models
from musterbook.directory.imports import selection
from musterbook.web import parsers
from musterbook.web.users.search import SearchForm

MOST = 500
"""The most users that can be ticked one by one, because the length of an address is limited.

To act on more, a user chooses all that match.
"""


class TooManyTicked(Exception):
    """More users are ticked, on all pages together, than fit in an address."""


class WrongSearch(Exception):
    """A filter is not valid, so the set of all that match is not defined."""


def read_ticked(data: QueryDict) -> frozenset[int]:
    """Return the ids of all ticked users. Raise TooManyTicked.

    These are the ids that were ticked before, without those that this page showed, and those that are ticked on it.
    """
    ids = (_parse_ids(data.get("chosen", "").split(".")) - read_shown(data)) | _parse_ids(data.getlist("user"))
    if len(ids) > MOST:
        raise TooManyTicked
    return ids


def read_fitting(data: QueryDict) -> tuple[frozenset[int], bool]:
    """Return the ticked ids as far as they fit in an address, and whether they all do."""
    try:
        return read_ticked(data), True
    except TooManyTicked:
        return frozenset(sorted(_parse_ids(data.get("chosen", "").split(".")))[:MOST]), False


def read_shown(data: QueryDict) -> frozenset[int]:
    """Return the ids of the users on the page that was sent."""
    return _parse_ids(data.get("shown", "").split("."))


def join_ids(ids: Iterable[int]) -> str:
    """Return the ids as an address has them."""
    return ".".join(map(str, sorted(ids)))


def _parse_ids(texts: Iterable[str]) -> frozenset[int]:
    return frozenset(number for number in map(parsers.parse_number, texts) if number is not None)


def list_chosen(agency: models.Agency, data: QueryDict, query: Mapping[str, Any], at: datetime) -> list[int]:
    """Return the ids of the agency's users who are chosen.

    They are chosen in `data`, or are all that match the search in the address. Raise TooManyTicked and WrongSearch.
    """
    if data.get("all") == "page":
        return selection.filter_ids(agency, read_shown(data))
    if data.get("all") != "1":
        return selection.filter_ids(agency, read_ticked(data))
    search = SearchForm(agency, query)
    filters = search.read_filters()
    if filters is None:
        raise WrongSearch
    return selection.find_matching(agency, filters, at)
