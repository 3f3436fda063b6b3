"""The columns of files: their names, which are required, and what their cells may hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the import file.

    - `heading`: its name in the file.
    - `required`: every file must have the column, and none of its cells may be blank.
    - `unique`: no two users of an agency may share a value.
    - `longest`: the maximum number of characters in a cell.
    - `plain`: its cells are read as text, even if another column of the same name has values of its own.
    """

    heading: str
    required: bool
    about: str
    unique: bool = False
    longest: int = 255
    plain: bool = False

    @property
    def field(self) -> str:
        """Return the name of the column in tables and frames: `badge_number` for `BADGE_NUMBER`."""
        return self.heading.lower()

    @property
    def key(self) -> str:
        """Return the name of the column that holds the comparison key (unique columns except EXTERNAL_ID)."""
        return f"{self.field}_key"


EXTERNAL_ID = Column(
    "EXTERNAL_ID",
    True,
    "The ID that your organization assigns to the user. It identifies the user of a row. A file of users never changes it.",
    unique=True,
)
EMAIL = Column(
    "EMAIL", True, "The user's email address. No two users share one, regardless of case.", unique=True, longest=254
)
BADGE_NUMBER = Column(
    "BADGE_NUMBER", True, "The user's badge number in other systems. No two users share one.", unique=True
)
FIRST_NAME = Column("FIRST_NAME", True, "The user's first name.")
LAST_NAME = Column("LAST_NAME", True, "The user's last name.")
STATUS = Column("STATUS", True, "Active or Inactive. Only active users can register and sign in.")
USERNAME = Column("USERNAME", True, "The name that the user signs in with. No two users share one.", unique=True)
ROLE = Column("ROLE", True, "The name of one of the agency's roles.")
SUPERVISOR_EMAIL = Column(
    "SUPERVISOR_EMAIL",
    False,
    "The email address of the user's direct supervisor. Their row can be anywhere in the file.",
)
LOCATION = Column("LOCATION", False, "The place where the user works. Musterbook keeps the text as it is.")
RANK = Column("RANK", False, "The name or abbreviation of one of the agency's ranks.")
EVIDENCE_GROUP_EXT_ID = Column("EVIDENCE_GROUP_EXT_ID", False, "The external ID of one of the agency's active groups.")
PHONE = Column("PHONE", False, "The user's phone number, starting with the country code, such as +1 202 555 0143.")

COLUMNS: tuple[Column, ...] = (
    EXTERNAL_ID,
    EMAIL,
    BADGE_NUMBER,
    FIRST_NAME,
    LAST_NAME,
    STATUS,
    USERNAME,
    ROLE,
    SUPERVISOR_EMAIL,
    LOCATION,
    RANK,
    EVIDENCE_GROUP_EXT_ID,
    PHONE,
)
BY_HEADING = {column.heading: column for column in COLUMNS}
REQUIRED = tuple(column for column in COLUMNS if column.required)
OPTIONAL = tuple(column for column in COLUMNS if not column.required)
KEYED = (EMAIL, BADGE_NUMBER, USERNAME)
"""The unique columns that are compared by a key (rule M4). EXTERNAL_ID is compared exactly."""

NEW_EXTERNAL_ID = Column(
    "NEW_EXTERNAL_ID", True, "The external ID that the user of EXTERNAL_ID has from now on.", unique=True
)

GROUP_ID = Column(
    "EXTERNAL_ID", True, "The external ID of the group. It identifies the group of a row, and never changes."
)
GROUP_NAME = Column("NAME", True, "The name of the group, 3 to 128 characters.")
GROUP_STATUS = Column(
    "STATUS", False, "Active or Deleted. Files cannot add users to a deleted group. Its members stay in it.", plain=True
)
PARENT_EXT_ID = Column("PARENT_EXT_ID", False, "The external ID of the group that this group is part of. Blank: none.")
GROUP_EXT_ID = Column("GROUP_EXT_ID", True, "The external ID of the group.")
MEMBER_TYPE = Column("MEMBER_TYPE", True, "User or Group.")
MEMBER_EXT_ID = Column("MEMBER_EXT_ID", True, "The external ID of the user or group.")
RELATION = Column("RELATION", True, "Member or Monitor.")
ROLE_NAME = Column("NAME", True, "The name of the role. It identifies the role of a row, regardless of case.")
PERMISSIONS = Column(
    "PERMISSIONS", False, "The permissions that the role has, separated by semicolons. Blank: none.", longest=1000
)
SECOND_FACTOR = Column(
    "SECOND_FACTOR", False, "Yes or No: whether users of the role must sign in with a second factor."
)
RANK_NAME = Column("NAME", True, "The name of the rank. It identifies the rank of a row, regardless of case.")
ABBREVIATION = Column("ABBREVIATION", False, "The abbreviation of the rank, which files can use in place of the name.")
ORDER = Column("ORDER", False, "The place of the rank among all ranks: 1 for the highest. Blank: it keeps its place.")

ALL = (
    *COLUMNS, NEW_EXTERNAL_ID, GROUP_NAME, PARENT_EXT_ID, GROUP_EXT_ID, MEMBER_TYPE, MEMBER_EXT_ID, RELATION, PERMISSIONS,
    SECOND_FACTOR, ABBREVIATION, ORDER,
)  # fmt: skip
"""Every column that any kind of file can have, each heading once."""
HEADINGS = frozenset(column.heading for column in ALL)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one kind of file.

    - `name`: its name in the options of reading.
    - `with_default`: the headings of required columns that a file may lack, because new users have a default (F14).
    """

    name: str
    columns: tuple[Column, ...]
    with_default: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[Column, ...]:
        """Return the columns that every file of this kind has."""
        return tuple(column for column in self.columns if self._is_required(column))

    @property
    def optional(self) -> tuple[Column, ...]:
        """Return the columns that a file of this kind may have."""
        return tuple(column for column in self.columns if not self._is_required(column))

    def _is_required(self, column: Column) -> bool:
        return column.required and column.heading not in self.with_default

    @property
    def by_heading(self) -> dict[str, Column]:
        """Return the columns by their headings."""
        return {column.heading: column for column in self.columns}


USERS = Layout("users", COLUMNS)
"""A file of users: an import."""
REKEYS = Layout("rekeys", (EXTERNAL_ID, NEW_EXTERNAL_ID))
"""A file of new external IDs (rule M14)."""
GROUPS = Layout("groups", (GROUP_ID, GROUP_NAME, GROUP_STATUS, PARENT_EXT_ID))
"""A file of groups."""
MEMBERS = Layout("members", (GROUP_EXT_ID, MEMBER_TYPE, MEMBER_EXT_ID, RELATION))
"""A file of the members and monitors of groups."""
ROLES = Layout("roles", (ROLE_NAME, PERMISSIONS, SECOND_FACTOR))
"""A file of roles."""
RANKS = Layout("ranks", (RANK_NAME, ABBREVIATION, ORDER))
"""A file of ranks."""
ENTRIES = (GROUPS, MEMBERS, ROLES, RANKS)
"""The files of groups, their members, roles and ranks: they change what users can have, and no other value of a user."""

EXAMPLES: tuple[tuple[str, ...], ...] = (
    ("EXAMPLE-1", "alma.reyes@example.invalid", "9001", "Alma", "Reyes", "Active", "alma.reyes", "Admin",
     "", "Headquarters", "", "", "+12025550101"),
    ("EXAMPLE-2", "bruno.keller@example.invalid", "9002", "Bruno", "Keller", "Active", "bruno.keller", "Officer",
     "alma.reyes@example.invalid", "Headquarters", "", "", "+12025550102"),
    ("EXAMPLE-3", "chiara.okafor@example.invalid", "9003", "Chiara", "Okafor", "Active", "chiara.okafor", "Officer",
     "bruno.keller@example.invalid", "North station", "", "", ""),
    ("EXAMPLE-4", "dev.lindqvist@example.invalid", "9004", "Dev", "Lindqvist", "Inactive", "dev.lindqvist", "Officer",
     "bruno.keller@example.invalid", "North station", "", "", ""),
)  # fmt: skip
"""The four example rows of the example file, in the order of COLUMNS (rule F6)."""
LAYOUTS = {layout.name: layout for layout in (USERS, REKEYS, *ENTRIES)}
"""Name → layout."""
