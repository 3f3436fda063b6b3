"""What a new user has if nobody says otherwise, on a page and in a request of a program."""

from collections.abc import Collection, Mapping

from musterbook.core.domain import columns
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries


def list_defaults(agency: models.Agency, permissions: Collection[str]) -> dict[str, str]:
    """Return the agency's defaults: heading → value, as far as an operator with these permissions may give them."""
    words = snapshot_queries.read_vocabulary(agency)
    roles = {role.name for role in words.roles if role.permissions <= frozenset(permissions)}
    role = columns.ROLE.heading
    return {heading: value for heading, value in agency.defaults.items() if heading != role or value in roles}


def derive_username(row: Mapping[str, str]) -> str:
    """Return the username of the row, or if it has none, the part of its email address before the @."""
    username, email = row.get(columns.USERNAME.heading, ""), row.get(columns.EMAIL.heading, "")
    return username if username.strip() or "@" not in email else email.partition("@")[0]


def complete_row(agency: models.Agency, given: Mapping[str, str], permissions: Collection[str]) -> dict[str, str]:
    """Return the whole row of a new user: what is given, and the usual values of the other columns."""
    usual = dict.fromkeys((column.heading for column in columns.COLUMNS), "")
    row = {**usual, columns.STATUS.heading: "Active", **list_defaults(agency, permissions), **given}
    return {**row, columns.USERNAME.heading: derive_username(row)}
