"""The proxy of the fault harness: it counts the statements of an import, and cuts at the one that is asked for."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from fault_harness.proxy import Proxy

SESSION = [
    "SELECT pg_try_advisory_lock(1, 1)",
    "SELECT 1 FOR NO KEY UPDATE",
    "INSERT",
    "SELECT pg_advisory_unlock(1, 1)",
]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy in front of a server that answers each message with one byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError):
                while client.recv(1000):
                    client.sendall(b"a")

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        made = Proxy(server.getsockname()[1])
        made.start()
        yield made
        made.stop()
        server.shutdown(socket.SHUT_RDWR)


def frame(sql: str) -> bytes:
    return b"Q" + (len(sql) + 5).to_bytes(4) + sql.encode() + b"\0"


def count_answers(proxy: Proxy) -> int:
    """The number of statements of one import that are answered."""
    answered = 0
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as client:
        client.sendall((8).to_bytes(4) + (196608).to_bytes(4))
        assert client.recv(1) == b"a"
        with contextlib.suppress(OSError):
            for sql in SESSION:
                client.sendall(frame(sql))
                if client.recv(1) != b"a":
                    break
                answered += 1
    return answered


def test_an_import_that_nobody_wants_to_cut_goes_through(proxy: Proxy) -> None:
    assert count_answers(proxy) == 4
    assert (proxy.cuts, proxy.longest) == ([], 4)


def test_the_cuts_step_through_the_statements_and_then_through_their_answers(proxy: Proxy) -> None:
    answered = []
    for _ in range(4):
        proxy.arm()
        answered.append(count_answers(proxy))
    assert answered == [0, 1, 2, 3]
    assert [cut.statement for cut in proxy.cuts] == SESSION
    proxy.arm()
    assert count_answers(proxy) == 4, "the import is shorter than the next cut, which begins again, after the statement"
    assert (proxy.next_cut, proxy.answered) == (1, True)
    assert count_answers(proxy) == 0
    assert proxy.cuts[-1].answered
