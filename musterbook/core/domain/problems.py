"""Problems and notes, and the catalog of every code with its sentence, its remedy and the names of its parameters."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Self, TypeVar

import polars as pl

from musterbook.core.domain import phrases, texts


class Level(StrEnum):
    """The subject of a code."""

    FILE = "file"
    """A problem of the whole file: the file is refused."""
    ROW = "row"
    """A problem of one row: the row changes nothing."""
    NOTE = "note"
    """A note: it informs, and prevents nothing."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the catalog.

    The problem fills in `{column}`, `{value}` and the parameters that `params` names.
    """

    code: str
    about: Level
    sentence: str
    remedy: str
    params: tuple[str, ...] = ()
    """The names of the parameters that a problem keeps as `detail` and `hint`, in this order ("": not used)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem or note of a file or row.

    `row` is the row number that a spreadsheet shows (0: the whole file). `detail` and `hint` hold the parameters of the
    kind. Create a problem with `of`, which has the parameters by name.
    """

    code: str
    row: int = 0
    column: str = ""
    value: str = ""
    detail: str = ""
    hint: str = ""

    @classmethod
    def of(cls, code: str, /, row: int = 0, column: str = "", value: str = "", **params: str) -> Self:
        """Return a problem with exactly the parameters of its kind. Raise TypeError for others."""
        return cls(code, row, column, value, *fill_slots(code, params, ""))

    @property
    def releasable(self) -> bool:
        """Return whether the problem is a badge of an Inactive user, which can be released (M13)."""
        return self.code == "taken" and RELEASE_ADVICE in self.hint

    @property
    def message(self) -> str:
        """Return the sentence that describes the problem, in the language of the reader."""
        return _fill_template(CATALOG[self.code].sentence, self)

    @property
    def remedy(self) -> str:
        """Return the sentence that explains how to correct the problem, in the language of the reader ("": there is none)."""
        return _fill_template(CATALOG[self.code].remedy, self)

    def describe(self, sentence: str) -> str:
        """Return another sentence about the problem, with its parameters, in the language of the reader."""
        return _fill_template(sentence, self)

    def as_json(self) -> dict[str, str]:
        """Return the problem as programs get it, in English: code, column, value, message, remedy."""
        message, remedy = self.in_english()
        return {"code": self.code, "column": self.column, "value": self.value, "message": message, "remedy": remedy}

    def in_english(self) -> tuple[str, str]:
        """Return the sentence and its remedy in English, as they are stored and written into files."""
        with texts.reading(texts.ENGLISH):
            return self.message, self.remedy

    def for_programs(self) -> tuple[str, str]:
        """Return the same for a program that changes one user, and sends no file."""
        return replace(self, hint=self.hint.replace(RELEASE_ADVICE, PROGRAM_RELEASE_ADVICE)).in_english()


RELEASE_ADVICE = "They are Inactive: release the badge, or import the file with --release-badges."
"""The part of the advice on a badge that can be released (M13)."""
PAGE_RELEASE_ADVICE = "That user is Inactive, so the badge can be given to a user of the file."
"""The same on a page, which has a button for it."""
PROGRAM_RELEASE_ADVICE = (
    "That user is Inactive: give them another badge, or allow the release of badges in the settings of the agency."
)
"""The same for a program."""
_WORDED = frozenset({"no-header", "headings-elsewhere", "too-many-files"})
"""The codes whose value is words of ours, not a value of the file."""

SCHEMA = {
    "row": pl.UInt32,
    "code": pl.String,
    "column": pl.String,
    "value": pl.String,
    "detail": pl.String,
    "hint": pl.String,
}
"""The columns of a frame of problems: one row for each `Problem`, without nulls."""
_NONE = pl.DataFrame(schema=SCHEMA)


def build_frame(problems: Iterable[Problem] = ()) -> pl.DataFrame:
    """Return a frame of problems, with the columns of SCHEMA."""
    entries = [asdict(problem) for problem in problems]
    return pl.DataFrame(entries, schema=SCHEMA) if entries else _NONE


def flag_rows(
    rows: pl.DataFrame, code: str, /, *, column: str | pl.Expr = "", value: str | pl.Expr = "", **params: str | pl.Expr
) -> pl.DataFrame:
    """Return a frame with the same problem for each of the rows, with exactly the parameters of its kind.

    A text is the same for all rows. An expression is evaluated on `rows`. Raise TypeError for other parameters.
    """
    detail, hint = fill_slots(code, params, "")
    if rows.is_empty():
        return _NONE
    texts = {"code": code, "column": column, "value": value, "detail": detail, "hint": hint}
    return rows.select("row", **{name: pl.lit(text) if isinstance(text, str) else text for name, text in texts.items()})


_T = TypeVar("_T")


def fill_slots(code: str, params: Mapping[str, _T], blank: _T) -> tuple[_T, _T]:
    """Return the parameters of a kind as `detail` and `hint`, which is `blank` if the kind does not use it.

    Raise TypeError if they are not exactly the parameters of the kind.
    """
    names = CATALOG[code].params
    if params.keys() != {*filter(None, names)}:
        raise TypeError(f"The parameters of {code} are {names}, not {tuple(params)}")
    detail, hint = (params.get(name, blank) for name in (*names, "", "")[:2])
    return detail, hint


def list_problems(rows: pl.DataFrame) -> list[Problem]:
    """Return the problems in a frame of SCHEMA, in its order."""
    return [Problem(**entry) for entry in rows.select(list(SCHEMA)).iter_rows(named=True)]


_MAX_VALUE_LENGTH = 80


def _fill_template(template: str, problem: Problem) -> str:
    value = problem.value if len(problem.value) <= _MAX_VALUE_LENGTH else f"{problem.value[: _MAX_VALUE_LENGTH - 1]}…"
    given = (problem.detail, problem.hint)
    if texts.get_language() is not texts.ENGLISH:
        template = texts.translate(template)
        given = (phrases.translate(problem.detail), phrases.translate(problem.hint))
        value = phrases.translate(value) if problem.code in _WORDED else value
    params = dict(zip(CATALOG[problem.code].params, given, strict=False))
    return template.format_map({"column": problem.column, "value": value} | params).strip()


_KINDS = (
    # The file
    Kind("not-a-table", Level.FILE, "This is {type}, not a CSV file or an .xlsx or .ods workbook.",
         "{advice} Open it in a spreadsheet application and save it as “CSV UTF-8” or as an Excel workbook (.xlsx).",
         params=("type", "advice")),
    Kind("empty-file", Level.FILE, "The file is empty. It has no header row.",
         "Save the file again with the column names, such as EXTERNAL_ID, in the first row."),
    Kind("encrypted-workbook", Level.FILE, "The workbook is protected by a password and cannot be read.",
         "Save a copy without the password and upload the copy."),
    Kind("damaged-workbook", Level.FILE, "The workbook is damaged and cannot be read completely: {cause}.",
         "Open it in a spreadsheet application, save it as a new .xlsx workbook or as CSV, and upload the new file.",
         params=("cause",)),
    Kind("workbook-too-large", Level.FILE, "The workbook would unpack to {size}, which is over the limit.",
         "Save the sheet as CSV and upload the CSV file.", params=("size",)),
    Kind("expands-too-far", Level.FILE,
         "The file needs more than {value} of memory, the limit for a file of its size. The cause is {cause}.",
         "Delete repeated cells and cells that are far from the table, or save the sheet as CSV.", params=("cause",)),
    Kind("reading-stopped", Level.FILE,
         "Reading the file was stopped because it took more {resource} than a file of its size may use.",
         "Save the sheet as CSV and upload the CSV file. If you do not trust its source, ask the sender about the file.",
         params=("resource",)),
    Kind("infected-file", Level.FILE, "The virus scanner found something in the file: {finding}.",
         "Do not open the file. Report it to the people who are responsible for security, and ask the sender about it.",
         params=("finding",)),
    Kind("not-scanned", Level.FILE, "The file could not be scanned for viruses: {cause}.",
         "Import the file again in a few minutes. If it fails again, ask your system administrator.", params=("cause",)),
    Kind("too-many-files", Level.FILE, "The limit for imported files that are kept for {owner} is reached: {value}.",
         "{retention} Wait until then, or ask your system administrator to raise the limit"
         " (MUSTER_USER_FILES and the settings after it).", params=("owner", "retention")),
    Kind("too-many-waiting", Level.FILE, "Too many files are being uploaded or are waiting to be imported for {owner}.",
         "Import the waiting files, or wait for an hour until they are deleted. The limit is {limit}.",
         params=("owner", "limit")),
    Kind("no-such-sheet", Level.FILE, "The workbook has no visible sheet named “{value}”. It has {sheets}.",
         "Name one of its sheets.", params=("sheets",)),
    Kind("which-sheet", Level.FILE, "More than one sheet has the required headings: {sheets}.",
         "Choose the sheet to import, or delete the others.", params=("sheets",)),
    Kind("unknown-encoding", Level.FILE, "There is no encoding named “{value}”.",
         "Use an encoding such as utf-8, windows-1252 or utf-16."),
    Kind("unknown-delimiter", Level.FILE, "“{value}” is not a delimiter.",
         "Use a comma, semicolon, tab or pipe."),
    Kind("unreadable-byte", Level.FILE,
         "Row {in_row}, column {column}, contains a byte that is not valid in the encoding {value}. {likely}",
         "Save the file again as “CSV UTF-8”, or name the encoding that it was saved in.", params=("in_row", "likely")),
    Kind("nul-byte", Level.FILE, "Row {in_row} contains a NUL byte. The file is damaged or contains binary data.",
         "Export the file again from its source. {advice}", params=("in_row", "advice")),
    Kind("doubtful-encoding", Level.FILE,
         "The file is not UTF-8, and probably not Windows-1252: row {in_row}, column {column}, would contain “{value}”."
         " {likely}",
         "Save the file again as “CSV UTF-8”, or name the encoding that it was saved in. If “{value}” is right, that is"
         " Windows-1252.", params=("in_row", "likely")),
    Kind("unclosed-quote", Level.FILE, "The quotation mark opened in row {in_row}, column {column}, is never closed.",
         "Close it or remove it. Inside a quoted cell, write a quotation mark twice.", params=("in_row",)),
    Kind("stray-quote", Level.FILE,
         "The quotation mark opened in row {in_row}, column {column}, is closed in the middle of a cell: “{value}”…",
         "Inside a quoted cell, write a quotation mark twice. Or add the closing quotation mark that is missing.",
         params=("in_row",)),
    Kind("no-header", Level.FILE,
         "The first row is not a header row. It has no column name such as EXTERNAL_ID and begins with {value}. {guess}",
         "Put the column names in the first row: {required}.", params=("required", "guess")),
    Kind("no-such-row", Level.FILE, "The file has no row {value}, so it cannot be the header row.",
         "Name the row that has the headings. The first row of the file is row 1."),
    Kind("headings-elsewhere", Level.FILE, "{place} the required headings. They were looked for in {value}.",
         "{advice}", params=("place", "advice")),
    Kind("missing-column", Level.FILE, "The header row has no column {column}. {guess}",
         "Write {column} as the heading of its column. {advice}", params=("guess", "advice")),
    Kind("duplicate-column", Level.FILE, "The header row has the column {column} more than once ({places}).",
         "Keep one of them.", params=("places",)),
    Kind("misspelt-column", Level.FILE, "The heading “{value}” is not a column. It looks like {column}.",
         "Write {column}, map the heading by hand, or give it a name that begins with X_ so that it is ignored."),
    Kind("blank-heading", Level.FILE, "Column {place} of the header row has no name, but has data below it.",
         "Give the column a name, or remove it.", params=("place",)),
    Kind("unknown-mapping", Level.FILE, "The mapping “{value}” cannot be used: {cause}.",
         "Use a heading of the file and one of the thirteen columns.", params=("cause",)),
    Kind("unknown-meaning", Level.FILE, "The mapped value “{value}” cannot be used: {cause}.",
         "Map it to one of the agency's values. {suggestion}", params=("cause", "suggestion")),
    Kind("invalid-default", Level.FILE, "The default “{value}” of {column} cannot be used. {cause}",
         "Give another default, here or in the agency's settings.", params=("cause",)),
    Kind("other-layout", Level.FILE, "The headings {headings} are those of another kind of file.",
         "Import the file on the page, or with the command, for files of that kind. Or add one of these columns: {missing}.",
         params=("headings", "missing")),
    Kind("row-count", Level.FILE, "The file has {value} data rows, not {expected} as expected.",
         "Check that the file is complete. If it is, correct the expected number of rows.", params=("expected",)),
    Kind("no-rows", Level.FILE, "The file has a header row but no data, so it does not say which users stay active.",
         "Upload a file that lists every active user. A synchronize import needs all of them."),
    Kind("no-good-row", Level.FILE, "Every row of the file has a problem, so it does not say which users stay active.",
         "Correct the rows and upload the file again."),
    Kind("file-too-large", Level.FILE, "The file is larger than the limit of {limit}.",
         "Split the file, or ask your system administrator to raise the limit.", params=("limit",)),
    Kind("too-many-rows", Level.FILE, "The file has more rows than the limit of {limit}.",
         "Split the file, or ask your system administrator to raise the limit.", params=("limit",)),
    Kind("too-many-columns", Level.FILE, "Row {in_row} has more than {value} cells.",
         "Delete the columns that you do not need, and check for missing line ends or an extra delimiter.", params=("in_row",)),
    Kind("not-strict", Level.FILE, "In strict mode, nothing is written if a row has a problem. Rows with problems: {errored}.",
         "Correct the rows, or import without strict mode.", params=("errored",)),
    Kind("too-many-problems", Level.FILE, "The rows of the file have more than {value} problems. {examples}",
         "Check for a mistake in most rows, such as columns in another order. Correct it and import the file again.",
         params=("examples",)),
    Kind("plan-changed", Level.FILE,
         "Since the plan was made, the directory, the version of Musterbook or the user who applies it has changed, and so has"
         " the plan. {difference}",
         "Check the new plan, then apply it.", params=("difference",)),
    Kind("plan-ended", Level.FILE, "In the meantime, the plan was applied, replaced or discarded.",
         "See what was done. If it is not what you want, make the plan again."),
    # A row
    Kind("cell-count", Level.ROW, "Cells in the row: {value}. Cells in the header row: {expected}.",
         "Check for a missing or extra delimiter or quotation mark. Values may be in the wrong columns.", params=("expected",)),
    Kind("cell-too-long", Level.ROW, "The cell in {column} has {length} characters, which is over the limit for a cell.",
         "Check for a missing quotation mark, or shorten the cell.", params=("length",)),
    Kind("no-result", Level.ROW, "The cell in {column} contains a formula, and the file does not contain its result.",
         "Open the workbook, let it calculate, and save it. Or paste the value instead of the formula."),
    Kind("number-too-long", Level.ROW,
         "{column} is {value}, a number of more than 15 digits. A spreadsheet keeps only the first 15.",
         "Format the column as text and enter the value again."),
    Kind("required", Level.ROW, "{column} is blank.", "Enter a value. Every row needs one."),
    Kind("too-long", Level.ROW, "{column} has {length} characters.", "Shorten it to at most {limit}.",
         params=("length", "limit")),
    Kind("illegal-character", Level.ROW, "{column} contains a character that is not allowed: {character}.",
         "Delete that character, or type the value again.", params=("character",)),
    Kind("spreadsheet-damage", Level.ROW, "{column} is “{value}”: {cause}.",
         "Format the column as text and enter the value again.", params=("cause",)),
    Kind("looks-damaged", Level.ROW, "{column} is “{value}”{was}: {cause}.",
         "Correct the cell. If this value is meant, keep it as written, or import the file with --accept looks-damaged.",
         params=("was", "cause")),
    Kind("invalid-email", Level.ROW, "“{value}” is not an email address. {reason}",
         "Write it like name@agency.example.", params=("reason",)),
    Kind("invalid-status", Level.ROW, "“{value}” is not a status.", "Use Active or Inactive (uppercase or lowercase)."),
    Kind("unknown-role", Level.ROW, "There is no role “{value}”.", "Use one of the agency's roles. {suggestion}",
         params=("", "suggestion")),
    Kind("unknown-rank", Level.ROW, "There is no rank “{value}”.", "Use one of the agency's ranks. {suggestion}",
         params=("", "suggestion")),
    Kind("unknown-group", Level.ROW, "There is no group with the external ID “{value}”.",
         "Use the external ID of one of the agency's groups. {suggestion}", params=("", "suggestion")),
    Kind("inactive-group", Level.ROW, "The group “{value}” is not active.", "Use an active group, or activate this one."),
    Kind("invalid-phone", Level.ROW, "“{value}” is not a phone number with a country code. {reason}",
         "Write it like +1 202 555 0143.", params=("reason",)),
    Kind("duplicate-in-file", Level.ROW, "{column} “{value}” is also in other rows: {in_rows}.",
         "Keep it in only one row. {advice}", params=("in_rows", "advice")),
    Kind("taken", Level.ROW, "{column} “{value}” belongs to {holder}.",
         "Use another value, or change that user's value as well. {advice}", params=("holder", "advice")),
    Kind("resting-name", Level.ROW, "{column} “{value}” belonged to another user until recently.",
         "Use another value. The agency's settings say how long a name rests before another user can have it."),
    Kind("identity-change", Level.ROW, "The account of {was} would become that of {would_be}.",
         "Check the EXTERNAL_ID. Or say who it is: the same person (--accept identity-change=same), or another person"
         " (--accept identity-change=other): then the sessions, password and second factors end, and they are invited.",
         params=("was", "would_be")),
    Kind("above-your-role", Level.ROW, "{sentence}", "Ask a user whose role has these permissions.", params=("sentence",)),
    Kind("registered-address", Level.ROW,
         "This changes the email address of a registered user, and your role does not have the permission {permission}.",
         "Ask a user who has this permission to make the change. The address can be used to request a new password.",
         params=("permission",)),
    Kind("unknown-user", Level.ROW, "There is no user with the external ID “{value}”. {advice}",
         "Write the external ID that the user has now.", params=("advice",)),
    Kind("registered-id", Level.ROW,
         "The user's identity provider knows them by their external ID, and your role does not have the permission"
         " {permission}.",
         "Ask a user who has this permission to make the change. The external ID decides who can sign in as the user.",
         params=("permission",)),
    Kind("own-account", Level.ROW, "This would {act} your own account.", "Ask another administrator to do it.", params=("act",)),
    Kind("last-administrator", Level.ROW, "The row would leave the agency without an active administrator.",
         "First, make another user an administrator, and let them register."),
    Kind("invalid-last-day", Level.ROW, "“{value}” is not a date, or is in the past.",
         "Write it like 2026-12-31. To end access at once, deactivate the user."),
    Kind("invalid-source", Level.ROW, "“{value}” cannot be the name of a source.",
         "Write at most {most} characters in one line, such as hr-sworn.", params=("most",)),
    Kind("inactive-user", Level.ROW, "The user is Inactive.", "Reactivate the user first."),
    Kind("has-registered", Level.ROW, "The user is already registered.",
         "Reset their credentials instead, so that they can choose a new password."),
    Kind("not-registered", Level.ROW, "The user has not registered yet, so there is nothing to reset.",
         "Invite them again instead."),
    Kind("changed-since", Level.ROW, "{column} was changed later, to “{value}”, and stays as it is.",
         "Change it by hand if you want the earlier value."),
    # A row of a file of groups, members, roles or ranks
    Kind("name-length", Level.ROW, "The length of {column} is {length}.", "Use 3 to 128 characters.", params=("length",)),
    Kind("invalid-choice", Level.ROW, "“{value}” cannot be used in {column}.", "Write one of these: {choices}. {advice}",
         params=("choices", "advice")),
    Kind("no-such-group", Level.ROW, "There is no group with the external ID “{value}”.",
         "Use the external ID of one of the agency's groups, or add the group first. {advice}", params=("", "advice")),
    Kind("group-circle", Level.ROW, "The group would be part of itself: {path}.", "Use another group, or leave it blank.",
         params=("path",)),
    Kind("two-groups", Level.ROW, "“{value}” is made a member of several groups (rows: {in_rows}).",
         "Keep one of these rows. A user or group can be a member of one group only.", params=("in_rows",)),
    Kind("lacks-permission", Level.ROW,
         "This changes the group of a user, and your role does not have the permission {permission}.",
         "Ask a user who has this permission to import the row.", params=("permission",)),
    Kind("unknown-permission", Level.ROW, "There is no permission “{value}”.",
         "Use the names of permissions, separated by semicolons. {advice}", params=("", "advice")),
    Kind("foreign-permission", Level.ROW,
         "You can only give, take away or keep in a changed role the permissions that your own role has. It does not have:"
         " {permissions}.", "Ask a user whose role has these permissions.", params=("permissions",)),
    Kind("own-role", Level.ROW, "This is your own role, and you would lose: {permissions}.",
         "Ask a user with another role to import the row.", params=("permissions",)),
    Kind("fixed-role", Level.ROW, "The role “{role}” always has every permission.", "Leave its permissions blank.",
         params=("role",)),
    Kind("invalid-order", Level.ROW, "“{value}” is not a place in an order.",
         "Write a whole number, 1 for the highest rank, or leave it blank."),
    Kind("rank-taken", Level.ROW, "{column} “{value}” is the name or abbreviation of the rank “{rank}” as well.",
         "Use another one. Files name a rank by its name or its abbreviation.", params=("rank",)),
    Kind("entry-in-use", Level.ROW, "“{value}” is in use, so it is not deleted.",
         "Give its users another one, then delete it by hand."),
    # Notes
    Kind("members-kept", Level.NOTE,
         "The file does not list all members of its groups. These members stay: {value}, because {cause}.",
         "If they should leave, correct the file, or change their group by hand.", params=("cause",)),
    Kind("unknown-supervisor", Level.NOTE,
         "No user has the email address “{value}”. The supervisor stays {kept}.",
         "Correct the address, or add that user.", params=("kept",)),
    Kind("own-supervisor", Level.NOTE, "SUPERVISOR_EMAIL is the user's own address. The supervisor stays {kept}.",
         "Enter another user's address, or leave it blank.", params=("kept",)),
    Kind("supervisor-circle", Level.NOTE, "The supervisors would form a circle: {path}. The supervisor stays {kept}.",
         "Correct one of those rows.", params=("kept", "path")),
    Kind("inactive-supervisor", Level.NOTE, "The supervisor “{value}” is Inactive.", ""),
    Kind("replaced-supervisor-address", Level.NOTE,
         "SUPERVISOR_EMAIL “{value}” is a former address. It was read as the same person, {person}.",
         "Write the new address.", params=("person",)),
    Kind("address-changed-hands", Level.NOTE,
         "SUPERVISOR_EMAIL “{value}” passed from {people}, so it is not clear who is meant. The supervisor stays {kept}.",
         "Write the present address of the first. If you mean the second, set the supervisor on the user's page.",
         params=("people", "kept")),
    Kind("badge-released", Level.NOTE,
         "BADGE_NUMBER “{value}” was the badge of {holder}, who is Inactive. Their badge becomes “{becomes}”.", "",
         params=("holder", "becomes")),
    Kind("inactive-group-kept", Level.NOTE, "The group “{value}” is no longer active. The user stays in it.", ""),
    Kind("not-by-files", Level.NOTE, "Files do not change this user, so the row was left out.",
         "Change the user by hand, or remove the mark “not changed by files” from the user."),
    Kind("other-source", Level.NOTE, "The user belongs to the source “{value}”, and this file changes them.",
         "If the user has moved, set the source of the user. If both sources list the user, leave the row out of one."),
    Kind("sign-on-address", Level.NOTE,
         "The user's identity provider identifies them as “{known_as}”. From now on, it must identify them as “{value}”.",
         "Change the address at the provider as well.", params=("known_as",)),
    Kind("sign-on-id", Level.NOTE,
         "The user's identity provider knows them as “{known_as}”. From now on, it must know them as “{value}”.",
         "Change the ID at the provider as well. If the user cannot sign in then, release their link to the provider.",
         params=("known_as",)),
    Kind("already-changed", Level.NOTE,
         "This was done before: {person} has the external ID “{value}”, and had the one of this row.", "",
         params=("person",)),
    Kind("same-person", Level.NOTE, "The account of {was} becomes that of {would_be}, who is the same person.", "",
         params=("was", "would_be")),
    Kind("another-person", Level.NOTE,
         "The account of {was} becomes that of {would_be}, who is another person. All access of the former person ends.",
         "", params=("was", "would_be")),
    Kind("zeros-missing", Level.NOTE, "{column} is “{value}”, without the leading zeros that all others have.",
         "If they were lost, correct the cell and format the column as text."),
    Kind("encoding", Level.NOTE, "The file is not UTF-8. It was read as {encoding}. {sample}",
         "If letters are wrong, save the file as “CSV UTF-8” or name its encoding.", params=("encoding", "sample")),
    Kind("rows-above-header", Level.NOTE, "The header row is row {value}. The rows above it were ignored: {cells}.", "",
         params=("cells",)),
    Kind("repeated-headings", Level.NOTE, "Rows that repeat the headings were skipped (rows: {in_rows}).", "",
         params=("in_rows",)),
    Kind("repeated-row", Level.NOTE,
         "Rows that are the same as an earlier row in every cell were skipped (rows: {in_rows}).", "", params=("in_rows",)),
    Kind("trailer", Level.NOTE, "The last row, “{value}”, is not a user and was skipped. {count}", "", params=("count",)),
    Kind("cut-off", Level.NOTE, "The file ends in the middle of row {in_row}, so it was cut off.",
         "Get the whole file and import it again.", params=("in_row",)),
    Kind("no-final-line-end", Level.NOTE,
         "The last row does not end with a line ending, although the last row of the previous file did. The file may have"
         " been cut off.", "Check that the last row of the file is the last row of its source."),
    Kind("merged-cells", Level.NOTE,
         "In {column}, cells are merged (rows: {in_rows}). Only the first cell of a merge has the value. The others are blank.",
         "Unmerge the cells and fill in the value of each row.", params=("in_rows",)),
    Kind("column-fails", Level.NOTE, "{column} has a problem in {rows}.",
         "If this column of the file is something else, leave it out: map “{value}=” (to no column).", params=("rows",)),
    Kind("ignored-columns", Level.NOTE, "These headings are not columns and were ignored: {headings}.",
         "Match them to columns if you need them.", params=("headings",)),
    Kind("mapped-values", Level.NOTE,
         "Values of {column} were read as they are mapped, with the number of rows: {values}.",
         "If one is wrong, map it again, or forget it in the agency's settings.", params=("values",)),
    Kind("mapped-name", Level.NOTE,
         "The agency itself has the {column} “{value}”. It was read as “{ours}”, as it is mapped (rows: {rows}).",
         "If that is wrong, forget the mapping in the agency's settings.", params=("ours", "rows")),
    Kind("default-used", Level.NOTE, "The file has no column {column}. {users} the default “{value}”.",
         "Existing users keep what they have.", params=("users",)),
    Kind("example-rows", Level.NOTE, "The example rows of the example file were skipped (rows: {in_rows}).", "",
         params=("in_rows",)),
    Kind("changes-left", Level.NOTE, "{column} was changed later, to “{value}”, and stays as it is.", ""),
    Kind("blank-column", Level.NOTE, "{column} is blank in every row, which clears it for {users}.",
         "To keep these values, leave the column out of the file.", params=("users",)),
    Kind("most-users-change", Level.NOTE, "{column} changes for {users} of {total} users.",
         "Check that this is intended, and that the column has the right values.", params=("users", "total")),
    Kind("other-sheets", Level.NOTE, "The sheet “{value}” was read. Other sheets were not read: {others}.", "",
         params=("others",)),
)  # fmt: skip

INFECTED = "infected-file"
SUSPECT = frozenset({"expands-too-far", "reading-stopped", "workbook-too-large", INFECTED, "not-scanned"})
"""The refusal codes of files that may be malicious. The audit trail records these refusals."""

CATALOG: dict[str, Kind] = {kind.code: kind for kind in _KINDS}
