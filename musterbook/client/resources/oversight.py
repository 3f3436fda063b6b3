"""The audit trail and the settings of the agency."""

from typing import Unpack

from musterbook.client.answering import Page
from musterbook.client.calls import Call, Steps, make_call
from musterbook.client.described import bodies, routes
from musterbook.client.described.answers import Agency as AgencySettings
from musterbook.client.described.answers import CheckResult, Event
from musterbook.client.operations import Downloading, Listing, Operation, Resource, S


class Audit(Resource[S]):
    """The audit trail. To search, to export and to check it are events of the trail themselves."""

    @Listing
    def search(self, **options: Unpack[bodies.ListEventsOptions]) -> Call[Page[Event]]:
        """Iterate over the events that match, the newest first."""
        return make_call(routes.LIST_EVENTS, query=options)

    @Downloading
    def export(self, **options: Unpack[bodies.ExportEventsOptions]) -> Call[bytes]:
        """Open a file with all events that match, the oldest first. `format`: csv or json."""
        return make_call(routes.EXPORT_EVENTS, query=options)

    @Operation
    def verify(self) -> Steps[CheckResult]:
        """Check the whole trail, and return what was found. Its `error` is empty if nothing was altered."""
        result = yield from self._ask(routes.VERIFY_TRAIL, body={})
        while not result.done:
            result = yield from self._ask(routes.VERIFY_TRAIL, body={"progress": result.progress})
        return result


class Settings(Resource[S]):
    """The settings of the agency."""

    @Operation
    def read(self) -> Steps[AgencySettings]:
        """Return the settings."""
        return self._ask(routes.READ_AGENCY)

    @Operation
    def change(self, *, if_match: str = "", **values: Unpack[bodies.AgencyChange]) -> Steps[AgencySettings]:
        """Change the settings that are given, all or none."""
        return self._ask(routes.CHANGE_AGENCY, body=values, if_match=if_match)
