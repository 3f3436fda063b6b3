"""Compile the catalogs of messages: from a .po file, which people edit, to a .mo file, which Python reads.

It uses the standard library alone, so that a checkout and a package are made without the tools of development.
"""

from __future__ import annotations

import ast
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "musterbook" / "locale"
_CONTEXT, _PLURAL = "\x04", "\0"
_MAGIC = 0x950412DE


def list_catalogs() -> list[Path]:
    """Return the catalogs of all languages."""
    return sorted(LOCALE.glob("*/LC_MESSAGES/*.po"))


def compile_stale() -> list[Path]:
    """Compile the catalogs that are newer than their compiled file. Return these files."""
    stale = [path for path in list_catalogs() if _is_stale(path)]
    return [compile_catalog(path) for path in stale]


def compile_catalog(path: Path) -> Path:
    """Write the compiled file of a catalog, and return its path. Another process sees the whole file, or the old one."""
    target = path.with_suffix(".mo")
    draft = target.with_suffix(".mo.draft")
    draft.write_bytes(pack(read_messages(path.read_text(encoding="utf-8"))))
    draft.replace(target)
    return target


def _is_stale(path: Path) -> bool:
    target = path.with_suffix(".mo")
    return not target.exists() or target.stat().st_mtime < path.stat().st_mtime


def read_messages(text: str) -> dict[str, str]:
    """Return the key and the translation of each message, as gettext packs them. Leave out fuzzy and missing ones."""
    messages: dict[str, str] = {}
    for block in text.split("\n\n"):
        fields, fuzzy = _read_block(block)
        translations = [value for name, value in fields.items() if name.startswith("msgstr")]
        if not fuzzy and "msgid" in fields and all(translations):
            key = fields["msgid"] + (_PLURAL + fields["msgid_plural"] if "msgid_plural" in fields else "")
            key = fields["msgctxt"] + _CONTEXT + key if "msgctxt" in fields else key
            messages[key] = _PLURAL.join(translations)
    return messages


def _read_block(block: str) -> tuple[dict[str, str], bool]:
    """Return the fields of one message, and whether it is marked as fuzzy."""
    fields: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if line.startswith('"'):
            fields[name] += ast.literal_eval(line)
        elif line.startswith("msg"):
            name, _, value = line.partition(" ")
            fields[name] = ast.literal_eval(value)
    return fields, any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())


def pack(messages: dict[str, str]) -> bytes:
    """Return the compiled file: a header, two tables of lengths and positions, and the texts, sorted by their bytes."""
    pairs = sorted((key.encode(), value.encode()) for key, value in messages.items())
    table = 28
    position = table + 16 * len(pairs)
    tables: list[bytes] = []
    texts: list[bytes] = []
    for part in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[part]), position))
            texts.append(pair[part] + b"\0")
            position += len(pair[part]) + 1
    header = struct.pack("<7I", _MAGIC, 0, len(pairs), table, table + 8 * len(pairs), 0, 0)
    return header + b"".join(tables) + b"".join(texts)
