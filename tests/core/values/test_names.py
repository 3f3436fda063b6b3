"""Names in cells: roles, ranks and groups (rules C6 and C7)."""

import polars as pl

from musterbook.core.domain.vocabulary import Rank, Role
from musterbook.core.values import names


def test_a_ranks_name_goes_before_anothers_abbreviation_and_the_first_before_the_second() -> None:
    known = names.index_ranks(
        [Rank(1, "Sergeant", "Sgt"), Rank(2, "SGT", "S"), Rank(3, "Sheriff", "s"), Rank(4, "Chief")]
    )
    assert known == {"sergeant": 1, "sgt": 2, "sheriff": 3, "chief": 4, "s": 2}


def test_a_blank_names_nothing() -> None:
    ids = names.index_roles([Role(1, "Officer")])
    assert names.resolve_names(pl.Series(["officer", "", "x"]), ids).to_list() == [1, None, None]
    assert names.resolve_names(pl.Series(["Officer"]), {"Officer": 1}, exact=True).to_list() == [1]
    assert names.resolve_names(pl.Series(["officer"]), {"Officer": 1}, exact=True).to_list() == [None]


def test_at_most_three_close_names_are_suggested() -> None:
    known = {name: name for name in ("Officer", "Officers", "Office", "Officier", "Chief")}
    assert names.suggest_names("oficer", known).count(" or ") == 2
    assert names.suggest_names("Zz", known) == ""


def test_a_rank_is_suggested_once_though_its_name_and_its_abbreviation_are_both_close() -> None:
    known = {"Sergeant": "Sergeant", "Sergt": "Sergeant"}
    assert names.suggest_names("Sergant", known) == "Did you mean Sergeant?"


def test_c13_a_name_that_looks_like_a_known_one_is_suggested_with_the_character_that_differs() -> None:
    suggestion = names.suggest_names("Officer\u2013II", {"Officer-II": "Officer-II"})
    assert suggestion == "Did you mean Officer-II? Character 8 of “Officer\u2013II” is U+2013, en dash."
