"""Each kind of event that anything tells has a sentence in plain words."""

import re
from pathlib import Path

from musterbook.accounts import kinds as of_accounts
from musterbook.directory import permissions
from musterbook.directory.audit import event_kinds

PACKAGE = Path(event_kinds.__file__).parents[2]
_NAME = re.compile(
    r"""["']((?:users?|agency|act|api|audit|role|rank|group|export|import|setting)\.(?!html)[a-z]+(?:-[a-z]+)*)["']"""
)
"""What looks like the name of a kind. Permissions look alike, and are none."""


def test_every_kind_that_the_code_names_has_a_sentence() -> None:
    named = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in _NAME.findall(path.read_text(encoding="utf-8"))
        if name not in permissions.ALL
    }
    assert {"user.added", "act.refused", "api.token-made"} <= named
    assert named - set(event_kinds.KINDS) == set(), "say in directory/audit/event_kinds.py what these events tell"


def test_every_kind_of_accounts_has_a_sentence() -> None:
    told = {value for name, value in vars(of_accounts).items() if name.isupper() and "." in value}
    assert told - set(event_kinds.KINDS) == set()


def test_a_sentence_names_whom_it_is_about_or_says_that_nobody_is_known() -> None:
    assert event_kinds.sentence("user.added", "Ann Ames (E-1)") == "Added Ann Ames (E-1)"
    assert event_kinds.sentence("user.sign-in-failed", "") == "A sign-in as somebody unknown failed"
    assert event_kinds.sentence("user.signed-out", "") == "Somebody unknown signed out"
    assert event_kinds.sentence("user.signed-out", "ann {whom}") == "ann {whom} signed out"
    assert event_kinds.sentence("from.a-later-version", "Ann") == "from.a-later-version: Ann"


def test_names_fit_their_column_and_every_kind_is_in_one_group() -> None:
    assert all(len(name) <= 40 and kind.name == name and kind.sentence for name, kind in event_kinds.KINDS.items())
    assert [kind for group in event_kinds.GROUPS.values() for kind in group] == list(event_kinds.KINDS.values())
