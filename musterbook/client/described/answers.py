"""What the API answers. Written from the API by scripts/client_code.py; change it there."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from musterbook.client.answering import Answer

__all__ = [
    "Accounts",
    "Actor",
    "Agency",
    "AgencyName",
    "Attempt",
    "BatchState",
    "Change",
    "CheckReport",
    "CheckResult",
    "CreatedToken",
    "Creator",
    "Delivery",
    "EarlierImport",
    "Email",
    "Event",
    "Feed",
    "FeedFile",
    "Feeds",
    "FileFacts",
    "Group",
    "GroupedProblem",
    "HoldText",
    "ImportState",
    "LeftFile",
    "Limit",
    "Listed",
    "Me",
    "Message",
    "NewSecret",
    "Operator",
    "Pause",
    "Person",
    "PlanEnding",
    "ProblemField",
    "ProblemText",
    "Progress",
    "Provider",
    "Rank",
    "Ranks",
    "Role",
    "Roles",
    "Row",
    "SendFeedFileAnswer",
    "SentAgain",
    "SentToken",
    "Token",
    "TokenDescription",
    "Tokens",
    "User",
    "Webhook",
]


@dataclass(frozen=True, kw_only=True)
class Accounts(Answer):
    """The rules for invitations, passwords, locks, sessions and second factors."""

    invitation_days: int = field(default=0)
    password_length: int = field(default=0)
    password_days: int = field(default=0)
    lock_failures: int = field(default=0)
    lock_minutes: int = field(default=0)
    lock_all_places: bool = field(default=False)
    idle_minutes: int = field(default=0)
    sessions_most: int = field(default=0)
    unused_days: int = field(default=0)
    reuse_days: int = field(default=0)
    second_factor: bool = field(default=False)
    """Whether every user must sign in with a second factor."""
    second_factor_roles: list[str] = field(default_factory=list)
    """The names of the roles that must sign in with a second factor."""


@dataclass(frozen=True, kw_only=True)
class Actor(Answer):
    """A user of an event, by the external ID that they had then, and the name that they have now."""

    external_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Limit(Answer):
    """A limit. Above it, an import is on hold. `role` or `group`: it counts only their users."""

    kind: Literal["deactivations", "privileges", "handovers", "cleared", "losses", "rekeys", "updates", "additions"]
    users: int | None = field(default=None)
    percent: float | None = field(default=None)
    most: int | None = field(default=None)
    off: bool = field(default=False)
    role: str = field(default="")
    group: str = field(default="")
    """The external ID of a group."""


@dataclass(frozen=True, kw_only=True)
class Provider(Answer):
    """An identity provider with which users sign in."""

    slug: str
    name: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Agency(Answer):
    """The settings of the agency. Providers of sign-on, and what imports have learned, are changed on their
    pages.
    """

    slug: str
    name: str
    default_country: str
    language: str
    time_zone: str
    limits: list[Limit]
    second_approver: bool
    grace_days: int
    replaced_addresses_days: int
    preview_days: int
    release_badges: bool
    mail: bool
    mails_off: list[str]
    sign_in_notice: str
    defaults: dict[str, str]
    values: dict[str, dict[str, str]]
    """Column → value in files → value of the agency."""
    headings: dict[str, str]
    """Heading in files → column, or nothing for one that is not read."""
    accounts: Accounts
    sign_on: list[Provider]


@dataclass(frozen=True, kw_only=True)
class AgencyName(Answer):
    """An agency, by its short name and its name."""

    slug: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Attempt(Answer):
    """An attempt to deliver a message. `status`: of the answer, 0 without one."""

    at: datetime
    status: int
    ms: int
    problem: str


@dataclass(frozen=True, kw_only=True)
class Operator(Answer):
    """A user who runs imports. `name` is "" for a user who has another external ID now."""

    external_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class PlanEnding(Answer):
    """How a plan ended, and the number of the import in its place."""

    how: str
    number: str | None = field(default=None)


@dataclass(frozen=True, kw_only=True)
class EarlierImport(Answer):
    """The import of the same agency that this one waits for. `by`: its operator, or null for the system."""

    number: str
    by: str | None


@dataclass(frozen=True, kw_only=True)
class Progress(Answer):
    """How far an import is. `total` is 0 while it is not known."""

    stage: str
    done: int
    total: int
    waits_for: EarlierImport | None = field(default=None)
    no_worker: bool
    """Whether no worker seems to run, so that the import waits."""
    stopping: bool
    """Whether a user has asked it to stop."""


@dataclass(frozen=True, kw_only=True)
class HoldText(Answer):
    """A reason why an import is held. It is confirmed by `kind` and `number`; `number` is null if it has none."""

    kind: str
    number: int | None
    code: str
    sentence: str
    users: int
    active: int
    limit: int
    role: str = field(default="")
    group: str = field(default="")
    fact: str = field(default="")


@dataclass(frozen=True, kw_only=True)
class ProblemText(Answer):
    """A problem or a note: its code, where it is, and sentences in English."""

    code: str
    column: str
    value: str
    message: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class FileFacts(Answer):
    """The file of an import, and how it was read."""

    name: str
    size: int
    sha256: str
    format: str | None = field(default=None)
    encoding: str | None = field(default=None)
    delimiter: str | None = field(default=None)
    sheet: str | None = field(default=None)
    header_row: int | None = field(default=None)
    columns: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ProblemField(Answer):
    """An error of one value of a request."""

    pointer: str
    """The JSON pointer of the value, or the name of the parameter."""
    code: str
    detail: str
    remedy: str = field(default="")


@dataclass(frozen=True, kw_only=True)
class BatchState(Answer):
    """The import of a batch. The row at index 0 is row 2 of the import, because a file begins with its headings."""

    number: str
    kind: str
    """file, rekey, groups, members, roles, ranks, bulk or undo."""
    mode: str
    state: str
    """waiting, running, previewed, held, applied, refused, failed or canceled. Only applied has changed users."""
    is_open: bool
    """Whether its plan can be applied."""
    name: str
    """The name of its file, or of the bulk action."""
    source: str
    feed: str
    by: Operator | None
    """Null for the system."""
    through: str
    started_at: datetime
    finished_at: datetime | None
    counts: dict[str, int]
    summary: str
    ended: PlanEnding | None
    undoes: str | None
    message: str
    links: dict[str, str]
    progress: Progress | None
    """Null when the import has ended."""
    digest: str
    """What identifies the plan. `apply` and `confirm` need it."""
    holds: list[HoldText]
    mails: dict[str, int]
    """Kind of email → how many are sent."""
    problems: list[ProblemText]
    """The problems of the file itself."""
    notes: list[ProblemText]
    file: FileFacts | None
    options: dict[str, Any]
    action: dict[str, str] | None
    """The bulk action, if it is one."""
    corrected_cells: int
    open_fixes: int
    """Cells that users have fixed on the page, and that the plan does not have yet."""
    plan_of: str | None
    """The import whose plan this one applies, or makes again."""
    undone_by: str | None
    errors: list[ProblemField]
    """The problems of the rows, the first 1,000: these rows change nothing."""


@dataclass(frozen=True, kw_only=True)
class Change(Answer):
    """A value before and after."""

    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class LeftFile(Answer):
    """A file that would not be taken, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CheckReport(Answer):
    """What a check would take now: the files of each import. `problem`: why the location cannot be used, or
    nothing.
    """

    arrivals: list[list[str]]
    left: list[LeftFile]
    problem: str


@dataclass(frozen=True, kw_only=True)
class CheckResult(Answer):
    """What a check has found so far. Send `progress` to continue, until `done`.

    `error`: what is wrong, or nothing. `head`: the head of what was checked, to be kept elsewhere.
    """

    done: bool
    links: int
    events: int
    error: str
    head: str
    progress: str | None


@dataclass(frozen=True, kw_only=True)
class Creator(Answer):
    """The user who created the token. It acts for this user."""

    external_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Token(Answer):
    """A token. Its secret is shown once, when it is created."""

    id: int
    name: str
    ending: str
    """The last four characters of its secret."""
    permissions: list[str]
    """The permissions that it has now."""
    withheld: list[str]
    """Those that it was created with, and that its creator has lost since."""
    addresses: list[str]
    """The addresses or networks that may use it, such as 192.0.2.0/24. None: all."""
    made_by: Creator
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_on: date | None
    used_from: str | None
    problem: str
    """Why it gives no access, or nothing."""


@dataclass(frozen=True, kw_only=True)
class CreatedToken(Answer):
    """A new token with its secret, which is shown only now."""

    token: Token
    secret: str


@dataclass(frozen=True, kw_only=True)
class User(Answer):
    """A user. Members that a user does not have are null."""

    id: int
    """The number of the user in Musterbook, which never changes."""
    external_id: str
    """The ID that your organization assigns to the user."""
    email: str
    badge_number: str
    first_name: str
    last_name: str
    status: str
    """Active or Inactive."""
    username: str
    role: str
    """The name of the role."""
    supervisor_email: str | None
    location: str | None
    rank: str | None
    """The name of the rank."""
    evidence_group_ext_id: str | None
    """The external ID of the evidence group."""
    phone: str | None
    exempt: bool
    """Whether the user stays Active if missing from a synchronize file."""
    no_files: bool
    """Whether imports skip the user."""
    source: str | None
    """The source that lists the user, such as hr-sworn."""
    ends_on: date | None
    """The last day on which the user has access."""
    state: str
    """Active, Invited, Invitation expired, Locked, Password reset or Inactive."""
    managed_by: str | None
    """The system that manages the user."""
    leaving_since: date | None
    """Since when the user has been missing from synchronize files."""
    created_at: datetime
    invited_at: datetime | None
    invitation_expires_at: datetime | None
    registered_at: datetime | None
    last_sign_in_at: datetime | None
    locked_at: datetime | None
    page: str
    """The address of the user's page."""
    version: str
    """The value of ETag and If-Match, which changes with every change of the user."""


@dataclass(frozen=True, kw_only=True)
class Delivery(Answer):
    """What was sent. `how`: `email`; `saved` if Musterbook has no mail server and only saves emails; or `link`."""

    how: Literal["email", "saved", "link"]
    to: str | None
    """The email address."""
    link: str | None
    """The link, which works once. Anyone who has it can choose the password."""
    user: User


@dataclass(frozen=True, kw_only=True)
class Email(Answer):
    """An email that the import sends or has sent."""

    kind: str
    to: str


@dataclass(frozen=True, kw_only=True)
class Event(Answer):
    """An event. `by`: null for the system. `about`: null if it is about no user."""

    id: int
    at: datetime
    kind: str
    sentence: str
    by: Actor | None
    about: Actor | None
    through: str
    address: str
    program: str
    import_number: str | None
    row: int | None
    outcome: str
    changes: dict[str, Change]


@dataclass(frozen=True, kw_only=True)
class Pause(Answer):
    """Why a feed is paused, since when, and the external ID of who has paused it."""

    at: datetime
    by: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Feed(Answer):
    """A feed: its settings, what it has of secrets without showing them, and its state."""

    name: str
    settings: dict[str, Any]
    state: str
    """fine, waits, first, late, failed, unreachable, stopped or paused."""
    waiting: str | None
    """The number of the import that waits for a person."""
    new: bool
    """Whether a person must see the next file, because nobody has applied one so far."""
    paused: Pause | None
    stopped: str
    """Why it has stopped by itself, or nothing."""
    problem: str
    """Why its location cannot be used, or nothing."""
    secrets: list[str]
    """The names of the secrets that are set."""
    has_token: bool
    host_key: str | None
    """The fingerprint of the accepted host key."""
    checked_at: datetime | None
    arrived_at: datetime | None
    next_check_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class FeedFile(Answer):
    """A file that has arrived, and what was done with it."""

    name: str
    parts: list[str]
    """The files that are one import together."""
    arrived_at: datetime
    result: str
    """applied, same, held, failed, running or none."""
    about: str
    import_number: str | None


@dataclass(frozen=True, kw_only=True)
class Feeds(Answer):
    """The feeds of the agency that the token may see, by name."""

    items: list[Feed]


@dataclass(frozen=True, kw_only=True)
class Group(Answer):
    """A group, with the number of its members. `active`: whether files can add users to it."""

    id: int
    external_id: str
    name: str
    active: bool
    parent: str
    """The external ID of the group that it is part of, blank for none."""
    members: int
    monitor_groups: list[str]
    """The external IDs of the groups whose members monitor it."""


@dataclass(frozen=True, kw_only=True)
class GroupedProblem(Answer):
    """The same problem in some rows (an example of it), and the agency's value that is nearest to the value."""

    code: str
    column: str
    value: str
    message: str
    remedy: str
    rows: int
    suggestion: str
    can_map: bool
    """Whether the value can be mapped to one of the agency's, with the option `values`."""


@dataclass(frozen=True, kw_only=True)
class ImportState(Answer):
    """An import: its state, what it does or did, and what can be done with it."""

    number: str
    kind: str
    """file, rekey, groups, members, roles, ranks, bulk or undo."""
    mode: str
    state: str
    """waiting, running, previewed, held, applied, refused, failed or canceled. Only applied has changed users."""
    is_open: bool
    """Whether its plan can be applied."""
    name: str
    """The name of its file, or of the bulk action."""
    source: str
    feed: str
    by: Operator | None
    """Null for the system."""
    through: str
    started_at: datetime
    finished_at: datetime | None
    counts: dict[str, int]
    summary: str
    ended: PlanEnding | None
    undoes: str | None
    message: str
    links: dict[str, str]
    progress: Progress | None
    """Null when the import has ended."""
    digest: str
    """What identifies the plan. `apply` and `confirm` need it."""
    holds: list[HoldText]
    mails: dict[str, int]
    """Kind of email → how many are sent."""
    problems: list[ProblemText]
    """The problems of the file itself."""
    notes: list[ProblemText]
    file: FileFacts | None
    options: dict[str, Any]
    action: dict[str, str] | None
    """The bulk action, if it is one."""
    corrected_cells: int
    open_fixes: int
    """Cells that users have fixed on the page, and that the plan does not have yet."""
    plan_of: str | None
    """The import whose plan this one applies, or makes again."""
    undone_by: str | None


@dataclass(frozen=True, kw_only=True)
class Listed(Answer):
    """An import, as the list has it."""

    number: str
    kind: str
    """file, rekey, groups, members, roles, ranks, bulk or undo."""
    mode: str
    state: str
    """waiting, running, previewed, held, applied, refused, failed or canceled. Only applied has changed users."""
    is_open: bool
    """Whether its plan can be applied."""
    name: str
    """The name of its file, or of the bulk action."""
    source: str
    feed: str
    by: Operator | None
    """Null for the system."""
    through: str
    started_at: datetime
    finished_at: datetime | None
    counts: dict[str, int]
    summary: str
    ended: PlanEnding | None
    undoes: str | None
    message: str
    links: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class TokenDescription(Answer):
    """A token: its name, and when it becomes valid and expires."""

    name: str
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Me(Answer):
    """The token of the request: its agency, its creator, and the permissions that it has now."""

    agency: AgencyName
    token: TokenDescription
    made_by: Creator
    permissions: list[str]


@dataclass(frozen=True, kw_only=True)
class Message(Answer):
    """A message. `body`: exactly the text that is signed and sent."""

    id: str
    type: str
    at: datetime
    state: Literal["waiting", "delivered", "given up"]
    ended_at: datetime | None
    next_attempt_at: datetime | None
    attempts: list[Attempt]
    body: str


@dataclass(frozen=True, kw_only=True)
class Webhook(Answer):
    """A webhook. `problem`: why the last attempt failed, or why it was disabled."""

    name: str
    address: str
    kinds: list[str]
    state: Literal["fine", "failing", "paused", "disabled"]
    problem: str
    created_at: datetime
    last_sent_at: datetime | None
    next_attempt_at: datetime | None
    """Until when it rests after several failures."""
    failing_since: datetime | None


@dataclass(frozen=True, kw_only=True)
class NewSecret(Answer):
    """A webhook with its new secret, which is shown only once."""

    webhook: Webhook
    secret: str


@dataclass(frozen=True, kw_only=True)
class Person(Answer):
    """A user of a group."""

    id: int
    external_id: str
    first_name: str
    last_name: str
    email: str
    active: bool


@dataclass(frozen=True, kw_only=True)
class Rank(Answer):
    """A rank, with its place in the order (1 is the highest) and the number of its users."""

    id: int
    name: str
    abbreviation: str
    position: int
    users: int


@dataclass(frozen=True, kw_only=True)
class Ranks(Answer):
    """All ranks of the agency, the highest first."""

    items: list[Rank]


@dataclass(frozen=True, kw_only=True)
class Role(Answer):
    """A role, with the number of its users. `administrator`: the role that always has every permission."""

    id: int
    name: str
    administrator: bool
    permissions: list[str]
    second_factor: bool
    """Whether its users must sign in with a second factor."""
    users: int


@dataclass(frozen=True, kw_only=True)
class Roles(Answer):
    """All roles of the agency: Admin first, then the others by name."""

    items: list[Role]


@dataclass(frozen=True, kw_only=True)
class Row(Answer):
    """A row of the file, or a user that no row mentions (`row` is null)."""

    row: int | None
    external_id: str
    name: str
    outcome: str | None
    """Null in lists of other kinds, such as emails."""
    changes: dict[str, list[str]]
    """Column → the values before and after."""
    cells: dict[str, str]
    """The cells of a row with problems, as they are in the file."""
    problems: list[ProblemText]
    notes: list[ProblemText]
    protection: dict[str, str | int] | None
    """Why a user is protected."""
    email: Email | None


@dataclass(frozen=True, kw_only=True)
class SendFeedFileAnswer(Answer):
    """What `SendFeedFileAnswer` has."""

    feed: str
    import_: str | None = field(metadata={"name": "import"})
    state: str
    page: str | None
    file: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SentAgain(Answer):
    """How many messages will be sent again."""

    messages: int


@dataclass(frozen=True, kw_only=True)
class SentToken(Answer):
    """A new token with which a program sends files to the feed. It is shown only now, and the former one has
    ended.
    """

    token: str


@dataclass(frozen=True, kw_only=True)
class Tokens(Answer):
    """Tokens, the newest first."""

    items: list[Token]
