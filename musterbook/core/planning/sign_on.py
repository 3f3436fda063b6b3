"""Notes for users whose identity provider identifies them by email address, and whose address changes."""

import polars as pl

from musterbook.core.domain.columns import EMAIL
from musterbook.core.domain.problems import frame as none_found
from musterbook.core.domain.vocabulary import Vocabulary
from musterbook.core.values import emails


def moved(rows: pl.DataFrame, vocabulary: Vocabulary) -> pl.DataFrame:
    """Return the notes of rows that change the address of a registered user.

    There are none unless the identity provider of the agency matches users by address.
    """
    if not vocabulary.matched_by_email:
        return none_found()
    changed = rows.filter("ok", "was_registered", "active", pl.col("email") != pl.col("was_email"))
    return changed.filter(emails.mailboxes(changed["email"]) != emails.mailboxes(changed["was_email"])).select(
        "row", code=pl.lit("sign-on-address"), column=pl.lit(EMAIL.heading), value=pl.col("email"),
        detail=pl.col("was_email"), hint=pl.lit(""),
    )  # fmt: skip
