"""The catalogs of messages: `python -m scripts.messages` updates and compiles them, and says what is not translated.

Texts are found in templates, in the code (calls of gettext), and in the data of `core`, which knows no gettext.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po, write_po

from scripts import catalogs, program
from scripts.core_messages import list_core_messages

PRODUCT = catalogs.ROOT / "musterbook"
KEYWORDS: dict[str, Any] = {
    **dict.fromkeys(("gettext", "gettext_lazy", "gettext_noop", "_")),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
"""The functions whose texts are extracted, and which of their arguments those are."""
_TRANSLATORS = ("Translators:",)
_CALL = re.compile(rf"\b(?:{'|'.join(KEYWORDS)})\s*\(")


def extract() -> Catalog:
    """Return a catalog of every text of the product, with the files that contain it."""
    template = Catalog(charset="utf-8")
    for path in sorted(PRODUCT.rglob("*.py")):
        if "migrations" not in path.parts:
            _add_source(template, path, path.read_bytes())
    for path in sorted(PRODUCT.rglob("templates/**/*.*")):
        _add_source(template, path, _read_template(path).encode())
    for place, texts, context in list_core_messages():
        template.add(texts[0] if len(texts) == 1 else texts, context=context, locations=[(place, 0)])
    return template


def _add_source(template: Catalog, path: Path, source: bytes) -> None:
    """Add the messages of one source of Python. To look for them takes far longer than to see that there is none."""
    if not _CALL.search(source.decode()):
        return
    place = path.relative_to(catalogs.ROOT).as_posix()
    found: Any = extract_python(io.BytesIO(source), KEYWORDS, _TRANSLATORS, {})
    for line, function, arguments, comments in found:
        texts = [text for text in _as_tuple(arguments) if isinstance(text, str)]
        context = texts.pop(0) if function in _WITH_CONTEXT else None
        if texts:
            template.add(
                tuple(texts[:2]) if function in _WITH_PLURAL else texts[0], context=context, locations=[(place, line)],
                auto_comments=[re.sub(r"\s+", " ", comment) for comment in comments],
            )  # fmt: skip


_WITH_CONTEXT = {name for name in KEYWORDS if name.startswith(("pgettext", "npgettext"))}
_WITH_PLURAL = {name for name in KEYWORDS if name.startswith(("ngettext", "npgettext"))}


def _read_template(path: Path) -> str:
    """Return the calls of gettext that a template means, one a line, as Django's `makemessages` finds them."""
    from django.utils.translation.template import templatize

    calls = templatize(path.read_text(encoding="utf-8"), origin=str(path))
    return "\n".join(line.strip() for line in calls.splitlines() if "gettext(" in line or " _(" in line)


def update() -> list[Path]:
    """Write every catalog: new texts without a translation, and no texts that are gone."""
    template = extract()
    for path in catalogs.list_catalogs():
        catalog = read_catalog(path)
        catalog.update(template, no_fuzzy_matching=True, update_header_comment=False)
        catalog.obsolete.clear()
        for message in catalog:
            if message.id and message.fuzzy:  # guessed, by this or another tool
                message.flags.discard("fuzzy")
                message.string = ("",) * 2 if message.pluralizable else ""
        _write(path, catalog)
    return catalogs.list_catalogs()


def read_catalog(path: Path) -> Catalog:
    """Return a catalog as people edited it."""
    with path.open("rb") as file:
        return read_po(file, locale=path.parts[-3])


def _write(path: Path, catalog: Catalog) -> None:
    """Write the catalog without lines and dates, which would change with every edit of the code."""
    for message in catalog:
        message.locations = [(name, None) for name in sorted({name for name, _ in message.locations})]  # type: ignore[misc]  # its stubs want a line
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=120, include_lineno=False, sort_output=True, ignore_obsolete=True, omit_header=True)
    path.write_text(f"{_make_header(path)}\n{buffer.getvalue().decode().strip()}\n", encoding="utf-8")


def _make_header(path: Path) -> str:
    language = path.parts[-3]
    fields = [
        ("Language", language), ("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=UTF-8"),
        ("Content-Transfer-Encoding", "8bit"), ("Plural-Forms", "nplurals=2; plural=(n != 1);"),
    ]  # fmt: skip
    lines = "".join(f'"{name}: {value}\\n"\n' for name, value in fields)
    return f'msgid ""\nmsgstr ""\n{lines}'


def list_faults(path: Path, places: tuple[str, ...] = ("",)) -> Iterator[str]:
    """Yield each text that the catalog does not have, or has without a translation.

    `places`: the beginnings of the paths whose texts are looked at.
    """
    catalog = read_catalog(path)
    for message in extract():
        if message.id and any(name.startswith(places) for name, _ in message.locations):
            known = catalog.get(message.id, message.context)
            if known is None or not is_translated(known):
                yield f"{message.locations[0][0]}: {message.id}"


def is_translated(message: Message) -> bool:
    """Return whether each form of the message has a translation that a person has checked."""
    return all(_as_tuple(message.string)) and not message.fuzzy


def _as_tuple(texts: Any) -> tuple[Any, ...]:
    return tuple(texts) if isinstance(texts, tuple | list) else (texts,)


def main() -> int:
    """Update and compile the catalogs, and print how much of each is translated."""
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musterbook.config.settings")
    django.setup()
    for path in update():
        catalogs.compile_catalog(path)
        catalog = read_catalog(path)
        texts = [message for message in catalog if message.id]
        done = sum(map(is_translated, texts))
        print(f"{path.relative_to(catalogs.ROOT)}: {done} of {len(texts)} texts are translated")
    return 0


if __name__ == "__main__":
    with program.run(__doc__):
        sys.exit(main())
