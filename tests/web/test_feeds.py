"""The pages of feeds: the list with its marks, one feed, its forms, and what can be done with it."""

import re
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from musterbook.config import encryption
from musterbook.core.domain.policy import LimitKind
from musterbook.directory import models
from musterbook.directory.agency import feeds
from musterbook.directory.imports import heartbeats
from musterbook.feeds import asking
from musterbook.feeds.checks import CheckReport
from musterbook.feeds.complete import Arrival, Reason
from musterbook.feeds.locations import host_keys
from musterbook.feeds.locations.location import FoundFile, Unreachable
from musterbook.web.feeds import report_words
from tests import worker
from tests.accounts.conftest import Springfield, age_session, signed_in
from tests.built_once import built_once
from tests.directory import cast
from tests.directory.cast import person
from tests.web.every_page import EVIL
from tests.web.feeds_in_states import FOLDER, SFTP, add_feed, receive

FEEDS = "/springfield/feeds/"
HTTPS = {"kind": "https", "url": "https://hr.example.org/users.csv", "header": "Authorization"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPWb4oBrZ0y0vQ4l0KcV2HqS7nq8y9cS3Z1n0Yq3x5lD"
ACTS = ("run", "check", "pause", "resume")
CHANGES = (
    "change-what", "change-reading", "change-location", "change-schedule", "change-limits", "change-notify", "remove",
    "secret", "host-key",
)  # fmt: skip
_HIDDEN_ENDS = re.compile(r"<[^>]+>")


@built_once
def _build() -> Springfield:
    made = Springfield(cast.agency(limits=[cast.allow(1)]))
    made.imported(person(1, ROLE="Admin"), person(2, ROLE="Chief"), person(3), person(4))
    made.registered(1)
    made.registered(2)
    return made


@pytest.fixture
def springfield(db: None, monkeypatch: pytest.MonkeyPatch) -> Springfield:
    worker.at_hand(monkeypatch)
    return _build()


@pytest.fixture
def boss(springfield: Springfield, client: Client) -> Client:
    """A browser of the administrator, whose role has every permission."""
    signed_in(client, "user.1")
    return client


def chief(*permissions: str) -> Client:
    """A browser of somebody whose role has these permissions."""
    models.Role.objects.filter(name="Chief").update(permissions=list(permissions))
    client = Client()
    signed_in(client, "user.2")
    return client


def read(client: Client, path: str = "") -> str:
    answer = client.get(FEEDS + path)
    assert answer.status_code == 200
    return answer.content.decode()


def fields(client: Client, path: str) -> dict[str, Any]:
    """What the form of the page would send as it stands."""
    answer = client.get(FEEDS + path, follow=True)
    form = answer.context.get("form") if answer.context else None
    values = {name: form[name].value() for name in form.fields} if form else {}
    return {name: value for name, value in values.items() if value not in (None, False)}


def send(client: Client, to: str, **sent: Any) -> str:
    """Send the form of the page with these changes; give the page after it."""
    return str(client.post(FEEDS + to, fields(client, to) | sent, follow=True).content.decode())


def feed(name: str = "hr") -> models.Feed:
    return models.Feed.objects.select_related("agency").get(name=name)


def events() -> list[str]:
    return list(models.Event.objects.filter(kind__startswith="feed.").order_by("pk").values_list("kind", flat=True))


# The list


def test_without_a_feed_the_page_says_what_one_is_and_names_the_three_steps(boss: Client) -> None:
    page = read(boss)
    assert "A feed imports your HR system’s file every night by itself" in page
    assert page.count('class="m-step"') == 3 and f'href="{FEEDS}add"' in page
    assert page[: page.index("</main>")].count('class="usa-button"') == 1


def test_each_feed_has_one_row_with_its_state_last_file_and_nights(springfield: Springfield, boss: Client) -> None:
    made = add_feed(springfield.agency)
    applied = receive(made, [person(5)], days=2).of
    receive(made, days=1)
    failed = receive(made, problem="The file is cut off.", days=0)
    page = read(boss)
    assert f'<a class="m-log__name" href="{FEEDS}hr/">hr</a>' in page and ">Last file failed</span>" in page
    assert "The file is cut off." in page
    marks = re.findall(r'class="m-night m-night--(\w+)"(?: href="([^"]*)")? title="([^"]*)"', page)
    assert len(marks) == 30 and applied
    assert [mark for mark, _, _ in marks[-4:]] == ["none", "applied", "same", "failed"]
    assert marks[-3][1] == f"/springfield/imports/{applied.number}"
    assert marks[-1][2].endswith(f": failed, {failed.name}") and marks[0][2].endswith(": no file")
    assert boss.get(marks[-3][1]).status_code == 200
    for mark in marks[-2:]:
        address, _hash, anchor = mark[1].partition("#")
        shown = boss.get(address).content.decode()
        assert f'<tr id="{anchor}"' in shown and ">Last file failed</span>" in shown


def test_a_mark_leads_to_the_page_of_files_that_has_its_file(springfield: Springfield, boss: Client) -> None:
    made = add_feed(springfield.agency)
    old = receive(made, days=25)
    for days in range(24, 0, -1):
        receive(made, days=days)
    assert f'id="file-{old.pk}"' not in read(boss, "hr/")
    page = read(boss, f"hr/?file={old.pk}")
    assert f'<tr id="file-{old.pk}"' in page and "21–25 of 25" in page
    assert "1–10 of 25" in read(boss, "hr/?file=99999999") and "1–10 of 25" in read(boss, f"hr/?file={2**70}")


def test_feeds_that_need_a_person_are_first_and_the_others_by_name(springfield: Springfield, boss: Client) -> None:
    agency, at = springfield.agency, datetime.now(UTC)
    every = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    add_feed(agency, "z-stopped", columns={"stopped": "Another key."})
    receive(add_feed(agency, "y-held", mode="sync", source=""), [person(1, ROLE="Admin")])
    receive(add_feed(agency, "x-first", approved=False), [person(5)], preview=True)
    add_feed(agency, "w-gone", columns={"failing_since": at - timedelta(hours=2), "problem": "No answer."})
    add_feed(
        agency, "v-late", expected_by=[{"days": every, "at": "00:00"}], columns={"created_at": at - timedelta(days=3)}
    )
    receive(add_feed(agency, "u-failed"), problem="It is cut off.")
    add_feed(agency, "a-fine")
    add_feed(agency, "b-new", approved=False)
    add_feed(agency, "c-paused", columns={"paused_at": at})
    needing = ["z-stopped", "y-held", "x-first", "w-gone", "v-late", "u-failed"]
    names = re.findall(r'class="m-log__name" href="/springfield/feeds/([^/]+)/"', read(boss))
    assert names == [*needing, "a-fine", "b-new", "c-paused"]
    home = boss.get("/springfield/").content.decode()
    places = [home.index(f'href="/springfield/feeds/{name}/"') for name in needing if name not in ("y-held", "x-first")]
    assert places == sorted(places) and "The last file could not be imported." in home


def test_what_waits_is_one_click_away(springfield: Springfield, boss: Client) -> None:
    held = receive(add_feed(springfield.agency, "sync", mode="sync", source=""), [person(1, ROLE="Admin")]).of
    first = receive(add_feed(springfield.agency, "new", approved=False), [person(5)], preview=True).of
    page = read(boss)
    assert held and first
    for number, label in ((held.number, "Waits for you"), (first.number, "First file waits for you")):
        assert f">{label}</span>" in page and f'<a href="/springfield/imports/{number}">Review' in page


def test_a_page_has_fifty_feeds(springfield: Springfield, boss: Client) -> None:
    at = datetime.now(UTC)
    models.Feed.objects.bulk_create(
        models.Feed(
            agency=springfield.agency,
            name=f"feed-{number:03}",
            mode="update",
            location=FOLDER,
            created_at=at,
            schedule={},
        )
        for number in range(60)
    )
    with CaptureQueriesContext(connection) as queries:
        first = read(boss)
    assert len(queries) < 35
    assert "1–50 of 60" in first and "feed-049" in first and "feed-050" not in first
    assert "51–60 of 60" in read(boss, "?page=2") and "51–60 of 60" in read(boss, "?page=99")


def test_home_shows_what_waits_and_each_import_once(springfield: Springfield, boss: Client) -> None:
    agency, at = springfield.agency, datetime.now(UTC)
    receive(add_feed(agency, "new", approved=False), [person(5)], preview=True)
    add_feed(agency, "gone", columns={"failing_since": at - timedelta(hours=2), "problem": "It does not answer."})
    add_feed(agency, "changed", columns={"stopped": "The host key has changed."})
    every = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    add_feed(
        agency, "tardy", expected_by=[{"days": every, "at": "00:00"}], columns={"created_at": at - timedelta(days=3)}
    )
    page = boss.get("/springfield/").content.decode()
    for text in (
        "Feed unreachable:",
        "It does not answer.",
        "Feed stopped:",
        "The host key has changed.",
        "Feed late:",
    ):
        assert page.count(text) == 1
    assert page.count("First file of a feed:") == 1 and 'href="/springfield/feeds/new/"' in page


def test_imports_say_through_which_feed(springfield: Springfield, boss: Client) -> None:
    record = receive(add_feed(springfield.agency), [person(5)]).of
    assert record
    link = '<a href="/springfield/feeds/hr/">hr</a>'
    history = boss.get("/springfield/imports/").content.decode()
    assert f"through feed {link}" in history
    assert f"through feed {link}" in boss.get(f"/springfield/imports/{record.number}").content.decode()
    assert f"through feed {link}" in boss.get("/springfield/").content.decode()
    only = boss.get("/springfield/imports/?feed=hr").content.decode()
    assert record.number in only and "1–1 of 1" in only


# One feed


def test_the_page_of_a_feed_has_its_settings_in_sections_and_its_files(springfield: Springfield, boss: Client) -> None:
    made = add_feed(
        springfield.agency, location=SFTP, every_minutes=10, mapping={"EMP NO": "EXTERNAL_ID", "SHIFT": ""},
        windows=[{"days": ["mon", "tue"], "from": "01:00", "to": "06:00"}], blackout=["2026-12-25"], delimiter="semicolon",
        expected_by=[{"days": ["mon"], "at": "06:00"}], limits=[{"kind": "deactivations", "users": 3}], strict=True,
        notify={"held": ["E-1", "hr@example.org"]}, values={"ROLE": {"PO": "Officer"}}, defaults={"ROLE": "Officer"},
        together=True, mails=False, release_badges=True, least_percent=0,
    )  # fmt: skip
    receive(made, [person(5)], name="one.csv")
    text = _HIDDEN_ENDS.sub(" ", read(boss, "hr/"))
    for shown in (
        "Add or update user accounts", "sftp.example.org", "every 10 minutes", "Monday, Tuesday, 01:00 to 06:00",
        "Monday by 06:00", "2026-12-25", "semicolon", "EMP NO", "ignored", "ROLE: PO", "ROLE of new users", "3 users",
        "E-1, hr@example.org", "one.csv", "1 user added, 1 invitation.", "All waiting files are one snapshot", "not sent",
        "can be given to others", "The whole file is refused", "never hold a file", "Enter the secret",
    ):  # fmt: skip
        assert shown in text, shown


def test_run_now_checks_the_feed_at_once(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency, columns={"next_check_at": datetime.now(UTC) + timedelta(days=1)})
    assert "looks for files now" in send(boss, "hr/run")
    assert feed().next_check_at and feed().next_check_at <= datetime.now(UTC)  # type: ignore[operator]  # it is set
    models.Feed.objects.update(paused_at=datetime.now(UTC))
    assert "Resume it first." in send(boss, "hr/run")


def test_the_page_shows_the_progress_of_a_check_until_it_is_done(
    springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_feed(springfield.agency)
    htmx = {"HX-Request": "true"}
    assert 'id="progress"' not in read(boss, "hr/")
    page = send(boss, "hr/run")
    assert 'id="progress"' in page and "No worker is running" in page and "Show the progress now" in page
    monkeypatch.setattr(heartbeats, "has_live_worker", lambda: True)
    asked = boss.get(f"{FEEDS}hr/?progress", headers=htmx)
    assert "The feed looks for files." in asked.content.decode() and "<h1" not in asked.content.decode()
    models.Feed.objects.update(asked_at=None)
    done = boss.get(f"{FEEDS}hr/?progress", headers=htmx)
    assert done.headers["HX-Refresh"] == "true" and not done.content
    models.Import.objects.filter(pk=receive(feed(), [person(5)]).of_id).update(state="running")  # type: ignore[misc]  # it has one
    assert "A file is being imported." in boss.get(f"{FEEDS}hr/?progress", headers=htmx).content.decode()


def test_resuming_a_feed_that_a_host_key_has_stopped_leads_to_the_key(springfield: Springfield, boss: Client) -> None:
    stopped = {"stopped": "The server has another key.", "problem": "The server has another key.", "host_key": KEY}
    add_feed(springfield.agency, location=SFTP, columns=stopped)
    page = read(boss, "hr/")
    assert "Review the host key" in page and "/resume" not in page and page.count("The server has another key.") == 1
    assert "Ask the server for its key" in send(boss, "hr/resume")
    assert feed().stopped


def test_only_a_user_with_every_permission_decides_on_a_new_host_key(springfield: Springfield) -> None:
    add_feed(springfield.agency, location=SFTP, columns={"stopped": "The server has another key.", "host_key": KEY})
    client = chief("users.import", "users.view")
    page = read(client, "hr/")
    assert "must accept the host key" in page and "Review the host key" not in page and "/resume" not in page
    assert "must accept the host key" in send(client, "hr/resume") and feed().stopped


def test_a_file_that_waits_is_not_called_held_if_it_is_the_first(springfield: Springfield, boss: Client) -> None:
    receive(add_feed(springfield.agency, approved=False), [person(5)], preview=True)
    assert "<strong>waits for you</strong>" in read(boss, "hr/")


def test_a_late_feed_says_by_when_its_file_was_expected(springfield: Springfield, boss: Client) -> None:
    every = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    created = {"created_at": datetime.now(UTC) - timedelta(days=3)}
    add_feed(springfield.agency, expected_by=[{"days": every, "at": "00:00"}], columns=created)
    text = " ".join(_HIDDEN_ENDS.sub(" ", read(boss, "hr/")).split())
    assert "A file is late. It was expected by " in text and "None has arrived yet. Ask the people who send it." in text


def test_a_feed_is_paused_with_the_reason_and_resumed(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency)
    assert "Enter why you pause the feed." in send(boss, "hr/pause", why=" ")
    assert feed().paused_at is None
    page = send(boss, "hr/pause", why=f"New HR system {EVIL}")
    assert "New HR system &lt;script&gt;" in page and ">First 1 Last 1</a> paused this feed" in page
    assert (feed().paused_by, feed().paused_why) == ("E-1", f"New HR system {EVIL}")
    assert "runs again" in send(boss, "hr/resume")
    assert feed().paused_at is None and events()[-2:] == ["feed.paused", "feed.resumed"]


def test_a_feed_is_removed_after_a_question_and_its_imports_stay(springfield: Springfield, boss: Client) -> None:
    record = receive(add_feed(springfield.agency), [person(5)]).of
    assert record
    assert "You cannot undo this." in read(boss, "hr/remove") and models.Feed.objects.count() == 1
    assert "was removed" in send(boss, "hr/remove") and not models.Feed.objects.exists()
    assert boss.get(f"/springfield/imports/{record.number}").status_code == 200


def test_a_check_says_what_would_be_taken_and_takes_nothing(
    springfield: Springfield, boss: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.MUSTER_FEED_FOLDERS = [tmp_path]
    folder = tmp_path / "springfield" / "hr"
    folder.mkdir(parents=True)
    add_feed(springfield.agency)
    assert "No file would be taken now." in send(boss, "hr/check")
    for name in ("a.csv", "a.csv.done", "other.txt", "b.csv.part", EVIL.replace("/", "") + ".csv"):
        (folder / name).write_bytes(b"EXTERNAL_ID\r\n1\r\n")
    page = send(boss, "hr/check")
    assert "1 file would be taken. Nothing was taken now." in page
    assert "its name does not match the pattern" in page and "it must stay unchanged for a minute" in page
    assert "<script>alert" not in page and not models.FeedFile.objects.exists() and feed().checked_at is None


def test_a_check_says_why_the_location_cannot_be_used(springfield: Springfield, boss: Client) -> None:
    location = SFTP | {"host": "127.0.0.1"}
    add_feed(springfield.agency, location=location, columns={"host_key": KEY, "secrets": {}})
    assert "The check failed. Nothing was taken." in send(boss, "hr/check")


def test_slow_servers_of_feeds_take_few_of_the_threads_that_answer_pages(
    springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One agency could otherwise keep all others from their pages for as long as its servers like."""
    add_feed(springfield.agency, location=SFTP, columns={"host_key": KEY, "secrets": {}})
    asked: list[str] = []

    def read_host_key(of: models.Feed) -> str:
        asked.append(of.name)
        return KEY

    monkeypatch.setattr(host_keys, "read_host_key", read_host_key)
    with asking.take_turn(springfield.agency) as may_ask:
        assert may_ask
        assert "being asked at this moment" in send(boss, "hr/check")
        assert "being asked at this moment" in boss.post(f"{FEEDS}hr/host-key").content.decode()
    assert asked == []
    assert KEY in boss.post(f"{FEEDS}hr/host-key").content.decode()
    others = [models.Agency(pk=number) for number in range(9_001, 9_001 + asking.AT_ONCE)]
    with ExitStack() as stack:
        assert all(stack.enter_context(asking.take_turn(other)) for other in others)
        assert "being asked at this moment" in send(boss, "hr/check")


def test_a_report_names_only_some_of_many_files() -> None:
    found = [FoundFile(float(number), f"{number}.csv", 1) for number in range(30)]
    report = CheckReport(tuple(Arrival((one,)) for one in found), tuple((one, Reason.TAKEN) for one in found), ("a/b",))
    shown = report_words.describe(report)
    assert len(shown["arrivals"]) == len(shown["others"]) == 20 and shown["more"] == 21
    assert set(report_words.REASONS) == set(Reason)


def test_the_plan_of_a_first_file_says_what_applying_it_means(springfield: Springfield, boss: Client) -> None:
    made = add_feed(springfield.agency, approved=False)
    first, later = receive(made, [person(5)], preview=True).of, receive(made, [person(6)]).of
    assert first and later
    text = "This is the first file of the feed"
    assert text in boss.get(f"/springfield/imports/{first.number}").content.decode()
    assert text not in boss.get(f"/springfield/imports/{later.number}").content.decode()


def test_a_first_file_that_changes_nothing_is_applied_so_that_the_feed_runs_by_itself(
    springfield: Springfield, boss: Client
) -> None:
    cast.run(springfield.agency, [person(5)])
    made = add_feed(springfield.agency, approved=False, source="")
    first = receive(made, [person(5)], preview=True).of
    assert first and not first.counts.get("updated")
    address = f"/springfield/imports/{first.number}"
    page = boss.get(address).content.decode()
    assert "Nothing will change." in page and '<button class="usa-button">Apply</button>' in page
    applied = boss.post(address, {}, follow=True)
    assert applied.status_code == 200
    first.refresh_from_db()
    assert first.ended == "applied-as"


def test_a_first_file_without_a_usable_row_is_not_offered_to_be_applied(springfield: Springfield, boss: Client) -> None:
    first = receive(add_feed(springfield.agency, approved=False), [person(5, STATUS="?")], preview=True).of
    assert first
    page = boss.get(f"/springfield/imports/{first.number}").content.decode()
    assert '<button class="usa-button">Apply</button>' not in page and "Upload another file" in page


# Secrets


def test_a_secret_is_stored_sealed_and_shown_nowhere(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency, location=SFTP)
    assert "Enter a password or a private key" in send(boss, "hr/secret")
    assert "Enter a password or a private key" in send(boss, "hr/secret", password="hush", key="hush")
    assert "never shown" in send(boss, "hr/secret", password="hush")
    assert encryption.unseal(feed().secrets["password"]) == "hush"
    for path in ("hr/", "hr/secret", "hr/change-location", ""):
        page = read(boss, path)
        assert "hush" not in page and feed().secrets["password"] not in page
    assert "hush" not in str(list(models.Event.objects.values_list("changes", flat=True)))


def test_the_header_of_an_address_has_a_secret_value(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency, location=HTTPS)
    assert "Enter the secret" in read(boss, "hr/")
    assert "Value of the header" in send(boss, "hr/secret", header="")
    send(boss, "hr/secret", header="Bearer hush")
    assert encryption.unseal(feed().secrets["header"]) == "Bearer hush" and "Enter the secret" not in read(boss, "hr/")


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (FOLDER, "secret"),
        (FOLDER, "host-key"),
        (FOLDER, "token"),
        (HTTPS, "host-key"),
        (SFTP, "token"),
        ({"kind": "sent"}, "secret"),
    ],
)
def test_a_location_is_asked_only_for_what_it_needs(
    springfield: Springfield, boss: Client, location: dict[str, Any], path: str
) -> None:
    add_feed(springfield.agency, location=location)
    assert boss.get(f"{FEEDS}hr/{path}").status_code == boss.post(f"{FEEDS}hr/{path}").status_code == 404
    assert f"hr/{path}" not in read(boss, "hr/")


def test_a_token_is_shown_once_and_ends_the_one_before(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency, location={"kind": "sent"})
    assert "Make a token" in read(boss, "hr/") and not feed().token
    answer = boss.post(f"{FEEDS}hr/token")
    found = re.search(r"readonly[^>]*>([^<]+)</textarea>", answer.content.decode())
    assert found and "no-store" in answer.headers["Cache-Control"]
    assert feeds.check_token(springfield.agency, "hr", found[1]) == feed()
    assert found[1] not in read(boss, "hr/") and found[1] not in read(boss, "hr/token")
    assert "Replace the token" in read(boss, "hr/token")
    boss.post(f"{FEEDS}hr/token")
    with pytest.raises(feeds.UnknownFeed):
        feeds.check_token(springfield.agency, "hr", found[1])


def test_a_host_key_is_shown_and_then_accepted(
    springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_feed(springfield.agency, location=SFTP, columns={"stopped": "The key has changed."})
    monkeypatch.setattr(host_keys, "read_host_key", lambda _: KEY)
    assert "AAAAC3" not in read(boss, "hr/host-key")
    page = boss.post(f"{FEEDS}hr/host-key").content.decode()
    assert KEY in page and "SHA256:" in page and not feed().host_key
    assert "was accepted" in boss.post(f"{FEEDS}hr/host-key", {"key": KEY}, follow=True).content.decode()
    assert feed().host_key == KEY and feed().stopped == ""
    assert "SHA256:" in read(boss, "hr/")
    page = boss.post(f"{FEEDS}hr/host-key").content.decode()
    assert "This is the accepted key." in page
    models.Feed.objects.update(host_key=KEY.replace("PWb4", "PWb5"))
    assert "another key than before" in boss.post(f"{FEEDS}hr/host-key").content.decode()


def test_a_host_key_that_is_none_is_refused(
    springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_feed(springfield.agency, location=SFTP)
    answer = boss.post(f"{FEEDS}hr/host-key", {"key": EVIL})
    assert answer.status_code == 422 and not feed().host_key and b"<script>alert" not in answer.content

    def fail(_: models.Feed) -> str:
        raise Unreachable("It does not answer.")

    monkeypatch.setattr(host_keys, "read_host_key", fail)
    answer = boss.post(f"{FEEDS}hr/host-key")
    assert answer.status_code == 422 and "It does not answer." in answer.content.decode()


def test_the_command_of_a_token_sends_a_file(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency, location={"kind": "sent"})
    page = boss.post(f"{FEEDS}hr/token").content.decode()
    address, secret = (
        re.search(r"(/springfield/api/\S+)</pre>", page),
        re.search(r"readonly[^>]*>([^<]+)</textarea>", page),
    )
    assert address and secret and "--form file=@users.csv" in page
    sent = SimpleUploadedFile("users.csv", cast.file([person(5)]))
    answer = Client().post(address[1], {"file": sent}, headers={"Authorization": f"Bearer {secret[1]}"})
    assert answer.status_code == 202 and models.FeedFile.objects.get().name == "users.csv"


# The forms


@pytest.mark.parametrize(
    ("kind", "asked", "stored"),
    [
        ("folder", {"path": "hr", "pattern": "*.csv"}, FOLDER),
        (
            "sftp",
            {"host": "sftp.example.org", "port": "22", "path": "/out", "pattern": "*.csv", "user": "musterbook"},
            SFTP,
        ),
        ("https", {"url": HTTPS["url"], "header": "Authorization"}, HTTPS),
        ("sent", {"addresses": ""}, {"kind": "sent"}),
        ("sent", {"addresses": "192.0.2.7,10.0.0.0/8"}, {"kind": "sent", "addresses": "192.0.2.7, 10.0.0.0/8"}),
        ("command", {}, {"kind": "command"}),
    ],
)
def test_a_feed_of_each_kind_is_added_with_what_it_needs(
    springfield: Springfield, boss: Client, kind: str, asked: dict[str, str], stored: dict[str, Any]
) -> None:
    page = read(boss, f"add-{kind}")
    names = set(re.findall(r'name="(\w+)"', page)) - {"csrfmiddlewaretoken", "viewport"}
    common = {"name", "mode", "whose", "expected_days", "expected_at", "email_me", "shown"}
    assert {name for name in names if name not in common} == set(asked)
    more = {
        "name": "hr",
        "mode": "sync",
        "whose": "all",
        "expected_days": ["mon"],
        "expected_at": "06:00",
        "email_me": "on",
    }
    page = str(boss.post(f"{FEEDS}add-{kind}", asked | more, follow=True).content.decode())
    assert "The feed hr was added." in page
    made = feed()
    assert (made.location, made.mode, made.source) == (stored, "sync", "")
    assert made.schedule["expected_by"] == [{"days": ["mon"], "at": "06:00"}]
    assert made.notify == {name: ["E-1"] for name in ("held", "failed", "late")}


def test_a_new_feed_has_its_own_source_and_needs_no_time(springfield: Springfield, boss: Client) -> None:
    send(boss, "add-folder", name="hr", expected_at="")
    made = feed()
    assert (made.mode, made.source, made.schedule.get("expected_by", [])) == ("update", "hr", [])


def test_errors_of_a_new_feed_are_shown_at_their_fields(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency)
    wrong = {"name": "Not So", "path": "../other", "expected_at": "25:00", "pattern": "a/b"}
    answer = boss.post(f"{FEEDS}add-folder", fields(boss, "add-folder") | wrong)
    page = answer.content.decode()
    assert answer.status_code == 422
    for name in wrong:
        assert f'id="id_{name}_error"' in page, name
    assert "hr" in send(boss, "add-folder", name="hr") and models.Feed.objects.count() == 1


def test_what_a_feed_does_is_changed(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency)
    page = send(
        boss, "hr/change-what", mode="sync", whose="other", other_source="county", strict="on", together="on", mails="no",
        release_badges="yes",
    )  # fmt: skip
    assert "The next file waits for you" in page
    made = feed()
    assert (made.mode, made.source, made.together) == ("sync", "county", True)
    assert [made.reading[name] for name in ("strict", "mails", "release_badges")] == [True, False, True]
    shown = fields(boss, "hr/change-what")
    assert (shown["whose"], shown["other_source"], shown["mails"]) == ("other", "county", "no")
    send(boss, "hr/change-what", whose="own", mails="", release_badges="")
    assert feed().source == "hr" and feed().reading["mails"] is None
    assert "Enter the name of the other source." in send(boss, "hr/change-what", whose="other", other_source="")


def test_how_files_are_read_is_changed_and_what_is_cleared_is_forgotten(springfield: Springfield, boss: Client) -> None:
    add_feed(
        springfield.agency, mapping={"EMP NO": "EXTERNAL_ID", "SHIFT": ""}, defaults={"ROLE": "Officer"},
        values={"ROLE": {"PO": "Officer", "SGT": "Chief"}},
    )  # fmt: skip
    page = read(boss, "hr/change-reading")
    labels = dict(re.findall(r'name="keep" value="(\d)"[^>]*>\s*([^<]+?)\s*</label>', page))
    kept = [key for key, label in labels.items() if "SHIFT" not in label and "SGT" not in label]
    assert len(labels) == 5 and len(kept) == 3
    send(
        boss,
        "hr/change-reading",
        keep=kept,
        encoding="windows-1252",
        delimiter="pipe",
        header_row="3",
        expect_rows="12",
    )
    reading = feed().reading
    assert reading["mapping"] == {"EMP NO": "EXTERNAL_ID"} and reading["values"] == {"ROLE": {"PO": "Officer"}}
    assert [reading[name] for name in ("encoding", "delimiter", "header_row", "expect_rows")] == [
        "windows-1252",
        "pipe",
        3,
        12,
    ]
    send(boss, "hr/change-reading", keep=[], encoding="", delimiter="", header_row="", expect_rows="")
    made = feed().reading
    assert not made.get("mapping") and not made.get("values") and not made.get("defaults") and not made["encoding"]
    assert 'id="id_encoding_error"' in send(boss, "hr/change-reading", encoding="no such thing")


def test_where_files_come_from_is_changed_also_to_another_kind(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency)
    send(boss, "hr/change-location", path="other")
    assert feed().location == FOLDER | {"path": "other"}
    assert 'id="id_path_error"' in send(boss, "hr/change-location", path="/etc")
    page = read(boss, "hr/change-location?kind=sftp")
    assert 'name="host"' in page
    send(boss, "hr/change-location?kind=sftp", host="sftp.example.org", path="/out", user="musterbook")
    assert feed().location == SFTP
    assert boss.get(f"{FEEDS}hr/change-location?kind=ftp").status_code == 404


def test_when_is_changed_line_by_line(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency)
    days = ["mon", "fri"]
    send(
        boss, "hr/change-schedule", every_minutes="15", expected_0_days=days, expected_0_at="06:00", window_0_days=days,
        window_0_from="22:00", window_0_to="06:00", blackout="2026-12-25\n2026-12-24",
    )  # fmt: skip
    assert feed().schedule == {
        "every_minutes": 15, "expected_by": [{"days": days, "at": "06:00"}], "blackout": ["2026-12-24", "2026-12-25"],
        "windows": [{"days": days, "from": "22:00", "to": "06:00"}],
    }  # fmt: skip
    page = read(boss, "hr/change-schedule")
    assert 'name="expected_1_at"' in page and 'name="window_1_from"' in page
    send(
        boss, "hr/change-schedule", expected_0_days=[], expected_0_at="", expected_1_days=["sun"], expected_1_at="9:99"
    )
    assert feed().schedule["expected_by"] == [{"days": days, "at": "06:00"}]
    page = send(boss, "hr/change-schedule", every_minutes="0", blackout="Christmas")
    assert 'id="id_every_minutes_error"' in page
    page = send(boss, "hr/change-schedule", blackout="Christmas")
    assert 'id="id_blackout_error"' in page
    send(boss, "hr/change-schedule", expected_0_days=[], expected_0_at="")
    assert not feed().schedule.get("expected_by")


def test_a_feed_that_is_sent_to_is_asked_only_when_a_file_is_expected(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency, location={"kind": "sent"}, every_minutes=7)
    page = read(boss, "hr/change-schedule")
    assert 'name="every_minutes"' not in page and 'name="window_0_from"' not in page
    send(boss, "hr/change-schedule", expected_0_days=["sun"], expected_0_at="07:00")
    assert (
        feed().schedule["expected_by"] == [{"days": ["sun"], "at": "07:00"}] and feed().schedule["every_minutes"] == 7
    )


def test_limits_of_a_feed_are_its_own_or_the_agencys(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency, limits=[{"kind": "updates", "users": 9, "role": "Officer"}])
    send(
        boss, "hr/change-limits", least_percent="50", deactivations_users="3", deactivations_percent="2.5", additions_off="on",
    )  # fmt: skip
    made = feed()
    assert made.limits is not None and made.least_percent == 50
    kinds = {(one["kind"], one["users"], one["percent"], one["off"], one["role"] is not None) for one in made.limits}
    assert kinds == {
        ("updates", 9, 0, False, True),
        ("deactivations", 3, 2.5, False, False),
        ("additions", 0, 0, True, False),
    }
    assert "All other limits" in read(boss, "hr/")
    shown = fields(boss, "hr/change-limits")
    assert (shown["deactivations_users"], shown["deactivations_percent"]) == (3, "2.5")
    blank = {f"{kind}_{name}": "" for kind in LimitKind for name in ("users", "percent", "most")}
    form = {name: value for name, value in (shown | blank).items() if not name.endswith("_off")}
    boss.post(f"{FEEDS}hr/change-limits", form)
    assert [one["kind"] for one in feed().limits or []] == ["updates"]


def test_who_is_notified_is_changed(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency)
    send(boss, "hr/change-notify", held="E-1, hr@example.org\nE-1", finished="")
    assert feed().notify == {"held": ["E-1", "hr@example.org"]}
    assert "not an email address" in send(boss, "hr/change-notify", late="no@address@at all")


def test_a_feed_that_somebody_has_changed_meanwhile_is_not_overwritten(springfield: Springfield, boss: Client) -> None:
    add_feed(springfield.agency)
    form = fields(boss, "hr/change-location")
    send(boss, "hr/change-location", path="theirs")
    for shown in (form["shown"], "", "00000000"):
        page = boss.post(f"{FEEDS}hr/change-location", form | {"path": "mine", "shown": shown}).content.decode()
        assert "Someone else changed this feed" in page and feed().location["path"] == "theirs"


@pytest.mark.parametrize("path", ["add-ftp", "no-such-feed/", "no-such-feed/pause", "hr/change-everything"])
def test_what_is_not_there_is_not_found(springfield: Springfield, boss: Client, path: str) -> None:
    add_feed(springfield.agency)
    assert boss.get(FEEDS + path).status_code == 404


# Attacks


def test_the_feeds_of_another_agency_are_not_found(springfield: Springfield, boss: Client) -> None:
    add_feed(cast.agency("shelbyville"), "theirs", location=SFTP)
    assert "theirs" not in read(boss)
    for path in ("", *ACTS, *CHANGES, "token"):
        assert boss.post(f"{FEEDS}theirs/{path}").status_code in (404, 405), path
        assert boss.get(f"{FEEDS}theirs/{path}", follow=True).status_code == 404, path
    assert feed("theirs").paused_at is None and not events()[1:]


def test_a_user_who_may_import_sees_and_runs_feeds_and_changes_none(springfield: Springfield) -> None:
    add_feed(springfield.agency, location=SFTP)
    client = chief("users.import", "users.view")
    page = read(client) + read(client, "hr/")
    assert "Add feed" not in page and "change-" not in page and "Remove this feed" not in page and "/secret" not in page
    assert "only users with every permission can add or change feeds" in page
    before = models.Feed.objects.values().get()
    for path in ("add", "add-sftp", *(f"hr/{change}" for change in CHANGES), "hr/token"):
        assert client.get(FEEDS + path).status_code == client.post(FEEDS + path, {"name": "x"}).status_code == 403, path
    assert models.Feed.objects.values().get() == before
    assert "looks for files now" in send(client, "hr/run")
    assert "is paused" in send(client, "hr/pause", why="Holidays")
    assert "runs again" in send(client, "hr/resume")


def test_a_feed_that_synchronizes_needs_the_permission_to_synchronize(springfield: Springfield) -> None:
    add_feed(springfield.agency, mode="sync", columns={"stopped": "The host key has changed."})
    client = chief("users.import", "users.view")
    assert "hr/" not in read(client) and "The host key has changed." not in client.get("/springfield/").content.decode()
    assert client.get(f"{FEEDS}hr/").status_code == 403
    for act in ACTS:
        assert client.post(f"{FEEDS}hr/{act}", {"why": "x"}).status_code == 403
    assert feed().stopped
    assert "hr/" in read(chief("users.import", "users.synchronize", "users.view"))


def test_a_user_who_may_not_import_sees_no_feeds(springfield: Springfield) -> None:
    add_feed(springfield.agency)
    client = chief("users.view", "users.edit")
    for path in ("", "hr/", *(f"hr/{act}" for act in (*ACTS, *CHANGES))):
        assert client.post(FEEDS + path).status_code in (403, 405), path
    assert client.get(FEEDS).status_code == client.get(f"{FEEDS}hr/").status_code == 403
    assert "Feeds" not in client.get("/springfield/").content.decode()
    assert feed().paused_at is None


def test_no_get_has_an_effect(springfield: Springfield, boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a GET asks a server")

    monkeypatch.setattr(host_keys, "read_host_key", refuse)
    add_feed(springfield.agency, location=SFTP)
    add_feed(springfield.agency, "sent", location={"kind": "sent"})
    before, noted = list(models.Feed.objects.order_by("pk").values()), models.Event.objects.count()
    for path in ("", "add", "add-sftp", "hr/", "sent/token", *(f"hr/{one}" for one in (*ACTS, *CHANGES))):
        assert boss.get(FEEDS + path).status_code in (200, 302), path
    assert list(models.Feed.objects.order_by("pk").values()) == before and models.Event.objects.count() == noted


@pytest.mark.parametrize("path", ["add-folder", *(f"hr/{change}" for change in CHANGES)])
def test_who_signed_in_long_ago_signs_in_again_before_a_feed_changes(
    springfield: Springfield, boss: Client, path: str
) -> None:
    add_feed(springfield.agency, location=SFTP)
    before = models.Feed.objects.values().get()
    age_session(boss, 16)
    assert "/sign-in/again" in boss.post(FEEDS + path, {"name": "x", "key": KEY, "password": "x"}).headers["Location"]
    assert models.Feed.objects.values().get() == before


def test_markup_in_every_text_from_outside_stays_text(springfield: Springfield, boss: Client) -> None:
    at = datetime.now(UTC)
    location = SFTP | {"path": EVIL, "pattern": EVIL, "user": EVIL}
    made = add_feed(
        springfield.agency, location=SFTP,
        columns={
            "location": location, "problem": EVIL, "host_key": EVIL, "failing_since": at - timedelta(hours=3),
            "paused_at": at, "paused_why": EVIL, "paused_by": EVIL, "stopped": EVIL, "source": EVIL[:63],
            "notify": {"held": [EVIL]}, "schedule": {"every_minutes": 5, "blackout": [EVIL]},
            "reading": {"mode": "update", "mapping": {EVIL: EVIL}, "values": {EVIL: {EVIL: EVIL}}, "defaults": {EVIL: EVIL}},
        },
    )  # fmt: skip
    receive(made, [person(5)], name=EVIL, days=1)
    receive(made, name=EVIL, problem=EVIL)
    models.FeedFile.objects.update(parts=[EVIL])
    pages = [read(boss, path) for path in ("", "hr/", *(f"hr/{change}" for change in CHANGES))]
    pages += [boss.get(path).content.decode() for path in ("/springfield/", "/springfield/imports/")]
    for page in pages:
        assert "<script>alert" not in page and "<img src=x" not in page and "49" not in page.split(EVIL[:8])[0][-5:]
    assert sum("&lt;script&gt;alert" in page for page in pages) > 8
