"""Run tests on faults in forks of a process that has loaded the product, collected all tests, and prepared their database.

A fork starts in a hundredth of the time of a new run of pytest. In the fork, each function that the fault changes gets its
new code; the file is changed too, for processes that the tests start. This is not possible if the fault changes what runs when a
module is imported. Then `scripts.fault_tests` starts a new run.
"""

import filecmp
import gc
import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from inspect import CO_OPTIMIZED
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import IO

import pytest
from django.db import connections

from scripts import fault_forks

FOLDER = fault_forks.ROOT / "build" / "warm"
"""Where the tests of all forks write; after each it is as before."""
_KEPT = fault_forks.ROOT / "build" / "warm-kept"
IMPORTED = "imported"
"""The answer for a fault that changes what runs at import."""


class NotInFunctions(Exception):
    """The two texts of a module differ in what runs at import."""


def serve(files: list[str], orders: IO[str], answers: IO[str]) -> int:
    """Collect the tests of these files, and answer orders until there are no more."""
    FOLDER.mkdir(parents=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(FOLDER)
    return int(pytest.main([*fault_forks.prepare(files), *files], plugins=[Warm(orders, answers)]))


class Warm:
    """Answers orders where pytest would run the tests."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self.orders, self.answers = orders, answers
        self.items: dict[str, pytest.Item] = {}
        self.functions: dict[CodeType, list[FunctionType]] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Answer orders until there are no more."""
        self.items = {item.nodeid: item for item in session.items}
        _prepare_database(session.items)
        shutil.copytree(FOLDER, _KEPT, symlinks=True)
        self.functions = list_functions(fault_forks.ROOT / "musterbook")
        gc.freeze()  # what the collector does not visit is not copied into each fork
        threads = len([*Path("/proc/self/task").iterdir()])
        self._answer("ready" if threads == 1 else f"{threads} threads, which a fork would not have")
        for line in self.orders:
            self._answer(self._try(**json.loads(line)))
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a test that failed."""
        if report.failed:
            self.failed.append(report.nodeid)

    def _answer(self, answer: object) -> None:
        self.answers.write(json.dumps(answer) + "\n")
        self.answers.flush()

    def _try(self, file: str, before: str, after: str, tests: list[str], seconds: list[float]) -> dict[str, str]:
        path = str(fault_forks.ROOT / file)
        changes: list[tuple[FunctionType, CodeType]] = []
        if before != after and any(getattr(module, "__file__", None) == path for module in [*sys.modules.values()]):
            try:
                changes = list(find_changes(before, after, path, self.functions))
            except NotInFunctions:
                return {"result": IMPORTED}
            if not changes:
                return {"result": IMPORTED}
        try:
            return fault_forks.run_in_fork(partial(self._run, tests, seconds, changes))
        finally:
            restore(_KEPT, FOLDER)

    def _run(
        self,
        tests: list[str],
        seconds: list[float],
        changes: list[tuple[FunctionType, CodeType]],
        deadline: fault_forks.Deadline,
    ) -> int:
        for function, code in changes:
            function.__code__ = code
        items = [(self.items[test], limit) for test, limit in zip(tests, seconds, strict=True) if test in self.items]
        if items:
            items[0][0].session._setupstate.teardown_exact(items[0][0])  # noqa: SLF001  (pytest has no other way)
        for (item, limit), following in zip_longest(items, items[1:]):
            deadline.set(limit)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following and following[0])
            if self.failed:
                fault_forks.FAILED.write_text(self.failed[0], encoding="utf-8")
                return 1
        return 0


def _prepare_database(items: list[pytest.Item]) -> None:
    """Set up what all tests of a run share, as a test with the database does that asserts nothing."""
    of_database = [item for item in items if item.get_closest_marker("django_db") and isinstance(item, pytest.Function)]
    if of_database and len(items) > 1:
        item = min(of_database, key=lambda item: len(item.fixturenames))
        test, item.obj = item.obj, lambda **_: None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=next(other for other in items if other != item))
        item.obj = test
        connections.close_all()


def list_functions(folder: Path) -> dict[CodeType, list[FunctionType]]:
    """Return all functions of the modules of a folder, by their code."""
    found = defaultdict(list)
    gc.unfreeze()  # tests/conftest.py freezes all that is loaded, and frozen objects are not listed
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename.startswith(f"{folder}/"):
            found[each.__code__].append(each)
    return found


def find_changes(
    before: str, after: str, path: str, functions: dict[CodeType, list[FunctionType]]
) -> Iterator[tuple[FunctionType, CodeType]]:
    """Return the functions whose code differs between two texts of a module, with their new code."""
    pairs = [(compile(before, path, "exec", dont_inherit=True), compile(after, path, "exec", dont_inherit=True))]
    while pairs:
        old, new = pairs.pop()
        inner_old, inner_new = _list_inner(old), _list_inner(new)
        if old.co_flags & CO_OPTIMIZED:
            for function in functions.get(old, []):
                if old.co_freevars != new.co_freevars:
                    raise NotInFunctions
                yield function, new
        elif _describe(old) != _describe(new) or len(inner_old) != len(inner_new):
            raise NotInFunctions
        pairs += [(a, b) for a, b in zip(inner_old, inner_new, strict=False) if a != b and a.co_name == b.co_name]


def _list_inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _describe(code: CodeType) -> object:
    """Return what the code of a module or class does, without what its functions do."""
    constants = [repr(each) for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_code, code.co_names, constants


def restore(kept: Path, folder: Path) -> None:
    """Make a folder equal to the one that was kept. A file that stays is written again, so that who has it open sees it."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if not os.path.lexists(kept / path.relative_to(folder)):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in sorted(kept.rglob("*")):
        now = folder / path.relative_to(kept)
        if path.is_dir() and not path.is_symlink():
            now.mkdir(exist_ok=True)
        elif not path.is_symlink() and not (now.exists() and filecmp.cmp(path, now)):
            shutil.copy2(path, now)
