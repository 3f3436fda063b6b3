"""What goes wrong, or is refused, leaves a line in the log, by real processes; nothing forges a line, and no secret is in one."""

import logging
import re
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from django.test import Client
from pytest_django import Settings

from musterbook.config import alerts, log_file, log_lines, logs, mail_server
from musterbook.directory import models
from musterbook.directory.users import versions
from tests.accounts.conftest import Springfield, build_springfield
from tests.accounts.test_entrance import sign_in
from tests.api.test_me import make_token
from tests.attacks.serving import HEAD, Server, free_port, log, mode, serve, wait_until
from tests.databases import Home

pytestmark = pytest.mark.any_database


BROKEN = {"DJANGO_SETTINGS_MODULE": "tests.attacks.broken", "PYTHONPATH": str(Path(__file__).parents[2])}
TOKEN = "1a-" + "0f" * 32


@pytest.fixture
def own_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a folder of the test's own."""
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    monkeypatch.setattr(logs._FileState, "failing", False)
    return tmp_path / "muster.log"


def write_log(message: str, *args: object, name: str = "musterbook.test", level: int = logging.ERROR) -> None:
    logs.File().handle(logging.LogRecord(name, level, __file__, 1, message, args, None))


def heads(text: str) -> list[str]:
    """The lines that begin a record; every other line must be marked as a part of one."""
    lines = text.splitlines()
    assert all(HEAD.fullmatch(line) or line.startswith("  | ") for line in lines), text
    return [line for line in lines if HEAD.fullmatch(line)]


def test_a_page_that_raises_leaves_a_line_with_the_number_that_the_reader_sees(fresh_home: Home) -> None:
    with serve(fresh_home, "--no-worker", "--workers", "1", **BROKEN) as server:
        answer = server.ask("GET", "/broken")
        _break_off(server)
        assert server.ask("GET", f"/reset/{TOKEN}?code=hidden").status == 500
    number = answer.headers["X-Request-ID"]
    assert answer.status == 500
    assert number in answer.text
    assert "ZeroDivisionError" not in answer.text
    text = log(fresh_home)
    mine = [line for line in heads(text) if f" {number} " in line]
    assert [line.partition(f" {number} ")[2] for line in mine] == ["Internal Server Error: /broken"]
    assert "ZeroDivisionError: on purpose" in text
    assert "A response was interrupted" in text
    assert "/reset/…" in text
    assert TOKEN not in text
    assert "hidden" not in text
    assert mine[0] in server.errors.read_text()
    assert mode(fresh_home.folder / "muster.log") == 0o600


def _break_off(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"GET /broken/off HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while raw.recv(4096):
            pass


def test_a_worker_that_raises_leaves_a_line_and_is_started_again(fresh_home: Home) -> None:
    with serve(fresh_home, "--workers", "1", **BROKEN) as server:
        wait_until(lambda: log(fresh_home).count("The worker exited") >= 1)
    assert "ERROR musterbook.cli.session" in log(fresh_home)
    assert "ZeroDivisionError: on purpose" in log(fresh_home)
    assert "The worker exited" in server.errors.read_text()
    heads(log(fresh_home))


def test_a_thread_of_a_process_that_raises_leaves_a_line(fresh_home: Home) -> None:
    program = (
        "import threading; from musterbook.config import logs; logs.begin();"
        "t = threading.Thread(target=lambda: 1 / 0, name='posting'); t.start(); t.join(); int('no number')"
    )
    done = fresh_home.run(sys.executable, "-c", program)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    said = [line.split(" ", 5)[5] for line in heads(log(fresh_home))]
    assert said == ["The thread “posting” ends by an error", "The process ends by an error"]


def test_a_command_that_raises_leaves_a_trace_in_the_log_and_one_sentence_to_its_person(fresh_home: Home) -> None:
    named = [f"{name}={value}" for name, value in BROKEN.items()]
    done = fresh_home.run("env", *named, str(Path(sys.executable).parent / "muster"), "doctor")
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert "  | ZeroDivisionError" in log(fresh_home)
    assert [line.split(" ", 5)[5] for line in heads(log(fresh_home))] == ["The command failed"]


def test_a_command_that_cannot_write_its_log_says_so_once_and_names_no_log(fresh_home: Home) -> None:
    fresh_home.folder.mkdir(mode=0o700, exist_ok=True)
    (fresh_home.folder / "muster.log").mkdir()
    named = [f"{name}={value}" for name, value in BROKEN.items()]
    done = fresh_home.run("env", *named, str(Path(sys.executable).parent / "muster"), "doctor")
    assert done.returncode == 5
    assert (
        done.stderr.splitlines()[0] == f"The log {fresh_home.folder / 'muster.log'} cannot be written: Is a directory."
    )
    assert done.stderr.count("muster.log") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "value",
    [
        "a\nb",
        "a\r\nb",
        "a\x0bb\x0cb",
        "a\x85b",
        "a\u2028b\u2029",
        "a\x1b[31mb",
        "a\x00b",
        "2026-01-01T00:00:00.000000Z ERROR",
    ],
)
def test_a_value_forges_no_line(own_log: Path, value: str) -> None:
    write_log("Somebody asked for %s", f"{value}\n2026-01-01T00:00:00.000000Z ERROR forged 1 - a line")
    try:
        raise ValueError(value + "\n2026-01-01T00:00:00.000000Z ERROR forged 1 - a line")
    except ValueError:
        logs.File().handle(logging.LogRecord("musterbook", logging.ERROR, "", 1, "It failed", (), sys.exc_info()))
    assert len(heads(own_log.read_text())) == 2
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", own_log.read_text())


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        (f"Not Found: /springfield/register/{TOKEN}", TOKEN),
        (f"'GET /springfield/reset/{TOKEN}'", TOKEN),
        ("postgres://muster:pa55word@db.internal/muster", "pa55word"),
        ("smtp://:pa55word@mail.example", "pa55word"),
        ("It could not be sent to ann.smith@agency.example", "ann.smith"),
        ("duplicate key\nDETAIL:  Key (badge_number_key)=(B-77) already exists.", "B-77"),
    ],
)
def test_no_secret_and_no_mailbox_is_logged(own_log: Path, said: str, secret: str) -> None:
    write_log("%s", said)
    assert secret not in own_log.read_text()
    assert said[:6] in own_log.read_text()


def test_a_long_value_takes_little_of_the_log(own_log: Path) -> None:
    write_log("%s", "x" * 5_000_000)
    assert own_log.stat().st_size < 3_000


def test_the_log_is_its_owners_alone_also_where_it_was_not(own_log: Path) -> None:
    own_log.write_text("")
    own_log.chmod(0o644)
    write_log("something")
    assert mode(own_log) == 0o600


def test_the_log_is_bounded_and_no_line_is_lost_by_many_who_write(
    own_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "LARGEST", 2_000)

    def write(one: int) -> None:
        for line in range(20):
            write_log("from %d line %d", one, line)

    threads = [threading.Thread(target=write, args=(one,)) for one in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = sorted(own_log.parent.glob("muster.log*"))
    lines = [line for file in files for line in heads(file.read_text())]
    assert 2 < len(files) <= log_file.FILES
    assert len({line.partition(" - ")[2] for line in lines}) == 100
    assert all(file.stat().st_size < 2_200 and mode(file) == 0o600 for file in files)
    for _ in range(10):
        write(9)
    assert len(list(own_log.parent.glob("muster.log*"))) == log_file.FILES


def test_old_lines_are_deleted_by_the_clock(own_log: Path) -> None:
    now = datetime.now(UTC)
    write_log("something")
    log_file.tidy(now)
    assert own_log.exists()
    log_file.tidy(now + log_file.NEW_FILE_AFTER + timedelta(days=1))
    assert [path.name for path in own_log.parent.glob("muster.log*")] == ["muster.log.1"]
    log_file.tidy(now + log_file.KEEP_FOR + timedelta(days=1))
    assert list(own_log.parent.glob("muster.log*")) == []


def test_strangers_do_not_fill_the_log_with_refusals() -> None:
    flood = logs.Flood()
    records = [logging.LogRecord("musterbook.security", 30, "", 1, "Refused", (), None) for _ in range(1_000)]
    for record in records:
        record.created = 600.0
    assert sum(map(flood.filter, records)) == logs.REFUSALS_A_MINUTE
    later = logging.LogRecord("musterbook.security", 30, "", 1, "Refused", (), None)
    assert flood.filter(later)
    assert later.getMessage() == "Refused (700 refusals before it are not logged)"


@pytest.mark.django_db
def test_what_is_refused_leaves_a_line_without_a_trace(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    answer = Client(enforce_csrf_checks=True).post("/", {"code": "x"}, REMOTE_ADDR="192.0.2.9")
    assert answer.status_code == 403
    said = [record for record in caplog.records if record.name == "musterbook.security"]
    assert [record.getMessage() for record in said] == [
        "Refused 'POST /' from 192.0.2.9: the form was not made for this session (CSRF)",
        "csrf: Forbidden (CSRF cookie not set.): /",
        "Refused with 403: POST / by nobody from 192.0.2.9",
    ]
    assert all(record.exc_info is None for record in said)
    assert answer.headers["X-Request-ID"] in answer.content.decode()
    assert client.get("/readyz").headers["X-Request-ID"] != answer.headers["X-Request-ID"]


@pytest.mark.django_db
def test_a_refusal_names_the_token_that_was_refused(caplog: pytest.LogCaptureFixture) -> None:
    springfield = build_springfield()
    token, secret = make_token(springfield, "users.import")
    answer = Client().get("/springfield/api/v1/users", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 403
    (line,) = [one.getMessage() for one in caplog.records if one.getMessage().startswith("Refused with 403")]
    assert f" by E-1 with the token …{token.ending} from 127.0.0.1" in line and secret not in line


@pytest.mark.django_db
def test_no_client_chooses_the_number_of_its_request(client: Client) -> None:
    answer = client.get("/readyz", headers={"X-Request-ID": "chosen\nby me"})
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"])
    assert log_lines.get_number() == "-"


def test_syslog_gets_each_record_as_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        monkeypatch.setenv("MUSTER_SYSLOG", f"udp://127.0.0.1:{server.getsockname()[1]}")
        assert "syslog" in logs.make_configuration()["root"]["handlers"]
        record = logging.LogRecord("musterbook", logging.ERROR, "", 1, "100 %s of\nit", ("%d",), None)
        handler = logs.Syslog(logs.parse_syslog_address())
        handler.handle(record)
        handler.close()
        sent = server.recv(10_000).rstrip(b"\0").decode()
    assert sent.startswith("<11>musterbook: ")
    assert sent.endswith(" - 100 %d of\\nit")


def test_a_syslog_that_is_away_is_reported_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("musterbook", logging.ERROR, "", 1, "It failed", (), None)
    logs.Syslog(("nowhere.invalid", 514)).handle(record)
    assert "MUSTER_SYSLOG cannot be reached" in capsys.readouterr().err


class Inbox:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[str] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802  (aiosmtpd's name)
        """Keeps a mail."""
        self.mails.append(envelope.content.decode())  # type: ignore[attr-defined]
        return "250 OK"


@pytest.fixture
def inbox(settings: Settings, tmp_path: Path) -> Iterator["Inbox"]:
    """A mail server, and somebody who is notified."""
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    port = controller.port
    settings.MAIL_SERVER = mail_server.parse_url(f"smtp://127.0.0.1:{port}")
    settings.MUSTER_ALERTS_TO = ["ops@agency.example"]
    settings.MUSTER_HOME = tmp_path
    yield inbox
    controller.stop()


def test_errors_are_mailed_to_those_who_run_it_once_and_without_what_they_say(own_log: Path, inbox: Inbox) -> None:
    assert not alerts.send_due(datetime.now(UTC))
    for _ in range(30):
        write_log("Officer Ann Smith could not be saved")
    write_log("Refused", name="musterbook.security", level=logging.WARNING)
    now = datetime.now(UTC)
    assert alerts.send_due(now)
    assert not alerts.send_due(now + timedelta(minutes=1))
    [mail] = inbox.mails
    assert "Subject: Musterbook: 30 errors" in mail
    assert "ERROR musterbook.test" in mail
    assert "10 more" in mail
    assert "Smith" not in mail
    assert not alerts.send_due(now + timedelta(hours=1))


def test_an_alert_of_a_clock_that_was_ahead_keeps_no_other_back(own_log: Path, inbox: Inbox) -> None:
    now = datetime.now(UTC)
    alerts._mark(now + timedelta(days=400))
    write_log("It failed")
    assert alerts.send_due(now)
    assert not alerts.send_due(now + timedelta(minutes=1))
    assert len(inbox.mails) == 1


def test_an_alert_that_could_not_be_sent_is_sent_later(own_log: Path, inbox: Inbox, settings: Settings) -> None:
    now, server = datetime.now(UTC), settings.MAIL_SERVER
    write_log("It failed")
    settings.MAIL_SERVER = mail_server.parse_url("smtp://127.0.0.1:1")
    with pytest.raises(OSError, match="refused"):
        alerts.send_due(now)
    settings.MAIL_SERVER = server
    assert alerts.send_due(now + timedelta(minutes=1))
    assert len(inbox.mails) == 1


def test_a_log_that_cannot_be_written_is_reported_at_once(
    own_log: Path, inbox: Inbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts._LogFailure, "at", float("-inf"))
    own_log.mkdir()
    write_log("It failed")
    write_log("It failed again")
    wait_until(lambda: inbox.mails)
    assert capsys.readouterr().err == f"The log {own_log} cannot be written: Is a directory.\n"
    own_log.rmdir()
    write_log("It can be written")
    assert not logs.is_file_failing()
    [mail] = inbox.mails
    assert "Subject: Musterbook: the log cannot be written" in mail


def test_a_mail_server_that_is_away_too_leaves_standard_error(
    own_log: Path, inbox: Inbox, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts._LogFailure, "at", float("-inf"))
    settings.MAIL_SERVER = mail_server.parse_url("smtp://127.0.0.1:1")
    own_log.mkdir()
    write_log("It failed")
    said = ""

    def heard() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "The alert could not be sent" in said

    wait_until(heard)
    assert said.startswith(f"The log {own_log} cannot be written: Is a directory.\n")


def test_a_forged_form_is_an_event_of_its_agency_and_many_are_one(springfield: Springfield) -> None:
    browser = Client(enforce_csrf_checks=True)
    for _ in range(20):
        assert browser.post("/springfield/sign-in", {"login": "ann"}).status_code == 403
    assert [kind for kind, *_ in springfield.events()].count("request.refused") == 1


def test_a_refusal_shows_the_number_under_which_the_log_has_it(springfield: Springfield, client: Client) -> None:
    springfield.registered(2)
    sign_in(client, "user.2")
    answer = client.get("/springfield/audit/")
    assert answer.status_code == 403
    assert answer.headers["X-Request-ID"] in answer.content.decode()


@pytest.mark.parametrize(
    "path", ["/springfield/api/v1/users/{}", "/springfield/scim/v2/Users/{}"], ids=["rest", "scim"]
)
def test_a_program_finds_its_request_in_the_log_and_in_the_trail_by_the_id_of_the_response(
    springfield: Springfield, path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, secret = make_token(springfield, "users.view")
    handler = logging.FileHandler(tmp_path / "log")
    handler.setFormatter(log_lines.LineFormatter())
    logging.getLogger().addHandler(handler)
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {secret}"})
    address = path.format(springfield.user(2).pk)
    try:
        refused = client.patch(address, {}, content_type="application/json")
        monkeypatch.setattr(versions, "read_users", _fail)
        failed = client.get(address)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    lines = (tmp_path / "log").read_text().splitlines()
    for answer, status in ((refused, 403), (failed, 500)):
        assert answer.status_code == status
        number = answer.headers["X-Request-ID"]
        assert [line for line in lines if f" {number} " in line], (status, lines)
    assert models.Event.objects.get(kind="act.refused").request == refused.headers["X-Request-ID"]


def _fail(*_: object) -> None:
    raise RuntimeError


def test_a_link_that_signs_somebody_in_is_in_no_event(springfield: Springfield) -> None:
    secret = springfield.invitation_now(2)
    browser = Client(enforce_csrf_checks=True)
    assert browser.post(f"/springfield/register/{secret}", {"password": "x"}).status_code == 403
    events = models.Event.objects.filter(kind="request.refused")
    assert [secret in event.changes for event in events] == [False]
