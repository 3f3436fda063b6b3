"""The client cannot drift from the API: all operations, all members of answers, and all options are there."""

import dataclasses
import inspect
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from musterbook.api import openapi
from musterbook.client import agency as agencies
from musterbook.client.agency import Agency, AsyncAgency
from musterbook.client.answering import Answer, Page, Route, read_answer
from musterbook.client.described import answers, routes
from musterbook.client.operations import Downloading, Listing, Operation, Resource
from scripts import client_code

FILES = client_code.make_files()
ROUTES = {name: route for name, route in vars(routes).items() if isinstance(route, Route)}


@pytest.mark.parametrize("name", FILES)
def test_the_description_of_the_client_is_that_of_the_api(name: str) -> None:
    assert (client_code.FOLDER / name).read_text(encoding="utf-8") == FILES[name], "run: python -m scripts.reference"


def list_methods() -> list[tuple[str, Operation[..., Any] | Listing[..., Any] | Downloading[...]]]:
    """All methods of the client, by resource."""
    with Agency("http://localhost/x", "token") as one:
        kinds = [type(one), *(type(resource) for resource in vars(one).values() if isinstance(resource, Resource))]
    return [
        (f"{kind.__name__}.{name}", member)
        for kind in kinds
        for name, member in inspect.getmembers_static(kind)
        if isinstance(member, Operation | Listing | Downloading)
    ]


def test_every_operation_of_the_api_has_a_method() -> None:
    used = Counter(
        name for _, method in list_methods() for name in set(re.findall(r"routes\.([A-Z_]+)", inspect.getsource(method.describe)))
    )  # fmt: skip
    operations = {
        one["operationId"] for methods in openapi.make_document("")["paths"].values() for one in methods.values()
    }
    assert {route.name for route in ROUTES.values()} == operations
    assert set(used) == set(ROUTES)
    assert {name for name, uses in used.items() if uses > 1} <= {"READ_IMPORT", "LIST_USERS", "LIST_IMPORT_ROWS"}


def test_every_method_says_what_it_does() -> None:
    assert [name for name, method in list_methods() if not method.__doc__] == []


def test_the_methods_of_both_agencies_are_the_same() -> None:
    with Agency("http://localhost/x", "token") as one:
        other = AsyncAgency("http://localhost/x", "token")
        assert {name: type(member) for name, member in vars(one).items() if name != "_session"} == {
            name: type(member) for name, member in vars(other).items() if name != "_session"
        }


def test_every_member_of_an_answer_of_the_api_is_read() -> None:
    schemas = openapi.make_document("")["components"]["schemas"]
    for name in answers.__all__:
        fields = {
            one.metadata.get("name", one.name) for one in dataclasses.fields(getattr(answers, name))
        } - {"etag"}  # fmt: skip
        if name in schemas:
            assert fields == set(schemas[name]["properties"]), name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner(Answer):
    """What is in the sample."""

    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample(Answer):
    """An answer with one of each kind of members."""

    number: int
    share: float
    texts: list[str]
    rank: int | str | None
    inner: Page[Inner] | None = None
    import_: str = dataclasses.field(default="", metadata={"name": "import"})


def test_an_answer_of_a_newer_or_an_older_server_is_read_too() -> None:
    content = {"number": 1, "share": 2, "texts": ["a"], "rank": "x", "later": {}, "import": "I"}
    found = read_answer(Sample, {**content, "inner": {"items": [{"name": "i"}]}})
    assert (found.inner.items[0].name, found.import_, found.rank, found.share) == ("i", "I", "x", 2)
    assert read_answer(Sample, {**content, "version": "v"}).etag == '"v"'
    assert read_answer(Sample, content, '"of-header"').etag == '"of-header"'


@pytest.mark.parametrize(
    "content",
    [[], "text", None, {}, {"number": "1"}, {"number": 1, "share": 1, "texts": "a", "rank": None}],
)
def test_an_answer_of_another_form_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match="Error"):
        read_answer(Sample, content)


def test_a_program_needs_no_settings_and_nothing_else_of_musterbook() -> None:
    code = (
        "import sys, time; start = time.monotonic(); from musterbook.client import Agency\n"
        "assert time.monotonic() - start < 3\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in ('django', 'ninja', 'polars')"
        " or name.startswith('musterbook.') and not name.startswith('musterbook.client')))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={}, cwd=agencies.__file__.partition("/musterbook/")[0],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == ""
