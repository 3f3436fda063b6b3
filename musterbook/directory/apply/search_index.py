"""The search: finds the users who have every word of a text in one of their searched fields.

The fields are the name, email address, username, badge and external ID. An index of parts of words would make an
import much slower. So the folded texts of users are packed into chunks, and a search scans the agency's chunks in the
database. Users with neighboring ids share one chunk, with one line for each user.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import polars as pl
from django.db import connection, transaction

from musterbook.core.values.search_keys import fold_text, fold_texts
from musterbook.directory import models
from musterbook.directory.storage import frames

SEARCHED = ("email", "first_name", "last_name", "username", "badge_number", "external_id")

_WIDTH = 24
"""The number of ids that share a chunk: its 2 kB stay whole within a row of PostgreSQL's."""

_SLOT = pl.col("id") // _WIDTH

# No text holds a control character (rule C1), and no word of a search does.
_LINE, _FIELD = "\x1e", "\x1f"
_LONGEST_KEY = 200
_LONGEST_WORD = 5_000
"""No folded field is longer, and a pattern on SQLite may not be much longer."""

_FREQUENT = "eanirtosldhcumgybkpfwvjzxq"
_SURE, _LET_GO = 3, 5
_ESCAPED_LIKE, _BACKSLASHED = re.compile(r"[\\%_]"), r"\\\g<0>"
_ESCAPED_GLOB, _BRACKETED = re.compile(r"[*?\[]"), r"[\g<0>]"
_SCANNED = 4
_FETCHED = 300


def split_words(text: str) -> tuple[str, ...]:
    """Return the words to search for, folded, the longest first."""
    return tuple(sorted(set(fold_text(text).split()), key=len, reverse=True))


def build_name_keys(users: pl.DataFrame) -> pl.Series:
    """Return the key that sorts each user in a list by name.

    It is the last name, then the first name, folded, and cut so that an index can hold it.
    """
    last, first = (fold_texts(users[name]) for name in ("last_name", "first_name"))
    return (last + _FIELD + first).str.slice(0, _LONGEST_KEY).alias("name_key")


def build_lines(users: pl.DataFrame) -> pl.Series:
    """Return the searched text of each user as one line.

    A field that is part of the email address adds nothing, and is left out.
    """
    email, *others = (fold_texts(users[name]).alias(name) for name in SEARCHED)
    fields = pl.DataFrame([email, *others])
    parts = [
        pl.when(pl.col("email").str.contains(pl.col(field.name), literal=True))
        .then(pl.lit(""))
        .otherwise(_FIELD + pl.col(field.name))
        for field in others
    ]
    return fields.select(pl.concat_str("email", *parts).alias("line")).to_series()


def filter_users(users: pl.DataFrame, terms: Sequence[str]) -> pl.DataFrame:
    """Return the users (SEARCHED) who have all the words."""
    if not terms:
        return users
    if not all(map(_is_possible, terms)):
        return users.clear()
    line = pl.col("line").str
    matching = users.select(line=build_lines(users)).select(
        pl.all_horizontal(line.contains(word, literal=True) for word in terms)
    )
    return users.filter(matching.to_series())


def _is_possible(word: str) -> bool:
    """Return whether any text can hold the word. A surrogate (Cs) cannot be written as UTF-8."""
    return len(word) <= _LONGEST_WORD and not any(unicodedata.category(c) in ("Cc", "Cs") for c in word)


def find_ids(agency: models.Agency, terms: Sequence[str], most: int) -> list[int] | None:
    """Return the ids of the agency's users who have all the words, or None if there are more than `most`."""
    if not all(map(_is_possible, terms)):
        return []
    ids: list[int] = []
    with _scan_chunks(agency, terms[:_SCANNED]) as chunks:
        for slot, text in chunks:
            ids.extend(_find_matches(slot, text, terms))
            if len(ids) > most:
                return None
    return ids


@contextmanager
def _scan_chunks(agency: models.Agency, terms: Sequence[str]) -> Iterator[Iterator[tuple[int, str]]]:
    """Yield the chunks that hold a selective part of each word, as slot and text, as the database finds them."""
    conditions, parts = zip(*(_match_chunk(_cut_word(word)) for word in terms), strict=True)
    sql = (
        f"SELECT slot, {_select_text()} FROM {frames.table(models.SearchChunk)}"
        f" WHERE agency_id = %s AND {' AND '.join(conditions)}"
    )
    # PostgreSQL keeps a cursor only within a transaction; without one, it would return all rows at once.
    with transaction.atomic(savepoint=False), connection.chunked_cursor() as cursor:
        cursor.execute(sql, [agency.pk, *parts])
        yield itertools.chain.from_iterable(iter(lambda: cursor.fetchmany(_FETCHED), []))


def _cut_word(word: str) -> str:
    """Return the end of the word from its rarest letter on.

    Databases look for the first letter, then for the rest.
    """
    # Cut only the beginning of the word: many addresses have the same end.
    starts = range(max(1, min(_LET_GO, len(word) - _SURE) + 1))
    return word[max(starts, key=lambda start: (_rate_rarity(word[start]), -start)) :]


def _rate_rarity(character: str) -> int:
    """Return how rare a letter is. SQLite finds only ASCII letters quickly."""
    if not character.isascii():
        return -1
    return _FREQUENT.index(character) if character in _FREQUENT else 12 * (not character.isdigit())


def _match_chunk(part: str) -> tuple[str, str | bytes]:
    """Return the fastest condition in this database that a chunk holds the text, and its parameter."""
    if frames.on_postgres():
        return "text LIKE %s", f"%{_ESCAPED_LIKE.sub(_BACKSLASHED, part)}%".encode()
    if part[0].isascii():
        return "text GLOB %s", f"*{_ESCAPED_GLOB.sub(_BRACKETED, part)}*"
    return "instr(text, %s) > 0", part


def _select_text() -> str:
    return "convert_from(text, 'UTF8')" if frames.on_postgres() else "text"


def _find_matches(slot: int, text: str, terms: Sequence[str]) -> Iterator[int]:
    """Yield the ids of the users in the chunk who have all the words."""
    first, *others = terms
    at = text.find(first)
    while at >= 0:
        end = text.find(_LINE, at)
        end = len(text) if end < 0 else end
        line = text[text.rfind(_LINE, 0, at) + 1 : end]
        if all(word in line for word in others):
            yield slot * _WIDTH + text.count(_LINE, 0, at)
        at = text.find(first, end)


def update_index(agency: models.Agency, written: pl.DataFrame) -> None:
    """Update the search for the users as they have been written (`id` and SEARCHED), in the writer's transaction."""
    if written.is_empty():
        return
    new = written.select("id", line=build_lines(written))
    stored = _read_chunks(agency, new.select(_SLOT.unique()).to_series().to_list())
    before = _unpack_chunks(stored)
    changed = new.join(before, on=["id", "line"], how="anti")
    remaining = before.join(changed, on="id", how="anti").join(changed, on=_SLOT, how="semi")
    packed = _pack_users(pl.concat([remaining, changed])).join(stored.select("slot", chunk="id"), on="slot", how="left")
    frames.update(models.SearchChunk, packed.drop_nulls("chunk").select("text", id="chunk"))
    fresh = packed.filter(pl.col("chunk").is_null())
    frames.insert(models.SearchChunk, fresh.select("slot", "text", agency_id=pl.lit(agency.pk)))


def _read_chunks(agency: models.Agency, slots: list[int] | None = None) -> pl.DataFrame:
    """Return the stored chunks of the slots, or all chunks if no slots are given."""
    condition, *parameter = ("TRUE",) if slots is None else frames.match_any("slot", slots)
    return frames.read_frame(
        f"SELECT id, slot, {_select_text()} FROM {frames.table(models.SearchChunk)} WHERE agency_id = %s AND {condition}",
        [agency.pk, *parameter],
        {"id": pl.Int64, "slot": pl.Int64, "text": pl.String},
    )


def _unpack_chunks(chunks: pl.DataFrame) -> pl.DataFrame:
    """Return the users of the chunks: `id`, `line`."""
    split = chunks.select("slot", line=pl.col("text").str.split(_LINE)).explode("line")
    placed = split.select(id=pl.col("slot") * _WIDTH + pl.int_range(pl.len()).over("slot"), line="line")
    return placed.filter(pl.col("line") != "")


def _pack_users(users: pl.DataFrame) -> pl.DataFrame:
    """Return the chunks of the users (`id`, `line`): `slot`, `text`.

    A user's place in the text is the place of their id in the slot.
    """
    gaps = pl.Series([_LINE * gap for gap in range(_WIDTH)])
    ordered = users.sort("id").with_columns(slot=_SLOT, place=pl.col("id") % _WIDTH)
    neighbour = pl.col("slot") == pl.col("slot").shift(1)
    gap = pl.col("place") - pl.when(neighbour).then(pl.col("place").shift(1)).otherwise(0)
    placed = ordered.select("slot", text=pl.lit(gaps).gather(gap) + pl.col("line"))
    chunks = placed.group_by("slot", maintain_order=True).agg(pl.col("text").str.join(""))
    # PostgreSQL treats a backslash in a bytea literal as an escape.
    slashes = pl.col("text").str.replace_all("\\", "\\\\", literal=True)
    return chunks.with_columns(slashes) if frames.on_postgres() else chunks


def correct_index(agency: models.Agency) -> int:
    """Correct the chunks and name keys that differ from the users, in a transaction.

    Return the number of users whose entries were wrong.
    """
    users = _read_users(agency)
    keys = users.select("id", was="name_key", name_key=build_name_keys(users)).filter(
        pl.col("was") != pl.col("name_key")
    )
    frames.update(models.User, keys.select("id", "name_key"))
    now, before = users.select("id", line=build_lines(users)), _unpack_chunks(_read_chunks(agency))
    parts = (now.join(before, on=["id", "line"], how="anti"), before.join(now, on=["id", "line"], how="anti"))
    astray = pl.concat(part.select("id") for part in parts)
    if not astray.is_empty():
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {frames.table(models.SearchChunk)} WHERE agency_id = %s", [agency.pk])
        update_index(agency, users)
    return pl.concat([astray, keys.select("id")])["id"].n_unique()


def _read_users(agency: models.Agency) -> pl.DataFrame:
    columns = ("name_key", *SEARCHED)
    sql = f"SELECT id, {', '.join(columns)} FROM {frames.table(models.User)} WHERE agency_id = %s"
    return frames.read_frame(sql, [agency.pk], {"id": pl.Int64, **dict.fromkeys(columns, pl.String)})
