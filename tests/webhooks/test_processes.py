"""Workers that are killed, and several at once: each message arrives at least once, in order, and never twice at a time."""

import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler

import pytest

from tests import databases
from tests.databases import Home
from tests.directory.processes import ROOT
from tests.webhooks.receiver import Arrived, Receiver, answer


def start(home: Home, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Start the driver."""
    environment = home.environment | {"MUSTER_OUTSIDE_NETWORKS": "127.0.0.0/8"} | variables
    if variables:
        environment.pop("COVERAGE_PROCESS_CONFIG", None)  # what is killed would leave half of a report
    command, pipe = [sys.executable, "-m", "tests.webhooks.driver", *arguments], subprocess.PIPE
    return databases.start(command, environment, ROOT, stdout=pipe, stderr=pipe, text=True)


def finish(process: "subprocess.Popen[str]") -> None:
    """Wait until the driver has ended well."""
    _said, wrong = process.communicate(timeout=90)
    assert process.returncode == 0, wrong


def in_order(arrived: list[Arrived]) -> bool:
    """Whether the messages about each subject arrived in their order, but for those that arrived again at once."""
    of: dict[str, list[int]] = {}
    for one in arrived:
        of.setdefault(one.data["subject"], []).append(one.data["number"])
    return all(numbers == sorted(numbers) for numbers in of.values())


@pytest.mark.parametrize(("step", "again"), [("claimed", 0), ("sent", 4), ("noted", 0)])
def test_a_worker_that_is_killed_loses_no_message_and_the_next_one_goes_on_in_order(
    fresh_home: Home, step: str, again: int
) -> None:
    with Receiver() as receiver:
        finish(start(fresh_home, "make", receiver.address, "12"))
        doomed = start(fresh_home, "work", PAUSE=step, LEASE="2")
        assert doomed.stdout
        assert doomed.stdout.readline().strip() == "reached"
        doomed.kill()
        doomed.communicate()
        before = len(receiver.arrived)
        if step != "noted":
            finish(start(fresh_home, "work", LEASE="60"))
        times = Counter(receiver.ids)
        assert len(times) == 12
        assert before <= again if step != "noted" else before == 12
        assert sum(times.values()) <= 12 + again
        assert in_order(receiver.arrived)


def test_two_workers_share_the_work_and_never_send_two_messages_about_one_subject_at_once(fresh_home: Home) -> None:
    flying: Counter[str] = Counter()
    clashes: list[str] = []
    lock = threading.Lock()

    def respond(handler: BaseHTTPRequestHandler, one: Arrived) -> None:
        subject = one.data["subject"]
        with lock:
            flying[subject] += 1
            clashes.extend([subject] if flying[subject] > 1 else [])
        time.sleep(0.01)
        with lock:
            flying[subject] -= 1
        answer(204)(handler, one)

    with Receiver(respond) as receiver:
        finish(start(fresh_home, "make", receiver.address, "60"))
        workers = [start(fresh_home, "work") for _ in range(2)]
        for one in workers:
            finish(one)
        assert clashes == []
        assert len(receiver.ids) == len(set(receiver.ids)) == 60
        assert in_order(receiver.arrived)
