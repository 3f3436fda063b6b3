"""The files of imports are found by numbers of imports alone."""

from pathlib import Path

import pytest
from django.conf import settings

from musterbook.directory.imports import plan_files
from musterbook.directory.storage import import_files

NUMBER = "01J9ZKQ4M5V7N8P2R3S4T5W6X7"


@pytest.mark.parametrize(
    "number",
    ["../a-secret", "/etc/passwd", "", ".", "..", f"{NUMBER}/", f"{NUMBER}\n", f"{NUMBER}.users.x", f"8{NUMBER[1:]}"],
)
def test_a_number_that_is_a_path_leads_to_no_file(number: str, tmp_path: Path) -> None:
    (settings.MUSTER_HOME / "a-secret").write_text("of the installation")
    source = tmp_path / "source"
    source.touch()
    for act in (
        lambda: import_files.read_content(number),
        lambda: import_files.find_path(number),
        lambda: import_files.delete_file(number),
        lambda: import_files.store_file(number, b"changed"),
        lambda: import_files.adopt_file(number, source),
        lambda: import_files.store_copy(NUMBER, number),
    ):
        with pytest.raises(import_files.FileGone):
            act()
    for read in (lambda: plan_files.read_header(number), lambda: plan_files.find_path(number, "rows")):
        with pytest.raises(plan_files.PlanGone):
            read()
    assert (settings.MUSTER_HOME / "a-secret").read_text() == "of the installation"


def test_the_file_and_the_choice_of_an_import_are_kept_by_its_number() -> None:
    for name in (NUMBER, f"{NUMBER}.users"):
        import_files.store_file(name, b"content")
        assert import_files.read_content(name) == b"content"
        import_files.delete_file(name)
