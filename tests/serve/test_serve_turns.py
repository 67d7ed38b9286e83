"""Threads take turns; who steps aside comes back first; nothing is lost to faults."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from landsift.serve.turns import Turns


def until(fact) -> None:
    ends = time.monotonic() + 10
    while not fact():
        assert time.monotonic() < ends
        time.sleep(0.001)


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_than_so_many_have_a_turn(at_once):
    turns, inside, most = Turns(at_once), [], []

    def work(number: int) -> None:
        with turns, turns:  # who has a turn does not wait for itself
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.001)
            inside.remove(number)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(60)))
    assert max(most) == at_once and len(most) == 60


def test_who_comes_back_is_first_in_line():
    turns, told = Turns(1), []
    stepped_aside, may_return = threading.Event(), threading.Event()

    def wanders() -> None:
        with turns:
            with turns.aside():
                stepped_aside.set()
                assert may_return.wait(10)
            told.append("back")

    def comes(name: str) -> None:
        with turns:
            told.append(name)

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(wanders)]
        assert stepped_aside.wait(10)
        with turns:  # free, since the wanderer stepped aside
            for count, name in enumerate(("first", "second"), 1):
                waiting.append(pool.submit(comes, name))
                until(lambda count=count: len(turns._line) == count)
            may_return.set()
            until(lambda: len(turns._line) == 3)
        for future in waiting:
            future.result(10)
    assert told == ["back", "first", "second"]


def test_a_fault_gives_the_turn_back_and_aside_without_a_turn_is_nothing():
    turns = Turns(1)
    with turns.aside():
        pass
    for place in ("inside", "aside"):
        with pytest.raises(KeyError), turns:
            if place == "inside":
                raise KeyError
            with turns.aside():
                raise KeyError
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: turns.__enter__() is None).result(10)
