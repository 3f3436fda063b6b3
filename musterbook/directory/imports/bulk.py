"""Bulk actions: one action on many users. This module defines the actions, and plans them like a file import.

The record of a bulk action is an import record without a file. It is therefore previewed, checked against the plan as
it was shown, run by a worker, recorded in the audit trail, and undone like an import. Invitations and resets change no
column; their plan lists the users who get an email.
"""

from dataclasses import asdict, dataclass

import polars as pl
from django.utils.translation import gettext, gettext_noop

from musterbook.core.domain import columns, problems
from musterbook.core.domain.columns import Column
from musterbook.core.domain.decisions import AS_GIVEN
from musterbook.core.domain.policy import Mode, Operator, Policy
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import mails
from musterbook.core.planning import plan as planning
from musterbook.core.planning.authority import find_roles_above, flag_above_role
from musterbook.core.planning.plan import Plan
from musterbook.core.planning.unchanged import name_ids
from musterbook.directory import models
from musterbook.directory.agency import limits
from musterbook.directory.apply import snapshot_queries, writer
from musterbook.directory.audit import trail
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import approval, runner, selection
from musterbook.directory.imports.heartbeats import Progress
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import Attempt
from musterbook.directory.models import ImportKind
from musterbook.directory.permissions import Authority, NotPermitted

OPTION = "bulk"
"""The key of the action in the options of an import."""


@dataclass(frozen=True, slots=True)
class ActionKind:
    """One kind of action: its label, the description of the users it was done to, and the permission that it needs.

    `column`: the column that it sets, always to `value` if that is not empty. None: it sends the email `mail`,
    recorded as `event`. `is_offered`: whether All Users offers it.
    """

    label: str
    done: str
    permission: str
    column: Column | None = None
    value: str = ""
    mail: str = ""
    event: EventKind | None = None
    is_offered: bool = True


MEMBERS = "members"
"""The name of the action by which users join and leave a group. The ids of those who leave are kept as negative numbers."""
ACTIONS = {
    "deactivate": ActionKind(
        gettext_noop("Deactivate"), gettext_noop("deactivated"), "users.edit", columns.STATUS, "Inactive"
    ),
    "reactivate": ActionKind(
        gettext_noop("Reactivate"), gettext_noop("reactivated"), "users.edit", columns.STATUS, "Active"
    ),
    "invite": ActionKind(
        gettext_noop("Invite again"),
        gettext_noop("invited"),
        "credentials.manage",
        mail="invitation",
        event=EventKind.USER_INVITATION_ASKED,
    ),
    "reset": ActionKind(
        gettext_noop("Reset credentials"),
        gettext_noop("sent a reset"),
        "credentials.manage",
        mail="reset",
        event=EventKind.USER_RESET_ASKED,
    ),
    "role": ActionKind(gettext_noop("Set role"), gettext_noop("changed"), "users.edit", columns.ROLE),
    "rank": ActionKind(gettext_noop("Set rank"), gettext_noop("changed"), "users.edit", columns.RANK),
    "group": ActionKind(
        gettext_noop("Set group"), gettext_noop("changed"), "users.edit", columns.EVIDENCE_GROUP_EXT_ID
    ),
    MEMBERS: ActionKind(
        gettext_noop("Change members"), gettext_noop("changed"), "users.edit", columns.EVIDENCE_GROUP_EXT_ID,
        is_offered=False,
    ),
}  # fmt: skip
"""Every kind of action by its name, in the order in which they are offered."""


@dataclass(frozen=True, slots=True)
class BulkChange:
    """The action: its name, and the cell that names the role, rank or group to set ("" for none)."""

    act: str
    value: str = ""

    @property
    def kind(self) -> ActionKind:
        """Return the kind of the action."""
        return ACTIONS[self.act]

    @property
    def label(self) -> str:
        """Return a short description of the action in English, as it is stored."""
        kind = self.kind
        return f"{kind.label}: {self.value or 'none'}" if kind.column and not kind.value else kind.label

    @property
    def title(self) -> str:
        """Return a short description of the action, in the language of the reader."""
        label = gettext(self.kind.label)
        if not self.kind.column or self.kind.value:
            return label
        return gettext("%(action)s: %(value)s") % {"action": label, "value": self.value or gettext("none")}

    @property
    def words(self) -> dict[str, str]:
        """What is said of the users of each outcome, in the language of the reader."""
        return {
            "errored": gettext("left out"),
            "updated": gettext(self.kind.done),
            "unchanged": gettext("already so"),
            "noted": gettext("with warnings"),
        }

    def as_json(self) -> dict[str, str]:
        """Return the action as it is stored with the record."""
        return asdict(self)


def get_change(record: models.Import) -> BulkChange | None:
    """Return the bulk action of the record, or None for a file import or an undo."""
    return BulkChange(**record.options[OPTION]) if record.kind == ImportKind.BULK else None


def get_reason(record: models.Import, change: BulkChange) -> str:
    """Return the reason for a bulk action, if it was given one; "" if its name is just the action."""
    return "" if record.file_name == change.label[:255] else record.file_name


def list_choices(agency: models.Agency, act: str, operator: Operator | None) -> list[tuple[str, str]]:
    """Return the values that the action can set, each as a pair of its cell and its label.

    Of the roles, only those that the operator may assign are returned.
    """
    vocabulary = snapshot_queries.read_vocabulary(agency)
    if act == "role":
        above = find_roles_above(operator, vocabulary)
        return sorted((role.name, role.name) for role in vocabulary.roles if role.id not in above)
    if act == "rank":
        return [*((rank.name, rank.name) for rank in vocabulary.ranks), ("", gettext("No rank"))]
    groups = models.Group.objects.filter(agency=agency, active=True).order_by("name", "pk")
    return [*((one.external_id, f"{one.name} ({one.external_id})") for one in groups), ("", gettext("No group"))]


def authorize_change(agency: models.Agency, authority: Authority, change: BulkChange) -> Operator | None:
    """Return the operator of a change, or None for the system. Raise UnknownOperator, NotPermitted.

    Each kind of change needs one permission (`ActionKind.permission`).
    """
    operator = snapshot_queries.find_operator(agency, authority)
    if operator is None:
        return None
    if change.kind.permission not in operator.permissions:
        raise NotPermitted(change.kind.permission)
    return operator


def make_attempt(record: models.Import, context: AuditContext, expected: str | None, progress: Progress) -> Attempt:
    """Return the attempt for the record of a bulk action. Raise ImportFailed if its selection of users is no longer kept."""
    change = BulkChange(**record.options[OPTION])
    with runner.record_errors(record):
        ids = selection.read_ids(record.number)

    def plan(agency: models.Agency) -> Plan:
        options = Options.of_json(record.options)
        confirmed = approval.list_valid(agency, record, options.confirmed)
        authorize_change(agency, context.authority, change)
        policy = Policy(
            strict=options.strict,
            operator=authorize_change(agency, approval.find_authority(record), change),
            limits=limits.read_limits(agency),
            confirmed=confirmed,
            decisions=AS_GIVEN,
        )
        users = (
            selection.read_users(agency, [abs(one) for one in ids], _READ)
            .with_row_index("row", offset=2)
            .cast({"row": pl.UInt32})
        )
        vocabulary = snapshot_queries.read_vocabulary(agency)
        if change.kind.column is None:
            return _plan_mails(users, change, policy, vocabulary)
        cell = pl.lit(change.kind.value or change.value)
        if change.act == MEMBERS:
            cell = _make_group_cells(change.value, [-one for one in ids if one < 0], vocabulary)
        wanted = users.with_columns(cell.alias("wanted"))["wanted"]
        table = Table.of_values(_make_cells(users, vocabulary).with_columns(wanted.alias(change.kind.column.field)))
        return planning.make_plan(
            table,
            snapshot_queries.read_snapshot(agency, table, policy.mode, needs=snapshot_queries.Needs(context.at)),
            policy,
        )

    def post(plan: Plan) -> None:
        _queue_mails(record, plan, change.kind, context)

    return Attempt(
        record, context, plan, expected=expected, progress=progress, apply_override=post if change.kind.mail else None
    )


_READ = {
    "id": pl.Int64,
    **dict.fromkeys(("external_id", "email", "badge_number", "first_name", "last_name", "username"), pl.String),
    "role_id": pl.Int64,
    "group_id": pl.Int64,
    "active": pl.Boolean,
    "registered_at IS NOT NULL": pl.Boolean,
}
_REGISTERED = "registered_at IS NOT NULL"


def _make_cells(users: pl.DataFrame, vocabulary: Vocabulary) -> pl.DataFrame:
    """Return the users as rows of a file with only the required columns.

    Columns that are not in a file stay unchanged (M2).
    """
    expressions = {
        columns.STATUS: pl.when("active").then(pl.lit("Active")).otherwise(pl.lit("Inactive")),
        columns.ROLE: name_ids("role_id", {role.id: role.name for role in vocabulary.roles}),
    }
    return users.select("row", *(expressions.get(one, pl.col(one.field)).alias(one.field) for one in columns.REQUIRED))


def _make_group_cells(external_id: str, leaving: list[int], vocabulary: Vocabulary) -> pl.Expr:
    """Return the cell of each user who joins or leaves the group. A user who left it meanwhile stays in another group."""
    current = name_ids("group_id", {group.id: group.external_id for group in vocabulary.groups}).fill_null("")
    left = pl.when(current == external_id).then(pl.lit("")).otherwise(current)
    return pl.when(pl.col("id").is_in(leaving)).then(left).otherwise(pl.lit(external_id))


def _plan_mails(users: pl.DataFrame, change: BulkChange, policy: Policy, vocabulary: Vocabulary) -> Plan:
    """Return the plan of an email to each user that can get it. Those users are its updated rows."""
    above = users.filter(pl.col("role_id").is_in(find_roles_above(policy.operator, vocabulary)))
    refusals = [
        flag_above_role(above, "The user's role has permissions that yours does not have."),
        problems.flag_rows(users.filter(~pl.col("active")), "inactive-user"),
        problems.flag_rows(users.filter(pl.col(_REGISTERED)), "has-registered")
        if change.act == "invite"
        else problems.flag_rows(users.filter(~pl.col(_REGISTERED)), "not-registered"),
    ]
    row_problems = pl.concat(refusals).sort("row", maintain_order=True)
    is_errored = pl.col("row").is_in(row_problems["row"].implode())
    outcome = pl.when(is_errored).then(pl.lit("errored")).otherwise(pl.lit("updated")).cast(planning.OUTCOME)
    rows = users.select("row", "external_id", outcome=outcome)
    table = Table.of_values(_make_cells(users, vocabulary))
    mailings = mails.address_mails(users.filter(~is_errored), change.kind.mail)
    return Plan(Mode.UPDATE, table, vocabulary, rows, problems=row_problems, mailings=mailings)


def _queue_mails(record: models.Import, plan: Plan, kind: ActionKind, context: AuditContext) -> None:
    """Add the emails of the plan to the outbox, and record an event for each."""
    writer.queue_mails(record.agency, context, plan.mailings.select("kind", "to", user_id="id"), record.pk)
    recipients = plan.mailings.join(plan.rows, on="external_id", maintain_order="left")
    events = recipients.select(
        kind=pl.lit(kind.event), subject_id="id", subject_external_id="external_id", row=pl.col("row").cast(pl.Int64),
        changes=pl.lit("{}"),
    )  # fmt: skip
    trail.append_events(record.agency, context, events.iter_slices(_PART), import_id=record.pk)


_PART = 50_000
