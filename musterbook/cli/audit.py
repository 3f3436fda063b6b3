"""`muster audit`: the audit trail, and whether it is whole."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import typer

from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.output import say, shown, write
from musterbook.cli.session import opened

app = typer.Typer(invoke_without_command=True)


@app.callback()
def audit(
    context: typer.Context,
    agency: Annotated[str, typer.Option("--agency", metavar="SLUG", help="The agency, by its slug.")] = "",
    user: Annotated[str, typer.Option("--user", metavar="EXTERNAL_ID", help="Only events of that user.")] = "",
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Such as 2026-05-01, or 2026-05-01T08:30; UTC.")
    ] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Until then; a day is meant whole.")] = "",
    form: Annotated[Literal["csv", "json"], typer.Option("--format", help="CSV, or a list of JSON objects.")] = "csv",
) -> None:
    """The events of an agency's audit trail, the oldest first.

    Example: muster audit --agency springfield-pd --user E-1007 --since 2026-05-01
    """
    if context.invoked_subcommand:
        return
    with opened():
        from musterbook.directory import agencies, audit_files, users
        from musterbook.directory.audit_filters import Wanted

        if not agency:
            raise WrongCall(
                "Name the agency: `muster audit --agency SLUG`; or check all trails: `muster audit verify`."
            )
        found = agencies.find(agency)
        subjects = tuple(users.of(found, external_id=user)) if user else None
        times = _time(since, "--since"), _time(until, "--until", whole_day=True)
        write(audit_files.parts(found, Wanted(subjects=subjects, since=times[0], until=times[1]), form))


def _time(text: str, option: str, *, whole_day: bool = False) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongCall(
            f"{option} is “{text}”, which is no time. Write it like 2026-05-01 or 2026-05-01T08:30."
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    only_day = len(text.strip()) <= len("2026-05-01")
    return at + timedelta(days=1) if whole_day and only_day else at


@app.command()
def verify() -> None:
    """Read every agency's trail whole, and say whether an event was changed, removed or slipped in.

    Exit status: 0 all are whole; 1 one is not.

    Example: muster audit verify
    """
    with opened():
        from musterbook.directory import installation

        findings = installation.trails()
        for finding in findings:
            told = f"not whole: {finding.wrong}" if finding.wrong else "whole"
            write([f"{finding.agency}: {told} (events: {finding.events:,}, links: {finding.links:,})\n".encode()])
        if any(finding.wrong for finding in findings):
            say(shown("Compare with a backup from before: `muster restore` brings one back."))
            raise typer.Exit(Exit.SOME_ERRORED)
