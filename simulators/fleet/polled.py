"""Counters that are asked: modules on RS-485 buses, units behind Modbus TCP, a vendor's portal.

A register's difference belongs to the time between two polls, and under a simulated clock a stall of the
machine is as many times longer. So at these doors people pass only early in a quarter of an hour, once the
gateway has asked in it: it has ten minutes to ask again, and every difference lies within its window.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from simulators.bus import Bus
from simulators.dcon import Module
from simulators.fleet.expected import Expected
from simulators.fleet.makes import Make
from simulators.fleet.plan import Counter, Plan
from simulators.fleet.speaking import QUARTER_MS, Due, Span, crowd
from simulators.modbus import TcpServer, Unit
from simulators.portal import Portal
from simulators.timing import Clock

STEP_MS = 10_000
PASS_FROM_MS, PASS_UNTIL_MS = 60_000, 300_000  # of a quarter of an hour
BEFORE_EDGE_MS = 10_000
NEAR_THE_END = 0xFFFF_FFF0  # some totals come round soon
CORRECTED_AFTER_MS = 600_000  # of a portal's quarter
TOLD_AFTER_MS = CORRECTED_AFTER_MS + 2 * QUARTER_MS  # and asked since, once more


class AskedUnit(Unit):
    """It counts the questions: a master that has come back for more has heard the first answers."""

    asked = 0

    def obey(self, pdu: bytes) -> bytes:
        self.asked += 1
        return super().obey(pdu)


class AskedModule(Module):
    """As `AskedUnit`."""

    asked = 0

    def answer(self, request: bytes) -> bytes | None:
        said = super().answer(request)
        self.asked += said is not None
        return said


ENOUGH = 8  # questions: both totals were among those that have been answered


class Registers:
    """`with Registers(plan, folder) as registers:` every bus is there: `folder/bus-1`, `ports["lan-1"]`."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._folder = folder
        self._counters = [counter for counter in plan.counters if counter.bus]
        self._modules: dict[str, AskedModule] = {}
        self._units: dict[str, AskedUnit] = {}
        self._buses: dict[str, Bus[AskedModule]] = {}
        self.unread: list[tuple[str, int]] = []  # counter, quarter: not asked after people passed
        self.passed = self.barred = 0  # persons; those who did not come because nobody had asked
        self.ports: dict[str, int] = {}
        self._stack = ExitStack()
        chance = random.Random(f"{plan.seed}/registers")
        for counter in self._counters:
            totals = [chance.choice((0, 1042, NEAR_THE_END)) for _ in range(2)]
            if counter.make.driver == "dcon":
                self._modules[counter.id] = AskedModule(f"{counter.address:02X}", totals=totals)
            else:
                self._units[counter.id] = AskedUnit(str(counter.address), totals=totals)

    def __enter__(self) -> Self:
        for bus in dict.fromkeys(counter.bus for counter in self._counters):
            here = [counter.id for counter in self._counters if counter.bus == bus]
            if here[0] in self._modules:
                modules = [self._modules[one] for one in here]
                self._buses[bus] = self._stack.enter_context(Bus(modules, link=self._folder / bus))
            else:
                server = self._stack.enter_context(TcpServer(self._units[one] for one in here))
                self.ports[bus] = server.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def ready(self) -> bool:
        """Was every register read once? What passes before counts nobody."""
        return all(self.asked(counter) >= ENOUGH for counter in self._counters)

    def asked(self, counter: Counter) -> int:
        """How many questions it has answered."""
        return (self._units.get(counter.id) or self._modules[counter.id]).asked

    def life(
        self, counter: Counter, seed: int, span: Span, clock: Clock, expected: Expected
    ) -> Iterator[Due]:
        for quarter_ms in range(span.begin_ms, span.end_ms, QUARTER_MS):
            source = random.Random(f"{seed}/{counter.id}/{quarter_ms}")
            door = _Door(self, counter, quarter_ms, clock, expected)
            yield quarter_ms, door.open
            for at_ms, (ins, outs) in sorted(_steps(source, counter.make, quarter_ms).items()):
                yield at_ms, partial(door.pass_, ins, outs)
            yield quarter_ms + QUARTER_MS - BEFORE_EDGE_MS, door.close

    def cross(self, counter: Counter, ins: int, outs: int) -> None:
        if counter.id in self._units:
            self._units[counter.id].cross(ins, outs)
        else:
            self._buses[counter.bus].cross(f"{counter.address:02X}", ins, outs)


@dataclass(slots=True)
class _Door:
    """One register in one quarter of an hour: nobody passes before it was read in it, nor late."""

    registers: Registers
    counter: Counter
    quarter_ms: int
    clock: Clock
    expected: Expected
    asked: int = 0  # when it opened, and when the last one passed
    passed: bool = False

    def open(self) -> None:
        self.asked = self.registers.asked(self.counter)

    def pass_(self, ins: int, outs: int) -> None:
        now_ms = self.clock.now_ms()
        asked = self.registers.asked(self.counter)
        if now_ms <= self.quarter_ms + PASS_UNTIL_MS and (self.passed or asked >= self.asked + ENOUGH):
            self.registers.cross(self.counter, ins, outs)
            self.expected.pass_(self.counter, now_ms, ins, outs)
            self.asked, self.passed = asked, True
            self.registers.passed += ins + outs
        else:
            self.registers.barred += ins + outs

    def close(self) -> None:
        if self.passed and self.registers.asked(self.counter) < self.asked + ENOUGH:
            self.registers.unread.append((self.counter.id, self.quarter_ms))


def _steps(source: random.Random, make: Make, quarter_ms: int) -> dict[int, tuple[int, int]]:
    """Who passes at which instants of a quarter of an hour."""
    steps: dict[int, list[int]] = {}
    for side, persons in enumerate(crowd(source, make, quarter_ms, QUARTER_MS)):
        for _ in range(persons):
            at_ms = quarter_ms + source.randrange(PASS_FROM_MS, PASS_UNTIL_MS - STEP_MS, STEP_MS)
            steps.setdefault(at_ms, [0, 0])[side] += 1
    return {at_ms: (ins, outs) for at_ms, (ins, outs) in steps.items()}


class PortalThread:
    """`with PortalThread(plan, clock) as portal:` is asked at `url`, by `client_id` with `key`.

    Before `open_for` nobody has been seen. One quarter in ten is told too low at first and corrected later.
    """

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self._plan, self._clock = plan, clock
        self._counters = {one.id: one for one in plan.counters if one.make.driver == "viametrix"}
        self._span = Span(0, 0)
        self._portal = Portal(self._counts, list(self._counters), clock=clock)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="simulated portal", daemon=True)

    @property
    def url(self) -> str:
        return self._portal.url

    @property
    def client_id(self) -> str:
        return self._portal.client_id

    @property
    def key(self) -> str:
        return self._portal.key

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(30):
            raise TimeoutError("the portal did not open")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def open_for(self, span: Span, expected: Expected) -> None:
        """From now on it tells of that time; what it will tell in the end is expected."""
        self._span = span
        for counter in self._counters.values():
            for quarter_ms in range(span.begin_ms, span.end_ms, QUARTER_MS):
                ins, outs = self._crowd(counter.id, quarter_ms)
                expected.told(counter, quarter_ms, quarter_ms + QUARTER_MS, ins, outs)

    def _counts(self, counter: str, start_ms: int) -> tuple[int, int]:
        if not self._span.begin_ms <= start_ms < self._span.end_ms:
            return 0, 0
        ins, outs = self._crowd(counter, start_ms)
        late = random.Random(f"{self._plan.seed}/{counter}/{start_ms}/late").random() < 0.1
        if late and self._clock.now_ms() < start_ms + QUARTER_MS + CORRECTED_AFTER_MS:
            return ins // 2, outs // 2
        return ins, outs

    def _crowd(self, counter: str, start_ms: int) -> tuple[int, int]:
        source = random.Random(f"{self._plan.seed}/{counter}/{start_ms}")
        return crowd(source, self._counters[counter].make, start_ms, QUARTER_MS)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._open())
        self._loop.close()

    async def _open(self) -> None:
        async with self._portal:
            self._up.set()
            await self._stop.wait()
