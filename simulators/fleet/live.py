"""Cameras that tell their running total after each crossing."""

from __future__ import annotations

import random
from collections import Counter as Sums
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from simulators import hikvision
from simulators.fleet.expected import Expected
from simulators.fleet.makes import mac
from simulators.fleet.plan import Counter
from simulators.fleet.speaking import TROUBLE, Due, Send, Span, crowd

MINUTE_MS = 60_000
FIRST = 1000  # what a camera has counted before anybody asked


@dataclass
class LiveCamera:
    counter: Counter
    seed: int
    span: Span
    expected: Expected
    send: Send
    _ins: int = FIRST
    _outs: int = FIRST
    _told: list[tuple[int, int, int]] = field(default_factory=list)
    _late: list[bytes] = field(default_factory=list)

    def life(self) -> Iterator[Due]:
        yield self.span.begin_ms, partial(self._tell, self.span.begin_ms, trouble=1.0)
        for minute_ms in range(self.span.begin_ms, self.span.end_ms, MINUTE_MS):
            source = random.Random(f"{self.seed}/{self.counter.id}/{minute_ms}")
            seconds: dict[int, Sums[str]] = {}
            sides = zip(("in", "out"), crowd(source, self.counter.make, minute_ms, MINUTE_MS), strict=True)
            for side, persons in sides:
                for _ in range(persons):
                    at_ms = minute_ms + 1000 * source.randrange(1, 60)
                    seconds.setdefault(at_ms, Sums())[side] += 1
            for at_ms, who in sorted(seconds.items()):
                yield at_ms, partial(self._cross, at_ms, who, source.random())
        yield self.span.end_ms, self._finish

    def _cross(self, at_ms: int, who: Sums[str], trouble: float) -> None:
        self._ins += who["in"]
        self._outs += who["out"]
        self._tell(at_ms, trouble)

    def _tell(self, at_ms: int, trouble: float) -> None:
        """Lost, late, twice, or as it should be."""
        body = hikvision.running(self._address, at_ms, self._ins, self._outs)
        if trouble < TROUBLE:
            return
        self._told.append((at_ms, self._ins, self._outs))
        late, self._late = self._late, []
        if trouble < 2 * TROUBLE:
            self._late.append(body)
        else:
            for _ in range(1 + (trouble < 3 * TROUBLE)):
                self._send(body)
        for one in late:
            self._send(one)

    def _finish(self) -> None:
        """What it knows at the end; the totals in between, as far as they arrived."""
        self._tell(self.span.end_ms - 1000, trouble=1.0)
        self.expected.totals(self.counter, self._told)

    def _send(self, body: bytes) -> None:
        self.send(f"hikvision/{self._address}", body)

    @property
    def _address(self) -> str:
        return mac("24:28:fe", self.counter.id)
