"""Likely headings: synonyms, content and spelling, each heading for one column only (rule F4)."""

import pytest

from musterbook.core.domain import columns
from musterbook.core.domain.columns import BY_HEADING, REQUIRED
from musterbook.core.reading.intake import read
from musterbook.core.reading.suggestions import count_likely, suggest_columns
from tests.core.reading.test_intake import text

FILES = {
    "Entra": "userPrincipalName,surname,mail,givenName,employeeId,accountEnabled,jobTitle,Badge",
    "Entra bulk": "User name [userPrincipalName] Required,Last name [surname],Email [mail],First name [givenName],"
    "Employee ID [employeeId],Account enabled [accountEnabled],Job title [jobTitle],Shield No",
    "Okta": "user.login,user.lastName,user.email,user.firstName,user.employeeNumber,user.status,user.title,badgeNumber",
    "Active Directory": "sAMAccountName,sn,EmailAddress,GivenName,EmployeeID,Enabled,Title,Badge Nbr",
    "Workday": "User Name,Legal Name - Last Name,Email - Primary Work,Legal Name - First Name,Employee ID,Worker Status,"
    "Job Profile,Badge #",
    "PeopleSoft": "OPRID,LAST_NAME,EMAIL_ADDR,FIRST_NAME,EMPLID,EMPL_STATUS,ROLENAME,Badge ID",
}
_ENTRA = (
    "userPrincipalName,displayName,surname,mail,givenName,id,userType,jobTitle,department,accountEnabled,usageLocation,"
    "streetAddress,state,country,officeLocation,city,postalCode,telephoneNumber,mobilePhone,companyName,creationType"
)
_ADP = (
    "Associate ID,File Number,Position ID,Payroll Name,Legal First Name,Legal Last Name,Position Status,"
    "Work Contact: Work Email,Job Title Description,Home Department Description,Reports To Name,User ID"
)
_ACTIVE_DIRECTORY = (
    "SamAccountName,GivenName,Surname,EmailAddress,Enabled,EmployeeID,Title,Office,OfficePhone,ObjectGUID"
)


@pytest.mark.parametrize("heading_row", FILES.values(), ids=FILES)
def test_the_headings_of_other_systems_are_known(heading_row: str) -> None:
    order = ("USERNAME", "LAST_NAME", "EMAIL", "FIRST_NAME", "EXTERNAL_ID", "STATUS", "ROLE", "BADGE_NUMBER")
    cells = heading_row.split(",")
    found = suggest_columns(REQUIRED, cells, ())
    assert {column.heading: heading for column, heading in found.items()} == dict(zip(order, cells, strict=True))


@pytest.mark.parametrize(
    "heading_row",
    [
        (
            "Personal-Nr.,E-Mail-Adresse,Dienstnummer,Vorname,Nachname,Beschäftigungsstatus,Anmeldename,Funktion,"
            "E-Mail des Vorgesetzten,Dienststelle,Dienstgrad,Gruppe,Telefonnummer"
        ),
        (
            "Número de empleado,Correo electrónico,Placa,Nombres,Apellidos,Estado,Usuario,Rol,Correo del supervisor,"
            "Sede,Rango,Grupo,Teléfono"
        ),
    ],
    ids=["German", "Spanish"],
)
def test_german_and_spanish_headings_are_known(heading_row: str) -> None:
    order = (
        "EXTERNAL_ID", "EMAIL", "BADGE_NUMBER", "FIRST_NAME", "LAST_NAME", "STATUS", "USERNAME", "ROLE",
        "SUPERVISOR_EMAIL", "LOCATION", "RANK", "EVIDENCE_GROUP_EXT_ID", "PHONE",
    )  # fmt: skip
    cells = heading_row.split(",")
    found = suggest_columns(list(BY_HEADING.values()), cells, ())
    assert {column.heading: heading for column, heading in found.items()} == dict(zip(order, cells, strict=True))


def test_a_heading_is_suggested_for_one_column_only() -> None:
    found = suggest_columns(REQUIRED, ["Login"], ())
    assert found == {columns.USERNAME: "Login"}


def test_a_column_of_addresses_is_email_unless_they_are_another_person_s() -> None:
    samples = [["a@x.example", "b@x.example"], ["boss@x.example"], ["Active", "terminated"], ["x@"], []]
    cells = ["Kontakt", "Manager address", "Zustand", "Other", "None"]
    assert suggest_columns([columns.EMAIL, columns.STATUS, columns.ROLE], cells, samples) == {
        columns.EMAIL: "Kontakt",
        columns.STATUS: "Zustand",
    }


def test_a_short_name_is_suggested_only_for_a_typing_mistake_in_it() -> None:
    """F4: a suggestion is preselected on the page, so a heading of another meaning must not be one."""
    assert suggest_columns(REQUIRED, ["Mobile", "Bank", "Phone"], ()) == {}
    assert suggest_columns([columns.ROLE], ["Roll"], ()) == {columns.ROLE: "Roll"}


def test_very_long_and_blank_headings_mean_nothing() -> None:
    assert suggest_columns(REQUIRED, ["", "x" * 200, "E"], ()) == {}


def test_headings_in_other_words_are_counted_by_column() -> None:
    assert count_likely(["Employee ID", "Emp No", "Badge #", "shoe size"]) == 2


def test_all_missing_columns_are_named_at_once_with_how_to_map_them() -> None:
    """F4, even when not one heading is recognized."""
    table = read(
        text("1,a@x.example,7,Ann,Lee,Active,alee,Officer", header="Nr,Kontakt,Dienst,Vorname,Familie,Stand,Kurz,Recht")
    )
    assert [(p.code, p.column) for p in table.problems] == [("missing-column", c.heading) for c in REQUIRED]
    by_column = {problem.column: f"{problem.message} {problem.remedy}" for problem in table.problems}
    assert "“Kontakt”: did you mean EMAIL?" in by_column["EMAIL"] and "“Kontakt=EMAIL”" in by_column["EMAIL"]
    assert "“Vorname”" in by_column["FIRST_NAME"]
    assert "“Kontakt=EMAIL,USERNAME”" in by_column["USERNAME"]
    assert "If a heading of the file means it" in by_column["ROLE"]


def test_a_username_that_is_missing_may_be_the_address() -> None:
    """F5: one heading may serve two columns."""
    header = "EXTERNAL_ID,EMAIL,BADGE_NUMBER,FIRST_NAME,LAST_NAME,STATUS,ROLE"
    [problem] = read(text("1,a@x.example,7,Ann,Lee,Active,Officer", header=header)).problems
    assert "“EMAIL=EMAIL,USERNAME”" in problem.remedy
    [email, username] = read(text("1,7,Ann,Lee,Active,Officer", header=header.replace("EMAIL,", ""))).problems
    assert "map that heading" in email.remedy and "map that heading" in username.remedy


def suggest(headings: str) -> dict[str, str]:
    """The heading that is suggested for each column, if all required columns are missing."""
    suggested = suggest_columns(REQUIRED, headings.split(","), ())
    return {column.heading: found for column, found in suggested.items()}


@pytest.mark.parametrize(
    ("headings", "column", "heading"),
    [
        (_ENTRA, "STATUS", "accountEnabled"),
        ("Name,State,Employment Status", "STATUS", "Employment Status"),
        ("Name,State", "STATUS", "State"),
        (_ADP, "EXTERNAL_ID", "Associate ID"),
        (_ADP, "USERNAME", "User ID"),
        ("User ID,Username", "EXTERNAL_ID", "User ID"),
        ("User ID,Username", "USERNAME", "Username"),
        ("Employee ID,User ID", "USERNAME", "User ID"),
        (_ACTIVE_DIRECTORY, "USERNAME", "SamAccountName"),
        ("Personalnummer,Dienstnummer,Vorname,Nachname,Benutzername,Rolle", "EXTERNAL_ID", "Personalnummer"),
        ("Personalnummer,Dienstnummer,Vorname,Nachname,Benutzername,Rolle", "BADGE_NUMBER", "Dienstnummer"),
        ("Matricule,Courriel,Prénom,Nom,Identifiant", "FIRST_NAME", "Prénom"),
        ("Matricule,Courriel,Prénom,Nom,Identifiant", "EXTERNAL_ID", "Matricule"),
        ("Name,Badge/Shield", "BADGE_NUMBER", "Badge/Shield"),
        ("Bage Number,Phone Number", "BADGE_NUMBER", "Bage Number"),
        ("Frist Name,Full Name", "FIRST_NAME", "Frist Name"),
        ("Last Nam,Display Name", "LAST_NAME", "Last Nam"),
    ],
)
def test_the_heading_of_a_real_system_is_suggested(headings: str, column: str, heading: str) -> None:
    assert suggest(headings).get(column) == heading


@pytest.mark.parametrize(
    ("heading", "column"),
    [
        ("Phone Number", "BADGE_NUMBER"), ("File Number", "BADGE_NUMBER"), ("Cost Center Number", "BADGE_NUMBER"),
        ("Home Number", "BADGE_NUMBER"), ("Display Name", "LAST_NAME"), ("Full Name", "LAST_NAME"),
        ("displayName", "LAST_NAME"), ("Middle Name", "FIRST_NAME"), ("Middle Name", "LAST_NAME"),
        ("Plan Name", "LAST_NAME"), ("Tax ID", "EXTERNAL_ID"),
    ],
)  # fmt: skip
def test_a_word_that_many_headings_share_suggests_nothing(heading: str, column: str) -> None:
    assert column in BY_HEADING
    assert suggest(f"Color,{heading}").get(column) is None
