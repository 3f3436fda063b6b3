"""The decisions of the operator on rows that are errors otherwise."""

import pytest

from musterbook.core.domain.decisions import UnknownDecision, merge_by_row, parse_accepted


def test_accepted_codes_are_parsed() -> None:
    accepted = parse_accepted(["looks-damaged", "identity-change=other", "looks-damaged"])
    assert accepted == {"looks-damaged": "", "identity-change": "other"}


@pytest.mark.parametrize(
    "texts",
    [["looks-damage"], ["identity-change"], ["identity-change=x"], ["looks-damaged=same"],
     ["identity-change=same", "identity-change=other"]],
)  # fmt: skip
def test_what_cannot_be_accepted_is_refused(texts: list[str]) -> None:
    with pytest.raises(UnknownDecision):
        parse_accepted(texts)


def test_decisions_by_row_add_up() -> None:
    before = {"2": {"looks-damaged": "EMAIL", "identity-change": "same"}}
    now = {"2": {"looks-damaged": "EMAIL,LOCATION", "identity-change": "other"}, "3": {"identity-change": "same"}}
    assert merge_by_row(before, now) == {
        "2": {"looks-damaged": "EMAIL,LOCATION", "identity-change": "other"},
        "3": {"identity-change": "same"},
    }
