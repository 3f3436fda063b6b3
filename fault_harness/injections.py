"""The faults: how each kind is injected, and whether it was."""

import resource
import time
from collections import Counter
from collections.abc import Callable

from fault_harness.deliveries import Deliveries
from fault_harness.processes import Program, kill_tree, pause
from fault_harness.schedule import Kind, Step
from fault_harness.site import Site

_HOUR = 3600
_STEPS_OF_CLOCK = (90, _HOUR, 26 * _HOUR)
_COMMAND_SECONDS = 240.0
_BEHAVIOR = {Kind.RECEIVER_SILENT: "silent", Kind.RECEIVER_LATE: "late", Kind.RECEIVER_REFUSES: "refuse"}


class Injections:
    """The faults of a round. `done`: how often each kind was really injected."""

    def __init__(self, site: Site, deliveries: Deliveries) -> None:
        self.site, self.deliveries = site, deliveries
        self.done: Counter[Kind] = Counter()
        self.killed: set[int] = set()
        """The processes whose first process was killed: they must end by themselves."""

    def inject(self, step: Step) -> None:
        """Inject the fault of a step. It counts only if it hit something."""
        if self._find(step.kind)(step):
            self.done[step.kind] += 1
        self.count_cuts()

    def count_cuts(self) -> None:
        """Count the connections that were cut, also those of imports that took their time."""
        if self.site.proxy:
            self.done[Kind.LOST_CONNECTION] = len(self.site.proxy.cuts)

    def _find(self, kind: Kind) -> Callable[[Step], bool]:
        return {
            Kind.KILL_WEB: lambda step: self._kill(step, self.site.web),
            Kind.KILL_WORKER: lambda step: self._kill(step, self.site.workers[step.target // 2 % 2]),
            Kind.KILL_COMMAND: self._kill_command,
            Kind.KILL_RECEIVER: lambda step: self._kill(step, self.site.receiver),
            Kind.KILL_PRIMARY: self._kill_node,
            Kind.KILL_STANDBY: self._kill_node,
            Kind.FULL_DISK: self._fill_disk,
            Kind.FULL_DATABASE: self._fill_database,
            Kind.LOST_CONNECTION: self._wait_for_cut,
            Kind.CLOCK_AHEAD: self._step_clock,
            Kind.CLOCK_BEHIND: self._step_clock,
            Kind.FILE_TWICE: self._is_brought_twice,
            Kind.REQUEST_TWICE: self._is_brought_twice,
            Kind.REQUEST_TWICE_WITHOUT_KEY: self._is_brought_twice,
            Kind.COMMAND_TWICE: self._repeat_command,
            Kind.RECEIVER_SILENT: self._let_receiver,
            Kind.RECEIVER_LATE: self._let_receiver,
            Kind.RECEIVER_REFUSES: self._let_receiver,
            Kind.STOPPED_PROCESS: self._pause,
            Kind.SLOW_DATABASE: self._slow_database,
        }[kind]

    def _kill(self, step: Step, program: Program) -> bool:
        """Kill a program: all of its processes, or only the first, whose children must then notice."""
        pids = program.list_pids()
        if not pids:
            return False
        if step.target % 2:
            kill_tree(pids[0])
        else:
            program.kill_first()
            self.killed |= set(pids[1:])
        return True

    def _kill_command(self, step: Step) -> bool:
        program = self.deliveries.get_command()
        time.sleep(step.size * 3)
        if program is None or not program.is_running():
            return False
        program.kill()
        return True

    def _kill_node(self, step: Step) -> bool:
        pair = self.site.pair
        node = pair and (pair.primary if step.kind is Kind.KILL_PRIMARY else pair.standby)
        if not node or not node.is_running():
            return False
        node.kill()
        return True

    def _fill_disk(self, step: Step) -> bool:
        if self.site.home_disk:
            self.site.home_disk.fill()
            time.sleep(step.lasts)
            self.site.home_disk.free()
        else:
            self._limit_files(0)
            time.sleep(step.lasts)
            self._limit_files(resource.RLIM_INFINITY)
        return True

    def _limit_files(self, size: int) -> None:
        for program in (self.site.web, *self.site.workers):
            for pid in program.list_pids():
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    def _fill_database(self, step: Step) -> bool:
        if self.site.database_disk is None:
            return False
        self.site.database_disk.fill()
        time.sleep(step.lasts)
        self.site.database_disk.free()
        return True

    def _step_clock(self, step: Step) -> bool:
        if self.site.clock is None:
            return False
        size = _STEPS_OF_CLOCK[step.target % len(_STEPS_OF_CLOCK)]
        self.site.clock.set(size if step.kind is Kind.CLOCK_AHEAD else -size)
        time.sleep(step.lasts)
        self.site.clock.set(0)
        return True

    def _is_brought_twice(self, _step: Step) -> bool:
        return True

    def _repeat_command(self, _step: Step) -> bool:
        """Run the command again while it runs, or after it: both have the same key."""
        roster = [*self.deliveries.rosters.known.values()][-1]
        first = self.deliveries.detach_command()
        self.deliveries.start_command(roster)
        if first:
            first.wait(_COMMAND_SECONDS)
        return True

    def _let_receiver(self, step: Step) -> bool:
        """Let the receiver answer badly. It counts only if a message arrived meanwhile."""
        before = self._size_of_journal()
        self.site.behavior.write_text(_BEHAVIOR[step.kind])
        end = time.monotonic() + 2 * step.lasts
        while self._size_of_journal() == before and time.monotonic() < end:
            time.sleep(0.05)
        self.site.behavior.write_text("answer")
        return self._size_of_journal() > before

    def _size_of_journal(self) -> int:
        return self.site.journal.stat().st_size if self.site.journal.exists() else 0

    def _pause(self, step: Step) -> bool:
        nodes = self.site.pair.nodes if self.site.pair else []
        found = [one.list_pids() for one in (self.site.web, *self.site.workers, self.site.receiver)]
        found += [node.list_pids() for node in nodes]
        pids = found[step.target % len(found)]
        pause(pids, step.lasts)
        return bool(pids)

    def _slow_database(self, step: Step) -> bool:
        if self.site.proxy is None:
            return False
        self.site.proxy.delay = 0.02
        time.sleep(step.lasts)
        self.site.proxy.delay = 0.0
        return True

    def _wait_for_cut(self, step: Step) -> bool:
        """Give the import the time to reach the statement; if it does not, the next one is cut. `count_cuts` counts it."""
        proxy = self.site.proxy
        if proxy:
            before, end = len(proxy.cuts), time.monotonic() + step.lasts
            while len(proxy.cuts) == before and time.monotonic() < end:
                time.sleep(0.05)
        return False
