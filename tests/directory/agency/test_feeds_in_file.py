"""The feeds that an agency file lists: added, changed, removed, and kept where files have arrived."""

import pytest

from musterbook.directory import models
from musterbook.directory.agency import agencies, agency_file, feeds
from musterbook.directory.agency.agencies import ApplyResult
from musterbook.directory.agency.agency_file import InvalidAgencyFile
from musterbook.directory.audit.trail import AuditContext
from tests.directory.cast import NOW

pytestmark = pytest.mark.django_db
HEAD = 'slug = "springfield"\nname = "Springfield"\n'
CONTEXT = AuditContext(NOW, "", "cli")
SWORN = """
[[feeds]]
name = "hr-sworn"
mode = "sync"
every_minutes = 10
defaults = { ROLE = "Officer" }
[feeds.location]
kind = "sftp"
host = "sftp.example.org"
path = "/out"
user = "muster"
[feeds.notify]
held = ["hr@example.org"]
[[feeds.limits]]
kind = "deactivations"
users = 3
role = "Officer"
"""
CIVILIAN = """
[[feeds]]
name = "hr-civilian"
location = { kind = "folder", path = "hr" }
"""
ROLES = """
[[roles]]
name = "Officer"
"""


def apply(text: str) -> ApplyResult:
    return agencies.apply_file(agency_file.read_agency_file((HEAD + text).encode()), CONTEXT)


def list_events() -> list[str]:
    return list(models.Event.objects.order_by("pk").values_list("kind", flat=True))


def list_names() -> list[str]:
    return list(models.Feed.objects.order_by("name").values_list("name", flat=True))


def test_feeds_are_added_with_the_roles_of_the_same_file_and_each_has_an_event() -> None:
    result = apply(ROLES + SWORN + CIVILIAN)
    assert list_names() == ["hr-civilian", "hr-sworn"]
    assert list_events() == ["agency.added", "feed.added", "feed.added"]
    assert result.changes["feed hr-sworn location host"] == ("", "sftp.example.org")
    sworn = models.Feed.objects.get(name="hr-sworn")
    assert sworn.limits is not None
    assert sworn.limits[0]["role"] == models.Role.objects.get(name="Officer").pk


def test_the_same_file_again_changes_nothing() -> None:
    apply(ROLES + SWORN + CIVILIAN)
    again = apply(ROLES + SWORN + CIVILIAN)
    assert (again.changes, again.kept_entries) == ({}, ())
    assert len(list_events()) == 3


def test_what_the_file_does_not_say_stays_so_that_what_was_learned_stays() -> None:
    apply(ROLES + SWORN)
    feed = models.Feed.objects.get()
    feeds.set_secret(feed, "password", "hush", CONTEXT, None)
    feeds.change(feed, {"mapping": {"Badge": "BADGE_NUMBER"}}, feeds.mark(feed), CONTEXT, None)
    result = apply(ROLES + SWORN.replace("= 10", "= 15"))
    assert result.changes == {"feed hr-sworn every_minutes": ("10", "15")}
    feed.refresh_from_db()
    assert (feed.reading["mapping"], set(feed.secrets)) == ({"Badge": "BADGE_NUMBER"}, {"password"})


def test_a_file_without_feeds_leaves_them_and_one_that_lists_others_removes_them() -> None:
    apply(ROLES + SWORN + CIVILIAN)
    apply(ROLES)
    assert len(list_names()) == 2
    result = apply(ROLES + SWORN)
    assert list_names() == ["hr-sworn"]
    assert result.changes["feed hr-civilian location path"] == ("hr", "")
    assert list_events()[-1] == "feed.removed"
    apply("feeds = []\n" + ROLES)
    assert list_names() == []


def test_a_feed_by_which_a_file_has_arrived_is_kept_and_reported() -> None:
    apply(ROLES + SWORN + CIVILIAN)
    feed = models.Feed.objects.get(name="hr-civilian")
    models.FeedFile.objects.create(feed=feed, name="a.csv", size=1, modified="1", sha256="0" * 64, at=NOW)
    result = apply(ROLES + SWORN)
    assert (result.changes, result.kept_entries) == ({}, ("feed “hr-civilian”",))
    assert list_names() == ["hr-civilian", "hr-sworn"]


def test_feeds_of_another_agency_are_not_touched() -> None:
    apply(CIVILIAN)
    other = 'slug = "shelbyville"\nname = "Shelbyville"\nfeeds = []\n'
    agencies.apply_file(agency_file.read_agency_file(other.encode()), CONTEXT)
    assert list_names() == ["hr-civilian"]


def test_all_errors_of_feeds_are_among_those_of_the_file() -> None:
    with pytest.raises(InvalidAgencyFile) as caught:
        apply('color = "red"\n' + SWORN.replace('"sync"', '"all"').replace("/out", "/../out"))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "the file", "[[feeds]] number 1", "[[feeds]] number 1",
    ]  # fmt: skip


def test_what_does_not_fit_the_agency_undoes_the_whole_file() -> None:
    with pytest.raises(InvalidAgencyFile) as caught:
        apply(CIVILIAN + SWORN)
    assert caught.value.problems == ["[[feeds]]: hr-sworn: limits: There is no role or group “Officer”."]
    assert not models.Agency.objects.exists()


@pytest.mark.parametrize("secret", ["password", "secrets", "key", "token", "host_key"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(secret: str) -> None:
    for text in (
        f'[[feeds]]\nname = "x"\n{secret} = "hush"\n',
        f'[[feeds]]\nname = "x"\nlocation = {{ kind = "sent", {secret} = "hush" }}\n',
    ):
        with pytest.raises(InvalidAgencyFile) as caught:
            apply(text)
        assert "hush" not in str(caught.value)
        assert secret in str(caught.value)


def test_hostile_text_is_stored_nowhere() -> None:
    for value in (
        '"\\u0000"',
        '"a\\u202eb"',
        '"' + "x" * 5000 + '"',
        "[" * 50 + "]" * 50,
        "{ a = { b = 1 } }",
        "1e400",
        "nan",
    ):
        for setting in ("source", "sheet", "encoding", "mapping", "values", "windows", "notify", "location"):
            with pytest.raises(InvalidAgencyFile):
                apply(f'[[feeds]]\nname = "x"\n{setting} = {value}\n')
    assert not models.Agency.objects.exists()
