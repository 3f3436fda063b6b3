"""Work beside other work: its result, its failures, and no more of it than is asked for."""

import threading
from collections.abc import Iterator

import pytest

from musterbook.directory.storage.background import BackgroundTask, prefetch


def test_work_runs_in_the_background_and_its_result_is_awaited() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        go_on.wait(10)
        return 7

    task = BackgroundTask(work)
    assert begun.wait(10)
    go_on.set()
    assert task.result() == 7 == task.result()


def test_the_result_raises_the_error_of_the_work() -> None:
    def work() -> None:
        raise MemoryError

    task = BackgroundTask(work)
    with pytest.raises(MemoryError):
        task.result()


@pytest.mark.parametrize("number", [0, 1, 2, 50])
def test_items_made_ahead_come_in_order_and_all(number: int) -> None:
    assert list(prefetch(range(number))) == list(range(number))


def test_one_item_is_made_ahead_and_no_more() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    source = prefetch(items())
    for number in range(4):
        assert next(source) == number
        assert len(made) <= number + 2
    source.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(made) <= 5


def test_prefetch_raises_an_error_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise MemoryError

    source = prefetch(items())
    assert next(source) == 1
    with pytest.raises(MemoryError):
        next(source)
