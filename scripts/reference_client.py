"""The page of the reference about the client, written from its docstrings."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from musterbook.client import problems
from musterbook.client.agency import Agency, AsyncAgency
from musterbook.client.described import routes
from musterbook.client.operations import Downloading, Listing, Operation, Resource


def list_client(generated: str) -> Iterator[str]:
    """Yield the lines of the page: the agencies, their resources with all methods, and the exceptions."""
    from musterbook.api import openapi  # it needs Django

    paths = openapi.make_document("")["paths"].values()
    summaries = {one["operationId"]: one["summary"] for methods in paths for one in methods.values()}
    yield from ("# The Python client", "", generated, "", *_INTRODUCTION)
    for kind in (Agency, AsyncAgency):
        yield from ("", f"## `{kind.__name__}`", "", f"`{kind.__name__}{_show_signature(kind.__init__)}`")
        yield from ("", *_list_paragraphs(kind), "", f"`{kind.__name__}.from_environment(**options)`")
        yield from ("", *_list_paragraphs(kind.from_environment))
    yield from ("", "## `agency`", "", *_list_methods(Agency, summaries))
    with Agency("http://localhost/agency", "token") as agency:
        resources = {name: one for name, one in vars(agency).items() if isinstance(one, Resource)}
    for name, resource in resources.items():
        yield from ("", f"## `agency.{name}`", "", *_list_paragraphs(type(resource)), "")
        yield from _list_methods(type(resource), summaries)
    yield from ("", "## Files that are downloaded", "", *_DOWNLOADS)
    yield from ("", "## Exceptions", "", "| exception | when |", "|---|---|")
    for problem in vars(problems).values():
        if inspect.isclass(problem) and issubclass(problem, problems.AgencyError):
            yield f"| `{problem.__name__}` | {_join(problem)} |"


def _list_methods(kind: type, summaries: Mapping[str, str]) -> Iterator[str]:
    yield from ("| method | | REST |", "|---|---|---|")
    members = inspect.getmembers_static(kind) if kind is Agency else vars(kind).items()
    for name, member in members:
        if isinstance(member, Operation | Listing | Downloading):
            signature = _show_signature(member.describe)
            names = dict.fromkeys(re.findall(r"routes\.([A-Z_]+)", inspect.getsource(member.describe)))
            links = ", ".join(_link(summaries[getattr(routes, one).name]) for one in names)
            yield f"| `{name}{signature}` | {_join(member)} | {links} |"


def _show_signature(function: Any) -> str:
    """Return the parameters of a method as a caller gives them, without their types."""
    parameters = [
        one.replace(annotation=inspect.Parameter.empty)
        for one in inspect.signature(function).parameters.values()
        if one.name != "self"
    ]
    return str(inspect.Signature(parameters))


def _link(summary: str) -> str:
    """Return a link to an operation on the page about REST."""
    return f"[{summary}](rest.md#{re.sub('[^a-z0-9 -]', '', summary.lower()).replace(' ', '-')})"


def _list_paragraphs(documented: Any) -> Iterator[str]:
    """Yield a docstring, with each paragraph in one line."""
    paragraphs = inspect.cleandoc(documented.__doc__ or "").split("\n\n")
    yield from "\n\n".join(" ".join(part.split()) for part in paragraphs).splitlines()


def _join(documented: Any) -> str:
    """Return a docstring in one line, as a cell of a table has it."""
    return " ".join((documented.__doc__ or "").split()).replace("|", "\\|")


_INTRODUCTION = (
    "A client of [REST](rest.md) for Python programs, with types for editors and checkers. It needs no settings and no database",
    "of Musterbook: only the address of an agency and a [token](../how-to/api-access.md).",
    "",
    "```python",
    "from musterbook.client import Agency",
    "",
    'with Agency("https://muster.example.org/springfield-pd", token) as agency:',
    '    seen = agency.imports.send("roster.csv", preview=True, wait=60)',
    "    print(seen.summary)",
    '    for user in agency.users.search(state="Locked"):',
    "        agency.users.unlock(user.id)",
    "```",
    "",
    "- `AsyncAgency` has the same methods for `asyncio`: results are awaited, lists are for `async for`.",
    "- Results have the members that the [forms of JSON](rest.md#the-forms-of-json) have. Times have a time zone. `etag` is the",
    "  version of what was read: give it to `if_match`. `musterbook.client.answers` has their types.",
    "- `**options` and `**values` are the parameters and members of the operation. `musterbook.client.bodies` has their types,",
    "  so that an editor completes them.",
    "- A request is repeated up to three times after a lost connection, or when the server says when to come back (429, 503).",
    "  A request that could do something twice is repeated only if the server has not received it. Imports have an idempotency",
    "  key, so that they are always repeated safely.",
    "- A file is never whole in memory, when it is sent and when it is downloaded.",
    "- The token is sent to no other address: redirects are not followed. An address without https must be of this computer.",
)
_DOWNLOADS = (
    "Methods such as `agency.imports.errors(number)` open a file of the server. Iterate over its parts, or save it:",
    "",
    "```python",
    "with agency.imports.errors(seen.number) as errors:",
    '    errors.save("errors.csv")',
    "```",
    "",
    "`save` writes the file when all of it has arrived. In an `AsyncAgency`, these are `async with` and `await errors.save(…)`.",
)
