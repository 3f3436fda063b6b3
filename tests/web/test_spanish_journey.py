"""A journey in a browser that asks for Spanish: no sentence of its pages is in English."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from scripts import catalogs
from tests.accounts.conftest import GOOD, Springfield
from tests.directory import cast
from tests.directory.cast import person
from tests.web.conftest import at_localhost

_SHORT = 12
"""Texts of at most this many characters may be words of both languages, or names."""
_HOLE = re.compile(r"%\(\w+\)[sd]|{[^}]*}")
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Sentence:
    """A text in English: what stands between its values, in order."""

    parts: tuple[str, ...]

    def find_in(self, text: str) -> str:
        """Return the sentence as it is in the text, with anything in the place of its values; "" if it is not there."""
        if not all(part in text for part in self.parts):  # a hundredth of the time of a search
            return ""
        found = re.search(".{0,80}?".join(map(re.escape, self.parts)), text)
        return found.group() if found else ""


def list_english() -> list[Sentence]:
    """Return the texts that differ in Spanish."""
    path = catalogs.LOCALE / "es" / "LC_MESSAGES" / "django.po"
    found = catalogs.read_messages(path.read_text(encoding="utf-8"))
    pairs = [(key.rpartition("\x04")[2].split("\0"), text.split("\0")) for key, text in found.items()]
    texts = {english for ours, theirs in pairs for english in ours if english not in theirs}
    return [_split(text) for text in sorted(texts) if len(_HOLE.sub("", _TAG.sub("", text)).strip()) > _SHORT]


def _split(text: str) -> Sentence:
    return Sentence(tuple(part.replace("%%", "%") for part in _HOLE.split(_TAG.sub("", text).strip())))


_ENGLISH = list_english()


def find_english(page: Page) -> list[str]:
    """Return the English texts on the page: what is shown or folded, and the names of controls."""
    names = page.locator("[aria-label], [title]").evaluate_all(
        "all => all.flatMap(one => [one.getAttribute('aria-label') ?? '', one.getAttribute('title') ?? ''])"
    )
    text = " ".join([page.title(), page.locator("body").evaluate(_READ), *names])
    plain = re.sub(r"\s+", " ", text)
    return sorted({found for sentence in _ENGLISH if (found := sentence.find_in(plain))})


_READ = """body => {
    const copy = body.cloneNode(true);
    copy.querySelectorAll("script").forEach(one => one.remove());
    return copy.textContent;
}"""


@pytest.fixture
def lector(browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    """A window whose browser asks for Spanish."""
    context = browser.new_context(base_url=at_localhost(live_server), locale="es-US")
    yield context.new_page()
    context.close()


def test_an_english_sentence_is_found(lector: Page) -> None:
    lector.set_content(
        "<p>The file has 12 rows. The last one had 30.</p><button aria-label='Clear all filters'>x</button>"
    )
    assert len(find_english(lector)) == 2


class Reader:
    """Somebody who reads each page in Spanish, and notes what is in English."""

    def __init__(self, page: Page) -> None:
        self.page, self.main = page, page.get_by_role("main")
        self.english: dict[str, list[str]] = {}

    def read(self, name: str, path: str = "") -> None:
        """Go to the page, if a path is given, and note what is in English."""
        if path:
            self.page.goto(path)
        found = find_english(self.page)
        if found:
            self.english[name] = found

    def press(self, name: str | re.Pattern[str]) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).first.click()


def test_an_import_is_fixed_applied_and_undone_without_a_word_of_english(
    lector: Page, springfield: Springfield, tmp_path: Path
) -> None:
    springfield.registered(1)
    reader = Reader(lector)
    _sign_in(reader)
    _import(reader, tmp_path / "usuarios.csv")
    _apply_and_undo(reader)
    for page in ("users/", "imports/", "audit/", "my-account/", "settings/", "roles/", "notices/"):
        reader.read(page, f"/springfield/{page}")
    assert reader.english == {}


def _sign_in(reader: Reader) -> None:
    reader.read("sign in", "/springfield/sign-in")
    reader.page.get_by_label("Nombre de usuario o correo electrónico").fill("user.1")
    reader.page.locator("input[type=password]").fill(GOOD)
    reader.press("Iniciar sesión")
    reader.page.wait_for_url("**/springfield/")
    reader.read("home")


def _import(reader: Reader, path: Path) -> None:
    """Preview a file with problems, fix a cell, and see the new preview."""
    page = reader.page
    reader.read("import users", "/springfield/users/import")
    path.write_bytes(cast.file(_ROWS))
    page.get_by_label("Agregar o actualizar cuentas de usuario").check()
    page.locator("input[type=file]").set_input_files(path)
    reader.press("Vista previa")
    page.wait_for_url("**/imports/*")
    reader.read("plan")
    page.locator("#cell-3-EMAIL").fill("why@agency.example")
    page.locator("#cell-3-EMAIL").press("Tab")
    expect(page.locator("#fixes [role=status]")).to_contain_text("1 corrección sin verificar")
    reader.read("fix")
    reader.press("Volver a verificar con mis correcciones")
    expect(reader.main).to_contain_text("1 celda corregida aquí")


def _apply_and_undo(reader: Reader) -> None:
    plan = reader.page.url.partition("?")[0]
    for tile in ("errored", "added", "mailed", "noted"):
        reader.read(f"plan again, {tile}", f"{plan}?show={tile}")
    reader.press("Aplicar")
    expect(reader.main).to_contain_text("Se agreg")
    reader.read("applied")
    reader.press("Deshacer")
    expect(reader.main).to_contain_text("Deshacer una importación")
    reader.read("undo, planned")
    reader.press("Aplicar")
    expect(reader.main).to_contain_text("perdi")
    reader.read("undone")


_ROWS = [
    person(7),
    person(8, EMAIL="no address", ROLE="Oficer"),
    person(9, SUPERVISOR_EMAIL="nobody@agency.example"),
    person(10, RANK="Sargent", PHONE="12"),
    person(10),
    person(11, STATUS="Here", EVIDENCE_GROUP_EXT_ID="P"),
    person(12, EMAIL="user1@agency.example"),
    person(13, BADGE_NUMBER=""),
    person(14, FIRST_NAME="FarrÃ³w"),
]
