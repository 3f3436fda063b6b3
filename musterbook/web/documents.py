"""The documents that ship with the product, as parts of pages."""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from django.urls import get_script_prefix, reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token

_PACKAGE = Path(__file__).parents[1]
FOLDER = next(filter(Path.is_dir, (_PACKAGE / "docs", _PACKAGE.parent / "docs")))
"""The documents: next to the package in a checkout, and within it once it is installed."""
TUTORIALS = ("tutorial", "tutorial-for-programs")
SECTIONS = ("how-to", "reference", "explanation")
_LEFT_OUT = {"reference/modules", "explanation/architecture", "explanation/asvs", "explanation/dependencies"}
"""Documents for those who change the program."""
_PICTURES = {".png": "image/png", ".svg": "image/svg+xml; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its name (`how-to/mail`), its title, its text as HTML, and its headings with their anchors."""

    name: str
    title: str
    html: str
    headings: tuple[tuple[str, str], ...]

    def render(self) -> SafeString:
        """Return the text. It is our own, and raw HTML in it is escaped."""
        return mark_safe(self.html)  # noqa: S308  (made from our own documents by a renderer that escapes HTML)


@cache
def list_names() -> tuple[str, ...]:
    """Return the names of all documents that are shown, in the order of the sections."""
    names = [*TUTORIALS, *(f"{section}/{path.stem}" for section in SECTIONS for path in _list_section(section))]
    return tuple(name for name in names if name not in _LEFT_OUT)


def _list_section(section: str) -> list[Path]:
    return sorted((FOLDER / section).glob("*.md"))


def read_document(name: str) -> Document | None:
    """Return the document of that name, with links to the pages of the agency whose page it is, or None."""
    return _read(name, get_script_prefix()) if name in list_names() else None


@lru_cache(maxsize=256)
def _read(name: str, _prefix: str) -> Document:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    text = re.sub(r"<!--.*?-->", "", (FOLDER / f"{name}.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    tokens = parser.parse(text)
    headings = _add_anchors(tokens)
    _prepare_tables(tokens)
    for token in tokens:
        for child in token.children or ():
            _change_address(child, name)
    title = headings[0][0] if headings else name
    return Document(name, title, parser.renderer.render(tokens, parser.options, {}), tuple(headings[1:]))


def _add_anchors(tokens: list[Token]) -> list[tuple[str, str]]:
    """Give each heading an anchor. Return the headings below the title that begin a section, after the title."""
    found: list[tuple[str, str]] = []
    used: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children or ())
        anchor = slugify(text)
        used[anchor] = used.get(anchor, 0) + 1
        if used[anchor] > 1:
            anchor = f"{anchor}-{used[anchor] - 1}"
        opening.attrs["id"] = anchor
        if opening.tag in {"h1", "h2"}:
            found.append((text, anchor))
    return found


def _prepare_tables(tokens: list[Token]) -> None:
    """Let tables scroll by keyboard, and give each row that begins with a code, such as a problem's, the code as its anchor."""
    row: Token | None = None
    for token in tokens:
        if token.type == "table_open":
            token.attrs["tabindex"] = "0"  # a wide table scrolls, also by keyboard
        elif token.type == "tr_open":
            row = token
        elif token.type == "inline" and row is not None:
            first = next(iter(token.children or ()), None)
            if first and first.type == "code_inline":
                row.attrs["id"] = f"code-{slugify(first.content)}"
            row = None


def _change_address(token: Token, name: str) -> None:
    """Let a link to another document lead to its page. A link to anything else of the source leads nowhere."""
    if token.type == "image":
        token.attrs["src"] = reverse("help_picture", args=[Path(str(token.attrs["src"])).name])
    if token.type != "link_open":
        return
    address = urlsplit(str(token.attrs["href"]))
    if address.scheme or not address.path:
        return
    target = _resolve(name, address.path)
    if target in list_names():
        anchor = f"#{address.fragment}" if address.fragment else ""
        token.attrs["href"] = f"{reverse('help_document', args=[target])}{anchor}"
    else:
        del token.attrs["href"]


def _resolve(name: str, path: str) -> str:
    target = (FOLDER / f"{name}.md").parent.joinpath(path).resolve()
    return target.relative_to(FOLDER).with_suffix("").as_posix() if target.is_relative_to(FOLDER) else ""


def find_picture(name: str) -> tuple[bytes, str] | None:
    """Return a picture of the documents with its media type, or None if there is none of that name."""
    path = next((path for path in (FOLDER / "pictures").glob("*") if path.name == name), None)
    if path is None or path.suffix not in _PICTURES:
        return None
    return path.read_bytes(), _PICTURES[path.suffix]
