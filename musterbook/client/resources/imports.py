"""Imports: send a file, read what it does, and act on its plan."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Unpack
from uuid import uuid4

from musterbook.client.answering import Page, Route
from musterbook.client.calls import Call, Pause, Steps, make_call
from musterbook.client.described import bodies, routes
from musterbook.client.described.answers import BatchState, GroupedProblem, ImportState, Listed, Row
from musterbook.client.operations import Downloading, Listing, Operation, Resource, S
from musterbook.client.uploads import FileToSend, make_upload

State = TypeVar("State", ImportState, BatchState)
LONGEST_WAIT = 30
"""The most seconds that a request waits. A longer wait is several requests."""
_SECONDS = (0.2, 0.5, 1, 2, 3)
"""The pauses between the requests of a longer wait; the last one for all others."""


def make_key(key: str) -> str:
    """Return the idempotency key of a request: that of the caller, or a new one."""
    return key or uuid4().hex


class ImportSteps(Resource[S]):
    """The steps that all operations on imports share."""

    def _start(
        self, route: Route[State], path: Mapping[str, object] | None = None, wait: float = 0, **facts: Any
    ) -> Steps[State | ImportState]:
        """Send a request that makes an import, and wait for its end for some seconds."""
        end = time.monotonic() + wait
        query = {**facts.pop("query", {}), "wait": int(min(max(wait, 0), LONGEST_WAIT))}
        state = yield from self._ask(route, path, query=query, **facts)
        if state.finished_at:
            return state
        return (yield from self._follow(state, end))

    def _follow(self, state: State | ImportState, end: float) -> Steps[State | ImportState]:
        """Read the import until it has ended, or until that time."""
        turn = 0
        while not state.finished_at and (left := end - time.monotonic()) > 0:
            yield Pause(min(left, _SECONDS[min(turn, len(_SECONDS) - 1)]))
            turn += 1
            state = yield from self._ask(routes.READ_IMPORT, {"number": state.number})
        return state


class Imports(ImportSteps[S]):
    """Imports: send a file, read what it does, and act on its plan.

    Methods that make an import take `wait`: the seconds for which they wait for its end. They return the import as it is
    then: look at its `state`. They take `key`: a name for the request. The same request with the same name is one
    import, even from another process. Without it, the client makes one, and repeats the request safely by itself.
    """

    @Operation
    def send(
        self, file: FileToSend, *, name: str = "", wait: float = 0, key: str = "",
        **options: Unpack[bodies.CreateImportOptions],
    ) -> Steps[ImportState]:  # fmt: skip
        """Send a file of users to be imported, or with `preview=True` to be planned.

        `file`: a path, a file that is open for reading bytes, or bytes. `name`: its name in the history of imports.
        """
        return self._start(
            routes.CREATE_IMPORT, wait=wait, upload=make_upload(file, name), fields=options, key=make_key(key)
        )

    @Listing
    def search(self, **options: Unpack[bodies.ListImportsOptions]) -> Call[Page[Listed]]:
        """Iterate over the imports, the latest first."""
        return make_call(routes.LIST_IMPORTS, query=options)

    @Operation
    def read(self, number: str) -> Steps[ImportState]:
        """Return an import as it is now."""
        return self._ask(routes.READ_IMPORT, {"number": number})

    @Operation
    def wait(self, number: str, seconds: float = 3600) -> Steps[ImportState]:
        """Return the import when it has ended, or as it is after some seconds: then its `finished_at` is None."""
        end = time.monotonic() + seconds
        state = yield from self._ask(routes.READ_IMPORT, {"number": number})
        return (yield from self._follow(state, end))

    @Listing
    def rows(self, number: str, **options: Unpack[bodies.ListImportRowsOptions]) -> Call[Page[Row]]:
        """Iterate over the rows of an import that has ended, in the order of the file."""
        return make_call(routes.LIST_IMPORT_ROWS, {"number": number}, query=options)

    @Listing
    def problems(self, number: str) -> Call[Page[GroupedProblem]]:
        """Iterate over the problems of the rows by kind, those of most rows first."""
        return make_call(routes.LIST_IMPORT_PROBLEMS, {"number": number})

    @Downloading
    def results(self, number: str, **options: Unpack[bodies.DownloadResultsOptions]) -> Call[bytes]:
        """Open the file with all rows and their results."""
        return make_call(routes.DOWNLOAD_RESULTS, {"number": number}, query=options)

    @Downloading
    def errors(self, number: str, **options: Unpack[bodies.DownloadErrorsOptions]) -> Call[bytes]:
        """Open the file with the rows that have problems, to be corrected and sent again."""
        return make_call(routes.DOWNLOAD_ERRORS, {"number": number}, query=options)

    @Operation
    def apply(
        self, number: str, digest: str, *, mails: bool | None = None, wait: float = 0, key: str = ""
    ) -> Steps[ImportState]:
        """Apply the plan of a preview as it was seen. The result is a new import.

        `digest`: that of the plan. Raise Held if the plan is over a limit and not confirmed yet, and PlanChanged if the
        directory has changed so that the plan is another one.
        """
        body = {"digest": digest, "mails": mails}
        return self._start(routes.APPLY_IMPORT, {"number": number}, wait, body=body, key=make_key(key))

    @Operation
    def confirm(
        self, number: str, digest: str, confirm: Mapping[str, int | bool], *, mails: bool | None = None, wait: float = 0,
        key: str = "",
    ) -> Steps[ImportState]:  # fmt: skip
        """Apply a plan that is over limits. `confirm`: the `kind` of each hold → its exact `number`, or True without one."""
        body = {"digest": digest, "mails": mails, "confirm": confirm}
        return self._start(routes.CONFIRM_IMPORT, {"number": number}, wait, body=body, key=make_key(key))

    @Operation
    def correct(
        self, number: str, *, cells: Sequence[bodies.Cell] = (), groups: Sequence[bodies.GroupFix] = (),
        decisions: Sequence[bodies.Decision] = (), options: bodies.CreateImportOptions | None = None, wait: float = 0,
        key: str = "",
    ) -> Steps[ImportState]:  # fmt: skip
        """Make the plan again with other cells, other options, or decisions about rows. The result is a new preview."""
        body = {"cells": [*cells], "groups": [*groups], "decisions": [*decisions], "options": options or {}}
        return self._start(routes.CORRECT_IMPORT, {"number": number}, wait, body=body, key=make_key(key))

    @Operation
    def undo(
        self, number: str, *, preview: bool = False, mails: bool | None = None,
        confirm: Mapping[str, int | bool] | None = None, wait: float = 0, key: str = "",
    ) -> Steps[ImportState]:  # fmt: skip
        """Undo an import that was applied, or preview that. The result is a new import."""
        body = {"preview": preview, "mails": mails, "confirm": confirm}
        return self._start(routes.UNDO_IMPORT, {"number": number}, wait, body=body, key=make_key(key))

    @Operation
    def cancel(self, number: str, *, wait: float = 0) -> Steps[ImportState]:
        """Ask a waiting or running import to stop. Its `state` says whether it was stopped."""
        return self._start(routes.CANCEL_IMPORT, {"number": number}, wait)

    @Operation
    def discard(self, number: str) -> Steps[ImportState]:
        """Discard the plan of a preview or of a held import, so that nobody can apply it."""
        return self._ask(routes.DISCARD_IMPORT, {"number": number})


class Files(ImportSteps[S]):
    """Files of groups, members, roles and ranks. They are imports too: `wait` and `key` are as there."""

    @Operation
    def send_groups(
        self, file: FileToSend, *, name: str = "", wait: float = 0, key: str = "",
        **options: Unpack[bodies.ImportGroupsOptions],
    ) -> Steps[ImportState]:  # fmt: skip
        """Send a file of groups."""
        return self._send(routes.IMPORT_GROUPS, file, name, wait, key, options)

    @Operation
    def send_members(
        self, file: FileToSend, *, name: str = "", wait: float = 0, key: str = "",
        **options: Unpack[bodies.ImportMembersOptions],
    ) -> Steps[ImportState]:  # fmt: skip
        """Send a file of the members and monitors of groups."""
        return self._send(routes.IMPORT_MEMBERS, file, name, wait, key, options)

    @Operation
    def send_roles(
        self, file: FileToSend, *, name: str = "", wait: float = 0, key: str = "",
        **options: Unpack[bodies.ImportRolesOptions],
    ) -> Steps[ImportState]:  # fmt: skip
        """Send a file of roles."""
        return self._send(routes.IMPORT_ROLES, file, name, wait, key, options)

    @Operation
    def send_ranks(
        self, file: FileToSend, *, name: str = "", wait: float = 0, key: str = "",
        **options: Unpack[bodies.ImportRanksOptions],
    ) -> Steps[ImportState]:  # fmt: skip
        """Send a file of ranks."""
        return self._send(routes.IMPORT_RANKS, file, name, wait, key, options)

    def _send(
        self, route: Route[ImportState], file: FileToSend, name: str, wait: float, key: str, options: Mapping[str, Any]
    ) -> Steps[ImportState]:
        upload = make_upload(file, name)
        return self._start(route, wait=wait, upload=upload, fields=options, key=make_key(key))
