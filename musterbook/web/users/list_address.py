"""The addresses of All Users: a search, its order, a place in it, and the users who are chosen."""

from django.http import QueryDict

from musterbook.web import parsers
from musterbook.web.users.search import FIELDS

ORDER = ("sort", "desc")
CHOICE = ("chosen", "all")
PLACE = ("place", "from")


def copy_search(query: QueryDict) -> QueryDict:
    """Return the search, as it is in an address."""
    return _copy(query, FIELDS)


def copy_query(query: QueryDict, *more: str) -> QueryDict:
    """Return the search, the order, and the ticked users, and the other parameters that are named."""
    return _copy(query, (*FIELDS, *ORDER, "chosen", *more))


def _copy(query: QueryDict, names: tuple[str, ...]) -> QueryDict:
    result = QueryDict(mutable=True)
    result.update({name: str(query[name]) for name in names if query.get(name)})
    return result


def make_address(query: QueryDict, *more: str, **changes: str) -> str:
    """Return the address of the same search with these changes.

    An empty value removes a parameter. The address leads to the first page unless a place is given. It keeps the ticked
    users, and the other parameters that are named.
    """
    result = copy_query(query, *more)
    for name, value in changes.items():
        result.pop(name, None)
        if value:
            result[name] = value
    return f"?{result.urlencode()}"


def read_number(query: QueryDict) -> int:
    """Return the number of the first user on the page, as the address has it; 1 if it has none."""
    return parsers.parse_number(query.get("from", "")) or 1
