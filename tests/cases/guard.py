"""Drives `muster` through the guard scenarios: harm that must not pass unseen, and changes that must not be stopped."""

import base64
import importlib.util
import json
import os
import re
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree as ET

from tests.built_once import built_each_minute
from tests.cli.conftest import CommandResult, Muster

GUARD = Path(__file__).parents[2].parent / "shared" / "cases" / "guard"
Json: TypeAlias = Any
_REPORTING = ("import", "rekey", "apply", "undo")


@cache
def load_judge() -> Any:
    """The judge of the guard scenarios."""
    spec = importlib.util.spec_from_file_location("guard_judge", GUARD / "judge.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def load_document() -> Json:
    """The scenarios, and the agencies, directories and files that they share."""
    path = GUARD / "scenarios.json"
    return json.loads(path.read_text()) if path.exists() else {"scenarios": []}


def play(scenario: Json, muster: Muster) -> list[str]:
    """Play a scenario in the empty installation of the test. Return what the judge finds wrong, one line each."""
    return _Play(scenario, muster).run()


class _Play:
    """One scenario as it is played: the ids of the imports that its steps made."""

    def __init__(self, scenario: Json, muster: Muster) -> None:
        self.scenario, self.muster = scenario, muster
        self.slug = ""
        self.numbers: dict[int, str] = {}

    def run(self) -> list[str]:
        self._prepare()
        steps = enumerate(self.scenario["steps"], start=1)
        return [f"step {number}: {wrong}" for number, step in steps for wrong in self._judge_step(number, step)]

    def _prepare(self) -> None:
        agency = _resolve("agencies", self.scenario["agency"])
        text = agency if isinstance(agency, str) else agency["text"]
        found = re.search(r'^slug = "(.*)"', text, re.MULTILINE)
        assert found
        self.slug = found[1]
        initial = _resolve("initials", self.scenario["initial"])
        build_directory(text, self.slug, initial)
        if initial is not None:
            write_file(self.muster.folder, initial)

    def _judge_step(self, number: int, step: Json) -> list[str]:
        file = _resolve("files", step.get("file"))
        path = write_file(self.muster.folder, file) if file is not None else None
        content = path.read_bytes() if path else b""
        judge = load_judge()
        needs = judge.needs(step["expect"])
        before = self._export() if needs else []
        there = _list_files(self.muster.folder / "files")
        result = self.muster(*self._make_arguments(step, path))
        report = _parse(result)
        if isinstance(report, dict) and report.get("import"):
            self.numbers[number] = report["import"]
        return list(
            judge.judge(
                step["expect"],
                {
                    "exit": result.status,
                    "json": report,
                    "stderr": result.err,
                    "before": before,
                    "directory": self._export() if needs else [],
                    "input_unchanged": path is None or path.read_bytes() == content,
                    "outputs": _read_outputs(self.muster.folder / "files", there),
                },
            )
        )

    def _make_arguments(self, step: Json, path: Path | None) -> list[str]:
        def fill(argument: str) -> str:
            filled = argument.replace("{file}", str(path)).replace("{agency}", self.slug)
            filled = filled.replace("{dir}", str(self.muster.folder / "files"))
            return re.sub(r"\{import:(\d+)\}", lambda found: self.numbers.get(int(found[1]), "?"), filled)

        arguments = [fill(argument) for argument in step["args"]]
        if arguments[0] in ("import", "rekey"):
            arguments += ["--agency", self.slug, *(() if step.get("mail") else ("--no-mail",))]
        if arguments[0] in _REPORTING:
            arguments += ["--output", "json", "--rows", "all"]
        return arguments

    def _export(self) -> list[Json]:
        exported = self.muster("export", "--agency", self.slug, "--format", "json")
        assert exported.status == 0, exported.err
        users: list[Json] = exported.json
        return users


@built_each_minute
def build_directory(text: str, slug: str, initial: Json) -> None:
    """Make the agency of the text, with the users of the initial file, if there is one: most scenarios begin with the same."""
    with tempfile.TemporaryDirectory() as folder:
        muster, path = Muster(Path(folder)), Path(folder) / "agency.toml"
        path.write_text(text, encoding="utf-8")
        assert muster("agency", "apply", path).status == 0
        if initial is not None:
            made = muster("import", write_file(muster.folder, initial), "--agency", slug, "--no-mail")
            assert made.status == 0, made.err


def write_file(folder: Path, file: Json) -> Path:
    """Write a file of a scenario, and the links to it, into `files` in the folder."""
    content = {"name": "initial.csv", "text": file} if isinstance(file, str) else file
    path = folder / "files" / content["name"]
    path.parent.mkdir(exist_ok=True)
    encoded = content.get("base64")
    path.write_bytes(base64.b64decode(encoded) if encoded is not None else content["text"].encode())
    for link in content.get("links", ()):
        kind, name = (link.get("kind", "symbolic"), link["name"]) if isinstance(link, dict) else ("symbolic", link)
        other = path.parent / name
        other.unlink(missing_ok=True)
        if kind.startswith("hard"):
            os.link(path, other)
        else:
            other.symlink_to(path)
    return path


def _resolve(kind: str, named: Json) -> Json:
    return load_document()[kind][named[1:]] if isinstance(named, str) and named.startswith("@") else named


def _parse(result: CommandResult) -> Json:
    try:
        return result.json
    except ValueError:
        return None


def _list_files(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.glob("*")}


def _read_outputs(folder: Path, there: dict[str, tuple[int, int]]) -> dict[str, Json]:
    written = [name for name, state in _list_files(folder).items() if there.get(name) != state]
    return {name: _read_output(folder / name) for name in written}


def _read_output(path: Path) -> Json:
    if not zipfile.is_zipfile(path):
        return {"workbook": False, "texts": [], "numbers": []}
    texts, numbers = list[str](), list[str]()
    with zipfile.ZipFile(path) as archive:
        shared = _read_shared_strings(archive)
        for name in archive.namelist():
            if name.startswith("xl/worksheets/"):
                for cell in ET.fromstring(archive.read(name)).iter(f"{_MAIN}c"):
                    value = "".join(cell.itertext())
                    if cell.get("t") == "s":
                        texts.append(shared[int(value)])
                    elif cell.get("t") in ("inlineStr", "str"):
                        texts.append(value)
                    elif value:
                        numbers.append(value)
    return {"workbook": True, "texts": texts, "numbers": numbers}


_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def _read_shared_strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    entries = ET.fromstring(archive.read("xl/sharedStrings.xml")).iter(f"{_MAIN}si")
    return ["".join(entry.itertext()) for entry in entries]
