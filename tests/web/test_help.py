"""Help within the product: the documents as pages, a link from each page to its part, and shortcuts."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from musterbook.core.domain import problems
from musterbook.directory.imports.options import Options
from musterbook.web import documents, help_pages
from tests.accounts.conftest import Springfield, signed_in
from tests.directory import cast
from tests.web.conftest import enter
from tests.web.every_page import EVIL, pages
from tests.web.looks import barriers

HELP = "/springfield/help/"


@pytest.fixture
def boss(springfield: Springfield) -> Client:
    springfield.registered(1)
    return signed_in(Client(), "user.1")


def test_every_document_is_a_page_whose_links_lead_somewhere(boss: Client) -> None:
    broken = {}
    read = _open_once(boss)
    assert len(documents.list_names()) > 20
    for name in documents.list_names():
        page = read(f"{HELP}{name}")
        links = set(re.findall(r"<article.*</article>", page, re.DOTALL)[0].split('href="')[1:])
        for link in (link.split('"')[0] for link in links):
            path, _, anchor = link.partition("#")
            if path.startswith(HELP):
                target = read(path)
                if anchor and f'id="{anchor}"' not in target:
                    broken[name] = link
            elif (path or f'id="{anchor}"' not in page) and not path.startswith("https://"):
                broken[name] = link
    assert broken == {}


def _open_once(client: Client) -> Callable[[str], str]:
    """Return a function that opens an address the first time that it is asked for, and returns what the page says."""

    @cache
    def read(path: str) -> str:
        answer = client.get(path)
        return answer.content.decode() if answer.status_code == 200 else ""

    return read


def test_the_list_has_every_document(boss: Client) -> None:
    page = boss.get(HELP).content.decode()
    assert [name for name in documents.list_names() if f'href="{HELP}{name}"' not in page] == []


def test_the_help_of_each_page_is_there(boss: Client) -> None:
    missing = {}
    read = _open_once(boss)
    for name, part in help_pages.PARTS.items():
        document, _, anchor = part.partition("#")
        page = read(f"{HELP}{document}")
        if not page or (anchor and f'<h2 id="{anchor}"' not in page):
            missing[name] = part
    assert missing == {}


def test_each_page_has_help_of_its_own() -> None:
    files = {
        "export_users", "import_example", "import_results", "import_errors", "audit_export", "supervisors", "help_picture",
    }  # fmt: skip
    others = {"help", "help_document", "continue_form"}
    assert {page.name for page in pages()} - set(help_pages.PARTS) - files - others == set()


def test_each_page_of_the_menu_leads_to_its_help(boss: Client) -> None:
    without = [page.name for page in pages() if "<" not in page.route and page.name in help_pages.PARTS]
    assert len(without) > 10
    page = boss.get("/springfield/users/").content.decode()
    assert f'href="{HELP}how-to/use-the-pages#all-users"' in page


def test_every_kind_of_problem_has_an_explanation(boss: Client) -> None:
    page = boss.get(f"{HELP}reference/problems").content.decode()
    assert [code for code in problems.CATALOG if f'id="code-{code}"' not in page] == []


def test_the_kinds_of_problems_of_a_plan_lead_to_their_explanation(boss: Client, springfield: Springfield) -> None:
    done = cast.run(springfield.agency, cast.file([cast.person(4, RANK="Sargent")]), Options(preview=True))
    page = boss.get(f"/springfield/imports/{done.record.number}").content.decode()
    assert f'href="{HELP}reference/problems#code-unknown-rank"' in page
    refused = cast.run(springfield.agency, b"", Options(preview=True))
    page = boss.get(f"/springfield/imports/{refused.record.number}").content.decode()
    assert f'href="{HELP}reference/problems#code-empty-file"' in page


def test_a_document_leads_to_the_agency_of_its_reader(boss: Client, springfield: Springfield) -> None:
    shelbyville = Springfield(cast.agency("shelbyville"))
    shelbyville.imported(cast.person(1, ROLE="Admin"))
    shelbyville.registered(1)
    there = signed_in(Client(), "user.1", agency="shelbyville")
    name = "how-to/use-the-pages"
    assert "/springfield/help/how-to/audit" in boss.get(f"{HELP}{name}").content.decode()
    page = there.get(f"/shelbyville/help/{name}").content.decode()
    assert "/shelbyville/help/how-to/audit" in page
    assert "springfield" not in page


@pytest.mark.parametrize(
    "name",
    ["nothing", "../README", "how-to/../../README", "how-to/..%2f..%2fREADME", "reference/modules", "how-to/mail.md"],
)
def test_nothing_else_is_readable(boss: Client, name: str) -> None:
    assert boss.get(f"{HELP}{name}").status_code == 404


def test_pictures_of_the_documents_are_shown_and_no_other_file(boss: Client) -> None:
    answer = boss.get(f"{HELP}pictures/second-night.svg")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
    for name in ("nothing.png", "..%2ftutorial.md", ".."):
        assert boss.get(f"{HELP}pictures/{name}").status_code == 404


def test_markup_in_a_document_stays_text(boss: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "FOLDER", tmp_path)
    monkeypatch.setattr(documents, "list_names", lambda: ("tutorial",))
    (tmp_path / "tutorial.md").write_text(f"# A title {EVIL}\n\n{EVIL}\n\n[x](javascript:alert) [y](../../x.md)")
    documents._read.cache_clear()
    page = boss.get(f"{HELP}tutorial").content.decode()
    documents._read.cache_clear()
    assert "A title" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert 'href="javascript' not in page


@pytest.mark.any_database
def test_help_has_no_barriers(springfield: Springfield, page: Page) -> None:
    springfield.registered(1)
    for path in ("help/", "help/how-to/use-the-pages", "help/reference/problems"):
        enter(page, "user.1", path)
        assert barriers(page) == [], path


@pytest.mark.any_database
def test_keys_lead_to_the_search_and_to_pages_and_can_be_turned_off(springfield: Springfield, page: Page) -> None:
    springfield.registered(1)
    enter(page, "user.1", "users/")
    page.keyboard.press("/")
    expect(page.locator("main input[type=search]").first).to_be_focused()
    page.keyboard.type("g?/h")
    expect(page.locator("main input[type=search]").first).to_have_value("g?/h")
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert barriers(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/users/import")
    page.goto("/springfield/my-account/")
    page.get_by_label("Use keyboard shortcuts").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Save").first.click()
    page.goto("/springfield/users/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
