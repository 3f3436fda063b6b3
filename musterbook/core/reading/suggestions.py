"""The columns that unknown headings probably mean (rule F4), as data: the words of the systems that export users.

A heading is compared without case, spaces and signs. A suggestion is only shown. Nothing is mapped by it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from enum import StrEnum

from musterbook.core.domain import columns
from musterbook.core.domain.columns import Column
from musterbook.core.values.search_keys import fold_text
from musterbook.core.values.text import TRIMMED

SYNONYMS: Mapping[Column, str] = {
    columns.EXTERNAL_ID: (
        "external id, employee id, employee number, worker id, person id, person number, personnel number, staff id,"
        " staff number, emp id, emp no, id number, unique id, hr id, payroll number, ee id, ee number,"
        " employee code, member id, id"
        # Entra, Active Directory, Okta, SCIM
        ", employeeId, employeeNumber, objectId, object guid, objectGUID, objectSid, externalId, immutableId"
        # Workday, ADP, UKG, PeopleSoft, Oracle, SAP, Munis
        ", worker, associate id, associate oid, position id, file number, file no, emplid, empl id, pernr, perner,"
        " personnel no, a_employee_number, a_employee, em_no, assignment number, personalnummer, matricule, user id"
        ", personal-nr, mitarbeiternummer, numero de empleado, no de empleado, legajo"
    ),
    columns.EMAIL: (
        "email, e-mail, email address, e-mail address, work email, work e-mail, work email address, business email,"
        " primary email, primary email address, primary work email, email work, email - primary work, office email,"
        " company email, official email, contact email, agency email, department email, mail, mail address,"
        " smtp address"
        # Entra, Active Directory, Okta, Google, PeopleSoft, ADP, Munis
        ", mail, emailAddress, primarySmtpAddress, primaryEmail, email_addr, emailid, email id, emails,"
        " work contact work email, e_email_address, a_email, userPrincipalName, upn, login, personal email"
        ", e-mail-adresse, mailadresse, correo electronico, correo, direccion de correo"
    ),
    columns.BADGE_NUMBER: (
        "badge, badge number, badge no, badge #, badge id, shield, shield number, shield no, shield #, star,"
        " star number, star no, serial number, officer number, officer id, officer no, warrant number, collar number,"
        " shoulder number, pid, id badge, radio number, unit number, call sign, callsign, dsn, post id, post number,"
        " badge shield, shield badge, badge star, dienstnummer, placa, numero de placa"
    ),
    columns.FIRST_NAME: (
        "first name, first, firstname, fname, f name, given name, given, given names, forename, forenames,"
        " legal first name, preferred first name, preferred name first, legal name first name, name first,"
        " employee first name"
        # Entra, Active Directory, Okta, SCIM, PeopleSoft, Munis
        ", givenName, firstName, name.givenName, first_name_srch, pref_first_name, a_name_first, vorname, prenom, nombre"
        ", nombres, primer nombre"
    ),
    columns.LAST_NAME: (
        "last name, last, lastname, lname, l name, surname, family name, family, family names, legal last name,"
        " preferred last name, legal name last name, name last, employee last name"
        # Entra, Active Directory, Okta, SCIM, PeopleSoft, Munis
        ", sn, surname, lastName, familyName, name.familyName, last_name_srch, a_name_last, nachname, nom, apellido"
        ", familienname, apellidos, primer apellido"
    ),
    columns.STATUS: (
        "status, active, enabled, is active, active status, user status, account status, employee status,"
        " employment status, worker status, position status, work status, assignment status, current status,"
        " record status"
        # Entra, Active Directory, Okta, Google, PeopleSoft, ADP, UKG, Munis
        ", accountEnabled, account enabled, enabled, userAccountControl, suspended, empl_status, hr_status, empl status,"
        " hr status, active inactive, block sign in, a_active_status, inactive"
        ", beschaftigungsstatus, mitarbeiterstatus, estado, estatus"
        # Also the state of an address.
        ", state"
    ),
    columns.USERNAME: (
        "username, user name, user, login, login name, login id, logon, logon name, logon id, sign-in name, sign in name,"
        " signin, account name, account, user login, network id, network login, network user name, windows login,"
        " domain user, system user name, account user name"
        # Entra, Active Directory, Okta, PeopleSoft, SAP
        ", userPrincipalName, upn, samAccountName, sam account name, login, oprid, operator id, uid, cn, mailNickname,"
        " alias, samid, sysid, usrid, user id, userid, identifiant"
        ", benutzername, anmeldename, usuario, nombre de usuario"
    ),
    columns.ROLE: (
        "role, roles, user role, security role, application role, access role, profile, user profile, permission,"
        " permission set, permissions, access level, access, security group, security profile, user type, usertype,"
        " account type, license type, role name, rolename, roleuser"
        # Entra, Okta, Workday, ADP, PeopleSoft, NeoGov
        ", job title, jobTitle, title, position title, position, job profile, business title, job code, jobcode,"
        " job class, class title, classification, job title description, operclass"
        ", rolle, rol, perfil, funktion, funcion, cargo, puesto"
    ),
}
"""Column → headings of other systems, the most certain first."""

OPTIONAL_SYNONYMS: Mapping[Column, str] = {
    columns.SUPERVISOR_EMAIL: (
        "supervisor email, supervisor email address, supervisor e-mail, supervisor, manager email, manager email address,"
        " manager e-mail, manager, reports to email, reports to, manager work email, mgr email"
        ", managerEmail, manager id, manager.value, managerUpn, vorgesetzter"
        ", e-mail des vorgesetzten, correo del supervisor, correo del jefe"
    ),
    columns.LOCATION: (
        "location, work location, office location, office, station, duty station, site, work site, facility, building,"
        " precinct, location name, officeLocation, physicalDeliveryOfficeName, standort, ubicacion"
        ", dienststelle, sede, lugar de trabajo"
    ),
    columns.RANK: "rank, rank name, rank title, rank code, rank abbreviation, current rank, dienstgrad, rango, grade",
    columns.EVIDENCE_GROUP_EXT_ID: (
        "evidence group, evidence group id, evidence group external id, group external id, group ext id, group id, group"
        ", gruppe, grupo"
    ),
    columns.PHONE: (
        "phone, phone number, mobile phone, mobile, mobile number, cell phone, cell, cell number, cellphone, work phone,"
        " telephone, telephone number, office phone, business phone, contact number"
        ", mobilePhone, telephoneNumber, businessPhones, phoneNumbers, primaryPhone, telefon, telefono, handy"
        ", telefonnummer, mobiltelefon, celular"
    ),
}
"""The same for optional columns. They are offered on the page, and do not help to find the header row."""


class Reason(StrEnum):
    """Why a heading is likely to mean a column."""

    SYNONYM = "synonym"
    CONTENT = "content"
    SPELLING = "spelling"


_BY_CONTENT = 2.0
"""The score of a heading whose cells have the values of the column."""
_MIN_LIKENESS = 0.6
_SHARED_WORDS = frozenset({"NUMBER", "NAME", "ID"})
_MIN_SHORT_LIKENESS = 0.75
"""The likeness that a heading needs to be a typing mistake in a short name: MOBILE shares most letters with ROLE."""
_SHORT = 4
_LONGEST = 40
_MANAGERS = ("manager", "supervis", "boss", "reportsto", "chief", "approver", "vorgesetz", "jefe")
"""The parts of headings whose addresses are another person's."""
_STATES = frozenset(
    {"active", "inactive", "terminated", "enabled", "disabled", "suspended", "leave", "on leave", "retired"}
)
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def _fold_heading(heading: str) -> str:
    """Return a heading as it is compared to the synonyms: `Badge #` and `badgeNumber` are `badgeno`."""
    text = re.sub(r"[^0-9a-z#]+", "", fold_text(heading).casefold()).replace("#", "no")
    return re.sub("number|nbr|num", "no", text)


_RANKS: Mapping[Column, Mapping[str, int]] = {
    column: {_fold_heading(name): rank for rank, name in reversed([*enumerate(names.split(","))])}
    for column, names in (*SYNONYMS.items(), *OPTIONAL_SYNONYMS.items())
}


def count_likely(cells: Sequence[str]) -> int:
    """Return how many columns the cells seem to name in other words."""
    named = [{column for column in SYNONYMS if form in _RANKS[column]} for cell in cells for form in _list_forms(cell)]
    return len(set().union(*named))


def suggest_columns(
    missing: Sequence[Column], headings: Sequence[str], samples: Sequence[Sequence[str]]
) -> dict[Column, str]:
    """Return the most likely heading for each missing column that has one. A heading is suggested for one column only.

    `samples` holds some cells below each heading, if they are known.
    """
    scored = [
        (-score, place, at, column, heading)
        for place, column in enumerate(missing)
        for at, heading in enumerate(headings)
        if (score := _score(column, heading, samples[at] if at < len(samples) else ()))
    ]
    found: dict[Column, str] = {}
    used: set[int] = set()
    for _, _, at, column, heading in sorted(scored, key=lambda entry: entry[:3]):
        if column not in found and at not in used:
            found[column] = heading
            used.add(at)
    return {column: found[column] for column in missing if column in found}


def find_reason(column: Column, heading: str, cells: Sequence[str] = ()) -> Reason | None:
    """Return why the heading is likely to mean the column, or None if it is not."""
    score = _score(column, heading, cells)
    if score >= _BY_CONTENT:
        return Reason.CONTENT if score == _BY_CONTENT else Reason.SYNONYM
    return Reason.SPELLING if score else None


def _score(column: Column, heading: str, cells: Sequence[str]) -> float:
    """Return how likely it is that a heading means a column. Synonyms count most, then content, then spelling."""
    known = _RANKS.get(column, {})
    ranks = [rank for form in _list_forms(heading) if (rank := known.get(form)) is not None]
    if ranks:
        # An address is an email address, even where the heading is also used for user names.
        return 3 - min(ranks) / 1000
    return _BY_CONTENT if _has_content(column, heading, cells) else _measure_likeness(column.heading, heading)


def _list_forms(heading: str) -> Iterator[str]:
    """Yield the forms of a heading: `User name [userPrincipalName] Required`, `user.login` and `Legal Name - First Name`."""
    text = heading.strip(TRIMMED)
    if not 0 < len(text) <= 2 * _LONGEST:
        return
    yield _fold_heading(text)
    bare = re.sub(r"\[[^\]]*\]|\([^)]*\)|\*", " ", text)
    yield _fold_heading(re.sub(r"(?i)\brequired\b|\bread only\b", " ", bare))
    yield from (_fold_heading(part) for part in re.findall(r"[\[(]([^\])]*)[\])]", text))
    if re.fullmatch(r"[A-Za-z]+\.[A-Za-z.]+", text):
        yield _fold_heading(text.rpartition(".")[2])


def _has_content(column: Column, heading: str, cells: Sequence[str]) -> bool:
    if not cells:
        return False
    texts = [cell.strip(TRIMMED).casefold() for cell in cells]
    if column is columns.EMAIL:
        another = any(part in _fold_heading(heading) for part in _MANAGERS)
        return not another and all(_ADDRESS.fullmatch(text) for text in texts)
    return column is columns.STATUS and all(text in _STATES for text in texts)


def _measure_likeness(column: str, heading: str) -> float:
    """Return how similar a heading is to the name of a column; 0 if it is not similar."""
    heading = re.sub(r"[\s_-]+", "_", heading.strip(TRIMMED)).upper()
    if not 2 <= len(heading) <= _LONGEST:
        return 0.0
    one, other = column.replace("_", ""), heading.replace("_", "")
    shared = set(column.split("_")) & set(heading.split("_"))
    contained = one in other or other in one or bool(shared - _SHARED_WORDS)
    likeness = max(SequenceMatcher(None, column, heading).ratio(), _MIN_LIKENESS if contained else 0.0)
    if not contained:
        # `PHONE_NUMBER` is like `BADGE_NUMBER` only in the word that many headings share.
        own, theirs = _drop_shared(one), _drop_shared(other)
        likeness = min(likeness, SequenceMatcher(None, own, theirs).ratio()) if theirs != other else likeness
    enough = likeness >= (_MIN_SHORT_LIKENESS if len(one) <= _SHORT and not contained else _MIN_LIKENESS)
    return likeness if enough else 0.0


def _drop_shared(heading: str) -> str:
    """Return a heading without the word at its end that many headings share."""
    return re.sub(f"(?:{'|'.join(sorted(_SHARED_WORDS))})$", "", heading)
