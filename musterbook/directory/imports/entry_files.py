"""Files of groups, of their members and monitors, of roles and of ranks: who may import them, and their plans."""

from collections.abc import Callable

from musterbook.core.domain.columns import GROUPS, MEMBERS, RANKS, ROLES
from musterbook.core.domain.policy import Operator, Policy
from musterbook.core.domain.table import Table
from musterbook.core.planning.entries import groups, members, ranks, roles
from musterbook.core.planning.entries.state import EntryState
from musterbook.core.planning.entry_changes import Entries
from musterbook.core.planning.plan import Plan
from musterbook.directory import models
from musterbook.directory.agency import entry_writing
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import entry_state
from musterbook.directory.models import ImportKind

PERMISSIONS = {
    GROUPS.name: "groups.manage", MEMBERS.name: "groups.manage", ROLES.name: "roles.manage", RANKS.name: "ranks.manage",
}  # fmt: skip
"""The layout of a file → the permission that it takes. To move a user to another group takes users.edit too."""
CAN_SYNCHRONIZE = (GROUPS.name, MEMBERS.name)
"""The layouts of which the named groups can be synchronized."""
_PLANS: dict[str, Callable[[Table, EntryState, Policy], Plan]] = {
    GROUPS.name: groups.make_plan,
    MEMBERS.name: members.make_plan,
    ROLES.name: roles.make_plan,
    RANKS.name: ranks.make_plan,
}


def get_layout(record: models.Import) -> str:
    """Return the layout of the file of an import, or of the import that it undoes; "" for one of users."""
    return str(record.options.get("what", ""))


def get_kind(what: str) -> ImportKind:
    """Return the kind of the import of a file with this layout."""
    return ImportKind(what)


def make_plan(agency: models.Agency, what: str, table: Table, policy: Policy, operator: Operator | None) -> Plan:
    """Return the plan of a file with this layout, from what the agency has now."""
    return _PLANS[what](table, entry_state.read_state(agency, what, table, policy.mode, operator), policy)


def make_writer(record: models.Import, context: AuditContext) -> Callable[[Plan], None]:
    """Return the function that writes what a plan of the import changes, with its events.

    The changes are kept with the import, so that it can be undone.
    """

    def write(plan: Plan) -> None:
        entries = plan.entries or Entries()
        entry_writing.write(record.agency, entries, context, of=record.pk)
        record.entries = [change.as_json() for change in entries.changes]

    return write
