"""Each kind of event has a sentence and a category, is recorded by some code, and keeps the name that trails have."""

import re
from pathlib import Path

from musterbook.directory.audit import event_kinds
from musterbook.directory.audit.event_kinds import CATEGORIES, EventKind

PACKAGE = Path(event_kinds.__file__).parents[2]
_MEMBER = re.compile(r"EventKind\.([A-Z_]+)")
STORED = (
    "user.added", "user.updated", "user.deactivated", "user.replaced", "users.exported", "user.signed-in", "user.signed-in-again",
    "user.sign-in-failed", "user.signed-out", "user.session-ended", "user.locked", "user.unlocked",
    "user.invitation-asked", "user.invited", "user.registered", "user.rekeyed", "user.reset-asked", "user.password-changed",
    "user.second-factor-added", "user.second-factor-removed", "user.recovery-codes-made", "user.recovery-code-used",
    "user.sign-on-bound", "user.sign-on-released", "agency.added", "agency.changed", "agency.secret-key-changed",
    "group.monitor-added", "group.monitor-removed", "api.token-made", "api.token-revoked", "api.token-refused",
    "audit.viewed", "audit.exported", "audit.checked", "audit.keyed", "act.refused", "request.refused",
    "import.discarded", "import.file-refused", "feed.added", "feed.changed", "feed.removed", "feed.paused", "feed.resumed",
    "feed.secret-set", "feed.host-key-accepted", "feed.token-made", "feed.check-asked", "webhook.added",
    "webhook.changed", "webhook.secret-rotated", "webhook.paused", "webhook.resumed", "webhook.disabled", "webhook.removed",
    "webhook.tested", "webhook.sent-again", "agency.exported", "agency.imported", "agency.paused", "agency.resumed",
)  # fmt: skip
"""The kinds that trails hold, sealed: a name may be added here, and none may be removed or changed."""


def test_every_kind_that_a_trail_may_hold_is_a_member() -> None:
    assert sorted(STORED) == sorted(EventKind)


def test_every_member_is_recorded_somewhere() -> None:
    texts = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert {name for text in texts for name in _MEMBER.findall(text)} == set(EventKind.__members__)


def test_every_member_has_a_sentence_and_a_label_and_is_in_one_category() -> None:
    assert all(kind.sentence and kind.label for kind in EventKind)
    assert [kind for kinds in CATEGORIES.values() for kind in kinds] == list(EventKind)


def test_a_member_is_called_like_its_value_which_fits_its_column() -> None:
    assert {kind.name for kind in EventKind} == {re.sub("[.-]", "_", kind).upper() for kind in EventKind}
    assert all(len(kind) <= 40 for kind in EventKind)


def test_a_sentence_names_its_user_or_says_that_the_user_is_unknown() -> None:
    assert event_kinds.describe("user.added", "Ann Ames (E-1)") == "Added Ann Ames (E-1)"
    assert event_kinds.describe("user.sign-in-failed", "") == "A sign-in as an unknown user failed"
    assert event_kinds.describe("user.signed-out", "") == "An unknown user signed out"
    assert event_kinds.describe("user.signed-out", "ann {user}") == "ann {user} signed out"


def test_an_event_of_a_later_version_is_shown_by_its_name() -> None:
    assert event_kinds.describe("from.a-later-version", "Ann") == "from.a-later-version: Ann"
    assert event_kinds.translate_label("from.a-later-version") == "from.a-later-version"


def test_a_kind_is_labeled_in_words() -> None:
    assert event_kinds.translate_label("user.added") == "Added"
