"""The search, beside a plain look at every user."""

import sys
from collections.abc import Iterable
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musterbook.core.values.search_keys import fold_text
from musterbook.directory import models
from musterbook.directory.apply import search_index
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import undo
from musterbook.directory.installation import doctor
from musterbook.directory.storage import frames
from musterbook.directory.users import export
from musterbook.directory.users.export import ExportFilter
from tests.built_once import built_once
from tests.databases import Home
from tests.directory.cast import NOW, Row, agency, apply_rows, people, person
from tests.directory.cast import file as written
from tests.examples import examples

pytestmark = pytest.mark.django_db

AWKWARD = (
    "Müller",
    "mULLER",
    "O'Brien",
    "50%_off",
    "back\\slash",
    "[x]*?",
    "Łoś",
    "Ünal",
    "дмитрий",
    "\\x41",
    "straße",
)


def search(made: models.Agency, text: str, most: int = 1000) -> list[str] | None:
    ids = search_index.find_ids(made, search_index.split_words(text), most)
    if ids is None:
        return None
    return sorted(models.User.objects.filter(agency=made, pk__in=ids).values_list("external_id", flat=True))


def search_plainly(made: models.Agency, text: str) -> list[str]:
    """Who is to be found, by a plain look at every user."""
    fields = ("email", "first_name", "last_name", "username", "badge_number", "external_id")
    return sorted(
        user["external_id"]
        for user in models.User.objects.filter(agency=made).values(*fields)
        if all(any(word in fold_text(user[field]) for field in fields) for word in fold_text(text).split())
    )


def make_named(names: Iterable[str]) -> list[Row]:
    return [person(number, LAST_NAME=name) for number, name in enumerate(names)]


@built_once
def fill() -> models.Agency:
    """An agency of people with awkward names."""
    made = agency()
    apply_rows(made, make_named(AWKWARD))
    return made


@pytest.mark.parametrize(
    "text",
    [
        "muller", "MÜLLER", "last", "user1@", "B-1", "e-1", "müll user0", "first muller", "%", "_", "\\", "50%_", "[x]", "*", "?",
        "k\\s", "[", "'", '"', "los", "unal", "ДМИТ", "x41", "\\x", "strasse", "ss", "nobody", "1 2", "-", "user", "muller brien",
        "first 1 last",
    ],
)  # fmt: skip
def test_who_has_every_word_is_found(text: str) -> None:
    made = fill()
    assert search(made, text) == search_plainly(made, text)
    assert export.read_users(made, ExportFilter(query=text))["EXTERNAL_ID"].to_list() == search_plainly(made, text)


@pytest.mark.parametrize("text", ["\x00", "a\x01", "\ud800", "user\x7f", "u" * 6_000, "u\x00ser"])
def test_text_that_no_user_can_have_finds_nobody_and_breaks_nothing(text: str) -> None:
    made = agency()
    apply_rows(made, people(1, 2))
    words = search_index.split_words(text)
    assert search_index.find_ids(made, words, 10) == []
    assert search_index.filter_users(search_index._read_users(made), words).is_empty()


def test_a_search_with_too_many_matches_returns_none() -> None:
    made = agency()
    apply_rows(made, people(*range(60)))
    assert search(made, "user", 59) is None
    assert len(search(made, "user", 60) or []) == 60


def test_users_of_another_agency_are_never_found() -> None:
    made, other = agency(), agency("shelbyville")
    apply_rows(made, people(1))
    apply_rows(other, people(1, 2))
    apply_rows(made, people(3))
    assert search(made, "user") == ["E-1", "E-3"]
    assert search(other, "user") == ["E-1", "E-2"]


def test_an_edited_user_is_found_by_what_they_are_called_now() -> None:
    made = agency()
    apply_rows(made, people(*range(30)))
    before = set(models.SearchChunk.objects.values_list("slot", "text"))
    done = apply_rows(made, [person(7, LAST_NAME="Żółw", EMAIL="new@agency.example")])
    assert (search(made, "zolw"), search(made, "user7@")) == (["E-7"], [])
    assert len(set(models.SearchChunk.objects.values_list("slot", "text")) - before) == 1
    undo.run_undo(done.record, context=AuditContext(NOW, "", "cli"))
    assert (search(made, "zolw"), search(made, "user7@")) == ([], ["E-7"])
    assert search_index.correct_index(made) == 0


def test_a_change_of_what_is_not_searched_writes_no_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agency()
    apply_rows(made, people(1))
    with_names = [person(1, RANK="Captain"), person(1, RANK="Captain", LAST_NAME="Last 1 b")]
    sizes: list[int] = []
    update = frames.update

    def noted(model: Any, rows: pl.DataFrame) -> None:
        sizes.append(rows.height if model is models.SearchChunk else 0)
        update(model, rows)

    monkeypatch.setattr(frames, "update", noted)
    for row, chunks in zip(with_names, (0, 1), strict=True):
        sizes.clear()
        apply_rows(made, [row])
        assert sum(sizes) == chunks


@st.composite
def _texts(draw: st.DrawFn) -> str:
    return draw(st.sampled_from([*AWKWARD, "a b", "ab", "abc"]))


@given(
    st.lists(st.lists(_texts(), min_size=1, max_size=5), min_size=1, max_size=4),
    st.lists(_texts() | st.text(max_size=3)),
)
@settings(max_examples=examples(25), suppress_health_check=list(HealthCheck))
def test_after_any_imports_a_search_finds_what_a_plain_look_finds(imports: list[list[str]], asked: list[str]) -> None:
    made = agency(f"a{models.Agency.objects.count()}")
    for names in imports:
        apply_rows(made, make_named(names))
    for text in asked:
        if fold_text(text).split():
            assert search(made, text) == search_plainly(made, text)
    assert search_index.correct_index(made) == 0


def test_nobody_written_is_no_chunk() -> None:
    made = agency()
    search_index.update_index(made, search_index._read_users(made))
    assert not models.SearchChunk.objects.exists()


def test_the_doctor_finds_and_corrects_a_search_index_with_wrong_results() -> None:
    made = agency()
    apply_rows(made, people(1, 2, 3))
    models.User.objects.filter(agency=made, external_id="E-2").update(last_name="Zorro", name_key="")
    models.SearchChunk.objects.all().delete()
    assert doctor._searches().found == "3 users could not be found by their names; they can now"
    assert search(made, "zorro") == ["E-2"]
    assert models.User.objects.get(agency=made, external_id="E-2").name_key == "zorro\x1ffirst 2"
    assert doctor._searches().found == "every user can be found"


def test_a_name_key_is_no_longer_than_an_index_holds() -> None:
    users = pl.DataFrame({"first_name": ["x"], "last_name": ["\ufdfa" * 255]})
    assert len(search_index.build_name_keys(users)[0].encode()) <= 1000


def test_users_who_were_there_before_searches_are_found_after_migrating(fresh_home: Home) -> None:
    file = fresh_home.folder / "users.csv"
    file.write_bytes(written(people(1, 2)))
    looked = fresh_home.run(sys.executable, "-c", _MIGRATED, str(file), timeout=300)
    assert looked.returncode == 0, looked.stderr
    assert looked.stdout.splitlines()[-2:] == ["applied", "1 0"], looked.stdout


_MIGRATED = """
import sys
from tests.directory import driver
from django.core.management import call_command
from django.db import connection
from musterbook.directory import models
from musterbook.directory.apply import search_index as search

driver.main("agency", "springfield")
driver.main("import", "springfield", sys.argv[1])
print(models.Import.objects.get().state)
for target in (("directory", "0001"), ()):
    call_command("migrate", *target, verbosity=0)
    connection.close()  # PostgreSQL refuses statements that were prepared for other columns
made = models.Agency.objects.get()
print(len(search.find_ids(made, ("user2",), 9)), search.correct_index(made))
"""
