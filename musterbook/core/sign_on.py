"""Who signs in by a provider that knows them by their e-mail address, and is given another: their row says so."""

import polars as pl

from musterbook.core import email
from musterbook.core.columns import EMAIL
from musterbook.core.problems import frame as none_found
from musterbook.core.vocabulary import Vocabulary


def moved(rows: pl.DataFrame, vocabulary: Vocabulary) -> pl.DataFrame:
    """The notes of rows that change the address of a registered user, where the agency's provider matches by it."""
    if not vocabulary.matched_by_email:
        return none_found()
    changed = rows.filter("ok", "was_registered", "active", pl.col("email") != pl.col("was_email"))
    return changed.filter(email.mailboxes(changed["email"]) != email.mailboxes(changed["was_email"])).select(
        "row", code=pl.lit("sign-on-address"), column=pl.lit(EMAIL.heading), value=pl.col("email"),
        detail=pl.col("was_email"), hint=pl.lit(""),
    )  # fmt: skip
