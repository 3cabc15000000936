"""Random histories: kill, repeat, reorder, prune, late data, lost answers.

The books balance after every step, and head office ends with exactly what was counted.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import Basis, Crossings, Event, LineRule, Member, Register, Role, ZoneSpec
from tests.unit.store.conftest import DOOR, MINUTE, T0, Box

DAY = 24 * 60 * MINUTE
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def in_a_box(script: Any, **fields: object) -> None:
    """Run a coroutine over a fresh box; hypothesis gives fixtures only once for all its examples."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as card:
            box = Box(Path(card))
            for name, value in fields.items():
                setattr(box, name, value)
            await box.open()
            await box.configure()
            try:
                await script(box)
            finally:
                await box.store.aclose()

    loop = asyncio.new_event_loop()  # not asyncio.run: it would take away the loop of the test runner
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


@dataclass
class Truth:
    """The identity rules of deltas, said again in the plainest way."""

    stored: dict[tuple[int, int], int] = field(default_factory=dict)
    received: int = 0

    def add(self, start: int, end: int, ins: int, frozen: int) -> None:
        if start < frozen:
            self.received += ins
            return
        if self.stored.get((start, end)) == ins:
            return
        self.received += ins
        meeting = [(s, e) for s, e in self.stored if s < end and e > start]
        if all(start <= s and e <= end for s, e in meeting):
            for old in meeting:
                del self.stored[old]
            self.stored[start, end] = ins


minute = st.integers(-240, 0)
operations = st.one_of(
    st.tuples(st.just("record"), minute, st.integers(1, 90), st.integers(0, 9999)),
    st.tuples(st.just("record"), minute, st.just(1), st.integers(0, 9999)),
    st.tuples(st.just("again"), st.integers(0, 30)),
    st.tuples(st.just("pass"), st.integers(1, 200)),
    st.tuples(st.just("close"), st.integers(1, 7)),
    st.tuples(st.just("take"), st.integers(1, 9)),
    st.tuples(st.just("answer"), st.sampled_from(["ok", "lost", "refused", "reject"])),
    st.tuples(st.just("kill"), st.booleans()),
    st.tuples(st.just("prune"), st.integers(0, 2)),
)


class History:
    """One run of operations against the store and the truth."""

    def __init__(self, box: Box) -> None:
        self.box, self.truth = box, Truth()
        self.sent: list[tuple[int, int, int]] = []
        self.flight: list[Event] = []
        self.frozen_counts = 0

    async def step(self, name: str, *args: Any) -> None:
        step: Coroutine[Any, Any, None] = getattr(self, name)(*args)
        await step
        self.box.balanced()
        self.no_delivered_lies()

    async def record(self, start_min: int, length: int, ins: int) -> None:
        start = self.box.wall // MINUTE * MINUTE + start_min * MINUTE
        end = min(start + length * MINUTE, self.box.wall)
        if start < end:
            self.sent.append((start, end, ins))
            await self.deliver(start, end, ins)

    async def deliver(self, start: int, end: int, ins: int) -> None:
        frozen = max(self.box.store._memory.frozen_ms, self.box.wall - DAY)
        await self.box.delta(start, end, ins)
        self.truth.add(start, end, ins, frozen)

    async def again(self, index: int) -> None:
        if self.sent:
            await self.deliver(*self.sent[index % len(self.sent)])

    async def pass_(self, minutes: int) -> None:
        self.box.pass_ms(minutes * MINUTE)

    async def close(self, limit: int) -> None:
        await self.box.store.close(self.box.now(), limit)

    async def take(self, limit: int) -> None:
        self.flight = await self.box.take(limit)

    async def answer(self, mode: str) -> None:
        flight, self.flight = self.flight, []
        if mode == "refused":
            return
        odd = {event.id: "odd" for event in flight if mode == "reject" and event.start_ms // 900_000 % 2}
        stored = [event for event in flight if event.id not in odd]
        self.box.receive(stored)
        if mode != "lost" and flight:
            await self.box.settle(flight, accepted=frozenset(event.id for event in stored), rejected=odd)

    async def kill(self, reboot: bool) -> None:
        self.flight = []
        await self.box.restart(reboot=reboot)

    async def prune(self, days: int) -> None:
        self.box.pass_ms(days * DAY)
        await self.box.store.prune(self.box.now())

    def no_delivered_lies(self) -> None:
        con = self.box.store._con
        rows = con.execute("SELECT size_s, start_ms, delivered_revision FROM outbox WHERE state='delivered'")
        for size_s, start_ms, revision in rows:
            assert self.box.office["shop", size_s, start_ms][1] >= revision

    async def end(self) -> None:
        await self.box.store.release_rejected("hq")
        await self.box.drain()
        self.box.balanced()
        ledger = self.box.ledger()
        assert ledger["counted"] == sum(self.truth.stored.values()) == self.box.delivered()
        assert ledger["received"] == self.truth.received
        assert ledger.get("restating", 0) == ledger["open"] == 0


@SLOW
@given(st.lists(operations, max_size=30))
def test_any_history_balances_and_arrives(steps: list[tuple[Any, ...]]) -> None:
    async def script(box: Box) -> None:
        box.grid = box.grid.__class__(size_s=900, allowed_lateness_s=60, readings_days=1)
        await box.configure()
        history = History(box)
        for name, *args in steps:
            await history.step({"pass": "pass_"}.get(name, name), *args)
        await history.end()

    in_a_box(script)


GATE = LineRule("gate", "main", basis=Basis.TOTAL, max_per_s=1.0)
GATE_ZONE = ZoneSpec("shop", "store", (Member("gate", "main", Role.ENTRANCE),))


@SLOW
@given(st.lists(st.integers(0, 90), min_size=1, max_size=12), st.data())
def test_totals_in_any_order_give_the_same_books(steps: list[int], data: st.DataObject) -> None:
    """Some steps exceed what can cross in a minute: the refusals must not depend on the order either."""
    total, sights = 0, []
    for index, step in enumerate(steps):
        total += step
        sights.append((T0 - (len(steps) - index) * MINUTE, total))
    shuffled = data.draw(st.permutations(sights + sights[:3]))
    refused = sum(step for step in steps[1:] if step > 60)
    counted = sum(step for step in steps[1:] if step <= 60)

    async def script(box: Box) -> None:
        for at, value in shuffled:
            await box.take_in(Register("gate", "main", at, total_in=value), counter="gate")
            box.balanced()
            if data.draw(st.booleans()):
                box.pass_ms(7 * MINUTE)
                await box.close()
        ledger = box.ledger(line="gate")
        assert (ledger["counted"], ledger["refused"]) == (counted, refused)
        await box.drain()
        box.balanced()
        assert box.delivered() == counted
        rows = box.store._con.execute(
            "SELECT start_ms, end_ms, ins FROM readings ORDER BY start_ms"
        ).fetchall()
        expected = [
            (at - MINUTE, at, step)
            for (at, _), step in zip(sights[1:], steps[1:], strict=True)
            if 0 < step <= 60
        ]
        assert rows == expected

    in_a_box(script, rules=[GATE], zones=[GATE_ZONE])


wild = st.one_of(
    st.tuples(st.just("total"), st.integers(-90, 0), st.integers(0, 300)),
    st.tuples(st.just("poll"), st.integers(0, 300), st.sampled_from(["", "other"])),
    st.tuples(st.just("event"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("trust"), st.booleans()),
    st.tuples(st.just("kill"), st.booleans()),
    st.tuples(st.just("pass"), st.integers(1, 40)),
)
WILD_RULES = [
    LineRule("gate", "main", basis=Basis.TOTAL, max_per_s=0.05),
    LineRule("turn", "main", basis=Basis.TOTAL, max_per_s=0.05, polled=True, expect_s=600),
    LineRule("door", "main", basis=Basis.EVENT, max_per_s=0),
]
WILD_ZONE = ZoneSpec(
    "shop", "store", tuple(Member(rule.counter, "main", Role.ENTRANCE) for rule in WILD_RULES)
)


async def wild_step(box: Box, name: str, first: Any, second: Any = None) -> None:
    """Registers that lie, clocks that are not believed, boots that end."""
    if name == "total":
        at = box.wall + first * MINUTE
        await box.take_in(Register("gate", "main", at, total_in=second, modulus=400), counter="gate")
    elif name == "poll":
        reading = Register("turn", "main", None, total_in=first, epoch=second, modulus=400)
        await box.take_in(reading, counter="turn")
    elif name == "event":
        start = box.wall - MINUTE if second else None
        end = None if start is None else start + 1
        await box.take_in(Crossings("door", "main", start, end, 2, 1, basis=Basis.EVENT, key=f"k{first}"))
    elif name == "trust":
        box.trusted = first
        if first:
            await box.store.hold_release(box.now())
    elif name == "kill":
        await box.restart(reboot=first)
    else:
        box.pass_ms(first * MINUTE)
        if box.trusted:
            await box.store.close(box.now(), 3)


@SLOW
@given(st.lists(wild, max_size=30))
def test_books_balance_whatever_devices_and_clocks_do(steps: list[tuple[Any, ...]]) -> None:
    async def script(box: Box) -> None:
        for step in steps:
            await wild_step(box, *step)
            box.pass_ms(1_000)
            box.balanced()
        box.trusted = True
        await box.store.hold_release(box.now())
        box.pass_ms(DAY)  # the slowest register has long been silent
        await box.drain()
        box.balanced()
        counted = sum(box.ledger(line=rule.counter)["counted"] for rule in WILD_RULES)
        assert counted == box.delivered()
        assert all(box.ledger(line=rule.counter)["held"] == 0 for rule in WILD_RULES)

    in_a_box(script, rules=WILD_RULES, zones=[WILD_ZONE])


@SLOW
@given(st.lists(st.tuples(st.integers(0, 119), st.integers(0, 7)), max_size=15), st.integers(0, 9))
def test_passes_are_halved_without_losing_one(crossings: list[tuple[int, int]], waits: int) -> None:
    """A beam without direction, late and out of order: ins and outs differ by at most one, and add up."""

    async def script(box: Box) -> None:
        truth: dict[int, int] = {}
        for index, (at, passes) in enumerate(crossings):
            start = T0 + at * MINUTE
            box.at(start + MINUTE)
            await box.take_in(Crossings("door", "main", start, start + MINUTE, passes=passes))
            truth[at] = passes
            if index % (waits + 1) == 0:
                box.pass_ms(17 * MINUTE)
                await box.close()
                box.balanced()
        await box.drain()
        box.balanced()
        ins, outs = box.delivered("ins"), box.delivered("outs")
        assert ins + outs == sum(truth.values())
        assert 0 <= outs - ins <= 1

    in_a_box(script, rules=[DOOR])
