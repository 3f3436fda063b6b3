"""`muster serve` and `muster worker`: the server of the pages, and the worker."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from typing import Annotated

import typer

from musterbook.cli.exits import Exit
from musterbook.cli.language import gettext as _
from musterbook.cli.output import say
from musterbook.cli.session import open_installation
from musterbook.config import process

_LOG = logging.getLogger(__name__)
_SPAWN = multiprocessing.get_context("spawn")
_NICENESS = 5
"""The niceness of the worker, so that pages have priority."""
_RESTART_AFTER, _END_WITHIN = 1.0, 20.0
"""Seconds until a worker that ended is started again, and those that it has to end its work in."""

_BACKLOG, _CONNECTIONS = 1024, 1024
"""Connections that wait to be accepted, and those that each process holds open."""
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_HEADERS_WITHIN = 10_000
"""Milliseconds in which the headers of a request, or of the next one, must arrive."""


def serve(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="The number of processes that answer requests.")] = 2,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Serve only the pages. Run `muster worker` separately.")
    ] = False,
) -> None:
    """Serve the pages, and start a worker that runs imports, sends emails and removes expired locks.

    Example: muster serve --port 8000
    """
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server import Server

    from musterbook.config import logs

    logs.log_to_stderr()
    _check_port(host, port)
    # In a process of its own: this one stays small, for it only watches over others.
    setup = _SPAWN.Process(target=_prepare_server)
    setup.start()
    setup.join()
    if setup.exitcode:
        raise typer.Exit(setup.exitcode)
    server = Server(
        "musterbook.asgi:application", address=host, port=port, interface=Interfaces.ASGINL, workers=workers,
        websockets=False, respawn_failed_workers=True, workers_kill_timeout=int(_END_WITHIN),
        http=HTTPModes.http1, backlog=_BACKLOG, backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADERS_WITHIN),
        log_level=LogLevels.warning, log_dictconfig=logs.make_configuration(),
    )  # fmt: skip
    os.environ[process.PARENT] = str(os.getpid())
    url = _choose_url(host, port)
    worker_process = None if no_worker else _WorkerProcess()
    server.on_startup(lambda: say(_("The pages are at %(url)s/ (press Ctrl-C to stop).") % {"url": url}))
    try:
        server.serve()
    finally:
        if worker_process:
            worker_process.end()


def _choose_url(host: str, port: int) -> str:
    """Return the address to open: this machine by its name, because browsers take no passkey at an IP address.

    Where MUSTER_URL is not set, links in emails of this server and its worker lead there as well.
    """
    from musterbook.config import environment

    url = f"http://{'localhost' if host in _THIS_MACHINE else host}:{port}"
    default_url = environment.address("MUSTER_URL")
    if not os.environ.get("MUSTER_URL", "").strip() and host in _THIS_MACHINE and url != default_url:
        os.environ["MUSTER_URL"] = url
        say(
            _(
                "MUSTER_URL is not set, so links from other commands begin with %(default_url)s. Set "
                "MUSTER_URL to %(url)s."
            )
            % {"default_url": default_url, "url": url}
        )
    return url


def _check_port(host: str, port: int) -> None:
    """End the command if nobody can listen there; the server itself would share a port with another."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        say(
            _(
                "The server cannot listen on %(host)s:%(port)s: %(strerror)s. Choose another address with "
                "--host and --port."
            )
            % {"host": host, "port": port, "strerror": error.strerror}
        )
        raise typer.Exit(Exit.FAILED) from None


def _prepare_server() -> None:
    try:
        with open_installation():
            _print_setup_code()
    except typer.Exit as end:
        sys.exit(end.exit_code)


def _print_setup_code() -> None:
    """If there is no user yet, print the setup code: only a person who can read it here can make the first agency."""
    from musterbook.accounts import first_run

    code = first_run.create_code(datetime.now(UTC))
    if code:
        hours = int(first_run.CODE_LIFETIME.total_seconds() // 3600)
        say(
            _(
                "There are no users yet. Enter this setup code on the first page. It is valid once, for "
                "%(hours)s hours: %(code)s"
            )
            % {"hours": hours, "code": code}
        )


class _WorkerProcess:
    """The worker's process: started again when it ends before its time."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._process: BaseProcess | None = None
        self._watch = threading.Thread(target=self._keep, daemon=True)
        self._watch.start()

    def _keep(self) -> None:
        while not self._ended.is_set():
            self._process = _SPAWN.Process(target=_run_worker)
            self._process.start()
            self._process.join()
            if not self._ended.wait(_RESTART_AFTER):
                _LOG.error("The worker exited with status %s. It is started again", self._process.exitcode)

    def end(self) -> None:
        """End it, the mail in hand first."""
        self._ended.set()
        if self._process and self._process.is_alive():
            self._process.terminate()
            self._process.join(_END_WITHIN)
            self._process.kill()
        self._watch.join(_END_WITHIN)


def _run_worker() -> None:
    process.die_with_parent(signal.SIGTERM)
    os.nice(_NICENESS)
    with suppress(typer.Exit):
        _work()


def worker(
    once: Annotated[bool, typer.Option("--once", help="Do the work that is due now, and exit.")] = False,
) -> None:
    """Run the imports that were requested on the pages, send emails, and remove expired locks and sessions.

    Several workers can run at once. With PostgreSQL, they can run on each machine that has the folder MUSTER_HOME.

    Example: muster worker
    """
    if once:
        with open_installation():
            from musterbook import jobs

            imports, mails = jobs.run_once()
            say(
                _("Imports run: %(imports)s. Emails processed: %(mails)s.")
                % {"imports": f"{imports:,}", "mails": f"{mails:,}"}
            )
        return
    _work()


def _work() -> None:
    from musterbook.config import logs

    logs.log_to_stderr()
    with open_installation():
        from musterbook import jobs

        jobs.work(jobs.stop_on_signals())
