"""Sessions: how they end, what is said then, who sees them, and signing in again."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings as configured
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client, RequestFactory, override_settings
from django.utils.module_loading import import_string

from musterbook.accounts import passwords, sessions
from musterbook.accounts.models import Account
from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.audit import verify
from musterbook.directory.audit.event_kinds import EventKind
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import undo
from musterbook.directory.imports.options import Options
from musterbook.http import reauthentication
from tests.accounts.conftest import GOOD, Springfield, age_session
from tests.accounts.test_entrance import HOME, read_username, sign_in, text
from tests.accounts.test_factors import PAGES, code, set_up
from tests.cli.conftest import Muster
from tests.cli.conftest import _database_marked as _database_marked  # noqa: PLC0414  (a fixture)
from tests.cli.conftest import muster as muster  # noqa: PLC0414  (a fixture)
from tests.directory import cast
from tests.directory.cast import person

pytestmark = pytest.mark.any_database


LIST = "/springfield/my-account/sessions/"
AGAIN = "/springfield/sign-in/again"
ME = "/springfield/my-account/"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def officer(springfield: Springfield, client: Client) -> Client:
    """A browser in which the officer is signed in."""
    springfield.registered(2)
    sign_in(client, "user.2")
    assert read_username(client) == "user.2"
    return client


def list_changes(springfield: Springfield, kind: str) -> list[str]:
    """What the events of that kind say of changes."""
    return list(models.Event.objects.filter(kind=kind).order_by("id").values_list("changes", flat=True))


# The end of sessions


def test_a_session_out_of_use_ends_with_a_word_and_leads_back(springfield: Springfield, officer: Client) -> None:
    age_session(officer, 29.9)
    assert read_username(officer) == "user.2"
    age_session(officer, 30.1)
    assert officer.get(ME).headers["Location"] == f"/springfield/sign-in?next={ME}"
    page = text(officer.get(f"/springfield/sign-in?next={ME}"))
    assert "You were signed out after 30 minutes without activity." in page
    assert sign_in(officer, "user.2", next=ME).headers["Location"] == ME
    assert list_changes(springfield, EventKind.USER_SESSION_ENDED) == ['{"why":["","out of use"]}']


@pytest.mark.parametrize(("idle", "ahead"), [(30, 31), (720, 12.1 * 60)])
def test_a_session_of_a_clock_that_was_ahead_lasts_no_longer(
    springfield: Springfield, officer: Client, idle: int, ahead: float
) -> None:
    models.Agency.objects.update(idle_minutes=idle)
    age_session(officer, -29)
    assert read_username(officer) == "user.2"
    age_session(officer, 29 - ahead)
    assert read_username(officer) == ""


@pytest.mark.parametrize("minutes", [1, 5, 720])
def test_the_agency_says_for_how_long(springfield: Springfield, officer: Client, minutes: int) -> None:
    models.Agency.objects.update(idle_minutes=minutes)
    for _ in range(3):
        age_session(officer, minutes * 0.95 if minutes < 700 else 200)
        assert read_username(officer) == "user.2"
    age_session(officer, minutes + 0.1)
    assert read_username(officer) == ""


def test_use_within_the_time_is_never_lost_for_long(springfield: Springfield, officer: Client) -> None:
    models.Agency.objects.update(idle_minutes=1)
    for _ in range(8):
        age_session(officer, 0.95)
        assert read_username(officer) == "user.2"


def test_no_session_lasts_for_more_than_twelve_hours(springfield: Springfield, officer: Client) -> None:
    models.Agency.objects.update(idle_minutes=720)
    age_session(officer, 11.9 * 60)
    assert read_username(officer) == "user.2"
    age_session(officer, 0.2 * 60)
    assert read_username(officer) == ""
    assert "you signed in over 12 hours ago" in text(officer.get("/springfield/sign-in"))
    assert list_changes(springfield, EventKind.USER_SESSION_ENDED) == ['{"why":["","too old"]}']


def test_signing_out_is_recorded(springfield: Springfield, officer: Client) -> None:
    officer.post("/springfield/sign-out")
    assert springfield.events()[-1] == ("user.signed-out", "E-2", "E-2", "")
    officer.post("/springfield/sign-out")
    assert springfield.events()[-2][0] != "user.signed-out"
    assert verify.verify_trail(springfield.agency).error == ""


# Deactivation by whichever road


def _import(springfield: Springfield, muster: Muster) -> None:
    springfield.imported(person(2, STATUS="Inactive"))


def _synchronize(springfield: Springfield, muster: Muster) -> None:
    options = Options(mode=Mode.SYNC)
    cast.apply_rows(springfield.agency, [person(1, ROLE="Admin")], options)


def _undo(springfield: Springfield, muster: Muster) -> None:
    record = models.Import.objects.filter(agency=springfield.agency).latest("id")
    assert undo.run_undo(record, context=AuditContext(cast.NOW, "", "cli")).record.state == "applied"


def _command(springfield: Springfield, muster: Muster) -> None:
    path = muster.folder / "leaves.csv"
    path.write_bytes(cast.file([person(2, STATUS="Inactive")]))
    assert muster("import", path, "--agency", "springfield").status == 0


def _directly(springfield: Springfield, muster: Muster) -> None:
    models.User.objects.filter(external_id="E-2").update(active=False)


@pytest.mark.parametrize("road", [_import, _synchronize, _undo, _command, _directly])
def test_deactivation_by_whichever_road_ends_the_session_with_the_next_click_and_for_ever(
    muster: Muster, springfield: Springfield, officer: Client, road: object
) -> None:
    if road is _undo:
        springfield.imported(person(2, STATUS="Inactive"))
        springfield.imported(person(2))
        sign_in(officer, "user.2")
    assert read_username(officer) == "user.2"
    road(springfield, muster)  # type: ignore[operator]
    assert officer.get(ME).headers["Location"].startswith("/springfield/sign-in")
    assert "password or access has changed" in text(officer.get("/springfield/sign-in"))
    springfield.imported(person(2))
    assert read_username(officer) == ""
    sign_in(officer, "user.2")
    assert read_username(officer) == "user.2"
    assert len(re.findall("<tr>", text(officer.get(LIST)))) == 2


def test_between_two_clicks_inactive_and_active_again_is_out_as_well(springfield: Springfield, officer: Client) -> None:
    springfield.imported(person(2, STATUS="Inactive"))
    springfield.imported(person(2))
    assert read_username(officer) == ""


def test_a_role_change_takes_effect_at_once(springfield: Springfield, officer: Client) -> None:
    page = "/springfield/users/import"
    assert officer.get(page).status_code == 403
    springfield.imported(person(2, ROLE="Chief"))
    assert officer.get(page).status_code == 200
    models.Role.objects.filter(name="Chief").update(permissions=[])
    assert officer.get(page).status_code == 403


# The list of sessions


def open_second(springfield: Springfield, agent: str = FIREFOX, address: str = "198.51.100.4") -> Client:
    """Another browser in which the officer is signed in."""
    other = Client(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    sign_in(other, "user.2")
    return other


def test_a_user_sees_where_they_are_signed_in(springfield: Springfield, officer: Client) -> None:
    open_second(springfield)
    page = text(officer.get(LIST))
    assert "Firefox on Windows" in page and "198.51.100.4" in page and FIREFOX in page
    assert page.index("This one") < page.index("Firefox on Windows")


def number(client: Client) -> int:
    """The number of the client's session."""
    key = client.cookies[configured.SESSION_COOKIE_NAME].value.partition(":")[0]
    return int(UserSession.objects.get(session_key=key).pk)


def test_a_user_ends_one_session(springfield: Springfield, officer: Client) -> None:
    other, third = open_second(springfield), open_second(springfield)
    officer.post(LIST, {"end": number(other)})
    assert [read_username(client) for client in (officer, other, third)] == ["user.2", "", "user.2"]
    assert springfield.events()[-1] == (EventKind.USER_SESSION_ENDED, "E-2", "E-2", "")
    assert "198.51.100.4" in list_changes(springfield, EventKind.USER_SESSION_ENDED)[-1]


def test_a_user_ends_all_other_sessions(springfield: Springfield, officer: Client) -> None:
    others = [open_second(springfield), open_second(springfield)]
    officer.post(LIST, {"end": "others"})
    assert [read_username(client) for client in (officer, *others)] == ["user.2", "", ""]
    assert len(list_changes(springfield, EventKind.USER_SESSION_ENDED)) == 2
    assert "This one" in text(officer.get(LIST)) and "End all other sessions" not in text(officer.get(LIST))


@pytest.mark.parametrize("which", ["", "x", "0", "9" * 30, "own", "strange"])
def test_a_user_ends_only_other_sessions_of_their_own(springfield: Springfield, officer: Client, which: str) -> None:
    springfield.registered(1)
    admin = Client()
    sign_in(admin, "user.1")
    asked = {"own": number(officer), "strange": number(admin)}.get(which, which)
    answer = officer.post(LIST, {"end": asked}, follow=True)
    assert "has already ended" in text(answer)
    assert (read_username(officer), read_username(admin)) == ("user.2", "user.1")
    assert list_changes(springfield, EventKind.USER_SESSION_ENDED) == []


def test_dead_sessions_are_not_listed(springfield: Springfield, officer: Client) -> None:
    idle, gone = open_second(springfield), open_second(springfield)
    age_session(idle, 31)
    SessionStore(gone.cookies[configured.SESSION_COOKIE_NAME].value.partition(":")[0]).delete()
    assert "Firefox" not in text(officer.get(LIST))
    assert UserSession.objects.count() == 1
    assert read_username(idle) == ""


@pytest.mark.parametrize(
    ("agent", "named"),
    [
        (FIREFOX, "Firefox on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1 Version/18 Safari/605.1", "Safari on macOS"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0.0.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "Safari on iOS"),
        ("curl/8.1", "curl/8.1"), ("x" * 200, "x" * 60), ("", "unknown"),
    ],
)  # fmt: skip
def test_a_program_has_a_name_that_people_know(agent: str, named: str) -> None:
    assert sessions.describe_program(agent) == named


# My account


def test_my_account_says_who_i_am(springfield: Springfield, officer: Client) -> None:
    page = text(officer.get(ME))
    assert "First 2 Last 2" in page and "user.2" in page and "user2@agency.example" in page
    assert 'name="email"' not in page and 'name="username"' not in page


def test_times_are_the_readers_with_the_exact_one_on_hover(springfield: Springfield, officer: Client) -> None:
    assert officer.post(ME, {"time_zone": "Asia/Tokyo"}).headers["Location"] == ME
    models.User.objects.update(last_sign_in_at=datetime(2026, 3, 2, 20, 4, 5, tzinfo=UTC))
    page = officer.get(ME).content.decode()
    stamp = (
        '<time datetime="2026-03-03T05:04:05+09:00" title="2026-03-03 05:04:05+09:00 (JST)">3 March 2026, 05:04</time>'
    )
    assert stamp in page
    officer.post(ME, {"time_zone": ""})
    assert "2 March 2026, 20:04 UTC</time>" in officer.get(ME).content.decode()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "\x00", "UTC' OR 1=1"])
def test_a_zone_that_there_is_not_is_refused(springfield: Springfield, officer: Client, zone: str) -> None:
    assert officer.post(ME, {"time_zone": zone}).status_code == 422
    assert springfield.user(2).account.time_zone == ""


def test_my_account_says_all_that_the_directory_has_and_when_a_mail_comes(
    springfield: Springfield, officer: Client
) -> None:
    springfield.imported(person(2, RANK="Captain", EVIDENCE_GROUP_EXT_ID="PATROL", LOCATION="Room 5"))
    page = text(officer.get(ME))
    assert all(f"<dd>{said}</dd>" in page for said in ("E-2", "Captain", "Room 5"))
    assert "your account becomes Inactive" in page and "your password is changed" in page
    models.Agency.objects.update(mails_off=["deactivated"])
    page = text(officer.get(ME))
    assert "your account becomes Inactive" not in page and "your email address is changed" in page
    models.Agency.objects.update(sends_mail=False)
    page = text(officer.get(ME))
    assert "your email address is changed" not in page and "your password is changed" in page


def test_who_has_a_password_is_led_to_where_it_is_changed(officer: Client) -> None:
    assert officer.get(f"{ME}password/none").headers["Location"] == f"{ME}password"


def test_a_user_sees_their_last_sign_in(springfield: Springfield, officer: Client) -> None:
    assert "You last signed in" not in text(officer.get(HOME))
    models.User.objects.update(last_sign_in_at=datetime(2026, 3, 2, 20, 4, tzinfo=UTC))
    other = Client()
    sign_in(other, "user.2")
    page = other.get(HOME).content.decode()
    assert 'You last signed in on <time datetime="2026-03-02T20:04:00+00:00"' in page


# Passwords

CHANGE = "/springfield/my-account/password"
NEW = "another good password"


def change(client: Client, old: str = GOOD, **more: str) -> object:
    """Sends the form for a new password."""
    return client.post(CHANGE, {"oldpassword": old, "password1": NEW, "password2": NEW, **more})


def test_a_new_password_ends_other_sessions_and_keeps_this_one(springfield: Springfield, officer: Client) -> None:
    other = open_second(springfield)
    assert change(officer).headers["Location"] == ME  # type: ignore[attr-defined]
    assert (read_username(officer), read_username(other)) == ("user.2", "")
    assert springfield.events()[-1][0] == EventKind.USER_PASSWORD_CHANGED
    assert springfield.mails() == ["welcome", "password-changed"]
    assert "Firefox" not in text(officer.get(LIST))
    assert "one of your last" in text(officer.post(CHANGE, {"oldpassword": NEW, "password1": GOOD, "password2": GOOD}))


def test_the_present_password_cannot_be_guessed_from_within(springfield: Springfield, officer: Client) -> None:
    for _ in range(5):
        change(officer, "wrong")
    assert springfield.user(2).locked_at is not None
    change(officer)
    assert springfield.user(2).account.check_password(GOOD)


def test_a_user_who_tries_one_new_password_after_another_keeps_the_page_and_is_not_locked_out(
    springfield: Springfield, officer: Client
) -> None:
    """D37."""
    for attempt in range(40):
        page = officer.post(CHANGE, {"oldpassword": GOOD, "password1": f"short {attempt}", "password2": "other"})
        assert page.status_code == 200 and 'name="password1"' in page.content.decode(), attempt
    assert springfield.user(2).locked_at is None
    change(officer)
    assert springfield.user(2).account.check_password(NEW)


def age_password(springfield: Springfield, days: float) -> None:
    """The officer's password was chosen so many days ago."""
    Account.objects.update(password_at=datetime.now(UTC) - timedelta(days=days))


def test_who_signs_in_with_an_old_password_chooses_a_new_one_before_anything_else(
    springfield: Springfield, officer: Client
) -> None:
    models.Agency.objects.update(password_days=90)
    age_password(springfield, 91)
    asked = officer.get(LIST).headers["Location"]
    assert asked == f"{CHANGE}?next=%2Fspringfield%2Fmy-account%2Fsessions%2F"
    assert officer.post(ME, {"time_zone": ""}).headers["Location"] == f"{CHANGE}?"
    assert "Your password has expired" in text(officer.get(asked))
    assert officer.get(PAGES).headers["Location"].startswith(CHANGE)
    assert officer.get("/springfield/sign-out").status_code == 200
    assert change(officer, next=LIST).headers["Location"] == LIST  # type: ignore[attr-defined]
    assert officer.get(LIST).status_code == 200


def test_a_password_is_old_when_its_days_are_over_and_the_agency_says_so(springfield: Springfield) -> None:
    account, now = springfield.registered(2), cast.NOW + timedelta(days=90)
    account.user.agency.password_days = 0
    assert not passwords.is_old(account, now)
    account.user.agency.password_days = 90
    assert passwords.is_old(account, now)
    assert not passwords.is_old(account, now - timedelta(seconds=1))
    account.password_at = None
    assert passwords.is_old(account, now)
    account.set_unusable_password()
    assert not passwords.is_old(account, now)


# Signing in again


@pytest.mark.parametrize("minutes", [16, -16], ids=["long ago", "by a clock that was ahead"])
def test_a_form_that_was_sent_is_taken_after_signing_in_again(
    springfield: Springfield, officer: Client, minutes: int
) -> None:
    secret = set_up(officer)
    age_session(officer, minutes)
    asked = officer.post(f"{PAGES}totp/deactivate/").headers["Location"]
    again = f"{PAGES}reauthenticate/"  # who has a factor shows it
    assert asked == f"{again}?next=%2Fspringfield%2Fmy-account%2Fsecond-factors%2Ftotp%2Fdeactivate%2F"
    assert "still you" in text(officer.get(asked))
    assert officer.post(asked, {"code": "000000"}).status_code == 200
    officer.post(asked, {"code": code(secret)})
    assert springfield.events()[-1][0] == EventKind.USER_SECOND_FACTOR_REMOVED
    kept = [kind for kind, *_ in springfield.events()]
    assert kept.count(EventKind.USER_SIGNED_IN_AGAIN) == 3 and EventKind.USER_SIGN_IN_FAILED in kept


def test_what_was_sent_is_kept_sealed_and_without_the_cookie(springfield: Springfield, officer: Client) -> None:
    set_up(officer)
    age_session(officer, 16)
    officer.post(f"{PAGES}totp/deactivate/", {"secret": "a secret word"})
    cookie = officer.cookies[configured.SESSION_COOKIE_NAME].value
    kept = str(SessionStore(cookie.partition(":")[0]).load())
    assert "sealed" in kept
    assert "secret word" not in kept and cookie not in kept and cookie.partition(":")[2] not in kept


def test_what_was_sent_is_not_taken_on_the_way_to_another_page(springfield: Springfield, officer: Client) -> None:
    set_up(officer)
    age_session(officer, 16)
    officer.post(f"{PAGES}totp/deactivate/")
    assert officer.post(f"{AGAIN}?next={ME}", {"password": GOOD}).headers["Location"] == ME
    assert EventKind.USER_SECOND_FACTOR_REMOVED not in [kind for kind, *_ in springfield.events()]
    assert officer.post(AGAIN, {"password": GOOD}).headers["Location"] == HOME


def test_what_was_sent_without_being_signed_in_is_not_kept(springfield: Springfield, client: Client) -> None:
    asked = client.post(f"{PAGES}totp/deactivate/").headers["Location"]
    assert asked.startswith("/springfield/sign-in?next=")
    assert "account_reauthentication_state" not in client.session


@override_settings(LOGIN_URL="/springfield/sign-in")
def test_who_is_not_signed_in_is_asked_to_sign_in(db: None) -> None:
    request = RequestFactory().post("/springfield/anything?a=b", {"c": "d"})
    request.user, request.session = AnonymousUser(), SessionStore()
    response = reauthentication.redirect_to_reauth(request)
    assert response.headers["Location"].endswith("?next=/springfield/anything%3Fa%3Db")
    assert request.session.is_empty()


def test_a_code_will_do_as_well(springfield: Springfield, officer: Client) -> None:
    secret = set_up(officer)
    age_session(officer, 16)
    asked = f"{PAGES}reauthenticate/?next={ME}"
    assert officer.post(asked, {"code": code(secret)}).headers["Location"] == ME
    assert list_changes(springfield, EventKind.USER_SIGNED_IN_AGAIN)[-1] == '{"factors":["","totp"]}'


def test_failures_to_sign_in_again_lock(springfield: Springfield, officer: Client) -> None:
    for _ in range(5):
        officer.post(AGAIN, {"password": "wrong"})
    assert springfield.user(2).locked_at is not None
    age_session(officer, 16)
    assert officer.post(AGAIN, {"password": GOOD}).status_code == 200
    assert "sign-in/again" in officer.get(f"{PAGES}totp/activate/").headers["Location"]


def test_signing_in_again_forgets_the_failures_before(springfield: Springfield, officer: Client) -> None:
    for password in ("wrong", "wrong", "wrong", "wrong", GOOD, "wrong"):
        officer.post(AGAIN, {"password": password})
    assert springfield.user(2).locked_at is None


def test_who_signs_in_by_a_provider_alone_is_never_let_through(springfield: Springfield, officer: Client) -> None:
    assert officer.get(f"{PAGES}totp/activate/").status_code == 200
    account = springfield.user(2).account
    account.set_unusable_password()
    account.save()
    key = officer.cookies[configured.SESSION_COOKIE_NAME].value.partition(":")[0]
    store = SessionStore(key)
    store["_auth_user_hash"] = account.get_session_auth_hash()
    store.save()
    age_session(officer, 16)
    asked = officer.get(f"{PAGES}totp/activate/").headers["Location"]
    assert asked == f"/springfield/sign-in?next={PAGES}totp/activate/"
    assert read_username(officer) == ""
    assert list_changes(springfield, EventKind.USER_SESSION_ENDED) == ['{"why":["","to sign in again"]}']


def test_the_trail_of_all_this_verifies(springfield: Springfield, officer: Client, tmp_path: Path) -> None:
    open_second(springfield)
    officer.post(LIST, {"end": "others"})
    officer.post(AGAIN, {"password": GOOD})
    age_session(officer, 31)
    read_username(officer)
    assert verify.verify_trail(springfield.agency).error == ""


def test_a_session_names_the_function_that_processes_a_stored_form_by_a_name_that_exists() -> None:
    assert import_string(reauthentication._RESUME) is reauthentication.resume
