"""Commands speak the language of the terminal. JSON is English for programs."""

import re

import pytest

from musterbook.cli import import_output, language
from musterbook.config import languages
from musterbook.directory.imports import records
from tests.cli.conftest import AGENCY, Muster, row

ROW = row("ann", rank="Sargent")
pytestmark = pytest.mark.any_database


def test_problems_are_in_the_language_of_the_terminal_and_json_is_english(
    springfield: Muster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "es_US.UTF-8")
    said = springfield("import", springfield.file(ROW), "--agency", "springfield-pd", "--preview")
    assert "El rango “Sargent” no existe." in said.text and "¿Quiso decir Sergeant?" in said.text
    answer = springfield.imported(ROW).json
    assert answer["rows"][0]["problems"][0]["message"] == "There is no rank “Sargent”."


def test_changes_of_an_agency_are_in_the_language_of_the_terminal(
    springfield: Muster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "es")
    file = springfield.folder / "agency.toml"
    for zone, change in (
        ("America/Chicago", "(ninguno) → America/Chicago"),
        ("", "America/Chicago → (eliminado)"),
    ):
        file.write_text(f'time_zone = "{zone}"\n{AGENCY}', encoding="utf-8")
        assert f"time_zone: {change}" in springfield("agency", "apply", file).text


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "es_MX.UTF-8"}, "es"),
        ({"LC_ALL": "", "LC_MESSAGES": "es", "LANG": "en_US.UTF-8"}, "es"),
        ({"LC_ALL": "C", "LC_MESSAGES": "es", "LANG": "es"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "de_DE.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": ""}, "en"),
    ],
)
def test_the_language_is_found_as_other_programs_find_it(
    variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert languages.find_terminal_language() == language


class Loud:
    """A language in which every text is in capital letters, and its parameters are as they were."""

    def gettext(self, message: str) -> str:
        """Return the text in capital letters."""
        return "".join(part if part.startswith("%(") else part.upper() for part in re.split(r"(%\(\w+\)s)", message))

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Return the form for the number in capital letters."""
        return self.gettext(singular if number == 1 else plural)


def test_errors_and_results_of_commands_are_in_the_language_of_the_terminal(
    springfield: Muster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musterbook.cli.language.catalogs.translation", lambda *_, **__: Loud())
    monkeypatch.setenv("LC_ALL", "es")
    assert "THERE IS NO AGENCY “nowhere”" in springfield("export", "--agency", "nowhere").err
    assert (
        "THERE IS NO USER WITH THE EXTERNAL ID “E-none”"
        in springfield("invite", "--agency", "springfield-pd", "E-none").err
    )
    assert "CANNOT BE READ" in springfield("import", "none.csv", "--agency", "springfield-pd").err
    assert (
        "USERS WERE WRITTEN"
        in springfield("export", "--agency", "springfield-pd", "--to", springfield.folder / "users.csv").err
    )
    monkeypatch.setenv("LC_ALL", "C")
    assert "There is no agency “nowhere”" in springfield("export", "--agency", "nowhere").err


def test_each_count_of_an_import_has_words_in_the_language_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = import_output.ReportFacts((), {}, None, "")
    english = {name: facts.words.get(name, name) for name in records.COUNTS}
    monkeypatch.setenv("LC_ALL", "es")
    with language.speak():
        assert [name for name, text in english.items() if facts.words.get(name, name) == text] == []
