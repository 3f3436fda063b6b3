"""The options that a program gives: read with all errors at once, and shown as they are given."""

from typing import Any

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory.imports import given_options
from musterbook.directory.imports.given_options import InvalidOptions, read_options, show_options
from musterbook.directory.imports.options import Options

ALL: dict[str, Any] = {
    "mode": "sync", "preview": True, "strict": True, "mails": False, "source": "hr", "encoding": "windows-1252",
    "delimiter": "tab", "sheet": "Staff", "header_row": 3, "expect_rows": 40, "release_badges": False,
    "accept": ["looks-damaged", "identity-change=other"], "mapping": {"Shield": "BADGE_NUMBER", "Phone": ""},
    "values": {"STATUS": {"Terminated": "Inactive"}}, "defaults": {"ROLE": "Officer"},
    "confirm": {"deactivations": 12, "cut-off": True},
}  # fmt: skip


def test_every_option_is_read_and_shown_as_it_was_given() -> None:
    assert set(ALL) == set(given_options.NAMES)
    options = read_options(ALL)
    assert (options.mode, options.accepted) == (Mode.SYNC, {"looks-damaged": "", "identity-change": "other"})
    assert options.confirmed == {"deactivations": 12, "cut-off": None}
    assert show_options(options) == ALL


def test_what_is_not_given_stays_and_what_is_given_replaces() -> None:
    usual = read_options(ALL)
    changed = read_options({"values": {}, "mails": None, "header_row": None}, usual)
    assert (changed.values, changed.mails, changed.header_row) == ({}, None, None)
    assert (changed.mapping, changed.source) == (usual.mapping, "hr")
    assert read_options({}) == Options()
    assert read_options(show_options(Options())) == Options()


def test_all_errors_are_said_at_once() -> None:
    wrong = {
        "mode": 3, "preview": 1, "source": "x" * 100, "strict": "yes", "speed": "fast", "accept": ["all"],
        "confirm": {"a": 1, "cut-off": 2, "deactivations": "3"}, "mapping": {"Shield": "SHIELD"},
    }  # fmt: skip
    with pytest.raises(InvalidOptions) as raised:
        read_options(wrong)
    assert {name for name, _ in raised.value.errors} == set(wrong)
    assert len([name for name, _ in raised.value.errors if name == "confirm"]) == 3
    assert raised.value.field == raised.value.errors[0][0]


def test_an_option_that_cannot_be_given_here_is_an_error() -> None:
    with pytest.raises(InvalidOptions, match="no option “preview”"):
        read_options({"preview": True}, names=given_options.CHANGEABLE)


def test_the_mapping_is_one_of_the_columns_of_its_mode() -> None:
    assert read_options({"mode": "rekey", "mapping": {"New": "NEW_EXTERNAL_ID"}}).mapping == {"New": "NEW_EXTERNAL_ID"}
    with pytest.raises(InvalidOptions, match="not a column"):
        read_options({"mapping": {"New": "NEW_EXTERNAL_ID"}})
    with pytest.raises(InvalidOptions, match="not a column"):
        read_options({"mode": "rekey", "mapping": {"Mail": "EMAIL"}})


def test_a_file_of_groups_has_its_own_columns_also_when_it_is_planned_again() -> None:
    options = read_options({"mapping": {"Unit": "NAME"}}, what="groups")
    assert (options.what, options.mapping) == ("groups", {"Unit": "NAME"})
    assert read_options({"mapping": {"Id": "EXTERNAL_ID"}}, options).what == "groups"
    for wrong in ({"mapping": {"Mail": "EMAIL"}}, {"mode": "rekey"}):
        with pytest.raises(InvalidOptions):
            read_options(wrong, options)
