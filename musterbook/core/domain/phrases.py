"""The phrases of which the parameters of problems are made: “Did you mean {name}?”, “its leading zeros were lost”.

Problems are stored with their parameters as English text. To show one in another language, its text is compared with
these patterns. What a pattern does not fix, such as a name of the file, stays as it is. A test finds parameters that have
words and match no pattern.
"""

import re
from functools import cache

from musterbook.core.domain import texts

COUNTED = (
    "rows", "added", "updated", "unchanged", "errored", "skipped", "deactivated", "protected", "reactivated", "losing access",
    "privileges", "handovers", "cleared", "released", "marked", "identity changes", "rekeyed", "removed", "losses",
)  # fmt: skip
"""The counts of a plan, as a difference of two plans names them."""
OUTCOMES = (
    "added", "updated", "unchanged", "errored", "skipped", "deactivated", "protected", "added otherwise", "updated otherwise",
    "not concerned",
)  # fmt: skip
"""The outcomes of a user, as a difference of two plans names them."""
PHRASES = (
    # What differs in a plan from the one that was shown
    "Counts: {counts}.",
    "Users: {users}.",
    # What a person or program may have meant
    "Did you mean {name} or {other}?",
    "Did you mean {name}?",
    "Character {position} of “{value}” is {character}.",
    "An import cannot change an external ID: did you mean {id}?",
    "An import cannot change an external ID: if this is the same person, write {id}.",
    "They are Inactive: release the badge, or import the file with --release-badges.",
    "That user is Inactive, so the badge can be given to a user of the file.",
    "It is their {column}, and users sign in with either, so two users cannot share one.",
    "{person} had it before.",
    "{person}, badge {badge})",
    "{person}, Active)",
    "{person}, Inactive)",
    ", where the user has “{value}”",
    # Files and their types
    "a PNG image", "a JPEG image", "a GIF image", "a TIFF image", "an image or a sound", "a gzip archive", "a bzip2 archive",
    "an xz archive", "a zstd archive", "a 7-Zip archive", "a RAR archive", "an SQLite database", "a Parquet file",
    "a program", "an RTF document", "an Excel binary workbook (.xlsb)", "a Word document", "a PowerPoint presentation",
    "a Numbers, Pages or Keynote document", "a PDF", "an OpenDocument file", "a zip archive", "an old Office document",
    "an XML file", "a JSON file", "a damaged zip archive", "an old Excel workbook (.xls)", "an HTML page",
    "a file that macOS keeps next to another one (._…)", "the lock file of an open workbook (~$…)",
    "Extract the file first.",
    "Upload the file that has this name without “._”.",
    "Upload the workbook itself.",
    # What is wrong with a workbook
    "its archive is cut off or broken",
    "its archive is compressed in a way that no workbook is",
    "its archive has more than {number} parts",
    "it contains a document type declaration, which no workbook has",
    "an element of {part} is too long",
    "{part} has elements of more than {number} names",
    "{part} is broken",
    "more than {number} elements are nested",
    "a sheet has too many rows",
    "a sheet has too many columns",
    "it repeats its cells too many times",
    "it has no visible sheet",
    "a cell is at “{place}”",
    "a cell is at “{place}”, beyond the last column",
    "row {row} of a sheet is in the wrong place",
    "a cell of a sheet is in no row",
    "cell {place} is in a sheet twice",
    "a cell of row {row} refers to text that does not exist",
    "a cell of row {row} contains “{value}” where a number belongs",
    # What takes the memory or time of reading
    "its rows down to row {row}", "its archive", "its sheets", "its merged cells", "its styles", "its references",
    "its number formats", "the texts that its cells share", "the first rows of its sheets", "the problems of row {row}",
    "the blank rows above row {row}", "time", "memory",
    # The virus scanner
    "the scanner did not end in time",
    "the scanner ended with status {status}. {line}",
    # Limits
    "this user", "this agency", "{number} files", "{number} MB", "{number} uploads at a time",
    "Files are deleted after {days} days.",
    # Encodings
    "If it is UTF-16 without a byte order mark, name its encoding instead.",
    "{name}, the encoding that is remembered",
    "For example: {cells}.",
    "In {encoding}: {cells}.",
    # Headings
    "a blank row",
    "blank rows",
    "row {row}",
    "sheet {sheet}",
    "If a heading of the file means it, map that heading by hand.",
    "Or map the heading by hand: “{pair}”.",
    "Or let the email addresses be the usernames: map “{pair}”.",
    "{heading}: did you mean {column}?",
    "column {place}, {heading} and column {other_place}, {other}",
    "there is no column {name}",
    "the file has no heading {name}",
    "The column names seem to be in row {row}: choose it as the header row, or delete the rows above it.",
    "The file seems to use a delimiter other than comma, semicolon, tab and pipe.",
    "Another sheet, {sheet}, has",
    "Choose that sheet. Make it visible first if it is hidden, or copy it to a visible sheet.",
    "Row {row} has",
    "Rows {rows} have",
    "Row {row} seems to have",
    "Choose the header row by its number: {rows}.",
    # Values that are mapped, and defaults
    "there is no status “{value}”",
    "there is no role “{value}”",
    "there is no rank “{value}”",
    "there is no group with the external ID “{value}”",
    "{column} cannot be blank",
    "It is blank.",
    "1 new user gets",
    "{number} new users get",
    # Numbers of rows and users
    "1 user", "{number} users", "{number} of {total} rows", "{number} of {total}", "more than {number}",
    "{first} and {number} more", "{first}, and {number} more",
    "Its count agrees: the file has {rows} data rows.",
    "Its count is {count}, but the file has {rows} data rows.",
    # What may have damaged a value
    "a spreadsheet replaced the value with an error",
    "a program replaced a character that it could not read",
    "a spreadsheet shortened the number and lost digits",
    "a spreadsheet turned the value into a date",
    "the apostrophe that marks text in a spreadsheet became part of the value",
    "programs write this word where there is no value",
    "its leading zeros were lost",
    "a spreadsheet or a program wrote it as a number",
    "a spreadsheet turned it into a date",
    "it was decoded once too often, and should be “{value}”",
    "letters became question marks",
    "it has codes of web pages in place of characters, and should be “{value}”",
    "quotation marks were put around or into it",
    # Characters
    "a line break",
    "a tab",
    "a line break, after “{text}”",
    "a tab, after “{text}”",
    "{character}, after “{text}”",
    # Addresses and phones
    "It has no @.",
    "It contains a comma, a semicolon or a second @. Write only one address.",
    "Write only the address, without a name, angle brackets or mailto:.",
    "It contains a space.",
    "Its domain, the part after the @, has no dot.",
    "It contains letters or signs that are not part of a phone number.",
    "Check the country code and the number of digits.",
    # What an operator may do
    "deactivate",
    "take permissions from",
    "set a last day for",
    "The user's role has permissions that yours does not, so you cannot change this user.",
    "The user's role has permissions that yours does not, so you cannot change their supervisor.",
    "The row assigns a role with permissions that yours does not have.",
    # Why members stay
    "a row with a problem may name them",
    "files do not change them",
    "their role has permissions that yours does not",
    "your role does not have the permission users.edit",
    # What differs in a plan that was made again. The words of a user's outcome are phrases of their own
    "Counts: {counts}.",
    "Users: {users}.",
    *(f"{name} {{number}} → {{total}}" for name in COUNTED),
    "{id} ({was} → {now})",
    "and {number} more",
    *OUTCOMES,
    # The supervisor that stays
    "blank",
    "{person} to {other}",
)  # fmt: skip
"""Every phrase. Of several that match, the first counts."""

_LONGEST = 500
"""The most characters of a parameter that is compared. Longer ones are lists of values."""


def translate(text: str) -> str:
    """Return a parameter in the language of the reader: one phrase, several sentences in a row, or a value as it is."""
    if not text or len(text) > _LONGEST:
        return text
    found = _translate_phrase(text)
    if found:
        return found
    head, mark, rest = _split_sentence(text)
    first = _translate_phrase(head) if mark else ""
    return f"{first} {translate(rest)}" if first else text


def _split_sentence(text: str) -> tuple[str, str, str]:
    """Return the first sentence, and what follows it."""
    end = re.search(r"(?<=[.?!])\s+(?=[A-Z{])", text)
    return (text[: end.start()], " ", text[end.end() :]) if end else (text, "", "")


def _translate_phrase(text: str) -> str:
    for template, pattern in _compile():
        if match := pattern.fullmatch(text):
            values = {name: _translate_hole(name, value) for name, value in match.groupdict().items()}
            return texts.translate(template).format_map(values)
    return ""


def _translate_hole(name: str, value: str) -> str:
    """Return the value of a hole: a list of phrases, a phrase, or what a person wrote, as it is."""
    if name in _LISTS:
        return ", ".join(_translate_phrase(part) or part for part in value.split(", "))
    return (_translate_phrase(value) or value) if name in _NESTED else value


@cache
def _compile() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((template, re.compile(_make_pattern(template), re.DOTALL)) for template in PHRASES)


def _make_pattern(template: str) -> str:
    """Return the pattern of a phrase. Numbers are digits, so that a phrase about them matches nothing else."""
    parts = re.split(r"{(\w+)}", template)
    fixed = [re.escape(part) for part in parts[::2]]
    holes = [f"(?P<{name}>{_HOLES.get(name, '.+?')})" for name in parts[1::2]]
    return "".join(text for pair in zip(fixed, [*holes, ""], strict=True) for text in pair)


_LISTS = ("counts", "users")
_NESTED = ("was", "now")
"""The holes whose values are phrases too."""
_NUMBER = r"[0-9][0-9.,]*"
_HOLES = {"number": _NUMBER, "total": _NUMBER, "row": _NUMBER, "days": _NUMBER, "count": _NUMBER, "position": _NUMBER}
