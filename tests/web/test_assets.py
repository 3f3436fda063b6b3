"""Styles, scripts and fonts are all ours, are kept by browsers until they change, and get into the package."""

import gzip
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from whitenoise.responders import Response

from musterbook.config import assets as addresses
from musterbook.web import icons
from musterbook.web.static_files import StaticFiles
from scripts import assets, setup

WEB = addresses.FOLDER.parent
_PACKED = {"HTTP_ACCEPT_ENCODING": "br, gzip"}
fetched = pytest.mark.skipif(not assets.INTO.exists(), reason="there are no styles: ./test fetches them")


@fetched
@pytest.mark.django_db
@pytest.mark.any_database
def test_what_is_served_is_kept_until_it_changes(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = client.get(f"{settings.STATIC_URL}uswds/css/uswds.min.css", headers={"accept-encoding": "gzip"})
    assert served.status_code == 200
    assert "immutable" in served.headers["Cache-Control"]
    assert served.headers["Content-Encoding"] == "gzip"
    assert b"usa-button" in gzip.decompress(served.getvalue())
    assert client.get("/static/another/uswds/css/uswds.min.css").status_code == 404
    monkeypatch.setattr(addresses, "FOLDER", tmp_path)
    (tmp_path / "a.css").write_text("a {}")
    before = addresses.compute_address()
    (tmp_path / "a.css").write_text("b {}")
    assert addresses.compute_address() != before


@fetched
@pytest.mark.django_db
@pytest.mark.parametrize("name", ["muster.css", "muster.js", "django_htmx/htmx-2.min.js", "uswds/img/icons.svg"])
def test_texts_are_compressed_for_browsers_that_accept_it(client: Client, name: str) -> None:
    plain = client.get(f"{settings.STATIC_URL}{name}")
    packed = client.get(f"{settings.STATIC_URL}{name}", headers={"accept-encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["Content-Type"] == plain.headers["Content-Type"]
    assert packed.headers["Cache-Control"] == plain.headers["Cache-Control"]
    assert "Content-Encoding" not in plain.headers
    unpacked = plain.getvalue()
    assert gzip.decompress(packed.getvalue()) == unpacked


def _read(answer: Response) -> bytes:
    with answer.file as file:
        content: bytes = file.read()
        return content


@fetched
def test_a_compressed_text_answers_as_a_plain_one_does() -> None:
    text = StaticFiles(lambda _: HttpResponse()).files[f"{settings.STATIC_URL}muster.css"]
    whole = text.get_response("GET", _PACKED)
    size, tag = len(_read(whole)), dict(whole.headers)["ETag"]
    assert size < len(_read(text.get_response("GET", {}))) / 2
    head = text.get_response("HEAD", _PACKED)
    assert (head.status, head.file, dict(head.headers)["Content-Length"]) == (200, None, str(size))
    assert text.get_response("POST", _PACKED).status == 405
    unchanged = text.get_response("GET", {**_PACKED, "HTTP_IF_NONE_MATCH": tag})
    assert (unchanged.status, unchanged.file, dict(unchanged.headers)["Vary"]) == (304, None, "Accept-Encoding")
    part = text.get_response("GET", {"HTTP_RANGE": "bytes=1-5"})
    assert (part.status, len(_read(part))) == (206, 5)


@fetched
def test_what_is_text_says_how_it_is_encoded() -> None:
    served = StaticFiles(lambda _: HttpResponse()).files.values()
    kinds = {dict(one.get_response("HEAD", {}).headers)["Content-Type"].replace('"', "") for one in served}
    assert kinds == {
        "text/css; charset=utf-8", "text/javascript; charset=utf-8", "text/plain; charset=utf-8", "text/markdown; charset=utf-8",
        "image/svg+xml; charset=utf-8", "font/woff2",
    }  # fmt: skip


@fetched
def test_all_that_the_styles_name_is_there_and_nothing_asks_for_a_map() -> None:
    styles = assets.INTO / "css" / "uswds.min.css"
    named = assets._NAMED.findall(styles.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [name for name in named if not (styles.parent / name).is_file()] == []
    texts = [path for path in WEB.glob("static/**/*") if path.suffix in {".css", ".js", ".svg"}]
    assert [path for path in texts if "sourceMappingURL" in path.read_text(encoding="utf-8")] == []


def test_pages_load_nothing_from_elsewhere_and_have_nothing_inline() -> None:
    loose = re.compile(r"""(?:src|href)=["'](?:https?:)?//|\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)""")
    texts = [*WEB.glob("templates/**/*.html"), WEB / "static" / "muster.js", WEB / "static" / "muster.css"]
    assert [path for path in texts if loose.search(path.read_text(encoding="utf-8"))] == []
    assert "@import" not in (WEB / "static" / "muster.css").read_text(encoding="utf-8")


def test_pages_do_not_pretend_to_be_those_of_a_government() -> None:
    said = "".join(path.read_text(encoding="utf-8").casefold() for path in WEB.glob("templates/**/*.html"))
    assert not re.search(r"official website|usa-banner|us_flag|\.gov\b", said)


@fetched
def test_nothing_is_fetched_again_while_the_lock_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "_fetch_packages", lambda dev: pytest.fail("it was fetched again"))
    assert assets.prepare(dev=False)


def test_where_nothing_can_be_fetched_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(assets, "INTO", tmp_path / "into")
    monkeypatch.setattr(assets, "_WORK", tmp_path / "work")
    monkeypatch.setattr(assets, "_NODE", tmp_path / "node")
    monkeypatch.setattr(setup, "try_uv", lambda *_: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not assets.prepare(dev=True)
    assert "Install npm" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "into").exists()


def test_a_copy_has_the_files_that_the_styles_name_and_a_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist = tmp_path / "modules" / "@uswds" / "uswds" / "dist"
    axe = tmp_path / "modules" / "axe-core" / "axe.min.js"
    for path, text in {
        tmp_path / "purged" / "uswds.min.css": "a{src:url(../fonts/a.woff2)}b{src:url(../img/b.svg)}\n/*# sourceMappingURL=x */",
        dist / "css" / "x": "", dist / "fonts" / "a.woff2": "font", dist / "img" / "b.svg": "<svg/>",
        dist / "img" / "sprite.svg": "".join(f'<symbol id="{name}"></symbol>' for name in [*icons.NAMES, "unused"]),
        dist.parent / "LICENSE.md": "CC0", axe: "axe\n//# sourceMappingURL=y",
    }.items():  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(assets, "INTO", tmp_path / "into")
    monkeypatch.setattr(assets, "AXE", tmp_path / "axe.min.js")
    assets._copy(tmp_path / "modules", dev=True)
    assert {path.name for path in (tmp_path / "into").rglob("*") if path.is_file()} == {
        "uswds.min.css", "uswds.min.css.gz", "a.woff2", "b.svg", "icons.svg", "icons.svg.gz", "LICENSE.md", "made-from.txt",
    }  # fmt: skip
    assert "unused" not in (tmp_path / "into" / "img" / "icons.svg").read_text(encoding="utf-8")
    assert (tmp_path / "axe.min.js").read_text(encoding="utf-8") == "axe"
    assert assets.prepare(dev=True)


@fetched
def test_the_sprite_has_each_icon_once_as_a_symbol_and_as_a_mask() -> None:
    sprite = (addresses.FOLDER / icons.SPRITE).read_text(encoding="utf-8")
    assert sorted(re.findall(r'<symbol id="([^"]+)"', sprite)) == sorted(icons.NAMES)
    assert sorted(re.findall(r'<view id="([^"]+)-mask"', sprite)) == sorted(icons.NAMES)
    masked = set(re.findall(r"icons\.svg#(\w+)-mask", (WEB / "static" / "muster.css").read_text(encoding="utf-8")))
    named = {
        name
        for path in WEB.glob("templates/**/*.html")
        for name in re.findall(r"""{% icon ["'](\w+)""", path.read_text("utf-8"))
    }
    assert masked | named == icons.NAMES


def test_every_block_of_our_styles_ends() -> None:
    """One that does not takes all styles after it away."""
    styles = re.sub(r"/\*.*?\*/", "", (WEB / "static" / "muster.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    depth = 0
    for line in styles.splitlines():
        depth += line.count("{") - line.count("}")
        assert 0 <= depth <= 2, line
    assert depth == 0


@fetched
def test_the_styles_have_every_component_that_a_page_uses() -> None:
    styles = (assets.INTO / "css" / "uswds.min.css").read_text(encoding="utf-8")
    used = {
        name for path in WEB.glob("templates/**/*.html") for name in re.findall(r"usa-[a-z]+", path.read_text("utf-8"))
    }
    assert [name for name in sorted(used) if f".{name}" not in styles] == []


@fetched
def test_the_styles_of_the_first_page_are_small() -> None:
    packed = [*assets.INTO.glob("css/*.gz"), *assets.INTO.glob("img/*.gz")]
    assert sum(path.stat().st_size for path in packed) < 20_000


@fetched
def test_the_package_has_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=setup.ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as package:
        names = set(package.namelist())
    there = {"uswds/css/uswds.min.css", "uswds/css/uswds.min.css.gz", "uswds/img/icons.svg", "muster.css", "muster.js"}
    assert {f"musterbook/web/static/{name}" for name in there} <= names
    assert "musterbook/web/templates/base.html" in names


def test_each_block_of_the_styles_is_closed_before_the_next_section_begins() -> None:
    styles = (WEB / "static/muster.css").read_text(encoding="utf-8")
    sections = re.split(r"(?m)^/\*", styles)
    assert len(sections) > 20
    assert [part[:60] for part in sections if part.count("{") != part.count("}")] == []
