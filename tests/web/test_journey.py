"""One user's whole way, through the real faces: the command, the mail, and a browser before a server of its own."""

import email
import email.policy
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Browser, Page, expect

from tests.cli.conftest import AGENCY
from tests.cli.test_people import serving
from tests.databases import Home
from tests.web.passkeys import Device

pytestmark = pytest.mark.any_database

OF = ("--agency", "springfield-pd")
HEADINGS = "EXTERNAL_ID,EMAIL,BADGE_NUMBER,FIRST_NAME,LAST_NAME,STATUS,USERNAME,ROLE"
GOOD = "a quiet brown heron"


class Springfield:
    """The agency as its administrator has it: files, and the command."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self.folder = home, folder
        (folder / "agency.toml").write_text(AGENCY, encoding="utf-8")
        self.muster("agency", "apply", str(folder / "agency.toml"))

    def muster(self, *arguments: str) -> str:
        """Runs the command, which succeeds."""
        done = self.home.muster(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def forget_codes(self) -> None:
        """Forget which codes were used, as half a minute does."""
        done = self.home.run(sys.executable, "-c", _FORGET_CODES)
        assert done.returncode == 0, done.stderr

    def imports(self, status: str) -> None:
        """Imports the two users, one of them of that status."""
        file = self.folder / "users.csv"
        rows = (
            "E-1,ann@springfield.example,B-1,Ann,Ames,Active,ann,Admin",
            f"E-2,otto@springfield.example,B-2,Otto,Ødegård,{status},otto,Officer",
        )
        file.write_text("\n".join([HEADINGS, *rows]), encoding="utf-8")
        self.muster("import", str(file), *OF)

    def mails(self, to: str) -> dict[str, str]:
        """Subject and text of each mail to that address."""
        found = {}
        for file in (self.home.folder / "mail").glob("*.eml"):
            mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            body = mail.get_body(("plain",))
            if body and mail["To"] == to:
                found[str(mail["Subject"])] = str(body.get_content())
        return found

    def events(self, about: str) -> list[str]:
        """The kinds of events about that user, in order."""
        events = json.loads(self.muster("audit", *OF, "--user", about, "--format", "json"))
        return [event["KIND"] for event in events]


def until(found: Callable[[], object], seconds: float = 60) -> None:
    """Waits until it is true."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "It took too long."
        time.sleep(0.02)


def code(secret: str) -> str:
    """The code that an app shows; waits for the next if this one is nearly over."""
    if time.time() % 30 > 24:
        time.sleep(30.1 - time.time() % 30)
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


_FORGET_CODES = """
import django
django.setup()
from musterbook.accounts.models import UsedCode
from musterbook.directory.storage import isolation
isolation.open_process()
UsedCode.objects.all().delete()
"""


def sign_out(page: Page) -> None:
    """Ends the session."""
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()


def test_from_the_file_to_the_last_click(  # noqa: PLR0915  (it is one way, from its beginning to its end)
    fresh_home: Home, tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    springfield = Springfield(fresh_home, tmp_path)
    springfield.imports("Active")
    with serving(fresh_home, named=monkeypatch) as (_, address):
        # The mail, and the link in it
        until(lambda: springfield.mails("otto@springfield.example"))
        link = re.search(
            r"\S+/register/\S+",
            springfield.mails("otto@springfield.example")["Your account at Springfield Police Department"],
        )
        assert link
        assert link.group().startswith(address)
        page = browser.new_context().new_page()
        page.goto(link.group())
        for label in ("Password", "Same password again"):
            page.get_by_label(label, exact=True).fill(GOOD)
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_text("as otto")).to_be_visible()
        home = page.url
        page.goto(link.group())
        expect(page.get_by_role("heading", name="This link no longer works")).to_be_visible()

        # One-time codes
        page.goto(f"{home}my-account/second-factors/totp/activate/")
        secret = re.search(r"\b[A-Z2-7]{32}\b", page.content())
        assert secret
        page.get_by_label("Code").fill(code(secret.group()))
        page.locator("main").get_by_role("button").last.click()
        expect(page.get_by_text("Recovery codes").first).to_be_visible()
        sign_out(page)
        page.get_by_label("Username or email address").fill("otto")
        page.locator("input[type=password]").fill(GOOD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        springfield.forget_codes()  # each works once
        page.get_by_label("Code").fill(code(secret.group()))
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_text("as otto")).to_be_visible()

        # A passkey
        Device.plugged_into(page)
        page.goto(f"{home}my-account/second-factors/webauthn/add/")
        page.get_by_label("Name").fill("Phone")
        page.get_by_role("button", name="Add a passkey").click()
        expect(page.get_by_text("The passkey is added.")).to_be_visible()
        sign_out(page)
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_text("as otto")).to_be_visible()

        # Deactivated by the next import: out with the next click, and not back in
        springfield.imports("Inactive")
        page.reload()
        expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
        refused = fresh_home.muster("invite", *OF, "E-2", "--print-link")
        assert (refused.returncode, refused.stdout) == (2, "")

        # Active again: in again
        springfield.imports("Active")
        page.goto(home)
        expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_text("as otto")).to_be_visible()
        page.context.close()
    assert springfield.events("E-2") == [
        "user.added", "user.invited", "user.registered", "user.signed-in", "user.second-factor-added",
        "user.recovery-codes-made", "user.signed-in-again", "user.signed-out", "user.signed-in", "user.second-factor-added",
        "user.signed-in-again", "user.signed-out", "user.signed-in", "user.updated", "user.updated", "user.signed-in",
    ]  # fmt: skip
    springfield.muster("audit", "verify")
