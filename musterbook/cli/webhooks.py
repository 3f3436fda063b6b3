"""`muster webhook`: list, show, add, change, test, rotate, pause, resume and remove the webhooks of an agency."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musterbook.cli import options
from musterbook.cli.exits import Exit, WrongCall
from musterbook.cli.feeds import find_operator, make_context
from musterbook.cli.language import gettext as _
from musterbook.cli.language import ngettext
from musterbook.cli.output import escape_text, make_console, say, write_json
from musterbook.cli.session import find_agency, open_installation

if TYPE_CHECKING:
    from musterbook.core.domain.policy import Operator
    from musterbook.directory import models

app = typer.Typer(no_args_is_help=True, help="Webhooks: messages to other software when something changes.")
_LOOK_EVERY = 0.2

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the webhook.")]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="A kind of message, such as user.added, or user.* for all about users, or * for all. Can be repeated.",
    ),
]


@app.command("list")
def list_(agency: options.Agency, as_: options.As = "", output: options.Output = "text") -> None:
    """List the webhooks of an agency, each with its state and its address.

    Example: muster webhook list --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        record = find_agency(agency)
        entries = webhooks.list_webhooks(record, find_operator(record, as_))
        if output == "json":
            write_json([_make_entry(endpoint) for endpoint in entries])
            return
        if not entries:
            say(_("There is no webhook yet. Add one with `muster webhook add NAME --agency SLUG --address URL`."))
        for endpoint in entries:
            _print_line(endpoint.name, _describe_state(endpoint), endpoint.address, ", ".join(endpoint.kinds))


@app.command()
def show(name: Name, agency: options.Agency, as_: options.As = "", output: options.Output = "text") -> None:
    """Show one webhook with its latest messages. Its secret is never shown.

    Example: muster webhook show payroll --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        endpoint, _by = _find(agency, name, as_)
        page = webhooks.read_page(endpoint)
        if output == "json":
            write_json({**_make_entry(endpoint), "messages": [_describe_message(one) for one in page.messages]})
            return
        _print_line(endpoint.name, _describe_state(endpoint), endpoint.address, ", ".join(endpoint.kinds))
        for one in page.messages:
            shown = _describe_message(one)
            _print_line(shown["at"], shown["id"], shown["type"], shown["state"], shown["problem"])


@app.command()
def add(
    name: Name,
    agency: options.Agency,
    address: Annotated[str, typer.Option("--address", metavar="URL", help="Where the receiver takes messages.")] = "",
    kinds: Kinds = None,
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Add a webhook, and print its secret, which is shown only once. By default, it gets all messages.

    Example: muster webhook add payroll --agency springfield-pd --address https://payroll.example.org/hook --kind "user.*"
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        record = find_agency(agency)
        values = {"name": name, "address": address, "kinds": kinds or ["*"]}
        endpoint, secret = webhooks.add(record, values, make_context(as_), find_operator(record, as_))
        _print_secret(endpoint, secret, output)


@app.command("set")
def set_(
    name: Name,
    agency: options.Agency,
    address: Annotated[str | None, typer.Option("--address", metavar="URL", help="The new address.")] = None,
    kinds: Kinds = None,
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Change the address or the kinds of messages. Settings that are not named stay as they are.

    Example: muster webhook set payroll --agency springfield-pd --kind user.added --kind user.deactivated
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        endpoint, by = _find(agency, name, as_)
        values = {key: value for key, value in (("address", address), ("kinds", kinds)) if value is not None}
        if not values:
            raise WrongCall(_("Name what to set: --address or --kind."))
        changed = webhooks.change(endpoint, values, make_context(as_), by)
        if output == "json":
            write_json(_make_entry(endpoint))
        else:
            say(
                _("The settings were changed.") if changed else _("Nothing was changed: it has these settings already.")
            )


@app.command("test")
def send_test(
    name: Name,
    agency: options.Agency,
    wait: Annotated[
        int, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for the result.")
    ] = 15,
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Send a test message, and show what the receiver answered. A worker must run: it sends the message.

    Example: muster webhook test payroll --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        endpoint, by = _find(agency, name, as_)
        message = webhooks.send_test(endpoint, make_context(as_), by)
        until = time.monotonic() + wait
        while not message.log and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)
            message = webhooks.find_message(endpoint, message.webhook_id)
        _print_result(message, output)


@app.command("send-again")
def send_again(
    name: Name,
    agency: options.Agency,
    message_id: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="The ID of the message. Without it, all that were given up.")
    ] = "",
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Send one message again, or all messages that were given up. They keep their IDs.

    Example: muster webhook send-again payroll --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        endpoint, by = _find(agency, name, as_)
        context = make_context(as_)
        if message_id:
            webhooks.send_again(endpoint, message_id, context, by)
        number = 1 if message_id else webhooks.send_all_again(endpoint, context, by)
        if output == "json":
            write_json({"webhook": endpoint.name, "agency": endpoint.agency.slug, "sent_again": number})
        else:
            text = ngettext("%(number)d message will be sent again.", "%(number)d messages will be sent again.", number)
            say(text % {"number": number})


@app.command()
def rotate(
    name: Name,
    agency: options.Agency,
    hours: Annotated[
        int,
        typer.Option(
            "--hours", metavar="N", help="The hours for which the former secret stays valid: 0, 1, 24 or 168."
        ),
    ] = 24,
    as_: options.As = "",
    output: options.Output = "text",
) -> None:
    """Make a new secret, and print it. Until the former one ends, each message has both signatures.

    Example: muster webhook rotate payroll --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        endpoint, by = _find(agency, name, as_)
        _print_secret(endpoint, webhooks.rotate(endpoint, hours, make_context(as_), by), output)


@app.command()
def pause(name: Name, agency: options.Agency, as_: options.As = "", output: options.Output = "text") -> None:
    """Pause a webhook. Its messages wait for up to three days.

    Example: muster webhook pause payroll --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        endpoint, by = _find(agency, name, as_)
        webhooks.pause(endpoint, make_context(as_), by)
        _print_state(endpoint, output)


@app.command()
def resume(name: Name, agency: options.Agency, as_: options.As = "", output: options.Output = "text") -> None:
    """Resume a webhook that was paused or disabled, or have it try its messages at once.

    Example: muster webhook resume payroll --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        endpoint, by = _find(agency, name, as_)
        webhooks.resume(endpoint, make_context(as_), by)
        _print_state(endpoint, output)


@app.command()
def remove(name: Name, agency: options.Agency, as_: options.As = "", output: options.Output = "text") -> None:
    """Remove a webhook and its messages, including those that wait.

    Example: muster webhook remove payroll --agency springfield-pd
    """
    with open_installation():
        from musterbook.directory.agency import webhooks

        endpoint, by = _find(agency, name, as_)
        webhooks.remove(endpoint, make_context(as_), by)
        if output == "json":
            write_json({"webhook": endpoint.name, "agency": endpoint.agency.slug, "removed": True})
        else:
            say(_("The webhook %(name)s was removed.") % {"name": endpoint.name})


def _find(agency: str, name: str, as_: str) -> "tuple[models.WebhookEndpoint, Operator | None]":
    from musterbook.directory.agency import webhooks

    record = find_agency(agency)
    by = find_operator(record, as_)
    return webhooks.find_webhook(record, name, by), by


def _print_line(*parts: str) -> None:
    make_console().print("  ".join(escape_text(part) for part in parts if part), markup=False, soft_wrap=True)


def _print_secret(endpoint: "models.WebhookEndpoint", secret: str, output: str) -> None:
    if output == "json":
        write_json({**_make_entry(endpoint), "secret": secret})
        return
    say(
        _("The receiver of %(name)s checks signatures with this secret. It is shown only once:")
        % {"name": endpoint.name}
    )
    make_console().print(secret, markup=False, soft_wrap=True)


def _print_state(endpoint: "models.WebhookEndpoint", output: str) -> None:
    if output == "json":
        write_json(_make_entry(endpoint))
    else:
        _print_line(endpoint.name, _describe_state(endpoint))


def _make_entry(endpoint: "models.WebhookEndpoint") -> dict[str, Any]:
    return {
        "webhook": endpoint.name,
        "agency": endpoint.agency.slug,
        "address": endpoint.address,
        "kinds": endpoint.kinds,
        "state": endpoint.state,
        "problem": endpoint.disabled_why or endpoint.problem,
    }


def _describe_state(endpoint: "models.WebhookEndpoint") -> str:
    from musterbook.directory.agency import webhook_problems

    why = {"why": webhook_problems.translate_problem(endpoint.disabled_why or endpoint.problem)}
    return {
        "disabled": _("disabled: %(why)s") % why,
        "paused": _("paused"),
        "failing": _("failing: %(why)s") % why,
    }.get(endpoint.state, _("fine"))


def _describe_message(message: "models.WebhookMessage") -> dict[str, Any]:
    state = "delivered" if message.delivered else "given up" if message.ended_at else "waiting"
    last = message.log[-1] if message.log else {"status": 0, "problem": ""}
    return {
        "id": message.webhook_id,
        "type": message.kind,
        "at": message.at.isoformat(timespec="seconds"),
        "state": state,
        "status": last["status"],
        "problem": last["problem"],
    }


def _print_result(message: "models.WebhookMessage", output: str) -> None:
    """Print the result of the first attempt. Raise Exit if the message was not delivered."""
    from musterbook.directory.agency import webhook_problems

    if output == "json":
        write_json(_describe_message(message))
    elif message.delivered:
        say(_("The receiver took the message (status %(status)s).") % {"status": message.log[-1]["status"]})
    elif message.log:
        say(
            _("The message was not delivered: %(why)s")
            % {"why": webhook_problems.translate_problem(message.log[-1]["problem"])}
        )
    else:
        say(_("The message waits for a worker. Start one with `muster worker`."))
    if not message.delivered:
        raise typer.Exit(Exit.FAILED)
