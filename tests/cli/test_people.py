"""`muster invite`, `muster unlock`, `muster worker`, `muster serve`: by the command, and by real processes."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from musterbook.accounts.models import Account
from musterbook.directory import models
from musterbook.directory.agency import agencies
from musterbook.directory.audit.trail import AuditContext
from tests.cli.conftest import AGENCY, Muster, build_directory, row
from tests.databases import Home
from tests.directory.cast import NOW

OF = ("--agency", "springfield-pd")


@pytest.fixture
def staffed(muster: Muster) -> Muster:
    """The agency with an administrator, a clerk, an officer and an Inactive one."""
    staff = (row("ann", role="Admin"), row("cy", role="Clerk"), row("otto"), row("ina", status="Inactive"))
    build_directory(staff, also=("--no-mail",))
    return muster


def test_a_link_is_printed_and_nothing_else_on_standard_output(staffed: Muster) -> None:
    done = staffed("invite", *OF, "E-ann", "--print-link")
    assert done.status == 0
    link = done.text.strip()
    assert Client().get(link.removeprefix("http://localhost:8000"), follow=True).status_code == 200
    assert "within 7 days" in done.err
    assert not models.Mail.objects.exists()


def test_an_invitation_goes_into_the_outbox(staffed: Muster) -> None:
    done = staffed("invite", *OF, "E-otto", "--output", "json")
    assert done.json == {"agency": "springfield-pd", "external_id": "E-otto", "mail": True, "link": None}
    assert models.Mail.objects.get().kind == "invitation"
    assert "no mail server (MUSTER_SMTP_URL)" in staffed("invite", *OF, "E-otto").err


def test_one_user_is_shown_with_the_columns_of_an_export(staffed: Muster) -> None:
    done = staffed("user", "show", "E-otto", *OF, "--output", "json")
    everybody = staffed("export", *OF, "--format", "json").json
    assert done.status == 0 and done.json in everybody
    lines = staffed("user", "show", "E-otto", *OF).text.splitlines()
    assert "EXTERNAL_ID            E-otto" in lines and not any(line.startswith("X_SOURCE") for line in lines)
    assert staffed("user", "show", "E-nobody", *OF).status == 2


def test_marks_of_a_user_are_set_with_an_event(staffed: Muster) -> None:
    """S5, S9, S11."""
    done = staffed("user", "set", "E-otto", *OF, "--exempt", "--no-files", "--source", "HR-Sworn", "--output", "json")
    assert (done.status, done.json["X_EXEMPT"], done.json["X_NO_FILES"], done.json["X_SOURCE"]) == (
        0,
        "yes",
        "yes",
        "hr-sworn",
    )
    event = models.Event.objects.order_by("pk").last()
    assert event and event.kind == "user.updated"
    assert event.changes == '{"X_EXEMPT":["","yes"],"X_NO_FILES":["","yes"],"X_SOURCE":["","hr-sworn"]}'
    again = staffed("user", "set", "E-otto", *OF, "--exempt")
    assert (again.status, "has these marks already" in again.err) == (0, True)
    done = staffed("user", "set", "E-otto", *OF, "--no-exempt", "--files", "--source", "")
    assert done.status == 0 and not {"X_EXEMPT", "X_NO_FILES", "X_SOURCE"} & set(done.text.split())


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "Name what to set"),
        (("--source", "x" * 64), 2, "cannot be the name of a source"),
        (("--exempt", "--as", "E-cy"), 2, "users.synchronize"),
        (("--exempt", "--as", "E-otto"), 2, "users.edit"),
    ],
)
def test_marks_that_cannot_be_set_are_refused(
    staffed: Muster, arguments: tuple[str, ...], status: int, said: str
) -> None:
    models.Role.objects.filter(name="Clerk").update(permissions=["users.edit"])
    done = staffed("user", "set", "E-ann", *OF, *arguments)
    assert (done.status, said in done.err) == (status, True)


def test_the_marks_of_a_user_above_ones_role_are_not_set(staffed: Muster) -> None:
    models.Role.objects.filter(name="Clerk").update(permissions=["users.edit", "users.synchronize"])
    done = staffed("user", "set", "E-ann", *OF, "--exempt", "--as", "E-cy")
    assert (done.status, "Nothing was changed." in done.err) == (3, True)


@pytest.mark.parametrize(
    ("user", "said"), [("E-nobody", "no user with the external ID “E-nobody”"), ("E-ina", "E-ina is Inactive")]
)
def test_who_cannot_be_invited_is_named(staffed: Muster, user: str, said: str) -> None:
    done = staffed("invite", *OF, user, "--print-link")
    assert (done.status, done.text) == (2, "")
    assert said in done.err


def test_no_user_invites_users_that_they_may_not_manage_and_the_trail_has_the_refusal(staffed: Muster) -> None:
    with agencies.changing(models.Agency.objects.get(), AuditContext(NOW, "", "cli")):
        models.Role.objects.filter(name="Clerk").update(permissions=["credentials.manage"])
    assert "permissions that the operator's role lacks" in staffed("invite", *OF, "E-ann", "--as", "E-cy").err
    assert staffed("invite", *OF, "E-otto", "--as", "E-cy").status == 0
    done = staffed("unlock", *OF, "E-cy", "--as", "E-otto")
    assert (done.status, "credentials.manage" in done.err) == (2, True)
    refused = (
        models.Event.objects.filter(kind="act.refused")
        .order_by("id")
        .values_list("actor", "subject_external_id", "changes", "outcome")
    )
    assert list(refused) == [
        ("E-cy", "E-ann", '{"asked":["","invite"]}', "refused"),
        ("E-otto", "E-cy", '{"asked":["","unlock"]}', "refused"),
    ]
    assert staffed("audit", "verify").status == 0


def test_a_locked_user_is_unlocked(staffed: Muster) -> None:
    user = models.User.objects.get(external_id="E-otto")
    models.User.objects.filter(pk=user.pk).update(locked_at=user.created_at)
    assert "E-otto is unlocked" in staffed("unlock", *OF, "E-otto").err
    assert staffed("unlock", *OF, "E-otto", "--output", "json").json == {
        "agency": "springfield-pd", "external_id": "E-otto", "unlocked": False
    }  # fmt: skip
    assert models.Event.objects.latest("id").kind == "user.unlocked"


def test_lost_second_factors_are_removed_by_who_may(staffed: Muster) -> None:
    account = Account.objects.create(user=models.User.objects.get(external_id="E-otto"))
    Authenticator.objects.create(user=account, type="totp", data={})
    remove = ("unlock", *OF, "E-otto", "--second-factors", "--reason", "Called back on the known number")
    assert "E-cy" not in staffed(*remove, "--as", "E-cy").text
    assert Authenticator.objects.exists()
    assert "The second factors were removed." in staffed(*remove).err
    assert "There were no second factors." in staffed(*remove).err
    report = staffed(*remove, "--output", "json").json
    assert report["second_factors_removed"] is False
    assert models.Mail.objects.get().kind == "second-factor"
    assert models.Event.objects.filter(changes__contains="Called back on the known number").count() == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--second-factors"], "--second-factors needs --reason"),
        (["--second-factors", "--reason", "  "], "--second-factors needs --reason"),
        (["--reason", "Met in person"], "--reason needs --second-factors"),
    ],
)
def test_second_factors_and_their_reason_come_together_or_nothing_is_done(
    staffed: Muster, options: list[str], said: str
) -> None:
    user = models.User.objects.get(external_id="E-otto")
    models.User.objects.filter(pk=user.pk).update(locked_at=user.created_at)
    Authenticator.objects.create(user=Account.objects.create(user=user), type="totp", data={})
    done = staffed("unlock", *OF, "E-otto", *options)
    assert (done.status, done.text, said in done.err) == (2, "", True), done.err
    user.refresh_from_db()
    assert (user.locked_at is not None, Authenticator.objects.exists()) == (True, True)


def test_the_worker_does_what_is_due_and_ends(staffed: Muster) -> None:
    staffed("invite", *OF, "E-otto")
    assert "Emails processed: 1." in staffed("worker", "--once").err


def _agency(home: Home, folder: Path, users: int) -> None:
    toml, people = folder / "agency.toml", folder / "users.csv"
    toml.write_text(AGENCY, encoding="utf-8")
    headings = "EXTERNAL_ID,EMAIL,BADGE_NUMBER,FIRST_NAME,LAST_NAME,STATUS,USERNAME,ROLE"
    rows = (f"E-{n},u{n}@springfield.example,B-{n},First,Last,Active,u{n},Officer" for n in range(users))
    people.write_text("\n".join([headings, *rows]), encoding="utf-8")
    for command in (("agency", "apply", str(toml)), ("import", str(people), *OF)):
        done = home.muster(*command)
        assert done.returncode == 0, done.stderr


def test_several_workers_at_once_invite_each_user_once(fresh_home: Home, tmp_path: Path) -> None:
    _agency(fresh_home, tmp_path, 120)
    workers = [fresh_home.start("worker", "--once") for _ in range(3)]
    for worker in workers:
        _, said = worker.communicate(timeout=120)
        assert worker.returncode == 0, said
    events = json.loads(fresh_home.muster("audit", *OF, "--format", "json").stdout)
    invited = [event["EXTERNAL_ID"] for event in events if event["KIND"] == "user.invited"]
    assert len(invited) == len(set(invited)) == 120
    assert len(list((fresh_home.folder / "mail").glob("*.eml"))) == 120


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(
    home: Home, *options: str, named: pytest.MonkeyPatch | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`muster serve` on this installation, with the address of its pages, which mails bear if it is to be named."""
    port = _free_port()
    if named:
        named.setenv("MUSTER_URL", f"http://localhost:{port}")
    process = home.start("serve", "--port", str(port), "--workers", "1", *options)
    try:
        address = f"http://localhost:{port}"
        _until(lambda: _answer(f"{address}/readyz") == "ok")
        yield process, address
    finally:
        process.terminate()
        process.communicate(timeout=40)


def _answer(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        refusal.close()
    except OSError:
        pass
    return ""


def _until(true: "object", seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "It took too long."
        time.sleep(0.05)


def _children(process: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False)
    return [int(number) for number in found.stdout.split()]


def _alive(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def _niceness(process: int) -> int:
    with suppress(ProcessLookupError):
        return os.getpriority(os.PRIO_PROCESS, process)
    return 0


def _worker(process: int) -> list[int]:
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    return [child for child in _children(process) if _niceness(child) > usual]


def test_serve_serves_the_pages_and_sends_emails(fresh_home: Home, tmp_path: Path) -> None:
    _agency(fresh_home, tmp_path, 2)
    with serving(fresh_home) as (process, address):
        assert "Sign in" in _answer(f"{address}/springfield-pd/sign-in")
        _until(lambda: len(list((fresh_home.folder / "mail").glob("*.eml"))) == 2)
        [worker] = _worker(process.pid)
        os.kill(worker, signal.SIGKILL)
        _until(lambda: (found := _worker(process.pid)) and found != [worker])
        family = _children(process.pid)
    assert process.returncode == 0
    _until(lambda: not any(_alive(child) for child in family))


def test_nothing_outlives_a_server_that_is_killed(fresh_home: Home) -> None:
    with serving(fresh_home) as (process, _):
        _until(lambda: _worker(process.pid))
        family = _children(process.pid)
        assert len(family) >= 2
        process.kill()
        _until(lambda: not any(_alive(child) for child in family))


def test_a_port_that_another_has_is_refused(fresh_home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fresh_home.muster("serve", "--port", str(port), "--no-worker")
    assert (done.returncode, f"The server cannot listen on 127.0.0.1:{port}" in done.stderr) == (5, True)


def test_a_database_that_is_not_up_to_date_is_not_served(fresh_home: Home) -> None:
    if not fresh_home.database_url:
        pytest.skip("the embedded database is brought up to date by itself")
    wrong = Home(fresh_home.folder, fresh_home.database_url + "_nowhere")
    assert wrong.muster("serve", "--port", str(_free_port()), "--no-worker").returncode == 5
