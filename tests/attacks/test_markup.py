"""Attacks by text that is markup: it stays text on every page, and where it did not, no attribute could send a request."""

import ast
import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import allauth
import django_htmx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from playwright.sync_api import Page, Route

from musterbook.directory import models
from tests import worker
from tests.accounts.conftest import Springfield
from tests.accounts.test_entrance import sign_in
from tests.directory.cast import person
from tests.web.conftest import enter

ROOT = Path(__file__).parents[2]
OURS = ROOT / "musterbook"
PAGE = "/springfield/users/import"

# The list of places that make markup, or leave text as it is


RAW = re.compile(r"\|\s*(safe|safeseq)\b|autoescape\s+off|filter\s+(safe|safeseq)\b")
UNQUOTED = re.compile(r"\s[\w-]+=\{[{%]")
ALLOWED_PYTHON = {
    "musterbook/accounts/mails.py: autoescape=False",  # a mail is plain text
    "musterbook/web/times.py: format_html",
    "musterbook/web/forms.py: format_html",
    "musterbook/web/forms.py: format_html_join",
    "musterbook/web/accounts/account_adapter.py: format_html",
    "musterbook/web/agency/forms.py: format_html",
    "musterbook/web/feeds/words.py: format_html",
    "musterbook/web/feeds/words.py: format_html_join",
    "musterbook/web/records/audit_words.py: format_html",
    "musterbook/web/templatetags/imports.py: format_html",
    "musterbook/web/users/list_table.py: format_html",
    "musterbook/web/templatetags/muster.py: format_html",
    "musterbook/web/templatetags/muster.py: format_html_join",
    "musterbook/web/templatetags/muster.py: mark_safe",
    "musterbook/web/documents.py: mark_safe with a pattern that is no literal",  # our documents, whose HTML is escaped
}
"""Where our Python makes markup: by `format_html` with a literal pattern, which escapes all that it puts in.

A pattern of the catalogs is one, too: tests/test_messages.py compares its markup with that of the text.
"""
_MARKUP = {
    "mark_safe", "SafeString", "SafeText", "SafeData", "html_safe", "format_html", "format_html_join", "__html__",
}  # fmt: skip


def templates() -> Iterator[Path]:
    """Every template of ours, and every page of the library of accounts that ours stand in for or use."""
    yield from OURS.rglob("templates/**/*.html")
    yield from Path(allauth.__file__).parent.rglob("templates/**/*.html")
    yield from Path(django_htmx.__file__).parent.rglob("templates/**/*.html")


def test_no_template_leaves_text_unescaped() -> None:
    found = list(templates())
    assert len(found) > 100
    raw = {str(path): RAW.findall(path.read_text(encoding="utf-8")) for path in found}
    assert {name: marks for name, marks in raw.items() if marks} == {}


def test_no_template_has_a_value_outside_quotes() -> None:
    ours = OURS.rglob("templates/**/*.html")
    assert [path.name for path in ours if UNQUOTED.search(path.read_text(encoding="utf-8"))] == []


def test_markup_is_made_in_few_places_and_from_literal_patterns() -> None:
    made = set()
    for path in OURS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            made |= {f"{path.relative_to(ROOT)}: {what}" for what in _makes_markup(node)}
    assert made <= ALLOWED_PYTHON


def _makes_markup(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.keyword) and node.arg == "autoescape":
        yield f"autoescape={ast.unparse(node.value)}"
    if isinstance(node, ast.FunctionDef) and node.name == "__html__":
        yield "__html__"
    if not isinstance(node, ast.Call):
        return
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called in _MARKUP:
        literal = all(map(_is_literal, node.args[: 2 if called.endswith("join") else 1]))
        yield called if literal else f"{called} with a pattern that is no literal"


def _is_literal(node: ast.expr) -> bool:
    """Whether it is a literal, or a literal that is translated or marked as safe."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"_", "mark_safe"}:
        return all(map(_is_literal, node.args))
    return isinstance(node, ast.Constant)


def test_our_scripts_never_make_markup_of_text() -> None:
    ways = re.compile(
        r"\.innerHTML|\.outerHTML\s*=|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function|createContextualFragment"
    )
    scripts = list((OURS / "web/static").glob("*.js"))
    assert scripts
    for script in scripts:
        assert ways.findall(script.read_text(encoding="utf-8")) == [], script.name


def test_no_template_or_form_of_ours_has_attributes_of_htmx() -> None:
    places = [*OURS.rglob("templates/**/*.html"), *OURS.rglob("*.py")]
    found = {
        str(path.relative_to(OURS)): re.findall(r"hx-[a-z-]+", path.read_text(encoding="utf-8")) for path in places
    }
    marked = {name: marks for name, marks in found.items() if marks}
    assert marked == {"web/templates/base.html": ["hx-disable"]}


# The proof of concept: a cell that makes the page of its import send a form


def proof(to: str) -> list[str]:
    """Three values that, joined by “, ”, are one element that htmx would send a form for, with the page's own token."""
    return [
        f'<i hx-post={to} hx-trigger=load hx-include=[name^=c] hx-vals=\'{{"permissions":["x"',
        '"roles.manage"',
        '"users.edit"]}\'>',
    ]


@pytest.fixture
def at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    worker.at_hand(monkeypatch)


def make_strange_file(*values: str, heading: str = "NICKNAME") -> bytes:
    """A file with a column that no page knows, and these values in it."""
    rows = [{**person(number), heading: value} for number, value in enumerate(values, 20)]
    head = list(rows[0])
    lines = [head, *([row[name] for name in head] for row in rows)]
    return "\r\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines).encode()


def preview(client: Client, file: bytes, name: str = "roster.csv") -> str:
    """Uploads the file; gives the address of its preview."""
    sent = {"mode": "update", "do": "preview", "file": SimpleUploadedFile(name, file)}
    return client.post(PAGE, sent).headers["Location"]


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.usefixtures("at_work")
def test_a_value_of_an_unknown_column_is_text(springfield: Springfield, client: Client) -> None:
    springfield.registered(1)
    sign_in(client, "user.1")
    values = proof("/springfield/roles/1/")
    heading = "<marquee onstart=alert(1)>"
    page = client.get(f"{preview(client, make_strange_file(*values, heading=heading))}/match").content.decode()
    read = _Elements()
    read.feed(page)
    assert all(html.escape(value) in page for value in values)
    assert {name for name in read.attributes if name.startswith(("hx-", "on"))} == {"hx-disable"}
    assert not read.names & {"i", "marquee"}


@pytest.mark.any_database
@pytest.mark.usefixtures("at_work")
def test_in_a_browser_a_file_sends_nothing(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    enter(page, "user.1")
    role = models.Role.objects.get(agency=springfield.agency, name="Chief")
    before = list(role.permissions)
    page.goto(PAGE)
    file = make_strange_file(*proof(f"/springfield/roles/{role.pk}/"))
    page.set_input_files("[name=file]", {"name": "roster.csv", "mimeType": "text/csv", "buffer": file})
    sent = list_posts(page)
    page.get_by_role("button", name="Preview").click()
    page.wait_for_url("**/imports/*")
    page.get_by_role("link", name="Match columns and values").click()
    assert page.get_by_text("<i hx-post=").is_visible()
    page.wait_for_timeout(300)
    assert [address for address in sent if "/roles/" in address] == []
    role.refresh_from_db()
    assert role.permissions == before


def list_posts(page: Page) -> list[str]:
    """The addresses that the page sends anything but a GET to, from here on."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method != "GET" else None)
    return sent


INJECTED = "".join(
    f"<i {attributes}>x</i>"
    for attributes in (
        "hx-post=/springfield/sign-out hx-trigger=load hx-include=[name^=csrf]",
        "data-hx-post=/springfield/sign-out data-hx-trigger=load data-hx-include=[name^=csrf]",
        "hx-delete=/springfield/sign-out hx-trigger='every 100ms'",
        "hx-post=/springfield/sign-out hx-trigger='load' hx-disable=false",
        'hx-on:htmx:load=\'htmx.ajax("POST", "/springfield/sign-out")\'',
        "hx-boost=true hx-post=/springfield/sign-out hx-trigger=revealed",
    )
)
_CELL = 'aria-label="Select First 1 Last 1, E-1"></td>'
PLACES = {
    "a cell": (_CELL, f"{_CELL}{INJECTED}"),
    "a cell that closes all around it": (
        _CELL,
        f"{_CELL}</td></tr></table></form></div></main></body></html>{INJECTED}",
    ),
    "a form": ('<form id="selection"', f'{INJECTED}<form id="selection"'),
    "another body": (_CELL, f"{_CELL}<body hx-disable=false>{INJECTED}"),
}


def inject(page: Page, old: str, new: str) -> None:
    """From here on, All Users arrives with this markup in it, as if something had left it unescaped."""

    def alter(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace(old, new, 1))

    page.route("**/springfield/users/*", alter)


@pytest.mark.any_database
@pytest.mark.parametrize("place", PLACES)
def test_markup_that_got_into_a_page_would_send_nothing(page: Page, springfield: Springfield, place: str) -> None:
    springfield.registered(1)
    enter(page, "user.1")
    inject(page, *PLACES[place])
    sent = list_posts(page)
    page.goto("/springfield/users/")
    assert page.locator("i").count() >= 5
    page.locator("i").first.click()
    page.wait_for_timeout(400)
    assert sent == []
    # The same in a part of the page that htmx has replaced.
    with page.expect_response("**/springfield/users/?*"):
        page.fill("#id_q", "First")
    page.wait_for_timeout(400)
    assert sent == []
    assert page.locator("#results").first.inner_text().startswith(("1–1", "1–3", "3 users", "1 user"))


@pytest.mark.any_database
def test_without_this_guard_it_would(page: Page, springfield: Springfield) -> None:
    springfield.registered(1)
    enter(page, "user.1")
    inject(page, "<body hx-disable", f"<body>{INJECTED}<span")
    page.route("**/sign-out", lambda route: route.fulfill(status=204))
    sent = list_posts(page)
    page.goto("/springfield/users/")
    page.wait_for_timeout(400)
    assert sent
