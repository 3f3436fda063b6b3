"""What the API takes. Written from the API by scripts/client_code.py; change it there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Required, TypedDict

__all__ = [
    "Accounts",
    "AgencyChange",
    "Apply",
    "Batch",
    "Cell",
    "Check",
    "Confirmation",
    "Corrections",
    "CreateImportOptions",
    "Deadline",
    "Decision",
    "DeliveryChoice",
    "DownloadErrorsOptions",
    "DownloadResultsOptions",
    "ExportEventsOptions",
    "FeedSettings",
    "Fingerprint",
    "GroupChange",
    "GroupFix",
    "ImportGroupsOptions",
    "ImportMembersOptions",
    "ImportRanksOptions",
    "ImportRolesOptions",
    "Limit",
    "ListEventsOptions",
    "ListGroupsOptions",
    "ListImportRowsOptions",
    "ListImportsOptions",
    "ListTokensOptions",
    "ListUsersOptions",
    "ListWebhookMessagesOptions",
    "Location",
    "NewFeed",
    "NewGroup",
    "NewRank",
    "NewRole",
    "NewToken",
    "NewUser",
    "NewWebhook",
    "RankChange",
    "RankMove",
    "Reason",
    "Removal",
    "RoleChange",
    "Rotation",
    "SecretValue",
    "SendUsersOptions",
    "SentRow",
    "Undo",
    "UserChange",
    "WebhookChange",
    "Window",
]


class Accounts(TypedDict, total=False):
    """The rules for invitations, passwords, locks, sessions and second factors."""

    invitation_days: int
    password_length: int
    password_days: int
    lock_failures: int
    lock_minutes: int
    lock_all_places: bool
    idle_minutes: int
    sessions_most: int
    unused_days: int
    reuse_days: int
    second_factor: bool
    """Whether every user must sign in with a second factor."""
    second_factor_roles: Sequence[str]
    """The names of the roles that must sign in with a second factor."""


class Limit(TypedDict, total=False):
    """A limit. Above it, an import is on hold. `role` or `group`: it counts only their users."""

    kind: Required[
        Literal["deactivations", "privileges", "handovers", "cleared", "losses", "rekeys", "updates", "additions"]
    ]
    users: int | None
    percent: float | None
    most: int | None
    off: bool
    role: str
    group: str
    """The external ID of a group."""


class AgencyChange(TypedDict, total=False):
    """The settings to change. A member that is left out stays as it is."""

    name: str
    default_country: str
    """Two letters, such as US, or nothing."""
    language: str
    """Such as en or es, or nothing."""
    time_zone: str
    """Such as America/Chicago, or nothing."""
    limits: Sequence[Limit]
    """All limits that the agency sets itself."""
    second_approver: bool
    """Whether another user must confirm imports on hold."""
    grace_days: int
    replaced_addresses_days: int
    preview_days: int
    release_badges: bool
    """Whether badges of Inactive users can be given to others."""
    mail: bool
    """Whether emails are sent after imports and edits."""
    mails_off: Sequence[str]
    """Kinds of emails that are not sent."""
    sign_in_notice: str
    """What users read before they sign in."""
    defaults: Mapping[str, str]
    """Column → value of new users. Nothing removes a default."""
    accounts: Any


class Apply(TypedDict, total=False):
    """The plan to apply."""

    digest: Required[str]
    """The `digest` of the plan that was seen."""
    mails: bool | None
    """Whether emails are sent. Null: as the plan shows."""


class SentRow(TypedDict, total=False):
    """A row of a batch. All rows of a batch have the same members; the other columns stay unchanged."""

    external_id: str | None
    """The ID that your organization assigns to the user."""
    email: str | None
    badge_number: str | None
    first_name: str | None
    last_name: str | None
    status: str | None
    """Active or Inactive."""
    username: str | None
    role: str | None
    """The name of a role of the agency."""
    supervisor_email: str | None
    """The email address of the supervisor."""
    location: str | None
    rank: str | None
    """The name or abbreviation of a rank of the agency."""
    evidence_group_ext_id: str | None
    """The external ID of an active group of the agency."""
    phone: str | None
    """With the country code, such as +12025550143."""


class Batch(TypedDict, total=False):
    """The users to add or update. All rows have the same members: the other columns of their users stay
    unchanged.
    """

    strict: bool | None
    """Write nothing if a row has a problem."""
    mails: bool | None
    """Whether emails are sent. null: the agency's setting."""
    source: str | None
    """The source of the rows, such as hr-sworn."""
    defaults: Mapping[str, str] | None
    """Column that the rows do not have → value of new users."""
    accept: Sequence[str] | None
    """Problems with which rows are applied: looks-damaged, identity-change=same or =other."""
    confirm: Mapping[str, int | bool] | None
    """What is confirmed beforehand: kind → its exact number, or true for a kind without a number."""
    release_badges: bool | None
    """Whether rows can take badges of Inactive users."""
    rows: Required[Sequence[SentRow]]
    name: str
    """A name for the history of imports."""


class Cell(TypedDict, total=False):
    """A new text for a cell of a row with problems."""

    row: Required[int]
    column: Required[str]
    text: Required[str]
    was: str | None
    """The text that the cell has. If it has another one, nothing is done."""


class Check(TypedDict, total=False):
    """The check to continue."""

    progress: str
    """The member `progress` of the answer before."""


class Confirmation(TypedDict, total=False):
    """The plan to apply although it is over limits, with what is confirmed."""

    digest: Required[str]
    """The `digest` of the plan that was seen."""
    mails: bool | None
    """Whether emails are sent. Null: as the plan shows."""
    confirm: Required[Mapping[str, int | bool]]
    """What is confirmed: the `kind` of each hold → its exact `number`, or true if it has none."""


class GroupFix(TypedDict, total=False):
    """A new text for the cells of all rows with the same problem, as `problems` lists them."""

    code: Required[str]
    column: Required[str]
    value: str | None
    """The value that the cells have. Null: any."""
    text: Required[str]


class Decision(TypedDict, total=False):
    """A decision about a row.

    `looks-damaged`: the column whose cell is kept as written. `identity-change`: same or other. `taken`:
    BADGE_NUMBER, to release the badge of an Inactive user.
    """

    row: Required[int]
    code: Required[Literal["looks-damaged", "identity-change", "taken"]]
    choice: Required[str]


class Corrections(TypedDict, total=False):
    """What is corrected."""

    cells: Sequence[Cell]
    groups: Sequence[GroupFix]
    decisions: Sequence[Decision]
    options: Mapping[str, Any]
    """Options of the import. Each replaces the one that the plan has."""


class CreateImportOptions(TypedDict, total=False):
    """The options of `createImport`."""

    mode: Literal["update", "sync", "rekey"]
    """update: add and update users. sync: also deactivate Active users who are not in the file. rekey: change
    external IDs.
    """
    preview: bool
    """Only make the plan, and change nothing."""
    strict: bool
    """Write nothing if a row has a problem."""
    mails: bool
    """Whether emails are sent. By default, the agency's setting."""
    source: str
    """The source of the file, such as hr-sworn."""
    mapping: Mapping[str, str]
    """Heading of the file → column, two columns joined by a comma, or nothing to leave it out."""
    values: Mapping[str, Mapping[str, str]]
    """STATUS, ROLE, RANK or EVIDENCE_GROUP_EXT_ID → value in the file → value of the agency."""
    defaults: Mapping[str, str]
    """Column that the file does not have → the value of new users."""
    accept: Sequence[str]
    """Problems with which rows are applied: looks-damaged, identity-change=same or identity-change=other."""
    confirm: Mapping[str, int | bool]
    """What is confirmed beforehand: kind → its exact number, or true for a kind without a number."""
    encoding: str
    """The encoding, such as windows-1252. By default, it is detected."""
    delimiter: str
    """comma, semicolon, tab or pipe. By default, it is detected."""
    sheet: str
    """The sheet of the workbook, if several have the headings."""
    header_row: int
    """The row that has the headings."""
    expect_rows: int
    """Refuse a file with another number of data rows."""
    release_badges: bool
    """Whether rows can take badges of Inactive users. By default, the agency's setting."""


class Deadline(TypedDict, total=False):
    """A time by which a file is expected."""

    days: Sequence[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]]
    at: Required[str]


class DeliveryChoice(TypedDict, total=False):
    """How the user gets the link: by email, or from you."""

    as_link: bool
    """Answer with the link, and send no email. Give it to the user yourself."""


class DownloadErrorsOptions(TypedDict, total=False):
    """The options of `downloadErrors`."""

    form: Literal["csv", "xlsx"]
    """CSV, or a workbook whose cells are text."""


class DownloadResultsOptions(TypedDict, total=False):
    """The options of `downloadResults`."""

    form: Literal["csv", "xlsx"]
    """CSV, or a workbook whose cells are text."""


class ExportEventsOptions(TypedDict, total=False):
    """The options of `exportEvents`."""

    by: str
    """Who acted: an external ID, email address or name, or `system`."""
    about: str
    """The user that the event is about."""
    import_number: str
    """The number of an import."""
    kind: str
    """A kind of event, such as `user.added`."""
    category: str
    """A category of kinds, such as `Users`."""
    through: str
    """How it was done, such as `page`, `api` or `feed`."""
    outcome: str
    """`done`, `refused` or `failed`."""
    since: datetime | None
    """At this time or later. A time without an offset is in UTC."""
    until: datetime | None
    """Before this time."""
    format: Literal["csv", "json"]
    """CSV, or a list of JSON objects."""


class Location(TypedDict, total=False):
    """Where the files of a feed are, or how they arrive. Each kind has its own members."""

    kind: Required[Literal["folder", "sftp", "https", "sent", "command"]]
    path: str
    """Of a folder or an SFTP server: the folder."""
    pattern: str
    """The names of the files, such as *.csv."""
    host: str
    """The SFTP server."""
    port: int
    """The port of the SFTP server."""
    user: str
    """The name with which to sign in at the SFTP server."""
    url: str
    """The address of the file, which begins with https://."""
    header: str
    """The header that has the secret, such as Authorization."""
    addresses: str
    """Of `sent`: the addresses that may use the token, separated by commas. None: all."""


Window = TypedDict(
    "Window",
    {
        "days": Sequence[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]],
        "from": Required[str],
        "to": Required[str],
    },
    total=False,
)
"""A time of the day in which the feed is checked."""


class FeedSettings(TypedDict, total=False):
    """The settings of a feed. A member that is left out stays as it is, or is as usual in a new feed."""

    mode: Literal["update", "sync"]
    source: str
    """The source of its users. Nothing: all users."""
    location: Location | None
    every_minutes: int
    windows: Sequence[Window]
    expected_by: Sequence[Deadline]
    blackout: Sequence[str]
    """Days such as 2026-12-25."""
    strict: bool
    mails: bool | None
    encoding: str | None
    delimiter: str | None
    sheet: str | None
    header_row: int | None
    expect_rows: int | None
    release_badges: bool | None
    accept: Sequence[str]
    mapping: Mapping[str, str]
    """Heading → column, or nothing to leave it out."""
    values: Mapping[str, Mapping[str, str]]
    """Column → value in the file → value of the agency."""
    defaults: Mapping[str, str]
    """Column → value of new users."""
    together: bool
    least_percent: int
    limits: Sequence[Limit]
    notify: Mapping[str, Sequence[str]]
    """held, failed, late, problems or finished → recipients."""


class Fingerprint(TypedDict, total=False):
    """The fingerprint of the host key that the owner of the server has named."""

    fingerprint: Required[str]


class GroupChange(TypedDict, total=False):
    """The members of a group to change. A member that is left out stays as it is."""

    external_id: str
    name: str
    active: bool
    parent: str
    """The external ID of another group, or blank for none."""


class ImportGroupsOptions(TypedDict, total=False):
    """The options of `importGroups`."""

    mode: Literal["update", "sync"]
    """update: add and update. sync: the groups that the file names become exactly as it says."""
    preview: bool
    """Only make the plan, and change nothing."""
    strict: bool
    """Write nothing if a row has a problem."""
    mapping: Mapping[str, str]
    """Heading of the file → column, two columns joined by a comma, or nothing to leave it out."""
    confirm: Mapping[str, int | bool]
    """What is confirmed beforehand: kind → its exact number, or true for a kind without a number."""
    encoding: str
    """The encoding, such as windows-1252. By default, it is detected."""
    delimiter: str
    """comma, semicolon, tab or pipe. By default, it is detected."""
    sheet: str
    """The sheet of the workbook, if several have the headings."""
    header_row: int
    """The row that has the headings."""
    expect_rows: int
    """Refuse a file with another number of data rows."""


class ImportMembersOptions(TypedDict, total=False):
    """The options of `importMembers`."""

    mode: Literal["update", "sync"]
    """update: add and update. sync: the groups that the file names become exactly as it says."""
    preview: bool
    """Only make the plan, and change nothing."""
    strict: bool
    """Write nothing if a row has a problem."""
    mapping: Mapping[str, str]
    """Heading of the file → column, two columns joined by a comma, or nothing to leave it out."""
    confirm: Mapping[str, int | bool]
    """What is confirmed beforehand: kind → its exact number, or true for a kind without a number."""
    encoding: str
    """The encoding, such as windows-1252. By default, it is detected."""
    delimiter: str
    """comma, semicolon, tab or pipe. By default, it is detected."""
    sheet: str
    """The sheet of the workbook, if several have the headings."""
    header_row: int
    """The row that has the headings."""
    expect_rows: int
    """Refuse a file with another number of data rows."""


class ImportRanksOptions(TypedDict, total=False):
    """The options of `importRanks`."""

    preview: bool
    """Only make the plan, and change nothing."""
    strict: bool
    """Write nothing if a row has a problem."""
    mapping: Mapping[str, str]
    """Heading of the file → column, two columns joined by a comma, or nothing to leave it out."""
    confirm: Mapping[str, int | bool]
    """What is confirmed beforehand: kind → its exact number, or true for a kind without a number."""
    encoding: str
    """The encoding, such as windows-1252. By default, it is detected."""
    delimiter: str
    """comma, semicolon, tab or pipe. By default, it is detected."""
    sheet: str
    """The sheet of the workbook, if several have the headings."""
    header_row: int
    """The row that has the headings."""
    expect_rows: int
    """Refuse a file with another number of data rows."""


class ImportRolesOptions(TypedDict, total=False):
    """The options of `importRoles`."""

    preview: bool
    """Only make the plan, and change nothing."""
    strict: bool
    """Write nothing if a row has a problem."""
    mapping: Mapping[str, str]
    """Heading of the file → column, two columns joined by a comma, or nothing to leave it out."""
    confirm: Mapping[str, int | bool]
    """What is confirmed beforehand: kind → its exact number, or true for a kind without a number."""
    encoding: str
    """The encoding, such as windows-1252. By default, it is detected."""
    delimiter: str
    """comma, semicolon, tab or pipe. By default, it is detected."""
    sheet: str
    """The sheet of the workbook, if several have the headings."""
    header_row: int
    """The row that has the headings."""
    expect_rows: int
    """Refuse a file with another number of data rows."""


class ListEventsOptions(TypedDict, total=False):
    """The options of `listEvents`."""

    by: str
    """Who acted: an external ID, email address or name, or `system`."""
    about: str
    """The user that the event is about."""
    import_number: str
    """The number of an import."""
    kind: str
    """A kind of event, such as `user.added`."""
    category: str
    """A category of kinds, such as `Users`."""
    through: str
    """How it was done, such as `page`, `api` or `feed`."""
    outcome: str
    """`done`, `refused` or `failed`."""
    since: datetime | None
    """At this time or later. A time without an offset is in UTC."""
    until: datetime | None
    """Before this time."""


class ListGroupsOptions(TypedDict, total=False):
    """The options of `listGroups`."""

    q: str
    """A part of the name or of the external ID."""


class ListImportRowsOptions(TypedDict, total=False):
    """The options of `listImportRows`."""

    outcome: Literal[
        "all",
        "errored",
        "removed",
        "added",
        "updated",
        "deactivated",
        "protected",
        "unchanged",
        "skipped",
        "noted",
        "mailed",
        "deactivations",
        "privileges",
        "handovers",
        "cleared",
        "identities",
        "losses",
    ]
    code: str
    column: str
    value: str | None
    q: str


class ListImportsOptions(TypedDict, total=False):
    """The options of `listImports`."""

    q: str
    """Part of the file name, in any case."""
    state: Literal["", "open", "running", "applied", "previewed", "held", "refused", "failed", "canceled"]
    """open: its plan can be applied. running: it waits or runs."""
    kind: Literal["", "file", "rekey", "groups", "members", "roles", "ranks", "bulk", "undo"]
    mode: Literal["", "update", "sync", "rekey"]
    by: str | None
    """The external ID of the operator. Blank: the system."""
    source: str
    feed: str
    since: datetime | None
    """Begun at this time or later."""
    before: datetime | None
    """Begun before this time."""


class ListTokensOptions(TypedDict, total=False):
    """The options of `listTokens`."""

    state: Literal["valid", "ended"]
    """Valid tokens, or the latest that were revoked or expired."""


class ListUsersOptions(TypedDict, total=False):
    """The options of `listUsers`."""

    q: str
    """Words that all occur in the name, email, username, badge or external ID."""
    external_id: str
    """Exactly this external ID. It goes with no other filter."""
    state: str
    """Active, Invited, Invitation expired, Locked, Password reset or Inactive."""
    role: str
    """The name of a role."""
    rank: str
    """The name or abbreviation of a rank."""
    group: str
    """The external ID of a group."""
    supervisor: str
    """The email address or external ID of the supervisor."""
    signed_in_from: datetime | None
    """Last signed in at this time or later."""
    signed_in_before: datetime | None
    """Last signed in before this time."""
    never_signed_in: bool
    changed_by: str
    """The number of an import that has added or changed the user."""
    sort: Literal[
        "name", "username", "email", "badge_number", "external_id", "status", "role", "rank", "group", "last_sign_in"
    ]
    descending: bool


class ListWebhookMessagesOptions(TypedDict, total=False):
    """The options of `listWebhookMessages`."""

    given_up: bool
    """Only messages that were given up."""


class NewFeed(TypedDict, total=False):
    """A feed to add. It needs a name and a location."""

    mode: Literal["update", "sync"]
    source: str
    """The source of its users. Nothing: all users."""
    location: Required[Location]
    every_minutes: int
    windows: Sequence[Window]
    expected_by: Sequence[Deadline]
    blackout: Sequence[str]
    """Days such as 2026-12-25."""
    strict: bool
    mails: bool | None
    encoding: str | None
    delimiter: str | None
    sheet: str | None
    header_row: int | None
    expect_rows: int | None
    release_badges: bool | None
    accept: Sequence[str]
    mapping: Mapping[str, str]
    """Heading → column, or nothing to leave it out."""
    values: Mapping[str, Mapping[str, str]]
    """Column → value in the file → value of the agency."""
    defaults: Mapping[str, str]
    """Column → value of new users."""
    together: bool
    least_percent: int
    limits: Sequence[Limit]
    notify: Mapping[str, Sequence[str]]
    """held, failed, late, problems or finished → recipients."""
    name: Required[str]


class NewGroup(TypedDict, total=False):
    """A group to add. It is active."""

    external_id: Required[str]
    name: str
    """By default, the external ID."""


class NewRank(TypedDict, total=False):
    """A rank to add. It is added below all others."""

    name: Required[str]
    abbreviation: str
    """Files can use it instead of the name."""


class NewRole(TypedDict, total=False):
    """A role to add."""

    name: Required[str]
    permissions: Sequence[
        Literal[
            "users.view",
            "users.edit",
            "users.import",
            "users.synchronize",
            "users.export",
            "credentials.manage",
            "roles.manage",
            "ranks.manage",
            "groups.manage",
            "audit.view",
            "agency.configure",
            "api.manage",
        ]
    ]
    """The permissions that it grants."""
    second_factor: bool
    """Whether its users must sign in with a second factor."""


class NewToken(TypedDict, total=False):
    """A token to create. It acts for the creator of the token of the request, and has no more permissions than
    that.
    """

    name: Required[str]
    permissions: Required[
        Sequence[
            Literal[
                "users.view",
                "users.edit",
                "users.import",
                "users.synchronize",
                "users.export",
                "credentials.manage",
                "roles.manage",
                "ranks.manage",
                "groups.manage",
                "audit.view",
                "agency.configure",
                "api.manage",
            ]
        ]
    ]
    days: Literal[7, 30, 90, 180, 365]
    """The days for which it is valid."""
    addresses: Sequence[str]
    """The addresses or networks that may use it, such as 192.0.2.0/24: some of those of the token of the
    request. None: all that may use that token
    """


class NewUser(TypedDict, total=False):
    """A user to add. Without a status, they are Active; without a username, it is the email address up to the @.

    Other members that are left out have the defaults of the agency, if it has any.
    """

    external_id: str | None
    """The ID that your organization assigns to the user."""
    email: str | None
    badge_number: str | None
    first_name: str | None
    last_name: str | None
    status: str | None
    """Active or Inactive."""
    username: str | None
    role: str | None
    """The name of a role of the agency."""
    supervisor_email: str | None
    """The email address of the supervisor."""
    location: str | None
    rank: str | None
    """The name or abbreviation of a rank of the agency."""
    evidence_group_ext_id: str | None
    """The external ID of an active group of the agency."""
    phone: str | None
    """With the country code, such as +12025550143."""
    exempt: bool | None
    """Needs the permission users.synchronize."""
    no_files: bool | None
    """Needs the permission users.synchronize."""
    ends_on: str | None
    """The last day on which the user has access."""


class NewWebhook(TypedDict, total=False):
    """A webhook to add."""

    name: Required[str]
    """Lowercase letters, digits and hyphens. It never changes."""
    address: Required[str]
    """Where the receiver takes messages: a URL with https."""
    kinds: Required[Sequence[str]]
    """Kinds of messages. `user.*` is all that begin so, `*` is all."""


class RankChange(TypedDict, total=False):
    """The members of a rank to change. A member that is left out stays as it is."""

    name: str
    abbreviation: str
    """Files can use it instead of the name."""


class RankMove(TypedDict, total=False):
    """The direction in which to move a rank by one place."""

    direction: Required[Literal["up", "down"]]


class Reason(TypedDict, total=False):
    """Why a feed is paused. Everyone who can see the feed sees it."""

    why: str


class Removal(TypedDict, total=False):
    """Why second factors are removed."""

    reason: Required[str]
    """How you checked who is asking."""


class RoleChange(TypedDict, total=False):
    """The members of a role to change. A member that is left out stays as it is."""

    name: str
    permissions: Sequence[
        Literal[
            "users.view",
            "users.edit",
            "users.import",
            "users.synchronize",
            "users.export",
            "credentials.manage",
            "roles.manage",
            "ranks.manage",
            "groups.manage",
            "audit.view",
            "agency.configure",
            "api.manage",
        ]
    ]
    """The permissions that it grants."""
    second_factor: bool
    """Whether its users must sign in with a second factor."""


class Rotation(TypedDict, total=False):
    """The hours for which the former secret signs messages too."""

    hours: Literal[0, 1, 24, 168]


class SecretValue(TypedDict, total=False):
    """A secret. It is stored encrypted, and never shown."""

    value: Required[str]


class SendUsersOptions(TypedDict, total=False):
    """The options of `sendUsers`."""

    dry_run: bool
    """Only make the plan, and change nothing."""


class Undo(TypedDict, total=False):
    """How the import is undone."""

    preview: bool
    """Only show the plan of the undo."""
    mails: bool | None
    """Whether emails are sent. Null: as the plan shows."""
    confirm: Mapping[str, int | bool] | None


class UserChange(TypedDict, total=False):
    """The members of a user to change, as a JSON Merge Patch (RFC 7396): all others stay, and null clears one."""

    external_id: str | None
    """The ID that your organization assigns to the user."""
    email: str | None
    badge_number: str | None
    first_name: str | None
    last_name: str | None
    status: str | None
    """Active or Inactive."""
    username: str | None
    role: str | None
    """The name of a role of the agency."""
    supervisor_email: str | None
    """The email address of the supervisor."""
    location: str | None
    rank: str | None
    """The name or abbreviation of a rank of the agency."""
    evidence_group_ext_id: str | None
    """The external ID of an active group of the agency."""
    phone: str | None
    """With the country code, such as +12025550143."""
    exempt: bool | None
    """Needs the permission users.synchronize."""
    no_files: bool | None
    """Needs the permission users.synchronize."""
    ends_on: str | None
    """The last day on which the user has access."""
    source: str | None
    """Needs the permission users.synchronize."""


class WebhookChange(TypedDict, total=False):
    """The settings to change. Others stay."""

    address: str
    """The new address."""
    kinds: Sequence[str]
    """Kinds of messages. `user.*` is all that begin so, `*` is all."""
