"""An agency's defaults and mapped values on the pages of its settings: set, and forgotten (F13, F14)."""

from django.utils.translation import gettext as _

from musterbook.core.checking import defaults, meanings
from musterbook.core.domain.columns import ROLE
from musterbook.core.domain.file_values import Defaults, FileValues
from musterbook.core.domain.policy import Operator
from musterbook.core.domain.table import Table
from musterbook.directory import models
from musterbook.directory.agency import agencies, agency_settings
from musterbook.directory.agency.vocabularies import InvalidValue
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext


def change_defaults(
    agency: models.Agency, values: Defaults, original: Defaults, context: AuditContext, by: Operator
) -> None:
    """Change the defaults that differ from those `original`, column → value ("" for none). Others stay as they are.

    Raise InvalidValue with the column, also for a role with a permission that the operator lacks, and StaleSettings.
    """
    changes = {
        heading: value.strip() for heading, value in values.items() if value.strip() != original.get(heading, "")
    }
    table = Table.refused([])
    set_ones = FileValues(defaults={heading: value for heading, value in changes.items() if value})
    words = snapshot_queries.read_vocabulary(agency)
    for problem in defaults.read_defaults(table, set_ones, words).problems:
        raise InvalidValue(problem.column, problem.message)
    role = meanings.find_role(changes.get(ROLE.heading, ""), words)
    if role and not role.permissions <= by.permissions:
        raise InvalidValue(ROLE.heading, _("The role has permissions that yours does not."))
    with agencies.changing(agency, context):
        now = {heading: agency.defaults.get(heading, "") for heading in changes}
        conflicts = {
            heading: value
            for heading, value in now.items()
            if value not in (changes[heading], original.get(heading, ""))
        }
        if conflicts:
            raise agency_settings.StaleSettings(conflicts)
        merged = {**agency.defaults, **changes}
        agency.defaults = {heading: value for heading, value in merged.items() if value}
        agency.save(update_fields=["defaults"])


def forget_value(agency: models.Agency, heading: str, theirs: str, context: AuditContext) -> bool:
    """Forget what the value of the column means (F13). Return whether it was remembered."""
    with agencies.changing(agency, context):
        pairs = agency.values.get(heading, {})
        if theirs not in pairs:
            return False
        left = {**agency.values, heading: {value: ours for value, ours in pairs.items() if value != theirs}}
        agency.values = {name: entries for name, entries in left.items() if entries}
        agency.save(update_fields=["values"])
        return True
