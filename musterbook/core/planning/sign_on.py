"""Who signs in by a provider that knows them by their e-mail address, and is given another: their row says so."""

import polars as pl

from musterbook.core.domain.columns import EMAIL
from musterbook.core.domain.problems import frame as none_found
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.values import emails


def moved(rows: pl.DataFrame, vocabulary: Vocabulary) -> pl.DataFrame:
    """The notes of rows that change the address of a registered user, where the agency's provider matches by it."""
    if not vocabulary.matched_by_email:
        return none_found()
    changed = rows.filter("ok", "was_registered", "active", pl.col("email") != pl.col("was_email"))
    return changed.filter(emails.mailboxes(changed["email"]) != emails.mailboxes(changed["was_email"])).select(
        "row", code=pl.lit("sign-on-address"), column=pl.lit(EMAIL.heading), value=pl.col("email"),
        detail=pl.col("was_email"), hint=pl.lit(""),
    )  # fmt: skip
