"""`muster serve` and `muster worker`: the server of the pages, and the worker."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
_RESTART_AFTER = 1.0
"""Seconds until a worker that ended is started again."""
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def serve(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="The number of processes that answer requests.")] = 2,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Serve only the pages. Run `muster worker` separately.")
    ] = False,
) -> None:
    """Serve the pages, and start a worker that runs imports, checks feeds, and sends emails and webhooks.

    Example: muster serve --port 8000
    """
    from musterbook.config import logs, serve_run

    logs.log_to_stderr()
    _check_port(host, port)
    # In a process of its own: this one stays small, for it only watches over others.
    setup = _SPAWN.Process(target=_prepare_server)
    setup.start()
    setup.join()
    if setup.exitcode:
        raise typer.Exit(setup.exitcode)
    url = _choose_url(host, port)
    with serve_run.begin(worker=not no_worker), _open_metrics_port((host, port)):
        _serve(host, port, workers, url, worker=not no_worker)


def _serve(host: str, port: int, workers: int, url: str, *, worker: bool) -> None:
    from musterbook.cli import web_server
    from musterbook.config import environment

    stop_seconds = environment.number("MUSTER_STOP_SECONDS")
    server = web_server.make_server(host, port, workers, stop_seconds)
    worker_process = _WorkerProcess(stop_seconds) if worker else None
    server.prepare_drain(
        environment.count("MUSTER_DRAIN_SECONDS"), worker_process.ask_to_end if worker_process else lambda: None
    )
    server.on_startup(lambda: say(_("The pages are at %(url)s/ (press Ctrl-C to stop).") % {"url": url}))
    try:
        server.serve()
    finally:
        if worker_process:
            worker_process.end()


@contextmanager
def _open_metrics_port(pages: tuple[str, int]) -> Iterator[None]:
    """Answer at MUSTER_METRICS_LISTEN, if it is set. End the command if nobody can listen there."""
    from musterbook.config import environment, serve_run
    from musterbook.server.metrics_port import MetricsPort

    address = environment.listen_address("MUSTER_METRICS_LISTEN")
    if address is None:
        yield
        return
    try:
        port = MetricsPort(address, pages, serve_run.get_secret(), environment.token("MUSTER_METRICS_TOKEN"))
    except OSError as error:
        say(
            _("The server cannot listen at MUSTER_METRICS_LISTEN (%(address)s): %(strerror)s.")
            % {"address": environment.text("MUSTER_METRICS_LISTEN"), "strerror": error.strerror}
        )
        raise typer.Exit(Exit.FAILED) from None
    port.start()
    try:
        yield
    finally:
        port.end()


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

    def __init__(self, stop_seconds: float) -> None:
        self._stop_seconds = stop_seconds
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

    def ask_to_end(self) -> None:
        """Have it end its work: it sends the email in hand, and returns its import to the queue at the next safe point."""
        self._ended.set()
        if self._process and self._process.is_alive():
            self._process.terminate()

    def end(self) -> None:
        """End it. Kill it if it takes too long: then its import and emails are claimed again."""
        self.ask_to_end()
        if self._process and self._process.is_alive():
            self._process.join(self._stop_seconds)
            self._process.kill()
        self._watch.join(self._stop_seconds)


def _run_worker() -> None:
    process.die_with_parent(signal.SIGTERM)
    os.nice(_NICENESS)
    with suppress(typer.Exit):
        _work()


def worker(
    once: Annotated[bool, typer.Option("--once", help="Do the work that is due now, and exit.")] = False,
) -> None:
    """Run the imports that were requested, check feeds, send emails and webhooks, and remove expired locks and sessions.

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
        with process.load_quickly(keep=True):
            from musterbook import jobs

        jobs.work(jobs.stop_on_signals())
