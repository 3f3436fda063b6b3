"""One round: an installation lives through its schedule, everything heals, and its books are read."""

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fault_harness import books
from fault_harness.books import Evidence, Finding
from fault_harness.deliveries import Deliveries, wait_for_web
from fault_harness.injections import Injections
from fault_harness.processes import MUSTER, is_of
from fault_harness.rosters import Roster, Rosters
from fault_harness.schedule import NEEDS_FILE, Kind, Path, Step, make_schedule
from fault_harness.site import Site
from fault_harness.tables import DatabaseError, Tables

_HOUR = 3600
_WAITING = 3
"""Another file arrives while fewer imports than these wait."""
_SETTLE_SECONDS = 600.0
_TICK = 61
"""The seconds by which the clock advances, so that a feed that is checked every minute is due."""
_MOST_ADVANCE = 6 * _HOUR
"""The most time that passes until everything that was begun has ended: the longest wait before another attempt, and more."""


@dataclass
class Result:
    """The result of a round: the faults that hit something, by kind, and what did not balance. `steps`: the faults tried."""

    seed: int
    database: str
    steps: int = 0
    injected: Counter[Kind] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    imports: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    cuts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    disk: str = ""


class Round:
    """The course of a round. `say` gets a line about each fault."""

    def __init__(self, site: Site, seed: int, say: Callable[[str], None] = lambda _: None) -> None:
        self.site, self._say = site, say
        self.result = Result(seed, site.database, disk=site.describe_disk())
        self.deliveries = Deliveries(site, Rosters(random.Random(seed)))
        self._sender: threading.Thread | None = None
        self.injections = Injections(site, self.deliveries)
        pair = site.pair
        self.tables = Tables(url=pair.primary.url) if pair else Tables(path=site.home / "muster.sqlite3")
        if site.proxy:
            # Rounds begin at different statements, so that together they reach each one, on both sides.
            site.proxy.next_cut, site.proxy.answered = 1 + seed * 17 % 60, bool(seed % 2)

    def run(self, faults: int) -> Result:
        """Live through a schedule of so many faults, and read the books. Some of them may hit nothing."""
        began, self.result.steps = time.monotonic(), faults
        wait_for_web(self.site, 120)
        for step in make_schedule(self.result.seed, faults, self.site.list_kinds()):
            self._take(step)
        self.heal()
        self.settle()
        self.read_books()
        self.injections.count_cuts()
        self.result.injected = +self.injections.done
        if self.site.proxy:
            self.result.cuts = {
                f"{cut.number:03} {'answer lost' if cut.answered else 'request lost'}": cut.statement
                for cut in self.site.proxy.cuts
            }
        self.result.seconds = round(time.monotonic() - began, 1)
        return self.result

    def _take(self, step: Step) -> None:
        """Bring a file, inject the fault while it is on its way, and start again what has died."""
        if step.kind is Kind.LOST_CONNECTION and self.site.proxy:
            self.site.proxy.arm()
        if step.kind in NEEDS_FILE or (self._count_waiting() < _WAITING and not self._is_busy(step.path)):
            self._deliver(self.deliveries.rosters.make(step.path), step)
        time.sleep(step.wait)
        before = self.injections.done.total()
        self.injections.inject(step)
        self.site.revive()
        number = self.injections.done.total()
        self._say(f"{number}: {step.kind}{'' if number > before else ' (hit nothing: not counted)'}")

    def _is_busy(self, path: Path) -> bool:
        """Return whether a request, or a command, is still on its way."""
        if path is Path.SENT:
            return self._sender is not None and self._sender.is_alive()
        command = self.deliveries.get_command()
        return path is Path.COMMAND and command is not None and command.is_running()

    def _count_waiting(self) -> int:
        """Return the number of imports that wait, as far as the database can be asked now."""
        try:
            return self.tables.count("import", "finished_at IS NULL")
        except DatabaseError:
            return 0

    def _deliver(self, roster: Roster, step: Step) -> None:
        if roster.path is Path.FOLDER:
            self.deliveries.place(roster, twice=step.kind is Kind.FILE_TWICE)
            if self.site.clock:
                self.site.clock.advance(_TICK)
        elif roster.path is Path.COMMAND:
            self.deliveries.start_command(roster)
        else:
            times = 2 if step.kind in (Kind.REQUEST_TWICE, Kind.REQUEST_TWICE_WITHOUT_KEY) else 1
            keyed = step.kind is not Kind.REQUEST_TWICE_WITHOUT_KEY
            send = {"key": keyed, "times": times}
            self._join_sender()
            self._sender = threading.Thread(target=self.deliveries.send, args=(roster,), kwargs=send, daemon=True)
            self._sender.start()

    def _join_sender(self) -> None:
        if self._sender:
            self._sender.join(120)
            self._sender = None

    def heal(self) -> None:
        """End all faults, and let everything run."""
        if self.site.proxy:
            self.site.proxy.disarm()
            self.site.proxy.delay = 0.0
        self.site.behavior.write_text("answer")
        self._join_sender()
        self.site.revive()
        wait_for_web(self.site, 120)
        self.deliveries.finish_command()

    def settle(self) -> None:
        """Wait until everything that was begun has ended. Bring again what failed. Time passes faster meanwhile."""
        began, advanced = time.monotonic(), 0
        while (passed := time.monotonic() - began) < _SETTLE_SECONDS and advanced < _MOST_ADVANCE:
            self.site.revive()
            if not self._is_waiting() and not self.bring_again():
                return
            time.sleep(1)
            if self.site.clock and self._is_waiting():
                # What waits for its time is soon there; what waits for the machine would lose its leases.
                size = _TICK if passed < _SETTLE_SECONDS / 10 else 2 * _TICK
                self.site.clock.advance(size)
                advanced += size

    def _is_waiting(self) -> bool:
        try:
            return bool(books.count_open(self.tables)) or any(self.site.feed_folder.glob("*.csv"))
        except DatabaseError:  # the database starts, after it was killed
            return True

    def bring_again(self) -> bool:
        """Bring the files again that failed or have not arrived. Return whether there are any.

        One that the product has acknowledged must have an import, and is lost otherwise: to bring it again would hide that.
        """
        unsent = bool(self.deliveries.unsent)
        self.deliveries.send_rest()
        imported = {row[0] for row in self.tables.select("SELECT file_sha256 FROM directory_import")}
        known = self.deliveries.rosters.known
        lost = known.keys() - imported
        for sha256 in sorted(lost & self.deliveries.list_acknowledged()):
            self._find("files", f"a file by {known[sha256].path} was acknowledged, and has no import: {sha256[:12]}")
        missing = [*filter(books.list_in_vain(self.tables).__contains__, known), *filter(lost.__contains__, known)]
        for sha256 in missing:
            self.deliveries.deliver_again(known[sha256])
        return unsent or bool(missing)

    def read_books(self) -> None:
        """End the workers in order, read the books, and verify the hash chain and the standby."""
        for program in self.site.workers:
            if not program.stop(60):
                self._find("processes", "a worker did not end when it was asked to")
        for pid in sorted(pid for pid in self.injections.killed if is_of(pid, self.site.home)):
            self._find("processes", f"process {pid} goes on, although the first process of its program was killed")
        self.result.findings += books.check_all(self.tables, self.make_evidence())
        broken = verify_chain(self.site.environment)
        if broken:
            self._find("hash chain", broken)
        self._check_standby()
        for state, number in self.tables.select("SELECT state, COUNT(*) FROM directory_import GROUP BY state"):
            self.result.imports[state] = number
        for table in ("user", "event", "mail", "webhookmessage", "feedfile"):
            self.result.rows[table] = self.tables.count(table, "1 = 1")

    def make_evidence(self) -> Evidence:
        """Return what the tables are compared with."""
        brought = self.deliveries
        return Evidence(
            brought.rosters.known, frozenset(brought.arrived), brought.placed, brought.keys, self.site.journal,
            self.site.home, self.site.feed_folder,
        )  # fmt: skip

    def _check_standby(self) -> None:
        pair = self.site.pair
        if pair is None or pair.standby is None:
            return
        if not pair.wait_for_standby(60):
            self._find("standby", "the standby does not follow the primary")
            return
        standby = Tables(url=pair.standby.url)
        for table in ("user", "event", "import", "mail", "webhookmessage"):
            query = f"SELECT COUNT(*), md5(string_agg(t::text, '|' ORDER BY t.id)) FROM directory_{table} t"
            if self.tables.select(query) != standby.select(query):
                self._find("standby", f"the rows of {table} are other ones than those of the primary")

    def _find(self, check: str, what: str) -> None:
        self.result.findings.append(Finding(check, what))


def verify_chain(environment: Mapping[str, str]) -> str:
    """Return what `muster audit verify` says of an installation if its hash chain is broken, otherwise ""."""
    command = [MUSTER, "audit", "verify"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""
