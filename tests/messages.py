"""Texts that no catalog can have: text of a template outside of `translate`, and text of a module without gettext."""

import ast
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from django.template.base import Lexer, TokenType

from scripts import messages
from tests.untranslated import EXCEPTIONS

_ATTRIBUTES = re.compile(
    r"""(?:aria-label|title|alt|placeholder|data-label|data-called|label|content)=(["'])(.*?)\1""", re.DOTALL
)
_TAG = re.compile(r"<[^>]*>", re.DOTALL)
_SKIPPED = re.compile(r"<(script|style|svg|code)\b.*?</\1>", re.DOTALL)
_META = re.compile(r"<meta\b[^>]*>", re.DOTALL)
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_VARIABLE = "\x01"
"""Stands for a value of the template, so that an attribute or a tag is whole."""

_SHOWN = {"label", "help_text", "error_messages", "empty_label", "title", "intro", "caption"}
"""Arguments of calls whose text a page shows."""
_FUNCTIONS = {
    *("add_error", "ValidationError", "InvalidValue", "NotAllowed", "InvalidSource"),
    *("say", "WrongCall", "UnknownFilter", "InvalidAgencyFile", "Finding"),
    *("CannotBackUp", "CannotRestore", "CannotUse", "KeyInUse", "KeyInEnvironment", "CannotInvite", "CannotReset"),
}
"""Functions and exceptions whose text a page or a command shows."""
_FIRST_IS_CODE = {"Finding", "InvalidValue", "add_error"}
"""Those whose first argument is a code, which nobody reads."""
_TRANSLATED_IN_BRACES = re.compile(r"{[^{}]*\b(?:_|\w*gettext\w*)\(")
_TRANSLATE = {"gettext", "gettext_lazy", "gettext_noop", "translate"}


def find_in_template(path: Path) -> list[str]:
    """Return the texts of a template that are not inside of a tag that translates them."""
    parts: list[str] = []
    inside = ""
    for token in Lexer(path.read_text(encoding="utf-8")).tokenize():
        name = token.contents.split()[0] if token.token_type is TokenType.BLOCK and token.contents.split() else ""
        if name in ("blocktranslate", "blocktrans", "comment"):
            inside = name
        elif inside and name == f"end{inside}":
            inside = ""
            parts.append(_VARIABLE)
        elif not inside:
            parts.append(token.contents if token.token_type is TokenType.TEXT else _mark(token.token_type, name))
    return _find_words("".join(parts))


def _mark(kind: TokenType, name: str) -> str:
    """Return what stands for a token that is no text. A value keeps attributes whole; other tags divide texts."""
    return _VARIABLE if kind is TokenType.VAR or name in ("translate", "trans", "url", "static") else ""


def _find_words(markup: str) -> list[str]:
    markup = _META.sub("", _SKIPPED.sub("", markup))
    attributes = [found[1] for tag in _TAG.findall(markup) for found in _ATTRIBUTES.findall(tag)]
    texts = [*_TAG.sub("\n", markup).splitlines(), *attributes]
    return [text.replace(_VARIABLE, "…").strip() for text in texts if _has_words(html.unescape(text))]


def _has_words(text: str) -> bool:
    return any(word not in EXCEPTIONS for word in _LETTERS.findall(text))


def find_in_module(path: Path) -> list[str]:
    """Return the texts for pages that a module has without gettext, each with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [f"line {node.lineno}: {ast.unparse(node)[:60]}" for node in _list_shown(tree) if _is_bare(node)]


def find_aliases(path: Path) -> list[str]:
    """Return the aliases under which a module imports gettext and which the extraction of texts does not know."""
    source = path.read_text(encoding="utf-8")
    if "gettext" not in source and "translate" not in source:
        return []
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    names = [name for node in imports for name in node.names if "gettext" in name.name or name.name == "translate"]
    return [
        f"{name.name} as {name.asname}"
        for name in names
        if name.asname and not (name.asname == "_" and name.name in _TRANSLATE)
    ]


def find_in_f_strings(path: Path) -> list[str]:
    """Return the texts that a module translates within an f-string, each with its line.

    Before Python 3.12, an f-string is one token, so the extraction of texts finds none of them.
    """
    source = path.read_text(encoding="utf-8")
    if not _TRANSLATED_IN_BRACES.search(source):
        return []
    nodes = ast.walk(ast.parse(source))
    inside = [call for node in nodes if isinstance(node, ast.JoinedStr) for call in ast.walk(node)]
    return [f"line {call.lineno}: {ast.unparse(call)}" for call in inside if _translates(call)]


def _translates(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and _get_name(node.func) in messages.KEYWORDS
        and any(isinstance(argument, ast.Constant) for argument in node.args)
    )


def _list_shown(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions whose values a page shows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (keyword.value for keyword in node.keywords if keyword.arg in _SHOWN)
            name = _get_name(node.func)
            if name in _FUNCTIONS or _is_message(node.func):
                yield from node.args[name in _FIRST_IS_CODE :]
        elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") in _SHOWN for target in node.targets):
            yield node.value


def _get_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_message(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == "messages"


def _is_bare(node: ast.expr) -> bool:
    """Return whether it is a sentence or a label in English: several words, or one that begins with a capital letter."""
    if isinstance(node, ast.JoinedStr):
        return any(_reads_as_text(str(part.value)) for part in node.values if isinstance(part, ast.Constant))
    if isinstance(node, ast.BinOp):
        return _is_bare(node.left) or _is_bare(node.right)
    if isinstance(node, ast.List | ast.Tuple):
        return any(map(_is_bare, node.elts))
    if isinstance(node, ast.IfExp):
        return _is_bare(node.body) or _is_bare(node.orelse)
    if isinstance(node, ast.Dict):
        return any(map(_is_bare, node.values))
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and _reads_as_text(node.value)


def _reads_as_text(text: str) -> bool:
    words = _LETTERS.findall(text)
    return (_has_words(text) and (len(words) > 1 or words[0][0].isupper()) and " " in text.strip()) or (
        len(words) == 1 and words[0] not in EXCEPTIONS and words[0][:1].isupper()
    )
