"""Whom somebody chose in All Users: ticked on this page and on others, all on the page, or all that match.

The choice travels in the address, so it survives paging, sorting and searching, with scripts and without, and ends with the tab.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.http import QueryDict

from musterbook.directory import models
from musterbook.directory.imports import selection
from musterbook.web import asked
from musterbook.web.users.search import Search

MOST = 500
"""So many are chosen one by one at most: an address can be no longer. Who wants more chooses all that match."""


class TooMany(Exception):
    """More were ticked, on all pages together, than an address can bear."""


class WrongSearch(Exception):
    """A filter means nothing, so nobody can say who all that match are."""


def read(sent: QueryDict) -> frozenset[int]:
    """The ids ticked before, less those that this page showed, and those ticked on it. Raises TooMany."""
    ids = (_ids(sent.get("chosen", "").split(".")) - shown(sent)) | _ids(sent.getlist("user"))
    if len(ids) > MOST:
        raise TooMany
    return ids


def borne(sent: QueryDict) -> tuple[frozenset[int], bool]:
    """The same as far as an address can bear it, and whether that is all of it."""
    try:
        return read(sent), True
    except TooMany:
        return frozenset(sorted(_ids(sent.get("chosen", "").split(".")))[:MOST]), False


def shown(sent: QueryDict) -> frozenset[int]:
    """The ids of the users on the page that was sent."""
    return _ids(sent.get("shown", "").split("."))


def written(ids: Iterable[int]) -> str:
    """The ids as an address bears them."""
    return ".".join(map(str, sorted(ids)))


def _ids(texts: Iterable[str]) -> frozenset[int]:
    return frozenset(number for number in map(asked.number, texts) if number is not None)


def users(agency: models.Agency, sent: QueryDict, query: Mapping[str, Any], at: datetime) -> list[int]:
    """The ids of the agency's users who are chosen: by `sent`, or of all by the search of the address.

    Raises TooMany and WrongSearch.
    """
    if sent.get("all") == "page":
        return selection.of_agency(agency, shown(sent))
    if sent.get("all") != "1":
        return selection.of_agency(agency, read(sent))
    search = Search(agency, query)
    if not search.is_valid():
        raise WrongSearch
    return selection.matching(agency, search.wanted(), at)
