"""`muster invite`, `unlock`, `user show` and `user set`: acts for one user."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from musterbook.cli import options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.language import gettext as _
from musterbook.cli.output import escape_text, make_console, say, write_json
from musterbook.cli.session import find_agency, open_installation

if TYPE_CHECKING:
    from musterbook.directory import models
    from musterbook.directory.audit.trail import AuditContext

User = Annotated[str, typer.Argument(metavar="EXTERNAL_ID", help="The external ID of the user.")]


def invite(
    external_id: User,
    agency: options.Agency,
    print_link: Annotated[
        bool, typer.Option("--print-link", help="Send no email. Print the link, so that you can give it to the user.")
    ] = False,
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Invite a user to register. Earlier invitations become invalid.

    Example: muster invite --agency springfield-pd E-1007 --print-link
    """
    with open_installation():
        from musterbook.accounts import credentials

        agency_record = find_agency(agency)
        by, user, context = (
            credentials.find_operator(agency_record, as_),
            credentials.find_user(agency_record, external_id),
            _make_context(as_),
        )
        link = ""
        if print_link:
            link = credentials.create_invitation(user, context, by)
        else:
            credentials.invite(user, context, by)
        if output == "json":
            write_json(
                {
                    "agency": agency_record.slug,
                    "external_id": user.external_id,
                    "mail": not print_link,
                    "link": link or None,
                }
            )
        elif print_link:
            say(
                _(
                    "Anyone with this link can choose the password of %(external_id)s. The link works once, "
                    "within %(invitation_days)s days:"
                )
                % {"external_id": escape_text(external_id), "invitation_days": agency_record.invitation_days}
            )
            make_console().print(link, markup=False, soft_wrap=True)
        else:
            say(
                _("An invitation to %(email)s is in the outbox. %(what)s")
                % {"email": user.email, "what": _describe_sending()}
            )


def _describe_sending() -> str:
    from django.conf import settings

    if settings.MAIL_SERVER is None:
        return _(
            "There is no mail server (MUSTER_SMTP_URL): `muster worker` writes emails to files. Or use --print-link."
        )
    return _("`muster serve` or `muster worker` sends it.")


def unlock(
    external_id: User,
    agency: options.Agency,
    second_factors: Annotated[
        bool, typer.Option("--second-factors", help="Also remove all second factors, if the user has lost them.")
    ] = False,
    reason: Annotated[
        str,
        typer.Option(
            help="How you checked the identity of the user. Required with --second-factors, and kept in the audit trail.",
        ),
    ] = "",
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Unlock a user's account.

    Example: muster unlock --agency springfield-pd E-1007
    """
    reason = reason.strip()[:255]
    with open_installation():
        _check_reason(reason, second_factors=second_factors)
        from musterbook.accounts import credentials

        agency_record = find_agency(agency)
        by, user, context = (
            credentials.find_operator(agency_record, as_),
            credentials.find_user(agency_record, external_id),
            _make_context(as_),
        )
        ended = credentials.unlock(user, context, by)
        removed = second_factors and credentials.remove_factors(user, context, by, reason)
        if output == "json":
            result = {"agency": agency_record.slug, "external_id": user.external_id, "unlocked": ended}
            write_json(result | ({"second_factors_removed": removed} if second_factors else {}))
            return
        say(
            _("%(external_id)s is unlocked.") % {"external_id": escape_text(external_id)}
            if ended
            else _("%(external_id)s was not locked.") % {"external_id": escape_text(external_id)}
        )
        if second_factors:
            say(_("The second factors were removed.") if removed else _("There were no second factors."))


def _check_reason(reason: str, *, second_factors: bool) -> None:
    """Raise WrongCall unless a reason comes with the removal of second factors, and with nothing else."""
    if second_factors and not reason:
        raise WrongCall(
            _(
                "--second-factors needs --reason. Say how you checked the identity of the user, such as "
                "--reason “Met in person”. The reason is kept in the audit trail. Nothing was changed."
            )
        )
    if reason and not second_factors:
        raise WrongCall(
            _("--reason needs --second-factors. Add that option, or leave --reason out. Nothing was changed.")
        )


def _make_context(actor: str) -> "AuditContext":
    from musterbook.directory.audit.trail import AuditContext

    return AuditContext(datetime.now(UTC), actor, "cli")


app = typer.Typer(no_args_is_help=True, help="Show one user, and set marks that decide what imports do to them.")


@app.command()
def show(external_id: User, agency: options.Agency, output: options.Output = "text") -> None:
    """Show one user, with the columns of an export.

    Example: muster user show E-1007 --agency springfield-pd
    """
    with open_installation():
        _print_user(_find_user(agency, external_id), output)


@app.command("set")
def set_(
    external_id: User,
    agency: options.Agency,
    exempt: Annotated[
        bool | None,
        typer.Option(
            "--exempt/--no-exempt", help="Keep the user Active when a synchronize file does not mention them."
        ),
    ] = None,
    no_files: Annotated[
        bool | None,
        typer.Option(
            "--no-files/--files", help="Let no file change the user, and keep them when it does not mention them."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", help='The source whose files list the user. "" for none.'),
    ] = None,
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Set marks of one user. Marks that are not named stay as they are.

    Example: muster user set E-1007 --agency springfield-pd --no-files
    """
    with open_installation():
        from musterbook.directory.users import editing, marks

        user = _find_user(agency, external_id)
        flags = {marks.EXEMPT: exempt, marks.NO_FILES: no_files}
        typed = {mark: "yes" if flag else "" for mark, flag in flags.items() if flag is not None}
        if source is not None:
            typed[marks.SOURCE] = marks.clean_source(source)
        if not typed:
            raise WrongCall(_("Name what to set: --exempt, --no-exempt, --no-files, --files or --source NAME."))
        result = editing.edit(user, typed, editing.build_row(user), _make_context(as_))
        if result.problems:
            for problem in result.problems:
                say(
                    _("%(message)s %(remedy)s Nothing was changed.")
                    % {"message": problem.message, "remedy": problem.remedy}
                )
            raise typer.Exit(Exit.REFUSED)
        if output == "text" and not result.changes:
            say(_("Nothing was changed: the user has these marks already."))
        _print_user(editing.find_user(user.agency, user.pk), output)


def _find_user(agency: str, external_id: str) -> "models.User":
    from musterbook.accounts import credentials

    return credentials.find_user(find_agency(agency), external_id)


def _print_user(user: "models.User", output: str) -> None:
    from musterbook.directory.users import export

    values = export.read_user(user)
    if output == "json":
        write_json(values)
        return
    width = max(map(len, values))
    for heading, value in values.items():
        if value:
            make_console().print(
                f"{heading:<{width}}  {escape_text(value)}", markup=False, highlight=False, soft_wrap=True
            )
