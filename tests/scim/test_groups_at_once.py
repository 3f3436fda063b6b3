"""Programs that replace the members of one group at the same time: who has read an older version loses."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from musterbook.directory.permissions import ALL
from tests.accounts.conftest import Springfield
from tests.accounts.conftest import _quick_hashes as _quick_hashes  # noqa: PLC0414  # used by being here
from tests.accounts.conftest import springfield as springfield  # noqa: PLC0414
from tests.api.test_me import make_token
from tests.scim.conftest import GROUP, PATCH, Scim, read

pytestmark = pytest.mark.django_db(transaction=True)
PROGRAMS = 3
CHANGES = ([2, 3], [1, 2, 3], [3])
"""What each program makes the members: an import, a larger one, and the edit of two users."""


def test_one_of_those_who_replace_the_members_of_the_same_version_succeeds(springfield: Springfield) -> None:
    client = Scim(springfield.agency, make_token(springfield, *ALL)[1])
    body = {"schemas": [GROUP], "displayName": "North", "members": [{"value": "1"}]}
    group = read(client.ask("Groups", "post", body), 201)
    path, barrier = f"Groups/{group['id']}", Barrier(PROGRAMS)

    def replace(place: int) -> Any:
        value = [{"value": str(one)} for one in CHANGES[place]]
        operations = [{"op": "replace", "path": "members", "value": value}]
        barrier.wait()
        try:
            sent = {"schemas": [PATCH], "Operations": operations}
            return client.ask(path, "patch", sent, **{"If-Match": group["meta"]["version"]})
        finally:
            connection.close()

    with ThreadPoolExecutor(PROGRAMS) as threads:
        answers = list(threads.map(replace, range(PROGRAMS)))
    assert sorted(one.status_code for one in answers) == [200, 412, 412]
    won = next(place for place, one in enumerate(answers) if one.status_code == 200)
    assert [one["value"] for one in client.get(path)["members"]] == [str(one) for one in CHANGES[won]]
