"""Acknowledgements: in the broker's order, and the core hurries when the broker waits."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from gateway.links.debts import DEFAULT_WINDOW, Debts


class Broker:
    """Counts what reaches it."""

    def __init__(self, receive_maximum: int = 1000) -> None:
        self.acknowledged: list[list[int]] = []
        self.hurried = 0
        self.debts = Debts(receive_maximum, self.acknowledged.append, self._hurry)

    def _hurry(self) -> None:
        self.hurried += 1


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def test_acknowledged_in_order_whatever_the_order_of_storing() -> None:
    broker = Broker()
    debts = [broker.debts.owe(mid, 1) for mid in range(1, 51)]
    random.Random(4).shuffle(debts)
    for debt in debts:
        debt()
        await turn()
    flat = [mid for batch in broker.acknowledged for mid in batch]
    assert flat == list(range(1, 51))
    assert len(broker.debts) == 0


async def test_one_commit_makes_one_batch() -> None:
    broker = Broker()
    for debt in [broker.debts.owe(mid, 1) for mid in range(1, 201)]:
        debt()
    await turn()
    assert broker.acknowledged == [list(range(1, 201))]


async def test_a_message_of_two_sources_waits_for_both() -> None:
    broker = Broker()
    shared, own = broker.debts.owe(1, 2), broker.debts.owe(2, 1)
    shared()
    own()
    await turn()
    assert broker.acknowledged == []
    shared()
    await turn()
    assert broker.acknowledged == [[1, 2]]


async def test_the_core_hurries_at_once_when_the_default_window_is_full() -> None:
    broker = Broker()
    for mid in range(1, DEFAULT_WINDOW):
        broker.debts.owe(mid, 1)
    broker.debts.heard()
    assert broker.hurried == 0
    broker.debts.owe(DEFAULT_WINDOW, 1)
    broker.debts.heard()
    assert broker.hurried == 1
    broker.debts.close()


async def test_a_wider_window_is_learned_from_where_the_broker_stops() -> None:
    broker = Broker()
    for mid in range(1, 101):  # this broker lets 100 fly
        broker.debts.owe(mid, 1)
        broker.debts.heard()
    await until(lambda: broker.debts._window == 100)
    before = broker.hurried
    assert before >= 1
    broker.debts.close()


async def test_a_quiet_socket_makes_the_core_hurry() -> None:
    broker = Broker()
    debt = broker.debts.owe(1, 1)
    broker.debts.heard()
    assert broker.hurried == 0
    await until(lambda: broker.hurried > 0)
    debt()
    await turn()
    broker.debts.close()
    assert broker.acknowledged == [[1]]


async def test_a_socket_that_is_never_quiet_does_not_wait_for_ever() -> None:
    broker = Broker()
    broker.debts._window = 10_000
    broker.debts.owe(1, 1)
    began = time.monotonic()
    while not broker.hurried:
        broker.debts.heard()
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.001)
    broker.debts.close()
