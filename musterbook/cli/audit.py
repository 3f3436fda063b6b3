"""`muster audit`: the audit trail and its verification."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.language import gettext as _
from musterbook.cli.output import say, write
from musterbook.cli.session import find_agency, open_installation

if TYPE_CHECKING:
    from musterbook.directory.audit.verify import TrailFinding

app = typer.Typer(invoke_without_command=True)


@app.callback()
def audit(
    context: typer.Context,
    agency: Annotated[str, typer.Option("--agency", metavar="SLUG", help="The slug of the agency.")] = "",
    user: Annotated[str, typer.Option("--user", metavar="EXTERNAL_ID", help="List only the events of this user.")] = "",
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="TIME", help="List events from this time, such as 2026-05-01 or 2026-05-01T08:30 (UTC)."
        ),
    ] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="List events until this time. A date includes the whole day.")
    ] = "",
    form: Annotated[
        Literal["csv", "json"], typer.Option("--format", help="The format: CSV, or a list of JSON objects.")
    ] = "csv",
) -> None:
    """List the events of an agency's audit trail, oldest first.

    Example: muster audit --agency springfield-pd --user E-1007 --since 2026-05-01
    """
    if context.invoked_subcommand:
        return
    with open_installation():
        from musterbook.directory.audit import export
        from musterbook.directory.audit.filters import EventFilters
        from musterbook.directory.users import user_list

        if not agency:
            raise WrongCall(
                _(
                    "Name the agency: `muster audit --agency SLUG`. To verify all audit trails, run `muster "
                    "audit verify`."
                )
            )
        agency_record = find_agency(agency)
        subjects = tuple(user_list.find_ids(agency_record, external_id=user)) if user else None
        times = _parse_time(since, "--since"), _parse_time(until, "--until", whole_day=True)
        write(
            export.export_events(agency_record, EventFilters(subjects=subjects, since=times[0], until=times[1]), form)
        )


def _parse_time(text: str, option: str, *, whole_day: bool = False) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongCall(
            _("%(option)s is “%(text)s”, which is not a time. Write it like 2026-05-01 or 2026-05-01T08:30.")
            % {"option": option, "text": text}
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    only_day = len(text.strip()) <= len("2026-05-01")
    return at + timedelta(days=1) if whole_day and only_day else at


_AGENCY = Annotated[str, typer.Option("--agency", metavar="SLUG", help="Use only the agency with this slug.")]


@app.command()
def verify(
    agency: _AGENCY = "",
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            metavar="HEAD",
            help="A chain head that you kept, as it was shown or sent. Can be repeated.",
        ),
    ] = None,
) -> None:
    """Verify the audit trails: report events that were changed, removed or added outside of Musterbook.

    Each trail is compared with its hash chain, with the anchors in MUSTER_HOME, and with the heads that you expect.
    An expected head is the output of `muster audit head`, or a line that was sent to another system. Exit status: 0 all
    trails are whole; 1 a trail is not whole.

    Example: muster audit verify --agency springfield-pd --expect 1204:9f2c…
    """
    with open_installation():
        from musterbook.directory.installation import migration

        slug = _resolve_slug(agency, needed=bool(expect))
        findings = migration.check_trails(slug, [_parse_head(text) for text in expect or ()])
        for finding in findings:
            write([f"{_describe_finding(finding)}\n".encode()])
        if any(finding.error for finding in findings):
            say(_("Compare the audit trail with an earlier backup. `muster restore` restores a backup."))
            raise typer.Exit(Exit.SOME_ERRORED)


def _describe_finding(finding: "TrailFinding") -> str:
    values = {
        "agency": finding.agency, "error": finding.error, "events": f"{finding.events:,}", "links": f"{finding.links:,}",
    }  # fmt: skip
    if finding.error:
        return _("%(agency)s: not whole: %(error)s (events: %(events)s, links: %(links)s)") % values
    return _("%(agency)s: whole (events: %(events)s, links: %(links)s)") % values


@app.command()
def head(agency: _AGENCY = "") -> None:
    """Show the head of each audit trail. Keep it elsewhere, and pass it to `muster audit verify --expect`.

    Example: muster audit head --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.audit import hash_chain

        for slug, links, digest in hash_chain.list_heads(find_agency(agency) if agency else None):
            write([f"{slug} {links}:{digest}\n".encode()])


def _resolve_slug(slug: str, *, needed: bool) -> str:
    """Return the slug of an existing agency, or "" for all. `needed`: if there is only one agency, return that one."""
    from musterbook.directory.agency import agencies

    if slug:
        return find_agency(slug).slug
    slugs = agencies.list_slugs() if needed else []
    if len(slugs) > 1:
        raise WrongCall(_("Name the agency whose head you expect: `muster audit verify --agency SLUG --expect HEAD`."))
    return slugs[0] if slugs else ""


def _parse_head(text: str) -> tuple[int, str]:
    """Return the number of links (0 for any) and the digest of an expected head."""
    value = text.strip().lower()
    match = re.fullmatch(r"(?:[a-z0-9-]+ )?(?:([1-9][0-9]{0,17}):)?([0-9a-f]{64})", value)
    match = match or re.search(r"\blinks=([1-9][0-9]{0,17}) head=([0-9a-f]{64})\b", value)
    if match is None:
        raise WrongCall(
            _(
                "--expect is “%(text)s”, which is not a chain head. Write it as `muster audit head` shows "
                "it: SLUG LINKS:DIGEST."
            )
            % {"text": text}
        )
    return int(match[1] or 0), match[2]
