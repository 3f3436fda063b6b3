"""One act on many users: which acts there are, and the plan of one, which goes the road that a file's plan goes.

Its record is an import's, without a file: so it is previewed, held to what was seen, carried out by a worker, told in the trail,
and taken back as an import is. Invitations and resets change no column; their plan says who gets a mail.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import polars as pl

from musterbook.core.domain import columns, problems
from musterbook.core.domain.columns import Column
from musterbook.core.domain.policy import Mode, Operator, Policy
from musterbook.core.domain.table import Table
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.planning import plan as planning
from musterbook.core.planning.authority import above_role, roles_above
from musterbook.core.planning.plan import Plan
from musterbook.core.planning.unchanged import named
from musterbook.core.values import text
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit import trail
from musterbook.directory.audit.trail import Act
from musterbook.directory.imports import runner, selection
from musterbook.directory.imports.heartbeats import Progress
from musterbook.directory.imports.runner import Attempt
from musterbook.directory.permissions import NotPermitted
from musterbook.directory.storage import frames


class NotAgreed(Exception):
    """So many would be deactivated that whoever applies it must agree to their number."""


OPTION = "bulk"
"""Where the options of an import say what is done to the chosen users."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of act: its label, what is said of users to whom it was done, and the permission that it takes.

    `column`: the column that it sets, always to `value` if there is one; None: it sends the mail `mail`, told as `event`.
    """

    label: str
    done: str
    permission: str
    column: Column | None = None
    value: str = ""
    mail: str = ""
    event: str = ""


ACTS = {
    "deactivate": Kind("Deactivate", "deactivated", "users.edit", columns.STATUS, "Inactive"),
    "reactivate": Kind("Reactivate", "reactivated", "users.edit", columns.STATUS, "Active"),
    "invite": Kind("Invite again", "invited", "credentials.manage", mail="invitation", event="user.invitation-asked"),
    "reset": Kind("Reset credentials", "sent a reset", "credentials.manage", mail="reset", event="user.reset-asked"),
    "role": Kind("Set role", "changed", "users.edit", columns.ROLE),
    "rank": Kind("Set rank", "changed", "users.edit", columns.RANK),
    "group": Kind("Set group", "changed", "users.edit", columns.EVIDENCE_GROUP_EXT_ID),
}
"""Every kind of act by its name, in the order in which they are offered."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is done: the name of the act, and of a role, rank or group to set, the cell that names it ("" for none)."""

    act: str
    value: str = ""

    @property
    def kind(self) -> Kind:
        """Its kind."""
        return ACTS[self.act]

    @property
    def label(self) -> str:
        """What is done, in a few words."""
        kind = self.kind
        return f"{kind.label}: {self.value or 'none'}" if kind.column and not kind.value else kind.label

    def as_json(self) -> dict[str, str]:
        """As it is kept with the record."""
        return asdict(self)


def change_of(record: models.Import) -> Change | None:
    """What was done to chosen users, if the record is of that, and not of a file or an undo."""
    kept: Mapping[str, str] | None = record.options.get(OPTION)
    return Change(**kept) if kept else None


def choices(agency: models.Agency, act: str, operator: Operator | None) -> list[tuple[str, str]]:
    """What the act can set, each as its cell and in words; of roles, those that the operator may assign."""
    words = snapshot_queries.vocabulary(agency)
    if act == "role":
        above = roles_above(operator, words)
        return sorted((role.name, role.name) for role in words.roles if role.id not in above)
    if act == "rank":
        return [*((rank.name, rank.name) for rank in words.ranks), ("", "No rank")]
    groups = models.Group.objects.filter(agency=agency, active=True).order_by("name", "pk")
    return [*((one.external_id, f"{one.name} ({one.external_id})") for one in groups), ("", "No group")]


def permitted(agency: models.Agency, by: str, change: Change) -> Operator | None:
    """Who acts, None for the system. Raises UnknownOperator, NotPermitted."""
    if not by:
        return None
    operator = snapshot_queries.operator(agency, by)
    if change.kind.permission not in operator.permissions:
        raise NotPermitted(change.kind.permission)
    return operator


def to_agree(record: models.Import) -> int | None:
    """The number of deactivations that whoever applies this plan must agree to; None if so many need no word (S4)."""
    change, number = change_of(record), record.counts.get("updated", 0)
    if change is None or change.act != "deactivate" or record.state == "applied":
        return None
    agency = record.agency
    active = models.User.objects.filter(agency=agency, active=True).count()
    return number if number > snapshot_queries.limit(agency).allowed(active) else None


def attempt(record: models.Import, act: Act, expected: str | None, progress: Progress) -> Attempt:
    """What is to be carried out of the record of an act on many. Raises Failed if it is kept no longer who was chosen."""
    change = Change(**record.options[OPTION])
    with runner.told(record):
        ids = selection.kept(record.number)

    def plan(agency: models.Agency) -> Plan:
        policy = Policy(operator=permitted(agency, act.actor, change), limit=snapshot_queries.limit(agency))
        users = selection.users(agency, ids, _READ).with_row_index("row", offset=2).cast({"row": pl.UInt32})
        words = snapshot_queries.vocabulary(agency)
        if change.kind.column is None:
            return _of_mails(users, change, policy, words)
        cell = pl.lit(change.kind.value or change.value).alias(change.kind.column.field)
        table = _table(_cells(users, words).with_columns(cell))
        return planning.make(table, snapshot_queries.snapshot(agency, table, policy.mode), policy)

    def post(plan: Plan) -> None:
        _post(record, selection.users(record.agency, ids, _READ), plan, change.kind, act)

    return Attempt(record, act, plan, expected=expected, progress=progress, instead=post if change.kind.mail else None)


_READ = {
    "id": pl.Int64,
    **dict.fromkeys(("external_id", "email", "badge_number", "first_name", "last_name", "username"), pl.String),
    "role_id": pl.Int64,
    "active": pl.Boolean,
    "registered_at IS NOT NULL": pl.Boolean,
}
_REGISTERED = "registered_at IS NOT NULL"


def _table(cells: pl.DataFrame) -> Table:
    """The cells as a file would bear them, so that each is read as it stands."""
    return Table(cells=cells.with_columns(text.guard(cells[name]) for name in cells.columns if name != "row"))


def _cells(users: pl.DataFrame, words: Vocabulary) -> pl.DataFrame:
    """The users as rows of a file with the required columns alone: what a file does not bear stays as it is (M2)."""
    told = {
        columns.STATUS: pl.when("active").then(pl.lit("Active")).otherwise(pl.lit("Inactive")),
        columns.ROLE: named("role_id", {role.id: role.name for role in words.roles}),
    }
    return users.select("row", *(told.get(one, pl.col(one.field)).alias(one.field) for one in columns.REQUIRED))


def _of_mails(users: pl.DataFrame, change: Change, policy: Policy, words: Vocabulary) -> Plan:
    """The plan of a mail to each of the users to whom it can be sent: those are its updated rows."""
    above = users.filter(pl.col("role_id").is_in(roles_above(policy.operator, words)))
    wrong = [
        above_role(above, "The user's role has permissions that yours has not."),
        _told(users.filter(~pl.col("active")), "inactive-user"),
        _told(users.filter(pl.col(_REGISTERED)), "has-registered")
        if change.act == "invite"
        else _told(users.filter(~pl.col(_REGISTERED)), "not-registered"),
    ]
    found = pl.concat(wrong).sort("row", maintain_order=True)
    errs = pl.col("row").is_in(found["row"].implode())
    outcome = pl.when(errs).then(pl.lit("errored")).otherwise(pl.lit("updated")).cast(planning.OUTCOME)
    rows = users.select("row", "external_id", outcome=outcome)
    return Plan(Mode.UPDATE, Table(cells=_cells(users, words)), words, rows, problems=found)


def _told(users: pl.DataFrame, code: str) -> pl.DataFrame:
    blank = dict.fromkeys(("column", "value", "detail", "hint"), pl.lit(""))
    return users.select("row", code=pl.lit(code), **blank).select(list(problems.SCHEMA))


def _post(record: models.Import, users: pl.DataFrame, plan: Plan, kind: Kind, act: Act) -> None:
    """Puts a mail into the outbox for each user whom the plan updates, and tells of each."""
    rows = plan.rows.filter(pl.col("outcome") == "updated").select("row", "external_id")
    to = users.join(rows, on="external_id", maintain_order="left")
    mails = to.select(
        user_id="id", kind=pl.lit(kind.mail), to="email", agency_id=pl.lit(record.agency_id), of_id=pl.lit(record.pk),
        created_at=pl.lit(frames.stamp(act.at)), attempts=pl.lit(0), problem=pl.lit(""),
    )  # fmt: skip
    frames.insert(models.Mail, mails)
    told = to.select(
        kind=pl.lit(kind.event), subject_id="id", subject_external_id="external_id", row=pl.col("row").cast(pl.Int64),
        changes=pl.lit("{}"),
    )  # fmt: skip
    trail.append(record.agency, act, told.iter_slices(_PART), of=record.pk)


_PART = 50_000
