"""The encoding of a CSV file: UTF-8, UTF-16, Windows-1252 or an encoding that the operator names.

A byte order mark decides, even against a named encoding. A file that is valid UTF-8 is UTF-8. Any other file is damaged
UTF-8, and is refused, in two cases: it holds any character that UTF-8 writes with several bytes in addition to the bad
one, or its only fault is a character cut off at its end.

The remaining files are read as Windows-1252 if their text is plausible. No byte may be undefined in Windows-1252, and
no spot may have a character where no Western language puts it: a symbol inside a word, a capital after a small letter,
three accented letters in a row. A single doubtful spot refuses the file, because letters read wrongly would be stored
without notice. The operator can always decide by naming the encoding.

Where the letters make another encoding likely, the note or the refusal shows how that encoding reads them
(`likely_encodings`).

An encoding that is remembered from an earlier file applies to a file that is not UTF-8, if it can read that file.
"""

import codecs
import re
from dataclasses import dataclass

import polars as pl

from musterbook.core.domain.problems import Problem
from musterbook.core.reading.csv import likely_encodings
from musterbook.core.reading.grid import Refusal

WINDOWS = "windows-1252"
_CHUNK = 1 << 23
_HEAD = 4096
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class DecodedText:
    """The text of a file, as UTF-8 without a byte order mark, and its original encoding.

    `guessed`: neither the file nor the operator names the encoding. `remembered`: an earlier file had it.
    """

    body: bytes
    encoding: str
    guessed: bool = False
    remembered: bool = False

    @property
    def described(self) -> str:
        """Return the name of the encoding, for a sentence."""
        name = likely_encodings.get_label(self.encoding)
        return f"{name}, the encoding that is remembered" if self.remembered else name


class UnreadableText(Exception):
    """A spot that cannot be read in `encoding`.

    `before` is the text before the spot. `doubtful` is the Windows-1252 reading of the spot, "" where a byte is simply
    not valid.
    """

    def __init__(self, encoding: str, before: str, doubtful: str = "") -> None:
        super().__init__(encoding)
        self.encoding = encoding
        self.before = before
        self.doubtful = doubtful


def decode_content(content: bytes, name: str | None, remembered: str | None = None) -> DecodedText:
    """Return the text of `content`.

    Raise UnreadableText for bytes that cannot be read, and Refusal for an unknown encoding name.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decode_as(content, encoding)
    if name:
        return _decode_as(content, _find_codec(name))
    if remembered and (b"\0" in content[:_HEAD] or b"\x1b" in content[:_HEAD]):  # UTF-16, ISO 2022
        return _decode_remembered(content, remembered) or _decode_as(content, "utf-8")
    try:
        return _decode_as(content, "utf-8")
    except UnreadableText as error:
        known = _decode_remembered(content, remembered) if remembered else None
        return known or _decode_windows(content, error)


def _decode_remembered(content: bytes, name: str) -> DecodedText | None:
    """Return the text in the encoding of earlier files, or None if it cannot be read in it."""
    try:
        text = _decode_as(content, _find_codec(name))
    except (UnreadableText, Refusal):
        return None
    return DecodedText(text.body, text.encoding, guessed=True, remembered=True)


def is_known(name: str) -> bool:
    """Return whether an operator can name this encoding."""
    try:
        _find_codec(name)
    except Refusal:
        return False
    return True


def _find_codec(name: str) -> str:
    try:
        b" ".decode(name)
        return codecs.lookup(name).name
    except UnicodeError:
        return name
    except (LookupError, ValueError) as error:
        raise Refusal(Problem.of("unknown-encoding", value=name)) from error


def _decode_as(content: bytes, encoding: str) -> DecodedText:
    if encoding == "utf-8":
        _check_utf8(content)
        body = content[3:] if content.startswith(codecs.BOM_UTF8) else content
        return DecodedText(body, encoding)
    try:
        return DecodedText(content.decode(encoding).removeprefix("\ufeff").encode(), encoding)
    except UnicodeDecodeError as error:
        raise UnreadableText(encoding, content[: error.start].decode(encoding, "ignore")) from error
    except (UnicodeError, ValueError) as error:  # a lone surrogate, or a codec with bugs
        raise UnreadableText(encoding, "") from error


def _check_utf8(content: bytes) -> None:
    """Check the bytes piece by piece, and keep nothing.

    A Python string may take four times the bytes of the file.
    """
    if content.isascii():
        return
    start = 0
    while start < len(content):
        # A line feed is never part of another character.
        end = content.rfind(b"\n", start, start + _CHUNK) + 1 or len(content)
        try:
            pl.Series([content[start:end]], dtype=pl.Binary).cast(pl.String)
        except pl.exceptions.ComputeError:
            _raise_at_bad_byte(content)
        start = end


def _raise_at_bad_byte(content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableText("utf-8", content[: error.start].decode("utf-8")) from error


_SEVERAL_BYTES = re.compile(
    rb"[\xc2-\xf4](?:(?<=[\xc2-\xdf])[\x80-\xbf]|(?<=[\xe0-\xef])[\x80-\xbf]{2}|(?<=[\xf0-\xf4])[\x80-\xbf]{3})"
)


def _decode_windows(content: bytes, error: UnreadableText) -> DecodedText:
    cut_off = len(content) - len(error.before.encode()) <= 3 and _starts_character(content, error)
    if cut_off or _SEVERAL_BYTES.search(content):
        raise error
    result = _decode_as(content, WINDOWS)
    _refuse_doubtful(result.body.decode())
    at = likely_encodings.find_unlikely(content)
    if at >= 0:
        cell = _CELL_END.split(content[at : at + 80].decode(WINDOWS).lstrip())[0]
        raise UnreadableText(WINDOWS, content[:at].decode(WINDOWS), doubtful=cell)
    return DecodedText(result.body, WINDOWS, guessed=True)


def _starts_character(content: bytes, error: UnreadableText) -> bool:
    """Return whether the last bytes of the file begin a character that UTF-8 writes with more bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        return decoder.decode(content[len(error.before.encode()) :]) == ""
    except UnicodeDecodeError:
        return False


_LETTER = "A-Za-zŠŒŽšœžŸÀ-ÖØ-öø-ÿ"
_DEGREES = "(?<![^\x00-\x7f])°[CF](?![A-Za-z0-9]|[^\x00-\x7f])"
"""A degree Celsius or Fahrenheit. In the encodings that read it as one character, no name is that character alone."""
_DOUBTFUL = re.compile(
    "|".join(
        (
            # A symbol between two letters. An apostrophe, a middle dot and a soft hyphen are allowed there.
            f"(?<=[{_LETTER}])[€‚ƒ„…†‡ˆ‰‹‘“”•˜™›¡¢£¤¥¦¨©«¬®¯°±²³µ¶¸¹»¼½¾¿×÷](?=[{_LETTER}])",
            "(?<=[A-Za-z])[–—](?=[a-z])|(?<=[A-Za-z])\xa0(?=[a-z])",
            # A symbol at the start of a word, and one at the end of a word.
            f"(?<![0-9])(?!{_DEGREES})[ƒ…†‡ˆ‰›˜™¢¥¦¨¬®¯°±²³µ¶¸¹»×÷](?=[{_LETTER}])",
            f"(?<=[{_LETTER}])[€‚ƒ„†‡ˆ‰‹‘˜¡¢£¤¥¦§¨«¬¯±¶¸¼½¾¿×÷](?![0-9 ])",
            # Small letters among capitals, a capital after a small letter, or three accented letters in a row.
            "(?<=[A-Z])[š-žà-öø-ÿ](?=[A-Z])",
            "(?<=[a-z])[ŠŒŽŸÀ-ÖØ-Þ]",
            "(?<=[A-Z])[ŠŒŽŸÀ-ÖØ-Þ](?=[a-z])",
            "[ŠŒŽšœžŸÀ-ÖØ-öø-ÿ]{3}",
            # Adjacent signs are bytes of another encoding.
            "[^\x00-\x7f’´ ][•†‡ˆ‰˜¤¦¨¬¯¸]|[•†‡ˆ‰˜¤¦¨¬¯¸][^\x00-\x7f ]",
        )
    )
)


_BEYOND_ASCII = re.compile("[^\x00-\x7f]+")
_CELL_END = re.compile('[\r\n,;\t|"]')


def _refuse_doubtful(text: str) -> None:
    spots: set[str] = set()
    for run in _BEYOND_ASCII.finditer(text):
        spot = text[max(0, run.start() - 1) : run.end() + 2]
        if spot in spots:
            continue
        spots.add(spot)
        if any(_DOUBTFUL.match(text, at) for at in range(run.start(), run.end())):
            before = _CELL_END.split(text[max(0, run.start() - 40) : run.start()])[-1]
            after = _CELL_END.split(text[run.start() : run.end() + 40])[0]
            raise UnreadableText(WINDOWS, text[: run.start()], doubtful=before + after)
