"""The dictionary holds: words that it rules out stay out of docstrings, comments, documents and templates."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", _MODULES, ids=_name)
def test_docstrings_and_comments_use_no_word_that_is_ruled_out(path: Path) -> None:
    assert [f"{found}: write {WORDS[found]}" for text in _prose(path) for found in _found(text)] == []


@pytest.mark.parametrize("path", _DOCUMENTS, ids=_name)
def test_documents_use_no_word_that_is_ruled_out(path: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`|\*[^*\n]*\*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [f"{found}: write {WORDS[found]}" for found in _found(text)] == []


@pytest.mark.parametrize("path", _TEMPLATES, ids=_name)
def test_templates_use_no_word_that_is_ruled_out(path: Path) -> None:
    source = re.sub(r'{% *translate "([^"]*)".*?%}', r"\1", path.read_text(encoding="utf-8"))
    text = re.sub(r"{%.*?%}|{{.*?}}|<[^>]*>", "", source)
    assert [f"{found}: write {WORDS[found]}" for found in _found(text)] == []


@pytest.mark.parametrize("path", _PAGES, ids=_name)
def test_texts_of_pages_use_no_word_that_is_ruled_out(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert [f"{found}: write {WORDS[found]}" for text in texts if " " in text for found in _found(text)] == []


def _found(text: str) -> Iterator[str]:
    yield from (match.lower() for match in _RULED_OUT.findall(text))


def _prose(path: Path) -> Iterator[str]:
    """Yield the docstrings and comments of a module, without code in backticks."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield re.sub(r"`[^`]*`|{[^}]*}", "", node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield re.sub(r"`[^`]*`", "", token.string)
