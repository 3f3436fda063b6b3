"""The hash chain: the text of an event, and the digest of a link that covers its events and all links before.

Digests are HMAC-SHA256 by a key that is not in the database (`config.secret_keys`), so write access to the database
alone is not enough to make one. Links from before trails had keys have plain SHA-256; the first keyed link covers the last of
them.
"""

import hashlib
import hmac
from typing import Protocol

import polars as pl

from musterbook.config import secret_keys
from musterbook.directory import models

SEALED = {
    "id": pl.Int64,
    "agency_id": pl.Int64,
    "at": pl.String,
    "actor": pl.String,
    "through": pl.String,
    "address": pl.String,
    "kind": pl.String,
    "subject_id": pl.Int64,
    "subject_external_id": pl.String,
    "of_id": pl.Int64,
    "row": pl.Int64,
    "changes": pl.String,
}
"""The columns of an event, all of which its link seals."""

ALSO = {"agent": pl.String, "outcome": pl.String}
"""Columns that most events leave empty: sealed if one of them, or of LATER, is not empty."""

LATER = {"session": pl.String, "request": pl.String}
"""Columns that older events lack: sealed, after ALSO, if they are not empty."""

START = "0" * 64
"""The value that replaces the digest before the first link."""

_PURPOSE = "audit trail"


class Digest(Protocol):
    """An object that computes the digest of a link."""

    def update(self, data: bytes, /) -> None:
        """Add bytes that the digest covers."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes added."""


def read_head(agency: models.Agency) -> tuple[int, str]:
    """Return the number of links in the agency's trail, by its chain head, and the digest of the last."""
    heads = models.TrailEnd.objects.filter(agency=agency).order_by("-links")
    return heads.values_list("links", "digest").first() or (0, START)


def list_heads(agency: models.Agency | None = None) -> list[tuple[str, int, str]]:
    """Return the chain head of each agency, or of one: its slug, the number of links, and the digest of the last."""
    agencies = models.Agency.objects.order_by("slug")
    return [(one.slug, *read_head(one)) for one in ([agency] if agency else agencies)]


def derive_keys() -> dict[str, bytes]:
    """Return the keys of trails by name: the current one first, then those that only verify what they sealed."""
    return {key.name: key.derive(_PURPOSE) for key in secret_keys.ring()}


def begin_digest(before: str, key: bytes | None) -> Digest:
    """Begin the digest of the link after the one with the digest `before`.

    `key`: None for a link from before trails had keys.
    """
    if key is None:
        return hashlib.sha256(before.encode())
    return hmac.new(key, f"{before}\n".encode(), "sha256")


def finish_digest(digest: Digest, link: models.TrailLink) -> str:
    """Complete the digest of a link whose events were added.

    If a key seals the link, the digest also covers the link's own columns.
    """
    if link.key:
        facts = (link.key, link.agency_id, link.number, link.first, link.last)
        digest.update("\x1f".join(map(str, facts)).encode())
    return digest.hexdigest()


def build_lines(events: pl.DataFrame) -> pl.Series:
    """Return the text of each event that its link seals: fields separated by U+001F.

    No field holds that character or a line feed (rule C1), so two different trails never have the same text.
    """
    return events.select(_make_line(events)).to_series()


def _make_line(events: pl.DataFrame) -> pl.Expr:
    fields = [pl.col(name).cast(pl.String).fill_null("") for name in SEALED]
    line = pl.concat_str(fields, separator="\x1f")
    if "agent" not in events.columns:
        return line
    empty, later = _is_empty(ALSO), _is_empty(LATER)
    return pl.concat_str(
        line,
        pl.when(empty & later).then(pl.lit("")).otherwise(_join_columns(ALSO)),
        pl.when(later).then(pl.lit("")).otherwise(_join_columns(LATER)),
    )


def _is_empty(columns: dict[str, type[pl.String]]) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) == "" for name in columns)


def _join_columns(columns: dict[str, type[pl.String]]) -> pl.Expr:
    return pl.concat_str(pl.lit(""), *columns, separator="\x1f")


def add_events(digest: Digest, events: pl.DataFrame) -> None:
    """Add events to a link's digest, each ended by a line feed."""
    for text in (events.select(_make_line(events).str.join("\n")).item(), "\n"):
        digest.update(text.encode())
