"""What the interfaces read: each list in its order, and nothing of another agency."""

from datetime import timedelta

import pytest

from musterbook.core.domain.policy import Mode
from musterbook.directory import models
from musterbook.directory.agency import agencies, groups, ranks, roles, vocabularies
from musterbook.directory.agency.vocabularies import UnknownEntry
from musterbook.directory.audit import hash_chain
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.imports import file_import, history, undo
from musterbook.directory.imports.file_import import UnknownImport
from musterbook.directory.imports.options import Options
from musterbook.directory.imports.runner import ImportResult
from musterbook.directory.installation import migration
from musterbook.directory.users import editing, profile, user_list
from musterbook.directory.users.editing import UnknownUser
from tests.directory.cast import NOW, agency, apply_rows, people, person, register, run, user

pytestmark = pytest.mark.django_db

CONTEXT = AuditContext(NOW, "E-1", "page")


@pytest.fixture
def made() -> models.Agency:
    """An agency with an administrator (1), two officers in Patrol (2, 3), and a second group; and another agency."""
    elsewhere = agency("shelbyville")
    apply_rows(elsewhere, people(7, 8))
    made = agency()
    apply_rows(made, [person(1, ROLE="Admin", RANK="Captain"), *people(2, 3, EVIDENCE_GROUP_EXT_ID="PATROL")])
    models.Group.objects.create(agency=made, external_id="CID", name="Detectives")
    return made


@pytest.fixture
def elsewhere(made: models.Agency) -> models.Agency:
    """The other agency."""
    return models.Agency.objects.exclude(pk=made.pk).get()


def test_the_slugs_and_the_heads_of_all_agencies_are_listed(made: models.Agency) -> None:
    assert agencies.list_slugs() == ["shelbyville", "springfield"]
    heads = hash_chain.list_heads()
    assert [slug for slug, _, _ in heads] == ["shelbyville", "springfield"]
    assert hash_chain.list_heads(made) == [heads[1]] == [("springfield", *hash_chain.read_head(made))]


def test_roles_are_listed_with_admin_first_and_the_others_by_name(made: models.Agency) -> None:
    models.Role.objects.create(agency=made, name="Aide", name_key="aide")
    assert [role.name for role in roles.list_roles(made)] == ["Admin", "Aide", "Chief", "Officer"]


def test_ranks_are_listed_in_their_order_with_their_users(made: models.Agency) -> None:
    assert [(rank.name, users) for rank, users in ranks.list_ranks(made)] == [("Sergeant", 0), ("Captain", 1)]


def test_groups_are_listed_by_name(made: models.Agency) -> None:
    assert [group.external_id for group in groups.list_groups(made)] == ["CID", "PATROL"]


@pytest.mark.parametrize(
    ("text", "found"), [("", [("CID", 0), ("PATROL", 2)]), ("detect", [("CID", 0)]), ("TROL", [("PATROL", 2)])]
)
def test_a_group_is_found_by_a_part_of_its_name_or_id(
    made: models.Agency, text: str, found: list[tuple[str, int]]
) -> None:
    assert [(group.external_id, members) for group, members in groups.search_groups(made, text, 9)] == found


def test_a_list_of_groups_or_members_has_a_limit(made: models.Agency) -> None:
    assert [group.external_id for group, _ in groups.search_groups(made, "", 1)] == ["CID"]
    patrol = models.Group.objects.get(agency=made, external_id="PATROL")
    assert [member.external_id for member in groups.list_members(patrol, 9)] == ["E-2", "E-3"]
    assert [member.external_id for member in groups.list_members(patrol, 1)] == ["E-2"]


def test_monitors_of_a_group_are_listed_by_name(made: models.Agency) -> None:
    patrol = models.Group.objects.get(agency=made, external_id="PATROL")
    for number in (3, 1):
        groups.add_monitor(patrol, user(made, number), CONTEXT)
    assert [monitor.external_id for monitor in groups.list_monitors(patrol)] == ["E-1", "E-3"]


def test_the_names_of_a_vocabulary_are_listed_in_its_order(made: models.Agency) -> None:
    assert [name for _, name in vocabularies.list_names(made, "role")] == ["Admin", "Chief", "Officer"]
    assert [name for _, name in vocabularies.list_names(made, "rank")] == ["Sergeant", "Captain"]
    assert [name for _, name in vocabularies.list_names(made, "group")] == ["Detectives", "Patrol"]


@pytest.mark.parametrize("model", [models.Role, models.Rank, models.Group])
def test_an_entry_of_a_vocabulary_is_found_in_its_own_agency_alone(
    made: models.Agency, elsewhere: models.Agency, model: type[models.Role]
) -> None:
    entry = model.objects.filter(agency=made).latest("pk")
    assert vocabularies.find_entry(model, made, entry.pk) == entry
    with pytest.raises(UnknownEntry):
        vocabularies.find_entry(model, elsewhere, entry.pk)


def test_a_user_is_found_by_address_external_id_or_number(made: models.Agency, elsewhere: models.Agency) -> None:
    expected = user(made, 2)
    assert editing.find_named(made, "USER2@agency.example") == expected
    assert editing.find_named(made, "E-2") == expected
    assert editing.find_named(made, str(expected.pk), expected.pk) == expected
    for named, number in (("E-7", None), ("2", user(elsewhere, 7).pk)):
        with pytest.raises(UnknownUser):
            editing.find_named(made, named, number)


def test_an_agency_has_users_or_none_but_one(made: models.Agency) -> None:
    empty = agency("ogdenville")
    assert not user_list.has_users(empty)
    apply_rows(empty, [person(1)])
    assert user_list.has_users(empty)
    assert not user_list.has_users(empty, except_id=user(empty, 1).pk)
    assert user_list.has_users(made, except_id=user(made, 1).pk)


def test_the_last_email_to_a_user_is_found(made: models.Agency) -> None:
    about = user(made, 2)
    models.Mail.objects.filter(user=about).delete()
    assert profile.find_last_mail(about) is None
    for kind in ("invitation", "welcome"):
        models.Mail.objects.create(agency=made, user=about, kind=kind, to=about.email, created_at=NOW)
    last = profile.find_last_mail(about)
    assert last and last.kind == "welcome"


def test_the_operator_and_the_undo_of_an_import_are_found(made: models.Agency) -> None:
    register(made, 1)
    record = apply_rows(made, [person(2, LOCATION="North")], by="E-1").record
    assert history.find_operator(record) == user(made, 1)
    assert history.find_undo(record) is None
    undoing = undo.run_undo(record, context=AuditContext(NOW + timedelta(hours=1), "", "cli")).record
    assert history.find_undo(record) == undoing
    assert history.find_operator(undoing) is None


def test_an_import_is_found_by_the_key_of_its_own_operator(made: models.Agency) -> None:
    register(made, 1)
    record = apply_rows(made, [person(2, LOCATION="North")], by="E-1", key="page 1").record
    assert history.find_by_key(made, "E-1", "page 1") == record
    with pytest.raises(UnknownImport):
        history.find_by_key(made, "E-2", "page 1")


def test_a_record_is_read_again_once_its_process_has_died(made: models.Agency) -> None:
    record = apply_rows(made, [person(2, LOCATION="North")]).record
    models.Import.objects.filter(pk=record.pk).update(state="running")
    history.refresh_record(record)
    assert record.state == "failed"


def test_rows_with_notes_are_counted_each_once(made: models.Agency) -> None:
    register(made, 1)
    done = run(made, [person(4, SUPERVISOR_EMAIL="nobody@agency.example"), person(5)], Options(mode=Mode.UPDATE))
    assert history.count_noted_rows(done.record) == 1
    assert file_import.find_import(made, done.record.number) == done.record


def test_a_database_that_can_be_used_answers() -> None:
    migration.ping_database()


def test_m4_a_small_file_finds_the_user_whose_external_id_looks_like_a_new_one() -> None:
    made = agency()
    apply_rows(made, people(*range(1, 40)))
    apply_rows(made, [person("x", EXTERNAL_ID="Ｅ-50")])
    assert codes_of(run(made, [person(70, EXTERNAL_ID="E-５")])) == [("taken", "EXTERNAL_ID")]
    assert codes_of(run(made, [person(71, EXTERNAL_ID="E-50")])) == [("taken", "EXTERNAL_ID")]
    assert codes_of(run(made, [person(72, EXTERNAL_ID="Ｅ-60")])) == []


def codes_of(done: ImportResult) -> list[tuple[str, str]]:
    return list(models.ImportProblem.objects.filter(of=done.record).values_list("code", "column"))
