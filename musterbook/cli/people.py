"""`muster invite` and `muster unlock`: what an administrator does for one user, and how the first one comes in."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from musterbook.cli import options
from musterbook.cli.exits import WrongCall
from musterbook.cli.output import console, say, shown, write_json
from musterbook.cli.session import opened

if TYPE_CHECKING:
    from musterbook.directory.audit.trail import Act

User = Annotated[str, typer.Argument(metavar="EXTERNAL_ID", help="The user, by the external id.")]


def invite(
    external_id: User,
    agency: options.Agency,
    print_link: Annotated[
        bool, typer.Option("--print-link", help="Send no mail; print the link, for whoever brings it to the user.")
    ] = False,
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Invite a user to register. Invitations sent before are void from then on.

    Example: muster invite --agency springfield-pd E-1007 --print-link
    """
    with opened():
        from musterbook.accounts import credentials
        from musterbook.directory.agency import agencies

        of = agencies.find(agency)
        by, user, act = credentials.operator(of, as_), credentials.user(of, external_id), _act(as_)
        link = ""
        if print_link:
            link = credentials.invitation(user, act, by)
        else:
            credentials.invite(user, act, by)
        if output == "json":
            write_json(
                {"agency": of.slug, "external_id": user.external_id, "mail": not print_link, "link": link or None}
            )
        elif print_link:
            say(
                f"Whoever opens this link within {of.invitation_days} days chooses the password of {shown(external_id)}, once:"
            )
            console().print(link, markup=False, soft_wrap=True)
        else:
            say(f"An invitation to {user.email} is in the outbox. {_leaves()}")


def _leaves() -> str:
    from django.conf import settings

    if settings.MAIL_SERVER is None:
        return "There is no mail server (MUSTER_SMTP_URL): `muster worker` writes mails into files. --print-link needs none."
    return "`muster serve` or `muster worker` sends it."


def unlock(
    external_id: User,
    agency: options.Agency,
    second_factors: Annotated[
        bool, typer.Option("--second-factors", help="Also remove all second factors, of somebody who has lost them.")
    ] = False,
    reason: Annotated[
        str,
        typer.Option(
            help="Required with --second-factors: how you checked who asks; it is kept in the audit trail.",
        ),
    ] = "",
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """End the lock of a user's account.

    Example: muster unlock --agency springfield-pd E-1007
    """
    reason = reason.strip()[:255]
    with opened():
        _check_reason(reason, second_factors=second_factors)
        from musterbook.accounts import credentials
        from musterbook.directory.agency import agencies

        of = agencies.find(agency)
        by, user, act = credentials.operator(of, as_), credentials.user(of, external_id), _act(as_)
        ended = credentials.unlock(user, act, by)
        removed = second_factors and credentials.remove_factors(user, act, by, reason)
        if output == "json":
            told = {"agency": of.slug, "external_id": user.external_id, "unlocked": ended}
            write_json(told | ({"second_factors_removed": removed} if second_factors else {}))
            return
        say(f"{shown(external_id)} is unlocked." if ended else f"{shown(external_id)} was not locked.")
        if second_factors:
            say("The second factors are removed." if removed else "There were no second factors.")


def _check_reason(reason: str, *, second_factors: bool) -> None:
    """Raise WrongCall unless a reason comes with the removal of second factors, and with nothing else."""
    if second_factors and not reason:
        raise WrongCall(
            "--second-factors needs --reason: say how you checked who asks, such as --reason “Met in person”."
            " It is kept in the audit trail. Nothing was changed."
        )
    if reason and not second_factors:
        raise WrongCall("--reason goes with --second-factors: add that, or leave --reason out. Nothing was changed.")


def _act(actor: str) -> "Act":
    from musterbook.directory.audit.trail import Act

    return Act(datetime.now(UTC), actor, "cli")
