"""Import Users, as a browser goes through it, and as somebody does who means ill."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse, HttpResponseBase
from django.test import Client
from pytest_django import Settings

from musterbook import jobs
from musterbook.core.domain.policy import LimitKind, Mode
from musterbook.core.planning.holds import NUMBERED, UNNUMBERED, Hold
from musterbook.directory import models
from musterbook.directory.audit import verify
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.imports import pending_uploads, plan_files, queue
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.pending_uploads import TooLarge, UploadGone
from musterbook.directory.storage import import_files
from musterbook.web.imports.forms import ConfirmForm
from tests import worker
from tests.accounts.conftest import Springfield, age_session, signed_in
from tests.accounts.test_entrance import sign_in, text
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.any_database

PAGE = "/springfield/users/import"
NOW = datetime(2026, 3, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSTER_HOME = tmp_path
    worker.at_hand(monkeypatch)


@pytest.fixture
def chief(springfield: Springfield, client: Client) -> Client:
    """A browser in which user 5, who may import in both modes, is signed in."""
    springfield.imported(person(5, ROLE="Chief"))
    springfield.registered(5)
    signed_in(client, "user.5")
    return client


def form(client: Client) -> str:
    """The address that the page's form is sent to."""
    found = re.search(r'action="([^"]*)" enctype', client.get(PAGE).content.decode())
    assert found
    return found.group(1).replace("&amp;", "&")


def send(client: Client, *rows: cast.Row, mode: str = "update", to: str = "", name: str = "roster.csv") -> HttpResponse:
    """Sends the form with a file of these rows."""
    file = SimpleUploadedFile(name, cast.file(rows))
    return client.post(to or form(client), {"mode": mode, "file": file})  # type: ignore[return-value]


def follow_to_plan(client: Client, answer: HttpResponseBase) -> str:
    """The address of the plan that the answer leads to."""
    plan = answer.headers["Location"]
    assert "/imports/" in plan
    return plan


def sign_in_again(client: Client, address: str) -> str:
    """Signs in again where the answer has led; gives where that leads on to."""
    return client.post(address, {"password": "a quiet brown heron"}).headers["Location"]


def list_waiting(settings: Settings) -> list[Path]:
    """The files that wait."""
    return [path for path in (settings.MUSTER_HOME / "waiting").rglob("*") if path.is_file()]


def test_a_file_is_previewed_and_applied(springfield: Springfield, chief: Client, settings: Settings) -> None:
    plan = follow_to_plan(chief, send(chief, person(7), person(8, ROLE="Nobody")))
    page = text(chief.get(plan))
    assert "Preview: nothing has changed yet" in page and "<strong>1</strong> <span>will be added</span>" in page
    assert "E-8" in page and "<strong>1</strong> <span>with problems</span>" in page
    assert not models.User.objects.filter(external_id="E-7").exists()
    assert list_waiting(settings) == []
    done = chief.post(plan, headers={"User-Agent": "Browser/2"}).headers["Location"]
    assert "<h1>Applied</h1>" in text(chief.get(done))
    assert cast.user(springfield.agency, 7).active
    event = models.Event.objects.get(kind="user.added", subject_external_id="E-7")
    assert (event.actor, event.through, event.address, event.agent) == ("E-5", "page", "127.0.0.1", "Browser/2")
    assert verify.verify_trail(springfield.agency).error == ""
    assert "Apply</button>" not in text(chief.get(done))


def test_sent_twice_it_is_done_once(springfield: Springfield, chief: Client) -> None:
    plan = follow_to_plan(chief, send(chief, person(7)))
    once, twice = (chief.post(plan).headers["Location"] for _ in range(2))
    assert once == twice
    assert models.Import.objects.filter(state="applied", through="page").count() == 1


def test_a_plan_asked_for_twice_is_made_once(springfield: Springfield, chief: Client) -> None:
    age_session(chief, 16)
    asked = send(chief, person(7)).headers["Location"]
    first = sign_in_again(chief, asked)
    address = parse_qs(urlsplit(asked).query)["next"][0]
    assert [chief.get(address).headers["Location"], chief.post(address).headers["Location"]] == [first, first]
    assert models.Import.objects.filter(state="previewed").count() == 1


def make_held(springfield: Springfield, client: Client) -> str:
    """A plan that is held, for it would deactivate all but user 5 and an administrator."""
    models.Agency.objects.update(limits=[cast.allow(0)])
    springfield.registered(1)
    return follow_to_plan(client, send(client, person(5, ROLE="Chief"), mode="sync"))


def test_a_held_import_asks_for_its_number(springfield: Springfield, chief: Client) -> None:
    plan = make_held(springfield, chief)
    page = text(chief.get(plan))
    assert "1 user will lose access. The limit is 0. Active users: 3." in page
    assert "First 2 Last 2" in page and "<strong>1</strong> <span>will stay active</span>" in page
    assert "above the operator&#x27;s role" in text(chief.get(f"{plan}?show=protected"))
    for wrong in ("", "2", "one"):
        again = chief.post(plan, {"deactivations": wrong})
        assert again.status_code == 422
    assert "In the preview it is 1." in text(again)
    assert cast.user(springfield.agency, 2).active
    assert "<h1>Applied</h1>" in text(chief.get(chief.post(plan, {"deactivations": " 1 "}).headers["Location"]))
    assert not cast.user(springfield.agency, 2).active


def test_the_users_of_a_held_import_are_shown_first(springfield: Springfield, chief: Client) -> None:
    """Rule S4."""
    models.Agency.objects.update(limits=[cast.allow(0), cast.allow(0, kind="additions")])
    plan = follow_to_plan(chief, send(chief, person(2, STATUS="Inactive"), person(7)))
    page = text(chief.get(plan))
    assert "2 users" not in page and "1 user will be added. 1 user will be updated. 1 user will lose access." in page
    assert '>First 2 Last 2</a> <span class="m-id">E-2</span></li>' in page
    tile = page[page.index('id="show-deactivations"') :]
    assert page.index('id="show-deactivations"') < page.index('id="show-added"') and 'aria-current="true"' in tile[:120]
    assert "These users are Active now and will be Inactive." in page
    assert "Number of users who lose access" in page and "Number of users who are added" in page
    one = chief.post(plan, {"deactivations": "1", "additions": "3"})
    assert one.status_code == 422 and text(one).count("Enter that number if it is correct.") == 2
    assert "<h1>Applied</h1>" in text(
        chief.get(chief.post(plan, {"deactivations": "1", "additions": "1"}).headers["Location"])
    )
    assert not cast.user(springfield.agency, 2).active


def test_a_long_list_of_users_of_a_hold_leads_to_all_of_them(springfield: Springfield, chief: Client) -> None:
    models.Agency.objects.update(limits=[cast.allow(0)])
    springfield.imported(*cast.people(*range(10, 35)))
    plan = follow_to_plan(chief, send(chief, *cast.people(*range(10, 35), STATUS="Inactive")))
    assert '<a href="?show=deactivations#plan">and 17 more users</a>' in text(chief.get(plan))
    assert "First 34 Last 34" in text(chief.get(f"{plan}?show=deactivations&q=last+34"))


def test_who_requested_an_import_cannot_confirm_it_if_another_user_must(
    springfield: Springfield, chief: Client
) -> None:
    """Rule S8."""
    models.Agency.objects.update(second_approver=True)
    plan = make_held(springfield, chief)
    assert "If you apply this, it is on hold until another user confirms it." in text(chief.get(plan))
    held = chief.post(plan, {"deactivations": "1"}).headers["Location"]
    page = text(chief.get(held))
    assert "You requested this, so another user must confirm it." in page and "Apply</button>" not in page
    refused = chief.post(held, {"deactivations": "1"}, follow=True)
    assert "another user must confirm it. Nothing was changed." in text(refused)
    assert cast.user(springfield.agency, 2).active
    boss = signed_in(Client(), "user.1")
    assert "Number of users who lose access" in text(boss.get(held))
    done = boss.post(held, {"deactivations": "1"}).headers["Location"]
    assert "<h1>Applied</h1>" in text(boss.get(done)) and not cast.user(springfield.agency, 2).active


def test_a_hold_without_a_number_is_a_box_to_tick() -> None:
    form = ConfirmForm([Hold("cut-off"), Hold("row-count", rows=1200)], {"row-count": "1,200"})
    assert not form.is_valid() and list(form.errors) == ["cut-off"]
    full = ConfirmForm([Hold("cut-off"), Hold("row-count", rows=1200)], {"row-count": "1,200", "cut-off": "on"})
    assert full.is_valid() and full.confirmed == {"cut-off": None, "row-count": 1200}


def test_every_kind_that_can_hold_an_import_has_a_field() -> None:
    holds = [Hold("limit", name) if name in list(LimitKind) else Hold(name) for name in (*NUMBERED, *UNNUMBERED)]
    assert list(ConfirmForm(holds).fields) == [*NUMBERED, *UNNUMBERED]


def test_a_plan_that_is_another_by_now_is_shown_and_not_done(springfield: Springfield, chief: Client) -> None:
    plan = follow_to_plan(chief, send(chief, person(7), person(2, LAST_NAME="New")))
    springfield.imported(person(2, LAST_NAME="Other"))
    second = chief.post(plan).headers["Location"]
    assert "The plan has changed: nothing was applied" in text(chief.get(second))
    assert "<h1>Applied</h1>" in text(chief.get(chief.post(second).headers["Location"]))


def test_what_cannot_be_applied_says_so(springfield: Springfield, chief: Client) -> None:
    plan = follow_to_plan(chief, send(chief, person(7)))
    done = chief.post(plan).headers["Location"]
    chief.post(done)
    assert "no preview that can be applied" in text(chief.get(done))


def test_a_file_that_is_kept_no_longer_is_asked_for_once_more(
    springfield: Springfield, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = follow_to_plan(chief, send(chief, person(7)))

    def gone(number: str) -> Path:
        raise import_files.FileGone(number)

    monkeypatch.setattr(import_files, "find_path", gone)
    chief.post(plan)
    assert "no longer kept" in text(chief.get(plan))


def test_an_import_that_fails_says_so(springfield: Springfield, chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plan_files, "_write", full)
    page = text(chief.get(follow_to_plan(chief, send(chief, person(7)))))
    assert "Failed: nothing has changed" in page and "disk" in page


def test_a_file_for_which_there_is_no_room_is_asked_for_once_more(
    springfield: Springfield, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(import_files, "adopt_file", full)
    back = send(chief, person(7)).headers["Location"]
    assert back == PAGE and "There is no room for this file now" in text(chief.get(back))


# Sessions that are too old, or have ended


def test_after_a_quarter_of_an_hour_one_signs_in_again_and_is_shown_the_plan_of_that_file(
    springfield: Springfield, chief: Client
) -> None:
    to = form(chief)
    age_session(chief, 16)
    asked = send(chief, person(7), to=to).headers["Location"]
    assert asked.startswith("/springfield/sign-in/again?next=%2Fspringfield%2Fusers%2Fimport%2Fwaiting%2F")
    assert not models.Import.objects.filter(through="page").exists()
    assert "Preview: nothing has changed yet" in text(chief.get(sign_in_again(chief, asked)))
    assert EventKind.USER_SIGNED_IN_AGAIN in [kind for kind, *_ in springfield.events()]


@pytest.mark.parametrize("how", ["idle", "idle, and another tab knows", "too old"])
def test_a_file_survives_the_end_of_its_session(springfield: Springfield, chief: Client, how: str) -> None:
    to = form(chief)
    age_session(chief, 45 if "idle" in how else 13 * 60)
    if "tab" in how:
        chief.get("/springfield/my-account/")
    asked = send(chief, person(7), to=to, mode="sync").headers["Location"]
    assert asked.startswith("/springfield/sign-in?next=/springfield/users/import/waiting/")
    answer = chief.post(asked, {"login": "user.5", "password": "a quiet brown heron"})
    waits = answer.headers["Location"]
    page = text(chief.get(waits))
    assert "roster.csv" in page and "from the address 127.0.0.1" in page and "Synchronize all" in page
    assert not models.Import.objects.filter(through="page").exists()
    assert "Synchronize all" in text(chief.get(chief.post(waits).headers["Location"]))


def test_a_plan_survives_signing_in_again_and_is_then_done(springfield: Springfield, chief: Client) -> None:
    plan = make_held(springfield, chief)
    age_session(chief, 16)
    asked = chief.post(plan, {"deactivations": "1"}).headers["Location"]
    assert asked.startswith("/springfield/sign-in/again?next=")
    assert cast.user(springfield.agency, 2).active
    done = chief.post(asked, {"password": "a quiet brown heron"}).headers["Location"]
    assert "<h1>Applied</h1>" in text(chief.get(done))


def test_a_plan_survives_the_end_of_its_session(springfield: Springfield, chief: Client) -> None:
    plan = follow_to_plan(chief, send(chief, person(7)))
    age_session(chief, 45)
    asked = chief.post(plan).headers["Location"]
    assert asked.startswith("/springfield/sign-in?next=/springfield/continue/")
    assert not models.User.objects.filter(external_id="E-7").exists()


def test_without_a_file_the_end_of_a_session_leads_back_to_the_form(springfield: Springfield, chief: Client) -> None:
    to = form(chief)
    chief.cookies.clear()
    assert chief.post(to, {"mode": "update"}).headers["Location"] == f"/springfield/sign-in?next={PAGE}"


# Who may


def test_a_user_who_may_not_import_is_refused_in_plain_words_with_an_event(
    springfield: Springfield, client: Client
) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    for answer in (client.get(PAGE), send(client, person(7), to=PAGE), client.get("/springfield/imports/X")):
        assert answer.status_code == 403
        assert "Import users from a file: add or update" in text(answer)
    refused = [event for event in springfield.events() if event[0] == "act.refused"]
    assert refused == [("act.refused", "E-2", "", "refused")] * 3
    changes = models.Event.objects.filter(kind="act.refused").order_by("id")[1].changes
    assert changes == '{"asked":["","POST /users/import"],"lacking":["","users.import"]}'
    assert verify.verify_trail(springfield.agency).error == ""


def test_synchronize_takes_a_permission_of_its_own(springfield: Springfield, chief: Client, settings: Settings) -> None:
    to = form(chief)
    age_session(chief, 16)
    asked = send(chief, person(7), mode="sync", to=to).headers["Location"]
    models.Role.objects.filter(name="Chief").update(permissions=["users.import"])
    assert send(chief, person(7), mode="sync").status_code == 403
    # The file was sent while it was allowed.
    answer = chief.post(asked, {"password": "a quiet brown heron"})
    assert answer.status_code == 403 and "Import users from a file: synchronize" in text(answer)
    assert list_waiting(settings) == []


def test_an_operator_who_is_gone_meanwhile_signs_in(
    springfield: Springfield, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = queue.submit

    def overtaken(*args: object, **more: object) -> object:
        monkeypatch.setattr(queue, "submit", usual)
        springfield.imported(person(5, ROLE="Chief", STATUS="Inactive"))
        return usual(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(queue, "submit", overtaken)
    assert send(chief, person(7)).headers["Location"].startswith("/springfield/sign-in?next=")


def test_who_is_not_signed_in_signs_in_first(springfield: Springfield, client: Client, settings: Settings) -> None:
    for path in (PAGE, f"{PAGE}/waiting/x", "/springfield/imports/x"):
        assert client.get(path).headers["Location"] == f"/springfield/sign-in?next={path}"
    for to in (PAGE, f"{PAGE}?for=1-1:x:y", f"{PAGE}?for="):
        assert send(client, person(7), to=to).headers["Location"] == f"/springfield/sign-in?next={PAGE}"
    assert list_waiting(settings) == []


@pytest.fixture
def others(springfield: Springfield, chief: Client) -> Iterator[Client]:
    """A browser in which another is signed in who may import, of the same agency."""
    springfield.imported(person(6, ROLE="Chief"))
    springfield.registered(6)
    other = Client()
    signed_in(other, "user.6")
    return iter([other])


def test_a_file_that_waits_is_never_anothers(springfield: Springfield, chief: Client, others: Iterator[Client]) -> None:
    other = next(others)
    to = form(chief)
    age_session(chief, 16)
    asked = send(chief, person(7), to=to).headers["Location"]
    address = parse_qs(urlsplit(asked).query)["next"][0]
    assert (other.get(address).status_code, other.post(address).status_code) == (404, 404)
    sign_in_again(chief, asked)
    assert (other.get(address).status_code, other.post(address).status_code) == (404, 404)


def test_every_user_who_may_import_can_apply_a_plan_in_their_own_name(
    springfield: Springfield, chief: Client, others: Iterator[Client]
) -> None:
    other = next(others)
    plan = follow_to_plan(chief, send(chief, person(7)))
    assert "First 7 Last 7" in text(other.get(plan))
    done = other.post(plan).headers["Location"]
    assert "<h1>Applied</h1>" in text(chief.get(done))
    assert models.Event.objects.get(kind="user.added", subject_external_id="E-7").actor == "E-6"


def test_nothing_of_it_is_seen_from_another_agency(
    springfield: Springfield, shelbyville: Springfield, chief: Client, client: Client
) -> None:
    plan = follow_to_plan(chief, send(chief, person(7)))
    to = form(chief)
    shelbyville.registered(1)
    other = Client()
    sign_in(other, "user.1", agency="shelbyville")
    assert other.get(plan.replace("springfield", "shelbyville")).status_code == 404
    stranger = send(Client(), person(7), to=to.replace("springfield", "shelbyville"))
    assert stranger.headers["Location"] == "/shelbyville/sign-in?next=/shelbyville/users/import"


# Hostile files


def test_a_file_that_is_too_large_is_left_on_its_way(chief: Client, settings: Settings) -> None:
    settings.MUSTER_MAX_FILE_MB = 1
    answer = chief.post(form(chief), {"mode": "update", "file": SimpleUploadedFile("a.csv", b"x" * (1024 * 1024 + 1))})
    assert answer.status_code == 422
    assert "larger than 1 MB" in text(answer)
    assert list_waiting(settings) == []
    fits = SimpleUploadedFile("a.csv", b"x" * 1024 * 1024)
    assert chief.post(form(chief), {"mode": "update", "file": fits}).status_code == 302


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../../etc/passwd", b"EXTERNAL_ID\nx\n"), ("<script>.csv", b"%PDF-1.7"), ("a.xlsx", b"PK\x03\x04 no workbook"),
        ("\u202ecsv.exe", b"MZ\x90"), ("x" * 400 + ".csv", b""), ("a\x00b.csv", b"\x00" * 100), (" ", b"\xff\xfe"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_and_its_name_harms_nobody(chief: Client, name: str, content: bytes) -> None:
    answer = chief.post(form(chief), {"mode": "update", "file": SimpleUploadedFile(name or "x", content)})
    if answer.status_code == 422:
        assert "Select a file" in text(answer)
        return
    page = chief.get(follow_to_plan(chief, answer)).content.decode()
    assert "Refused: nothing has changed" in page or "Match columns" in page
    assert "<script>." not in page and "etc/passwd" not in page


def test_of_two_files_the_first_is_taken(springfield: Springfield, chief: Client) -> None:
    files = [SimpleUploadedFile(f"{n}.csv", cast.file([person(n)])) for n in (7, 8)]
    answer = chief.post(form(chief), {"mode": "update", "file": files})
    plan = follow_to_plan(chief, answer)
    assert "7.csv" in text(chief.get(plan))


def test_no_other_page_takes_files(springfield: Springfield, chief: Client) -> None:
    answer = chief.post("/springfield/my-account/", {"time_zone": "", "file": SimpleUploadedFile("a.csv", b"x")})
    assert answer.status_code == 302
    nowhere = chief.post("/springfield/nowhere", {"file": SimpleUploadedFile("a.csv", b"x")})
    assert nowhere.status_code == 404


@pytest.mark.parametrize(("sent", "said"), [({}, "Select a file"), ({"mode": "delete"}, "not one of")])
def test_what_is_not_as_the_form_asks_is_said(chief: Client, sent: dict[str, str], said: str) -> None:
    answer = chief.post(form(chief), sent)
    assert answer.status_code == 422
    assert said in text(answer)


def test_a_full_disk_is_said(chief: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    def full(path: Path, *_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    to = form(chief)
    age_session(chief, 16)
    monkeypatch.setattr(Path, "write_text", full)
    answer = send(chief, person(7), to=to)
    assert answer.status_code == 422 and "no room" in text(answer)
    assert list_waiting(settings) == []


# Files that wait


def keep_file(user: models.User, at: datetime = NOW, content: bytes = b"x") -> str:
    return cast.keep_waiting(user, content, at, Options(Mode.SYNC))


def test_a_file_waits_for_an_hour(springfield: Springfield, settings: Settings) -> None:
    user = springfield.user(2)
    token = keep_file(user)
    assert pending_uploads.find_waiting(user, token, NOW + timedelta(minutes=59)).options.mode is Mode.SYNC
    with pytest.raises(UploadGone):
        pending_uploads.find_waiting(user, token, NOW + timedelta(hours=1))
    pending_uploads.forget_old(NOW + timedelta(minutes=59))
    assert len(list_waiting(settings)) == 2  # the file, and its description
    pending_uploads.forget_old(NOW + timedelta(hours=1))
    assert list_waiting(settings) == []


def test_the_worker_lets_go_of_old_files(springfield: Springfield, settings: Settings) -> None:
    keep_file(springfield.user(2))
    jobs.tidy()
    assert list_waiting(settings) == []


def test_a_user_has_three_files_waiting_at_most(springfield: Springfield, settings: Settings) -> None:
    user = springfield.user(2)
    tokens = [keep_file(user, NOW + timedelta(minutes=number)) for number in range(5)]
    assert {path.stem for path in list_waiting(settings)} == set(tokens[2:])
    assert {path.stat().st_mode & 0o777 for path in list_waiting(settings)} == {0o600}


@pytest.mark.parametrize("token", ["", ".", "..", "../1/x", "x" * 32, "a" * 31 + "/", "a" * 31 + "\n"])
def test_a_token_that_nobody_has_finds_nothing(springfield: Springfield, token: str) -> None:
    keep_file(springfield.user(2))
    with pytest.raises(UploadGone):
        pending_uploads.find_waiting(springfield.user(2), token, NOW)


def test_what_is_too_much_is_not_kept(springfield: Springfield, settings: Settings) -> None:
    settings.MUSTER_MAX_FILE_MB = 1
    with pytest.raises(TooLarge):
        keep_file(springfield.user(2), content=b"x" * (1024 * 1024 + 1))
    assert list_waiting(settings) == []


def test_a_file_that_is_being_written_or_was_just_deleted_stops_no_one(
    springfield: Springfield, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = springfield.user(2)
    token = keep_file(user)
    (tmp_path / "half").write_bytes(b"")
    assert pending_uploads._sent_at(tmp_path / "half") > 0
    assert pending_uploads._sent_at(tmp_path / "nothing") == 0

    def gone(path: Path, mode: str, **_: object) -> bytes:
        raise FileNotFoundError

    monkeypatch.setattr(pending_uploads, "_is_old", lambda *_: False)
    monkeypatch.setattr(Path, "open", gone)
    with pytest.raises(UploadGone):
        pending_uploads.find_waiting(user, token, NOW)
