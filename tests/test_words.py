"""The dictionary holds: words that it rules out stay out of docstrings, comments, documents and templates."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
DICTIONARY = ROOT / "docs/reference/words.md"
_SECTION = DICTIONARY.read_text(encoding="utf-8").partition("## Words that are used nowhere")[2]
WORDS = dict(re.findall(r"^\| ([a-z ]+) \| ([^|]+) \|$", _SECTION, re.MULTILINE))
WORDS.pop("do not write", None)
_RULED_OUT = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)

_DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path != DICTIONARY)
_MODULES = sorted(path for path in (ROOT / "musterbook").rglob("*.py") if path.parent.name != "migrations")
_PAGES = [path for path in _MODULES if {"web", "accounts"} & set(path.parts)]
_TEMPLATES = sorted((ROOT / "musterbook").rglob("templates/**/*.*"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_dictionary_rules_words_out() -> None:
    assert {"whom", "told", "what becomes of"} <= set(WORDS)
    assert _RULED_OUT.search("the users Whom it concerns") and not _RULED_OUT.search("besides")


def _list_ruled_out(paths: Iterable[Path], list_texts: Callable[[Path], Iterable[str]]) -> list[str]:
    """Return each word that is ruled out, with its file. A test for each file would take longer to begin."""
    found = [(_name(path), match.lower()) for path in paths for text in list_texts(path) for match in _find(text)]
    return [f"{name}: {word}: write {WORDS[word]}" for name, word in found]


def test_docstrings_and_comments_use_no_word_that_is_ruled_out() -> None:
    assert _list_ruled_out(_MODULES, _list_prose) == []


def test_documents_use_no_word_that_is_ruled_out() -> None:
    def read(path: Path) -> list[str]:
        source = path.read_text(encoding="utf-8")
        return [re.sub(r"```.*?```|`[^`]*`|\*[^*\n]*\*", "", source, flags=re.DOTALL)]

    assert _list_ruled_out(_DOCUMENTS, read) == []


def test_templates_use_no_word_that_is_ruled_out() -> None:
    def read(path: Path) -> list[str]:
        source = re.sub(r'{% *translate "([^"]*)".*?%}', r"\1", path.read_text(encoding="utf-8"))
        return [re.sub(r"{%.*?%}|{{.*?}}|<[^>]*>", "", source)]

    assert _list_ruled_out(_TEMPLATES, read) == []


def test_texts_of_pages_use_no_word_that_is_ruled_out() -> None:
    def list_texts(path: Path) -> Iterator[str]:
        yield from (text for text in _read(path)[1] if " " in text)

    assert _list_ruled_out(_PAGES, list_texts) == []


def test_tables_and_headings_of_documents_are_shown_as_such() -> None:
    documents = [*_DOCUMENTS, DICTIONARY, ROOT / "benchmarks" / "README.md"]
    found = [f"{_name(path)}: {line}" for path in documents for line in _list_broken(path.read_text(encoding="utf-8"))]
    assert found == []


def test_a_table_or_heading_that_would_be_shown_as_text_is_found() -> None:
    fine = "# One\n\n| a |\n|---|\n| b |\n\n```\n| no table\n# nor heading\n```\n\n- text\n\n**Two**\n"
    assert list(_list_broken(fine)) == []
    broken = "text\n| a |\n|---|\n| b |\n\n| c |\n- text\n**Two**\n## Three\n"
    assert list(_list_broken(broken)) == ["| a |", "| c |", "**Two**", "## Three"]


def _list_broken(source: str) -> Iterator[str]:
    """Yield the first line of each table without a header, and each line that Markdown joins to the text before it."""
    lines = ["", *re.sub(r"^ *```.*?^ *```$", "", source, flags=re.MULTILINE | re.DOTALL).splitlines(), ""]
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        is_first = line.startswith("|") and not before.startswith("|")
        is_joined = bool(before) and (is_first or re.match(r"#+ |\*\*[^*]+\*\*$", line))
        if is_joined or (is_first and not re.fullmatch(r"\|[ :|-]+\|", after)):
            yield line


def test_words_are_found_in_docstrings_and_comments_and_nowhere_else(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""Whom it concerns, and `told`."""\nx = "told # told"  # was `x` told\ny = "# told `"  # `told`\n'
    )
    assert [word for text in _list_prose(module) for word in _find(text)] == ["Whom", "told"]


def _find(text: str) -> list[str]:
    return _RULED_OUT.findall(text)


def _list_prose(path: Path) -> Iterator[str]:
    """Yield the docstrings and comments of a module, without code in backticks."""
    yield from (re.sub(r"`[^`]*`|{[^}]*}", "", text) for text in _read(path)[0])
    yield from _list_comments(path.read_text(encoding="utf-8"))


@cache
def _read(path: Path) -> tuple[list[str], list[str]]:
    """Return the docstrings of a module, and all its texts."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
    constants = [node for node in nodes if isinstance(node, ast.Constant)]
    return _list_values(docstrings), _list_values(constants)


def _list_values(nodes: Iterable[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _list_comments(source: str) -> Iterator[str]:
    """Yield the comments of a module that may have a word that is ruled out: to find all of them takes far longer.

    A comment is what begins with one of the number signs of a line.
    """
    ends = (line[sign.start() :] for line in source.splitlines() for sign in re.finditer("#", line))
    if any(_find(_strip_code(end)) for end in ends):
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield _strip_code(token.string)


def _strip_code(comment: str) -> str:
    return re.sub(r"`[^`]*`", "", comment)
