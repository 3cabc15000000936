"""A fleet at work: everything is opened, then played against the clock in order of time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

from simulators.fleet.configuration import Around, write
from simulators.fleet.expected import Expected
from simulators.fleet.live import LiveCamera
from simulators.fleet.plan import Counter, Plan, Till, Way
from simulators.fleet.polled import TOLD_AFTER_MS, PortalThread, Registers
from simulators.fleet.selling import Seller
from simulators.fleet.speaking import QUARTER_MS, Due, Send, Span, Speaker
from simulators.http import Poster
from simulators.mqtt import Voice
from simulators.publisher import Publisher
from simulators.timing import Clock
from simulators.truth import Truth

SIZE_S = 900
LOST_ANSWERS = 0.01  # of pushes; not where a copy that is refused would be refused twice
PATIENCE_S = 600.0  # real ones, until all that was said is stored
BEFORE_MS = 10_000  # at least, from now to the first period


@dataclass
class Fleet:
    """`with Fleet(plan, around, clock) as fleet:` devices are there and the gateway's file is written.

    `sent`: bodies told. `late_ms`: how long after its time the latest thing happened, by the clock.
    """

    plan: Plan
    around: Around
    clock: Clock
    withhold: str | None = None  # a counter that forgets somebody
    sent: int = 0
    late_ms: int = 0
    expected: Expected = field(init=False)
    _span: Span = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack)
    _posters: dict[str, Poster] = field(default_factory=dict)  # by counter or till

    def __post_init__(self) -> None:
        self.expected = Expected(Truth(self.plan.zones, SIZE_S))

    @property
    def span(self) -> Span:
        """What is played; known once it has begun."""
        return self._span

    def __enter__(self) -> Self:
        self.around.receipts.mkdir()
        self._registers = self._stack.enter_context(Registers(self.plan, self.around.folder))
        self._portal = self._stack.enter_context(PortalThread(self.plan, self.clock))
        self.config = write(self.plan, self.around, self._registers.ports, self._portal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def unread(self) -> list[tuple[str, int]]:
        """Counters and quarters in which the gateway did not ask in time: the machine was too slow."""
        return self._registers.unread

    @property
    def barred(self) -> float:
        """Share of the persons at registers who did not come: nobody asked, so nobody could lose them."""
        registers = self._registers
        return registers.barred / max(1, registers.barred + registers.passed)

    def ready(self) -> bool:
        """Does the gateway know every register?"""
        return self._registers.ready()

    def play(self, hours: float, look: Callable[[], None] = lambda: None) -> None:
        """From the next quarter of an hour on; returns when everything is told and acknowledged.

        `look` is called between any two things that happen.
        """
        now_ms = self.clock.now_ms() + BEFORE_MS
        begin_ms = -(-now_ms // QUARTER_MS) * QUARTER_MS
        self._span = Span(begin_ms, begin_ms + max(1, round(hours * 4)) * QUARTER_MS)
        self.expected.truth.watch(begin_ms)
        self._portal.open_for(self._span, self.expected)
        self._publisher = self._stack.enter_context(Publisher(port=self.around.broker))
        for at_ms, happen in heapq.merge(*self._lives(), key=lambda due: due[0]):
            while (wait_ms := at_ms - self.clock.now_ms()) > 0:
                look()
                self.clock.sleep(min(wait_ms / 1000, self.clock.speed * 0.5))
            look()
            happen()
            self.late_ms = max(self.late_ms, -wait_ms)
        last_ms = self.clock.now_ms()
        self._publisher.flush()
        for poster in self._posters.values():
            poster.flush()
        self.late_ms = max(self.late_ms, self.clock.now_ms() - last_ms)

    def stay(self) -> None:
        """Until whoever is asked has been asked for the last time that counts."""
        until_ms = self._span.end_ms + TOLD_AFTER_MS
        self.clock.sleep(max(0, until_ms - self.clock.now_ms()) / 1000)

    def _lives(self) -> Iterator[Iterator[Due]]:
        for counter in self.plan.counters:
            if counter.bus:
                yield self._registers.life(counter, self.plan.seed, self._span, self.clock, self.expected)
            elif counter.make.voice:
                yield self._speaker(counter, counter.make.voice(counter.id)).life()
            elif counter.make.link == "cameras":
                around = self.plan.seed, self._span, self.expected, self._way(counter)
                yield LiveCamera(counter, *around).life()
        for till in self.plan.tills:
            yield self._seller(till).life()

    def _speaker(self, counter: Counter, voice: Voice) -> Speaker:
        around = self.plan.seed, self._span, self.expected, self._way(counter)
        withheld = counter.id == self.withhold
        return Speaker(
            counter, voice, *around, self.clock, partial(self._busy, counter.id), withheld=withheld
        )

    def _seller(self, till: Till) -> Seller:
        send = self._poster(till.id, "shops", "application/json") if till.way is Way.PUSH else self._publish
        around = self.plan.seed, self._span, self.expected, send
        return Seller(till, *around, self.around.receipts, ZoneInfo(self.around.timezone))

    def _way(self, counter: Counter) -> Send:
        if counter.make.link == "broker":
            return self._publish
        kind = "application/json"
        if counter.make.driver in ("hikvision", "brickstream"):
            kind = "application/xml"
        exact = bool(counter.fault.refused) or counter.make.name == "milesight"
        return self._poster(counter.id, counter.make.link, kind, lose=0.0 if exact else LOST_ANSWERS)

    def _busy(self, counter: str) -> bool:
        return counter in self._posters and self._posters[counter].busy

    def _publish(self, topic: str, body: bytes) -> None:
        self.sent += 1
        self._publisher.publish(topic, body)

    def _poster(self, name: str, link: str, kind: str, lose: float = LOST_ANSWERS) -> Send:
        """A connection of its own, on which one body follows the other."""
        url = f"http://127.0.0.1:{self.around.push}/push/{link}"
        chance = random.Random(f"{self.plan.seed}/{name}/way")
        poster = Poster(url, {"Content-Type": kind}, chance, lose=lose, patience_s=PATIENCE_S)
        self._posters[name] = self._stack.enter_context(poster)

        def send(topic: str, body: bytes) -> None:
            self.sent += 1
            poster.publish(topic, body)

        return send
