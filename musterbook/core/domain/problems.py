"""Problems and notes, and the catalogue of every code with its sentence and its remedy."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

import polars as pl


class About(StrEnum):
    """The subject of a code."""

    FILE = "file"
    """A problem of the whole file: the file is refused."""
    ROW = "row"
    """A problem of one row: the row changes nothing."""
    NOTE = "note"
    """A note: it informs, and prevents nothing."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the catalogue.

    The problem fills in `{column}`, `{value}`, `{detail}` and `{hint}`.
    """

    code: str
    about: About
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem or note of a file or row.

    `row` is the row number that a spreadsheet shows (0: the whole file). `detail` and `hint` hold what the sentence and
    the remedy of the catalogue need in addition to column and value.
    """

    code: str
    row: int = 0
    column: str = ""
    value: str = ""
    detail: str = ""
    hint: str = ""

    @property
    def message(self) -> str:
        """Return the sentence that describes the problem."""
        return _filled(CATALOGUE[self.code].sentence, self)

    @property
    def remedy(self) -> str:
        """Return the sentence that explains how to correct the problem ("" if there is nothing to correct)."""
        return _filled(CATALOGUE[self.code].remedy, self)

    def as_json(self) -> dict[str, str]:
        """Return the problem as the interfaces output it: code, column, value, message, remedy."""
        return {
            "code": self.code,
            "column": self.column,
            "value": self.value,
            "message": self.message,
            "remedy": self.remedy,
        }


SCHEMA = {
    "row": pl.UInt32,
    "code": pl.String,
    "column": pl.String,
    "value": pl.String,
    "detail": pl.String,
    "hint": pl.String,
}
"""The columns of a frame of problems: one row for each `Problem`, without nulls."""


def frame(problems: Iterable[Problem] = ()) -> pl.DataFrame:
    """Return a frame of problems, with the columns of SCHEMA."""
    return pl.DataFrame([asdict(problem) for problem in problems], schema=SCHEMA)


def of(found: pl.DataFrame) -> list[Problem]:
    """Return the problems in a frame of SCHEMA, in its order."""
    return [Problem(**entry) for entry in found.select(list(SCHEMA)).iter_rows(named=True)]


_SHOWN = 80


def _filled(template: str, problem: Problem) -> str:
    value = problem.value if len(problem.value) <= _SHOWN else f"{problem.value[: _SHOWN - 1]}…"
    text = template.format(column=problem.column, value=value, detail=problem.detail, hint=problem.hint)
    return text.strip()


_KINDS = (
    # The file
    Kind("not-a-table", About.FILE, "This is {detail}, not a CSV file, an .xlsx or an .ods workbook.",
         "Open it in a spreadsheet application and save it as “CSV UTF-8” or as an Excel workbook (.xlsx). {hint}"),
    Kind("empty-file", About.FILE, "The file is empty: it has no header row.",
         "Save the file again with the column names, such as EXTERNAL_ID, in its first row."),
    Kind("encrypted-workbook", About.FILE, "The workbook is protected by a password, so it cannot be read.",
         "Save a copy without the password and upload that."),
    Kind("damaged-workbook", About.FILE, "The workbook file is damaged and cannot be read whole: {detail}.",
         "Open it in a spreadsheet application, save it as a new .xlsx workbook or as CSV, and upload that."),
    Kind("workbook-too-large", About.FILE, "The workbook would unpack to a size of {detail}, over the limit.",
         "Save the sheet as CSV and upload that."),
    Kind("expands-too-far", About.FILE,
         "While it is read, the file grows beyond {value}, which is the most for a file of its size: {detail}.",
         "Look for cells that repeat, or that stand far below or beside the table, and delete them; or save the sheet as CSV."),
    Kind("reading-stopped", About.FILE,
         "Reading the file was stopped: it took more {detail} than a file of its size may take.",
         "Save the sheet as CSV and upload that. If it is not from a source that you trust, have its sender asked."),
    Kind("infected-file", About.FILE, "The virus scanner has found something in the file: {detail}.",
         "Do not open the file. Tell whoever looks after security here, and have its sender asked."),
    Kind("not-scanned", About.FILE, "The file could not be scanned for viruses: {detail}.",
         "Import it again in a moment. If that fails as well, tell whoever runs Musterbook here."),
    Kind("too-many-files", About.FILE, "As many imported files are kept for {detail} as may be: {value}.",
         "{hint} Or have the limit raised (MUSTER_USER_FILES and the settings after it)."),
    Kind("too-many-waiting", About.FILE, "Too many files are being sent, or wait to be imported, for {detail}.",
         "Import those that wait, or wait for an hour: after that they are let go. Or have the limit raised: {hint}."),
    Kind("no-such-sheet", About.FILE, "The workbook has no visible sheet named “{value}”; it has {detail}.",
         "Name one of its sheets."),
    Kind("which-sheet", About.FILE, "Several sheets bear the required headings: {detail}.",
         "Say which sheet to import, or delete the others."),
    Kind("unknown-encoding", About.FILE, "There is no encoding named “{value}”.",
         "Name one such as utf-8, windows-1252 or utf-16."),
    Kind("unknown-delimiter", About.FILE, "“{value}” is not a delimiter.",
         "Name a comma, semicolon, tab or pipe."),
    Kind("unreadable-byte", About.FILE,
         "Row {detail} holds a byte that is not valid in the encoding {value} (column {column}).",
         "Save the file again as “CSV UTF-8”, or name the encoding it was saved in."),
    Kind("nul-byte", About.FILE, "Row {detail} holds a NUL byte: the file is damaged or is binary data.",
         "Export the file again from its source. {hint}"),
    Kind("doubtful-encoding", About.FILE,
         "The file is not UTF-8, nor can it be Windows-1252: in row {detail}, column {column}, it would be “{value}”.",
         "Save the file again as “CSV UTF-8”, or name the encoding it was saved in."),
    Kind("unclosed-quote", About.FILE, "The quotation mark opened in row {detail}, column {column}, is never closed.",
         "Close it, or remove it; inside a quoted cell a quotation mark is written twice."),
    Kind("stray-quote", About.FILE,
         "The quotation mark opened in row {detail}, column {column}, is closed in the midst of a cell: “{value}”…",
         "Inside a quoted cell a quotation mark is written twice; or the closing mark of that cell is missing."),
    Kind("no-header", About.FILE,
         "The first row is no header row: it bears no column name such as EXTERNAL_ID, but begins with {value}. {hint}",
         "Put the column names in the first row: {detail}."),
    Kind("missing-column", About.FILE, "The header row has no column {column}. {detail}",
         "Name the column {column} in the first row. {hint}"),
    Kind("duplicate-column", About.FILE, "The column {column} stands more than once in the header row ({detail}).",
         "Keep one of them."),
    Kind("misspelt-column", About.FILE, "The heading “{value}” is not a column, and looks like {column}.",
         "Write {column}, or map the heading by hand, or give it a name that begins with X_ to have it ignored."),
    Kind("blank-heading", About.FILE, "Column {detail} of the header row has no name, but holds data below.",
         "Give the column a name, or remove it."),
    Kind("unknown-mapping", About.FILE, "The mapping “{value}” cannot be followed: {detail}.",
         "Name a heading of the file and one of the thirteen columns."),
    Kind("no-rows", About.FILE, "The file has a header row and no rows of data, so it cannot say who is to stay.",
         "A synchronize file lists every active user; upload one that does."),
    Kind("no-good-row", About.FILE, "No row of the file is free of problems, so it cannot say who is to stay.",
         "Mend the rows and upload the file again."),
    Kind("file-too-large", About.FILE, "The file is larger than the limit of {detail}.",
         "Split it, or have the limit raised."),
    Kind("too-many-rows", About.FILE, "The file has more rows than the limit of {detail}.",
         "Split it, or have the limit raised."),
    Kind("too-many-columns", About.FILE, "Row {detail} has more than {value} cells.",
         "Delete the columns that are not needed, and look for missing line ends or a stray delimiter."),
    Kind("not-strict", About.FILE, "In strict mode nothing is written while any row has a problem: {detail}.",
         "Mend the rows, or import without strict mode."),
    Kind("too-many-problems", About.FILE, "The rows of the file have more than {value} problems. {detail}",
         "Look for what is wrong in most rows, such as columns in another order, correct it, and import the file again."),
    Kind("plan-changed", About.FILE, "The directory has changed since the plan was made, and so has the plan.",
         "Look at the new plan, then apply that."),
    # A row
    Kind("cell-count", About.ROW, "The row has {value} cells, the header row has {detail}.",
         "Look for a missing or a stray delimiter or quotation mark; cells may stand in the wrong columns."),
    Kind("cell-too-long", About.ROW, "The cell in {column} holds {detail} characters, over the limit for any cell.",
         "Look for a missing quotation mark, or shorten the cell."),
    Kind("no-result", About.ROW, "The cell in {column} holds a formula whose result is not kept in the file.",
         "Open the workbook, let it calculate, save it; or paste the value instead of the formula."),
    Kind("number-too-long", About.ROW,
         "{column} is {value}, a number of more than 15 digits: a spreadsheet keeps only the first 15.",
         "Format the column as text and enter the value again."),
    Kind("required", About.ROW, "{column} is blank.", "Every row needs a value there."),
    Kind("too-long", About.ROW, "{column} has {detail} characters.", "Shorten it to at most {hint}."),
    Kind("illegal-character", About.ROW, "{column} holds a character that is not allowed: {detail}.",
         "Delete that character, or type the value again."),
    Kind("spreadsheet-damage", About.ROW, "{column} is “{value}”: {detail}.",
         "Enter the value again in a column that is formatted as text."),
    Kind("invalid-email", About.ROW, "“{value}” is not an e-mail address. {detail}",
         "Write it like name@agency.example."),
    Kind("invalid-status", About.ROW, "“{value}” is not a status.", "Write Active or Inactive, in any case."),
    Kind("unknown-role", About.ROW, "There is no role “{value}”.", "Use one of the agency's roles. {hint}"),
    Kind("unknown-rank", About.ROW, "There is no rank “{value}”.", "Use one of the agency's ranks. {hint}"),
    Kind("unknown-group", About.ROW, "There is no group with the external id “{value}”.",
         "Use the external id of one of the agency's groups. {hint}"),
    Kind("inactive-group", About.ROW, "The group “{value}” is not active.", "Name an active group, or activate it."),
    Kind("invalid-phone", About.ROW, "“{value}” is not a phone number with a country code. {detail}",
         "Write it like +1 202 555 0143."),
    Kind("duplicate-in-file", About.ROW, "{column} “{value}” is also asked for in row {detail}.",
         "Keep it in one row alone."),
    Kind("taken", About.ROW, "{column} “{value}” belongs to {detail}.", "Use another value, or change theirs too. {hint}"),
    Kind("resting-name", About.ROW, "{column} “{value}” was another user's until not long ago.",
         "Use another value. The agency's settings say how long a name rests before another user can have it."),
    Kind("above-your-role", About.ROW, "{detail}", "Ask somebody whose role has those permissions."),
    Kind("registered-address", About.ROW,
         "This changes the email address of a user who has registered, and your role does not have the permission {detail}.",
         "Ask a user who has this permission to make the change: a new password can be requested by that address."),
    Kind("own-account", About.ROW, "This would {detail} your own account.", "Ask another administrator to do it."),
    Kind("last-administrator", About.ROW, "The row would leave the agency without an active administrator.",
         "Make somebody else an administrator, and let them register, first."),
    Kind("invalid-last-day", About.ROW, "“{value}” is not a day from today on.",
         "Write it like 2026-12-31. To end access at once, deactivate the user."),
    Kind("inactive-user", About.ROW, "The user is Inactive.", "Reactivate them first."),
    Kind("has-registered", About.ROW, "The user has registered already.",
         "Reset their credentials instead: that lets them choose a new password."),
    Kind("not-registered", About.ROW, "The user has not registered yet, so there is nothing to reset.",
         "Invite them again instead."),
    Kind("changed-since", About.ROW, "{column} has been changed since, to “{value}”, and stays as it is.",
         "Change it by hand if it should go back."),
    # Notes
    Kind("unknown-supervisor", About.NOTE, "SUPERVISOR_EMAIL “{value}” is nobody's address. The supervisor stays {detail}.",
         "Correct the address, or add that user."),
    Kind("own-supervisor", About.NOTE, "SUPERVISOR_EMAIL is the user's own address. The supervisor stays {detail}.",
         "Name somebody else, or leave it blank."),
    Kind("supervisor-circle", About.NOTE, "The supervisors would form a circle: {hint}. The supervisor stays {detail}.",
         "Correct one of those rows."),
    Kind("inactive-supervisor", About.NOTE, "The supervisor “{value}” is Inactive.", ""),
    Kind("replaced-supervisor-address", About.NOTE,
         "SUPERVISOR_EMAIL “{value}” is an address that this file replaces; it was read as the same person, {detail}.",
         "Write the new address."),
    Kind("inactive-group-kept", About.NOTE, "The group “{value}” is no longer active; the user stays in it.", ""),
    Kind("sign-on-address", About.NOTE,
         "The user signs in by a provider that knows them as “{detail}”; from now on it must know them as “{value}”.",
         "Change the address there as well."),
    Kind("read-as-windows-1252", About.NOTE, "The file is not UTF-8; it was read as Windows-1252. {detail}",
         "If the letters are wrong, save the file as “CSV UTF-8” or name its encoding."),
    Kind("ignored-columns", About.NOTE, "These headings are no columns and were ignored: {detail}.",
         "Map them by hand if they should be read."),
    Kind("example-rows", About.NOTE, "The example rows of the example file were skipped (row {detail}).", ""),
    Kind("changes-left", About.NOTE, "{column} has been changed since, to “{value}”, and stays as it is.", ""),
    Kind("other-sheets", About.NOTE, "Read the sheet “{value}”; the other sheets were not read: {detail}.", ""),
)  # fmt: skip

INFECTED = "infected-file"
SUSPECT = frozenset({"expands-too-far", "reading-stopped", "workbook-too-large", INFECTED, "not-scanned"})
"""The refusal codes of files that may be malicious. The audit trail records these refusals."""

CATALOGUE: dict[str, Kind] = {kind.code: kind for kind in _KINDS}
