"""The encodings that a file was probably saved in, and what they would read (rule F2), as data.

A word is plausible in an encoding if its letters belong to one language of that encoding. A reading that is rarely
wrong is not needed: it is only shown, and the operator decides.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import polars as pl

from musterbook.core.reading.headings import quote_text

_WESTERN = (
    "äöüß",  # German
    "àâæçéèêëîïôœùûüÿ",  # French
    "áéíñóúüºª",  # Spanish
    "áâãàçéêíóôõúü",  # Portuguese
    "àèéìíîòóùú",  # Italian
    "àçèéíïòóúü",  # Catalan
    "éèêëïöü",  # Dutch
    "æøåéèóôü",  # Danish, Norwegian
    "åäöéüà",  # Swedish
    "åäöõüšž",  # Finnish, Estonian
    "áéíóú",  # Irish
)
"""The letters of the languages that Windows-1252 writes. Icelandic is not one of them: its letters are Turkish ones."""
_CENTRAL = (
    "ąćęłńóśźż",  # Polish
    "áčďéěíňóřšťúůýž",  # Czech
    "áäčďéíĺľňóôŕšťúýž",  # Slovak
    "áéíóöőúüű",  # Hungarian
    "ăâîşţșț",  # Romanian
    "čćđšž",  # Croatian, Bosnian, Slovene, Serbian in Latin letters
    "äöüß",
)
_BALTIC = ("ąčęėįšųūž", "āčēģīķļņšūž", "äöõüšž")  # Lithuanian, Latvian, Estonian
_TURKISH = ("çğıi̇öşüâîûáàãäåæéèêëíìïñóòôõøúùýœšžßÿ", "çğıi̇öşüâîû")
"""Turkish, with the Western letters that Windows-1254 and Windows-1252 write in the same way, and without them."""

_CYRILLIC = ("\u0400-\u04ff", "оеаинтсрвл")
_GREEK = ("\u0370-\u03ff\u1f00-\u1fff", "αοιετσνρςυ")
_HEBREW = ("\u05d0-\u05ea", "יוהלארתבמש")
_ARABIC = ("\u0620-\u064a", "اليمنرتبوده")
_THAI = ("\u0e01-\u0e5b", "านรกอเงมยลว")
_THAI_MARKS = "\u0e31\u0e34\u0e35\u0e36\u0e37\u0e38\u0e39\u0e3a\u0e47\u0e48\u0e49\u0e4a\u0e4b\u0e4c"
"""The vowels and tones that Thai writes above and below a consonant."""

_SIMPLIFIED = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾"
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉红玲建国华志海燕云飞宇鑫雪玉梅春丹萍波鹏晓东小浩子俊佳欣雨梓涵"
)
_TRADITIONAL = (
    "王李張劉陳楊黃趙吳周徐孫馬朱胡郭何高林羅鄭梁謝宋唐許韓馮鄧曹彭曾蕭田董袁潘于蔣蔡余杜葉程蘇魏呂丁任沈姚盧姜崔鍾譚陸汪范金石廖賴"
    "偉芳娜秀英敏靜麗強軍勇豔傑娟濤明超蘭霞平剛桂文輝紅玲建國華志海燕雲飛宇雪玉梅春淑美惠婷雅怡君家豪俊宏宗冠廷柏翰子"
)
_JAPANESE = (
    "佐藤鈴木高橋田中伊渡辺山本村小林加吉松井上石原口野川島崎岡谷西東南北前後大内森池清水阿部長近坂青福三太"
    "一二郎男夫雄健介翔美子恵由紀香織奈真理沙直智和明浩隆博"
    "あいうえおかがきくけこごさしじすずせそたちつてとなにのはひふへほまみむめもやゆよらりるれろわん"
    "アイウエオカガキクケコゴサシジスズセソタチツテトナニノハヒフヘホマミムメモヤユヨラリルレロワンャュョッー"
)
_KOREAN = (
    "김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노민준지영수현우진은경희미성호상철동재태혜선주연나하원"
)
"""The characters of the most frequent names. Most names have one of them, and few words read in a wrong encoding do."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An encoding that spreadsheets and other programs use.

    `rate` returns how plausible a reading is: 0 (not at all) to 1. `weight` is less for encodings that are rare today.
    """

    encoding: str
    label: str
    rate: Callable[[str], float]
    weight: float = 1.0


_CAPITALS = 0.9
_SMALL_LETTERS = 0.75
"""What text in capitals, and text in small letters, counts of other text: fewer rosters are written so."""
_UNUSUAL = 0.6
"""What a reading counts that has no character of a frequent name."""
_LATIN = 0.6
"""The rating of a plausible reading in Latin letters."""
_MIXED = re.compile(r"[A-Za-z0-9][^\x00-\x7f]|[^\x00-\x7f][A-Za-z0-9]")
_WORD = re.compile(r"[^\W\d_]+")
_SIGNS = f"’‘–—·ªº{_THAI_MARKS}"
"""The signs beyond ASCII that occur in names and addresses."""
_LOOSE_MARK = re.compile(f"(?<![\u0e01-\u0e2e{_THAI_MARKS}])[{_THAI_MARKS}]")


def _rate_latin(alphabets: Sequence[str]) -> Callable[[str], float]:
    """Return the rating of a reading in Latin letters. All of its words must be in the letters of one language."""
    letters = [frozenset(alphabet) for alphabet in alphabets]

    def rate(text: str) -> float:
        words = [*_find_words(text)]
        if not _has_only_letters(text) or any(map(_is_foreign, words)):
            return 0.0
        return _LATIN if _is_covered("".join(words), letters) else 0.0

    return rate


def _is_foreign(word: str) -> bool:
    """Return whether a word is too long to have no letter of ASCII, as words in Latin letters do."""
    return len(word) > 2 and not any(letter.isascii() for letter in word)


def _has_only_letters(text: str) -> bool:
    signs = all(sign.isascii() or sign.isalpha() or sign in _SIGNS for sign in text) and not _LOOSE_MARK.search(text)
    return signs and all(word in {word.lower(), word.upper(), word.capitalize()} for word in _find_words(text))


def _find_words(text: str) -> Iterator[str]:
    """Yield the words with letters beyond ASCII."""
    return (word for word in _WORD.findall(text) if not word.isascii())


def _is_covered(word: str, letters: Sequence[frozenset[str]]) -> bool:
    used = {letter for letter in word.lower() if not letter.isascii()}
    return any(used <= alphabet for alphabet in letters)


def _rate_script(block: str, common: str) -> Callable[[str], float]:
    """Return the rating of a reading in another script: the share of its common letters. No word may mix scripts."""
    pattern = re.compile(f"[{block}]+")

    def rate(text: str) -> float:
        words = [*_find_words(text)]
        letters = "".join(words)
        if len(letters) < 2 or not _has_only_letters(text):
            return 0.0
        if not all(pattern.fullmatch(word) and not word.endswith("σ") for word in words):
            return 0.0
        # Names begin with a capital, in scripts that have capitals.
        share = sum(letter in common for letter in letters.lower()) / len(letters)
        return share * (_SMALL_LETTERS if letters.islower() else _CAPITALS if letters.isupper() else 1.0)

    return rate


def _rate_cjk(encoding: str, common: str, names: str) -> Callable[[str], float]:
    """Return the rating of a reading in Chinese, Japanese or Korean: the share of its common characters.

    `common`: the bytes of a common character, as a regular expression. `names`: the characters of most names.
    """
    pattern = re.compile(common.encode("latin-1"), re.DOTALL)

    def rate(text: str) -> float:
        letters = [letter for letter in text if not letter.isascii()]
        usual = any(letter in names for letter in letters)
        if len(letters) < (1 if usual else 2) or _MIXED.search(text):
            return 0.0
        share = sum(bool(pattern.fullmatch(letter.encode(encoding))) for letter in letters) / len(letters)
        return share * (1.0 if usual else _UNUSUAL)

    return rate


_RARE = 0.8
_RAREST = 0.65
_CANDIDATES = (
    _Candidate("cp1250", "Windows-1250 (Central European)", _rate_latin(_CENTRAL)),
    _Candidate("cp1251", "Windows-1251 (Cyrillic)", _rate_script(*_CYRILLIC)),
    _Candidate("cp1253", "Windows-1253 (Greek)", _rate_script(*_GREEK)),
    _Candidate("cp1254", "Windows-1254 (Turkish)", _rate_latin(_TURKISH)),
    _Candidate("cp1255", "Windows-1255 (Hebrew)", _rate_script(*_HEBREW)),
    _Candidate("cp1256", "Windows-1256 (Arabic)", _rate_script(*_ARABIC)),
    _Candidate("cp1257", "Windows-1257 (Baltic)", _rate_latin(_BALTIC)),
    _Candidate("cp874", "Windows-874 (Thai)", _rate_script(*_THAI), _RARE),
    _Candidate(
        "cp932", "Shift JIS (Japanese)", _rate_cjk("cp932", "[\x88-\x97].|\x82[\x9f-\xf1]|[\x81\x83].", _JAPANESE)
    ),
    _Candidate("gbk", "GBK (Chinese)", _rate_cjk("gbk", "[\xb0-\xd7][\xa1-\xfe]", _SIMPLIFIED)),
    _Candidate("big5", "Big5 (Chinese)", _rate_cjk("big5", "[\xa4-\xc6].", _TRADITIONAL)),
    _Candidate("cp949", "EUC-KR (Korean)", _rate_cjk("cp949", "[\xb0-\xc8][\xa1-\xfe]", _KOREAN)),
    _Candidate("euc_jp", "EUC-JP (Japanese)", _rate_cjk("euc_jp", "[\xa4\xa5\xb0-\xcf][\xa1-\xfe]", _JAPANESE), _RARE),
    _Candidate("mac_roman", "Mac Roman", _rate_latin(_WESTERN)),
    _Candidate("cp850", "DOS 850 (Western European)", _rate_latin(_WESTERN)),
    _Candidate("cp857", "DOS 857 (Turkish)", _rate_latin(_TURKISH[1:]), _RARE),
    _Candidate("cp437", "DOS 437 (United States)", _rate_latin(_WESTERN), _RARE),
    _Candidate("iso8859_2", "ISO 8859-2 (Central European)", _rate_latin(_CENTRAL), _RARE),
    _Candidate("cp852", "DOS 852 (Central European)", _rate_latin(_CENTRAL), _RARE),
    _Candidate("mac_latin2", "Mac Central European", _rate_latin(_CENTRAL), _RARE),
    _Candidate("koi8_r", "KOI8-R (Cyrillic)", _rate_script(*_CYRILLIC), _RARE),
    _Candidate("cp866", "DOS 866 (Cyrillic)", _rate_script(*_CYRILLIC), _RARE),
    _Candidate("iso8859_5", "ISO 8859-5 (Cyrillic)", _rate_script(*_CYRILLIC), _RARE),
    _Candidate("mac_cyrillic", "Mac Cyrillic", _rate_script(*_CYRILLIC), _RARE),
    _Candidate("cp737", "DOS 737 (Greek)", _rate_script(*_GREEK), _RARE),
    _Candidate("mac_greek", "Mac Greek", _rate_script(*_GREEK), _RARE),
    _Candidate("cp862", "DOS 862 (Hebrew)", _rate_script(*_HEBREW), _RARE),
    _Candidate("koi8_u", "KOI8-U (Ukrainian)", _rate_script(*_CYRILLIC), _RAREST),
    _Candidate("cp855", "DOS 855 (Cyrillic)", _rate_script(*_CYRILLIC), _RAREST),
    _Candidate("mac_turkish", "Mac Turkish", _rate_latin(_TURKISH[1:]), _RAREST),
    _Candidate("cp775", "DOS 775 (Baltic)", _rate_latin(_BALTIC), _RAREST),
    _Candidate("cp720", "DOS 720 (Arabic)", _rate_script(*_ARABIC), _RAREST),
    _Candidate("iso8859_6", "ISO 8859-6 (Arabic)", _rate_script(*_ARABIC), _RAREST),
)
_WINDOWS = "cp1252"
_SIMILAR = "cp1254"
"""The encoding that differs from Windows-1252 in six letters only. So it never explains text that is not Windows-1252."""
_CJK = ("cp932", "gbk", "big5", "cp949", "euc_jp")
LABELS = {"windows-1252": "Windows-1252", **{candidate.encoding: candidate.label for candidate in _CANDIDATES}}
"""Encoding → its name as people know it."""
_MIN_SHARE = 0.6
"""The share of the cells that an encoding must read plausibly."""
_MIN_RATING = 0.35
_MIN_RATING_OF_REFUSED = 0.15
"""Less is needed for text that is certainly not in Windows-1252: any hint helps, and the best ones come first."""
_NEAR = 0.6
"""An encoding is shown if its rating is at least this part of the best one."""
_MOST_SHOWN = 3
_MOST_READINGS = 4
_MOST_CELLS = 2_000
_BEYOND = re.compile(rb"[\x80-\xff]")
_ONE_SIGN = re.compile(
    rb"[\x00-\x7f]*(?![\xc0-\xff]{2})[\x80-\xff](?:[\x40-\x7f]|[\x80-\xff](?![\x40-\x7f]))[\x00-\x7f]*"
)
"""A cell that may be one Chinese, Japanese or Korean character, and is not two letters of Windows-1252."""
_NO_CHARACTER = b"\xff"
"""Bytes that no Chinese, Japanese or Korean encoding reads as a common character."""
_MARKS = (b"\r", b"\n", b",", b";", b"\t", b'"')
_REACH = 100
"""The bytes of a cell that are looked at before and after its first letter beyond ASCII."""
_WESTERN_LETTERS = tuple(map(frozenset, _WESTERN))


def get_label(encoding: str) -> str:
    """Return the name of an encoding as people know it."""
    return LABELS.get(encoding.replace("-", "_"), LABELS.get(encoding, encoding))


def find_unlikely(content: bytes) -> int:
    """Return where text begins that is Chinese, Japanese or Korean rather than Windows-1252; -1 if there is none.

    Western text is never plausible as such, because it has letters of ASCII next to those beyond it. A cell with one sign,
    such as “§g”, is no evidence, although some encoding reads it as one character.
    """
    found = list(dict.fromkeys(_find_raw_cells(content)))[:_MOST_CELLS]
    cells = [_NO_CHARACTER if _ONE_SIGN.fullmatch(cell) else cell for cell in found]
    candidates = (candidate for candidate in _CANDIDATES if candidate.encoding in _CJK)
    if all(_rate(candidate, cells) < _MIN_RATING for candidate in candidates):
        return -1
    return next(_find_raw_spans(content))[0]


def describe_likely(content: bytes) -> str:
    """Return a sentence for each likely encoding of text that is neither UTF-8 nor Windows-1252; "" for none.

    Each shows up to three cells.
    """
    cells = list(dict.fromkeys(_find_raw_cells(content)))[:_MOST_CELLS]
    if 2 * sum(map(_is_utf8, cells)) > len(cells):
        return ""
    return _describe_readings(cells, cells, least=_MIN_RATING_OF_REFUSED, without=_SIMILAR)


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return False
    return True


def describe_reading(rows: pl.DataFrame, encoding: str) -> str:
    """Return sentences that show up to three cells with letters beyond ASCII.

    If the letters of text read as Windows-1252 make other encodings likely, further sentences show their readings of the
    cells, and these cells come first.
    """
    cells = _find_cells(rows)
    odd = [cell for cell in cells if _is_odd(cell)] if encoding == "windows-1252" else []
    if not odd and encoding == "windows-1252" and not _is_one_language(cells):
        odd = cells
    shown = list(dict.fromkeys([*odd, *cells]))[:_MOST_SHOWN]
    examples = f"For example: {_quote_cells(shown)}." if shown else ""
    raw = [cell.encode(_WINDOWS) for cell in odd]
    return f"{examples} {_describe_readings(raw, raw[:_MOST_SHOWN])}".strip()


def _is_odd(cell: str) -> bool:
    """Return whether some word has letters that no single Western language has."""
    return any(not _is_covered(word, _WESTERN_LETTERS) for word in _find_words(cell))


def _is_one_language(cells: Iterable[str]) -> bool:
    return _is_covered("".join(word for cell in cells for word in _find_words(cell)), _WESTERN_LETTERS)


def _find_raw_cells(content: bytes) -> Iterator[bytes]:
    for start, end in islice(_find_raw_spans(content), 5 * _MOST_CELLS):
        yield content[start:end].strip()


def _find_raw_spans(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each cell with a letter beyond ASCII begins and ends, in time that grows with the file alone."""
    end = 0
    while letter := _BEYOND.search(content, end):
        at = letter.start()
        first, last = max(end, at - _REACH), min(at + _REACH, len(content))
        start = max(first, *(content.rfind(mark, first, at) + 1 for mark in _MARKS))
        ends = [place for mark in _MARKS if (place := content.find(mark, at, last)) >= 0]
        end = min(ends, default=last)
        yield start, end


def _find_cells(rows: pl.DataFrame) -> list[str]:
    """Return the first distinct cells with letters beyond ASCII, column by column."""
    found: dict[str, None] = {}
    for column in rows.drop("row").get_columns():
        beyond = column.filter(column.str.len_bytes() != column.str.len_chars())
        found |= dict.fromkeys(beyond.unique(maintain_order=True).head(_MOST_CELLS).to_list())
    return list(found)


def _describe_readings(
    cells: Sequence[bytes], shown: Sequence[bytes], least: float = _MIN_RATING, without: str = ""
) -> str:
    candidates = (candidate for candidate in _CANDIDATES if candidate.encoding != without)
    rated = [(rating, candidate) for candidate in candidates if (rating := _rate(candidate, cells)) >= least]
    best = max((rating for rating, _ in rated), default=0.0)
    readings: dict[str, str] = {}
    for rating, candidate in sorted(rated, key=lambda entry: -entry[0]):
        texts = _read_plausible(candidate, shown) or _read_plausible(candidate, cells)
        if rating >= _NEAR * best:
            readings.setdefault(_quote_cells(texts[:_MOST_SHOWN]), candidate.label)
    return " ".join(f"In {label}: {quoted}." for quoted, label in [*readings.items()][:_MOST_READINGS])


def _rate(candidate: _Candidate, cells: Sequence[bytes]) -> float:
    """Return the mean rating of the cells that the encoding reads plausibly, or 0 if there are too few of them."""
    ratings = [candidate.rate(text) if text else 0.0 for text in _read_cells(candidate, cells)]
    plausible = [rating for rating in ratings if rating]
    enough = len(plausible) > _MIN_SHARE * len(ratings)
    return candidate.weight * sum(plausible) / len(plausible) if enough else 0.0


def _read_plausible(candidate: _Candidate, cells: Sequence[bytes]) -> list[str]:
    return [text for text in _read_cells(candidate, cells) if text and candidate.rate(text)]


def _read_cells(candidate: _Candidate, cells: Sequence[bytes]) -> Iterator[str]:
    """Yield the readings that differ from that of Windows-1252, "" for a cell that the encoding cannot read."""
    for cell in cells:
        try:
            text = cell.decode(candidate.encoding)
        except UnicodeDecodeError:
            text = ""
        if text != cell.decode(_WINDOWS, "replace"):
            yield text


def _quote_cells(cells: Iterable[str]) -> str:
    return ", ".join(map(quote_text, cells))
