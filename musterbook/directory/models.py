"""The directory's tables: column types, columns and constraints only. Only `apply.writer` writes users.

The database enforces foreign keys, and has an index on one only if a query uses it: each index slows every import.
"""

from typing import TYPE_CHECKING, Any, Literal

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CASCADE, DO_NOTHING, SET_NULL, F, Q
from django.db.models.functions import Now

MODES = ("update", "sync", "rekey")
STATES = ("waiting", "running", "applied", "previewed", "held", "refused", "failed")
SHOWING = ("previewed", "held", "refused")
"""The states of an import that may show a plan to apply (`imports.plan_ends`)."""
KEEPING_KEY = ("waiting", "running", "applied")
"""The states of an import that uses up its idempotency key (D6)."""

if TYPE_CHECKING:
    _Text = models.TextField[str, str]
else:
    _Text = models.TextField


class Bytewise(_Text):
    """Text that is sorted by the numbers of its characters, in any locale of the database."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Return the collation C on PostgreSQL; SQLite sorts this way by default."""
        return {**super().db_parameters(connection), "collation": "C" if connection.vendor == "postgresql" else None}


class Packed(_Text):
    """Text that is searched for substrings: stored as bytes on PostgreSQL, which searches them in half the time."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return bytea on PostgreSQL, and the type of text elsewhere."""
        return "bytea" if connection.vendor == "postgresql" else super().db_type(connection)


class ImportKind(models.TextChoices):
    """The kinds of imports: of a file (of users, new external IDs, groups, members, roles or ranks), bulk change, undo."""

    FILE = "file"
    REKEY = "rekey"
    BULK = "bulk"
    UNDO = "undo"
    GROUPS = "groups"
    MEMBERS = "members"
    ROLES = "roles"
    RANKS = "ranks"


ENTRY_KINDS = (ImportKind.GROUPS, ImportKind.MEMBERS, ImportKind.ROLES, ImportKind.RANKS)
"""The kinds of imports that change groups, their members and monitors, roles or ranks."""
FROM_FILE = (ImportKind.FILE, ImportKind.REKEY, *ENTRY_KINDS)
"""The kinds of imports that have a file."""


class Agency(models.Model):
    """An agency: every other record belongs to one agency, and no other agency can see it."""

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=255)
    default_country = models.CharField(max_length=2, default="", blank=True)
    language = models.CharField(max_length=8, default="", db_default="", blank=True)
    """The language of pages and emails, unless the reader or the browser asks for another; "": English."""
    time_zone = models.CharField(max_length=64, default="", db_default="", blank=True)
    """The zone of times on pages and in emails, unless the reader chose another; "": the browser's."""
    limits = models.JSONField(default=list)
    """The limits that the agency sets, as `agency.limits` reads them (rule S4)."""
    second_approver = models.BooleanField(default=False)
    """Whether another user must confirm an import that is held (rule S8)."""
    sends_mail = models.BooleanField(default=True)
    mails_off = models.JSONField(default=list)
    """The kinds of optional emails that the agency does not send."""
    preview_days = models.PositiveSmallIntegerField(default=14, db_default=14)
    """The number of days after which a plan that nobody has applied expires (A4)."""
    mapping = models.JSONField(default=dict)
    """Heading → column, as the operator mapped it last (rule F5)."""
    reading = models.JSONField(default=dict)
    """How the operator read a file last: `encoding` (F2), `header_row` (F12)."""
    values = models.JSONField(default=dict)
    """Column → value in a file → the agency's value, as the operator mapped it last (rule F13)."""
    defaults = models.JSONField(default=dict)
    """Column → the value of new users, if a file does not have the column (rule F14)."""
    grace_days = models.PositiveSmallIntegerField(default=0, db_default=0)
    """The days for which a user that synchronize imports do not mention keeps access (rule S10)."""
    created_at = models.DateTimeField()
    invitation_days = models.PositiveSmallIntegerField(default=7)
    password_length = models.PositiveSmallIntegerField(default=12)
    """The minimum number of characters in a password."""
    password_days = models.PositiveSmallIntegerField(default=0)
    """The number of days after which a password must be changed; 0: never."""
    lock_failures = models.PositiveSmallIntegerField(default=5)
    """The number of failed sign-ins within 15 minutes that locks an account."""
    lock_minutes = models.PositiveIntegerField(default=0)
    """The number of minutes after which a lock ends by itself; 0: it ends only when a user ends it."""
    lock_all_places = models.BooleanField(default=False)
    """Whether a lock holds everywhere except in known browsers; else only where the sign-ins failed."""
    idle_minutes = models.PositiveSmallIntegerField(default=30)
    second_factor = models.BooleanField(default=False, db_default=False)
    """Whether every user must sign in with a second factor, regardless of their role."""
    sessions_most = models.PositiveSmallIntegerField(default=10, db_default=10)
    """The most sessions that a user may have at once; one more ends the oldest."""
    sign_in_notice = models.TextField(default="", blank=True)
    """The notice that every user reads before they sign in (CJIS AC-8); "" for none."""
    unused_days = models.PositiveSmallIntegerField(default=0)
    """The number of days without a sign-in after which a registered user is deactivated (CJIS AC-2(3)); 0: never."""
    reuse_days = models.PositiveSmallIntegerField(default=0)
    """For this many days no other user gets a released username or address (CJIS IA-4); 0: it is free at once."""
    replaced_addresses_days = models.PositiveSmallIntegerField(default=90, db_default=90)
    """For this many days a replaced address in SUPERVISOR_EMAIL means the same person (rule M9); 0: not at all."""
    release_badges = models.BooleanField(default=False, db_default=False)
    """Whether the badge of an Inactive user can be taken by another user (rule M13)."""
    scim_refuses_held = models.BooleanField(default=False, db_default=False)
    """Whether a SCIM request whose plan is held is answered with 409, for clients that cannot wait, instead of 202."""
    looked_on = models.DateField(null=True)
    """The last day on which `imports.expiry` looked for users whose access ends."""
    paused_at = models.DateTimeField(null=True)
    """Since when the agency is closed for every change and every sign-in (`agency.pausing`); null if it is not."""
    sign_on = models.JSONField(default=list)
    """The identity providers, as `agency.sign_on_file` reads them; secrets are sealed (`config.encryption`)."""

    class Meta:
        indexes = [models.Index(fields=["id"], condition=Q(paused_at__isnull=False), name="agency_paused")]


class Role(models.Model):
    """A role: a name and a set of permissions.

    `administrator` marks the one that always exists and has all permissions.
    """

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=255)
    name_key = models.CharField(max_length=1020)
    permissions = models.JSONField(default=list)
    administrator = models.BooleanField(default=False)
    second_factor = models.BooleanField(default=False)
    """Whether users who have the role must sign in with a second factor."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agency", "name_key"], name="role_once"),
            models.UniqueConstraint(fields=["agency"], condition=Q(administrator=True), name="role_one_administrator"),
        ]


class Rank(models.Model):
    """A rank; lower positions come first."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=255)
    name_key = models.CharField(max_length=1020)
    abbreviation = models.CharField(max_length=255, default="", blank=True)
    position = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "name_key"], name="rank_once")]


class Group(models.Model):
    """A group of users, named in files by its external ID."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    external_id = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    changed_at = models.DateTimeField(auto_now=True, db_default=Now())
    """When its name, external ID or state last changed; not when its members did."""
    parent = models.ForeignKey("self", SET_NULL, null=True, blank=True, related_name="+")
    """The group that it is part of. There are no circles."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "external_id"], name="group_once")]


class User(models.Model):
    """A user of an agency. The `_key` columns hold the values that comparisons use (rule M4)."""

    agency = models.ForeignKey(Agency, DO_NOTHING, related_name="+", db_index=False)
    external_id = models.CharField(max_length=255)
    external_id_key = models.CharField(max_length=1020, default="", db_default="", blank=True)
    """The key of the external ID, if it is not the external ID itself (`apply.stored_keys`)."""
    email = models.CharField(max_length=254)
    email_key = models.CharField(max_length=1020)
    badge_number = models.CharField(max_length=255)
    badge_number_key = models.CharField(max_length=1020)
    first_name = models.CharField(max_length=255)
    last_name = models.CharField(max_length=255)
    name_key = Bytewise()
    """The sort key of a list by name (`apply.search_index.build_name_keys`)."""
    active = models.BooleanField()
    username = models.CharField(max_length=255)
    username_key = models.CharField(max_length=1020)
    role = models.ForeignKey(Role, DO_NOTHING, related_name="+", db_index=False)
    supervisor = models.ForeignKey("self", DO_NOTHING, null=True, related_name="+")
    location = models.CharField(max_length=255, default="", blank=True)
    rank = models.ForeignKey(Rank, DO_NOTHING, null=True, related_name="+", db_index=False)
    group = models.ForeignKey(Group, DO_NOTHING, null=True, related_name="+", db_index=False)
    phone = models.CharField(max_length=64, default="", blank=True)
    exempt = models.BooleanField(default=False)
    """Whether a synchronize import keeps the user when the file does not mention them (rule S5)."""
    managed_by = models.CharField(max_length=32, default="", blank=True)
    source = models.CharField(max_length=63, default="", db_default="", blank=True)
    """The source that lists the user (rule S9), such as `hr-sworn`; "" for none."""
    no_files = models.BooleanField(default=False, db_default=False)
    """Whether files leave the user unchanged (rule S11)."""
    missing_since = models.DateField(null=True)
    """Since which day the user is leaving: the first synchronize import in which they were missing (rule S10)."""
    missing_imports = models.PositiveIntegerField(default=0, db_default=0)
    """The number of imports in a row in which they were missing."""
    ends_on = models.DateField(null=True)
    """The last day on which the user has access (CJIS AC-2(2)); null for no end."""
    created_at = models.DateTimeField()
    invited_at = models.DateTimeField(null=True)
    invitation_expires_at = models.DateTimeField(null=True)
    registered_at = models.DateTimeField(null=True)
    last_sign_in_at = models.DateTimeField(null=True)
    locked_at = models.DateTimeField(null=True)
    reset_at = models.DateTimeField(null=True)
    """When a password reset that is not yet done was requested."""
    email_changed_at = models.DateTimeField(null=True)
    """When the address last changed while the user was registered. A reset goes to no address younger than a day."""
    access_ended_at = models.DateTimeField(null=True)
    """When the user last lost access: sessions, links and tokens from before it are invalid."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agency", "external_id"], name="user_external_id_once"),
            models.UniqueConstraint(fields=["agency", "email_key"], name="user_email_once"),
            models.UniqueConstraint(fields=["agency", "badge_number_key"], name="user_badge_number_once"),
            models.UniqueConstraint(fields=["agency", "username_key"], name="user_username_once"),
        ]
        # For the filters of the list, and the order by name. Most conditions leave out new users.
        indexes = [
            models.Index(fields=["agency", "name_key", "id"], name="user_by_name"),
            models.Index(
                fields=["agency", "external_id_key"], condition=Q(external_id_key__gt=""), name="user_by_look_of_id"
            ),
            models.Index(fields=["agency", "role"], name="user_by_role"),
            models.Index(fields=["agency", "rank"], name="user_by_rank"),
            models.Index(fields=["agency", "group"], name="user_by_group"),
            models.Index(
                fields=["agency", "last_sign_in_at", "id"],
                condition=Q(last_sign_in_at__isnull=False),
                name="user_signed_in",
            ),
            models.Index(fields=["agency"], condition=Q(last_sign_in_at__isnull=True), name="user_never_signed_in"),
            # Exactly the users who are Active, or invited (`users.states`): a user found here needs no further test.
            models.Index(
                fields=["agency"],
                condition=Q(active=True, registered_at__isnull=False, locked_at__isnull=True, reset_at__isnull=True),
                name="user_registered",
            ),
            models.Index(
                fields=["agency", "invitation_expires_at"],
                condition=Q(active=True, registered_at__isnull=True, locked_at__isnull=True),
                name="user_unregistered",
            ),
            models.Index(fields=["agency"], condition=Q(active=False), name="user_inactive"),
            models.Index(fields=["agency"], condition=Q(locked_at__isnull=False), name="user_locked"),
            models.Index(fields=["agency"], condition=Q(reset_at__isnull=False), name="user_reset"),
            models.Index(
                fields=["agency"], condition=Q(no_files=True) | Q(missing_since__isnull=False), name="user_marked"
            ),
            models.Index(fields=["agency", "ends_on"], condition=Q(ends_on__isnull=False), name="user_ends"),
        ]


class ProvisionedUser(models.Model):
    """What an identity provider has said of a user that the directory has no column for (`users.provisioning`)."""

    user = models.OneToOneField(User, CASCADE, related_name="provisioned")
    kept = models.JSONField(default=dict)
    """Attribute → its value as it was sent, such as the display name, or the type of the phone number."""
    deleted_at = models.DateTimeField(null=True)
    """When the provider deleted the user, who is Inactive since. The provider does not see them until they are Active."""

    class Meta:
        indexes = [
            models.Index(fields=["user"], condition=Q(deleted_at__isnull=False), name="provisioned_deleted"),
        ]


class ListView(models.Model):
    """How a user sees All Users: the columns, the density, and the size of a page."""

    user = models.OneToOneField(User, CASCADE, related_name="+")
    columns = models.JSONField(default=list)
    compact = models.BooleanField(default=False)
    size = models.PositiveSmallIntegerField(default=0)
    """The most users on a page; 0 for the default."""


class SavedFilter(models.Model):
    """A search of All Users that a user has named."""

    user = models.ForeignKey(User, CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=60)
    name_key = models.CharField(max_length=240)
    query = models.CharField(max_length=2000)
    """The search and its order, as an address has them."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "name_key"], name="saved_filter_once")]


class ReleasedName(models.Model):
    """A username or address that a user had, and when they released it.

    No other user gets it for `reuse_days`. As the address of a supervisor in a file, it means the same person for
    `replaced_addresses_days` (rule M9).
    """

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=1020)
    address = models.BooleanField(default=False, db_default=False)
    """Whether it was the user's address. Older rows, which do not say so, are not remembered as addresses."""
    user = models.ForeignKey(User, CASCADE, related_name="+", db_index=False)
    released_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["agency", "key"], name="released_name")]


class FormerId(models.Model):
    """An external ID that a user had, and when it changed: the trail, and what is kept of imports, name users by old ids."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    external_id = models.CharField(max_length=255)
    user = models.ForeignKey(User, CASCADE, related_name="+")
    until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["agency", "external_id"], name="former_id")]


class Monitor(models.Model):
    """A user who monitors a group: they see what it does, whether or not they are a member."""

    group = models.ForeignKey(Group, CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(User, DO_NOTHING, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "user"], name="monitor_once")]


class GroupMonitor(models.Model):
    """A group whose members all monitor another group."""

    group = models.ForeignKey(Group, CASCADE, related_name="+", db_index=False)
    monitor = models.ForeignKey(Group, CASCADE, related_name="+")
    """The group whose members monitor it."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "monitor"], name="group_monitor_once")]


class SearchChunk(models.Model):
    """A part of the search index: the folded texts of the users of one slot (`apply.search_index`).

    The ids of the users follow from the slot.
    """

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    slot = models.PositiveBigIntegerField()
    text = Packed()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "slot"], name="search_chunk_once")]


class FeedMode(models.TextChoices):
    """The modes that a feed can import in."""

    UPDATE = "update"
    SYNC = "sync"


class Feed(models.Model):
    """A feed: a saved way of importing, whose files arrive without a person (`musterbook.feeds`).

    Its name never changes, because folders, scripts and the audit trail name it. Workers write the second half of the
    columns, which say what the feed is doing; people write the first half.
    """

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=63)
    """Lowercase letters, digits and single hyphens, such as `hr-sworn`."""
    mode = models.CharField(max_length=8, choices=FeedMode.choices)
    source = models.CharField(max_length=63, default="", blank=True)
    """The source of its imports (rule S9), its own name by default; "" for all users."""
    reading = models.JSONField(default=dict)
    """The options of its imports (`imports.options.Options.as_json`): how a file is read, and what it means."""
    location = models.JSONField(default=dict)
    """Where its files are: `kind`, and what a location of this kind needs (`feeds.locations`). It has no secret."""
    secrets = models.JSONField(default=dict)
    """The sealed secrets of the location (`config.encryption`), by name."""
    host_key = models.TextField(default="", blank=True)
    """The pinned host key of an SFTP server, as a line of `known_hosts` has it; "" before a person has accepted it."""
    token = models.CharField(max_length=64, default="", blank=True)
    """The SHA-256 of the token with which a program sends its files; "" for none."""
    schedule = models.JSONField(default=dict)
    """When it is checked, and when a file is expected (`feeds.schedule`)."""
    limits = models.JSONField(null=True)
    """Its own limits, as `Agency.limits`; null for the agency's (rule S4)."""
    least_percent = models.PositiveSmallIntegerField(default=80)
    """A file with fewer rows than this share of the last applied one is held (rule N7); 0: never."""
    together = models.BooleanField(default=False)
    """Whether all waiting files are one snapshot (rule N1), instead of one import each."""
    notify = models.JSONField(default=dict)
    """Kind of notice → external IDs of users, and addresses, that get it by email."""
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=255, default="", blank=True)
    """The external ID of the user who paused it; "" for the command line."""
    paused_why = models.CharField(max_length=255, default="", blank=True)
    created_at = models.DateTimeField()

    approved = models.CharField(max_length=64, default="")
    """The digest of the settings with which a person last applied a file; a feed with another one shows its first file
    to a person (rule N3)."""
    stopped = models.TextField(default="")
    """Why it has stopped by itself, until a person resumes it; "" if it has not."""
    next_check_at = models.DateTimeField(null=True)
    """When it is due; null: at once."""
    asked_at = models.DateTimeField(null=True)
    """When a user asked for a check now, even outside of its windows; null once it was made."""
    worker = models.CharField(max_length=64, default="")
    """The worker that checks it, until `lease_until` (rule N6)."""
    lease_until = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    seen = models.JSONField(default=dict)
    """What the last check found and did not take, and since when it has not changed (rule N1); validators of HTTPS."""
    arrived_at = models.DateTimeField(null=True)
    """When a file last arrived, even one with nothing new."""
    counts_at = models.DateTimeField(null=True)
    """When that file counts as having arrived: just before the deadline that it missed, if it came soon after it (N5)."""
    last_rows = models.PositiveIntegerField(null=True)
    """The number of rows of the last applied file."""
    problem = models.TextField(default="")
    """Why its location could not be used at the last check; "" if it could."""
    failing_since = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    """The number of checks in a row that failed."""
    unreachable = models.BooleanField(default=False)
    """Whether the failed checks are reported: they have lasted an hour, or only a person can end them (rule N5)."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agency", "name"], name="feed_once"),
            models.CheckConstraint(condition=Q(mode__in=FeedMode.values), name="feed_mode"),
        ]
        indexes = [
            models.Index(fields=["next_check_at"], condition=Q(paused_at__isnull=True, stopped=""), name="feed_due"),
            models.Index(fields=["token"], condition=~Q(token=""), name="feed_token"),
        ]


class Import(models.Model):
    """An import: its operator, time, mode, file and result (rule A4)."""

    number = models.CharField(max_length=26, unique=True)
    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=8, default=ImportKind.FILE)
    """One of ImportKind."""
    mode = models.CharField(max_length=8)
    state = models.CharField(max_length=10)
    """One of STATES."""
    message = models.TextField(default="")
    """The message shown for a failed import."""
    actor = models.CharField(max_length=255)
    """The operator's external ID, even after it has changed (`apply.external_ids`); "" for the system."""
    granted = models.JSONField(default=dict)
    """The permissions of the tokens that it was requested by: `actor` and `requester` → those of each, if it was a token."""
    requester = models.CharField(max_length=255, default="", db_default="")
    """The operator of the preview or held import that this one applies; otherwise the same as `actor` (rule S8)."""
    through = models.CharField(max_length=10)
    options = models.JSONField(default=dict)
    started_at = models.DateTimeField()
    """When it was requested, or for an import that waited in the queue, when a worker claimed it."""
    finished_at = models.DateTimeField(null=True)
    file_name = models.CharField(max_length=255, default="")
    file_size = models.BigIntegerField(default=0)
    file_sha256 = models.CharField(max_length=64, default="")
    file_facts = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    mails = models.JSONField(default=dict)
    """Kind of email → the number of them that it sends (D8)."""
    held = models.JSONField(null=True)
    holds = models.JSONField(default=list)
    """Why it waits for confirmation, or would (`core.planning.holds`). `held` is the first reason, in an older format."""
    leavers = models.JSONField(default=dict)
    """The external IDs of the deactivated users, and of the protected users with their codes."""
    entries = models.JSONField(default=list)
    """What it changed in groups, roles and ranks, before and after (`core.planning.entry_changes`), so that it can be undone."""
    digest = models.CharField(max_length=64, default="")
    undoes = models.ForeignKey("self", SET_NULL, null=True, related_name="+", db_index=False)
    idempotency_key = models.CharField(max_length=255, null=True)
    """The client's name for the import, so that it is done once (D6); only an import of KEEPING_KEY uses it up."""
    stop = models.BooleanField(default=False)
    """Whether a user has asked to cancel it (D7), and if it failed: whether this was the reason."""
    stopped_by = models.CharField(max_length=255, default="", db_default="")
    """The external ID of the user who asked."""
    address = models.CharField(max_length=64, default="", db_default="")
    agent = models.CharField(max_length=255, default="", db_default="")
    """The address and the program of the request."""
    expected = models.CharField(max_length=64, default="", db_default="")
    """The digest of the plan that the user saw and the import must apply (D2)."""
    origin = models.ForeignKey("self", SET_NULL, null=True, related_name="+", db_index=False)
    """The import whose plan this one applies, or makes again (A4)."""
    ended = models.CharField(max_length=11, default="", db_default="")
    """How its plan ended, if it was shown (`imports.plan_ends.PlanEnd`); "" while it can be applied (A4)."""
    ended_at = models.DateTimeField(null=True)
    successor = models.ForeignKey("self", SET_NULL, null=True, related_name="+", db_index=False)
    """The import that has applied or replaced its plan."""
    worker = models.CharField(max_length=64, default="", db_default="")
    """The worker that runs it; "" if the process that began it runs it itself."""
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    """The number of times that a worker has claimed it."""
    feed = models.ForeignKey(Feed, SET_NULL, null=True, related_name="+", db_index=False)
    """The feed that its file arrived by, even for another import of the same file."""
    stages = models.JSONField(default=dict)
    """Stage → the seconds that it took (`imports.stage_times`); empty for an import that failed."""
    in_totals = models.BooleanField(default=False, db_default=False)
    """Whether the totals of all imports include it (`imports.totals`)."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["agency", "idempotency_key"], condition=Q(state__in=KEEPING_KEY), name="import_once"
            ),
            models.UniqueConstraint(fields=["agency"], condition=Q(state="running"), name="import_one_runs"),
            models.CheckConstraint(condition=Q(kind__in=ImportKind.values), name="import_kind"),
            models.CheckConstraint(condition=Q(mode__in=MODES), name="import_mode"),
            models.CheckConstraint(condition=Q(state__in=STATES), name="import_state"),
        ]
        indexes = [
            models.Index(fields=["agency", "started_at"], name="import_by_time"),
            models.Index(fields=["agency", "id"], condition=Q(finished_at__isnull=True), name="import_to_do"),
            models.Index(
                fields=["agency", "finished_at"], condition=Q(ended="", state__in=SHOWING), name="import_plan_open"
            ),
            models.Index(fields=["feed", "id"], condition=Q(feed__isnull=False), name="import_of_feed"),
            models.Index(
                fields=["id"], condition=Q(finished_at__isnull=False, in_totals=False), name="import_to_total"
            ),
        ]


class ImportTotal(models.Model):
    """A total over all imports of the installation since its beginning, for its metrics (`imports.totals`)."""

    key = models.CharField(max_length=120, unique=True)
    """What it counts, as a name and labels."""
    value = models.FloatField(default=0)


class FeedFile(models.Model):
    """A file that arrived by a feed (rule N2). Several files that are one snapshot are one row."""

    feed = models.ForeignKey(Feed, CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    modified = models.CharField(max_length=64)
    """The time of its last change, as its location gives it."""
    sha256 = models.CharField(max_length=64)
    at = models.DateTimeField()
    """When it was taken."""
    of = models.ForeignKey(Import, SET_NULL, null=True, related_name="+")
    """The import that it was taken for, or the latest that was made from that one; null if it has nothing new, or could not
    be imported."""
    parts = models.JSONField(default=list)
    """The names of its files if they are several."""
    leaving = models.JSONField(default=list)
    """The files that leave its location when it has ended: the name and the time of the last change of each, first of those
    that only said that it was complete."""
    settings = models.CharField(max_length=64, default="")
    """The digest of the settings that it was taken with (`Feed.approved`)."""
    problem = models.TextField(default="")
    """Why it could not be imported."""
    settled_at = models.DateTimeField(null=True)
    """When its import was settled: the feed has learned from it, and the file was moved where that is possible."""
    key = models.CharField(max_length=255, default="")
    """The name that its sender gave the request, so that it is answered the same again (`feeds.sending`)."""

    class Meta:
        indexes = [
            models.Index(fields=["feed", "key"], condition=~Q(key=""), name="feed_file_by_key"),
            models.Index(fields=["feed", "at"], name="feed_file_by_time"),
            models.Index(fields=["feed", "sha256"], name="feed_file_by_content"),
            models.Index(fields=["feed"], condition=Q(settled_at__isnull=True), name="feed_file_to_settle"),
        ]


class Worker(models.Model):
    """A process that runs imports on PostgreSQL: its last heartbeat, and its progress (`imports.heartbeats`)."""

    name = models.CharField(max_length=64, unique=True)
    seen_at = models.DateTimeField()
    number = models.CharField(max_length=26, default="")
    """The import that it runs; "" while it looks for one."""
    stage = models.CharField(max_length=255, default="")
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)


class NoticeKind(models.TextChoices):
    """The kinds of notices: what happened to an import, and what keeps a feed from running by itself.

    An import is held, it failed or was refused, it was applied with problems, or without (for feeds only). The first
    file of a feed waits, the file is late, the location cannot be reached, or the feed has stopped. A webhook was disabled.
    This is the one list of them: for the pages, the emails and their settings. The value is also the kind of email.
    """

    HELD = "import-held"
    FAILED = "import-failed"
    PROBLEMS = "import-problems"
    FINISHED = "import-finished"
    FIRST = "feed-first-file"
    LATE = "feed-late"
    UNREACHABLE = "feed-unreachable"
    STOPPED = "feed-stopped"
    WEBHOOK = "webhook-disabled"


class Notice(models.Model):
    """A notice to the users who may see the import that it is about (`imports.notices`)."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=20)
    """One of NoticeKind."""
    of = models.ForeignKey(Import, CASCADE, null=True, related_name="+", db_index=False)
    feed = models.ForeignKey(Feed, CASCADE, null=True, related_name="+", db_index=False)
    """The feed that it is about, if it is about no import."""
    day = models.DateField(null=True)
    """The day of a notice about a feed, in the agency's time zone: there is one of a kind each day (rule N5)."""
    facts = models.JSONField(default=dict)
    """What it says, for emails and programs (`imports.notice_facts`); empty for a notice of an earlier version."""
    permission = models.CharField(max_length=40)
    """The permission that a user needs to see the import."""
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["of", "kind"], name="notice_once"),
            models.UniqueConstraint(
                fields=["feed", "kind", "day"], condition=Q(feed__isnull=False), name="notice_of_feed_once"
            ),
        ]
        indexes = [models.Index(fields=["agency", "id"], name="notice_by_agency")]


class NoticeSettings(models.Model):
    """The last notice that a user has read, and the kinds of notices that they want by email."""

    user = models.OneToOneField(User, CASCADE, related_name="+")
    read_to = models.PositiveBigIntegerField(default=0)
    """The id of that notice."""
    emails = models.JSONField(null=True)
    """Kinds of NoticeKind; null for the default."""


class WebhookEndpoint(models.Model):
    """An address that the agency chose, and that messages are sent to (`musterbook.webhooks`).

    Its name never changes. Workers write the second half of the columns; people write the first half.
    """

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=63)
    """Lowercase letters, digits and single hyphens, such as `payroll`."""
    address = models.TextField()
    """The URL. It may contain a secret, so logs and the audit trail have only its origin."""
    kinds = models.JSONField(default=list)
    """The kinds of messages that are sent to it (`audit.webhook_kinds`)."""
    secrets = models.JSONField(default=list)
    """The secrets that sign its messages, the current one first: each with its sealed `secret`, and `until` when it is valid
    (null for the current one)."""
    maker = models.ForeignKey(User, DO_NOTHING, null=True, related_name="+", db_index=False)
    """The user who added it; null for the command line."""
    created_at = models.DateTimeField()
    paused_at = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(null=True)
    """When it was disabled because it refused or did not take messages. It gets no new ones."""
    disabled_why = models.TextField(default="", blank=True)

    worker = models.CharField(max_length=64, default="")
    """The worker that sends to it, until `lease_until`."""
    lease_until = models.DateTimeField(null=True)
    served_at = models.DateTimeField(null=True)
    """When a worker last sent to it: the others have their turn first."""
    next_attempt_at = models.DateTimeField(null=True)
    """Until when it rests because it failed several times in a row; null if it does not."""
    failures = models.PositiveIntegerField(default=0)
    """The number of attempts in a row that failed."""
    failing_since = models.DateTimeField(null=True)
    problem = models.TextField(default="")
    """Why the last attempt failed; "" if it did not."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "name"], name="webhook_once")]

    @property
    def state(self) -> Literal["disabled", "paused", "failing", "fine"]:
        """Return `disabled`, `paused`, `failing` or `fine`."""
        if self.disabled_at:
            return "disabled"
        return "paused" if self.paused_at else "failing" if self.failing_since else "fine"


class WebhookMessage(models.Model):
    """A message to one endpoint: written in the transaction of what it reports, and sent after it."""

    endpoint = models.ForeignKey(WebhookEndpoint, CASCADE, related_name="+", db_index=False)
    webhook_id = models.CharField(max_length=64)
    """The ID that the receiver sees: the same for each attempt. It begins with the number of the row."""
    kind = models.CharField(max_length=40)
    """One of `audit.webhook_kinds`."""
    subject = models.CharField(max_length=80)
    """What it is about, such as `user:7`. Messages about one subject are delivered in order."""
    body = models.TextField()
    """The JSON text that is signed and sent."""
    at = models.DateTimeField()
    until = models.DateTimeField()
    """When it is given up."""
    next_attempt_at = models.DateTimeField(null=True)
    """When it is due; null: at once."""
    attempts = models.PositiveIntegerField(default=0)
    """The number of attempts that failed since it was written or sent again."""
    log = models.JSONField(default=list)
    """Its attempts: `at`, `status` (0 without an answer), `ms`, `problem`. Some in the middle are left out of a long log."""
    ended_at = models.DateTimeField(null=True)
    """When it was delivered, or given up."""
    delivered = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["endpoint", "id"], name="webhook_message_by_endpoint"),
            models.Index(
                fields=["endpoint", "subject", "id"], condition=Q(ended_at__isnull=True), name="webhook_message_to_send"
            ),
            models.Index(
                fields=["endpoint", "id"],
                condition=Q(ended_at__isnull=False, delivered=False),
                name="webhook_message_given_up",
            ),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="webhook_message_ended"),
        ]


class ImportProblem(models.Model):
    """A problem or note of an import's file (row 0) or of one of its rows."""

    of = models.ForeignKey(Import, CASCADE, related_name="+")
    row = models.PositiveIntegerField()
    external_id = models.CharField(max_length=255)
    note = models.BooleanField()
    code = models.CharField(max_length=40)
    column = models.CharField(max_length=40)
    value = models.TextField()
    detail = models.TextField()
    hint = models.TextField()


class ImportDraft(models.Model):
    """A fix of one cell, typed on the page of a plan and not planned yet (`imports.drafts`).

    The fixes of a cell are kept in their order, so that the last one can be undone.
    """

    of = models.ForeignKey(Import, CASCADE, related_name="+")
    row = models.PositiveIntegerField()
    column = models.CharField(max_length=40)
    text = models.TextField()
    actor = models.CharField(max_length=255)
    """The external ID of the user who typed it."""
    at = models.DateTimeField()
    current = models.BooleanField(default=True)
    """Whether it is the latest fix of its cell."""
    as_planned = models.BooleanField(default=False)
    """Whether it gives the cell the text back that the plan has, so that nothing is left to plan."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["of", "row", "column"], condition=Q(current=True), name="draft_current")
        ]


class Event(models.Model):
    """An event of the audit trail. Append-only; `changes` is JSON text, field → [before, after] (rule A6).

    Its link's seal guards its references, not the database. No row that it refers to is ever deleted, and on PostgreSQL
    a foreign key check for each event took longer than writing the events.
    """

    agency = models.ForeignKey(Agency, DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    at = models.DateTimeField()
    actor = models.CharField(max_length=255)
    through = models.CharField(max_length=10)
    address = models.CharField(max_length=64, default="")
    kind = models.CharField(max_length=40)
    subject = models.ForeignKey(User, DO_NOTHING, null=True, related_name="+", db_constraint=False)
    subject_external_id = models.CharField(max_length=255, default="")
    of = models.ForeignKey(Import, DO_NOTHING, null=True, related_name="+", db_constraint=False)
    row = models.PositiveIntegerField(null=True)
    changes = models.TextField(default="{}")
    agent = models.CharField(max_length=255, default="", db_default="")
    """The program that the actor used, as it names itself."""
    outcome = models.CharField(max_length=10, default="", db_default="")
    """ "" for an act that was done, else `refused` or `failed`."""
    session = models.CharField(max_length=16, default="", db_default="")
    """The page session of the event, as a random name: the same for all events of one session (AU-3)."""
    request = models.CharField(max_length=40, default="", db_default="")
    """The number of the request, as in the log."""


class TrailLink(models.Model):
    """A link of an agency's hash chain: the events `first` to `last`; its digest also covers the link before."""

    agency = models.ForeignKey(Agency, DO_NOTHING, related_name="+", db_index=False)
    number = models.PositiveBigIntegerField()
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=64)
    key = models.CharField(max_length=16, default="", db_default="")
    """The name of the secret key that sealed it (`audit.hash_chain`); "" for a link from before trails had keys."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agency", "number"], name="trail_link_once"),
            models.CheckConstraint(condition=Q(first__lte=F("last")), name="trail_link_forward"),
        ]


class Passage(models.Model):
    """Consecutive events of one link that differ only in the user they are about (`audit.runs`): `first` to `last`.

    The indexes for browsing the trail are here: an index on events would slow every import.
    """

    agency = models.ForeignKey(Agency, DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    at = models.DateTimeField()
    actor = models.CharField(max_length=255)
    through = models.CharField(max_length=10)
    kind = models.CharField(max_length=40)
    outcome = models.CharField(max_length=10)
    of = models.ForeignKey(Import, DO_NOTHING, null=True, related_name="+", db_index=False, db_constraint=False)
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "first"], name="passage_once")]
        indexes = [
            models.Index(fields=["agency", "at", "first"], name="passage_by_time"),
            models.Index(fields=["agency", "actor", "at", "first"], name="passage_by_actor"),
            models.Index(fields=["agency", "kind", "at", "first"], name="passage_by_kind"),
            models.Index(fields=["agency", "through", "at", "first"], name="passage_by_through"),
            models.Index(
                fields=["agency", "outcome", "at", "first"], condition=~Q(outcome=""), name="passage_not_done"
            ),
            models.Index(fields=["of"], condition=Q(of__isnull=False), name="passage_of_import"),
        ]


class TrailEnd(models.Model):
    """A chain head of an agency's trail: the number of links at the time, and the digest of the last.

    Each link adds one, so the current head is the one with the most links, and no row of the trail is ever changed.
    """

    agency = models.ForeignKey(Agency, DO_NOTHING, related_name="+", db_index=False)
    links = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "links"], name="trail_end_once")]


class MovedTrail(models.Model):
    """The links of an agency's trail that another installation sealed, before the agency moved here (`audit.moved_trails`).

    They are kept as they were sealed, and verify with what they were sealed with: its key, and the ids that rows had there.
    """

    agency = models.ForeignKey(Agency, DO_NOTHING, related_name="+", db_index=False)
    until = models.PositiveBigIntegerField()
    """The number of the last of these links. The first follows those of an earlier installation."""
    keys = models.JSONField(default=list)
    """The keys of that installation's trails: each with its `name` and the sealed `secret`."""
    agency_there = models.BigIntegerField()
    """The id that the agency had there."""
    events = models.BigIntegerField()
    """The number that was added to the id of each event since; the same for users and imports."""
    users = models.BigIntegerField()
    imports = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "until"], name="moved_trail_once")]


class Mail(models.Model):
    """An email to send: written in the transaction of the change that it reports, and sent after it (rule D8)."""

    agency = models.ForeignKey(Agency, CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(User, DO_NOTHING, null=True, related_name="+")
    """The user that it goes to; null for an address that a feed notifies."""
    kind = models.CharField(max_length=20)
    """The kind of mail: one of those that `accounts.mails` has texts for."""
    to = models.CharField(max_length=254)
    of = models.ForeignKey(Import, SET_NULL, null=True, related_name="+", db_index=False)
    notice = models.ForeignKey(Notice, SET_NULL, null=True, related_name="+", db_index=False)
    """The notice that it brings."""
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    problem = models.TextField(default="")
    worker = models.CharField(max_length=64, default="", db_default="")
    """The worker that is sending it, until `lease_until`."""
    lease_until = models.DateTimeField(null=True)
    handed_at = models.DateTimeField(null=True)
    """When the last attempt began to hand it over. If the result is unknown, the email is not sent again."""
    ended_at = models.DateTimeField(null=True)
    """When the email reached its final state: it was sent, or `problem` holds the reason why not."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["notice", "user"], condition=Q(notice__isnull=False), name="mail_of_notice_once"
            ),
            models.UniqueConstraint(
                fields=["notice", "to"],
                condition=Q(notice__isnull=False, user__isnull=True) & ~Q(to=""),
                name="mail_to_address_once",
            ),
        ]
        indexes = [
            models.Index(fields=["agency", "id"], condition=Q(ended_at__isnull=True), name="mail_to_send"),
            models.Index(
                fields=["agency", "id"],
                condition=Q(ended_at__isnull=False, sent_at__isnull=True) & ~Q(problem=""),
                name="mail_failed",
            ),
            models.Index(fields=["handed_at"], condition=Q(handed_at__isnull=False), name="mail_handed"),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False) & ~Q(to=""), name="mail_to_forget"),
        ]
