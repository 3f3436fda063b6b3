"""Every text can be translated, and the catalogs have what is finished: nothing stale, fuzzy, missing or malformed."""

import gettext
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo

from scripts import catalogs, messages
from tests import untranslated
from tests.messages import find_aliases, find_in_f_strings, find_in_module, find_in_template

ROOT = Path(__file__).parents[1]
_PRODUCT = ROOT / "musterbook"
_LIBRARY = "musterbook/web/templates/allauth/"
_TEMPLATES = sorted(path for path in _PRODUCT.rglob("templates/**/*.*") if _LIBRARY not in path.as_posix())
_MODULES = sorted(
    path
    for part in ("web", "http", "accounts", "cli", "directory")
    for path in (_PRODUCT / part).rglob("*.py")
    if "migrations" not in path.parts
)
_HOLES = re.compile(r"%\(\w+\)[sd]|{\w+(?::,)?}|</?\w+[^>]*>")


@cache
def _read(path: Path) -> Catalog:
    """Return a catalog, which no test changes."""
    return messages.read_catalog(path)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _list_found(paths: Iterable[Path], find: Callable[[Path], list[str]]) -> dict[str, list[str]]:
    """Return what is found in the files that have something of it. A test for each file would take longer to begin."""
    assert paths
    return {_name(path): found for path in paths if (found := find(path))}


def test_every_text_of_a_template_can_be_translated() -> None:
    found = _list_found(_TEMPLATES, find_in_template)
    assert {name: texts for name, texts in found.items() if name not in untranslated.TEMPLATES} == {}


def test_every_text_that_a_module_gives_a_page_or_a_command_goes_through_gettext() -> None:
    found = _list_found(_MODULES, find_in_module)
    assert {name: texts for name, texts in found.items() if name not in untranslated.MODULES} == {}


def test_a_text_that_cannot_be_translated_is_found(tmp_path: Path) -> None:
    template = tmp_path / "page.html"
    template.write_text(
        '<p class="a">{{ name }} was added</p>{% translate "Fine" %}<a aria-label="Remove {{ x }}" href="{% url \'y\' %}">·</a>'
        "{% blocktranslate %}Fine, too{% endblocktranslate %}<script>var words</script><b>CSV</b>"
    )
    assert find_in_template(template) == ["… was added", "Remove …"]
    module = tmp_path / "page.py"
    module.write_text(
        'x = Field(label="Name", help_text=_("Fine"))\nmessages.success(request, f"{x} is saved.")\n'
        'form.add_error("name", "Write a name." if y else "")\n_LOG.info("a line of the log")\n'
        'class Form:\n    title = "The name"\n    code = "name"\n'
    )
    assert [line.split(":")[0] for line in find_in_module(module)] == ["line 1", "line 2", "line 3", "line 6"]


def test_a_module_imports_gettext_by_a_name_that_the_extraction_knows() -> None:
    """The texts of a call by another name would be in no catalog."""
    assert _list_found(sorted(_PRODUCT.rglob("*.py")), find_aliases) == {}


def test_no_text_is_translated_within_an_f_string() -> None:
    """The texts would be in no catalog that Python 3.11 writes."""
    assert _list_found(sorted(_PRODUCT.rglob("*.py")), find_in_f_strings) == {}


def test_a_text_that_is_translated_within_an_f_string_is_found(tmp_path: Path) -> None:
    module = tmp_path / "command.py"
    module.write_text(
        'line = f"{was or _(\'(none)\')} → {now}"\nsame = f\'{pgettext("cell", "blank")}\'\n'
        'fine = f"{_(about)} {words.gettext(about)} {{_(1)}}" + _("fine")\n'
    )
    assert find_in_f_strings(module) == ["line 1: _('(none)')", "line 2: pgettext('cell', 'blank')"]


def test_a_text_of_a_command_and_an_alias_of_gettext_are_found(tmp_path: Path) -> None:
    module = tmp_path / "command.py"
    module.write_text(
        "from django.utils.translation import gettext as _\nfrom django.utils.translation import gettext_lazy as lazy\n"
        "from django.utils.translation import ngettext as _\n"
        'say(f"{path} was written.")\nraise InvalidAgencyFile(["The file is wrong."])\nFinding("audit trail", _("whole"))\n'
    )
    assert find_aliases(module) == ["gettext_lazy as lazy", "ngettext as _"]
    assert [line.split(":")[0] for line in find_in_module(module)] == ["line 4", "line 5"]


def test_files_that_are_not_translatable_yet_exist() -> None:
    assert [name for name in untranslated.TEMPLATES | untranslated.MODULES if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", catalogs.list_catalogs(), ids=_name)
def test_a_catalog_has_every_text_of_what_is_finished(path: Path) -> None:
    """If this fails: run `python -m scripts.messages`, and translate what it added."""
    assert list(messages.list_faults(path, untranslated.FINISHED)) == []


@pytest.mark.parametrize("path", catalogs.list_catalogs(), ids=_name)
def test_a_translation_has_the_parameters_and_the_markup_of_its_text(path: Path) -> None:
    catalog = _read(path)
    assert [message.id for message in catalog if message.id and not _fits(message)] == []


def _fits(message: Message) -> bool:
    """Return whether each translation has what its text has; a singular may leave out the number."""
    wanted = [set(_HOLES.findall(text)) for text in _as_list(message.id)]
    texts = [set(_HOLES.findall(text)) for text in _as_list(message.string) if text]
    return all(text in wanted for text in texts) and texts[-1:] in ([], wanted[-1:])


@pytest.mark.parametrize("path", catalogs.list_catalogs(), ids=_name)
def test_a_compiled_catalog_is_what_babel_and_python_read(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    compiled = catalogs.compile_catalog(copy)
    with compiled.open("rb") as file:
        read = read_mo(file)
    ours = _list_texts(_read(path))
    assert _list_texts(read) == ours and ours
    with compiled.open("rb") as file:
        assert gettext.GNUTranslations(file).gettext("Hello,") == "Hola:"


def _list_texts(catalog: Catalog) -> dict[str, list[str]]:
    return {
        f"{message.context} {_as_list(message.id)}": _as_list(message.string)
        for message in catalog
        if message.id and messages.is_translated(message)
    }


def _as_list(texts: Any) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def test_a_catalog_that_is_newer_than_its_compiled_file_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogs, "LOCALE", tmp_path)
    source = tmp_path / "es" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    source.write_text('msgid ""\nmsgstr "Language: es\\n"\n\n#, fuzzy\nmsgid "a"\nmsgstr "b"\n\nmsgid "c"\nmsgstr ""\n')
    assert catalogs.compile_stale() == [source.with_suffix(".mo")]
    assert catalogs.compile_stale() == []
    assert catalogs.read_messages(source.read_text()) == {"": "Language: es\n"}
