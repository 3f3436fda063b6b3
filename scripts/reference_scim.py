"""The page of the reference about SCIM, written from the models, the mapping and the limits of `musterbook.scim`."""

from collections.abc import Iterable, Iterator
from typing import Any

from scim2_models import Context

from musterbook.core.domain.columns import COLUMNS, REQUIRED, ROLE, STATUS
from musterbook.directory.agency import provisioned_groups
from musterbook.directory.users import provisioning
from musterbook.scim import (
    bulk,
    endpoints,
    filters,
    group_filters,
    group_patching,
    groups,
    held,
    mapping,
    paging,
    patching,
    schemas,
    selecting,
    urls,
)

_INTRODUCTION = """
Identity providers create, change and deactivate users by SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865), below
`https://<host>/<agency>/scim/v2`. Connect [Microsoft Entra ID](../how-to/connect-entra.md) or
[Okta](../how-to/connect-okta.md). A client sends a [token](../how-to/api-access.md) in the header `Authorization: Bearer …`.

Each request is a plan, as a file is: with the same rules, the same sentences for what is wrong, and the same audit trail,
which says *through SCIM* and names the token.
"""
_RULES = """
- A user is never deleted. `DELETE` deactivates, and the user is absent for the client from then on, until it creates them
  again or someone else reactivates them.
- `active` is the STATUS of files. A deactivated user loses access at once, keeps all attributes, and can still be read.
- What a client leaves out stays as it is, even in a `PUT`. What it sends as null or blank is cleared.
- A user needs a role. Send it in our extension, or set the default of ROLE in *Admin → Agency settings → Values in
  files*.
- A user without an external ID or a badge number gets one that stands for none, and that clients do not see.
- Users that a client adds or changes have the source `scim` and are managed by SCIM, so that synchronize imports of other
  sources keep them.
- Names, addresses and badge numbers are unique among all users, Inactive ones as well. A taken value is answered with 409
  (`uniqueness`), and the sentence names the holder.
- Attributes that the directory does not have are ignored.
"""
_GROUPS = """
- The groups are the agency's groups (*Admin → Groups*). `externalId` is the external ID that files use in
  EVIDENCE_GROUP_EXT_ID. If a client sends none, the name becomes the external ID. A second group with the same external ID is
  answered with 409 (`uniqueness`).
- **A user is in one group at most.** A user who joins a group leaves the one before. So push only groups that do not overlap.
- A member with the type `Group` becomes a part of the group. A group is part of one other at most, and never of itself.
- The ids of groups begin with `g`. No user has the same id.
- A member who is not in the agency is left out, the response shows the members that the group has, and the audit trail
  says who was unknown.
- A change of one member is an edit. A change of more members is one import, which is applied as a whole or not at all, and
  can be undone.
- `DELETE` lets the members leave, and deletes the group.
- Leave the members out of large groups with `excludedAttributes=members`: then they are not read. Find them as users by
  `groups.value` or `evidenceGroup`. The response to a change of a group with more than {shown} members has no content (204).
"""
_BULK = """
- A Bulk is **one import**. It needs the permission `users.import`. The operations that have no problem are applied together;
  each of the others has its status and sentence. So two users can swap their usernames in one Bulk, in any order.
- It has at most {operations} operations and {bytes} bytes, all on users. An operation on a group is refused with 501: a
  request about a group takes any number of members.
- A user has one operation at most. What an import cannot do, such as another `externalId`, is refused with 501 in its
  operation.
- `bulkId:…` as the manager means a user that the same Bulk creates. A circle of such references is refused with 409.
- After as many errors as `failOnErrors` says, nothing more is done, and the response ends with the last of them.
- Over a [limit](agency-settings.md#limits), the whole Bulk is **held**, and so is a change of many members: nothing is
  written until a person confirms the numbers. Then all of it is, including what belongs to no column, such as `displayName`. The
  response is 202, with the location of the import, its page, and the reasons (`{held}`). If the agency setting
  `scim_refuses_held` is true, it is 409, for clients that cannot wait. The same request again makes no second import while
  the first one waits.
"""
_LISTS = """
- All operators (`eq`, `ne`, `co`, `sw`, `ew`, `pr`, `gt`, `ge`, `lt`, `le`), `and`, `or`, `not` and brackets, including
  `emails[type eq "work"]`. A filter has at most {characters} characters and {terms} comparisons.
- Comparisons with `eq` of `id`, `userName`, `externalId`, `emails.value` and `employeeNumber` use an index. A filter that
  leaves too many users to look at is answered with `tooMany`.
- Pages by index (`startIndex`, `count`) and by cursor (`cursor`, `nextCursor`). A page has {usual} resources by default, and
  {most} at most.
- `attributes` and `excludedAttributes`, including parts such as `name.givenName`.
"""
_PATCH = """
`add`, `replace` and `remove` as RFC 7644 has them, with paths and filters, all or none, at most {operations} operations.
Also what Entra ID and Okta really send: `"Add"` for `"add"`, `"False"` for `false`, attributes with dots as names in an
object, a manager as text or in a list, `manager` without its schema, and members that are removed by a value instead of a
path.
"""
_VERSIONS = """
Each resource has a version (`meta.version`, `ETag`). `If-Match` refuses a change of another version with 412. `If-None-Match`
answers an unchanged one with 304. A version of a group that was read without its members says nothing of them.
"""


def list_page(generated: str) -> Iterator[str]:
    """Yield the lines of the page."""
    yield from ("# SCIM", "", generated, *_split(_INTRODUCTION))
    yield from ("", "## Addresses", "", "| address | methods, each with its permission |", "|---|---|")
    yield from _list_addresses()
    yield from ("", "## Users", "", *_split(_RULES)[1:], "", *_list_mapping())
    yield from ("", "## Groups", *_split(_GROUPS.format(shown=f"{groups.MOST_MEMBERS_SHOWN:,}")))
    yield from ("", "## Bulk")
    size = {"operations": f"{bulk.MOST_OPERATIONS:,}", "bytes": f"{bulk.MOST_BYTES:,}", "held": held.SCHEMA}
    yield from _split(_BULK.format(**size))
    yield from ("", "## Lists and filters")
    lists = {
        "characters": f"{filters.MOST_CHARACTERS:,}", "terms": f"{min(filters.MOST_TERMS, group_filters.MOST_TERMS)}",
        "usual": f"{paging.USUAL}", "most": f"{paging.MOST}",
    }  # fmt: skip
    yield from _split(_LISTS.format(**lists))
    yield f"- Users are sorted by {_join(selecting.SORTS)}; groups by {_join(provisioned_groups.ORDERS)}."
    yield from ("", "## PATCH")
    yield from _split(_PATCH.format(operations=f"{min(patching.MOST_OPERATIONS, group_patching.MOST_OPERATIONS):,}"))
    yield from ("", "## Versions", *_split(_VERSIONS))
    yield from ("", "## Limits", "", "| what | most |", "|---|---|", *_list_limits())
    yield from (
        "",
        "## Schemas",
        "",
        "The service publishes them below `/Schemas`, with the roles, ranks and groups of the agency as values.",
    )
    for model in schemas.PUBLISHED:
        yield from _describe_schema(model)


def _split(text: str) -> list[str]:
    return text.rstrip("\n").split("\n")


def _join(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _list_addresses() -> Iterator[str]:
    for pattern in urls.urlpatterns:
        callback: Any = pattern.callback
        methods = (f"{name} (`{needed}`)" if needed else name for name, needed in callback.permission.items())
        path = str(pattern.pattern).removeprefix("scim/v2/").replace("<str:", "{").replace(">", "}")
        yield f"| {f'`{path}`' if path else 'the address itself'} | {', '.join(methods)} |"


def _list_mapping() -> Iterator[str]:
    yield from ("| attribute | column | required |", "|---|---|---|")
    for column in COLUMNS:
        heading, is_made = column.heading, column.heading in provisioning.MADE or column is STATUS
        required = (
            "" if column not in REQUIRED or is_made else "yes, or its default" if heading == ROLE.heading else "yes"
        )
        yield f"| `{mapping.ATTRIBUTES[column.heading]}` | `{column.heading}` | {required} |"


def _list_limits() -> Iterator[str]:
    yield f"| bytes of a request about one user | {endpoints.MOST_BYTES:,} |"
    yield f"| bytes of a request about one group | {groups.MOST_BYTES:,} |"
    yield f"| members in one response | {provisioned_groups.MOST_MEMBERS:,} |"
    yield f"| bytes, operations of a Bulk | {bulk.MOST_BYTES:,}, {bulk.MOST_OPERATIONS:,} |"
    yield f"| operations of a PATCH | {patching.MOST_OPERATIONS:,} |"
    yield f"| characters of the paths of a PATCH, together | {patching.MOST_PATH_CHARACTERS:,} |"
    yield f"| objects and lists in a body | {endpoints.MOST_PARTS:,} |"
    yield f"| levels of objects and lists in a body | {endpoints.DEEPEST} |"
    yield f"| names in `attributes`, and in `excludedAttributes` | {selecting.MOST_ATTRIBUTES} |"
    yield f"| characters, comparisons of a filter | {filters.MOST_CHARACTERS:,}, {filters.MOST_TERMS} |"
    yield f"| resources on a page | {paging.MOST} |"


def _describe_schema(model: Any) -> Iterator[str]:
    described = model.to_schema().model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    yield from ("", f"### {described['name']}", "", f"`{described['id']}`", "")
    yield from ("| attribute | type | | |", "|---|---|---|---|")
    for attribute in described["attributes"]:
        yield from _describe_attribute(attribute, "")


def _describe_attribute(attribute: dict[str, Any], prefix: str) -> Iterator[str]:
    name = f"{prefix}{attribute['name']}"
    kind = f"{attribute['type']}{', several' if attribute.get('multiValued') else ''}"
    facts = [
        *(["required"] if attribute.get("required") else []),
        *(["read-only"] if attribute.get("mutability") == "readOnly" else []),
        *(["unique"] if attribute.get("uniqueness") == "server" else []),
    ]
    about = " ".join(str(attribute.get("description", "")).split()).replace("|", "\\|")
    yield f"| `{name}` | {kind} | {', '.join(facts)} | {about} |"
    for part in attribute.get("subAttributes", ()):
        yield from _describe_attribute(part, f"{name}.")
