"""Files of groups, of their members and monitors, of roles and of ranks: a program sends one, as it sends one of users."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from musterbook.api import import_options, imports
from musterbook.api.access import needs
from musterbook.api.import_schemas import ImportState
from musterbook.api.schemas import ProblemBody, answers
from musterbook.api.waiting import Wait
from musterbook.core.domain.columns import ENTRIES, Layout
from musterbook.directory.imports import entry_files
from musterbook.directory.imports.options import Options

router = Router()
_TITLES = {"groups": "groups", "members": "members and monitors of groups", "roles": "roles", "ranks": "ranks"}
_NAMES = (
    "preview", "strict", "mapping", "confirm", "encoding", "delimiter", "sheet", "header_row", "expect_rows",
)  # fmt: skip
_MODE: dict[str, Any] = {
    "type": "string", "enum": ["update", "sync"], "default": "update",
    "description": "update: add and update. sync: the groups that the file names become exactly as it says.",
}  # fmt: skip


def _list_properties(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the options of a file with that layout, each with its JSON schema."""
    mode = {"mode": _MODE} if layout.name in entry_files.CAN_SYNCHRONIZE else {}
    return {**mode, **{name: import_options.PROPERTIES[name] for name in _NAMES}}


def _add_operation(layout: Layout) -> None:
    """Add the operation that receives a file with that layout."""
    properties, what = _list_properties(layout), layout.name
    title = f"Import {_TITLES[what]}"
    columns = ", ".join(column.heading for column in layout.columns)
    about = (
        f"{title} from a file with the columns {columns}. Send it as a file of users, with the same options and the same"
        " answer. To read, apply or undo the import at its address, the token needs users.import too."
    )
    read = partial(import_options.read_options, names=tuple(properties), what=what)
    router.post(
        what,
        auth=needs(entry_files.PERMISSIONS[what]),
        response=answers(ImportState, s202=ImportState, s411=ProblemBody, s415=ProblemBody, s507=ProblemBody),
        operation_id=f"import{what.title()}",
        summary=title,
        description=about,
        openapi_extra=import_options.describe_receiving(properties),
    )(_make_view(read))


def _make_view(read: Callable[[HttpRequest], Options]) -> Callable[..., Status[ImportState]]:
    def receive(request: HttpRequest, response: HttpResponse, wait: Wait) -> Status[ImportState]:
        return imports.receive_file(request, response, wait, read)

    return receive


for _layout in ENTRIES:
    _add_operation(_layout)
