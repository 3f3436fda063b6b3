"""Screenshots of the main pages in their states, in light and dark, wide and narrow, and on paper.

A state that cannot be reached is reported, and the others are still taken.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, sync_playwright

from scripts import browsers, screenshot_files, setup, trial

INTO = setup.ROOT / "build" / "screenshots"
README = setup.ROOT / "docs" / "pictures" / "plan.png"
_PASSWORD = "a quiet brown heron"
_FIRST_SCREEN = {"width": 1280, "height": 800}
_LOOKS: dict[str, tuple[str, str, int]] = {
    "light": ("screen", "light", 1280),
    "dark": ("screen", "dark", 1280),
    "narrow": ("screen", "light", 320),
    "print": ("print", "light", 718),
}
"""The medium, the color scheme and the width of each look. 718 pixels are A4 without its margins."""

_PAGES: dict[str, str] = {
    "home": "",
    "all users": "users/",
    "all users, a search": "users/?q=ma&status=Invited",
    "all users, nobody found": "users/?q=nobody+has+this+name",
    "all users, a wrong filter": "users/?supervisor=nobody%40x.example",
    "add user": "users/add",
    "import users": "users/import",
    "import history": "imports/",
    "feeds, none": "feeds/",
    "feed, add": "feeds/add",
    "feed, add sftp": "feeds/add-sftp",
    "notices": "notices/",
    "help": "help/",
    "groups": "groups/",
    "ranks": "ranks/",
    "roles": "roles/",
    "role, new": "roles/add",
    "settings": "settings/",
    "settings, imports": "settings/imports",
    "settings, limits": "settings/limits",
    "settings, values": "settings/values",
    "settings, accounts": "settings/accounts",
    "settings, second factors": "settings/second-factors",
    "settings, emails": "settings/mails",
    "settings, sign-on": "settings/sign-on/",
    "webhooks, none": "webhooks/",
    "webhook, add": "webhooks/add",
    "audit trail": "audit/",
    "audit trail, checked": "audit/check",
    "api access": "api-access/",
    "my account": "my-account/",
    "my account, password": "my-account/password",
    "my account, second factors": "my-account/second-factors/",
    "my account, sessions": "my-account/sessions/",
    "no such page": "no-such-page",
}
"""The address below the agency's of each page that needs no preparation."""
_PLANS: dict[str, tuple[str, ...]] = {
    "broken": ("--mode", "update", "--preview"),
    "half": ("--mode", "sync"),
    "lockout": ("--mode", "update"),
    "other-names": ("--mode", "update", "--preview"),
    "long-names": ("--mode", "update"),
    "same": ("--mode", "update", "--preview"),
}
"""How each of our files is imported. Those without `--preview` are held or applied."""
_NEW = "lakeside-fire"
_NEW_AGENCY = f'slug = "{_NEW}"\nname = "Lakeside Fire and Rescue"\n[[roles]]\nname = "Admin"\n'
_NEW_ADMINISTRATOR = (
    "EXTERNAL_ID,EMAIL,BADGE_NUMBER,FIRST_NAME,LAST_NAME,STATUS,USERNAME,ROLE\n"
    "1,kim.adeyemi@lakeside.example,1,Kim,Adeyemi,Active,kadeyemi,Admin\n"
)


def main(arguments: list[str] | None = None) -> int:
    """Take all screenshots, or those whose names contain a given word. Return 0 if every state was reached."""
    chromium = browsers.find_chromium()
    if chromium is None:
        print(f"Error: {browsers.MISSING}", file=sys.stderr)
        return 1
    wanted = arguments or [""]
    if wanted == [""]:
        shutil.rmtree(INTO, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        home = Path(folder) / "home"
        with trial.serve_sample(home) as link:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            gallery = Gallery(browser, Commands(home, link), Path(folder), wanted)
            gallery.take_all(link)
            browser.close()
    print(f"{len(list(INTO.glob('*.png')))} pictures are in {INTO.relative_to(setup.ROOT)}")
    for state, reason in gallery.failures.items():
        print(f"not reached: {state}: {reason}", file=sys.stderr)
    return 1 if gallery.failures else 0


@dataclass(frozen=True)
class Commands:
    """The command line of the installation that is served."""

    home: Path
    link: str

    def run(self, *arguments: str) -> str:
        """Return the output of `muster` with these arguments. Its status does not matter: a held import has one too."""
        environment = {**os.environ, "MUSTER_HOME": str(self.home), "MUSTER_URL": self.link[: self.link.index("/", 8)]}
        command = [str(setup.PROGRAMS / "muster"), *arguments]
        return subprocess.run(
            command, cwd=setup.ROOT, env=environment, capture_output=True, text=True, check=False
        ).stdout

    def import_file(self, path: Path, *options: str, agency: str = trial.AGENCY) -> str:
        """Import a file and return the number of the import."""
        self.run("import", str(path), "--agency", agency, "--no-mail", *options)
        return str(self.query("imports", "--agency", agency, "--limit", "1")[0]["import"])

    def query(self, *arguments: str) -> Any:
        """Return the JSON output of a command."""
        return json.loads(self.run(*arguments, "--output", "json"))


@dataclass
class Gallery:
    """The pages in a browser, and the states that were not reached, each with its reason."""

    browser: Browser
    commands: Commands
    folder: Path
    wanted: list[str]
    failures: dict[str, str] = field(default_factory=dict)

    def take_all(self, link: str) -> None:
        """Take every page of the sample, and those of an agency that has only just begun."""
        page = self.browser.new_page(viewport=_FIRST_SCREEN)  # type: ignore[arg-type]  # a literal of both keys
        sign_in = f"{link[: link.index(trial.AGENCY)]}{trial.AGENCY}/sign-in"
        self._try("sign in", page, lambda: page.goto(sign_in))
        self._try("sign in, wrong", page, lambda: self._send(page, "Sign in", login="nkealamakia", password=_PASSWORD))
        self._try("forgotten password", page, lambda: page.goto(sign_in.replace("sign-in", "forgotten-password")))
        self._register(page, link)
        plan = page.url
        root = plan[: plan.index("imports/")]
        for tile in ("errored", "added", "updated", "deactivated", "losing_access"):
            self._visit(page, f"plan, {tile}", f"{plan}?show={tile}")
        if self._wants("readme"):
            page.goto(plan)
            page.screenshot(path=README)
        self._try("applied", page, lambda: self._apply(page, plan))
        self._take_plans(page, root)
        for name, address in _PAGES.items():
            self._visit(page, name, root + address)
        self._take_feeds(page, root)
        self._take_users(page, root)
        self._take_forms(page, root)
        self._take_new_agency(root.replace(trial.AGENCY, _NEW))

    def _take_plans(self, page: Page, root: str) -> None:
        files = screenshot_files.write_all(self.folder)
        for name, options in _PLANS.items():
            if self._wants(f"plan {name}"):
                number = self.commands.import_file(files[name], "--as", trial.ADMINISTRATOR, *options)
                self._visit(page, f"plan {name}", f"{root}imports/{number}")
                if name == "other-names":
                    self._visit(page, f"plan {name}, match", f"{root}imports/{number}/match")
        self._visit(page, "all users, long names", f"{root}users/?q=Wolfe")
        self._try("user, long names", page, lambda: self._open_first(page, f"{root}users/?q=Wolfe"))

    def _take_feeds(self, page: Page, root: str) -> None:
        """Add a feed with a folder that does not exist, and take its pages and forms."""
        self._try("feed, wrong", page, lambda: self._submit(page, f"{root}feeds/add-folder"))
        page.goto(f"{root}feeds/add-folder")
        self._try("feed, new", page, lambda: self._send(page, "Add feed", name="hr-sworn", path="hr"))
        self._visit(page, "feeds", f"{root}feeds/")
        for section in ("what", "reading", "location", "schedule", "limits", "notify"):
            self._visit(page, f"feed, {section}", f"{root}feeds/hr-sworn/change-{section}")
        check = page.get_by_role("button", name="Check", exact=True)
        self._visit(page, "feed, checked", f"{root}feeds/hr-sworn/", check.click)
        self._visit(page, "feed, pause", f"{root}feeds/hr-sworn/pause")
        self._visit(page, "feed, remove", f"{root}feeds/hr-sworn/remove")

    def _take_users(self, page: Page, root: str) -> None:
        """Take users in several states, and what a list leads to."""
        self._try("user", page, lambda: self._open_first(page, f"{root}users/?q=Alvarez"))
        self._try("user, edit", page, lambda: page.get_by_role("link", name="Edit", exact=True).click())
        self._try("user, inactive", page, lambda: self._open_first(page, f"{root}users/?status=Inactive"))
        self._visit(page, "user, myself", f"{root}users/?q=Kealamakia", page.locator("tbody a").first.click)
        self._try("user, deactivate", page, lambda: self._open_act(page, root, "Deactivate"))
        for name in ("roles", "groups", "ranks"):
            self._try(f"one of {name}", page, lambda name=name: self._open_first(page, f"{root}{name}/"))  # type: ignore[misc]  # bound by default

    def _take_forms(self, page: Page, root: str) -> None:
        """Take forms that were sent with mistakes, and the selection of users."""
        self._try("add user, wrong", page, lambda: self._submit(page, f"{root}users/add"))
        self._try("role, wrong", page, lambda: self._submit(page, f"{root}roles/add"))
        self._try("import users, no file", page, lambda: self._submit(page, f"{root}users/import"))
        self._try("all users, selected", page, lambda: self._tick(page, f"{root}users/"))
        self._try("bulk action", page, lambda: self._act(page, "deactivate"))
        self._try("menu", page, lambda: self._open_menu(page, root))

    def _take_new_agency(self, root: str) -> None:
        """Take the pages of an agency with one administrator and no roster."""
        if not any(self._wants(f"new {name}") for name in ("home", "users", "plan", "history", "groups", "ranks")):
            return
        (self.folder / "new.toml").write_text(_NEW_AGENCY, encoding="utf-8")
        (self.folder / "new.csv").write_text(_NEW_ADMINISTRATOR, encoding="utf-8")
        self.commands.run("agency", "apply", str(self.folder / "new.toml"))
        self.commands.import_file(self.folder / "new.csv", agency=_NEW)
        page = self.browser.new_page(viewport=_FIRST_SCREEN)  # type: ignore[arg-type]  # a literal of both keys
        self._register(page, self.commands.query("invite", "--agency", _NEW, "1", "--print-link")["link"])
        for name, address in {
            "home": "",
            "users": "users/",
            "history": "imports/",
            "groups": "groups/",
            "ranks": "ranks/",
        }.items():
            self._visit(page, f"new {name}", root + address)
        number = self.commands.import_file(
            setup.ROOT / "examples" / "first-night.csv", "--preview", "--as", "1", agency=_NEW
        )
        self._visit(page, "new plan", f"{root}imports/{number}")

    def _register(self, page: Page, link: str) -> None:
        self._try("register", page, lambda: page.goto(link))
        page.goto(link)
        for control in page.locator("input[type=password]").all():
            control.fill(_PASSWORD)
        page.locator("main form button:not([type=button])").first.click()
        page.wait_for_url(re.compile(r"/(imports/\w+|[a-z-]+/)$"))

    def _open_first(self, page: Page, address: str) -> None:
        page.goto(address)
        page.locator("main table a:not([data-turn])").first.click()

    def _open_act(self, page: Page, root: str, name: str) -> None:
        self._open_first(page, f"{root}users/?q=Alvarez")
        page.get_by_role("link", name=name, exact=True).first.click()

    def _send(self, page: Page, button: str, **values: str) -> None:
        for name, value in values.items():
            page.locator(f"[name={name}]").fill(value)
        page.get_by_role("button", name=button, exact=True).click()

    def _submit(self, page: Page, address: str) -> None:
        page.goto(address)
        page.locator("main form:not([role=search]) button:not([type=button])").first.click()
        page.locator(".m-summary").wait_for()

    def _tick(self, page: Page, address: str) -> None:
        page.goto(address)
        for place in range(3):
            page.locator("input[name=user]").nth(place).check()

    def _act(self, page: Page, act: str) -> None:
        page.locator("select[name=act]").select_option(act)
        page.get_by_role("button", name="Preview").first.click()
        page.wait_for_url("**/users/bulk/*")

    def _open_menu(self, page: Page, root: str) -> None:
        page.goto(root)
        page.locator(".m-admin > summary").click()

    def _apply(self, page: Page, plan: str) -> None:
        page.goto(plan)
        page.get_by_role("button", name=re.compile("^Apply")).first.click()
        page.locator(".m-state--applied, h1:has-text('Applied')").first.wait_for()

    def _visit(self, page: Page, name: str, address: str, act: Callable[[], object] = lambda: None) -> None:
        def go() -> None:
            page.goto(address)
            act()

        self._try(name, page, go)

    def _wants(self, name: str) -> bool:
        return any(word in name for word in self.wanted)

    def _try(self, name: str, page: Page, reach: Callable[[], object]) -> None:
        """Reach a state and take it in every look. Keep the reason if it cannot be reached."""
        if not self._wants(name) and not name.startswith(("user", "feed")):
            return
        try:
            page.set_default_timeout(15000)
            reach()
            page.wait_for_load_state("networkidle")
        except Error as error:
            self.failures[name] = error.message.splitlines()[0]
            return
        if self._wants(name):
            take_looks(page, name)


def take_looks(page: Page, name: str) -> None:
    """Take the page in every look, and its first screen at 1280 × 800."""
    INTO.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower())
    page.screenshot(path=INTO / f"{stem}-first.png")
    for look, (medium, colors, width) in _LOOKS.items():
        page.emulate_media(media=medium, color_scheme=colors)  # type: ignore[arg-type]  # two literals of each
        page.set_viewport_size({"width": width, "height": 800})
        page.screenshot(path=INTO / f"{stem}-{look}.png", full_page=True)
    page.emulate_media(media="screen", color_scheme="light")
    page.set_viewport_size(_FIRST_SCREEN)  # type: ignore[arg-type]  # as above
