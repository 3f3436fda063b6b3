"""Feeds as an agency keeps them: who may do what, what the trail has, and what is never shown."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from musterbook.config import encryption
from musterbook.core.domain.policy import Operator
from musterbook.directory import models
from musterbook.directory.agency import feed_form, feed_writing, feeds
from musterbook.directory.agency.feeds import InvalidFeed, StaleFeed, UnknownFeed
from musterbook.directory.agency.vocabularies import InvalidValue, NotAllowed
from musterbook.directory.audit import verify
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports.options import Options
from musterbook.directory.permissions import ALL
from tests.directory import cast
from tests.directory.cast import NOW

pytestmark = pytest.mark.django_db
CONTEXT = AuditContext(NOW, "E-1", "page")
FOLDER = {"kind": "folder", "path": "hr", "pattern": "*.csv"}
SFTP = {"kind": "sftp", "host": "sftp.example.org", "path": "/out", "user": "muster"}
HTTPS = {"kind": "https", "url": "https://files.example.org/hr.csv", "header": "Authorization"}
ADMIN = Operator(1, "E-1", ALL)
IMPORTER = Operator(2, "E-2", frozenset(("users.import",)))
ALMOST = Operator(3, "E-3", ALL - {"audit.view"})
NOBODY = Operator(4, "E-4", ALL - {"users.import"})
BLOB = (11).to_bytes(4, "big") + b"ssh-ed25519" + (32).to_bytes(4, "big") + bytes(32)
HOST_KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"
OTHER_KEY = f"sftp.example.org ssh-ed25519 {base64.b64encode(BLOB[:-1] + b'1').decode()} comment"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----"


def add(agency: models.Agency | None = None, **values: Any) -> models.Feed:
    settings = {"name": "hr", "location": FOLDER, **values}
    return feeds.add(agency or cast.agency(), settings, CONTEXT, ADMIN)


def change(feed: models.Feed, by: Operator | None = ADMIN, **values: Any) -> bool:
    return feeds.change(feed, values, feeds.mark(feed), CONTEXT, by)


def read_events() -> list[tuple[str, str]]:
    return list(models.Event.objects.order_by("pk").values_list("kind", "changes"))


def read_again(feed: models.Feed) -> models.Feed:
    return models.Feed.objects.get(pk=feed.pk)


def test_a_feed_has_what_its_settings_say_and_otherwise_the_usual() -> None:
    feed = read_again(add(mapping={"Badge": "BADGE_NUMBER"}))
    assert (feed.name, feed.mode, feed.source, feed.least_percent, feed.limits) == ("hr", "update", "hr", 80, None)
    assert feed.location == FOLDER
    assert feed.reading == Options(mapping={"Badge": "BADGE_NUMBER"}, source="hr").as_json()
    assert (feed.schedule, feed.notify, feed.created_at, feed.next_check_at) == ({"every_minutes": 5}, {}, NOW, None)
    assert feeds.is_new(feed)
    assert feeds.find_feed(feed.agency, "hr") == feed
    assert feeds.list_feeds(feed.agency) == [feed]


def test_all_options_of_an_import_are_stored_as_an_import_has_them() -> None:
    given: dict[str, Any] = {
        "strict": True, "mails": False, "encoding": "utf-16", "delimiter": "tab", "sheet": "A", "header_row": 2,
        "expect_rows": 0, "release_badges": False, "mapping": {"A": "EMAIL"}, "values": {"STATUS": {"x": "Active"}},
        "defaults": {"ROLE": "Officer"},
    }  # fmt: skip
    feed = add(mode="sync", source="", accept=["looks-damaged"], **given)
    stored = Options.of_json(read_again(feed).reading)
    assert stored.as_json() == feed.reading
    assert {name: getattr(stored, name) for name in given} == given
    assert (stored.mode, stored.source, stored.accepted) == ("sync", "", {"looks-damaged": ""})


def test_the_table_of_a_feed_makes_the_same_feed_again() -> None:
    agency = cast.agency()
    first = add(
        agency, mode="sync", location=SFTP, windows=[{"from": "22:00", "to": "04:00"}], blackout=["2026-12-25"],
        limits=[{"kind": "deactivations", "users": 3, "role": "Officer"}, {"kind": "updates", "off": True}],
        notify={"held": ["E-1"]}, accept=["identity-change=same"], release_badges=True, expect_rows=5, together=True,
    )  # fmt: skip
    again = add(agency, **(feed_form.read_table(first) | {"name": "other"}))
    ours = feed_writing.SETTINGS
    assert {name: getattr(again, name) for name in ours} == {name: getattr(first, name) for name in ours}
    assert not change(first, **feed_form.read_table(first))
    assert feed_form.describe(again) == feed_form.describe(first)
    assert feed_form.describe(first)["limit deactivations of role Officer"] == "users 3, percent 0"


def test_settings_that_are_not_named_stay() -> None:
    feed = add(every_minutes=10, windows=[{"from": "01:00", "to": "06:00"}], encoding="utf-16")
    assert change(feed, windows=[], least_percent=0)
    assert (feed.schedule, feed.least_percent) == ({"every_minutes": 10}, 0)
    assert change(feed, encoding="")
    assert (feed.reading["encoding"], feed.schedule) == (None, {"every_minutes": 10})


def test_events_say_what_was_set_and_changed_and_removed() -> None:
    feed = add()
    change(feed, mode="sync", notify={"held": ["hr@example.org"]})
    change(feed, mode="sync")
    feeds.remove(feed, CONTEXT, ADMIN)
    kinds = [kind for kind, _ in read_events()]
    assert kinds == ["feed.added", "feed.changed", "feed.removed"]
    added, changed, removed = (changes for _, changes in read_events())
    assert '"feed":["","hr"]' in added
    assert '"location path":["","hr"]' in added
    assert changed == ('{"feed":["","hr"],"mode":["update","sync"],"notify held":["","hr@example.org"]}')
    assert '"feed":["hr",""]' in removed
    assert verify.verify_trail(feed.agency).error == ""
    with pytest.raises(UnknownFeed):
        feeds.find_feed(feed.agency, "hr")


def test_all_errors_are_raised_at_once_and_nothing_is_written() -> None:
    agency = cast.agency()
    with pytest.raises(InvalidFeed) as caught:
        feeds.add(agency, {"name": "HR", "mode": "x", "location": {"kind": "sftp"}}, CONTEXT, None)
    assert [name for name, _ in caught.value.errors] == ["name", "mode", "location.host", "location.user"]
    assert (caught.value.field, caught.value.sentence) == caught.value.errors[0]
    assert not models.Feed.objects.exists()
    assert not read_events()


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"name": "hr"}, "location"),
        ({"location": FOLDER}, "name"),
        ({"name": "hr", "location": HTTPS, "together": True}, "together"),
        ({"name": "hr", "location": FOLDER, "limits": [{"kind": "updates", "off": True, "role": "Nobody"}]}, "limits"),
        ({"name": "hr", "location": FOLDER, "defaults": {"ROLE": "Nobody"}}, "defaults"),
        ({"name": "hr", "location": FOLDER, "values": {"RANK": {"x": "Admiral"}}}, "values"),
    ],
)
def test_settings_that_do_not_fit_the_agency_or_each_other_are_refused(values: dict[str, Any], setting: str) -> None:
    with pytest.raises(InvalidFeed) as caught:
        feeds.add(cast.agency(), values, CONTEXT, None)
    assert [name for name, _ in caught.value.errors] == [setting]
    assert not models.Feed.objects.exists()


def test_a_name_is_taken_once_in_an_agency_and_never_changes() -> None:
    feed = add()
    with pytest.raises(InvalidFeed, match="There is a feed named hr"):
        add(feed.agency)
    with pytest.raises(InvalidFeed, match="never changes"):
        change(feed, name="other")
    assert add(cast.agency("shelbyville")).name == "hr"


def test_an_agency_has_a_bounded_number_of_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_writing, "MOST", 1)
    feed = add()
    with pytest.raises(InvalidFeed, match="1 feeds, which is the maximum"):
        add(feed.agency, name="other")


def test_a_change_since_the_settings_were_shown_is_not_overwritten() -> None:
    feed = add()
    shown = feeds.mark(feed)
    change(feed, mode="sync")
    with pytest.raises(StaleFeed):
        feeds.change(feed, {"mode": "update"}, shown, CONTEXT, ADMIN)
    assert read_again(feed).mode == "sync"


def test_what_a_worker_writes_does_not_make_the_settings_stale_and_stays() -> None:
    feed = add()
    shown = feeds.mark(feed)
    models.Feed.objects.filter(pk=feed.pk).update(worker="w", failures=3, problem="down", last_rows=7)
    assert feeds.change(feed, {"mode": "sync"}, shown, CONTEXT, ADMIN)
    now = read_again(feed)
    assert (now.worker, now.failures, now.problem, now.last_rows, now.mode) == ("w", 3, "down", 7, "sync")


DECISIVE: list[dict[str, Any]] = [
    {"mode": "sync"}, {"source": ""}, {"together": True}, {"strict": True}, {"mapping": {"A": "EMAIL"}}, {"sheet": "B"},
    {"location": {**FOLDER, "path": "hr2"}}, {"defaults": {"ROLE": "Officer"}}, {"accept": ["looks-damaged"]},
]  # fmt: skip
OTHERS: list[dict[str, Any]] = [
    {"every_minutes": 60}, {"notify": {"late": ["E-1"]}}, {"least_percent": 10}, {"blackout": ["2026-12-25"]},
    {"limits": [{"kind": "updates", "users": 5}]}, {"expected_by": [{"at": "06:00"}]},
]  # fmt: skip


@pytest.mark.parametrize("values", DECISIVE, ids=str)
def test_a_change_of_what_a_file_does_makes_a_feed_new(values: dict[str, Any]) -> None:
    feed = add()
    models.Feed.objects.filter(pk=feed.pk).update(approved=feeds.digest_settings(feed))
    assert not feeds.is_new(read_again(feed))
    change(feed, **values)
    assert feeds.is_new(read_again(feed))


@pytest.mark.parametrize("values", OTHERS, ids=str)
def test_another_change_does_not(values: dict[str, Any]) -> None:
    feed = add()
    models.Feed.objects.filter(pk=feed.pk).update(approved=feeds.digest_settings(feed))
    change(feed, **values)
    assert not feeds.is_new(read_again(feed))


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    feed = add(mapping={"A": "EMAIL", "B": "RANK"})
    before = feeds.digest_settings(feed)
    feed.location = dict(reversed(feed.location.items()))
    feed.reading = dict(reversed(feed.reading.items()))
    assert feeds.digest_settings(feed) == before


ACTS: dict[str, Callable[[models.Feed, Operator | None], object]] = {
    "add": lambda feed, by: feeds.add(feed.agency, {"name": "new", "location": FOLDER}, CONTEXT, by),
    "change": lambda feed, by: change(feed, by, least_percent=1),
    "remove": lambda feed, by: feeds.remove(feed, CONTEXT, by),
    "set_secret": lambda feed, by: feeds.set_secret(feed, "password", "hush", CONTEXT, by),
    "accept_host_key": lambda feed, by: feeds.accept_host_key(feed, HOST_KEY, CONTEXT, by),
}
RUNS: dict[str, Callable[[models.Feed, Operator | None], object]] = {
    "pause": lambda feed, by: feeds.pause(feed, "Merger", CONTEXT, by),
    "resume": lambda feed, by: feeds.resume(feed, CONTEXT, by),
    "request_check": lambda feed, by: feeds.request_check(feed, CONTEXT, by),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("by", [ALMOST, IMPORTER, NOBODY])
def test_only_a_user_with_every_permission_decides_what_a_feed_does(act: str, by: Operator) -> None:
    feed = add(location=SFTP)
    events = len(read_events())
    with pytest.raises(NotAllowed):
        ACTS[act](feed, by)
    assert len(read_events()) == events
    assert (models.Feed.objects.count(), read_again(feed).secrets, read_again(feed).host_key) == (1, {}, "")


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("by", [ADMIN, None])
def test_a_user_with_every_permission_and_the_command_line_do(act: str, by: Operator | None) -> None:
    feed = add(location=SFTP)
    ACTS[act](feed, by)
    assert len(read_events()) == 2


def test_only_a_user_with_every_permission_makes_a_token() -> None:
    feed = add(location={"kind": "sent"})
    for by in (ALMOST, IMPORTER, NOBODY):
        with pytest.raises(NotAllowed):
            feeds.make_token(feed, CONTEXT, by)
    assert not read_again(feed).token


@pytest.mark.parametrize("act", RUNS)
def test_a_user_who_may_import_runs_a_feed_and_one_of_synchronize_needs_that_permission(act: str) -> None:
    feed = add()
    RUNS[act](feed, IMPORTER)
    feed = add(feed.agency, name="sync", mode="sync")
    with pytest.raises(NotAllowed):
        RUNS[act](feed, IMPORTER)
    with pytest.raises(NotAllowed):
        RUNS[act](feed, NOBODY)
    assert feeds.may_run(feed, ALMOST)
    assert feeds.may_run(feed, None)


def test_a_paused_feed_says_who_paused_it_and_why_until_it_is_resumed() -> None:
    feed = add()
    feeds.pause(feed, " Merger ", CONTEXT, IMPORTER)
    feeds.pause(feed, "again", CONTEXT, IMPORTER)
    paused = read_again(feed)
    assert (paused.paused_at, paused.paused_by, paused.paused_why) == (NOW, "E-1", "Merger")
    with pytest.raises(InvalidValue, match="Resume it first"):
        feeds.request_check(feed, CONTEXT, ADMIN)
    feeds.resume(feed, CONTEXT, IMPORTER)
    feeds.resume(feed, CONTEXT, IMPORTER)
    resumed = read_again(feed)
    assert (resumed.paused_at, resumed.paused_by, resumed.paused_why) == (None, "", "")
    assert read_events()[1:] == [
        ("feed.paused", '{"feed":["","hr"],"reason":["","Merger"]}'),
        ("feed.resumed", '{"feed":["","hr"],"reason":["Merger",""]}'),
    ]


@pytest.mark.parametrize("why", ["x" * 256, "a\nb", "\u202e"])
def test_a_reason_is_one_line_of_bounded_length(why: str) -> None:
    feed = add()
    with pytest.raises(InvalidValue):
        feeds.pause(feed, why, CONTEXT, ADMIN)
    assert read_again(feed).paused_at is None


def test_a_feed_that_has_stopped_by_itself_goes_on_when_it_is_resumed() -> None:
    feed = add()
    models.Feed.objects.filter(pk=feed.pk).update(stopped="The host key has changed.")
    feeds.resume(feed, CONTEXT, ADMIN)
    assert read_again(feed).stopped == ""


def test_a_check_now_is_due_at_once() -> None:
    feed = add()
    feeds.request_check(feed, CONTEXT, IMPORTER)
    assert (read_again(feed).next_check_at, read_again(feed).asked_at) == (NOW, NOW)
    assert read_events()[-1] == ("feed.check-asked", '{"feed":["","hr"]}')


@pytest.mark.parametrize("kind", ["sent", "command"])
def test_a_feed_without_a_place_to_look_is_not_checked(kind: str) -> None:
    with pytest.raises(InvalidValue, match="no place to look"):
        feeds.request_check(add(location={"kind": kind}), CONTEXT, ADMIN)


def list_stored_texts() -> str:
    """Return everything that the tables of feeds and the trail hold, as text."""
    tables: list[Any] = [models.Feed, models.FeedFile, models.Event, models.Agency, models.Notice]
    return "".join(str(list(table.objects.values())) for table in tables)


def test_a_secret_is_sealed_and_never_in_the_trail_or_the_settings() -> None:
    feed = add(location=SFTP)
    feeds.set_secret(feed, "password", "hush-hush\n", CONTEXT, ADMIN)
    feeds.set_secret(feed, "key", f"{PRIVATE}\r\n".replace("\n", "\r\n"), CONTEXT, ADMIN)
    stored = read_again(feed).secrets
    assert encryption.unseal(stored["password"]) == "hush-hush"
    assert encryption.unseal(stored["key"]) == PRIVATE
    shown = list_stored_texts() + str(feed_form.read_table(feed)) + str(feed_form.describe(feed))
    assert "hush" not in shown
    assert "b3BlbnNzaC1rZXk" not in shown
    assert read_events()[1:] == [
        ("feed.secret-set", '{"feed":["","hr"],"secret password":["","set"]}'),
        ("feed.secret-set", '{"feed":["","hr"],"secret key":["","set"]}'),
    ]
    feeds.set_secret(feed, "password", "", CONTEXT, ADMIN)
    assert read_again(feed).secrets.keys() == {"key"}
    assert read_events()[-1][1] == '{"feed":["","hr"],"secret password":["set",""]}'


@pytest.mark.parametrize(
    ("location", "name", "text"),
    [
        (FOLDER, "password", "x"), (SFTP, "header", "x"), (SFTP, "token", "x"), (HTTPS, "password", "x"),
        (SFTP, "password", "a\nb"), (SFTP, "password", "x" * 1001), (SFTP, "key", "ssh-rsa AAAA"), (SFTP, "key", "x" * 20_001),
        (SFTP, "key", "-----BEGIN PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----"),
        (HTTPS, "header", "a\r\nHost: b"), (HTTPS, "header", "ä"), (HTTPS, "header", "x" * 4001),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_a_secret_is_refused_and_not_repeated(location: dict[str, Any], name: str, text: str) -> None:
    feed = add(location=location)
    with pytest.raises(InvalidValue) as caught:
        feeds.set_secret(feed, name, text, CONTEXT, ADMIN)
    assert caught.value.field == name
    assert len(text) < 5 or text not in caught.value.sentence
    assert read_again(feed).secrets == {}


def test_another_server_does_not_get_the_secrets() -> None:
    feed = add(location=SFTP)
    feeds.set_secret(feed, "password", "hush", CONTEXT, ADMIN)
    feeds.accept_host_key(feed, HOST_KEY, CONTEXT, ADMIN)
    models.Feed.objects.filter(pk=feed.pk).update(problem="down", failures=9, failing_since=NOW, seen={"a": 1})
    change(feed, location={**SFTP, "path": "/other"})
    same = read_again(feed)
    assert (set(same.secrets), same.host_key) == ({"password"}, HOST_KEY)
    assert (same.problem, same.failures, same.failing_since, same.seen) == ("", 0, None, {})
    change(feed, location={**SFTP, "host": "evil.example.org"})
    moved = read_again(feed)
    assert (moved.secrets, moved.host_key) == ({}, "")
    assert '"secret password":["set",""]' in read_events()[-1][1]
    assert '"host key":["SHA256:' in read_events()[-1][1]


def test_a_token_ends_with_the_location_that_it_is_for() -> None:
    feed = add(location={"kind": "sent"})
    token = feeds.make_token(feed, CONTEXT, ADMIN)
    change(feed, location=FOLDER)
    with pytest.raises(UnknownFeed):
        feeds.check_token(feed.agency, "hr", token)
    assert read_again(feed).token == ""


def test_a_host_key_is_pinned_with_its_fingerprint_and_lets_a_stopped_feed_go_on() -> None:
    feed = add(location=SFTP)
    feeds.accept_host_key(feed, f" {HOST_KEY}\n", CONTEXT, ADMIN)
    models.Feed.objects.filter(pk=feed.pk).update(stopped="changed", problem="changed", failures=2, failing_since=NOW)
    feeds.accept_host_key(feed, OTHER_KEY, CONTEXT, ADMIN)
    pinned = read_again(feed)
    assert (pinned.host_key, pinned.stopped, pinned.problem, pinned.failures, pinned.failing_since) == (
        OTHER_KEY, "", "", 0, None,
    )  # fmt: skip
    assert read_events()[-1][0] == "feed.host-key-accepted"
    assert '"host key":["SHA256:' in read_events()[-1][1]


@pytest.mark.parametrize(
    "key",
    [
        "", "ssh-ed25519", "ssh-ed25519 AAAA", f"ssh-rsa {HOST_KEY.split()[1]}", f"{HOST_KEY}\nssh-ed25519 AAAA", "x" * 9000,
        f"ssh-ed25519 {HOST_KEY.split()[1][:-2]}", "ssh-ed25519 !!!!!!!!!!!!!!!!!!!!", f"@revoked * {HOST_KEY}",
    ],
)  # fmt: skip
def test_what_is_no_host_key_is_not_pinned(key: str) -> None:
    feed = add(location=SFTP)
    with pytest.raises(InvalidValue):
        feeds.accept_host_key(feed, key, CONTEXT, ADMIN)
    assert read_again(feed).host_key == ""


def test_only_an_sftp_server_has_a_host_key_and_only_a_sent_feed_a_token() -> None:
    feed = add()
    with pytest.raises(InvalidValue):
        feeds.accept_host_key(feed, HOST_KEY, CONTEXT, ADMIN)
    with pytest.raises(InvalidValue):
        feeds.make_token(feed, CONTEXT, ADMIN)


def test_a_token_opens_its_own_feed_only_and_ends_with_the_next() -> None:
    feed = add(location={"kind": "sent"})
    other = add(cast.agency("shelbyville"), location={"kind": "sent"})
    second = add(feed.agency, name="second", location={"kind": "sent"})
    token = feeds.make_token(feed, CONTEXT, ADMIN)
    feeds.make_token(other, CONTEXT, ADMIN)
    assert feeds.check_token(feed.agency, "hr", token) == feed
    assert token not in list_stored_texts()
    tries = [(other.agency, "hr", token), (second.agency, "second", token), (feed.agency, "none", token)]
    for agency, name, secret in (
        *tries,
        (feed.agency, "hr", ""),
        (feed.agency, "hr", "\ud800"),
        (feed.agency, "../hr", token),
    ):
        with pytest.raises(UnknownFeed):
            feeds.check_token(agency, name, secret)
    again = feeds.make_token(feed, CONTEXT, ADMIN)
    with pytest.raises(UnknownFeed):
        feeds.check_token(feed.agency, "hr", token)
    assert feeds.check_token(feed.agency, "hr", again) == feed
    assert read_events()[-1][1] == f'{{"feed":["","hr"],"token":["set","…{again[-4:]}"]}}'


def test_another_agencys_feed_is_unknown() -> None:
    feed = add()
    other = cast.agency("shelbyville")
    for name in ("hr", "HR", "", "x" * 500, "hr' OR 1=1", "hr\x00"):
        with pytest.raises(UnknownFeed):
            feeds.find_feed(other, name)
    assert feeds.list_feeds(other) == []
    assert feeds.find_feed(feed.agency, "hr") == feed


@pytest.mark.parametrize("act", [*list(ACTS)[1:], *RUNS])
def test_a_feed_that_was_removed_meanwhile_is_unknown(act: str) -> None:
    feed = add(location=SFTP)
    feeds.remove(read_again(feed), CONTEXT, ADMIN)
    with pytest.raises(UnknownFeed):
        (ACTS | RUNS)[act](feed, ADMIN)


def test_the_imports_of_a_removed_feed_and_their_trail_stay() -> None:
    feed = add()
    record = models.Import.objects.create(
        number="01J9ZKQ4M5V7N8P2R3S4T5W6X7", agency=feed.agency, mode="update", state="applied", actor="", through="feed",
        started_at=NOW, feed=feed,
    )  # fmt: skip
    models.FeedFile.objects.create(feed=feed, name="a.csv", size=1, modified="1", sha256="0" * 64, at=NOW, of=record)
    feeds.remove(feed, CONTEXT, ADMIN)
    record.refresh_from_db()
    assert record.feed is None
    assert not models.FeedFile.objects.exists()
    assert [kind for kind, _ in read_events()] == ["feed.added", "feed.removed"]


def test_recipients_who_are_no_active_users_are_listed() -> None:
    feed = add(notify={"held": ["E-1", "E-404", "hr@example.org"], "late": ["E-404"]})
    role = models.Role.objects.get(agency=feed.agency, administrator=True)
    models.User.objects.create(agency=feed.agency, external_id="E-1", role=role, active=True, created_at=NOW)
    assert feeds.list_unknown_recipients(feed) == ["E-404"]
