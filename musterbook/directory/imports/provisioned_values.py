"""What an identity provider says of the user of each row: written with the import, or with its confirmation if it is held."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from musterbook.core.planning.plan import Plan
from musterbook.core.reading.sent_rows import FIRST_ROW
from musterbook.core.reporting import report
from musterbook.core.reporting.report import RowFilter
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.runner import Attempt
from musterbook.directory.users import provisioning_many
from musterbook.directory.users.provisioning import Kept

_OPTION = "provisioned"
"""The option of an import that has the values of its rows (`imports.options`)."""


@dataclass(frozen=True, slots=True)
class RowValues:
    """The values of one row's user. `kept`: what is kept as it was sent. `before`: what was kept when the row was made.

    `deletes`: whether the user is absent for the provider afterwards.
    """

    kept: Kept
    before: Kept
    deletes: bool


def write(agency: models.Agency, plan: Plan, values: Sequence[RowValues], context: AuditContext) -> None:
    """Write the values of the rows without an error, in the transaction that has applied their plan.

    What the provider has said of a user since the row was made is newer, and stays.
    """
    good = {
        row.external_id: values[row.row - FIRST_ROW]
        for row in report.list_rows(plan, RowFilter.ALL)
        if row.outcome != "errored"
    }
    users = models.User.objects.filter(agency=agency, external_id__in=good).values_list("pk", "external_id")
    records = models.ProvisionedUser.objects.filter(user__agency=agency, user__external_id__in=good)
    now = dict(records.values_list("user__external_id", "kept"))
    changes = dict[int, tuple[Kept, bool]]()
    for number, external_id in users:
        one, kept = good[external_id], now.get(external_id, {})
        changes[number] = one.kept if kept == one.before else kept, one.deletes
    provisioning_many.keep_many(agency, changes, context)


def store_held(record: models.Import, plan: Plan, values: Sequence[RowValues]) -> None:
    """Store the values with the import, if its plan waits for a confirmation."""
    if plan.held:
        record.options = {**record.options, _OPTION: [asdict(one) for one in values]}
        models.Import.objects.filter(pk=record.pk).update(options=record.options)


def confirm(attempt: Attempt, stored: Sequence[Mapping[str, Any]]) -> Attempt:
    """Return the attempt that applies a plan and writes the values that were stored when it was held."""
    values = [RowValues(**one) for one in stored]
    return replace(
        attempt, after_apply=lambda plan: write(attempt.record.agency, plan, values, attempt.context)
    )  # fmt: skip
