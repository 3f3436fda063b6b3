"""The edges of what SCIM asks of the directory: pages of filters that no index answers, and values that no user can have."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import provisioned_import
from musterbook.directory.users import user_query
from musterbook.directory.users.user_query import Operator
from tests.scim.conftest import Scim
from tests.scim.test_bulk import client as client  # noqa: PLC0414  # used by being here
from tests.scim.test_bulk import send

pytestmark = pytest.mark.any_database


def test_a_filter_that_looks_at_each_user_is_read_page_by_page(scim: Scim) -> None:
    wanted = quote('meta.lastModified gt "2000-01-01T00:00:00Z"')
    cursor, seen = "", list[str]()
    for _ in range(5):
        page = scim.get(f"Users?filter={wanted}&count=1&cursor={cursor}")
        seen += [one["id"] for one in page["Resources"]]
        cursor = quote(page.get("nextCursor", ""))
        if not cursor:
            break
    assert sorted(seen) == ["1", "2", "3"]


def test_half_of_a_character_is_equal_to_nothing() -> None:
    assert user_query.match_key("email", Operator.EQ, "\ud800") is user_query.NOBODY
    assert user_query.match_key("email", Operator.NE, "\ud800") is user_query.EVERYBODY


def test_a_character_that_no_database_stores_is_equal_to_nothing_and_has_no_order() -> None:
    for text in ("a\x00", "\ud800"):
        assert user_query.match_external_id(Operator.EQ, text) is user_query.NOBODY
        assert user_query.match_external_id(Operator.GT, text) is user_query.UNKNOWN


def test_a_place_whose_time_is_none_is_refused() -> None:
    with pytest.raises(user_query.InvalidPosition):
        user_query._parse_time(user_query.Place("no time", 1))


def test_a_bulk_of_which_nothing_is_left_to_write_writes_nothing(client: Scim) -> None:
    number = 404
    (result,) = send(client, {"method": "DELETE", "path": f"/Users/{number}"})
    assert result["status"] == "404"
    gone = provisioned_import.run(client.agency, [], AuditContext(datetime.now(UTC), "E-1", "scim"))
    assert (gone.record, models.Import.objects.filter(through="scim").count()) == (None, 0)
