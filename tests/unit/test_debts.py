"""Acknowledgements: in the broker's order, and the core hurries when the broker waits."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.links.debts import DEFAULT_WINDOW, Debt, Debts
from tests.virtual_time import run_virtually


class Broker:
    """Counts what reaches it."""

    def __init__(self) -> None:
        self.acknowledged: list[list[int]] = []
        self.hurried = 0
        self.debts = Debts(self.acknowledged.append, self._hurry)

    def _hurry(self) -> None:
        self.hurried += 1


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


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


async def patience() -> None:
    """As long as the core lets an acknowledgement wait."""
    await asyncio.sleep(0.05)


async def burst(broker: Broker, count: int) -> list[Debt]:
    """So many messages, one after the other; nothing is committed meanwhile."""
    owed = []
    for mid in range(1, count + 1):
        owed.append(broker.debts.owe(mid, 1))
        broker.debts.heard()
    return owed


async def stop_and_go(broker: Broker, window: int) -> bool:
    """A broker that stops at `window`, and a core that commits when told, else after its patience."""
    before = broker.hurried
    owed = await burst(broker, window)
    hurried = broker.hurried > before
    if not hurried:
        await patience()
    for debt in owed:
        debt()
    await turn()
    return hurried


async def test_the_core_hurries_at_once_when_the_default_window_is_full() -> None:
    broker = Broker()
    await burst(broker, DEFAULT_WINDOW - 1)
    assert broker.hurried == 0
    broker.debts.owe(DEFAULT_WINDOW, 1)
    broker.debts.heard()
    assert broker.hurried == 1


@pytest.mark.parametrize("window", [1, 7, 20, 100])
def test_a_window_is_learned_from_where_the_broker_stops(window: int) -> None:
    """Waited for once or a few times, not with every window."""

    async def talk() -> None:
        broker = Broker()
        hurried = [await stop_and_go(broker, window) for _ in range(500)]
        assert hurried.count(False) <= 8
        assert all(len(batch) == window for batch in broker.acknowledged)

    run_virtually(talk())


def test_a_broker_that_does_not_stop_is_not_hurried_for() -> None:
    """Messages that trickle share commits, whatever was believed while they came seldom."""

    async def talk() -> None:
        broker = Broker()
        for _ in range(20):  # seldom: one at a time looks like a window of one
            await stop_and_go(broker, 1)
        seldom = broker.hurried
        for _ in range(100):  # often: committed when the core says so, 40 ms for 20 messages
            owed = []
            for mid in range(1, 21):
                owed.append(broker.debts.owe(mid, 1))
                broker.debts.heard()
                await asyncio.sleep(0.002)
            for debt in owed:
                debt()
            await turn()
        assert broker.hurried - seldom <= 1

    run_virtually(talk())


def test_a_window_of_one_is_given_up_although_every_commit_comes_in_time() -> None:
    """125 messages a second, each committed before the next: never more than one owed, yet nothing stalls."""

    async def talk() -> None:
        broker = Broker()
        commits = 0
        for _ in range(20):
            await stop_and_go(broker, 1)
        owed: list[Debt] = []
        first_s = 0.0
        loop = asyncio.get_running_loop()
        for mid in range(1, 1001):
            before = broker.hurried
            owed.append(broker.debts.owe(mid, 1))
            first_s = first_s or loop.time()
            broker.debts.heard()
            if broker.hurried > before or loop.time() - first_s >= 0.05:
                for debt in owed:
                    debt()
                owed.clear()
                first_s = 0.0
                commits += 1
            await asyncio.sleep(0.008)
        assert commits < 250

    run_virtually(talk())
